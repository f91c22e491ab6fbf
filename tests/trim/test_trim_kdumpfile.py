"""The kdump-compressed writer against its own reader, and against libkdumpfile through drgn."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from btfdbg.errors import DebugInfoError
from btfdbg.trim.kdump_writer import Description, write
from btfdbg.trim.notes import parse_notes, read_source
from btfdbg.vmcore.elfcore import Note
from btfdbg.vmcore.identify import identify
from btfdbg.vmcore.kdumpfile import Uts
from tests.trim.kdump_reader import KdumpReader

PAGE = 4096


def description(byteorder: str = "little", max_pfn: int = 64) -> Description:
    text = b"OSRELEASE=6.12.0-test\nPAGESIZE=4096\n"
    order = "<" if byteorder == "little" else ">"
    notes = Note("CORE", 1, bytes(336)).packed(order)
    notes += Note("VMCOREINFO", 0, text).packed(order)
    uts = Uts("Linux", "host", "6.12.0-test", "#1 SMP", "x86_64", "(none)")
    return Description(byteorder, PAGE, max_pfn, None, notes, text, uts, 1, 1234, -4096)


def page_of(pfn: int) -> bytes:
    """Zeros, text that compresses, or noise that does not."""
    if pfn % 3 == 0:
        return bytes(PAGE)
    if pfn % 3 == 1:
        return struct.pack("<Q", pfn) * (PAGE // 8)
    state, out = pfn + 1, bytearray()
    while len(out) < PAGE:
        state = state * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
        out.append(state >> 56)
    return bytes(out)


@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_what_is_written_is_read_again(tmp_path: Path, byteorder: str) -> None:
    out = tmp_path / "dump"
    pfns = [0, 1, 2, 7, 8, 63, 100]
    size = write(out, description(byteorder), pfns, page_of)
    assert size == out.stat().st_size
    with KdumpReader(out) as reader:
        assert reader.byteorder == byteorder
        assert reader.pfns() == pfns
        assert reader.max_pfn == 101
        assert [reader.page(p) for p in pfns] == [page_of(p) for p in pfns]
        assert reader.uts.release == "6.12.0-test"
        assert reader.timestamp == 1234
        assert reader.vmcoreinfo() == description().vmcoreinfo
        assert [n.name for n in parse_notes(reader.notes(), byteorder)] == ["CORE", "VMCOREINFO"]
        assert reader.existing() == reader.dumped()
        with pytest.raises(KeyError):
            reader.page(3)


def test_zero_pages_share_one_copy(tmp_path: Path) -> None:
    one, many = tmp_path / "one", tmp_path / "many"
    first = write(one, description(), [0], page_of)
    last = write(many, description(), range(0, 60, 3), page_of)
    assert last - first == 19 * 24  # descriptors only


def test_a_page_of_the_wrong_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected 4096"):
        write(tmp_path / "dump", description(), [1], lambda pfn: b"short")


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(pfns=st.sets(st.integers(0, 1 << 17), max_size=40))
def test_any_set_of_pages_survives(tmp_path: Path, pfns: set[int]) -> None:
    out = tmp_path / "dump"
    write(out, description(), pfns, page_of, level=1)
    with KdumpReader(out) as reader:
        assert reader.pfns() == sorted(pfns)
        assert all(reader.page(p) == page_of(p) for p in pfns)


def small_dump(tmp_path: Path) -> bytes:
    out = tmp_path / "whole"
    write(out, description(), [1, 2, 3], page_of)
    return out.read_bytes()


def read_all(path: Path) -> None:
    with KdumpReader(path) as reader:
        reader.notes()
        reader.vmcoreinfo()
        reader.existing()
        for pfn in reader.pfns():
            reader.page(pfn)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    changes=st.lists(st.tuples(st.integers(0, 4400), st.integers(0, 255)), max_size=6),
    cut=st.none() | st.integers(0, 24000),
)
def test_a_damaged_file_gives_only_a_debug_info_error(
    tmp_path: Path, changes: list[tuple[int, int]], cut: int | None
) -> None:
    data = bytearray(small_dump(tmp_path))
    for at, value in changes:
        data[at] = value
    damaged = tmp_path / "damaged"
    damaged.write_bytes(data[:cut])
    said = str(damaged)
    try:
        read_all(damaged)
    except DebugInfoError as e:
        said = str(e)
    assert str(damaged) in said


def test_a_flattened_file_is_read_like_the_plain_one(tmp_path: Path) -> None:
    data = small_dump(tmp_path)
    flat = bytearray(b"makedumpfile\0\0\0\0" + struct.pack(">qq", 1, 1)).ljust(4096, b"\0")
    for at in range(0, len(data), 1000):
        piece = data[at : at + 1000]
        flat += struct.pack(">qq", at, len(piece)) + piece
    flat += struct.pack(">qq", -1, -1)
    path = tmp_path / "flat"
    path.write_bytes(flat)
    with KdumpReader(path) as reader:
        assert reader.pfns() == [1, 2, 3]
        assert [reader.page(p) for p in (1, 2, 3)] == [page_of(p) for p in (1, 2, 3)]


def test_pages_of_the_machine_are_counted_in_the_kernels_size(tmp_path: Path) -> None:
    """QEMU's files of arm64 have pages of 64 KiB, whatever the kernel uses."""
    from tests.vmcore import tiny

    kernel = tiny.Kernel(next(a for a in tiny.ARCHES if a.name == "arm64 4k"))
    path = tiny.kdump(tmp_path / "core", kernel, block=65536)
    source = read_source(identify(path), PAGE)
    assert source.existing is not None
    held = [pfn for pfn in range(source.max_pfn) if source.existing[pfn >> 3] >> (pfn & 7) & 1]
    first, count = kernel.arch.ram // PAGE, len(kernel.memory) // PAGE
    assert held == list(range(first, first + count))
    # The other way round nothing can be said of single pages.
    coarse = read_source(identify(path), 1 << 18)
    assert coarse.existing is None
    assert coarse.max_pfn == -(-(first + count) * PAGE // (1 << 18))
