"""Which CPUs were up when the kernel died.

Owns the one meaning of "every CPU" for what walks per-CPU state of a dump. panic() stops the
other CPUs and takes each out of the mask of those online, although it ran until that moment and
what it left on its stack and in its counters is what a dump is for. How far a CPU was brought
up or down is known elsewhere: its hotplug state stays as it was.

Facts: ``kernel/panic.c`` (panic_other_cpus_shutdown(), panic_cpu is -1 until there is one),
``arch/x86/kernel/process.c`` and ``arch/arm64/kernel/smp.c`` (set_cpu_online(cpu, false) when
a CPU is stopped), ``kernel/cpu.c`` (cpuhp_state, since v4.6).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import drgn

from btfdbg.program.session import find_session

_CACHE_KEY = "btfdbg.online_cpus"


def for_each_up_cpu(prog: drgn.Program) -> Iterator[int]:
    """
    CPUs that were up when the kernel died, in order; those online where it has not.

    >>> list(for_each_up_cpu(prog))
    [0, 1]

    :raises LookupError, drgn.FaultError: the masks of CPUs cannot be read.
    """
    from drgn.helpers.linux.cpumask import for_each_online_cpu

    found = known(prog, for_each_online_cpu)
    yield from for_each_online_cpu(prog) if found is None else found


def known(prog: drgn.Program, online: Callable[[drgn.Program], Any]) -> tuple[int, ...] | None:
    """
    CPUs that were up, in order; ``None`` where the kernel's own mask is right.

    :param online: Gives the CPUs that the kernel's mask has.
    :raises LookupError, drgn.FaultError: the masks of CPUs cannot be read.
    """
    if find_session(prog) is None or prog.flags & drgn.ProgramFlags.IS_LIVE:
        return None
    found: tuple[int, ...] | None = prog.cache.get(_CACHE_KEY)
    if found is None:
        found = prog.cache[_CACHE_KEY] = _find(prog, online) if has_died(prog) else ()
    return found or None


def has_died(prog: drgn.Program) -> bool:
    """Whether a CPU was in panic(); where that cannot be told, a dump is a sign of it."""
    try:
        return bool(prog["panic_cpu"].counter.value_() != -1)
    except (LookupError, AttributeError, drgn.FaultError, drgn.ObjectAbsentError):
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
