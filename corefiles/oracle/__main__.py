"""
``python -m corefiles.oracle VERB``: record answers, compare with them, bundle a dump.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import answers, bundle, compare


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m corefiles.oracle")
    verbs = parser.add_subparsers(dest="verb", required=True)
    record = verbs.add_parser("record", help="ask DWARF about a dump and write its answers")
    record.add_argument("core", type=Path)
    record.add_argument("debug", type=Path, help="folder with vmlinux and the modules' .ko files")
    record.add_argument("--ko", type=Path, action="append", default=[])
    record.add_argument("-o", dest="out", type=Path)
    against = verbs.add_parser("compare", help="hold btfdbg's view of a dump against answers")
    against.add_argument("core", type=Path)
    against.add_argument("answers", type=Path, nargs="?")
    add = verbs.add_parser("bundle", help="trim a dump, record its answers, add it to the manifest")
    add.add_argument("core", type=Path, help="a dump with its manifest entry beside it")
    add.add_argument("debug", type=Path)
    add.add_argument("name", help="file name among the bundled dumps")
    add.add_argument("--ko", type=Path, action="append", default=[])
    args = parser.parse_args()
    if args.verb == "record":
        answers.write(
            args.out or answers.path_for(args.core), answers.record(args.core, args.debug, args.ko)
        )
        return 0
    if args.verb == "bundle":
        bundle.bundle(args.core, args.debug, args.name, args.ko)
        return 0
    return _compare(args.core, args.answers or answers.path_for(args.core))


def _compare(core: Path, path: Path) -> int:
    import btfdbg

    truth = answers.read(path)
    prog = btfdbg.program_from_core_dump(core)
    print(f"{core}: Linux {truth['release']}")
    bad = 0
    for name, function in (
        ("stacks", compare.compare_stacks),
        ("types", compare.compare_types),
        ("variables", compare.compare_variables),
    ):
        difference = function(prog, truth)
        bad += len(difference.different) + (name != "variables") * len(difference.missing)
        print(f"{name}: {difference}")
        for missing in difference.missing[:8]:
            print(f"    missing {missing}")
        for what, expected, found in difference.different[:8]:
            print(f"    {what}: {expected} here {found}")
    outcomes: dict[compare.Outcome, list[str]] = {}
    for line, (outcome, _) in compare.compare_commands(prog, truth).items():
        outcomes.setdefault(outcome, []).append(line)
    for outcome in compare.Outcome:
        lines = outcomes.get(outcome, [])
        print(f"commands: {len(lines)} {outcome.value}")
        if outcome is not compare.Outcome.IDENTICAL:
            for line in lines:
                print(f"    {line}")
    bad += len(outcomes.get(compare.Outcome.WORSE, []))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
