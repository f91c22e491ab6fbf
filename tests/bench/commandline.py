"""What reading a command line without argparse saves: ``python -m tests.bench.commandline CORE``.

Prints the CPU seconds of a first object, whole processes in turn, with the command line read
by ``btfdbg.cli.reader`` and by argparse, and the share that the first way saves.
"""

from __future__ import annotations

import argparse
import sys

from tests.bench.processes import Contender, compare, medians

_RUN = (
    "import sys\n"
    "from btfdbg.cli import main, reader\n"
    "{replace}"
    "sys.argv = ['btfdbg', {core!r}, '-e', 'print(prog[\"init_task\"].comm)']\n"
    "sys.exit(main.main())\n"
)


def main() -> int:
    """Measure and print; never fails on a time."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.commandline")
    parser.add_argument("core")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    ways = {"read by options": "", "read by argparse": "reader.quick = lambda *_: None\n"}
    contenders = [
        Contender(name, [sys.executable, "-c", _RUN.format(replace=code, core=args.core)])
        for name, code in ways.items()
    ]
    ours, theirs = (medians(runs)[1] for runs in compare(contenders, args.rounds).values())
    print(f"read by options {ours:.3f} s CPU, by argparse {theirs:.3f}")
    print(f"saved: {100 * (1 - ours / theirs):.1f} %")
    return 0


if __name__ == "__main__":
    sys.exit(main())
