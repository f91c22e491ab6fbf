"""Per-CPU variables of a kernel that names none: found by what points into one CPU's copy.

A kernel with CONFIG_KALLSYMS_ALL=n names no per-CPU variables; BTF has their places in a section
of its own (``symbol_rules.per_cpu_start``), but not of every encoder: Debian's of 5.10 wrote none
for arm64. Each task leads to its CPU's run queue, each process's timer to its CPU's base of
high-resolution timers. Less that CPU's offset it is the variable's symbol. Owns these rules;
``symbol_rules`` asks.

How they are proved: the copy of every possible CPU must say which CPU's it is, and at least one
must be pointed at from what it points at.

Facts: ``kernel/sched/sched.h`` (``cfs_rq.rq``: "CPU runqueue to which this cfs_rq is attached",
with CONFIG_FAIR_GROUP_SCHED), ``kernel/sched/core.c`` (sched_init(), init_idle(), idle_task(),
which has been in ``kernel/sched/syscalls.c`` since v6.11),
``include/linux/hrtimer.h`` (``hrtimer_cpu_base.cpu``, ``hrtimer_clock_base.cpu_base``),
``kernel/fork.c`` (copy_signal() gives ``real_timer`` its base), ``mm/percpu.c``.

>>> sorted(RULES)
['hrtimer_bases', 'runqueues']
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from drgn import FaultError, Object

from btfdbg.program.getters import read_first

if TYPE_CHECKING:
    from btfdbg.program.session import Session

_M64 = (1 << 64) - 1
_MAX_CPUS = 1 << 13  # NR_CPUS of the largest configurations


def runqueues(session: Session) -> int | None:
    """By the run queue of the boot CPU's idle task; proved by the idle tasks."""
    idle = session.prog["init_task"]
    if not idle.se.type_.has_member("cfs_rq"):
        return _of_one_cpu(session, idle)
    return _variable(session, idle.se.cfs_rq.rq, _is_task_of_idle)


def _of_one_cpu(session: Session, idle: Object) -> int | None:
    """
    The run queue of a kernel for one CPU (CONFIG_SMP=n), by the code of ``idle_task()``.

    There per-CPU variables are variables like others, and the function reads ``idle`` of the
    one run queue at once. It is believed if that is the boot CPU's idle task.
    """
    found = read_first(session, "idle_task")
    if found is None or session.prog.read_u64(found) != idle.address_:
        return None
    return found - session.vmlinux.offset_of("rq", "idle") // 8


def _is_task_of_idle(rq: Object) -> bool:
    """Whether a run queue's idle task is one, and on this queue."""
    idle = rq.idle
    return bool(idle.pid.value_() == 0 and idle.se.cfs_rq.rq.value_() == rq.address_)


def hrtimer_bases(session: Session) -> int | None:
    """By the timer of the first process; proved by the clocks in each base."""
    from drgn.helpers.linux.pid import find_task

    init = find_task(session.prog, 1)
    if not init:
        return None
    return _variable(session, init.signal.real_timer.base.cpu_base, _is_base_of_its_clocks)


def _is_base_of_its_clocks(base: Object) -> bool:
    clocks = base.clock_base
    return all(clock.cpu_base.value_() == base.address_ for clock in clocks)


def _variable(session: Session, copy: Object, proof: Callable[[Object], bool]) -> int | None:
    """
    The symbol of a per-CPU struct that says in ``cpu`` which CPU's it is.

    :param copy: Pointer to one CPU's.
    :param proof: What must hold of a copy; one that is not in the dump holds nothing.
    """
    from drgn.helpers.linux.cpumask import for_each_possible_cpu

    prog = session.prog
    offsets = prog["__per_cpu_offset"]
    own = copy.cpu.value_()
    if not copy or not 0 <= own < _MAX_CPUS:
        return None
    found = int(copy.value_() - offsets[own].value_() & _M64)
    proved = 0
    for cpu in for_each_possible_cpu(prog):
        try:
            each = Object(prog, copy.type_.type, address=found + offsets[cpu].value_() & _M64)
            if each.cpu.value_() != cpu:
                return None
            proved += proof(each)
        except FaultError:
            continue
    return found if proved else None


RULES: dict[str, Callable[[Session], int | None]] = {
    "hrtimer_bases": hrtimer_bases,
    "runqueues": runqueues,
}
