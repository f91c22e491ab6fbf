"""Tasks that cannot be killed, those with the same stack together.

    btfdbg vmcore examples/hung_tasks.py

An ordinary drgn script: ``prog`` is bound by whoever runs it.
"""

from __future__ import annotations

from collections import defaultdict

import drgn
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.sched import task_state_to_char


def frames(prog: drgn.Program, task: drgn.Object) -> tuple[str, ...]:
    """Names of a task's functions, innermost first."""
    return tuple(str(frame.name) for frame in prog.stack_trace(task))


def main(prog: drgn.Program) -> None:
    """Print the groups, largest first."""
    groups: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for task in for_each_task(prog):
        if task_state_to_char(task) == "D":
            comm = task.comm.string_().decode(errors="backslashreplace")
            groups[frames(prog, task)].append(f"{comm}({task.pid.value_()})")
    for stack, tasks in sorted(groups.items(), key=lambda group: -len(group[1])):
        print(f"{len(tasks)} x {' '.join(tasks)}")
        for name in stack:
            print(f"    {name}")
    if not groups:
        print("no task is in state D")


if __name__ == "__main__":
    main(drgn.get_default_prog())
