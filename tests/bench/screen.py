"""What one screen of a crash costs, and cannot but cost: ``python -m tests.bench.screen DUMP...``.

Counts instructions under valgrind's callgrind, with a warm cache: of a first object, of pieces
that ``ctx`` cannot do without, each with those before it and nothing of btfdbg's judgement, and
of ``ctx``. The pieces are calls of drgn's and of the library in a script, which opens the dump
as ``btfdbg`` does and ends as ``ctx`` does, at once. Needs valgrind and capstone; takes minutes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.processes import as_installed, counted, under_callgrind

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
_LEAVE = "import atexit, os; atexit._run_exitfuncs(); os._exit(0)"


def instructions(words: list[str], folder: Path) -> int:
    """Count the instructions of ``python WORDS``."""
    command = [*under_callgrind(folder), sys.executable, *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return counted(folder)


def main() -> None:
    """Print a table per dump."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        as_installed(name)
        for dump in sys.argv[1:]:
            ours = ["-m", "btfdbg.cli.main", dump]
            runs = [("a first object", [*ours, "-e", FIRST])]
            code = ""
            for title, piece in PIECES:
                code += piece + "\n"
                runs.append((title, ["-c", code + _LEAVE, dump]))
            runs.append(("`ctx`", [*ours, "-x", "ctx"]))
            print(f"| {Path(dump).name} | M instructions | more | of a first object |")
            print("|---|---|---|---|")
            first = before = 0
            for title, words in runs:
                # What is run once leaves compiled code and a warm cache.
                subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
                count = instructions(words, folder)
                first = first or count
                more = f"{(count - before) / 1e6:.0f}" if before else ""
                print(f"| {title} | {count / 1e6:.0f} | {more} | {count / first:.2f} |", flush=True)
                before = count


if __name__ == "__main__":
    main()
