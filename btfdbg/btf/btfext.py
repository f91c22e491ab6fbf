"""The .BTF.ext section of a BPF object: function and line information, CO-RE relocations.

Owns the section's format. Its byte order is its own magic's, which may differ from that
of the .BTF beside it; strings and type ids are that BTF's.
Facts: Documentation/bpf/btf.rst, ".BTF.ext section"; include/uapi/linux/bpf.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum

from btfdbg.btf.btf import Btf, string_sections
from btfdbg.btf.format import MAGIC
from btfdbg.btf.header import ByteOrder
from btfdbg.btf.pack import pack_like
from btfdbg.btf.records import IdMap
from btfdbg.btf.string_table import StringTable
from btfdbg.errors import BtfFormatError
from btfdbg.lazy_dataclass import dataclass

_HEADER = "BBI4I"
_HEADER_LEN = 24
_HEADER_LEN_CORE = 32
_CHARS: dict[ByteOrder, str] = {"little": "<", "big": ">"}
# Of function, line and relocation records: the word that holds a type id (0 if none
# does), and those that hold a string.
_FIELDS = ((1, ()), (0, (1, 2)), (1, (2,)))


class CoreKind(IntEnum):
    """What a relocation asks of the running kernel's types, ``enum bpf_core_relo_kind``."""

    FIELD_BYTE_OFFSET = 0
    FIELD_BYTE_SIZE = 1
    FIELD_EXISTS = 2
    FIELD_SIGNED = 3
    FIELD_LSHIFT_U64 = 4
    FIELD_RSHIFT_U64 = 5
    TYPE_ID_LOCAL = 6
    TYPE_ID_TARGET = 7
    TYPE_EXISTS = 8
    TYPE_SIZE = 9
    ENUMVAL_EXISTS = 10
    ENUMVAL_VALUE = 11
    TYPE_MATCHES = 12


@dataclass(frozen=True, slots=True)
class CoreRelo:
    """
    A CO-RE relocation.

    :ivar section: Of the program that it is in.
    :ivar insn_off: Byte offset of the instruction in that section.
    :ivar type_id: Type of the object's own BTF that the access starts from.
    :ivar access: Indexes of members, elements or enumerators, joined by colons.
    """

    section: str
    insn_off: int
    type_id: int
    access: str
    kind: CoreKind


@dataclass(frozen=True, slots=True)
class FuncInfo:
    section: str
    insn_off: int
    type_id: int


@dataclass(frozen=True, slots=True)
class LineInfo:
    """Source line of an instruction; ``column`` counts from 1, 0 if it is not known."""

    section: str
    insn_off: int
    file: str
    text: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class BtfExt:
    byteorder: str
    funcs: tuple[FuncInfo, ...]
    lines: tuple[LineInfo, ...]
    core_relos: tuple[CoreRelo, ...]


def _header(data: bytes) -> tuple[ByteOrder, int, list[int]]:
    """Return byte order, header length, and offset and length of each subsection."""
    if len(data) < _HEADER_LEN:
        raise BtfFormatError(
            f".BTF.ext header at 0x0: needs {_HEADER_LEN} bytes, data has {len(data)}", offset=0
        )
    order: ByteOrder
    if data[:2] == MAGIC.to_bytes(2, "little"):
        order, char = "little", "<"
    elif data[:2] == MAGIC.to_bytes(2, "big"):
        order, char = "big", ">"
    else:
        raise BtfFormatError(f".BTF.ext header at 0x0: magic bytes {data[:2].hex()}", offset=0)
    version, _flags, hdr_len, *sections = struct.unpack_from(char + _HEADER, data, 2)
    if version != 1:
        raise BtfFormatError(f".BTF.ext header at 0x2: version {version}, expected 1", offset=2)
    if not _HEADER_LEN <= hdr_len <= len(data):
        raise BtfFormatError(f".BTF.ext header at 0x4: hdr_len is {hdr_len}", offset=4)
    if hdr_len >= _HEADER_LEN_CORE:
        sections += struct.unpack_from(char + "2I", data, _HEADER_LEN)
    return order, hdr_len, sections


def parse_ext(data: bytes, btf: Btf) -> BtfExt:
    """
    Read a .BTF.ext section.

    :param btf: The .BTF of the same object.
    :raises BtfFormatError: it is malformed, or refers to what the BTF does not have.
    """
    order, hdr_len, sections = _header(data)
    char = _CHARS[order]
    reader = _Reader(data, hdr_len, char, btf)
    funcs = tuple(
        FuncInfo(name, off, reader.type_id(type_id))
        for name, (off, type_id) in reader.records(sections[0], sections[1], 2)
    )
    lines = tuple(
        LineInfo(name, off, reader.string(file), reader.string(text), at >> 10, at & 0x3FF)
        for name, (off, file, text, at) in reader.records(sections[2], sections[3], 4)
    )
    relos: tuple[CoreRelo, ...] = ()
    if len(sections) > 4:
        relos = tuple(
            CoreRelo(
                name, off, reader.type_id(type_id), reader.string(access), reader.core_kind(kind)
            )
            for name, (off, type_id, access, kind) in reader.records(sections[4], sections[5], 4)
        )
    return BtfExt(order, funcs, lines, relos)


def move_ext(data: bytes, old: Btf, new: Btf, ids: IdMap) -> tuple[bytes, Btf]:
    """
    Make a .BTF.ext section refer to another BTF than it did.

    :param old: What it refers to.
    :param new: What it shall refer to.
    :param ids: New type id for each old one.
    :return: The section, of the same length, and ``new`` with the strings that only the
        section uses.
    :raises BtfFormatError: as :func:`parse_ext`.
    """
    parse_ext(data, old)  # from here on all of it is in bounds
    order, hdr_len, sections = _header(data)
    word = struct.Struct(_CHARS[order] + "I")
    out = bytearray(data)
    strings = StringTable(string_sections(new.base), new.strings.data)

    def read(at: int) -> int:
        return int(word.unpack_from(out, at)[0])

    def move_string(at: int) -> None:
        word.pack_into(out, at, strings.add(old.string_bytes(read(at))))

    for offset, length, (id_word, string_words) in zip(
        sections[::2], sections[1::2], _FIELDS, strict=False
    ):
        at = hdr_len + offset
        end = at + length
        size = read(at) if length else 0
        at += 4
        while at < end:
            move_string(at)
            count = read(at + 4)
            at += 8
            for record in range(at, at + count * size, size):
                if id_word:
                    word.pack_into(out, record + 4 * id_word, ids[read(record + 4 * id_word)])
                for number in string_words:
                    move_string(record + 4 * number)
            at += count * size
    return bytes(out), Btf.parse(pack_like(new, new.words, strings.data), new.base)


class _Reader:
    def __init__(self, data: bytes, start: int, char: str, btf: Btf) -> None:
        self.data = data
        self.start = start
        self.char = char
        self.btf = btf

    def records(
        self, offset: int, length: int, words: int
    ) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield section name and the first words of each record of a subsection."""
        if not length:
            return
        at = self.start + offset
        end = at + length
        if end > len(self.data) or offset % 4:
            raise BtfFormatError(
                f".BTF.ext subsection {offset:#x}+{length:#x}: "
                f"{len(self.data) - self.start:#x} bytes after the header",
                offset=min(at, len(self.data)),
            )
        size = self._words(at, end, 1)[0]
        at += 4
        if size < 4 * words or size % 4:
            raise BtfFormatError(
                f".BTF.ext at {at - 4:#x}: record size {size}, expected at least {4 * words}",
                offset=at - 4,
            )
        while at < end:
            name_off, count = self._words(at, end, 2)
            at += 8
            if count * size > end - at:
                raise BtfFormatError(
                    f".BTF.ext at {at:#x}: {count} records of {size} bytes, {end - at} left",
                    offset=at,
                )
            name = self.string(name_off)
            for _ in range(count):
                yield name, self._words(at, end, words)
                at += size

    def _words(self, at: int, end: int, count: int) -> tuple[int, ...]:
        if at + 4 * count > end:
            raise BtfFormatError(
                f".BTF.ext at {at:#x}: needs {4 * count} bytes, {end - at} left", offset=at
            )
        return struct.unpack_from(f"{self.char}{count}I", self.data, at)

    def string(self, offset: int) -> str:
        return self.btf.string(offset)

    def type_id(self, type_id: int) -> int:
        if type_id >= self.btf.type_cnt:
            raise BtfFormatError(
                f".BTF.ext refers to type {type_id}, last type is {self.btf.type_cnt - 1}"
            )
        return type_id

    def core_kind(self, kind: int) -> CoreKind:
        try:
            return CoreKind(kind)
        except ValueError:
            raise BtfFormatError(f".BTF.ext has a relocation of unknown kind {kind}") from None
