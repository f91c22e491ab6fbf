"""What each CPU ran when the kernel stopped, and what waited for it."""

from __future__ import annotations

from collections.abc import Iterator

from btfdbg.report.calls import UNREADABLE
from btfdbg.report.look import Look
from btfdbg.report.parts import Bars, Item, Line, Table, part_of_stack
from btfdbg.report.registry import check

_MAX_CPUS = 4096
_SHOWN = 16
_FRAMES = 12


@check("cpus", "CPUs", needs=("runqueues",), more=("bt -a", "runq"), order=30)
def cpus(look: Look) -> Iterator[Item]:
    """Print what ran where, and how many tasks were waiting."""
    import itertools

    from drgn.helpers.linux.cpumask import for_each_present_cpu
    from drgn.helpers.linux.sched import cpu_curr, cpu_rq

    rows: list[tuple[int, str, str]] = []
    stacks = []
    waiting = []
    for cpu in itertools.islice(for_each_present_cpu(look.prog), _MAX_CPUS):
        try:
            task = cpu_curr(look.prog, cpu)
            queued = int(cpu_rq(look.prog, cpu).nr_running)
        except UNREADABLE as e:
            look.pass_over()
            rows.append((cpu, f"cannot be read: {e}", ""))
            continue
        who = look.who(task)
        rows.append((cpu, "idle" if who.pid == 0 else str(who), str(queued)))
        waiting.append((f"CPU {cpu}", float(queued)))
        calls = look.stack(task)
        if who.pid and calls and task.value_() != getattr(look.panic_task, "value_", int)():
            stacks.append(part_of_stack(calls, _FRAMES, f"CPU {cpu}: {who}", who.pid))
    yield Table(("CPU", "runs", "runnable"), tuple(rows))
    if sum(amount for _, amount in waiting) > len(waiting):
        yield Bars("tasks on the run queues", "tasks", tuple(waiting))
    yield from stacks[:_SHOWN]
    if len(stacks) > _SHOWN:
        yield Line(f"{len(stacks) - _SHOWN} more stacks: bt -a", "note")
