"""What a report costs with many blocked tasks: ``python -m tests.bench.report_many_tasks DUMP N``.

A stand-in for a machine with N tasks: the dump's own tasks in D stand N times in the list of
tasks, and nothing that is kept per task is kept from one to the next. Prints the CPU seconds
of the report, beside the dump as it is.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import btfdbg
from btfdbg.report.look import Look
from btfdbg.report.whole import report

if TYPE_CHECKING:
    import drgn


class _Forgets(dict[int, Any]):
    """Keeps one entry, the newest."""

    def __setitem__(self, key: int, value: Any) -> None:
        self.clear()
        super().__setitem__(key, value)


def _measure(path: str, count: int) -> float:
    from drgn.helpers.linux.sched import task_state_to_char

    session = btfdbg.session(btfdbg.program_from_core_dump(path))
    session.ensure_modules()
    own = Look(session).tasks
    tasks: tuple[drgn.Object, ...] = own
    if count:
        blocked = [task for task in own if task_state_to_char(task) == "D"]
        tasks = own + tuple(blocked[i % len(blocked)] for i in range(count - len(own)))
    made = Look.__init__

    def make(look: Look, *arguments: Any) -> None:
        made(look, *arguments)
        look.__dict__["tasks"] = tasks
        if count:
            look._stacks = _Forgets()
            look._traces = _Forgets()

    Look.__init__ = make  # type: ignore[assignment]
    try:
        start = time.process_time()
        report(session)
        return time.process_time() - start
    finally:
        Look.__init__ = made  # type: ignore[method-assign]


def main() -> None:
    """Print a line per number of tasks."""
    path, *counts = sys.argv[1:]
    for count in (0, *map(int, counts)):
        print(f"{count or 'its own'} tasks: {_measure(path, count):.2f} s")


if __name__ == "__main__":
    main()
