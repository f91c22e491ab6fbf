"""Reads that fail are counted where they fail, with the likely reason; others cost nothing."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from pathlib import Path

import drgn
import pytest

from btfdbg.vmcore import DumpInfo, Reason, open_core
from btfdbg.vmcore.kdumpfile import Kdump
from btfdbg.vmcore.read_failures import Summary, _bitmap_holes, unread

from . import tiny
from .tiny import MARK, PAGE, X86_64, Kernel

LOST = 3 << 20


def swallow(prog: drgn.Program, address: int, physical: bool = False) -> None:
    """Read as drgn's helpers do that pass over what is missing."""
    with contextlib.suppress(drgn.FaultError):
        prog.read(address, 8, physical=physical)


def summary(prog: drgn.Program, info: DumpInfo) -> Summary:
    found = unread(prog).summary(prog, info)
    assert found is not None
    return found


def linear(kernel: Kernel) -> int:
    """Map all of memory in a row, as the kernel does; the address of a pointer into it."""
    base = kernel.virtual + (64 << 20)
    for at in range(0, 4 << 20, PAGE):
        kernel.map(base + at, at)
    pointer = kernel.virtual + 7 * 65536
    kernel.put(pointer, (base + (2 << 20)).to_bytes(8, "little"))
    return pointer


def watched(folder: Path, *excluded: int) -> tuple[Kernel, drgn.Program, DumpInfo]:
    """Open a kdump without these pages, which are watched where they are mapped in a row, too."""
    kernel = Kernel(X86_64)
    pointer = linear(kernel)
    path = tiny.kdump(folder / "core", kernel, excluded=excluded)
    prog, info = open_core(path)
    unread(prog).watch(prog, info, pointer)
    return kernel, prog, info


def test_passed_over_reads_of_an_excluded_page_are_counted(tmp_path: Path) -> None:
    kernel, prog, info = watched(tmp_path, LOST // PAGE, LOST // PAGE + 2)
    count = unread(prog)
    base = kernel.virtual + (64 << 20)
    assert prog.read(kernel.mark, len(MARK)) == MARK
    assert prog.read(base + LOST + PAGE, 8) == kernel.memory[LOST + PAGE : LOST + PAGE + 8]
    assert count.summary(prog, info) is None
    for address in (base + LOST, base + LOST + 8, base + LOST + 2 * PAGE):
        swallow(prog, address)
    found = summary(prog, info)
    assert (found.reads, found.pages) == (3, 2)
    assert found.reasons == ((Reason.EXCLUDED, 2),)
    assert str(found).startswith("3 reads of 2 pages failed: 2 x page excluded from the dump;")
    assert unread(prog).summary(prog, info) is None


def test_physical_reads_are_counted_too(tmp_path: Path) -> None:
    kernel = Kernel(X86_64)
    path = tiny.kdump(tmp_path / "core", kernel, excluded=[LOST // PAGE])
    prog, info = open_core(path)
    unread(prog).watch(prog, info)
    swallow(prog, LOST, True)
    swallow(prog, 1 << 40, True)
    found = summary(prog, info)
    assert dict(found.reasons) == {Reason.EXCLUDED: 1, Reason.ABSENT: 1}


def test_a_pointer_that_is_none_watches_no_virtual_addresses(tmp_path: Path) -> None:
    kernel = Kernel(X86_64)
    linear(kernel)
    path = tiny.kdump(tmp_path / "core", kernel, excluded=[LOST // PAGE])
    prog, info = open_core(path)
    unread(prog).watch(prog, info, kernel.mark)
    assert prog.read(kernel.mark, len(MARK)) == MARK
    assert prog.read(kernel.virtual + (64 << 20), 8) == kernel.memory[:8]


@pytest.mark.parametrize("writer", [tiny.elf_of, tiny.lime], ids=["ELF", "LiME"])
def test_memory_beyond_the_dump_is_absent(
    writer: Callable[[Path, Kernel], Path], tmp_path: Path
) -> None:
    kernel = Kernel(X86_64)
    virtual = kernel.virtual + (16 << 20)
    kernel.map(virtual, 0xFEE00000)
    prog, info = open_core(writer(tmp_path / "core", kernel))
    unread(prog).watch(prog, info)
    swallow(prog, virtual)
    assert summary(prog, info).reasons == ((Reason.ABSENT, 1),)


@pytest.mark.parametrize("name", ["ELF", "LiME", "kdump"])
def test_the_end_of_a_truncated_file_is_named(name: str, tmp_path: Path) -> None:
    kernel = Kernel(X86_64)
    kernel.memory[-16 * PAGE :] = random.Random(1).randbytes(16 * PAGE)
    writers: dict[str, Callable[[Path, Kernel], Path]] = {
        "ELF": tiny.elf_of,
        "LiME": tiny.lime,
        "kdump": tiny.kdump,
    }
    path = writers[name](tmp_path / "core", kernel)
    with path.open("r+b") as f:
        f.truncate(path.stat().st_size - 3 * PAGE)
    prog, info = open_core(path)
    unread(prog).watch(prog, info)
    swallow(prog, (4 << 20) - PAGE, True)
    assert summary(prog, info).reasons == ((Reason.TRUNCATED, 1),)


def test_an_error_that_reaches_the_user_counts_once(tmp_path: Path) -> None:
    kernel = Kernel(X86_64)
    path = tiny.kdump(tmp_path / "core", kernel, excluded=[LOST // PAGE])
    prog, info = open_core(path)
    count = unread(prog)
    count.watch(prog, info)
    for address, physical in ((LOST, True), (0x10, False)):
        with pytest.raises(drgn.FaultError) as e:
            prog.read(address, 8, physical=physical)
        count.note_fault(e.value)
    found = summary(prog, info)
    assert (found.reads, found.pages) == (2, 2)
    assert dict(found.reasons) == {Reason.EXCLUDED: 1, Reason.NULL: 1}


def test_a_read_that_fails_on_its_second_page_counts_that_page(tmp_path: Path) -> None:
    kernel, prog, info = watched(tmp_path, LOST // PAGE)
    count = unread(prog)
    start = kernel.virtual + (64 << 20) + LOST - 8
    with pytest.raises(drgn.FaultError) as e:
        prog.read(start, 16)
    fault = drgn.FaultError(str(e.value), start)  # as commands that read in pieces say it
    count.note_fault(fault)
    found = summary(prog, info)
    assert (found.reads, found.pages) == (1, 1)
    assert found.reasons == ((Reason.EXCLUDED, 1),)


def test_counting_is_bounded(tmp_path: Path) -> None:
    prog, info = open_core(tiny.elf_of(tmp_path / "core", Kernel(X86_64)))
    count = unread(prog)
    for page in range(5000):
        count.note(page * PAGE, True)
    found = summary(prog, info)
    assert (found.reads, found.pages, found.more) == (5000, 4096, True)
    assert "at least 4,096 pages" in str(found)


@pytest.mark.parametrize("seed", range(20))
def test_holes_are_what_the_bitmap_leaves_out(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    excluded = {p for p in range(1024) if chance.random() < chance.choice((0.02, 0.5))}
    excluded |= set(range(start := chance.randrange(900), start + chance.randrange(100)))
    path = tiny.kdump(tmp_path / "core", Kernel(X86_64), excluded=sorted(excluded))
    kdump = Kdump(path)
    there = [p for start, size in kdump.runs() for p in range(start, start + size, PAGE)]
    holes = list(_bitmap_holes(kdump))
    gone = [p for s, e in holes for p in range(s, min(e, kdump.header.max_pfn * PAGE), PAGE)]
    assert sorted(there + gone) == list(range(0, kdump.header.max_pfn * PAGE, PAGE))
    assert holes[-1][1] == 1 << 52


def test_an_error_that_is_all_that_failed_is_counted_no_more(tmp_path: Path) -> None:
    kernel, prog, info = watched(tmp_path, LOST // PAGE, LOST // PAGE + 2)
    count = unread(prog)
    base = kernel.virtual + (64 << 20)

    def fault(address: int) -> drgn.FaultError:
        with pytest.raises(drgn.FaultError) as e:
            prog.read(address, 8)
        count.note_fault(e.value)
        return e.value

    one = fault(base + LOST)
    swallow(prog, LOST + 8, True)  # the same page, counted at its physical address
    found = count.take_only(prog, info, one)
    assert found is not None
    why, reads = found
    assert (why.reason, why.page, reads) == (Reason.EXCLUDED, LOST // PAGE, 2)
    assert count.summary(prog, info) is None
    # Another page too: the summary says both.
    one = fault(base + LOST)
    fault(base + LOST + 2 * PAGE)
    assert count.take_only(prog, info, one) is None
    assert summary(prog, info).pages == 2
    assert count.take_only(prog, info, one) is None


def test_what_is_not_mapped_is_told_by_its_own_page(tmp_path: Path) -> None:
    kernel = Kernel(X86_64)
    prog, info = open_core(tiny.kdump(tmp_path / "core", kernel))
    for address in (0x10, 0xDEAD000000000100):
        with pytest.raises(drgn.FaultError) as e:
            prog.read(address, 8)
        unread(prog).note_fault(e.value)
        found = unread(prog).take_only(prog, info, e.value)
        assert found is not None
        assert found[0].page == -1
