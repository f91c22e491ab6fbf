"""What an item costs as dumps grow: ``python -m tests.scaling SMALL LARGE``.

    python -m tests.scaling 6.12-many.vmcore 6.12-tasks20000.vmcore

Two dumps of one kernel that differ in their number of tasks, and 100 and 1,000 modules'
BTF made up over the first dump's. Processor time, so that a busy machine disturbs little,
less that of an empty session; peak memory of the whole process. The items of a command are
the lines that it writes: a task of one dump may have twice the open files of another's.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass

_TASKS = "from drgn.helpers.linux.pid import for_each_task"
OPERATIONS = {
    "walk of all tasks": ["-e", f"{_TASKS}\nfor t in for_each_task(prog): t.comm.string_()"],
    "stack of every task": [
        "-e",
        f"{_TASKS}\nfor t in for_each_task(prog):\n try: prog.stack_trace(t)\n"
        " except (ValueError, LookupError): pass",
    ],
    "ps": ["-x", "ps"],
    "foreach bt": ["-x", "foreach bt"],
    "foreach files": ["-x", "foreach files"],
    "kmem -s": ["-x", "kmem -s"],
}


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor seconds and peak MiB of a process."""

    seconds: float
    peak: float
    lines: int = 0


def cost(*args: str) -> Cost:
    """Run btfdbg and count the lines that it writes."""
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryFile() as out:
        env = {**os.environ, "XDG_CACHE_HOME": home, "XDG_STATE_HOME": home}
        process = subprocess.Popen(
            [sys.executable, "-m", "btfdbg.cli.main", *args],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.DEVNULL,
            env=env,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        lines = sum(1 for _ in out)
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, lines)


def tasks_of(core: str) -> int:
    """Number of tasks in a dump."""
    code = f"{_TASKS}\nprint(sum(1 for _ in for_each_task(prog)))"
    command = [sys.executable, "-m", "btfdbg.cli.main", core, "-e", code]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def row(name: str, sizes: list[int], costs: list[Cost], idle: list[Cost]) -> str:
    """One line of the table."""
    net = [max(c.seconds - i.seconds, 0.0) for c, i in zip(costs, idle, strict=True)]
    per_item = [seconds / size * 1e6 for seconds, size in zip(net, sizes, strict=True)]
    cells = [
        f"{n:6} in {c.seconds:5.2f} s {p:5.0f} us {c.peak:4.0f} MiB"
        for n, c, p in zip(sizes, costs, per_item, strict=True)
    ]
    ratio = per_item[1] / per_item[0] if per_item[0] else 0.0
    return f"| {name:28} | {' | '.join(cells)} | {ratio:5.2f} |"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.scaling")
    parser.add_argument("cores", nargs=2, metavar="CORE")
    parser.add_argument("--modules", type=int, nargs=2, default=(100, 1000), metavar="N")
    args = parser.parse_args()
    sizes = [tasks_of(core) for core in args.cores]
    print(f"| per task or line | {sizes[0]} tasks | {sizes[1]} tasks | ratio per item |")
    print("|---|---|---|---|")
    idle = [cost(core, "-e", "prog['init_task'].pid") for core in args.cores]
    print(row("(empty session)", sizes, idle, [Cost(0.0, 0.0)] * 2))
    for name, operation in OPERATIONS.items():
        costs = [cost(core, *operation) for core in args.cores]
        print(row(name, [c.lines or n for c, n in zip(costs, sizes, strict=True)], costs, idle))
    from .modules import costs_of_modules

    print(f"\n| per module | {args.modules[0]} modules | {args.modules[1]} modules | ratio |")
    print("|---|---|---|---|")
    for name, several in costs_of_modules(args.cores[0], args.modules).items():
        cells = [f"{s:.3f} s {s / n * 1e6:7.0f} us {m:5.1f} MiB" for n, s, m in several]
        (n0, s0, _), (n1, s1, _) = several
        print(f"| {name:28} | {' | '.join(cells)} | {(s1 / n1) / (s0 / n0):5.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
