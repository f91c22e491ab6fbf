"""Which CPUs count as online in the dump of a kernel that has died.

Owns the answer of drgn's ``for_each_online_cpu()`` there (found by
``btfdbg.program.up_cpus``), and which CPUs ``bt`` and ``runq`` go over.
``cpu_online_mask()`` itself is left as the kernel has it.

Facts: ``kernel/sched/core.c`` (init_idle() gives a CPU its first task, before that rq.curr is
NULL).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import drgn

from btfdbg.errors import DebugInfoError
from btfdbg.patches.missing import program_of
from btfdbg.program import up_cpus
from btfdbg.program.session import find_session
from btfdbg.program.walks import remark

_over_tasks: ContextVar[bool] = ContextVar("btfdbg.over_tasks", default=False)


def for_each_online_cpu(original: Callable[..., Any]) -> Callable[..., Any]:
    """CPUs that were up when the kernel died."""

    def walk(*args: Any, **kwargs: Any) -> Iterator[int]:
        found = up_cpus.known(program_of(args)[0], original)
        return original(*args, **kwargs) if found is None else iter(found)

    return walk


def num_online_cpus(original: Callable[..., Any]) -> Callable[..., Any]:
    """How many CPUs were up when the kernel died."""

    def count(*args: Any, **kwargs: Any) -> int:
        from drgn.helpers.linux.cpumask import cpu_online_mask, for_each_cpu

        found = up_cpus.known(program_of(args)[0], lambda prog: for_each_cpu(cpu_online_mask(prog)))
        if found is None:
            number: int = original(*args, **kwargs)
            return number
        return len(found)

    return count


def possible_instead(original: Callable[..., Any]) -> Callable[..., Any]:
    """Every CPU that has a run queue: a task may have run on one that is not online now."""

    def walk(*args: Any, **kwargs: Any) -> Iterator[int]:
        from drgn.helpers.linux.cpumask import for_each_possible_cpu

        if find_session(program_of(args)[0]) is None:
            found: Iterator[int] = original(*args, **kwargs)
            return found
        return for_each_possible_cpu(*args, **kwargs)

    return walk


def with_tasks(prog: drgn.Program, cpus: Sequence[int]) -> list[int]:
    """
    Those of some CPUs that have a task to show; a remark tells of the others.

    :raises DebugInfoError: none of them has.
    """
    from drgn.helpers.linux.sched import cpu_curr

    found: list[int] = []
    missing: list[int] = []
    for cpu in cpus:
        try:
            task = cpu_curr(prog, cpu).value_()
        except (drgn.FaultError, LookupError):
            task = -1  # what cannot be read is told by the command
        (found if task else missing).append(cpu)
    if missing:
        text = "has no task: it was not brought up before the dump"
        if not found:
            raise DebugInfoError(f"CPU {', '.join(map(str, missing))} {text}")
        for cpu in missing:
            remark(prog, f"CPU {cpu} {text}")
    return found


def cpus_with_tasks(original: Callable[..., list[int]]) -> Callable[..., list[int]]:
    """``Cpuspec.cpus()``, which ``bt`` and ``runq`` follow to each CPU's current task."""

    def cpus(self: Any, prog: drgn.Program) -> list[int]:
        found = original(self, prog)
        if not _over_tasks.get() or find_session(prog) is None:
            return found
        return with_tasks(prog, found)

    return cpus


def over_tasks(original: Callable[..., Any]) -> Callable[..., Any]:
    """A command that shows the current task of CPUs."""

    def run(*args: Any, **kwargs: Any) -> Any:
        token = _over_tasks.set(True)
        try:
            return original(*args, **kwargs)
        finally:
            _over_tasks.reset(token)

    return run
