"""A kernel's vmlinux as if it were a dump: symbols, memory and BTF out of the file.

Owns the measuring of lookups without a dump: the same symbols that kallsyms would have,
so the same extents; the initial contents of data; the BTF section. Knows nothing of
what is measured.

Facts: scripts/kallsyms.c and scripts/mksysmap of the kernel (which symbols are left out);
gABI "Relocation", its relative entries (RELR) and each architecture's R_*_RELATIVE.
"""

from __future__ import annotations

import itertools
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from pathlib import Path

from drgn import Program
from elftools.elf.sections import Section

from btfdbg.arch import by_elf
from btfdbg.btf import Btf
from btfdbg.errors import DebugInfoError, ImageError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.varextract.elfsyms import open_elf
from btfdbg.varextract.extract import load_file
from btfdbg.vmcore.platforms import machine_of

# Names that kallsyms leaves out.
_LEFT_OUT = ("$", ".L", "__crc_", "__kstrtab", "__efistub_", "__pi_$", "__kvm_nvhe_$")
_STT_SECTION, _STT_FILE = 3, 4
_SHF_WRITE, _SHF_ALLOC, _SHF_EXECINSTR = 1, 2, 4


@dataclass(frozen=True, slots=True)
class ElfSymbol:
    """A symbol as kallsyms would have it; ``size`` is the distance to the next one."""

    name: str
    address: int
    size: int
    type_letter: str


class ElfKernel:
    """
    One vmlinux with DWARF.

    :ivar prog: has its DWARF, and its contents as memory.
    :raises ImageError: not an ELF file with symbols.
    :raises DebugInfoError: no DWARF.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.prog: Program = load_file(path)
        self._symbols: dict[str, list[ElfSymbol]] = {}
        self._addresses: list[int] = []
        self._by_address: dict[int, ElfSymbol] = {}
        self._btf = b""
        with open_elf(path) as elf:
            if elf.elfclass != 64:
                raise ImageError(f"{path}: only 64-bit kernels can be measured")
            sections = list(elf.iter_sections())
            symtab = elf.get_section_by_name(".symtab")
            if symtab is None:
                raise ImageError(f"{path}: no .symtab")
            names = elf.get_section(symtab["sh_link"]).data()
            letters = {index: _letter(section) for index, section in enumerate(sections)}
            entry = struct.Struct(("<" if elf.little_endian else ">") + "IBBHQQ")
            self._read_symbols(entry, symtab.data(), names, letters)
            image = Image(elf.little_endian)
            row = by_elf(elf["e_machine"])
            for section in sections:
                if section.name == ".BTF" and section["sh_type"] != "SHT_NOBITS":
                    self._btf = section.data()
                if section["sh_flags"] & _SHF_ALLOC and section["sh_type"] == "SHT_PROGBITS":
                    image.add(section["sh_addr"], section.data())
            for section in sections:
                if section["sh_flags"] & _SHF_ALLOC and section["sh_type"] == "SHT_RELA":
                    # The word is the addend, since the kernel is not moved here.
                    image.relocate(section.data(), 0 if row is None else row.relative)
            for address, data in image.segments():
                self._add_memory(address, data)

    def btf(self) -> Btf:
        """
        Return the BTF in the file.

        :raises DebugInfoError: it has none.
        """
        if not self._btf:
            raise DebugInfoError(f"{self.path}: no .BTF section with contents", step="btf")
        return Btf.parse(self._btf)

    @property
    def machine(self) -> str:
        """Architecture as ``uname -m`` names it."""
        return machine_of(self.prog.platform)

    def by_name(self, name: str) -> list[ElfSymbol]:
        """All symbols of a name."""
        return self._symbols.get(name, [])

    def by_address(self, address: int) -> ElfSymbol | None:
        """The symbol that covers an address."""
        at = bisect_right(self._addresses, address) - 1
        return None if at < 0 else self._by_address[self._addresses[at]]

    def _add_memory(self, address: int, data: bytes) -> None:
        def read(_: int, count: int, offset: int, physical: bool) -> bytes:
            return data[offset : offset + count]

        self.prog.add_memory_segment(address, len(data), read)

    def _read_symbols(
        self, entry: struct.Struct, table: bytes, names: bytes, letters: dict[int, str]
    ) -> None:
        rows = []
        usable = len(table) - len(table) % entry.size
        for name_off, info, _, shndx, value, _size in entry.iter_unpack(table[:usable]):
            if info & 0xF in (_STT_SECTION, _STT_FILE) or not shndx or not name_off:
                continue
            name = names[name_off : names.find(b"\0", name_off)].decode("utf-8", "replace")
            if name.startswith(_LEFT_OUT):
                continue
            letter = letters.get(shndx, "a")
            rows.append((value, name, letter.upper() if info >> 4 else letter))
        addresses = sorted({row[0] for row in rows})
        following = dict(itertools.pairwise(addresses))
        for value, name, letter in rows:
            size = following.get(value, value) - value
            symbol = ElfSymbol(name, value, size, letter)
            self._symbols.setdefault(name, []).append(symbol)
            self._by_address.setdefault(value, symbol)
        self._addresses = addresses


def _letter(section: Section) -> str:
    """The letter that nm, and so kallsyms, gives a section's symbols."""
    if section["sh_flags"] & (_SHF_EXECINSTR | _SHF_WRITE) == _SHF_EXECINSTR:
        return "t"
    if section["sh_type"] == "SHT_NOBITS":
        return "b"
    return "d" if section["sh_flags"] & _SHF_WRITE else "r"


class Image:
    """
    Sections with contents, as they are once the kernel has relocated itself.

    An arm64 kernel's pointers are zeros in the file until its first instructions run;
    those that a packed table (RELR) lists are there already, since nothing moves here.
    """

    def __init__(self, little_endian: bool) -> None:
        self._order = "<" if little_endian else ">"
        self._starts: list[int] = []
        self._data: list[bytearray] = []

    def add(self, address: int, data: bytes) -> None:
        """Add a section; sections at address 0 are no part of the image."""
        if address and data:
            at = bisect_left(self._starts, address)
            self._starts.insert(at, address)
            self._data.insert(at, bytearray(data))

    def relocate(self, table: bytes, relative: int) -> None:
        """Apply the relative entries of a RELA table."""
        usable = len(table) - len(table) % 24
        for address, info, addend in struct.iter_unpack(self._order + "QQq", table[:usable]):
            if info & 0xFFFF_FFFF == relative:
                self._put(address, addend & 0xFFFF_FFFF_FFFF_FFFF)

    def segments(self) -> Iterator[tuple[int, bytes]]:
        """Yield addresses and contents."""
        for start, data in zip(self._starts, self._data, strict=True):
            yield start, bytes(data)

    def _put(self, address: int, value: int) -> None:
        at = bisect_right(self._starts, address) - 1
        if at >= 0:
            offset = address - self._starts[at]
            if offset + 8 <= len(self._data[at]):
                struct.pack_into(self._order + "Q", self._data[at], offset, value)
