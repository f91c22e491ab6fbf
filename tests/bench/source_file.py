"""``python -m tests.bench.source_file CORE [FUNCTION]``: what a first source file costs.

Prints the CPU time of ``session.source_file()`` of one function in a process that has a
session and asked for no source file yet, imports and the shipped table included: the median
of several processes, and of a loop to compare machines by.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

_ROUNDS = 15
_ASK = """
import sys, time
from btfdbg import program_from_core_dump, session
s = session(program_from_core_dump(sys.argv[1]))
address = s.prog.symbol(sys.argv[2]).address
before = time.process_time()
found = s.source_file(address)
print(time.process_time() - before)
before = time.process_time()
sum(range(1_000_000))
print(time.process_time() - before)
print(found)
"""


def main() -> None:
    """Measure processes one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.source_file", description=__doc__)
    parser.add_argument("core")
    parser.add_argument("function", nargs="?", default="vfs_read")
    args = parser.parse_args()
    # As installed: with byte code that is kept.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    command = [sys.executable, "-c", _ASK, args.core, args.function]
    taken, loops, found = [], [], ""
    for number in range(_ROUNDS + 1):
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        first, loop, found = done.stdout.splitlines()
        if number:  # the one before them all leaves its byte code
            taken.append(float(first))
            loops.append(float(loop))
    print(f"{args.function}: {found}")
    print(f"first source file: {statistics.median(taken) * 1e3:.1f} ms CPU")
    print(f"a sum of a million numbers: {statistics.median(loops) * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
