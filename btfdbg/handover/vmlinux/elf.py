"""An ELF file in the making: sections one after another, then headers.

Owns ELF's layout. Contents go to the file as they come, so that no more than one of them
is in memory.

Facts: the ELF specification (gABI), chapter 4.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import IntEnum, IntFlag
from itertools import chain
from typing import BinaryIO

from btfdbg.lazy_dataclass import dataclass

_EHDR, _SHDR = 64, 64
SYMBOL, RELA = 24, 24
"""Bytes of a row of .symtab, and of one of .rela."""
_ET_REL, _ET_EXEC, _EV_CURRENT, _ELFCLASS64 = 1, 2, 1, 2
SHN_ABS = 0xFFF1
MAX_SECTIONS = 0xFF00


class Type(IntEnum):
    """``SHT_*``."""

    PROGBITS = 1
    SYMTAB = 2
    STRTAB = 3
    RELA = 4
    NOTE = 7
    NOBITS = 8


class Flag(IntFlag):
    """``SHF_*``."""

    NONE = 0
    WRITE = 1
    ALLOC = 2
    EXECINSTR = 4
    STRINGS = 0x20
    INFO_LINK = 0x40


@dataclass(frozen=True, slots=True)
class _Section:
    name: str
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entsize: int


class Writer:
    """
    :param file: Open for writing, at its start, and seekable.
    :param machine: e_machine.
    :ivar prefix: The byte order, as :mod:`struct` has it.
    """

    def __init__(self, file: BinaryIO, machine: int, little_endian: bool) -> None:
        self._file = file
        self._machine = machine
        self._little = little_endian
        self.prefix = "<" if little_endian else ">"
        self._sections = [_Section("", 0, 0, 0, 0, 0, 0, 0, 0, 0)]
        self._segments: list[tuple[int, int, int, int, int]] = []
        file.write(bytes(_EHDR))
        self._at = _EHDR

    def __len__(self) -> int:
        return len(self._sections)

    def add(
        self,
        name: str,
        data: bytes | bytearray | Iterable[bytes] = b"",
        *,
        type_: int = Type.PROGBITS,
        flags: int = Flag.NONE,
        address: int = 0,
        size: int = 0,
        link: int = 0,
        info: int = 0,
        align: int = 1,
        entsize: int = 0,
    ) -> int:
        """
        Add a section and return its number.

        :param data: Its contents, whole or in parts, which are written as they come.
        :param size: Bytes of one without contents.
        """
        given = (data,) if isinstance(data, bytes | bytearray) else data
        parts = (part for part in given if part)
        first = next(parts, None)
        if first is not None:
            self._pad(max(align, 1))
        offset = self._at
        if type_ != Type.NOBITS:
            size = 0
            for part in chain(() if first is None else (first,), parts):
                self._file.write(part)
                size += len(part)
            self._at += size
        self._sections.append(
            _Section(name, type_, flags, address, offset, size, link, info, align, entsize)
        )
        return len(self._sections) - 1

    def _pad(self, align: int) -> None:
        pad = -self._at % align
        self._file.write(bytes(pad))
        self._at += pad

    def addresses(self) -> list[int]:
        """Address of each section so far."""
        return [section.address for section in self._sections]

    def size_of(self, section: int) -> int:
        """Bytes of a section."""
        return self._sections[section].size

    def add_segment(self, section: int) -> None:
        """Make a section a PT_LOAD segment of the same address."""
        s = self._sections[section]
        filed = 0 if s.type == Type.NOBITS else s.size
        access = 4 | (2 if s.flags & Flag.WRITE else 0) | (1 if s.flags & Flag.EXECINSTR else 0)
        self._segments.append((access, s.offset, s.address, filed, s.size))

    def finish(self, entry: int = 0, *, relocatable: bool = False) -> None:
        """
        Write the names of sections and all headers.

        :param relocatable: A file whose sections have no address yet, as a .ko.
        """
        names = bytearray(b"\0")
        places = []
        for section in self._sections:
            places.append(len(names) if section.name else 0)
            if section.name:
                names += section.name.encode() + b"\0"
        places.append(len(names))
        names += b".shstrtab\0"
        strings = self.add(".shstrtab", bytes(names), type_=Type.STRTAB)
        self._pad(8)
        headers = self._at
        pack = struct.Struct(self.prefix + "IIQQQQIIQQ").pack
        for place, s in zip(places, self._sections, strict=True):
            self._file.write(
                pack(
                    place, s.type, s.flags, s.address, s.offset, s.size, s.link, s.info,
                    s.align, s.entsize,
                )
            )  # fmt: skip
            self._at += _SHDR
        programs = self._at if self._segments else 0
        program = struct.Struct(self.prefix + "IIQQQQQQ").pack
        for access, offset, address, filed, size in self._segments:
            self._file.write(program(1, access, offset, address, address, filed, size, 1))
        self._file.seek(0)
        ident = b"\x7fELF" + bytes((_ELFCLASS64, 1 if self._little else 2, 1)) + bytes(9)
        self._file.write(
            ident
            + struct.pack(
                self.prefix + "HHIQQQIHHHHHH",
                _ET_REL if relocatable else _ET_EXEC, self._machine, _EV_CURRENT,
                entry, programs, headers, 0, _EHDR,
                56 if self._segments else 0, len(self._segments), _SHDR, len(self._sections),
                strings,
            )
        )  # fmt: skip
