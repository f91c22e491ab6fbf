"""Page tables of arm64.

Facts: Arm ARM D8 (VMSAv8-64, FEAT_LPA2).
"""

from __future__ import annotations

from collections.abc import Iterator

from btfdbg.vmcore.paging.bits import EntryBits
from btfdbg.vmcore.paging.walk import MASK64, Entry, Level, Paging
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo


class Arm64Paging(Paging):
    """arm64 with any granule; 52-bit physical addresses in either encoding."""

    whole_root = True

    def __init__(self, page_shift: int, va_bits: int, root: int, lpa2: bool) -> None:
        bits = page_shift - 3
        count = -(-(va_bits - page_shift) // bits)
        levels = []
        for i in range(count):
            shift = page_shift + bits * (count - 1 - i)
            levels.append(Level(shift, va_bits - shift if i == 0 else bits))
        super().__init__(tuple(levels), root)
        self._va_bits = va_bits
        self._page_shift = page_shift
        self._lpa2 = lpa2

    def is_kernel(self, address: int) -> bool:
        """See :class:`Paging`."""
        # TTBR1: every bit above the translated ones is set (tags aside).
        return address >> self._va_bits == MASK64 >> self._va_bits

    def decode(self, entry: int, level: int) -> tuple[Entry, int]:
        """See :class:`Paging`."""
        if not entry & 1:
            return Entry.NONE, 0
        if level == 0 and not entry & 2:
            return Entry.BAD, 0
        if self._lpa2:
            address = entry & (1 << 50) - (1 << self._page_shift) | (entry >> 8 & 3) << 50
        else:
            address = entry & (1 << 48) - (1 << self._page_shift)
            if self._page_shift == 16:
                address |= (entry >> 12 & 0xF) << 48
        if level == 0:
            return Entry.LEAF, address
        if entry & 2:
            return Entry.TABLE, address
        size = 1 << self.levels[len(self.levels) - 1 - level].shift
        return Entry.LEAF, address & -size


def ways(info: VmcoreInfo) -> Iterator[Paging]:
    """Ways to translate under a VMCOREINFO text."""
    swapper = info.symbols.get("swapper_pg_dir")
    page_shift = info.page_size.bit_length() - 1
    voffset = info.numbers.get("kimage_voffset")
    va_bits = info.numbers.get("VA_BITS", 0)
    if "TCR_EL1_T1SZ" in info.numbers:
        # What the CPU really uses; VA_BITS is what the kernel was built for.
        # Linux kernel commit bbdbc11804ff ("arm64/crash_core: Export
        # TCR_EL1.T1SZ in vmcoreinfo") (in v5.9).
        va_bits = 64 - info.numbers["TCR_EL1_T1SZ"]
    if swapper is None or voffset is None or page_shift not in (12, 14, 16):
        return
    root = (swapper - voffset) & MASK64
    if not 36 <= va_bits <= 52 or root >= 1 << 52:
        return
    for bits in dict.fromkeys((va_bits, min(va_bits, 48))):
        yield Arm64Paging(page_shift, bits, root, lpa2=bits == 52 and page_shift != 16)


# Facts: arch/arm64/include/asm/pgtable-hwdef.h and pgtable-prot.h in the kernel.
PTE = EntryBits(
    present=0x1,
    frame=0x0000_FFFF_FFFF_F000,
    flags=(
        (0, "VALID"), (6, "USER"), (7, "RDONLY"), (8, "SHARED"), (10, "AF"), (11, "NG"),
        (51, "WRITE"), (52, "CONT"), (53, "PXN"), (54, "UXN"), (55, "DIRTY"), (56, "SPECIAL"),
    ),
)  # fmt: skip
