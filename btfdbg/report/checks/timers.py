"""Timers that should have run and did not.

Facts: ``kernel/time/timer.c`` (a wheel per CPU; the deferrable one, BASE_DEF, waits for
whatever wakes its CPU; a far timer is late by up to an eighth of its time),
``kernel/time/hrtimer.c`` (``node.expires`` is in the base's own clock; the first base and
the first soft one count monotonic time).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import drgn

from btfdbg.program.up_cpus import for_each_up_cpu
from btfdbg.report.calls import UNREADABLE
from btfdbg.report.clock import Clock
from btfdbg.report.look import Look
from btfdbg.report.parts import Item, Line, Table
from btfdbg.report.registry import check

if TYPE_CHECKING:
    from collections.abc import Iterator

_LATE = 5.0  # seconds
_CPUS = 1 << 13
_TIMERS = 1 << 16  # of all CPUs together
_SHOWN = 30
_MONOTONIC = ("HRTIMER_BASE_MONOTONIC", "HRTIMER_BASE_MONOTONIC_SOFT")

Row = tuple[float, int, str, str]  # seconds late, CPU, what kind, function


@check(
    "timers",
    "Timers",
    needs=("timer_bases", "struct timer_base", "struct timer_list"),
    more=("runq", "bt -a"),
    order=57,
)
def timers(look: Look) -> Iterator[Item]:
    """Print timers that are late by more than a wheel's slack."""
    clock = Clock(look)
    if clock.jiffies is None or not clock.hz:
        yield Line("How late a timer is cannot be told: HZ is not known.", "note")
        return
    late: list[Row] = []
    seen = lost = 0
    for cpu in itertools.islice(for_each_up_cpu(look.prog), _CPUS):
        for find in (_wheel, _high_resolution):
            try:
                for row in itertools.islice(find(look, cpu, clock), _TIMERS - seen):
                    seen += 1
                    if row[0] >= _LATE:
                        late.append(row)
            except UNREADABLE:
                lost += 1
                look.pass_over()
    if lost:
        yield Line(f"Lists of timers that cannot be read to their end: {lost}.", "note")
    if seen >= _TIMERS:
        yield Line(f"Only the first {_TIMERS:,} timers were looked at.", "note")
    if not late:
        what = "Timers that were read" if lost else "Timers that wait"
        yield Line(f"{what}: {seen:,}; none is late by more than {_LATE:.0f} s.")
        return
    late.sort(key=lambda row: (-row[0], row[1], row[3]))
    for cpu in sorted({row[1] for row in late}):
        longest = max(row[0] for row in late if row[1] == cpu)
        yield Line(f"CPU {cpu} runs no timers: one is {longest:.1f} s late.", "bad")
    rows = tuple((cpu, kind, name, f"{seconds:.1f} s") for seconds, cpu, kind, name in late)
    head = ("CPU", "kind", "function", "late by")
    yield Table(head, rows[:_SHOWN], "timers that are late", max(len(rows) - _SHOWN, 0))


def _function(look: Look, pointer: drgn.Object) -> str:
    address = int(pointer)
    return look.symbol(address) or f"{address:#x}"


def _wheel(look: Look, cpu: int, clock: Clock) -> Iterator[Row]:
    from drgn.helpers.linux.percpu import per_cpu
    from drgn.helpers.linux.timer import timer_base_for_each, timer_base_names

    names = timer_base_names(look.prog)
    bases = per_cpu(look.prog["timer_bases"], cpu)
    for number, name in enumerate(names):
        if name == "BASE_DEF":
            continue
        for timer in timer_base_for_each(bases[number].address_of_()):
            seconds = clock.since(int(timer.expires)) or 0.0
            yield seconds, cpu, "wheel", _function(look, timer.function)


def _high_resolution(look: Look, cpu: int, clock: Clock) -> Iterator[Row]:
    from drgn.helpers.linux.percpu import per_cpu
    from drgn.helpers.linux.timekeeping import ktime_get_coarse_ns
    from drgn.helpers.linux.timer import hrtimer_clock_base_for_each

    now = int(ktime_get_coarse_ns(look.prog))
    bases = per_cpu(look.prog["hrtimer_bases"], cpu).clock_base
    for name in _MONOTONIC:
        try:
            number = int(look.prog.constant(name))
        except LookupError:
            continue
        for timer in hrtimer_clock_base_for_each(bases[number].address_of_()):
            seconds = (now - int(timer.node.expires)) / 1e9
            yield max(seconds, 0.0), cpu, "hrtimer", _function(look, timer.function)
