"""Variables that no name finds: by their place, or by a declaration.

Owns two searches of the DWARF of one file, for what drgn's index of names cannot give:

- *by place*: statics of functions (``count.3``), and statics that share name and file
  name with others (``core.c`` is the name of many files). The address stands in the
  entry's location as it is, so all entries are found by one search for bytes; where an
  entry begins follows from the abbreviations that can end in a location there.
- *declared*: symbols of assembly and of the linker script, whose type only an
  ``extern`` declaration tells, found by where its name is in ``.debug_str``.

An entry found so counts only if its name is the symbol's.

Facts: DWARF 5, 2.6.1.1.2 (``DW_OP_addr``), 4.1 (variables), chapter 5 (types); the kernel's
arch/x86/boot/startup/Makefile (``--prefix-symbols``). GCC
appends ``.N`` to the symbol of a function's static.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import drgn
from drgn import Object, Program, Qualifiers, Type, TypeEnumerator, TypeMember, TypeParameter

from btfdbg.debuginfo.variables import dies
from btfdbg.debuginfo.variables.cdecl import CDeclError, format_type
from btfdbg.debuginfo.variables.convert import describe
from btfdbg.debuginfo.variables.dies import Die, Dies, Unit
from btfdbg.debuginfo.variables.elfsyms import DataSymbol, ElfSymbols
from btfdbg.debuginfo.variables.extract import Image, Row, load_file
from btfdbg.errors import DebugInfoError

_VARIABLE, _TYPEDEF, _BASE, _POINTER, _ARRAY = 0x34, 0x16, 0x24, 0x0F, 0x01
_STRUCT, _UNION, _ENUM, _FUNCTION = 0x13, 0x17, 0x04, 0x15
_SUBRANGE, _MEMBER, _PARAMETER, _VARIADIC, _ENUMERATOR = 0x21, 0x0D, 0x05, 0x18, 0x28
_QUALIFIERS = {
    0x26: Qualifiers.CONST,
    0x35: Qualifiers.VOLATILE,
    0x37: Qualifiers.RESTRICT,
    0x47: Qualifiers.ATOMIC,
}
_UNSPECIFIED = 0x3B
_TAGS = {_STRUCT: "struct", _UNION: "union", _ENUM: "enum"}
_MAX_DEPTH = 64
_MAX_CHILDREN = 1 << 16
# From an entry's start to its location: name, file, line, column and type before it.
_MAX_HEAD = 48
_MAX_DECLARATIONS = 8
_DW_OP_ADDR = 0x03
_PREFIX = "__pi_"
_SUFFIX = re.compile(r"\.\d+$")

Place = tuple[int, int]
"""Section and offset in it (relocatable file), or -1 and address."""


class Found:
    """What was found: the type in the notation of :mod:`.cdecl`, and its size in bytes."""

    __slots__ = ("name", "size", "type")

    def __init__(self, name: str, type_: str, size: int) -> None:
        self.name = name
        self.type = type_
        self.size = size


def more_rows(
    path: Path,
    image: Image,
    symbols: ElfSymbols,
    *,
    statics: bool = False,
    declared: bool = True,
) -> list[Row]:
    """
    Return rows for symbols that :func:`.extract.extract` found no variable for.

    :param image: what it found.
    :param symbols: of the same file.
    :param statics: also those of functions, under their symbols' names (``count.3``).
    :param declared: also symbols that only an ``extern`` declaration gives a type.
    :raises DebugInfoError: the DWARF cannot be read.
    """
    have = {(row.name, row.section, row.address) for row in image.rows}
    missing = [
        symbol
        for symbol in symbols.symbols
        if symbol.section >= 0
        and (symbol.name, symbols.sections[symbol.section].name, symbol.value) not in have
    ]
    by_place = [
        s
        for s in missing
        if s.typed and not s.name.startswith(".L") and (statics or not _SUFFIX.search(s.name))
    ]
    variables = DwarfVariables(Dies(path), load_file(path))
    found = variables.at(by_place, relocatable=symbols.is_relocatable)
    known = {row.name for row in image.rows} | {symbol.name for symbol in found}
    open_ = {s.name: s for s in missing if not s.is_local and s.name not in known}
    for name, variable in variables.declared(open_ if declared else ()).items():
        symbol = open_[name]
        # Where the assembler gave a size, the declaration must not say another.
        if not symbol.size or not variable.size or symbol.size == variable.size:
            found[symbol] = variable
    return [
        Row(
            symbol.name,
            variable.type,
            variable.size,
            symbol.value,
            symbols.sections[symbol.section].name,
            symbol.file,
            False,
        )
        for symbol, variable in found.items()
    ]


class DwarfVariables:
    """
    :param prog: has the same file's DWARF; types with a name are asked of it.
    """

    def __init__(self, file: Dies, prog: Program) -> None:
        self._dies = file
        self._prog = prog
        self._types: dict[int, Type] = {}
        self._variables: dict[int, frozenset[int]] = {}

    def at(self, symbols: Iterable[DataSymbol], *, relocatable: bool) -> dict[DataSymbol, Found]:
        """
        Return the variables at the places of symbols.

        A symbol is matched by its name with or without GCC's ``.N``, or without the
        ``__pi_`` that objcopy puts before those of code that runs before relocation.
        """
        wanted: dict[Place, list[DataSymbol]] = {}
        for symbol in symbols:
            section = symbol.section if relocatable else -1
            wanted.setdefault((section, symbol.value), []).append(symbol)
        found: dict[DataSymbol, Found] = {}
        for location, place in self._locations(wanted):
            for symbol in wanted[place]:
                if symbol in found:
                    continue
                names = {symbol.name, _SUFFIX.sub("", symbol.name)}
                names.add(symbol.name.removeprefix(_PREFIX))
                variable = self._ending_at(location, names)
                if variable is not None:
                    found[symbol] = variable
        return found

    def declared(self, names: Iterable[str]) -> dict[str, Found]:
        """
        Return variables that are only declared, where all declarations agree.

        Of declarations with and without an array's length, those with it count. Of
        thousands of declarations of one name some are enough.
        """
        keys = {
            struct.pack(self._dies.order + "I", offset): name
            for name in names
            for offset in self._dies.strings_at(name)
        }
        several: dict[str, list[Found]] = {}
        for unit in self._dies.units if keys else ():
            for at, name in self._named_in(unit, keys):
                known = several.setdefault(name, [])
                if len(known) < _MAX_DECLARATIONS:
                    described = self._declaration(at, name)
                    if described is not None:
                        known.append(described)
        agreed = {
            name: _agreed({found.type: found for found in known}) for name, known in several.items()
        }
        return {name: found for name, found in agreed.items() if found is not None}

    def _named_in(self, unit: Unit, keys: Mapping[bytes, str]) -> Iterator[tuple[int, str]]:
        """Where in a unit a declaration with one of the names may begin."""
        try:
            abbrevs = self._dies.abbrevs(unit)
        except DebugInfoError:
            return
        starts = [
            dies.uleb_bytes(code)
            for code, abbrev in abbrevs.items()
            if abbrev.tag == _VARIABLE
            and abbrev.attributes[:1] == ((dies.NAME, dies.STRP, 0),)
            and any(attribute == dies.DECLARATION for attribute, _, _ in abbrev.attributes)
        ]
        if not starts or unit.offset_size != 4:
            return
        pattern = re.compile(b"|".join(map(re.escape, starts)), re.DOTALL)
        info = self._dies.info
        for match in pattern.finditer(info, unit.first, unit.end):
            name = keys.get(info[match.end() : match.end() + 4])
            if name is not None:
                yield match.start(), name

    def _declaration(self, at: int, name: str) -> Found | None:
        try:
            die = self._dies.die(at)
            if die is None or not die.values.get(dies.DECLARATION) or self._name_of(die) != name:
                return None
        except DebugInfoError:
            return None  # no entry begins here
        return self._describe(die, name)

    def _locations(self, wanted: Mapping[Place, object]) -> Iterator[tuple[int, Place]]:
        """Where in ``.debug_info`` the location of something wanted is, and of what."""
        info = self._dies.info
        if self._dies.targets:
            for at, place in self._dies.targets.items():
                if place in wanted and info[at - 2 : at] == bytes((9, _DW_OP_ADDR)):
                    yield at - 2, place
            return
        address = struct.Struct(self._dies.order + "Q")
        for match in re.finditer(bytes((9, _DW_OP_ADDR)), info):
            if match.end() + address.size <= len(info):
                place = (-1, address.unpack_from(info, match.end())[0])
                if place in wanted:
                    yield match.start(), place

    def _ending_at(self, location: int, names: set[str]) -> Found | None:
        for die in self._around(location, dies.LOCATION, names):
            described = self._describe(die, self._dies.name(die))
            if described is not None:
                return described
        return None

    def _around(self, place: int, attribute: int, names: set[str]) -> Iterator[Die]:
        """Entries of variables whose attribute's bytes are at a place, and whose name fits."""
        unit = self._dies.unit_of(place)
        if unit is None:
            return
        try:
            codes = self._variable_codes(unit)
        except DebugInfoError:
            return
        for start in range(place - 1, max(place - _MAX_HEAD, unit.first - 1), -1):
            try:
                code, _ = dies.uleb(self._dies.info, start)
                if code not in codes:
                    continue
                die = self._dies.die(start)
                if die is None or die.places.get(attribute) != place:
                    continue
                if self._name_of(die) in names:
                    yield die
            except DebugInfoError:
                continue  # no entry begins here

    def _variable_codes(self, unit: Unit) -> frozenset[int]:
        found = self._variables.get(unit.abbrevs_at)
        if found is None:
            abbrevs = self._dies.abbrevs(unit)
            found = frozenset(code for code, a in abbrevs.items() if a.tag == _VARIABLE)
            self._variables[unit.abbrevs_at] = found
        return found

    def _name_of(self, die: Die) -> str:
        return self._dies.name(die) or self._dies.name(self._origin(die))

    def _origin(self, die: Die) -> Die:
        """What an entry completes: its declaration, or its abstract instance."""
        for attribute in (dies.SPECIFICATION, dies.ABSTRACT_ORIGIN):
            if attribute in die.values:
                origin = self._dies.die(die.values[attribute])
                if origin is not None:
                    return origin
        return die

    def _describe(self, die: Die, name: str) -> Found | None:
        at = die.values.get(dies.TYPE) or self._origin(die).values.get(dies.TYPE)
        if not at:
            return None
        try:
            text = format_type(describe(self._type(at, 0)))
            return Found(name, text, self._size(at, 0))
        except (DebugInfoError, CDeclError, drgn.BadDataError, ValueError, TypeError):
            return None

    # Types

    def _type(self, at: int, depth: int) -> Type:
        known = self._types.get(at)
        if known is None:
            if depth > _MAX_DEPTH:
                raise DebugInfoError(f"type at {at:#x}: nested too deep", step="extract")
            die = self._dies.die(at)
            if die is None:
                raise DebugInfoError(f"no type at {at:#x}", step="extract")
            known = self._types[at] = self._build(die, depth + 1)
        return known

    def _target(self, die: Die, depth: int) -> Type:
        at = die.values.get(dies.TYPE)
        return self._prog.void_type() if at is None else self._type(at, depth)

    def _build(self, die: Die, depth: int) -> Type:
        prog, tag = self._prog, die.tag
        if tag in _QUALIFIERS:
            target = self._target(die, depth)
            return target.qualified(target.qualifiers | _QUALIFIERS[tag])
        if tag == _POINTER:
            return prog.pointer_type(self._target(die, depth))
        if tag == _ARRAY:
            type_ = self._target(die, depth)
            for length in reversed(self._lengths(die)):
                type_ = prog.array_type(type_) if length is None else prog.array_type(type_, length)
            return type_
        if tag == _FUNCTION:
            return self._function(die, depth)
        if tag == _UNSPECIFIED:
            return prog.void_type()
        name = self._dies.name(die)
        if tag in _TAGS:
            if not name:
                return self._enum(die) if tag == _ENUM else self._record(die, depth)
            return self._named(f"{_TAGS[tag]} {name}", die, depth)
        if tag in (_BASE, _TYPEDEF):
            return self._named(name, die, depth)
        raise DebugInfoError(f"tag {tag:#x} at {die.at:#x} is no type", step="extract")

    def _named(self, name: str, die: Die, depth: int) -> Type:
        prog = self._prog
        try:
            return prog.type(name)
        except (LookupError, SyntaxError):
            pass
        if die.tag == _TYPEDEF:
            return prog.typedef_type(name, self._target(die, depth))
        if die.tag == _BASE:
            return prog.int_type(name, die.values.get(dies.BYTE_SIZE, 0), "unsigned" not in name)
        tag = name.partition(" ")[2]
        makers = {_STRUCT: prog.struct_type, _UNION: prog.union_type, _ENUM: prog.enum_type}
        return makers[die.tag](tag)

    def _lengths(self, die: Die) -> list[int | None]:
        """Lengths of an array's dimensions, outermost first; None where there is none."""
        found: list[int | None] = []
        for child in self._dies.children(die, _MAX_CHILDREN):
            if child.tag != _SUBRANGE:
                continue
            if dies.COUNT in child.values:
                found.append(child.values[dies.COUNT])
            elif dies.UPPER_BOUND in child.values:
                # -1 of [0], in whatever width it was written.
                bound = child.values[dies.UPPER_BOUND]
                found.append(0 if bound < 0 or bound >= 1 << 62 else bound + 1)
            else:
                found.append(None)
        return found or [None]

    def _function(self, die: Die, depth: int) -> Type:
        parameters, variadic = [], False
        for child in self._dies.children(die, _MAX_CHILDREN):
            if child.tag == _PARAMETER:
                parameters.append(TypeParameter(self._target(child, depth)))
            variadic = variadic or child.tag == _VARIADIC
        return self._prog.function_type(self._target(die, depth), parameters, variadic)

    def _enum(self, die: Die) -> Type:
        values = [
            TypeEnumerator(self._dies.name(child), child.values.get(dies.CONST_VALUE, 0))
            for child in self._dies.children(die, _MAX_CHILDREN)
            if child.tag == _ENUMERATOR
        ]
        signed = any(value.value < 0 for value in values)
        prog = self._prog
        return prog.enum_type(None, prog.type("int" if signed else "unsigned int"), values)

    def _record(self, die: Die, depth: int) -> Type:
        members = []
        for child in self._dies.children(die, _MAX_CHILDREN):
            if child.tag != _MEMBER:
                continue
            type_ = self._target(child, depth)
            name = self._dies.name(child) or None
            width = child.values.get(dies.BIT_SIZE)
            offset = self._member_offset(child, width)
            if width is None:
                members.append(TypeMember(type_, name, offset))
            else:
                value = Object(self._prog, type_, 0, bit_field_size=width)
                members.append(TypeMember(value, name, offset))
        make = self._prog.union_type if die.tag == _UNION else self._prog.struct_type
        return make(None, die.values.get(dies.BYTE_SIZE, 0), members)

    def _member_offset(self, member: Die, width: int | None) -> int:
        """Bits from the start of the record."""
        values = member.values
        if dies.DATA_BIT_OFFSET in values:
            return values[dies.DATA_BIT_OFFSET]
        offset = 8 * values.get(dies.MEMBER_LOCATION, 0)
        if width is None or dies.BIT_OFFSET not in values:
            return offset
        # DWARF 3: counted from the most significant bit of the unit.
        unit = 8 * (values.get(dies.BYTE_SIZE) or self._size(values.get(dies.TYPE, 0), 0))
        if self._dies.order == ">":
            return offset + values[dies.BIT_OFFSET]
        return offset + unit - values[dies.BIT_OFFSET] - width

    def _size(self, at: int, depth: int) -> int:
        """Size of a type in bytes, 0 if it is incomplete."""
        die = self._dies.die(at) if at and depth < _MAX_DEPTH else None
        if die is None or die.tag == _FUNCTION:
            return 0
        if dies.BYTE_SIZE in die.values:
            return die.values[dies.BYTE_SIZE]
        if die.tag == _POINTER:
            return die.unit.address_size
        size = self._size(die.values.get(dies.TYPE, 0), depth + 1)
        if die.tag == _ARRAY:
            for length in self._lengths(die):
                size *= length or 0
        return size


def _agreed(several: dict[str, Found]) -> Found | None:
    sized = [found for found in several.values() if found.size]
    unsized = [found for found in several.values() if not found.size]
    if len(sized) == 1 and all(_is_open(found, sized[0]) for found in unsized):
        return sized[0]
    return unsized[0] if not sized and len(unsized) == 1 else None


def _is_open(found: Found, whole: Found) -> bool:
    """Whether a type is another without its outermost length."""
    return found.type == re.sub(r"\[\d+\]", "[]", whole.type, count=1)
