"""What ``foreach bt`` costs, and what of it any such command on a dump without DWARF costs.

    python -m tests.bench.backtraces DUMP... [--vmlinux VMLINUX]

Counts instructions under valgrind's callgrind, with a warm cache: of a first object, of pieces
that the command cannot do without, each with those before it, and of ``foreach bt``. The last
piece is drgn's own command as it is, run in a session of ours: no argument and no source file
is looked for. What ``foreach bt`` adds to it is what btfdbg adds. With the matching VMLINUX, the
whole command of drgn's with DWARF. Needs valgrind; takes minutes.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.bench.processes import as_installed, drgn_alone
from tests.bench.screen import FIRST, PIECES, counts, grown, instructions

FRAMES = """
from drgn.helpers.linux.pid import for_each_task
for task in for_each_task(prog):
    try: trace = prog.stack_trace(task)
    except ValueError: continue
    for frame in trace:
        try: frame.name, frame.pc - frame.symbol().address, frame.sp
        except LookupError: pass
"""
COMMAND = """
import drgn
drgn.set_default_prog(prog)
from drgn.commands._crash.common import CRASH_COMMAND_NAMESPACE
import drgn.commands._crash._ps, drgn.commands._crash._bt
CRASH_COMMAND_NAMESPACE.run(prog, "foreach bt", globals={"prog": prog})
sys.stdout.flush()
"""


def main() -> None:
    """Print a table per dump."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.backtraces", description=__doc__)
    parser.add_argument("dumps", metavar="DUMP", nargs="+")
    parser.add_argument("--vmlinux", help="the matching vmlinux with DWARF")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        as_installed(name)
        for dump in args.dumps:
            ours = ["-m", "btfdbg.cli.main", dump]
            pieces = [*PIECES[:2], ("every task's frames by name", FRAMES)]
            pieces.append(("drgn's command as it is", COMMAND))
            titles = ["a first object", *(title for title, _ in pieces), "`foreach bt`"]
            scripts = [[*ours, "-e", FIRST], *grown((code for _, code in pieces), dump)]
            scripts.append([*ours, "-x", "foreach bt"])
            print(f"| {Path(dump).name} | M instructions | more | of `foreach bt` with DWARF |")
            print("|---|---|---|---|")
            theirs = _with_dwarf(dump, args.vmlinux, folder) if args.vmlinux else 0
            before = 0
            for title, count in zip(titles, counts(scripts, folder), strict=True):
                more = f"{(count - before) / 1e6:.0f}" if before else ""
                ratio = f"{count / theirs:.2f}" if theirs else ""
                print(f"| {title} | {count / 1e6:.0f} | {more} | {ratio} |", flush=True)
                before = count
            if theirs:
                print(f"| `foreach bt` of drgn with DWARF | {theirs / 1e6:.0f} |  |  |")


def _with_dwarf(dump: str, vmlinux: str, folder: Path) -> int:
    words = ["-m", "drgn.internal.crashcli", vmlinux, dump]
    with drgn_alone():
        return instructions(words, folder, "foreach bt\nquit\n")


if __name__ == "__main__":
    main()
