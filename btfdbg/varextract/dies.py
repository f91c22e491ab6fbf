"""DWARF entries at given offsets: units, abbreviations, attributes.

Owns the reading of single entries out of ``.debug_info`` without walking it, which in
Python would take minutes for a kernel. Knows nothing of variables or types.

Sections of relocatable files are relocated first: plain absolute relocations of 4 and
8 bytes, which are all that the sections read here have.

Not read: type units, split DWARF, and the indexed forms of strings and addresses
(clang's DWARF 5): such entries have no name here.

Facts: DWARF Debugging Information Format, version 5, chapter 7 (data representation);
version 4 for the older unit header; gABI supplements for the relocation types.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile

from btfdbg.arch import by_elf
from btfdbg.errors import DebugInfoError
from btfdbg.varextract.elfsyms import open_elf

_MAX_SECTION = 4 << 30
_MAX_ABBREVS = 1 << 16
_MAX_ATTRIBUTES = 1 << 10
_MAX_ULEB = 10
_MAX_NAME = 4096
_MAX_TAILS = 64

# Attributes.
LOCATION, NAME, BYTE_SIZE, UPPER_BOUND = 0x02, 0x03, 0x0B, 0x2F
BIT_OFFSET, BIT_SIZE, CONST_VALUE, PROTOTYPED = 0x0C, 0x0D, 0x1C, 0x27
ABSTRACT_ORIGIN, COUNT, MEMBER_LOCATION = 0x31, 0x37, 0x38
DECLARATION, SPECIFICATION, TYPE, DATA_BIT_OFFSET = 0x3C, 0x47, 0x49, 0x6B
SIBLING = 0x01
REFERENCES = (ABSTRACT_ORIGIN, SPECIFICATION, TYPE, SIBLING)

_COMPILE, _PARTIAL = 1, 3
# Form → size in bytes, where that is fixed; "a" an address, "o" an offset into a section.
_FIXED: dict[int, int | str] = {
    0x01: "a",
    0x0B: 1,
    0x05: 2,
    0x06: 4,
    0x07: 8,
    0x0C: 1,
    0x0E: "o",
    0x10: "o",
    0x11: 1,
    0x12: 2,
    0x13: 4,
    0x14: 8,
    0x17: "o",
    0x19: 0,
    0x1C: 4,
    0x1D: "o",
    0x1E: 16,
    0x1F: "o",
    0x20: 8,
    0x21: 0,
    0x24: 8,
    0x25: 1,
    0x26: 2,
    0x27: 3,
    0x28: 4,
    0x29: 1,
    0x2A: 2,
    0x2B: 3,
    0x2C: 4,
}
_STRING, _SDATA, _REF_UDATA = 0x08, 0x0D, 0x15
STRP, _LINE_STRP, _FLAG_PRESENT, _IMPLICIT_CONST = 0x0E, 0x1F, 0x19, 0x21
_UNIT_REFERENCES = (0x11, 0x12, 0x13, 0x14, 0x15)
_ULEB_FORMS = (0x0F, 0x0D, 0x15, 0x1A, 0x1B, 0x22, 0x23)
_EXPRLOC, _BLOCK1, _BLOCK2, _BLOCK4, _BLOCK = 0x18, 0x0A, 0x03, 0x04, 0x09


@dataclass(frozen=True, slots=True)
class Abbrev:
    """
    :ivar attributes: (attribute, form, value of an implicit constant) of each.
    """

    tag: int
    has_children: bool
    attributes: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """
    A unit of ``.debug_info``.

    :ivar first: offset of its first entry.
    :ivar end: offset behind its last byte.
    """

    offset: int
    first: int
    end: int
    version: int
    address_size: int
    offset_size: int
    abbrevs_at: int


@dataclass(frozen=True, slots=True)
class Die:
    """
    One entry.

    :ivar values: attribute → number, flag, reference (offset in the section), or for
        a string its offset in its section.
    :ivar places: attribute → offset of its bytes.
    :ivar end: offset behind it, where its children begin.
    """

    at: int
    unit: Unit
    tag: int
    has_children: bool
    values: dict[int, int]
    places: dict[int, int]
    forms: dict[int, int]
    end: int


class Dies:
    """
    The DWARF of one file.

    :ivar units: in the order in which they lie.
    :ivar targets: of a relocatable file: where in ``.debug_info`` an address is →
        (index of the section that it is in, offset in it).
    :raises DebugInfoError: there is none that can be read here.
    :raises ImageError: not an ELF file.
    """

    def __init__(self, path: Path) -> None:
        self.targets: dict[int, tuple[int, int]] = {}
        with open_elf(path) as elf:
            self.order = "<" if elf.little_endian else ">"
            self.info = self._section(elf, ".debug_info", path)
            self._abbrev_data = self._section(elf, ".debug_abbrev", path)
            self._strings = {
                STRP: self._section(elf, ".debug_str", path, needed=False),
                _LINE_STRP: self._section(elf, ".debug_line_str", path, needed=False),
            }
        self.units = tuple(self._read_units())
        self._starts = [unit.offset for unit in self.units]
        self._abbrevs: dict[int, dict[int, Abbrev]] = {}

    def strings(self, form: int) -> bytes:
        """The section that strings of a form are in, empty if there is none."""
        return self._strings.get(form, b"")

    @staticmethod
    def fixed_size(form: int, unit: Unit) -> int | None:
        """Bytes of a form's values in ``.debug_info``; None if that depends on the value."""
        if form in (_IMPLICIT_CONST, _FLAG_PRESENT):
            return 0
        fixed = _FIXED.get(form)
        if isinstance(fixed, str):
            return unit.address_size if fixed == "a" else unit.offset_size
        return fixed

    def _section(
        self, elf: ELFFile, name: str, path: Path, *, needed: bool = True, keep: bool = False
    ) -> bytes:
        section = elf.get_section_by_name(name)
        if section is None or section["sh_type"] == "SHT_NOBITS":
            if needed:
                raise DebugInfoError(f"{path}: no {name}", step="extract")
            return b""
        if section["sh_size"] > _MAX_SECTION:
            raise DebugInfoError(f"{path}: {name} of {section['sh_size']} bytes", step="extract")
        data: bytes = section.data()
        rela = elf.get_section_by_name(f".rela{name}")
        if elf["e_type"] != "ET_REL" or rela is None:
            return data
        keep = keep or name == ".debug_info"
        return bytes(self._relocate(elf, bytearray(data), rela.data(), keep))

    def _relocate(self, elf: ELFFile, data: bytearray, table: bytes, keep: bool) -> bytearray:
        row = by_elf(elf["e_machine"])
        sizes = {} if row is None else row.absolute
        symbols = elf.get_section_by_name(".symtab")
        if symbols is None or elf.elfclass != 64:
            return data
        entries = list(struct.iter_unpack(self.order + "IBBHQQ", _whole(symbols.data(), 24)))
        packs = {n: struct.Struct(self.order + code) for n, code in ((4, "I"), (8, "Q"))}
        for offset, info, addend in struct.iter_unpack(self.order + "QQq", _whole(table, 24)):
            size = sizes.get(info & 0xFFFFFFFF)
            number = info >> 32
            if size is None or number >= len(entries) or offset + size > len(data):
                continue
            _, _, _, section, value, _ = entries[number]
            target = value + addend
            packs[size].pack_into(data, offset, target & (1 << size * 8) - 1)
            if keep and size == 8:
                self.targets[offset] = (section, target)
        return data

    # Units and abbreviations

    def _read_units(self) -> Iterator[Unit]:
        data, order, at = self.info, self.order, 0
        while at + 12 <= len(data):
            (length,) = struct.unpack_from(order + "I", data, at)
            offset_size, start = 4, at + 4
            if length == 0xFFFFFFFF:
                (length,) = struct.unpack_from(order + "Q", data, at + 4)
                offset_size, start = 8, at + 12
            end = start + length
            if end > len(data) or length < 7:
                return
            unit = self._unit(at, start, end, offset_size)
            if unit is not None:
                yield unit
            at = end

    def _unit(self, at: int, start: int, end: int, offset_size: int) -> Unit | None:
        offset_code = "I" if offset_size == 4 else "Q"
        (version,) = struct.unpack_from(self.order + "H", self.info, start)
        try:
            if version >= 5:
                kind, address_size, abbrevs = struct.unpack_from(
                    self.order + "BB" + offset_code, self.info, start + 2
                )
                first = start + 4 + offset_size
            else:
                kind = _COMPILE
                abbrevs, address_size = struct.unpack_from(
                    self.order + offset_code + "B", self.info, start + 2
                )
                first = start + 3 + offset_size
        except struct.error:
            return None
        if kind not in (_COMPILE, _PARTIAL) or version < 3 or address_size not in (4, 8):
            return None
        return Unit(at, first, end, version, address_size, offset_size, abbrevs)

    def unit_of(self, at: int) -> Unit | None:
        """The unit that holds an offset of the section."""
        index = bisect_right(self._starts, at) - 1
        if index < 0 or not self.units[index].first <= at < self.units[index].end:
            return None
        return self.units[index]

    def abbrevs(self, unit: Unit) -> dict[int, Abbrev]:
        """
        The abbreviations of a unit, by code.

        :raises DebugInfoError: they cannot be read.
        """
        found = self._abbrevs.get(unit.abbrevs_at)
        if found is None:
            found = self._abbrevs[unit.abbrevs_at] = self._read_abbrevs(unit.abbrevs_at)
        return found

    def _read_abbrevs(self, at: int) -> dict[int, Abbrev]:
        found: dict[int, Abbrev] = {}
        data = self._abbrev_data
        for _ in range(_MAX_ABBREVS):
            code, at = uleb(data, at)
            if not code:
                return found
            tag, at = uleb(data, at)
            has_children = bool(_byte(data, at))
            at += 1
            attributes = []
            for _ in range(_MAX_ATTRIBUTES):
                attribute, at = uleb(data, at)
                form, at = uleb(data, at)
                constant = 0
                if form == _IMPLICIT_CONST:
                    constant, at = sleb(data, at)
                if not attribute and not form:
                    break
                attributes.append((attribute, form, constant))
            found[code] = Abbrev(tag, has_children, tuple(attributes))
        raise _damaged("too many abbreviations")

    # Entries

    def die(self, at: int) -> Die | None:
        """
        Return the entry at an offset; None for the mark that ends a list of children.

        :raises DebugInfoError: there is none that can be read.
        """
        unit = self.unit_of(at)
        if unit is None:
            raise _damaged(f"no entry at {at:#x}")
        code, place = uleb(self.info, at)
        if not code:
            return None
        abbrev = self.abbrevs(unit).get(code)
        if abbrev is None:
            raise _damaged(f"abbreviation {code} at {at:#x}")
        values: dict[int, int] = {}
        places: dict[int, int] = {}
        forms: dict[int, int] = {}
        for attribute, form, constant in abbrev.attributes:
            places[attribute] = place
            forms[attribute] = form
            value, place = self._value(unit, form, constant, place)
            values[attribute] = value
            if place > unit.end:
                raise _damaged(f"entry at {at:#x} runs out of its unit")
        return Die(at, unit, abbrev.tag, abbrev.has_children, values, places, forms, place)

    def _value(self, unit: Unit, form: int, constant: int, at: int) -> tuple[int, int]:
        """A value as a number (0 where it is none), and the offset behind it."""
        if form == _IMPLICIT_CONST:
            return constant, at
        if form == _FLAG_PRESENT:
            return 1, at
        fixed = _FIXED.get(form)
        if fixed is not None:
            size = fixed if isinstance(fixed, int) else unit.address_size
            if fixed == "o":
                size = unit.offset_size
            value = int.from_bytes(
                self.info[at : at + size], "little" if self.order == "<" else "big"
            )
            return (value + unit.offset if form in _UNIT_REFERENCES else value), at + size
        if form == _SDATA:
            return sleb(self.info, at)
        if form in _ULEB_FORMS:
            value, at = uleb(self.info, at)
            return (value + unit.offset if form == _REF_UDATA else value), at
        if form == _STRING:
            end = self.info.find(b"\0", at, at + _MAX_NAME)
            if end < 0:
                raise _damaged(f"string at {at:#x} does not end")
            return at, end + 1
        if form in (_EXPRLOC, _BLOCK):
            size, at = uleb(self.info, at)
            return 0, at + size
        widths = {_BLOCK1: 1, _BLOCK2: 2, _BLOCK4: 4}
        if form in widths:
            width = widths[form]
            order = "little" if self.order == "<" else "big"
            size = int.from_bytes(self.info[at : at + width], order)  # type: ignore[arg-type]
            return 0, at + width + size
        raise _damaged(f"form {form:#x} at {at:#x}")

    def name(self, die: Die) -> str:
        """An entry's own name, "" without one."""
        form = die.forms.get(NAME)
        if form is None:
            return ""
        data = self.info if form == _STRING else self._strings.get(form, b"")
        offset = die.values[NAME]
        end = data.find(b"\0", offset, offset + _MAX_NAME)
        return data[offset:end].decode("utf-8", "replace") if end >= 0 else ""

    def strings_at(self, name: str) -> list[int]:
        """Offsets in ``.debug_str`` where a name stands, if need be as another's end."""
        data, key = self._strings[STRP], name.encode() + b"\0"
        whole = data.find(b"\0" + key)
        if whole >= 0 or data.startswith(key):
            return [whole + 1]
        found: list[int] = []
        at = data.find(key)
        while at >= 0 and len(found) < _MAX_TAILS:
            found.append(at)
            at = data.find(key, at + 1)
        return found

    def children(self, die: Die, limit: int) -> Iterator[Die]:
        """
        Yield the children of an entry.

        :raises DebugInfoError: more than ``limit``, or damaged.
        """
        at = die.end
        for _ in range(limit if die.has_children else 0):
            child = self.die(at)
            if child is None:
                return
            yield child
            at = self._behind(child)
        if die.has_children:
            raise _damaged(f"entry at {die.at:#x} has more than {limit} children")

    def _behind(self, die: Die) -> int:
        """The offset behind an entry and all that is in it."""
        if not die.has_children:
            return die.end
        sibling = die.values.get(SIBLING, 0)
        if sibling > die.end:
            return sibling
        depth, at = 1, die.end
        while depth:
            inner = self.die(at)
            if inner is None:
                depth, at = depth - 1, at + 1
            else:
                depth, at = depth + inner.has_children, inner.end
        return at


def uleb(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number and the offset behind it."""
    value = shift = 0
    for place in range(at, min(at + _MAX_ULEB, len(data))):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place + 1
        shift += 7
    raise _damaged(f"number at {at:#x} does not end")


def sleb(data: bytes, at: int) -> tuple[int, int]:
    """A signed LEB128 number and the offset behind it."""
    value, end = uleb(data, at)
    bits = 7 * (end - at)
    return (value - (1 << bits) if value >> (bits - 1) & 1 else value), end


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise _damaged(f"nothing at {at:#x}")
    return data[at]


def _whole(data: bytes, size: int) -> memoryview:
    return memoryview(data)[: len(data) - len(data) % size]


def _damaged(what: str) -> DebugInfoError:
    return DebugInfoError(f"damaged DWARF: {what}", step="extract")
