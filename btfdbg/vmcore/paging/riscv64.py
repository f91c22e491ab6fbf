"""Page tables of riscv64.

Facts: RISC-V privileged specification 10.4 to 10.6 (Sv39, Sv48, Sv57), Svnapot.
"""

from __future__ import annotations

from collections.abc import Iterator

from btfdbg.vmcore.paging.bits import EntryBits
from btfdbg.vmcore.paging.walk import MASK64, Entry, Level, Paging, ReadPhysical
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo


class RiscvPaging(Paging):
    """riscv64: Sv39, Sv48 and Sv57."""

    def __init__(self, va_bits: int, root: int) -> None:
        shifts = range(va_bits - 9, 11, -9)
        super().__init__(tuple(Level(s, 9) for s in shifts), root)

    def decode(self, entry: int, level: int) -> tuple[Entry, int]:
        """See :class:`Paging`."""
        if not entry & 1:
            return Entry.NONE, 0
        address = (entry >> 10 & (1 << 44) - 1) << 12
        size = 1 << self.levels[len(self.levels) - 1 - level].shift
        if entry & 0xE:  # readable, writable or executable
            if entry >> 63 and level == 0 and entry >> 10 & 0xF == 8:
                # Svnapot: one of 16 entries of a 64 KiB page. Which one is known
                # to the walk only, so the page is split where it is read.
                return Entry.LEAF, address & -(1 << 16)
            return (Entry.LEAF, address) if not address & size - 1 else (Entry.BAD, 0)
        return (Entry.TABLE, address) if level else (Entry.BAD, 0)

    def translate(self, read: ReadPhysical, address: int) -> tuple[int, int]:
        """See :class:`Paging`."""
        physical, run = super().translate(read, address)
        if run <= 4096 and physical & 0xF000 == 0 and address & 0xF000:
            physical |= self._napot(read, address)
        return physical, run

    def _napot(self, read: ReadPhysical, address: int) -> int:
        """The part of an address within a 64 KiB page that the last level left out."""
        table = self.root
        for depth, lv in enumerate(self.levels):
            index = address >> lv.shift & 0x1FF
            (entry,) = self._entry.unpack(read(table + 8 * index, 8))
            if depth == len(self.levels) - 1:
                return address & 0xF000 if entry >> 63 else 0
            table = (entry >> 10 & (1 << 44) - 1) << 12
        return 0


def ways(info: VmcoreInfo) -> Iterator[Paging]:
    """Ways to translate under a VMCOREINFO text."""
    swapper = info.symbols.get("swapper_pg_dir")
    if swapper is None:
        return
    link = info.numbers.get("KERNEL_LINK_ADDR")
    bits = info.numbers.get("VA_BITS", 0)
    ram = info.numbers.get("phys_ram_base", 0)
    # NUMBER(va_kernel_pa_offset) came later than the rest of riscv's note.
    # Without it: the kernel lies at the start of memory, or one or two huge
    # pages above it, where the firmware is.
    offset = info.numbers.get("va_kernel_pa_offset")
    if offset is not None:
        roots = [(swapper - offset) & MASK64]
    elif link is not None:
        link &= MASK64
        roots = [swapper - link + ram + gap for gap in (0, 2 << 20, 4 << 20)]
    else:
        return
    for root in roots:
        if 0 <= root < 1 << 56:
            for va_bits in (bits,) if bits in (39, 48, 57) else (57, 48, 39):
                yield RiscvPaging(va_bits, root)


# Facts: arch/riscv/include/asm/pgtable-bits.h and pgtable-64.h in the kernel.
PTE = EntryBits(
    present=0x1,
    frame=0x003F_FFFF_FFFF_FC00,
    shift=2,
    flags=(
        (0, "PRESENT"), (1, "READ"), (2, "WRITE"), (3, "EXEC"), (4, "USER"), (5, "GLOBAL"),
        (6, "ACCESSED"), (7, "DIRTY"), (8, "SPECIAL"),
    ),
)  # fmt: skip
