""".symtab and .strtab in the making.

Owns their order (section symbols, local ones, others, as ELF has it) and what a letter of
nm(1) says of a symbol's binding and type.
"""

from __future__ import annotations

import struct

from btfdbg.handover.vmlinux import elf
from btfdbg.kallsyms.model import END_MARKERS

FUNC, OBJECT, _SECTION = 2, 1, 3
_GLOBAL, _WEAK_BINDING = 1, 2
_WEAK = frozenset("vVwW")
_KINDS = dict.fromkeys("tTwW", FUNC) | dict.fromkeys("bBdDrRvVgG", OBJECT)


def kind_of(name: str, letter: str) -> int:
    """A symbol's type (``STT_*``), as far as its letter and name tell."""
    return 0 if name in END_MARKERS else _KINDS.get(letter, 0)


class Symtab:
    """
    Symbols of a file whose sections with addresses are all there.

    :param out: The first symbols are those of its sections so far, in their order.
    """

    def __init__(self, out: elf.Writer) -> None:
        self._elf = out
        self._pack = struct.Struct(out.prefix + "IBBHQQ").pack
        self._local, self._others, self._strings = bytearray(elf.SYMBOL), bytearray(), bytearray(1)
        # By letter: where such symbols go, and their binding.
        self._by_letter: dict[str, tuple[bytearray, int]] = {}
        starts = out.addresses()
        for number in range(1, len(out)):
            self._local += self._pack(0, _SECTION, 0, number, starts[number], 0)

    def add(self, name: str, letter: str, kind: int, number: int, address: int, size: int) -> None:
        """Add one; ``number`` is its section's."""
        found = self._by_letter.get(letter)
        if found is None:
            binding = _WEAK_BINDING if letter in _WEAK else _GLOBAL if letter.isupper() else 0
            found = self._others if binding else self._local, binding << 4
            self._by_letter[letter] = found
        into, binding = found
        strings = self._strings
        into += self._pack(len(strings), binding | kind, 0, number, address, size)
        strings += f"{name}\0".encode("utf-8", "surrogateescape")

    def write(self) -> int:
        """Write both sections; return .symtab's number."""
        first = len(self._local) // elf.SYMBOL
        self._local += self._others
        number = self._elf.add(
            ".symtab", self._local, type_=elf.Type.SYMTAB, link=len(self._elf) + 1, info=first,
            align=8, entsize=elf.SYMBOL,
        )  # fmt: skip
        self._elf.add(".strtab", self._strings, type_=elf.Type.STRTAB)
        return number
