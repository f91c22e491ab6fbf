"""Who a stall is about, where another CPU noticed it and panicked.

Owns finding the task: RCU knows whom it waits for, a hard lockup's log names the CPU. Judges
nothing else.

Facts: ``kernel/rcu/tree.h``: a leaf ``rcu_node`` has a bit in ``qsmask`` for each CPU from
``grplo`` that has not passed a quiescent state yet, and ``gp_tasks`` points into
``blkd_tasks`` at the first task that holds the grace period up. ``check_cpu_stall()`` in
``kernel/rcu/tree_stall.h``: a CPU that RCU waits for reports itself, any other reports others.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import drgn

from btfdbg.lazy_dataclass import dataclass
from btfdbg.report.calls import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from btfdbg.report.calls import Call
    from btfdbg.report.happened import Happened
    from btfdbg.report.look import Look

READER = "a preempted reader"
_WORD = 64
_NODES = 1 << 12
_TASKS = 1 << 12
_CPUS = 1 << 13


@dataclass(frozen=True, slots=True)
class Holder:
    """
    Who does not get on.

    :ivar words: ``CPU 1`` or ``a preempted reader``.
    :ivar task: ``struct task_struct *`` of what the CPU runs, or of the reader; ``None`` if
        it cannot be read.
    :ivar cpu: ``None`` for a reader.
    """

    words: str
    task: drgn.Object | None
    cpu: int | None


def holders(look: Look) -> Iterator[Holder | None]:
    """
    Yield the CPUs and tasks that RCU's grace period waits for; ``None`` for a node that
    cannot be read.

    :raises LookupError, drgn.FaultError: RCU's state cannot be read.
    """
    for node in itertools.islice(look.prog["rcu_state"].node, _NODES):
        found: list[Holder] = []
        lost = False
        try:
            if int(node.grphi) - int(node.grplo) < _WORD and _is_leaf(look, node):
                found += _cpus(look, node)
            found += _tasks(node)
        except UNREADABLE:
            lost = True
        yield from found
        if lost:
            yield None


def _is_leaf(look: Look, node: drgn.Object) -> bool:
    """Leaves stand on the lowest level, from ``rcu_state.level[rcu_num_lvls - 1]`` on."""
    levels = int(look.prog["rcu_num_lvls"])
    first = int(look.prog["rcu_state"].level[levels - 1])
    return int(node.address_ or 0) >= first


def _cpus(look: Look, node: drgn.Object) -> Iterator[Holder]:
    mask, first, last = int(node.qsmask), int(node.grplo), int(node.grphi)
    for bit in range(last - first + 1):
        if mask >> bit & 1:
            yield _running(look, first + bit)


def _running(look: Look, cpu: int) -> Holder:
    from drgn.helpers.linux.sched import cpu_curr

    try:
        task = cpu_curr(look.prog, cpu)
        int(task.pid)
    except UNREADABLE:
        task = None
    return Holder(f"CPU {cpu}", task, cpu)


def _tasks(node: drgn.Object) -> Iterator[Holder]:
    """Tasks that were preempted inside a reader, from ``gp_tasks`` on."""
    head = node.blkd_tasks.address_of_().value_()
    entry = node.gp_tasks
    for _ in range(_TASKS):
        if not entry or entry.value_() == head:
            return
        yield Holder(READER, drgn.container_of(entry, "struct task_struct", "rcu_node_entry"), None)
        entry = entry.next.read_()


def own_calls(look: Look, task: drgn.Object) -> tuple[Call, ...]:
    """A task's stack before all interrupts: what stopped its CPU is none of its doing."""
    calls = look.stack(task)
    after = max((i for i, call in enumerate(calls) if call.interrupted), default=0)
    return calls[after:]


def culprit(h: Happened) -> Holder | None:
    """
    Return who a stall is about, ``None`` if that is the task that panicked or is not known.

    The log's report names one of those that RCU waits for; if it names nobody the first is
    taken, and that there are more is said.
    """
    event, look = h.event, h.look
    told = event if event is not None and event.kind == h.kind else None
    try:
        if h.kind == "hard-lockup":
            return None if told is None or told.cpu is None else _other_cpu(look, told.cpu)
        if h.kind != "rcu-stall":
            return None
        waits = [one for one in holders(look) if one is not None and one.task is not None]
    except UNREADABLE:
        return None
    panicked = getattr(look.panic_task, "value_", int)()
    if any(one.task.value_() == panicked for one in waits if one.task is not None):
        return None
    if told is not None and told.function is not None:
        named = (one for one in waits if one.task is not None and int(one.task.pid) == told.pid)
        return next(named, None)
    if len(waits) > 1:
        look.doubts.add(
            f"RCU waits for {len(waits):,} CPUs and tasks, of which the log's report names none:"
            " the first is taken"
        )
    return waits[0] if waits else None


def _other_cpu(look: Look, cpu: int) -> Holder | None:
    """What another CPU ran than the one that panicked."""
    from drgn.helpers.linux.cpumask import for_each_present_cpu

    if cpu == look.panic_cpu or cpu not in itertools.islice(for_each_present_cpu(look.prog), _CPUS):
        return None
    found = _running(look, cpu)
    return found if found.task is not None else None
