"""Page tables of ppc64le, and its linear mapping where there are none.

Facts: Power ISA 3.0 book III 5.7.10 "Radix Tree Translation".
"""

from __future__ import annotations

from collections.abc import Iterator

from btfdbg.vmcore.paging.walk import (
    MASK64,
    Entry,
    NotMappedError,
    Paging,
    ReadPhysical,
    radix,
)
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

# Where the linear mapping begins.
_LINEAR = 0xC000000000000000


class Ppc64Paging(Paging):
    """ppc64le with the radix MMU; entries are big-endian on both byte orders."""

    entry_format = ">Q"
    _POINTER = ~0xC0000000000000FF & MASK64

    def __init__(self, page_shift: int, root: int) -> None:
        last = (16, 5) if page_shift == 16 else (12, 9)
        super().__init__(radix((39, 13), (30, 9), (21, 9), last), root)

    def is_kernel(self, address: int) -> bool:
        """See :class:`Paging`."""
        return address >= _LINEAR

    def decode(self, entry: int, level: int) -> tuple[Entry, int]:
        """See :class:`Paging`."""
        if not entry >> 63:
            return Entry.NONE, 0
        if level and not entry >> 62 & 1:
            return Entry.TABLE, entry & self._POINTER
        size = 1 << self.levels[len(self.levels) - 1 - level].shift
        return Entry.LEAF, entry & (1 << 53) - 1 & -size

    def damage(self, read: ReadPhysical, limit: int) -> int:
        """See :class:`Paging`; the root's upper half is not used."""
        return 0


class Ppc64Linear(Paging):
    """ppc64 with the hash MMU: only the linear mapping, which holds the kernel image."""

    def __init__(self) -> None:
        super().__init__(radix((0, 52)), 0)

    def translate(self, read: ReadPhysical, address: int) -> tuple[int, int]:
        """See :class:`Paging`."""
        if address >> 52 != _LINEAR >> 52:
            raise NotMappedError(f"{address:#x} is not in the linear mapping", 0)
        return address - _LINEAR, (1 << 52) - (address - _LINEAR)

    def damage(self, read: ReadPhysical, limit: int) -> int:
        """See :class:`Paging`."""
        return 0


def ways(info: VmcoreInfo) -> Iterator[Paging]:
    """Ways to translate under a VMCOREINFO text."""
    swapper = info.symbols.get("swapper_pg_dir")
    shift = info.page_size.bit_length() - 1
    if swapper is not None and swapper >= _LINEAR and shift in (12, 16):
        # Linux kernel commit 36e826b568e4 ("powerpc/vmcore: Add MMU
        # information to vmcoreinfo") (in v6.7).
        if info.numbers.get("RADIX_MMU", 1):
            yield Ppc64Paging(shift, swapper - _LINEAR)
        yield Ppc64Linear()
