"""What of a slab cache is in use, without what other CPUs freed into a CPU's own slab.

Owns that correction of drgn's sum, for the prompt's ``kmem -s`` and the report.

A CPU takes the free objects of its slab onto a list of its own, and the slab counts as full
meanwhile. Another CPU that frees one of its objects puts it on the slab's list and lowers
``inuse``; drgn counts the CPU's list only.

Facts: ``mm/slub.c``, ``__slab_free()`` of a frozen slab; ``kmem_cache.cpu_slab`` is gone since
32c894c7274b (v7.0).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import drgn

from btfdbg.program.session import find_session


def slab_cache_usage(original: Callable[..., Any]) -> Callable[..., Any]:
    """Count as free what drgn leaves out."""

    def usage(slab_cache: drgn.Object) -> Any:
        found = original(slab_cache)
        if find_session(slab_cache.prog_) is None:
            return found
        free = freed_by_others(slab_cache)
        return found._replace(free_objs=found.free_objs + free) if free else found

    return usage


def freed_by_others(cache: drgn.Object) -> int:
    """
    Return how many objects of CPUs' own slabs other CPUs have freed.

    :param cache: ``struct kmem_cache *``
    :raises drgn.FaultError: a slab cannot be read.
    """
    from drgn.helpers.linux.cpumask import for_each_online_cpu
    from drgn.helpers.linux.percpu import per_cpu_ptr

    try:
        cpu_slab = cache.cpu_slab.read_()
    except AttributeError:
        return 0
    free = 0
    for cpu in for_each_online_cpu(cache.prog_):
        own = per_cpu_ptr(cpu_slab, cpu)
        # struct page until bb192ed9aa71 (v5.17)
        slab = own.slab if hasattr(own, "slab") else own.page
        # A slab that was given to another cache is none of this one's.
        if slab and slab.slab_cache == cache:
            free += max(int(slab.objects) - int(slab.inuse), 0)
    return free
