"""RCU: the grace period, and the CPUs and tasks that it waits for.

Facts: ``kernel/rcu/tree.h``: one ``rcu_state`` since v4.20 (RCU flavors were made one);
``gp_seq`` has the state in its two low bits (0 is idle); a leaf ``rcu_node`` has a bit in
``qsmask`` for each CPU from ``grplo`` that has not passed a quiescent state yet, and
``gp_tasks`` points into ``blkd_tasks`` at the first task that holds the grace period up.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import drgn

from btfdbg.report.calls import UNREADABLE
from btfdbg.report.clock import Clock
from btfdbg.report.look import Look
from btfdbg.report.parts import Item, Line, Table
from btfdbg.report.registry import check

_STATE = 3
_WORD = 64
_NODES = 1 << 12
_TASKS = 1 << 12
_SHOWN = 40
_LONG = 20.0  # seconds: RCU_CPU_STALL_TIMEOUT is 21 by default


@check(
    "rcu",
    "RCU",
    needs=("rcu_state", "struct rcu_node"),
    more=("p rcu_state", "bt -a"),
    order=55,
)
def rcu(look: Look) -> Iterator[Item]:
    """Print how old the grace period is, and who holds it up."""
    state = look.prog["rcu_state"]
    sequence = int(state.gp_seq)
    clock = Clock(look)
    if not sequence & _STATE:
        yield Line(f"No grace period is under way (gp_seq {sequence}).")
        return
    age = clock.since(int(state.gp_start))
    since = "" if age is None else f" for {age:.1f} s"
    level = "bad" if age is not None and age >= _LONG else ""
    yield Line(f"Grace period {sequence} has been under way{since}.", level)
    rows: list[tuple[str | int, ...]] = []
    lost = 0
    for node in itertools.islice(state.node, _NODES):
        try:
            if int(node.grphi) - int(node.grplo) < _WORD and _is_leaf(look, node):
                rows += _cpus(look, node)
            rows += _tasks(look, node)
        except UNREADABLE:
            lost += 1
            look.pass_over()
    if rows:
        head = ("waits for", "task", "in")
        yield Table(head, tuple(rows[:_SHOWN]), "who holds it up", max(len(rows) - _SHOWN, 0))
    elif not lost:
        yield Line("Nobody holds it up: every CPU has passed a quiescent state.")
    if lost:
        yield Line(f"Nodes of RCU's tree that cannot be read: {lost}.", "note")


def _is_leaf(look: Look, node: drgn.Object) -> bool:
    """Leaves stand on the lowest level, from ``rcu_state.level[rcu_num_lvls - 1]`` on."""
    levels = int(look.prog["rcu_num_lvls"])
    first = int(look.prog["rcu_state"].level[levels - 1])
    return int(node.address_ or 0) >= first


def _cpus(look: Look, node: drgn.Object) -> Iterator[tuple[str | int, ...]]:
    from drgn.helpers.linux.sched import cpu_curr

    mask, first, last = int(node.qsmask), int(node.grplo), int(node.grphi)
    for bit in range(last - first + 1):
        if not mask >> bit & 1:
            continue
        cpu = first + bit
        try:
            task = cpu_curr(look.prog, cpu)
            who = look.who(task)
            yield f"CPU {cpu}", "idle" if not who.pid else str(who), _place(look, task)
        except UNREADABLE:
            look.pass_over()
            yield f"CPU {cpu}", "?", ""


def _tasks(look: Look, node: drgn.Object) -> Iterator[tuple[str | int, ...]]:
    """Tasks that were preempted inside a reader, from ``gp_tasks`` on."""
    head = node.blkd_tasks.address_of_().value_()
    entry = node.gp_tasks
    for _ in range(_TASKS):
        if not entry or entry.value_() == head:
            return
        task = drgn.container_of(entry, "struct task_struct", "rcu_node_entry")
        yield "a preempted reader", str(look.who(task)), _place(look, task)
        entry = entry.next.read_()


def _place(look: Look, task: drgn.Object) -> str:
    """The innermost function of the task's own: before all interrupts, not the scheduler's."""
    calls = [call for call in look.stack(task) if call.name]
    after = max((i for i, call in enumerate(calls) if call.interrupted), default=0)
    names = [call.name for call in calls[after:]]
    asleep = ("__switch_to", "__schedule", "schedule", "preempt_schedule", "preempt_schedule_irq")
    return next((name for name in names if name.partition(".")[0] not in asleep), "")
