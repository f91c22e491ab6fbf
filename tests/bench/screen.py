"""What one screen of a crash costs, and cannot but cost.

    python -m tests.bench.screen DUMP... [--vmlinux VMLINUX]

Counts instructions under valgrind's callgrind, with a warm cache: of a first object, of pieces
that ``ctx`` cannot do without, each with those before it and nothing of btfdbg's judgement, and
of ``ctx``. The pieces are calls of drgn's and of the library in a script, which opens the dump
as ``btfdbg`` does and ends as ``ctx`` does, at once. Needs valgrind and capstone; takes minutes.

With the matching VMLINUX the same pieces are counted with drgn and its DWARF, without a session
of ours: what a piece costs there, beyond those before it, is drgn's own, its imports included.
The first of them is left out, as drgn with DWARF makes its index of it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from tests.bench.processes import as_installed, counted, drgn_alone, under_callgrind

FIRST = 'prog["init_task"].comm'

PIECES = (
    (
        "the same, ended at once",
        "import gc, sys; gc.disable()\n"
        "from btfdbg.cli.main import open_for\n"
        "from btfdbg.cli.reader import quick\n"
        f"prog, session = open_for(quick(sys.argv[1:], ())[0], sys.argv[1]); {FIRST}",
    ),
    ("drgn's list of modules", "session.ensure_modules()"),
    (
        "the task that panicked, its frames by name",
        "import itertools\n"
        "task = prog.crashed_thread().object\n"
        "trace = prog.stack_trace(task)\n"
        "names = []\n"
        "for frame in itertools.islice(trace, 64):\n"
        "    try: names.append((frame.name, frame.pc - frame.symbol().address))\n"
        "    except LookupError: names.append((frame.name, frame.pc))",
    ),
    (
        "the kernel's log, its records read",
        "from btfdbg.program.log_records import log_records; log = list(log_records(prog))",
    ),
    (
        "one instruction disassembled",
        "from btfdbg.frames.disasm import open_disassembler\n"
        "from btfdbg.vmcore.platforms import machine_of\n"
        "at = next((f for f in trace if f.interrupted), trace[0])\n"
        "next(open_disassembler(machine_of(prog.platform))(prog.read(at.pc, 16), at.pc), None)",
    ),
    (
        "drgn's word on each register",
        "from btfdbg.patches import install; install.follow_imports()\n"
        "from drgn.helpers.common.memory import identify_address_all\n"
        "cache = {}\n"
        "for value in at.registers().values():\n"
        "    try: list(identify_address_all(prog, value, cache=cache))\n"
        "    except (LookupError, ValueError): pass",
    ),
)
# What they are where drgn alone has the dump open.
WITH_DWARF = (
    "import gc, sys; gc.disable()\n"
    "import drgn\n"
    "prog = drgn.Program(); prog.set_core_dump(sys.argv[1])\n"
    f"prog.load_debug_info([sys.argv[2]]); {FIRST}",
    "modules = [module for module, _ in prog.loaded_modules()]",
    PIECES[2][1],
    "from drgn.helpers.linux.printk import get_printk_records; log = get_printk_records(prog)",
    PIECES[4][1],
    PIECES[5][1].partition("follow_imports()\n")[2],
)
_LEAVE = "import atexit, os; atexit._run_exitfuncs(); os._exit(0)"


def instructions(words: list[str], folder: Path, given: str = "") -> int:
    """Count the instructions of ``python WORDS``, which reads what is given."""
    command = [*under_callgrind(folder), sys.executable, *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, input=given.encode())
    return counted(folder)


def counts(scripts: Sequence[list[str]], folder: Path) -> Iterator[int]:
    """Count each of many; what is run once leaves compiled code and a warm cache."""
    for words in scripts:
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
        yield instructions(words, folder)


def grown(pieces: Iterable[str], *operands: str) -> list[list[str]]:
    """Scripts of the pieces, each with those before it."""
    codes = accumulate(pieces, lambda before, piece: f"{before}\n{piece}")
    return [["-c", f"{code}\n{_LEAVE}", *operands] for code in codes]


def main() -> None:
    """Print a table per dump."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.screen", description=__doc__)
    parser.add_argument("dumps", metavar="DUMP", nargs="+")
    parser.add_argument("--vmlinux", help="the matching vmlinux with DWARF")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        as_installed(name)
        for dump in args.dumps:
            ours = ["-m", "btfdbg.cli.main", dump]
            scripts = [[*ours, "-e", FIRST], *grown((piece for _, piece in PIECES), dump)]
            titles = ["a first object", *(title for title, _ in PIECES), "`ctx`"]
            theirs: list[int] = []
            if args.vmlinux is not None:
                with_dwarf = grown(WITH_DWARF, dump, args.vmlinux)
                with drgn_alone():
                    theirs = list(counts(with_dwarf, folder))
            print(f"| {Path(dump).name} | M instructions | more | of a first object | with DWARF |")
            print("|---|---|---|---|---|")
            first = before = 0
            found = counts([*scripts, [*ours, "-x", "ctx"]], folder)
            for number, (title, count) in enumerate(zip(titles, found, strict=True)):
                first = first or count
                more = f"{(count - before) / 1e6:.0f}" if before else ""
                there = ""
                if 1 < number <= len(theirs):
                    there = f"{(theirs[number - 1] - theirs[number - 2]) / 1e6:.0f}"
                ratio = f"{count / first:.2f}"
                print(f"| {title} | {count / 1e6:.0f} | {more} | {ratio} | {there} |", flush=True)
                before = count


if __name__ == "__main__":
    main()
