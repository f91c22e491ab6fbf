"""Memory by use, the largest slab caches, and what was killed for want of memory."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

import drgn

from btfdbg.report.calls import UNREADABLE
from btfdbg.report.counts import counted
from btfdbg.report.look import Look
from btfdbg.report.parts import Bars, Item, Line, Table
from btfdbg.report.registry import check

_CACHES = 15
UNKNOWN = "?"
"""A figure that the dump has not."""
_MAX_CACHES = 4096
_VICTIMS = 1 << 12
_SHOWN = 20
_LARGEST = 10
# __oom_kill_process() of mm/oom_kill.c; UID and more since 70cb6d267790, v5.4.
_KILLED = re.compile(
    r"(?:(?P<what>Out of memory|Memory cgroup out of memory)[^:]*: )?Killed process (?P<pid>\d+) "
    r"\((?P<comm>.*?)\),?(?: UID \d+,)? total-vm:\d+kB, anon-rss:(?P<anon>\d+)kB, "
    r"file-rss:(?P<file>\d+)kB(?:, shmem-rss:(?P<shmem>\d+)kB)?"
)
_USES = (
    ("NR_FREE_PAGES", "free", "zone"), ("NR_ANON_MAPPED", "anonymous", "node"),
    ("NR_FILE_PAGES", "page cache", "node"),
    ("NR_SLAB_RECLAIMABLE_B", "slab, reclaimable", "node"),
    ("NR_SLAB_UNRECLAIMABLE_B", "slab, unreclaimable", "node"),
    ("NR_PAGETABLE", "page tables", "node"),
    ("NR_KERNEL_STACK_KB", "kernel stacks", "node"), ("NR_SHMEM", "shared", "node"),
)  # fmt: skip


@check("memory", "Memory", more=("kmem -i",), order=60)
def memory(look: Look) -> Iterator[Item]:
    """Print what memory is used for."""
    prog = look.prog
    page = int(prog["PAGE_SIZE"])
    from drgn.helpers.linux.mm import totalram_pages
    from drgn.helpers.linux.vmstat import global_node_page_state, global_zone_page_state

    total = int(totalram_pages(prog)) * page
    rows = []
    damaged = []
    for name, label, where in _USES:
        try:
            item = prog.constant(name)
            state = global_zone_page_state if where == "zone" else global_node_page_state
            amount = int(state(prog, item))
        except UNREADABLE:
            continue
        size = amount * (1024 if name.endswith("_KB") else page)
        if 0 <= size <= total:
            rows.append((label, size / 2**20))
        else:
            damaged.append(f"{label} ({size / 2**20:,.0f} MiB)")
    yield Bars(f"of {total / 2**20:,.0f} MiB", "MiB", tuple(rows))
    if damaged:
        look.pass_over()
        yield Line(f"Counters that cannot be right: {', '.join(damaged)}.", "note")
    victims = [event for event in look.events if event.kind == "out-of-memory"]
    if victims:
        reports = counted(len(victims), "reports")
        yield Line(f"The log has {reports} of memory that ran out.", "bad")


@check("slab", "Slab caches", needs=("slab_caches",), more=("kmem -s",), order=65)
def slab(look: Look) -> Iterator[Item]:
    """Print the largest slab caches."""
    from drgn.helpers.linux.slab import for_each_slab_cache, slab_cache_order, slab_cache_usage

    found: list[tuple[int, str, int | str, int]] = []
    lost = in_part = 0
    page = int(look.prog["PAGE_SIZE"])
    for cache in itertools.islice(for_each_slab_cache(look.prog), _MAX_CACHES):
        try:
            name = cache.name.string_().decode("utf-8", "backslashreplace")
            active: int | str
            try:
                usage = slab_cache_usage(cache)
                slabs, objects, active = usage.num_slabs, usage.num_objs, usage.active_objs
            except UNREADABLE:
                slabs, objects = _allocated(cache)
                active = UNKNOWN
                in_part += 1
                look.pass_over()
            found.append(((slabs << slab_cache_order(cache)) * page, name, active, objects))
        except UNREADABLE:
            lost += 1
            look.pass_over()
    found.sort(key=lambda one: one[0], reverse=True)
    shown = tuple(
        (name, f"{size / 2**20:,.1f}", active, objects)
        for size, name, active, objects in found[:_CACHES]
    )
    head = ("cache", "MiB", "in use", "objects")
    yield Table(head, shown, "largest first", max(len(found) - _CACHES, 0))
    if in_part:
        yield Line(
            f"What of {counted(in_part, 'caches')} is in use cannot be told: a CPU's or node's list"
            " of free objects cannot be read.",
            "note",
        )
    if lost:
        yield Line(f"{counted(lost, 'caches')} cannot be read.", "note")


def _allocated(cache: drgn.Object) -> tuple[int, int]:
    """
    Slabs and objects of a cache, whatever is free of them: SLUB counts both in its nodes.

    Facts: ``mm/slub.c``, inc_slabs_node() (0f389ec63077, v2.6.26), with CONFIG_SLUB_DEBUG.
    """
    from drgn.helpers.linux.nodemask import for_each_online_node

    slabs = objects = 0
    for number in for_each_online_node(cache.prog_):
        node = _node(cache, number)
        slabs += int(node.nr_slabs.counter)
        objects += int(node.total_objects.counter)
    if slabs < 0 or objects < 0:
        raise ValueError("counts of a slab cache are negative")
    return slabs, objects


def _node(cache: drgn.Object, number: int) -> drgn.Object:
    """``struct kmem_cache_node *`` of a node."""
    try:
        return cache.per_node[number].node  # 7.1: with the node's sheaves
    except AttributeError:
        return cache.node[number]


@check("oom", "Killed for want of memory", more=("log", "ps"), order=62)
def oom(look: Look) -> Iterator[Item]:
    """Print the processes that the kernel killed, as its log has them."""
    from btfdbg.report.dump_log import lines_of

    rows = list(itertools.islice(victims(lines_of(look.prog)), _VICTIMS))
    if rows:
        head = ("process", "MiB resident", "memory")
        yield Table(head, tuple(rows[-_SHOWN:]), "the last ones last", max(len(rows) - _SHOWN, 0))
    else:
        yield Line("The log tells of no process that was killed.")
    if any(event.kind == "out-of-memory" for event in look.events):
        yield from _largest(look)


def _largest(look: Look) -> Iterator[Item]:
    """Print who had most of the memory, each memory once: threads share theirs."""
    from drgn.helpers.linux.mm import task_rss

    page = int(look.prog["PAGE_SIZE"])
    found: list[tuple[int, int, str]] = []
    seen: set[int] = set()
    lost = 0
    for task in look.tasks:
        try:
            memory = task.mm.value_()
            if not memory or memory in seen:
                continue
            seen.add(memory)
            pages = task_rss(task)
            # What cannot be read of it is no number.
            found.append((int(pages.total) * page, int(pages.swap) * page, str(look.who(task))))
        except UNREADABLE:
            lost += 1
            look.pass_over()
    found.sort(key=lambda one: -one[0])
    rows = tuple(
        (who, f"{max(size, 0) / 2**20:,.1f}", f"{max(swapped, 0) / 2**20:,.1f}")
        for size, swapped, who in found[:_LARGEST]
    )
    head = ("process", "MiB resident", "MiB swapped")
    left_out = max(len(found) - _LARGEST, 0)
    yield Table(head, rows, "who had most when the kernel stopped", left_out)
    if lost:
        yield Line(f"{counted(lost, 'processes', 'process')} cannot be read.", "note")


def victims(lines: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Yield the processes that a log says were killed: name, resident MiB, whose memory."""
    for line in lines:
        match = _KILLED.search(line)
        if match is None:
            continue
        kib = sum(int(match[name] or 0) for name in ("anon", "file", "shmem"))
        where = {"M": "its cgroup's", "O": "the machine's"}.get((match["what"] or "?")[0], "")
        yield f"{match['comm']}({match['pid']})", f"{kib / 1024:,.1f}", where
