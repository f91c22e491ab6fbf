"""``for_each_task()`` and ``find_task()`` where the pid table is damaged.

Owns the decision that the pid table is not enough: it cannot be read to its end, or names
fewer tasks than the kernel counted. How tasks are found by other ways is in ``tasks``.

Facts: ``kernel/fork.c`` (``nr_threads`` counts all but the idle tasks).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import drgn
from drgn import FaultError, Object

from btfdbg.patches.missing import program_of
from btfdbg.patches.tasks import find_tasks, task_count
from btfdbg.program.session import Session, find_session
from btfdbg.program.walks import remark


def _session_of(args: tuple[Any, ...]) -> Session | None:
    """The Session whose initial pid namespace is asked for."""
    prog, ns = program_of(args)
    session = find_session(prog)
    if session is None or ns is None:
        return session
    initial: bool = ns.value_() == prog["init_pid_ns"].address_
    return session if initial else None


def for_each_task(original: Callable[..., Any]) -> Callable[..., Any]:
    """Tasks of the pid table; where it misses some, also those that other ways lead to."""

    def walk(*args: Any, **kwargs: Any) -> Iterator[Object]:
        session = _session_of(args)
        if session is None:
            yield from original(*args, **kwargs)
            return
        prog = session.prog
        seen = set()
        count = 0
        problem = ""
        lost: FaultError | None = None
        try:
            for task in original(*args, **kwargs):
                try:
                    # Idle tasks are not in the kernel's count.
                    count += task.pid.value_() != 0
                except FaultError:
                    continue  # without its number a task cannot be shown
                seen.add(task.value_())
                yield task
        except FaultError as e:
            problem = f"the pid table is damaged at {e.address:#x}"
            lost = e
        expected = task_count(prog)
        if not problem and (expected is None or count >= expected):
            return
        tasks = find_tasks(session)
        others = [task for task in tasks.tasks if task.value_() not in seen]
        yield from others
        if lost is not None and not seen and not others:
            raise lost  # no task at all is no list of tasks
        if problem:
            remark(prog, f"{problem}; by other ways there are {tasks}")
        elif others or (expected is not None and count < expected):
            text = (
                f"the pid table names {count:,} tasks of the {expected:,} that the kernel counted"
            )
            remark(prog, f"{text}; {len(others):,} more were found by other ways")

    return walk


def find_task(original: Callable[..., Any]) -> Callable[..., Any]:
    """The task of a number, by other ways where the pid table cannot be read."""

    def find(*args: Any, **kwargs: Any) -> Object:
        try:
            return original(*args, **kwargs)
        except FaultError:
            session = _session_of(args)
            pid = kwargs.get("pid", args[-1] if args else None)
            if session is None or pid is None:
                raise
            tasks = find_tasks(session)
            for task in tasks.tasks:
                if task.pid.value_() == int(pid):
                    return task
            if tasks.complete:
                return drgn.NULL(session.prog, "struct task_struct *")
            raise

    return find
