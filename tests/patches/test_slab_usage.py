"""``slab_cache_usage()`` counts what the kernel's own slabs say, on every CPU that ran.

``BTFDBG_DUMPS=FOLDER python -m pytest -m oracle FILE`` goes over the dumps of busy machines.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import drgn
import pytest

import btfdbg
from btfdbg.patches import install
from btfdbg.patches.slab_usage import freed_by_others
from tests.conftest import bundled_dumps

DUMPS = {path.name.partition(".vmcore")[0]: path for path, _ in bundled_dumps()}
LAB = sorted(Path(os.environ.get("BTFDBG_DUMPS", "/nonexistent")).glob("*-busy-qemu-elf.vmcore"))


def test_what_others_freed_is_taken_off_and_no_more() -> None:
    install.install_helpers()
    from drgn.helpers.linux.slab import for_each_slab_cache, slab_cache_usage

    prog = btfdbg.program_from_core_dump(DUMPS["6.12-amd64-null"])
    btfdbg.session(prog)
    original = slab_cache_usage.__wrapped__  # type: ignore[attr-defined] # what the row goes round
    corrected = 0
    for cache in for_each_slab_cache(prog):
        plain, mended = original(cache), slab_cache_usage(cache)
        free = freed_by_others(cache)
        assert mended.active_objs == plain.active_objs - free
        assert 0 <= mended.free_objs <= mended.num_objs == plain.num_objs
        corrected += bool(free)
    assert corrected  # in this dump some caches have such objects


@pytest.mark.oracle
@pytest.mark.parametrize("core", LAB, ids=lambda path: path.name)
def test_use_is_what_all_slabs_sum_up_to(core: Path) -> None:
    """Every page of a slab is asked for its ``inuse``; each CPU's free list is walked by hand."""
    from drgn.helpers.linux.mm import PageSlab, for_each_page

    install.install_helpers()
    from drgn.helpers.linux.slab import for_each_slab_cache, slab_cache_usage

    prog = btfdbg.program_from_core_dump(core)
    btfdbg.session(prog)
    caches = list(for_each_slab_cache(prog))
    if not hasattr(caches[0], "cpu_slab"):
        pytest.skip("free objects of this kernel are in sheaves, which no slab knows of")
    kind = "struct slab *"
    try:
        prog.type(kind)
    except LookupError:
        kind = "struct page *"
    used: Counter[int] = Counter()
    for page in for_each_page(prog):
        try:
            if not PageSlab(page):
                continue
        except drgn.FaultError:
            continue
        slab = drgn.cast(kind, page)
        if kind == "struct page *" and page.compound_head.value_() & 1:
            continue  # the tail of a slab
        used[slab.slab_cache.value_()] += int(slab.inuse)
    for cache in caches:
        assert slab_cache_usage(cache).active_objs == used[cache.value_()] - on_lists(cache)


def on_lists(cache: drgn.Object) -> int:
    """How many objects the CPUs' own lists have: hardened pointers, v5.7 and later."""
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.percpu import per_cpu_ptr

    prog = cache.prog_
    secret = int(cache.random) if hasattr(cache, "random") else 0
    count = 0
    for cpu in for_each_possible_cpu(prog):
        own = per_cpu_ptr(cache.cpu_slab, cpu)
        slab = own.slab if hasattr(own, "slab") else own.page
        pointer = own.freelist.value_() if slab else 0
        while pointer:
            count += 1
            assert count < 1 << 20
            at = pointer + int(cache.offset)
            pointer = prog.read_word(at)
            if secret:
                pointer ^= secret ^ int.from_bytes(at.to_bytes(8, "little"), "big")
    return count
