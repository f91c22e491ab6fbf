"""Pools of work queues: what each runs, what waits in it, and when it last moved.

Owns reading them, within bounds. Judges nothing.

Facts: ``kernel/workqueue.c``: ``worker_pool_idr`` has every pool; ``busy_hash`` holds the
workers that run something, ``worker->current_func`` is what; ``watchdog_ts`` is when the
list last moved (82607adcf9cd, v4.5; ``last_progress_ts`` in v7.x; only with
CONFIG_WQ_WATCHDOG).
"""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING

import drgn

from btfdbg.lazy_dataclass import dataclass
from btfdbg.report.calls import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from btfdbg.report.calls import Who
    from btfdbg.report.clock import Clock
    from btfdbg.report.look import Look

MAX_WORKS = 1 << 14
_MAX_POOLS = 1 << 14
_STAMPS = ("last_progress_ts", "watchdog_ts")


@dataclass(frozen=True, slots=True)
class Running:
    """
    A work that runs.

    :ivar function: Name of its function, or its address.
    :ivar queue: Name of the work queue, ``?`` if it cannot be read.
    :ivar state: Its worker's, as ``ps`` names it.
    """

    function: str
    module: str
    queue: str
    worker: Who
    state: str


def every_pool(look: Look) -> tuple[list[drgn.Object], str]:
    """
    Return every pool, ``struct worker_pool *``; without the list of all the CPUs' own.

    Where commands walk trees, what is lost of the list raises nothing; the CPUs' own are in
    any that is whole.

    :return: The pools, and why they are not all (empty if they are).
    """
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.idr import idr_for_each_entry
    from drgn.helpers.linux.percpu import per_cpu

    idr = look.prog["worker_pool_idr"].address_of_()
    every: list[drgn.Object] = []
    why = "nodes of worker_pool_idr are missing"
    try:
        walk = itertools.islice(idr_for_each_entry(idr, "struct worker_pool"), _MAX_POOLS)
        every = [pool for _, pool in walk]
    except UNREADABLE as e:
        why = str(e)
    if len(every) == _MAX_POOLS:
        return every, ""
    known = {pool.value_() for pool in every}
    own = look.prog["cpu_worker_pools"]
    found: list[drgn.Object] = []
    for cpu in itertools.islice(for_each_possible_cpu(look.prog), _MAX_POOLS):
        found += (pool.address_of_() for pool in per_cpu(own, cpu))
    return (every, "") if all(pool.value_() in known for pool in found) else (found, why)


def running(look: Look, pool: drgn.Object, limit: int = MAX_WORKS) -> Iterator[Running]:
    """Yield at most ``limit`` works that run in a pool."""
    from drgn.helpers.linux.list import hlist_for_each_entry
    from drgn.helpers.linux.sched import get_task_state

    from btfdbg.patches.task_letters import know_letters

    for bucket in pool.busy_hash:
        workers = hlist_for_each_entry("struct worker", bucket.address_of_(), "hentry")
        for worker in itertools.islice(workers, max(limit, 0)):
            limit -= 1
            function = int(worker.current_func)
            try:
                queue = worker.current_pwq.wq.name.string_().decode("utf-8", "backslashreplace")
            except UNREADABLE:
                queue = "?"
            know_letters(worker.task)
            try:
                state = get_task_state(worker.task)
            except UNREADABLE:
                state = "?"
            name = look.symbol(function) or f"{function:#x}"
            yield Running(name, look.module(function), queue, look.who(worker.task), state)


def pending(look: Look, pool: drgn.Object, limit: int = MAX_WORKS) -> Counter[str]:
    """Count the functions of at most ``limit`` works that wait in a pool."""
    from drgn.helpers.linux.list import list_for_each_entry

    works = list_for_each_entry("struct work_struct", pool.worklist.address_of_(), "entry")
    counted: Counter[str] = Counter()
    for work in itertools.islice(works, max(limit, 0)):
        counted[look.symbol(int(work.func)) or f"{int(work.func):#x}"] += 1
    return counted


def stood_still(pool: drgn.Object, clock: Clock) -> float | None:
    """Return for how many seconds a pool has not moved, ``None`` if that is not known."""
    for stamp in _STAMPS:
        try:
            return clock.since(int(getattr(pool, stamp)))
        except UNREADABLE:
            continue
    return None
