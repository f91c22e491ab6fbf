"""Page tables of x86_64.

Facts: Intel SDM volume 3A chapter 4 (4.5 "4-level paging and 5-level paging").
"""

from __future__ import annotations

from collections.abc import Iterator

from btfdbg.vmcore.paging.bits import EntryBits
from btfdbg.vmcore.paging.walk import Entry, Paging, radix
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

# Where the kernel image is mapped (__START_KERNEL_map).
_KERNEL_MAP = 0xFFFFFFFF80000000


class X86Paging(Paging):
    """x86_64, four or five levels of 512 entries."""

    _PRESENT, _LARGE = 1 << 0, 1 << 7
    _ADDRESS = (1 << 52) - (1 << 12)

    def __init__(self, five: bool, root: int, sme_mask: int = 0) -> None:
        levels = radix((48, 9), (39, 9), (30, 9), (21, 9), (12, 9))
        super().__init__(levels if five else levels[1:], root)
        self._mask = self._ADDRESS & ~sme_mask

    def decode(self, entry: int, level: int) -> tuple[Entry, int]:
        """See :class:`Paging`."""
        if not entry & self._PRESENT:
            # PROT_NONE (bit 8 without bit 0) is for user pages.
            return Entry.NONE, 0
        address = entry & self._mask
        if level == 0:
            return Entry.LEAF, address
        if entry & self._LARGE:
            if level > 2:
                return Entry.BAD, 0
            size = 1 << self.levels[len(self.levels) - 1 - level].shift
            # Bit 12 of a large entry is PAT.
            return Entry.LEAF, address & -size
        return Entry.TABLE, address


def ways(info: VmcoreInfo) -> Iterator[Paging]:
    """Ways to translate under a VMCOREINFO text."""
    swapper = info.symbols.get("swapper_pg_dir") or info.symbols.get("init_top_pgt")
    if swapper is None:
        return
    # Linux kernel commit 401721ecd1dc ("kexec: export the value of
    # phys_base instead of symbol address") (in v4.10) and its default 0.
    base = info.numbers.get("phys_base", 0)
    root = swapper - _KERNEL_MAP + base
    if 0 <= root < 1 << 52:
        five = bool(info.numbers.get("pgtable_l5_enabled", 0))
        yield X86Paging(five, root, info.numbers.get("sme_mask", 0))


# Facts: arch/x86/include/asm/pgtable_types.h in the kernel.
PTE = EntryBits(
    # _PAGE_PRESENT and _PAGE_PROTNONE.
    present=0x101,
    frame=0x000F_FFFF_FFFF_F000,
    flags=(
        (0, "PRESENT"), (1, "RW"), (2, "USER"), (3, "PWT"), (4, "PCD"), (5, "ACCESSED"),
        (6, "DIRTY"), (7, "PSE"), (8, "GLOBAL"), (9, "SOFTW1"), (10, "SOFTW2"),
        (11, "SOFTW3"), (58, "SOFTW4"), (63, "NX"),
    ),
)  # fmt: skip
