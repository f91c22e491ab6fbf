"""Variables that no name finds: by their place, or by a declaration.

Owns two searches of the DWARF of one file, for what drgn's index of names cannot give:

- *by place*: statics of functions (``count.3``), and statics that share name and file
  name with others (``core.c`` is the name of many files). The address stands in the
  entry's location as it is, so all entries are found by one search for bytes; where an
  entry begins follows from the abbreviations that can end in a location there.
- *declared*: symbols of assembly and of the linker script, whose type only an
  ``extern`` declaration tells, found by where its name is in ``.debug_str``.

An entry found so counts only if its name is the symbol's.

Facts: DWARF 5, 2.6.1.1.2 (``DW_OP_addr``), 4.1 (variables); the kernel's
arch/x86/boot/startup/Makefile (``--prefix-symbols``). GCC appends ``.N`` to the symbol of
a function's static.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import drgn
from drgn import Program

from btfdbg.cdecl import CDeclError, format_type
from btfdbg.errors import DebugInfoError
from btfdbg.leb128 import uleb_bytes
from btfdbg.varextract import dies
from btfdbg.varextract.dies import Die, Dies, Unit
from btfdbg.varextract.dwarftypes import DwarfTypes
from btfdbg.varextract.elfsyms import DataSymbol, ElfSymbols
from btfdbg.varextract.extract import Image, Row, load_file
from btfdbg.variables.convert import describe

_VARIABLE = 0x34
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
        self._types = DwarfTypes(file, prog)
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
            uleb_bytes(code)
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
            text = format_type(describe(self._types.type(at)))
            return Found(name, text, self._types.size(at))
        except (DebugInfoError, CDeclError, drgn.BadDataError, ValueError, TypeError):
            return None


def _agreed(several: dict[str, Found]) -> Found | None:
    sized = [found for found in several.values() if found.size]
    unsized = [found for found in several.values() if not found.size]
    if len(sized) == 1 and all(_is_open(found, sized[0]) for found in unsized):
        return sized[0]
    return unsized[0] if not sized and len(unsized) == 1 else None


def _is_open(found: Found, whole: Found) -> bool:
    """Whether a type is another without its outermost length."""
    return found.type == re.sub(r"\[\d+\]", "[]", whole.type, count=1)
