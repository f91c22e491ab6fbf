"""Page tables of s390x.

Facts: z/Architecture Principles of Operation 3 "Dynamic Address Translation".
"""

from __future__ import annotations

from collections.abc import Iterator

from drgn import FaultError

from btfdbg.vmcore.paging.walk import MASK64, NotMappedError, Paging, ReadPhysical, radix
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo


class S390Paging(Paging):
    """s390x: region and segment tables, whose upper levels may be shorter than 2048 entries."""

    entry_format = ">Q"
    _LEVELS = radix((53, 11), (42, 11), (31, 11), (20, 11), (12, 8))
    _REGION_INVALID, _PAGE_INVALID, _LARGE = 0x20, 0x400, 0x400

    def __init__(self, root: int) -> None:
        super().__init__(self._LEVELS, root)

    def is_kernel(self, address: int) -> bool:
        """See :class:`Paging`; the kernel has an address space of its own."""
        return True

    def translate(self, read: ReadPhysical, address: int) -> tuple[int, int]:
        """See :class:`Paging`."""
        table, offset, length = self.root, 0, 2048
        try:
            (first,) = self._entry.unpack(read(table, 8))
        except (FaultError, OverflowError):
            raise NotMappedError("the top page table is not in the dump", 4, True) from None
        # The table type of the entries tells how many levels there are.
        level = 1 + (first >> 2 & 3)
        if address >> (self._LEVELS[4 - level].shift + 11):
            raise NotMappedError(f"{address:#x} is beyond the kernel's address space", level)
        while True:
            shift, bits = self._LEVELS[4 - level].shift, self._LEVELS[4 - level].bits
            index = (address >> shift & (1 << bits) - 1) - offset
            if not 0 <= index < length:
                raise NotMappedError(f"{address:#x} is not mapped", level)
            entry = self.entry_of(read, table, index, level)
            if entry & (self._PAGE_INVALID if level == 0 else self._REGION_INVALID):
                raise NotMappedError(f"{address:#x} is not mapped", level)
            if level == 0 or (level <= 2 and entry & self._LARGE):
                within = address & (1 << shift) - 1
                return (entry & -(1 << shift) & MASK64) + within, (1 << shift) - within
            if level >= 2:
                table = entry & ~0xFFF
                offset = (entry >> 6 & 3) << 9
                length = ((entry & 3) + 1 << 9) - offset
            else:
                table, offset, length = entry & ~0x7FF, 0, 256
            level -= 1

    def damage(self, read: ReadPhysical, limit: int) -> int:
        """See :class:`Paging`; not told apart here."""
        return 0


def ways(info: VmcoreInfo) -> Iterator[Paging]:
    """Ways to translate under a VMCOREINFO text."""
    swapper = info.symbols.get("swapper_pg_dir")
    if swapper is None:
        return
    # Linux kernel commits 378e32aa8197 ("s390/vmcoreinfo: Store virtual
    # memory layout") and c98d2ecae08f ("s390/mm: Uncouple physical vs
    # virtual address spaces") (in v6.10). Before, they are equal.
    physical = info.values.get("KERNELOFFPHYS")
    root = swapper
    if physical is not None:
        try:
            root = swapper - (info.kernel_offset or 0) + int(physical, 16)
        except ValueError:
            return
    if 0 <= root < 1 << 53:
        yield S390Paging(root & ~0xFFF)
