"""Which CPUs count as online in the dump of a kernel that has died.

Owns the answer of drgn's ``for_each_online_cpu()`` there, and which CPUs ``bt`` and ``runq``
go over. panic() stops the other CPUs and
takes each out of the mask, although it ran until that moment and what it left on its stack and
in its counters is what a dump is for. How far a CPU was brought up or down is known elsewhere:
its hotplug state stays as it was. ``cpu_online_mask()`` itself is left as the kernel has it.

Facts: ``kernel/panic.c`` (panic_other_cpus_shutdown(), panic_cpu is -1 until there is one),
``kernel/sched/core.c``
(init_idle() gives a CPU its first task, before that rq.curr is NULL),
``arch/x86/kernel/process.c`` and ``arch/arm64/kernel/smp.c`` (set_cpu_online(cpu, false) when
a CPU is stopped), ``kernel/cpu.c`` (cpuhp_state, since v4.6).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import drgn

from btfdbg.errors import DebugInfoError
from btfdbg.patches.missing import program_of
from btfdbg.program.session import find_session
from btfdbg.program.walks import remark

_CACHE_KEY = "btfdbg.online_cpus"
_over_tasks: ContextVar[bool] = ContextVar("btfdbg.over_tasks", default=False)


def for_each_online_cpu(original: Callable[..., Any]) -> Callable[..., Any]:
    """CPUs that were up when the kernel died."""

    def walk(*args: Any, **kwargs: Any) -> Iterator[int]:
        found = _up(program_of(args)[0], original)
        return original(*args, **kwargs) if found is None else iter(found)

    return walk


def num_online_cpus(original: Callable[..., Any]) -> Callable[..., Any]:
    """How many CPUs were up when the kernel died."""

    def count(*args: Any, **kwargs: Any) -> int:
        from drgn.helpers.linux.cpumask import cpu_online_mask, for_each_cpu

        found = _up(program_of(args)[0], lambda prog: for_each_cpu(cpu_online_mask(prog)))
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


def _up(prog: drgn.Program, online: Callable[[drgn.Program], Any]) -> tuple[int, ...] | None:
    """CPUs that were up, in order; ``None`` where the kernel's own mask is right."""
    if find_session(prog) is None or prog.flags & drgn.ProgramFlags.IS_LIVE:
        return None
    known = prog.cache.get(_CACHE_KEY)
    if known is None:
        known = prog.cache[_CACHE_KEY] = _find(prog, online) if _has_died(prog) else ()
    return known or None


def _has_died(prog: drgn.Program) -> bool:
    """Whether a CPU was in panic(); where that cannot be told, a dump is a sign of it."""
    try:
        return bool(prog["panic_cpu"].counter.value_() != -1)
    except (LookupError, AttributeError, drgn.FaultError):
        return True


def _find(prog: drgn.Program, online: Callable[[drgn.Program], Any]) -> tuple[int, ...]:
    from drgn.helpers.linux.cpumask import for_each_present_cpu

    found = set(online(prog))
    try:
        found.update(cpu for cpu in for_each_present_cpu(prog) if _was_up(prog, cpu))
    except (LookupError, drgn.FaultError):
        pass  # what the kernel calls online is known all the same
    return tuple(sorted(found))


def _was_up(prog: drgn.Program, cpu: int) -> bool:
    """Whether a CPU that is present was not taken down in the way that CPUs are."""
    from drgn.helpers.linux.percpu import per_cpu

    try:
        state = per_cpu(prog["cpuhp_state"], cpu).state.value_()
        return bool(state == prog.constant("CPUHP_ONLINE").value_())
    except (LookupError, AttributeError, drgn.FaultError):
        return True  # before v4.6, or the page is missing: it is present


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
