"""``python -m tests.matrix FOLDER [-v]``: the table of kernels and formats, as Markdown."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from tests.matrix.checks import Row, check, entries

_COLUMNS = ("open", "tasks", "modules", "mounts", "dmesg", "btf", "kallsyms", "stacks", "end")


def main() -> int:
    """Print the table; exit 1 if anything differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-v", "--verbose", action="store_true", help="say what differs")
    parser.add_argument("-k", metavar="WORD", default="", help="only dumps with WORD in the name")
    args = parser.parse_args()
    found = [(d, e) for d, e in entries(args.folder) if args.k in d.name]
    if not found:
        parser.error(f"{args.folder} has no dumps with an entry beside them")
    print("| kernel | architecture | format | " + " | ".join(_COLUMNS) + " |")
    print("|---" * (len(_COLUMNS) + 3) + "|")
    bad = 0
    for dump, entry in found:
        row = check(dump, entry)
        bad += not row.ok
        print(_line(row), flush=True)
        if args.verbose:
            for name, problems in row.problems.items():
                for problem in problems[:5]:
                    print(f"    {dump.name} {name}: {problem}", file=sys.stderr)
    return int(bad > 0)


def _line(row: Row) -> str:
    e = row.entry
    release = re.sub(r"\+deb\w+|-unsigned", "", e["release"])
    cells = []
    for column in _COLUMNS:
        problems = row.problems.get(column)
        if column == "stacks" and row.tasks:
            cells.append(f"{row.unwound}/{row.tasks}")
        elif problems is None:
            cells.append("")
        else:
            cells.append("yes" if not problems else f"**{len(problems)} differ**")
    return f"| {release} | {e['arch']} | {e['how']} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.exit(main())
