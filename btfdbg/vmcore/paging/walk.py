"""The walk through page tables that all architectures share.

Owns the levels, the walk and its error, and the count of what is wrong in tables.
What an entry means and where the root lies is said by a subclass per architecture.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from copy import copy
from enum import Enum
from typing import ClassVar

from drgn import FaultError

from btfdbg.lazy_dataclass import dataclass

ReadPhysical = Callable[[int, int], bytes]

MASK64 = (1 << 64) - 1


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
        self.both_halves = False
        self._entry = struct.Struct(self.entry_format)

    def at(self, root: int, *, both_halves: bool = False) -> Paging:
        """
        The same way from another root table, a physical address.

        :param both_halves: It is a process's: user-space addresses have entries as well.
        """
        other = copy(self)
        other.root = root
        other.both_halves = both_halves
        return other

    def decode(self, entry: int, level: int) -> tuple[Entry, int]:
        """
        :param level: Levels above the last; 0 is the last.
        :return: What the entry is, and the physical address it points to.
        """
        raise NotImplementedError

    def entry_of(self, read: ReadPhysical, table: int, index: int, level: int) -> int:
        """
        Read an entry of a table at a physical address.

        :raises NotMappedError: the table is not in the dump.
        """
        try:
            (entry,) = self._entry.unpack(read(table + 8 * index, 8))
        except (FaultError, OverflowError):
            raise NotMappedError(
                f"the page table at physical {table:#x} is not in the dump", level, True
            ) from None
        return int(entry)

    def is_kernel(self, address: int) -> bool:
        """Whether the root translates this virtual address at all."""
        top = self.levels[0].shift + self.levels[0].bits
        return address >> (top - 1) == MASK64 >> (top - 1)

    def translate(self, read: ReadPhysical, address: int) -> tuple[int, int]:
        """
        Translate a virtual address.

        :param read: Reads physical memory.
        :return: Physical address, and bytes from there on that are mapped consecutively.
        :raises NotMappedError: there is no translation.
        """
        top = self.levels[0].shift + self.levels[0].bits
        if not (self.is_kernel(address) or (self.both_halves and not address >> (top - 1))):
            raise NotMappedError(f"{address:#x} is not a kernel address", len(self.levels))
        table = self.root
        for depth, (shift, bits) in enumerate((lv.shift, lv.bits) for lv in self.levels):
            level = len(self.levels) - 1 - depth
            index = address >> shift & (1 << bits) - 1
            entry = self.entry_of(read, table, index, level)
            kind, target = self.decode(entry, level)
            if kind is Entry.LEAF:
                within = address & (1 << shift) - 1
                return target + within, (1 << shift) - within
            if kind is Entry.NONE:
                raise NotMappedError(f"{address:#x} is not mapped", level)
            if kind is Entry.BAD:
                raise NotMappedError(
                    f"the page-table entry {entry:#x} at physical {table + 8 * index:#x}"
                    " is not valid",
                    level,
                    True,
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

    def leaves(self, read: ReadPhysical, low: int, limit: int) -> Iterator[tuple[int, int, int]]:
        """
        Yield what the kernel's half maps, ascending: virtual and physical address, bytes.

        Tables that cannot be read, and entries that mean nothing, are passed over.

        :param low: Lowest virtual address of interest.
        :param limit: Tables to visit at most.
        """
        top = self.levels[0].shift + self.levels[0].bits
        # What the bits above the translated ones are in the kernel's half.
        high = MASK64 >> top << top
        left = limit

        def walk(table: int, depth: int, base: int) -> Iterator[tuple[int, int, int]]:
            nonlocal left
            if left <= 0:
                return
            left -= 1
            shift, bits = self.levels[depth].shift, self.levels[depth].bits
            try:
                data = read(table, 8 << bits)
            except (FaultError, OverflowError):
                return
            for i in range(1 << bits):
                virtual = base | i << shift
                if virtual + (1 << shift) <= low:
                    continue
                (entry,) = self._entry.unpack_from(data, i * 8)
                kind, target = self.decode(entry, len(self.levels) - 1 - depth)
                if kind is Entry.LEAF:
                    yield virtual, target, 1 << shift
                elif kind is Entry.TABLE and depth + 1 < len(self.levels):
                    yield from walk(target, depth + 1, virtual)

        yield from walk(self.root, 0, high)

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


def radix(*shift_bits: tuple[int, int]) -> tuple[Level, ...]:
    """Levels from their shifts and bits, the root's first."""
    return tuple(Level(s, b) for s, b in shift_bits)
