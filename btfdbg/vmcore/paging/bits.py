"""The bits of a page table entry, for who prints one.

Owns their shape. Each architecture's own stand in its file as ``PTE``.
"""

from __future__ import annotations

from btfdbg.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class EntryBits:
    """
    Page table entries of an architecture.

    :ivar present: Bits of which one has to be set.
    :ivar frame: Bits of the physical address.
    :ivar shift: How far they are shifted left for the address, in bits.
    :ivar flags: (bit, name); a name with ``!`` in front is one of the bit that is clear.
    """

    present: int
    frame: int
    flags: tuple[tuple[int, str], ...]
    shift: int = 0

    def names(self, entry: int) -> list[str]:
        """The names of an entry's bits."""
        return [
            name.removeprefix("!")
            for bit, name in self.flags
            if bool(entry >> bit & 1) is not name.startswith("!")
        ]
