"""Kernel page tables of every architecture, walked over physical memory.

Owns virtual to physical translation of kernel addresses from VMCOREINFO alone.
drgn has walkers of its own for most architectures and is faster; these here are
for what drgn cannot be asked: whether a VMCOREINFO text fits a memory image
*before* a Program believes it (drgn latches what it sees first), riscv64 (no
walker in drgn 0.3), and why an address does not read.

To add an architecture: a ``Paging`` subclass and its row in ``_PAGING``.

Facts: Intel SDM volume 3A chapter 4 (4.5 "4-level paging and 5-level paging");
Arm ARM D8 (VMSAv8-64, FEAT_LPA2); RISC-V privileged specification 10.4 to 10.6
(Sv39, Sv48, Sv57), Svnapot; z/Architecture Principles of Operation 3 "Dynamic
Address Translation"; Power ISA 3.0 book III 5.7.10 "Radix Tree Translation";
``arch_crash_save_vmcoreinfo()`` of each architecture in the kernel.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from enum import Enum
from typing import ClassVar

from drgn import Architecture, FaultError

from btfdbg.debuginfo.vmcoreinfo import VmcoreInfo
from btfdbg.record import dataclass

ReadPhysical = Callable[[int, int], bytes]

_MASK64 = (1 << 64) - 1


class Entry(Enum):
    """What a page-table entry is."""

    NONE = 0
    TABLE = 1
    LEAF = 2
    BAD = 3


class NotMappedError(LookupError):
    """
    An address has no translation.

    :ivar level: Levels above the last at which the walk ended (0: the page itself).
    :ivar damaged: The table itself cannot be right (or cannot be read), rather
        than having no entry.
    """

    def __init__(self, message: str, level: int, damaged: bool = False) -> None:
        super().__init__(message)
        self.level = level
        self.damaged = damaged


@dataclass(frozen=True, slots=True)
class Level:
    """One level of page tables: an entry covers ``1 << shift`` bytes, ``1 << bits`` of them."""

    shift: int
    bits: int


class Paging:
    """
    One way to translate kernel addresses: the levels, the root, and what entries mean.

    :ivar levels: From the root to the last.
    :ivar root: Physical address of the root table.
    """

    entry_format: ClassVar[str] = "<Q"
    # Whether all of the root is the kernel's, or its upper half.
    whole_root: ClassVar[bool] = False

    def __init__(self, levels: tuple[Level, ...], root: int) -> None:
        self.levels = levels
        self.root = root
        self._entry = struct.Struct(self.entry_format)

    def decode(self, entry: int, level: int) -> tuple[Entry, int]:
        """
        :param level: Levels above the last; 0 is the last.
        :return: What the entry is, and the physical address it points to.
        """
        raise NotImplementedError

    def is_kernel(self, address: int) -> bool:
        """Whether the root translates this virtual address at all."""
        top = self.levels[0].shift + self.levels[0].bits
        return address >> (top - 1) == _MASK64 >> (top - 1)

    def translate(self, read: ReadPhysical, address: int) -> tuple[int, int]:
        """
        Translate a virtual address.

        :param read: Reads physical memory.
        :return: Physical address, and bytes from there on that are mapped consecutively.
        :raises NotMappedError: there is no translation.
        """
        if not self.is_kernel(address):
            raise NotMappedError(f"{address:#x} is not a kernel address", len(self.levels))
        table = self.root
        for depth, (shift, bits) in enumerate((lv.shift, lv.bits) for lv in self.levels):
            level = len(self.levels) - 1 - depth
            at = table + 8 * (address >> shift & (1 << bits) - 1)
            try:
                (entry,) = self._entry.unpack(read(at, 8))
            except (FaultError, OverflowError):
                raise NotMappedError(
                    f"the page table at physical {table:#x} is not in the dump", level, True
                ) from None
            kind, target = self.decode(entry, level)
            if kind is Entry.LEAF:
                within = address & (1 << shift) - 1
                return target + within, (1 << shift) - within
            if kind is Entry.NONE:
                raise NotMappedError(f"{address:#x} is not mapped", level)
            if kind is Entry.BAD:
                raise NotMappedError(
                    f"the page-table entry {entry:#x} at physical {at:#x} is not valid", level, True
                )
            table = target
        raise NotMappedError(f"{address:#x} is not mapped", 0, True)

    def read(self, read: ReadPhysical, address: int, size: int) -> bytes:
        """
        Read virtual memory.

        :raises NotMappedError: some of it has no translation.
        :raises drgn.FaultError: it has, but the page is not in the dump.
        """
        parts = []
        while size > 0:
            physical, run = self.translate(read, address)
            n = min(size, run)
            parts.append(read(physical, n))
            address += n
            size -= n
        return b"".join(parts)

    def damage(self, read: ReadPhysical, limit: int) -> int:
        """
        Visit page-table pages of the kernel's half, breadth first, and count what is wrong.

        :param limit: Tables to visit at most.
        :return: 2 for each table that cannot be one (it cannot be read, or an
            entry means nothing), 1 for each without any entry: those exist, but
            a wrong layout or a foreign kernel finds more of them.
        """
        wrong = 0
        entries = 1 << self.levels[0].bits
        kernel_half = range(0 if self.whole_root else entries // 2, entries)
        queue = [(self.root, len(self.levels) - 1, kernel_half)]
        seen = set()
        while queue and limit > 0:
            table, level, indices = queue.pop(0)
            if (table, level) in seen:
                continue
            seen.add((table, level))
            limit -= 1
            bits = self.levels[len(self.levels) - 1 - level].bits
            try:
                data = read(table, 8 << bits)
            except (FaultError, OverflowError):
                wrong += 2
                continue
            sound = True
            for i in indices:
                kind, target = self.decode(self._entry.unpack_from(data, i * 8)[0], level)
                if kind is Entry.BAD:
                    sound = False
                elif kind is Entry.TABLE and level > 0:
                    bits_below = self.levels[len(self.levels) - level].bits
                    queue.append((target, level - 1, range(1 << bits_below)))
            if not sound:
                wrong += 2
            elif not any(data):
                wrong += 1
        return wrong


def _radix(*shift_bits: tuple[int, int]) -> tuple[Level, ...]:
    return tuple(Level(s, b) for s, b in shift_bits)


class X86Paging(Paging):
    """x86_64, four or five levels of 512 entries."""

    _KERNEL_MAP = 0xFFFFFFFF80000000
    _PRESENT, _LARGE = 1 << 0, 1 << 7
    _ADDRESS = (1 << 52) - (1 << 12)

    def __init__(self, five: bool, root: int, sme_mask: int = 0) -> None:
        levels = _radix((48, 9), (39, 9), (30, 9), (21, 9), (12, 9))
        super().__init__(levels if five else levels[1:], root)
        self._mask = self._ADDRESS & ~sme_mask

    @classmethod
    def ways(cls, info: VmcoreInfo) -> Iterator[Paging]:
        """Ways to translate under a VMCOREINFO text."""
        swapper = info.symbols.get("swapper_pg_dir") or info.symbols.get("init_top_pgt")
        if swapper is None:
            return
        # Linux kernel commit 401721ecd1dc ("kexec: export the value of
        # phys_base instead of symbol address") (in v4.10) and its default 0.
        base = info.numbers.get("phys_base", 0)
        root = swapper - cls._KERNEL_MAP + base
        if 0 <= root < 1 << 52:
            five = bool(info.numbers.get("pgtable_l5_enabled", 0))
            yield cls(five, root, info.numbers.get("sme_mask", 0))

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

    @classmethod
    def ways(cls, info: VmcoreInfo) -> Iterator[Paging]:
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
        root = (swapper - voffset) & _MASK64
        if not 36 <= va_bits <= 52 or root >= 1 << 52:
            return
        for bits in dict.fromkeys((va_bits, min(va_bits, 48))):
            yield cls(page_shift, bits, root, lpa2=bits == 52 and page_shift != 16)

    def is_kernel(self, address: int) -> bool:
        """See :class:`Paging`."""
        # TTBR1: every bit above the translated ones is set (tags aside).
        return address >> self._va_bits == _MASK64 >> self._va_bits

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


class RiscvPaging(Paging):
    """riscv64: Sv39, Sv48 and Sv57."""

    def __init__(self, va_bits: int, root: int) -> None:
        shifts = range(va_bits - 9, 11, -9)
        super().__init__(tuple(Level(s, 9) for s in shifts), root)

    @classmethod
    def ways(cls, info: VmcoreInfo) -> Iterator[Paging]:
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
            roots = [(swapper - offset) & _MASK64]
        elif link is not None:
            link &= _MASK64
            roots = [swapper - link + ram + gap for gap in (0, 2 << 20, 4 << 20)]
        else:
            return
        for root in roots:
            if 0 <= root < 1 << 56:
                for va_bits in (bits,) if bits in (39, 48, 57) else (57, 48, 39):
                    yield cls(va_bits, root)

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


class Ppc64Paging(Paging):
    """ppc64le with the radix MMU; entries are big-endian on both byte orders."""

    entry_format = ">Q"
    _LINEAR = 0xC000000000000000
    _POINTER = ~0xC0000000000000FF & _MASK64

    def __init__(self, page_shift: int, root: int) -> None:
        last = (16, 5) if page_shift == 16 else (12, 9)
        super().__init__(_radix((39, 13), (30, 9), (21, 9), last), root)

    @classmethod
    def ways(cls, info: VmcoreInfo) -> Iterator[Paging]:
        """Ways to translate under a VMCOREINFO text."""
        swapper = info.symbols.get("swapper_pg_dir")
        shift = info.page_size.bit_length() - 1
        if swapper is not None and swapper >= cls._LINEAR and shift in (12, 16):
            # Linux kernel commit 36e826b568e4 ("powerpc/vmcore: Add MMU
            # information to vmcoreinfo") (in v6.7).
            if info.numbers.get("RADIX_MMU", 1):
                yield cls(shift, swapper - cls._LINEAR)
            yield Ppc64Linear()

    def is_kernel(self, address: int) -> bool:
        """See :class:`Paging`."""
        return address >= self._LINEAR

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

    _LINEAR = 0xC000000000000000

    def __init__(self) -> None:
        super().__init__(_radix((0, 52)), 0)

    def translate(self, read: ReadPhysical, address: int) -> tuple[int, int]:
        """See :class:`Paging`."""
        if address >> 52 != self._LINEAR >> 52:
            raise NotMappedError(f"{address:#x} is not in the linear mapping", 0)
        return address - self._LINEAR, (1 << 52) - (address - self._LINEAR)

    def damage(self, read: ReadPhysical, limit: int) -> int:
        """See :class:`Paging`."""
        return 0


class S390Paging(Paging):
    """s390x: region and segment tables, whose upper levels may be shorter than 2048 entries."""

    entry_format = ">Q"
    _LEVELS = _radix((53, 11), (42, 11), (31, 11), (20, 11), (12, 8))
    _REGION_INVALID, _PAGE_INVALID, _LARGE = 0x20, 0x400, 0x400

    def __init__(self, root: int) -> None:
        super().__init__(self._LEVELS, root)

    @classmethod
    def ways(cls, info: VmcoreInfo) -> Iterator[Paging]:
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
            yield cls(root & ~0xFFF)

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
            try:
                (entry,) = self._entry.unpack(read(table + 8 * index, 8))
            except (FaultError, OverflowError):
                raise NotMappedError(
                    f"the page table at physical {table:#x} is not in the dump", level, True
                ) from None
            if entry & (self._PAGE_INVALID if level == 0 else self._REGION_INVALID):
                raise NotMappedError(f"{address:#x} is not mapped", level)
            if level == 0 or (level <= 2 and entry & self._LARGE):
                within = address & (1 << shift) - 1
                return (entry & -(1 << shift) & _MASK64) + within, (1 << shift) - within
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


Ways = Callable[[VmcoreInfo], Iterator[Paging]]

_PAGING: dict[Architecture, Ways] = {
    Architecture.X86_64: X86Paging.ways,
    Architecture.AARCH64: Arm64Paging.ways,
    Architecture.RISCV64: RiscvPaging.ways,
    Architecture.PPC64: Ppc64Paging.ways,
    Architecture.S390X: S390Paging.ways,
}


def ways_to_translate(architecture: Architecture, info: VmcoreInfo) -> Iterator[Paging]:
    """Every way of translating that a VMCOREINFO text allows, likeliest first."""
    ways = _PAGING.get(architecture)
    if ways is not None:
        yield from ways(info)
