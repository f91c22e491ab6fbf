"""Data symbols of a linked or relocatable ELF file, with the file that defines each.

Reads ``.symtab`` in one pass of :mod:`struct`, because a kernel has 150,000 symbols.
Knows nothing of DWARF or types.

Facts: gABI "Symbol Table": local symbols follow the ``STT_FILE`` symbol of their
source file; ``st_value`` is an address in linked files and an offset into the section
in relocatable ones.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import NoteSection

from btfdbg.errors import ImageError
from btfdbg.lazy_dataclass import dataclass

_STT_NOTYPE, _STT_OBJECT, _STT_FUNC, _STT_FILE = 0, 1, 2, 4
_STB_LOCAL = 0
_SHN_LORESERVE, _SHN_ABS, _SHN_XINDEX = 0xFF00, 0xFFF1, 0xFFFF
_SHF_WRITE, _SHF_ALLOC, _SHF_EXECINSTR = 1, 2, 4
_MAX_SYMTAB = 1 << 29


@dataclass(frozen=True, slots=True)
class Section:
    """
    A section of the file.

    :ivar address: 0 in relocatable files.
    :ivar size: bytes.
    :ivar code: executable and not writable; 7.x marks .data executable, too.
    """

    name: str
    address: int
    size: int
    alloc: bool
    code: bool


@dataclass(frozen=True, slots=True)
class DataSymbol:
    """
    A symbol that is not code.

    :ivar value: address (linked file) or offset in its section (relocatable file).
    :ivar size: ``st_size`` in bytes; 0 for symbols made in assembly or by the linker script.
    :ivar section: index into :attr:`ElfSymbols.sections`; -1 for an absolute symbol.
    :ivar file: last component of the source file's path for a local symbol, else "".
    :ivar typed: the symbol is an STT_OBJECT, what compilers emit for variables.
    """

    name: str
    value: int
    size: int
    section: int
    is_local: bool
    file: str
    typed: bool


@dataclass(frozen=True, slots=True)
class ElfSymbols:
    """What one ELF file says of its data symbols."""

    is_relocatable: bool
    machine: str
    sections: tuple[Section, ...]
    symbols: tuple[DataSymbol, ...]


@contextmanager
def open_elf(path: Path) -> Iterator[ELFFile]:
    """
    Open an ELF file with pyelftools.

    :raises ImageError: it cannot be read as ELF.
    """
    try:
        with path.open("rb") as file:
            yield ELFFile(file)
    except (ELFError, OSError) as e:
        raise ImageError(f"{path}: not a readable ELF file: {e}") from e


def read_symbols(path: Path) -> ElfSymbols:
    """
    Read the data symbols of an ELF file.

    :raises ImageError: not ELF, or it has no symbol table.
    """
    with open_elf(path) as elf:
        sections = tuple(
            Section(
                s.name,
                s["sh_addr"],
                s["sh_size"],
                bool(s["sh_flags"] & _SHF_ALLOC),
                s["sh_flags"] & (_SHF_EXECINSTR | _SHF_WRITE) == _SHF_EXECINSTR,
            )
            for s in elf.iter_sections()
        )
        symtab = elf.get_section_by_name(".symtab")
        if symtab is None or symtab["sh_size"] > _MAX_SYMTAB:
            raise ImageError(
                f"{path}: no .symtab; the file with DWARF is needed, not a stripped one"
            )
        strings = elf.get_section(symtab["sh_link"])
        if strings["sh_size"] > _MAX_SYMTAB:
            raise ImageError(f"{path}: string table of {strings['sh_size']} bytes")
        extended = next(
            (s.data() for s in elf.iter_sections() if s["sh_type"] == "SHT_SYMTAB_SHNDX"), b""
        )
        order = "<" if elf.little_endian else ">"
        symbols = tuple(
            _data_symbols(
                symtab.data(), strings.data(), sections, order, elf.elfclass == 64, extended
            )
        )
        return ElfSymbols(elf["e_type"] == "ET_REL", elf["e_machine"], sections, symbols)


def _data_symbols(
    table: bytes,
    strings: bytes,
    sections: tuple[Section, ...],
    order: str,
    is_64: bool,
    extended: bytes,
) -> Iterator[DataSymbol]:
    entry = struct.Struct(order + ("IBBHQQ" if is_64 else "IIIBBH"))
    usable = len(table) - len(table) % entry.size
    file = ""
    for index, fields in enumerate(entry.iter_unpack(memoryview(table)[:usable])):
        if is_64:
            name_off, info, _, shndx, value, size = fields
        else:
            name_off, value, size, info, _, shndx = fields
        kind, binding = info & 0xF, info >> 4
        if kind == _STT_FILE:
            file = _string(strings, name_off).rpartition("/")[2]
            continue
        if kind not in (_STT_NOTYPE, _STT_OBJECT) or not name_off or not shndx:
            continue
        if shndx == _SHN_XINDEX:
            shndx = _extended_index(extended, index, order)
        if shndx < len(sections) and (shndx < _SHN_LORESERVE or extended):
            section = sections[shndx]
            if not section.alloc or section.code:
                continue
        elif shndx == _SHN_ABS:
            shndx = -1
        else:
            continue
        is_local = binding == _STB_LOCAL
        name = _string(strings, name_off)
        yield DataSymbol(
            name, value, size, shndx, is_local, file if is_local else "", kind == _STT_OBJECT
        )


def _extended_index(extended: bytes, index: int, order: str) -> int:
    at = index * 4
    if at + 4 > len(extended):
        return _SHN_XINDEX
    return int(struct.unpack_from(order + "I", extended, at)[0])


def _string(strings: bytes, offset: int) -> str:
    end = strings.find(b"\0", offset)
    return strings[offset : end if end >= 0 else len(strings)].decode("utf-8", "replace")


def build_id_of(path: Path) -> str:
    """Return the build id of an ELF file in hexadecimal, "" without one."""
    with open_elf(path) as elf:
        for section in elf.iter_sections():
            if not isinstance(section, NoteSection):
                continue
            for note in section.iter_notes():
                # Xen's notes have the same number.
                if note["n_name"] == "GNU" and note["n_type"] == "NT_GNU_BUILD_ID":
                    return str(note["n_desc"])
    return ""
