"""Work queues: what runs, what waits to run, and which pool gets nowhere.

Owns the section; pools.py reads. Facts: ``kernel/workqueue.c`` (workqueue.watchdog_thresh).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import drgn

from btfdbg.report.calls import UNREADABLE
from btfdbg.report.clock import Clock
from btfdbg.report.look import Look
from btfdbg.report.parts import Item, Line, Table
from btfdbg.report.pools import MAX_WORKS, every_pool, pending, running, stood_still
from btfdbg.report.registry import check

_SHOWN = 30
_NAMED = 3
_STALLED = 30.0  # seconds: the kernel's own threshold, workqueue.watchdog_thresh


@check(
    "workqueues",
    "Work queues",
    needs=("worker_pool_idr", "struct worker_pool"),
    more=("bt PID", "ps"),
    order=50,
)
def workqueues(look: Look) -> Iterator[Item]:
    """Print the works that run, and the pools that have works waiting."""
    clock = Clock(look)
    runs: list[tuple[str | int, ...]] = []
    waiting: list[tuple[float, tuple[str | int, ...]]] = []
    pools = lost = works = 0
    found, partly = every_pool(look)
    if partly:
        yield Line(f"Only the CPUs' own pools can be read: {partly}.", "note")
    for pool in found:
        pools += 1
        try:
            # The bounds are for all pools together: a damaged list may be endless in each.
            for one in running(look, pool, MAX_WORKS - len(runs)):
                runs.append((int(pool.id), one.function, one.queue, str(one.worker), one.state))
            behind = pending(look, pool, MAX_WORKS - works)
            works += behind.total()
            if behind:
                waiting.append(_row(pool, behind, clock))
        except UNREADABLE:
            lost += 1
            look.pass_over()
    if len(runs) >= MAX_WORKS or works >= MAX_WORKS:
        yield Line(
            f"Only the first {MAX_WORKS:,} works were looked at: a list may be damaged.", "note"
        )
    yield Line(
        f"Pools: {pools}; works that run: {len(runs)}; pools with works that wait: {len(waiting)}."
    )
    if lost:
        yield Line(f"Pools that cannot be read to their end: {lost}.", "note")
    for age, row in waiting:
        if age >= _STALLED:
            yield Line(f"Pool {row[0]} ({row[1]}) has not moved for {age:.0f} s.", "bad")
    if runs:
        head = ("pool", "runs", "of", "worker", "state")
        yield Table(head, tuple(runs[:_SHOWN]), "works that run", _rest(runs))
    if waiting:
        waiting.sort(key=lambda one: -one[0])
        rows = tuple(row for _, row in waiting[:_SHOWN])
        head = ("pool", "CPU", "waiting", "last moved", "works")
        yield Table(head, rows, "pools with works that wait", _rest(waiting))


def _rest(rows: list[tuple[str | int, ...]] | list[tuple[float, tuple[str | int, ...]]]) -> int:
    return max(len(rows) - _SHOWN, 0)


def _row(
    pool: drgn.Object, behind: Counter[str], clock: Clock
) -> tuple[float, tuple[str | int, ...]]:
    """A pool's row, after the seconds since it last moved (0 if that is not known)."""
    cpu = int(pool.cpu)
    age = stood_still(pool, clock)
    named = ", ".join(f"{count} × {name}" for name, count in behind.most_common(_NAMED))
    rest = len(behind) - _NAMED
    return age or 0.0, (
        int(pool.id),
        f"CPU {cpu}" if cpu >= 0 else "unbound",
        behind.total(),
        "" if age is None else f"{age:.1f} s ago",
        named + (f" and {rest} more" if rest > 0 else ""),
    )
