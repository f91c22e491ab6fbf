"""Which page of a kdump file is which: the bitmap's bits, counted."""

from __future__ import annotations

import random
import struct
from types import SimpleNamespace

import pytest

from btfdbg.vmcore.kdumppages import KdumpPages, _all_within

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


def _table(order: str, rows: list[tuple[int, int]]) -> tuple[KdumpPages, bytes]:
    header = SimpleNamespace(block_size=_PAGE, order=order)
    pages = KdumpPages(SimpleNamespace(header=header))  # type: ignore[arg-type]
    # What else a descriptor holds is to be of no importance.
    return pages, b"".join(struct.pack(f"{order}qIIQ", *row, 1, 0xFF << 56) for row in rows)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("end", [9000, 1 << 16, (1 << 24) + 77, 0x54FE18C, 1 << 33, 1 << 62])
def test_wrong_descriptors_are_counted_as_one_by_one(order: str, end: int) -> None:
    rng = random.Random(end)
    edges = [-(1 << 63), -1, 0, 1, 255, 256, end - 8193, end - 8192, end - 4096, end - 1, end]
    counts = set()
    for count in (0, 1, 64, 65, 300, 4096):
        for share in (0, 1, 30):
            rows = [
                (rng.choice(edges), rng.choice([0, 1, 8192, 8193, 1 << 16, (1 << 32) - 1]))
                if rng.randrange(1000) < share
                else (rng.randrange(1, max(end - 8192, 2)), rng.randrange(1, 8193))
                for _ in range(count)
            ]
            pages, table = _table(order, rows)
            wrong = sum(not (0 < at <= end - size and 0 < size <= 8192) for at, size in rows)
            assert pages._wrong(table, end) == wrong
            counts.add(wrong)
    assert {0, 1} < counts or len(counts) > 3


@pytest.mark.parametrize("limit", [-5, 0, 1, 2, 255, 256, 257, 1 << 40, (1 << 64) - 1, 1 << 64])
def test_numbers_by_columns_of_bytes_are_within_what_each_is(limit: int) -> None:
    rng = random.Random(limit)
    answers = set()
    for _ in range(2000):
        near = [0, 1, limit - 1, limit, limit + 1, limit ^ 0xFF, limit & ~0xFF, rng.randrange(300)]
        numbers = [min(max(rng.choice(near), 0), (1 << 64) - 1) for _ in range(rng.randrange(1, 5))]
        packed = struct.pack(f">{len(numbers)}Q", *numbers)
        within = limit >= 1 and all(1 <= number <= limit for number in numbers)
        assert _all_within((packed[i::8] for i in range(8)), 8, limit) == within, numbers
        answers.add(within)
    assert answers == ({False, True} if limit > 0 else {False})
