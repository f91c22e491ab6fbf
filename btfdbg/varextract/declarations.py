"""Where the functions of one file are declared: address → source file and line, by DWARF.

Owns the walk over the entries that stand at the top of each unit (a kernel's functions
do; those of Rust stand in namespaces), the addresses of their code, and the file names of
the line tables' headers. All else of an entry is stepped over by its abbreviation: a
kernel has ten million of these entries.

Knows nothing of symbols: an address here is where code begins, the cold part of a
function included.

Facts: DWARF 5, 3.3.1 (subroutine entries), 2.17.3 and 7.25 (range lists), 6.2.4 (header
of a line table); DWARF 4, 2.17.3 and 6.2.4 for the older forms. GNU as writes entries of
assembly functions without a file: they are in the file that their unit is named after.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

from elftools.elf.elffile import ELFFile

from btfdbg.errors import DebugInfoError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.varextract.dies import (
    ABSTRACT_ORIGIN,
    DECLARATION,
    SIBLING,
    SPECIFICATION,
    Abbrev,
    Die,
    Dies,
    Unit,
    uleb,
)
from btfdbg.varextract.elfsyms import open_elf

_COMPILE_UNIT, _SUBPROGRAM, _NAMESPACE, _PARTIAL_UNIT = 0x11, 0x2E, 0x39, 0x3C
_STMT_LIST, _LOW_PC, _COMP_DIR, _DECL_FILE, _DECL_LINE, _RANGES = 0x10, 0x11, 0x1B, 0x3A, 0x3B, 0x55
_FORM_ADDR, _FORM_STRING, _FORM_REF4, _FORM_LINE_STRP, _FORM_STRP = 0x01, 0x08, 0x13, 0x1F, 0x0E
_CONTAINERS = (_COMPILE_UNIT, _NAMESPACE, _PARTIAL_UNIT)
_MAX_RANGES = 1 << 12
_MAX_FILES = 1 << 16
_MAX_ORIGINS = 8

Address = tuple[int, int]
"""Section and offset in it (relocatable file), or -1 and address."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """
    :ivar file: as the compiler was told it, joined with its folder.
    :ivar line: 0 for a function of assembly.
    """

    file: str
    line: int


class Declarations(Dies):
    """
    The functions of one file.

    :raises DebugInfoError: there is no DWARF that can be read here.
    :raises ImageError: not an ELF file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._range_targets: dict[int, Address] = {}
        with open_elf(path) as elf:
            self._line = self._section(elf, ".debug_line", path, needed=False)
            self._lists = self._ranges_of(elf, ".debug_rnglists", path)
            self._pairs = b"" if self._lists else self._ranges_of(elf, ".debug_ranges", path)
        self._tables: dict[int, list[str]] = {}
        self._strides: dict[int, dict[int, _Stride]] = {}
        self._code: list[tuple[Address, Unit]] | None = None
        self._bodiless: dict[int, dict[str, Declaration | None]] = {}

    def _ranges_of(self, elf: ELFFile, name: str, path: Path) -> bytes:
        before, self.targets = self.targets, {}
        data = self._section(elf, name, path, needed=False, keep=True)
        self._range_targets.update(self.targets)
        self.targets = before
        return data

    def all(self) -> dict[Address, Declaration]:
        """Return where each piece of code is declared, by where it begins."""
        found: dict[Address, Declaration] = {}
        for unit in self.units:
            try:
                self._of_unit(unit, found)
            except (DebugInfoError, struct.error, IndexError):
                continue  # one damaged unit is no reason to lose the others
        return found

    def of_folded(self, address: Address, name: str) -> Declaration | None:
        """
        Return where a function is declared whose own entry has no code.

        GCC's folding of identical functions (gcc/ipa-icf.cc) leaves a jump under the name
        of the one that is gone. The line table gives that jump the line at which the
        compiler stood when it had read the file.

        :param address: where the code begins, which says what unit it is of.
        :return: None if the unit defines no such function, or several.
        """
        if self._code is None:
            self._code = sorted(self._unit_code(), key=lambda pair: pair[0])
        number = bisect_right(self._code, address, key=lambda pair: pair[0]) - 1
        if number < 0 or self._code[number][0][0] != address[0]:
            return None
        unit = self._code[number][1]
        if unit.offset not in self._bodiless:
            self._bodiless[unit.offset] = self._without_code(unit)
        return self._bodiless[unit.offset].get(name)

    def _unit_code(self) -> Iterator[tuple[Address, Unit]]:
        """Where each piece of the units' code begins."""
        for unit in self.units:
            try:
                head = self.die(unit.first)
                if head is not None:
                    for start in self._starts_of(head, self._address(head, _LOW_PC)):
                        yield start, unit
            except (DebugInfoError, struct.error, IndexError):
                continue

    def _without_code(self, unit: Unit) -> dict[str, Declaration | None]:
        """Functions that a unit defines without code; None for a name that it has twice."""
        found: dict[str, Declaration | None] = {}
        head = self.die(unit.first)
        if head is None:
            return found
        try:
            for at in self._functions(unit, head, with_code=False):
                die = self.die(at)
                if die is None or DECLARATION in die.values or _DECL_FILE not in die.values:
                    continue
                name = self.name(die)
                declared = self._declared(die, head)
                found[name] = declared if found.get(name, declared) == declared else None
        except (DebugInfoError, struct.error, IndexError):
            return {}
        return found

    def _of_unit(self, unit: Unit, found: dict[Address, Declaration]) -> None:
        head = self.die(unit.first)
        if head is None:
            return
        base = self._address(head, _LOW_PC)
        for at in self._functions(unit, head):
            die = self.die(at)
            if die is None:
                continue
            starts = self._starts_of(die, base)
            if starts:
                declared = self._declared(die, head)
                for start in starts:
                    found.setdefault(start, declared)

    def _functions(self, unit: Unit, head: Die, *, with_code: bool = True) -> Iterator[int]:
        """Offsets of the functions' entries, in one pass over the unit's top."""
        strides = self._strides.get(unit.abbrevs_at)
        if strides is None or unit.version != 5:
            strides = {c: _Stride(a, unit) for c, a in self.abbrevs(unit).items()}
            self._strides[unit.abbrevs_at] = strides
        info, at, end, start = self.info, head.end, unit.end, unit.offset
        ref4 = struct.Struct(self.order + "I").unpack_from
        while at < end:
            code = info[at]
            place = at + 1
            if code >= 0x80:
                code, place = uleb(info, at)
            if not code:  # the end of a namespace, or of the unit
                at = place
                continue
            stride = strides[code]
            if stride.tag == _SUBPROGRAM and stride.has_code == with_code:
                yield at
            if stride.sibling >= 0:
                at = start + ref4(info, place + stride.sibling)[0]
            elif stride.size >= 0 and stride.steps_over:
                at = place + stride.size
            else:
                die = self.die(at)
                if die is None:
                    return
                at = die.end if stride.steps_over else self._behind(die)

    def _address(self, die: Die, attribute: int) -> Address | None:
        place = die.places.get(attribute)
        if place is None or die.forms[attribute] != _FORM_ADDR:
            return None
        return self.targets.get(place, (-1, die.values[attribute]))

    def _starts_of(self, die: Die, base: Address | None) -> list[Address]:
        start = self._address(die, _LOW_PC)
        if _RANGES not in die.values:
            return [] if start is None else [start]
        # With ranges, a unit's DW_AT_low_pc is but what they are relative to.
        at = die.values[_RANGES]
        if self._lists:
            return list(self._list(at, die.unit, base))
        return list(self._old_list(at, die.unit, base))

    def _list(self, at: int, unit: Unit, base: Address | None) -> Iterator[Address]:
        """Starts in a range list of DWARF 5."""
        data, size = self._lists, unit.address_size
        for _ in range(_MAX_RANGES):
            kind = data[at]
            at += 1
            if kind == 0:  # DW_RLE_end_of_list
                return
            if kind == 5:  # DW_RLE_base_address
                base, at = self._read_address(data, at, size), at + size
            elif kind == 4:  # DW_RLE_offset_pair
                offset, at = uleb(data, at)
                _, at = uleb(data, at)
                if base is not None:
                    yield base[0], base[1] + offset
            elif kind in (6, 7):  # DW_RLE_start_end, DW_RLE_start_length
                yield self._read_address(data, at, size)
                at += size
                at = at + size if kind == 6 else uleb(data, at)[1]
            else:
                return  # indexed forms: of split DWARF

    def _old_list(self, at: int, unit: Unit, base: Address | None) -> Iterator[Address]:
        """Starts in a range list of DWARF 4: pairs relative to the unit's base."""
        data, size = self._pairs, unit.address_size
        highest = (1 << size * 8) - 1
        for _ in range(_MAX_RANGES):
            start, end = (
                self._read_address(data, at, size),
                self._read_address(data, at + size, size),
            )
            at += 2 * size
            if not start[1] and not end[1] and start[0] == end[0] == -1:
                return
            if start[1] == highest:
                base = end
            elif start[0] >= 0 or base is None:
                yield start
            else:
                yield base[0], base[1] + start[1]

    def _read_address(self, data: bytes, at: int, size: int) -> Address:
        (value,) = struct.unpack_from(self.order + ("Q" if size == 8 else "I"), data, at)
        return self._range_targets.get(at, (-1, value))

    # Files

    def _declared(self, die: Die, head: Die) -> Declaration:
        line = 0
        for _ in range(_MAX_ORIGINS):
            line = line or die.values.get(_DECL_LINE, 0)
            if _DECL_FILE in die.values:
                unit_head = head if die.unit is head.unit else self.die(die.unit.first)
                files = [] if unit_head is None else self._files(unit_head)
                number = die.values[_DECL_FILE]
                return Declaration(files[number] if number < len(files) else "", line)
            origin = die.values.get(ABSTRACT_ORIGIN, die.values.get(SPECIFICATION))
            other = None if origin is None else self.die(origin)
            if other is None:
                break
            die = other
        return Declaration(self.name(head), 0)

    def _files(self, head: Die) -> list[str]:
        at = head.values.get(_STMT_LIST)
        if at is None:
            return []
        found = self._tables.get(at)
        if found is None:
            try:
                found = list(self._read_files(at, head))
            except (DebugInfoError, struct.error, IndexError):
                found = []
            self._tables[at] = found
        return found

    def _read_files(self, at: int, head: Die) -> Iterator[str]:
        """File names of a line table, by number."""
        data, order = self._line, self.order
        (length,) = struct.unpack_from(order + "I", data, at)
        wide = length == 0xFFFFFFFF
        at += 12 if wide else 4
        (version,) = struct.unpack_from(order + "H", data, at)
        at += 2 + (2 if version >= 5 else 0) + (8 if wide else 4)
        at += 1 + (version >= 4) + 3  # instruction lengths, is_stmt, line base and range
        at += data[at]  # opcode base, and as many lengths, less one
        folder = self._text(head, _COMP_DIR)
        if version >= 5:
            folders, at = self._entries(at, wide)
            files, at = self._entries(at, wide)
            names = [name for name, _ in folders]
            for name, number in files:
                yield _join(names[number] if number < len(names) else "", name, folder)
            return
        names = [folder, *_strings(data, at)]
        at = _behind_strings(data, at)
        yield ""
        for _ in range(_MAX_FILES):
            if not data[at]:
                return
            end = data.index(b"\0", at)
            name = data[at:end].decode("utf-8", "replace")
            number, at = uleb(data, end + 1)
            _, at = uleb(data, at)
            _, at = uleb(data, at)
            yield _join(names[number] if number < len(names) else "", name, folder)

    def _entries(self, at: int, wide: bool) -> tuple[list[tuple[str, int]], int]:
        """Folders or files of a DWARF 5 header: (name, number of the folder)."""
        data = self._line
        count, at = data[at], at + 1
        formats = []
        for _ in range(count):
            content, at = uleb(data, at)
            form, at = uleb(data, at)
            formats.append((content, form))
        total, at = uleb(data, at)
        found = []
        for _ in range(min(total, _MAX_FILES)):
            name, folder = "", 0
            for content, form in formats:
                value, at = self._header_value(form, at, wide)
                if content == 1:  # DW_LNCT_path
                    name = value if isinstance(value, str) else ""
                elif content == 2 and isinstance(value, int):  # DW_LNCT_directory_index
                    folder = value
            found.append((name, folder))
        return found, at

    def _header_value(self, form: int, at: int, wide: bool) -> tuple[str | int, int]:
        data, size = self._line, 8 if wide else 4
        if form in (_FORM_LINE_STRP, _FORM_STRP):
            offset = int.from_bytes(data[at : at + size], "little" if self.order == "<" else "big")
            strings = self.strings(form)
            end = strings.find(b"\0", offset)
            return strings[offset:end].decode("utf-8", "replace"), at + size
        if form == _FORM_STRING:
            end = data.index(b"\0", at)
            return data[at:end].decode("utf-8", "replace"), end + 1
        if form == 0x0F:  # DW_FORM_udata
            return uleb(data, at)
        widths = {0x0B: 1, 0x05: 2, 0x1E: 16}  # data1, data2, data16 (a checksum)
        width = widths.get(form, 4)
        order = "little" if self.order == "<" else "big"
        return int.from_bytes(data[at : at + width], order), at + width  # type: ignore[arg-type]

    def _text(self, die: Die, attribute: int) -> str:
        form = die.forms.get(attribute)
        if form is None:
            return ""
        data = self.info if form == _FORM_STRING else self.strings(form)
        offset = die.values[attribute]
        end = data.find(b"\0", offset)
        return data[offset:end].decode("utf-8", "replace") if end >= 0 else ""


class _Stride:
    """
    How to step over an entry.

    :ivar size: bytes of its attributes; -1 if that depends on them.
    :ivar sibling: where in them the offset of the next entry stands; -1 if nowhere.
    :ivar steps_over: what follows the attributes is the next entry, or one that counts.
    """

    __slots__ = ("has_code", "sibling", "size", "steps_over", "tag")

    def __init__(self, abbrev: Abbrev, unit: Unit) -> None:
        self.tag = abbrev.tag
        self.has_code = any(a in (_LOW_PC, _RANGES) for a, _, _ in abbrev.attributes)
        self.steps_over = not abbrev.has_children or abbrev.tag in _CONTAINERS
        self.sibling = -1
        size = 0
        for attribute, form, _ in abbrev.attributes:
            if attribute == SIBLING and form == _FORM_REF4 and not self.steps_over and size >= 0:
                self.sibling = size
            width = Dies.fixed_size(form, unit)
            size = -1 if width is None or size < 0 else size + width
        self.size = size


def _strings(data: bytes, at: int) -> Iterator[str]:
    while data[at]:
        end = data.index(b"\0", at)
        yield data[at:end].decode("utf-8", "replace")
        at = end + 1


def _behind_strings(data: bytes, at: int) -> int:
    while data[at]:
        at = data.index(b"\0", at) + 1
    return at + 1


def _join(folder: str, name: str, base: str) -> str:
    if name.startswith("/"):
        return name
    # The first folder is where the compiler ran: names in it are as they were given.
    return name if not folder or folder == base else f"{folder}/{name}"
