"""``python -m tests.bench.many_dumps CORE...``: dumps of one kernel, opened in one process.

Prints for each the CPU time to its first object, and to the end of its list of tasks: what
the first dump and earlier runs found out about the kernel is there for the next ones. All are
opened twice.
"""

from __future__ import annotations

import argparse
import statistics
import time

from drgn.helpers.linux.list import list_for_each_entry

from btfdbg.program.attach import register
from btfdbg.vmcore.open import open_core


def _one(core: str) -> tuple[float, float, int]:
    """CPU milliseconds to a first object, and to the last task; how many tasks."""
    before = time.process_time()
    prog, info = open_core(core)
    register(prog, None, info)
    task = prog["init_task"]
    task.comm.string_()
    first = time.process_time() - before
    found = list_for_each_entry("struct task_struct", task.tasks.address_of_(), "tasks")
    count = sum(1 for _ in found)
    return first * 1e3, (time.process_time() - before) * 1e3, count


def main() -> None:
    """Print a line for each, and the median of all but the first."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.many_dumps", description=__doc__)
    parser.add_argument("cores", metavar="CORE", nargs="+")
    args = parser.parse_args()
    taken = []
    for core in (*args.cores, *args.cores):
        first, last, count = _one(core)
        print(f"{first:6.0f} ms to a first object, {last:6.0f} ms to the last of {count} tasks")
        taken.append(last)
    print(f"each further dump: {statistics.median(taken[1:]):.0f} ms")


if __name__ == "__main__":
    main()
