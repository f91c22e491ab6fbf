"""RCU: the grace period, and the CPUs and tasks that it waits for.

Owns the section; stalled.py finds them. Facts: ``kernel/rcu/tree.h``: one ``rcu_state`` since
v4.20 (RCU flavors were made one); ``gp_seq`` has the state in its two low bits (0 is idle).
"""

from __future__ import annotations

from collections.abc import Iterator

import drgn

from btfdbg.report.clock import Clock
from btfdbg.report.look import Look
from btfdbg.report.parts import Item, Line, Table
from btfdbg.report.registry import check
from btfdbg.report.stalled import Holder, holders, own_calls

_STATE = 3
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
    for holder in holders(look):
        if holder is None:
            lost += 1
            look.pass_over()
            continue
        rows.append(_row(look, holder))
    if rows:
        head = ("waits for", "task", "in")
        yield Table(head, tuple(rows[:_SHOWN]), "who holds it up", max(len(rows) - _SHOWN, 0))
    elif not lost:
        yield Line("Nobody holds it up: every CPU has passed a quiescent state.")
    if lost:
        yield Line(f"Nodes of RCU's tree that cannot be read: {lost}.", "note")


def _row(look: Look, holder: Holder) -> tuple[str | int, ...]:
    task = holder.task
    if task is None:
        look.pass_over()
        return holder.words, "?", ""
    who = look.who(task)
    return holder.words, "idle" if not who.pid else str(who), _place(look, task)


def _place(look: Look, task: drgn.Object) -> str:
    """The innermost function of the task's own: before all interrupts, not the scheduler's."""
    names = [call.name for call in own_calls(look, task) if call.name]
    asleep = ("__switch_to", "__schedule", "schedule", "preempt_schedule", "preempt_schedule_irq")
    return next((name for name in names if name.partition(".")[0] not in asleep), "")
