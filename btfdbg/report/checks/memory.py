"""Memory by use, and the largest slab caches."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from btfdbg.report.look import UNREADABLE, Look
from btfdbg.report.parts import Bars, Item, Line, Table, check

_CACHES = 15
_MAX_CACHES = 4096
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
    for name, label, where in _USES:
        try:
            item = prog.constant(name)
            state = global_zone_page_state if where == "zone" else global_node_page_state
            amount = int(state(prog, item))
        except UNREADABLE:
            continue
        size = amount * (1024 if name.endswith("_KB") else page)
        if 0 < size <= total:
            rows.append((label, size / 2**20))
    yield Bars(f"of {total / 2**20:,.0f} MiB", "MiB", tuple(rows))
    victims = [event for event in look.events if event.kind == "out-of-memory"]
    if victims:
        yield Line(f"The log has {len(victims)} reports of no memory.", "bad")


@check("slab", "Slab caches", needs=("slab_caches",), more=("kmem -s",), order=65)
def slab(look: Look) -> Iterator[Item]:
    """Print the largest slab caches."""
    from drgn.helpers.linux.slab import for_each_slab_cache, slab_cache_usage

    found = []
    lost = 0
    page = int(look.prog["PAGE_SIZE"])
    for cache in itertools.islice(for_each_slab_cache(look.prog), _MAX_CACHES):
        try:
            name = cache.name.string_().decode("utf-8", "backslashreplace")
            usage = slab_cache_usage(cache)
            pages = usage.num_slabs << int(_order(cache))
            found.append((pages * page, name, usage.num_objs, usage.num_objs - usage.free_objs))
        except UNREADABLE:
            lost += 1
    found.sort(reverse=True)
    shown = tuple(
        (name, f"{size / 2**20:,.1f}", active, objects)
        for size, name, objects, active in found[:_CACHES]
    )
    head = ("cache", "MiB", "in use", "objects")
    yield Table(head, shown, "largest first", max(len(found) - _CACHES, 0))
    if lost:
        yield Line(f"{lost} caches cannot be read.", "note")


def _order(cache: object) -> int:
    # struct kmem_cache_order_objects: the order above 16 bits (mm/slub.c, OO_SHIFT).
    return int(cache.oo.x) >> 16  # type: ignore[attr-defined] # an Object's member
