"""Work queues: what runs, what waits to run, and which pool gets nowhere.

Facts: ``kernel/workqueue.c``: ``worker_pool_idr`` has every pool; ``pool->watchdog_ts`` is
when its list last moved (82607adcf9cd, v4.5; only with CONFIG_WQ_WATCHDOG); ``busy_hash``
holds the workers that run something, ``worker->current_func`` is what.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

import drgn

from btfdbg.report.clock import Clock
from btfdbg.report.look import UNREADABLE, Look
from btfdbg.report.parts import Item, Line, Table, check

_POOLS = 1 << 14
_WORKS = 1 << 14
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
    running: list[tuple[str | int, ...]] = []
    waiting: list[tuple[float, tuple[str | int, ...]]] = []
    pools = lost = works = 0
    found, partly = _pools(look)
    if partly:
        yield Line(f"Only the CPUs' own pools can be read: {partly}.", "note")
    for pool in found:
        pools += 1
        try:
            # The bounds are for all pools together: a damaged list may be endless in each.
            running += itertools.islice(_running(look, pool), max(_WORKS - len(running), 0))
            pending = _pending(look, pool, max(_WORKS - works, 0))
            works += pending.total()
            if pending:
                waiting.append(_row(pool, pending, clock))
        except UNREADABLE:
            lost += 1
    if len(running) >= _WORKS or works >= _WORKS:
        yield Line(
            f"Only the first {_WORKS:,} works were looked at: a list may be damaged.", "note"
        )
    yield Line(
        f"Pools: {pools}; works that run: {len(running)}; pools with works that wait:"
        f" {len(waiting)}."
    )
    if lost:
        yield Line(f"Pools that cannot be read to their end: {lost}.", "note")
    for age, row in waiting:
        if age >= _STALLED:
            yield Line(f"Pool {row[0]} ({row[1]}) has not moved for {age:.0f} s.", "bad")
    if running:
        head = ("pool", "runs", "of", "worker", "state")
        yield Table(head, tuple(running[:_SHOWN]), "works that run", _rest(running))
    if waiting:
        waiting.sort(key=lambda one: -one[0])
        rows = tuple(row for _, row in waiting[:_SHOWN])
        head = ("pool", "CPU", "waiting", "last moved", "works")
        yield Table(head, rows, "pools with works that wait", _rest(waiting))


def _pools(look: Look) -> tuple[list[drgn.Object], str]:
    """Every pool; without the list of all of them the CPUs' own, and why."""
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.idr import idr_for_each_entry
    from drgn.helpers.linux.percpu import per_cpu

    idr = look.prog["worker_pool_idr"].address_of_()
    try:
        every = itertools.islice(idr_for_each_entry(idr, "struct worker_pool"), _POOLS)
        return [pool for _, pool in every], ""
    except UNREADABLE as e:
        own = look.prog["cpu_worker_pools"]
        found: list[drgn.Object] = []
        for cpu in itertools.islice(for_each_possible_cpu(look.prog), _POOLS):
            found += (pool.address_of_() for pool in per_cpu(own, cpu))
        return found, str(e)


def _rest(rows: list[tuple[str | int, ...]] | list[tuple[float, tuple[str | int, ...]]]) -> int:
    return max(len(rows) - _SHOWN, 0)


def _running(look: Look, pool: drgn.Object) -> Iterator[tuple[str | int, ...]]:
    from drgn.helpers.linux.list import hlist_for_each_entry
    from drgn.helpers.linux.sched import get_task_state

    for bucket in pool.busy_hash:
        workers = hlist_for_each_entry("struct worker", bucket.address_of_(), "hentry")
        for worker in itertools.islice(workers, _WORKS):
            function = look.symbol(int(worker.current_func)) or f"{int(worker.current_func):#x}"
            try:
                queue = worker.current_pwq.wq.name.string_().decode("utf-8", "backslashreplace")
            except UNREADABLE:
                queue = "?"
            try:
                state = get_task_state(worker.task)
            except UNREADABLE:
                state = "?"
            yield int(pool.id), function, queue, str(look.who(worker.task)), state


def _pending(look: Look, pool: drgn.Object, limit: int) -> Counter[str]:
    from drgn.helpers.linux.list import list_for_each_entry

    works = list_for_each_entry("struct work_struct", pool.worklist.address_of_(), "entry")
    counted: Counter[str] = Counter()
    for work in itertools.islice(works, limit):
        counted[look.symbol(int(work.func)) or f"{int(work.func):#x}"] += 1
    return counted


def _row(
    pool: drgn.Object, pending: Counter[str], clock: Clock
) -> tuple[float, tuple[str | int, ...]]:
    """A pool's row, after the seconds since it last moved (0 if that is not known)."""
    cpu = int(pool.cpu)
    try:
        age = clock.since(int(pool.watchdog_ts))
    except UNREADABLE:
        age = None
    named = ", ".join(f"{count} × {name}" for name, count in pending.most_common(_NAMED))
    rest = len(pending) - _NAMED
    return age or 0.0, (
        int(pool.id),
        f"CPU {cpu}" if cpu >= 0 else "unbound",
        pending.total(),
        "" if age is None else f"{age:.1f} s ago",
        named + (f" and {rest} more" if rest > 0 else ""),
    )
