"""Virtual memory of riscv64, which drgn cannot translate: walked once, remembered, bounded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import drgn
import pytest

from btfdbg.vmcore import open_core, overlay
from btfdbg.vmcore.overlay import Translated
from btfdbg.vmcore.paging import NotMappedError, Paging

from . import tiny
from .tiny import ARCHES, MARK, PAGE, Kernel

RISCV = [a for a in ARCHES if a.machine == "riscv64"]
BASE = 0xFFFF_FFFF_8000_0000
LARGE = 2 << 20


@dataclass
class Table:
    """A page table as a list: virtual start, physical start, bytes."""

    rows: list[tuple[int, int, int]]
    walks: list[int] = field(default_factory=list)

    def translate(self, read: Callable[[int, int], bytes], address: int) -> tuple[int, int]:
        self.walks.append(address)
        for virtual, physical, size in self.rows:
            if virtual <= address < virtual + size:
                return physical + address - virtual, size - (address - virtual)
        raise NotMappedError(f"{address:#x} has no entry", 0)


def memory(address: int, size: int) -> bytes:
    """Every byte of physical memory is told from its neighbours by its address."""
    return bytes((a * 7 + (a >> 12)) & 0xFF for a in range(address, address + size))


def translated(table: Table) -> Translated:
    return Translated(cast(Paging, table), memory)


def test_a_page_is_walked_to_once() -> None:
    table = Table([(BASE, 0x8020_3000, PAGE)])
    segment = translated(table)
    for at in (0, 8, 4088):
        assert segment.read_segment(BASE + at, 8, 0, False) == memory(0x8020_3000 + at, 8)
    assert table.walks == [BASE]


def test_a_large_page_is_walked_to_once_wherever_it_is_entered() -> None:
    table = Table([(BASE, 0x8040_0000, LARGE)])
    segment = translated(table)
    for at in (LARGE - 8, 0, 0x1234, LARGE // 2):
        assert segment.read_segment(BASE + at, 8, 0, False) == memory(0x8040_0000 + at, 8)
    assert table.walks == [BASE + LARGE - 8, BASE]
    # Entered near its end it is taken for a page, which is as right.


def test_half_of_a_larger_leaf_is_not_taken_for_the_other() -> None:
    """A leaf of 1 GiB is remembered in parts of 2 MiB."""
    table = Table([(BASE, 0x8000_0000, 1 << 30)])
    segment = translated(table)
    for part in (0, 1, 5, 511, 0):
        at = part * LARGE + 0x40
        assert segment.read_segment(BASE + at, 16, 0, False) == memory(0x8000_0000 + at, 16)
    assert len(table.walks) == 4


def test_a_read_across_pages_is_put_together() -> None:
    table = Table([(BASE, 0x9000_0000, PAGE), (BASE + PAGE, 0x8800_0000, PAGE)])
    data = translated(table).read_segment(BASE + PAGE - 100, 300, 0, False)
    assert data == memory(0x9000_0000 + PAGE - 100, 100) + memory(0x8800_0000, 200)


def test_a_run_of_64_kib_is_no_large_page() -> None:
    """Svnapot: contiguous pages of 64 KiB, followed by something else."""
    table = Table([(BASE, 0x8800_0000, 1 << 16), (BASE + (1 << 16), 0x9800_0000, 1 << 16)])
    segment = translated(table)
    for at, physical in ((0, 0x8800_0000), (0xF000, 0x8800_F000), (0x1_0000, 0x9800_0000)):
        assert segment.read_segment(BASE + at, 8, 0, False) == memory(physical, 8)
    data = segment.read_segment(BASE + 0xFFFC, 8, 0, False)
    assert data == memory(0x8800_FFFC, 4) + memory(0x9800_0000, 4)


def test_what_is_not_mapped_faults_where_it_is_not() -> None:
    table = Table([(BASE, 0x8020_0000, PAGE)])
    with pytest.raises(drgn.FaultError) as e:
        translated(table).read_segment(BASE + PAGE - 8, 16, 0, False)
    assert e.value.address == BASE + PAGE


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay, "_MAX_CACHED", 16)
    table = Table([(BASE + i * PAGE, 0x8000_0000 + (99 - i) * PAGE, PAGE) for i in range(100)])
    segment = translated(table)
    for _ in range(2):
        for i in range(100):
            found = segment.read_segment(BASE + i * PAGE + 8, 8, 0, False)
            assert found == memory(0x8000_0000 + (99 - i) * PAGE + 8, 8)
    assert len(segment._pages) <= 16


@pytest.mark.parametrize("arch", RISCV, ids=str)
def test_drgn_reads_a_riscv64_kernel_through_it(arch: tiny.Arch, tmp_path: Path) -> None:
    kernel = Kernel(arch)
    far = kernel.virtual + (16 << 20)
    kernel.map(far, kernel.physical + 5 * 65536)
    kernel.map(far + PAGE, kernel.physical + 4 * 65536)
    prog, _ = open_core(tiny.elf_of(tmp_path / "core", kernel))
    assert prog.read(kernel.mark, len(MARK)) == MARK
    assert prog.read(far + 2048, len(MARK)) == MARK
    whole = prog.read(far + PAGE - 64, 128)
    there = kernel.base + 5 * 65536 + PAGE - 64
    other = kernel.base + 4 * 65536
    assert whole == kernel.memory[there : there + 64] + kernel.memory[other : other + 64]
    with pytest.raises(drgn.FaultError):
        prog.read(far + 2 * PAGE, 1)
