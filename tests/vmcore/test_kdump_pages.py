"""Which page of a kdump file is which: the bitmap's bits, counted."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from btfdbg.vmcore.kdumppages import KdumpPages

_PAGE = 4096


def _pages(bitmap: bytes, max_pfn: int) -> KdumpPages:
    header = SimpleNamespace(
        block_size=_PAGE, order="<", bitmap=0, bitmap_size=len(bitmap), max_pfn=max_pfn
    )
    kdump = SimpleNamespace(header=header, read=lambda at, size: bitmap[at : at + size])
    return KdumpPages(kdump)  # type: ignore[arg-type] # what it asks of one


@pytest.mark.parametrize("share", [1, 40, 255])
def test_a_page_has_the_number_of_pages_dumped_before_it(share: int) -> None:
    rng = random.Random(share)
    # Two chunks and some of a third, which ends amid a step.
    bitmap = bytes(rng.randrange(256) & rng.randrange(share + 1) for _ in range(2 * 4096 + 77))
    max_pfn = len(bitmap) * 8 - 3
    pages = _pages(bitmap, max_pfn)
    before = 0
    for pfn in range(max_pfn + 10):
        is_set = pfn < len(bitmap) * 8 and bool(bitmap[pfn // 8] >> pfn % 8 & 1)
        assert pages._index(pfn) == (before if is_set and pfn < max_pfn else None), pfn
        before += is_set


def test_chunks_that_were_counted_are_forgotten_beyond_a_bound() -> None:
    bitmap = b"\1" + bytes(4095)
    pages = _pages(bitmap * 200, 200 * 4096 * 8)
    assert [pages._index(number * 4096 * 8) for number in range(200)] == list(range(200))
    assert len(pages._steps) == 64
    assert pages._index(0) == 0
