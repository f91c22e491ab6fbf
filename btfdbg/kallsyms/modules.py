"""Symbols of loaded kernel modules, each module for itself.

Owns reading ``struct mod_kallsyms`` of a module when an address in that module,
or a name that nobody else has, is asked for. A module whose tables are damaged
loses its own symbols and no other's. Which modules there are: ``loaded.py``.

Facts: include/linux/module.h, ``struct mod_kallsyms``; kernel/module/kallsyms.c.
``typetab`` since 5.2, Linux kernel commit 1c7651f43777 ("kallsyms: store type
information in its own array"); before, the letter stood in ``st_info``. ELF
symbols: elf(5), ``Elf64_Sym``, 24 bytes.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import overload

from drgn import (
    FaultError,
    Object,
    PlatformFlags,
    Program,
    Symbol,
    SymbolBinding,
)

from btfdbg.errors import BtfdbgError, DebugInfoError
from btfdbg.kallsyms.choice import is_text
from btfdbg.kallsyms.loaded import LoadedModule, loaded_modules
from btfdbg.kallsyms.model import MAX_NAME, PAGE, Sym, text_of
from btfdbg.kallsyms.symbols import SymbolFinder, to_drgn
from btfdbg.vmcore.platforms import order_of

_MAX_MODULE_SYMBOLS = (1 << 20) - 1
_MAX_STRTAB = 1 << 26
# Bytes of all modules' names that are indexed; a host with 300 modules has 4 MB.
_MAX_NAMES = 1 << 26
# Names that are looked for in each module's strings, 12 us a module, before all are put in
# one index, 0.6 ms a module.
_INDEX_AFTER = 32
_NUMBER_BITS = 20
_MAX_NUMBER = (1 << _NUMBER_BITS) - 1
_SYM_BYTES = 24
_STB_GLOBAL = 1
_STB_WEAK = 2
_STT_OBJECT = 1
_CODE = b"tTwW"
_SHN_LORESERVE = 0xFF00  # from here on: absolute, common


Entry = tuple[int, int, int, int, int, int]
"""ELF symbol: name offset, info, other, section, value, size."""


class _Entries(Sequence[Entry]):
    """
    Symbols as they stand in memory, 24 bytes each, unpacked one by one.

    riscv64's modules have a symbol for each place of a relocation; as objects, those
    of sixty modules take half a gigabyte.
    """

    def __init__(self, data: bytes, order: str) -> None:
        self._data = data
        self._order = order
        self._format = struct.Struct(f"{order}IBBHQQ")

    def __len__(self) -> int:
        return len(self._data) // _SYM_BYTES

    def __iter__(self) -> Iterator[Entry]:
        return self._format.iter_unpack(self._data)

    def last_name(self) -> int:
        """The largest offset of a name."""
        found: int = max(struct.iter_unpack(self._order + "I20x", self._data))[0]
        return found

    def with_name(self, offset: int) -> Iterator[int]:
        """Numbers of the entries whose name stands at an offset."""
        word = struct.pack(self._order + "I", offset)
        at = self._data.find(word)
        while at >= 0:
            number, rest = divmod(at, _SYM_BYTES)
            if not rest:
                yield number
            at = self._data.find(word, at + 1)

    @overload
    def __getitem__(self, number: int, /) -> Entry: ...

    @overload
    def __getitem__(self, number: slice, /) -> list[Entry]: ...

    def __getitem__(self, number: int | slice, /) -> Entry | list[Entry]:
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        return self._format.unpack_from(self._data, number * _SYM_BYTES)


class ModuleTable:
    """
    Symbols of one module: its tables as read, decoded as far as is asked for.

    :ivar name: The module's.
    """

    def __init__(
        self,
        name: str,
        entries: _Entries,
        strings: bytes,
        letters: bytes,
        ranges: Sequence[tuple[int, int]] = (),
    ) -> None:
        """
        :param entries: ELF symbols: name offset, info, other, section, value, size.
        :param strings: Their names, NUL after each.
        :param letters: nm(1)'s letter of each; empty before 5.2.
        :param ranges: (start, end) of the module's memory.
        """
        self.name = name
        self._source = f"module {name}"
        self._entries = entries
        self._strings = strings
        self._letters = letters
        self._ranges = ranges
        self._sorted: tuple[list[int], list[int]] | None = None

    def __iter__(self) -> Iterator[Sym]:
        """All symbols, by address."""
        return map(self._sym, self._by_address()[0])

    def code(self) -> Iterator[Sym]:
        """Those of :meth:`__iter__` that are code, without making the others, which are most."""
        letters, entries = self._letters, self._entries
        for number in self._by_address()[0]:
            if not letters or letters[number] in _CODE or entries[number][1] >> 4 == _STB_WEAK:
                symbol = self._sym(number)
                if is_text(symbol):
                    yield symbol

    def by_address(self, address: int) -> Sym | None:
        """The symbol that holds an address; of several the one that starts last."""
        order, addresses = self._by_address()
        index = bisect_right(addresses, address) - 1
        # A symbol may end before the address and an earlier, larger one hold it.
        for i in range(index, max(-1, index - 16), -1):
            _, _, _, _, value, size = self._entries[order[i]]
            if value == address or address < value + size:
                return self._sym(order[i])
        return None

    def by_name(self, name: bytes) -> list[Sym]:
        """All symbols of that name."""
        places = set()
        key = name + b"\0"
        # The linker may store a name in the end of another, so no NUL before it.
        place = self._strings.find(key)
        while place >= 0:
            places.add(place)
            place = self._strings.find(key, place + 1)
        if not places:
            return []
        entries = self._entries
        numbers = (n for place in places if self._is_name(place) for n in entries.with_name(place))
        return [self._sym(number) for number in sorted(numbers) if entries[number][3]]

    def names(self, most: int) -> list[tuple[bytes, int]] | None:
        """
        Name and number of every symbol that can be found by name, by number.

        :param most: How many bytes the names may take in all; in made-up tables one can start
            at every byte of another.
        :return: ``None`` if they take more.
        """
        strings, is_name = self._strings, self._is_name
        names = []
        for number, (offset, _, _, section, _, _) in enumerate(self._entries):
            end = strings.find(0, offset, offset + MAX_NAME + 1) if section else -1
            if end >= 0 and is_name(offset):
                names.append((strings[offset:end], number))
                most -= end - offset
                if most < 0:
                    return None
        return names

    def numbered(self, number: int) -> Sym:
        """The symbol of a number of :meth:`names`."""
        return self._sym(number)

    def _by_address(self) -> tuple[list[int], list[int]]:
        """Numbers of the symbols in the order of their addresses, and those."""
        if self._sorted is None:
            # Undefined symbols (section 0) belong to somebody else.
            found = sorted(
                address << _NUMBER_BITS | number
                for number, (name, _, _, section, address, _) in enumerate(self._entries)
                if section and self._is_name(name)
            )
            self._sorted = (
                [both & _MAX_NUMBER for both in found],
                [both >> _NUMBER_BITS for both in found],
            )
        return self._sorted

    def _is_name(self, offset: int) -> bool:
        # 0 is no name; "$x" and ".L" mark places for tools, and name nothing.
        return (
            offset > 0
            and self._strings[offset : offset + 1] not in (b"$", b"\0", b"")
            and (self._strings[offset : offset + 2] != b".L")
        )

    def _sym(self, number: int) -> Sym:
        offset, info, _, section, value, size = self._entries[number]
        end = self._strings.find(b"\0", offset, offset + MAX_NAME)
        text = text_of(self._strings[offset : end if end >= 0 else offset + MAX_NAME])
        percpu = bool(self._ranges) and section < _SHN_LORESERVE
        if percpu:
            for start, end in self._ranges:
                if start <= value < end:
                    percpu = False
                    break
        letter = _letter(info, self._letters[number] if self._letters else None)
        return Sym(text, value, size, letter, percpu, self._source)


class ModuleSymbols:
    """
    Symbols of all loaded modules, read when needed.

    :ivar problems: Module name to what is wrong with its symbols.
    """

    def __init__(self, prog: Program, note: Callable[[str, str], None] | None = None) -> None:
        """
        :param prog: With a type finder for the kernel's types and its variable
            ``modules``.
        :param note: Called once for each module whose symbols cannot be read, with
            its name and what is wrong; with an empty name for the list of modules.
        """
        self._prog = prog
        self._note = note
        self._modules: list[LoadedModule] | None = None
        self._starts: list[int] = []
        self._ends: list[tuple[int, LoadedModule]] = []
        self._tables: dict[int, ModuleTable | None] = {}
        self._names: _NameIndex | None = None
        self._asked = 0
        self._busy = False
        self.problems: dict[str, str] = {}

    @property
    def busy(self) -> bool:
        """Whether a list or table is being read, so that nothing is found meanwhile."""
        return self._busy

    def by_address(self, address: int) -> Sym | None:
        """The symbol of a module that holds an address."""
        self._list()
        index = bisect_right(self._starts, address) - 1
        if index < 0:
            return None
        end, module = self._ends[index]
        table = self._table(module) if address < end else None
        return None if table is None else table.by_address(address)

    def by_name(self, name: str, module: str | None = None) -> tuple[Sym, ...]:
        """
        All symbols of that name.

        :param module: Of modules of this name alone, whose tables are all that is read; of any
            module if ``None``.
        """
        if not name or not name.isascii() or len(name) > MAX_NAME:
            return ()
        key = name.encode()
        if module is not None:
            named = [loaded for loaded in self._list() if loaded.name == module]
            tables = [table for loaded in named if (table := self._table(loaded))]
            return tuple(sym for table in tables for sym in table.by_name(key))
        if self._names is None and self._asked < _INDEX_AFTER:
            self._asked += 1
            tables = [table for loaded in self._list() if (table := self._table(loaded))]
            return tuple(sym for table in tables for sym in table.by_name(key))
        names = self._indexed()
        return () if names is None else names.by_name(key)

    def containing(self, part: str) -> Iterator[Sym]:
        """All symbols with a text in their names."""
        names = self._indexed() if part.isascii() else None
        return iter(()) if names is None else names.containing(part.encode())

    def _indexed(self) -> _NameIndex | None:
        if self._names is None:
            modules = self._list()
            tables = [table for module in modules if (table := self._table(module))]
            if self._busy or modules is not self._modules:
                return None  # a list that is being read: nothing is known yet
            self._names = _NameIndex(tables)
        return self._names

    def __iter__(self) -> Iterator[Sym]:
        for module in self._list():
            table = self._table(module)
            if table is not None:
                yield from table

    def modules(self) -> list[LoadedModule]:
        """The loaded modules, as far as the kernel's list of them can be followed."""
        return self._list()

    def table_of(self, module: LoadedModule) -> ModuleTable | None:
        """The symbols of one of :meth:`modules`; None if they cannot be read."""
        return self._table(module)

    def _list(self) -> list[LoadedModule]:
        if self._modules is not None:
            return self._modules
        if self._busy:
            # Walking the list looks up types and a variable, never module symbols.
            return []
        self._busy = True
        try:
            modules = loaded_modules(self._prog, lambda what: self._problem("", what))
        except (
            LookupError, FaultError, AttributeError, ValueError, TypeError, BtfdbgError,
        ) as error:  # fmt: skip
            modules = []
            self._problem("", f"the list of modules cannot be read: {error}")
        finally:
            self._busy = False
        ranges = sorted(
            ((start, end, number) for number, m in enumerate(modules) for start, end in m.ranges)
        )
        self._starts = [start for start, _, _ in ranges]
        self._ends = [(end, modules[number]) for _, end, number in ranges]
        self._modules = modules
        return modules

    def _table(self, module: LoadedModule) -> ModuleTable | None:
        """Symbols of one module; None if they cannot be read."""
        key = module.object.value_()
        if key in self._tables:
            return self._tables[key]
        if self._busy:
            return None
        self._busy = True
        table: ModuleTable | None = None
        try:
            table = load_module(module.object, module.ranges)
        except (DebugInfoError, FaultError, LookupError, AttributeError, ValueError) as error:
            self._problem(module.name, str(error))
        finally:
            self._busy = False
        self._tables[key] = table
        return table

    def _problem(self, module: str, what: str) -> None:
        self.problems[module] = what
        if self._note is not None:
            self._note(module, what)

    def finder(self) -> SymbolFinder:
        """Make a symbol finder for ``Program.register_symbol_finder()``."""

        def find(prog: Program, name: str | None, address: int | None, one: bool) -> list[Symbol]:
            if self._busy:
                return []
            if name is not None:
                syms = self.by_name(name)
                if address is not None:
                    syms = tuple(
                        sym
                        for sym in syms
                        if sym.address <= address <= sym.address + max(sym.size - 1, 0)
                    )
                return [_local(sym) for sym in (syms[:1] if one else syms)]
            if address is None:
                return [_local(sym) for sym in self]
            found = self.by_address(address)
            return [] if found is None else [_local(found)]

        return find


class _NameIndex:
    """
    Names of all modules' symbols in one dictionary.

    One that no module has is the common question: drgn's helpers probe for what a kernel has.
    """

    def __init__(self, tables: Sequence[ModuleTable]) -> None:
        self._tables = tables
        # Table and symbol of a name in one number, or of each that has it.
        self._found: dict[bytes, int | tuple[int, ...]] = {}
        # Tables with more names than are kept: these are always searched.
        self._large: list[ModuleTable] = []
        rest = _MAX_NAMES
        for place, table in enumerate(tables):
            names = table.names(rest)
            if names is None:
                self._large.append(table)
                continue
            rest -= sum(len(name) for name, _ in names)
            self._add(place << _NUMBER_BITS, names)

    def _add(self, place: int, names: Iterable[tuple[bytes, int]]) -> None:
        found = self._found
        for name, number in names:
            known = found.get(name)
            if known is None:
                found[name] = place | number
            else:
                others = known if isinstance(known, tuple) else (known,)
                found[name] = (*others, place | number)

    def by_name(self, name: bytes) -> tuple[Sym, ...]:
        """All symbols of a name, in the order of the modules."""
        found = self._found.get(name, ())
        places = found if isinstance(found, tuple) else (found,)
        if self._large:
            return self._by_search(name, {place >> _NUMBER_BITS for place in places})
        return tuple(
            self._tables[place >> _NUMBER_BITS].numbered(place & _MAX_NUMBER) for place in places
        )

    def containing(self, part: bytes) -> Iterator[Sym]:
        """Symbols with some bytes in their names, by module and its order of them."""
        places: list[int] = []
        for name, found in self._found.items():
            if part in name:
                places += found if isinstance(found, tuple) else (found,)
        for place in sorted(places):
            yield self._tables[place >> _NUMBER_BITS].numbered(place & _MAX_NUMBER)
        text = text_of(part)
        for table in self._large:
            yield from (sym for sym in table if text in sym.name)

    def _by_search(self, name: bytes, having: Container[int]) -> tuple[Sym, ...]:
        return tuple(
            sym
            for place, table in enumerate(self._tables)
            if place in having or table in self._large
            for sym in table.by_name(name)
        )


def load_module(module: Object, ranges: Sequence[tuple[int, int]] = ()) -> ModuleTable:
    """
    Read the symbols of a module.

    :param module: ``struct module *`` or ``struct module``.
    :param ranges: (start, end) of its memory; a symbol elsewhere is a per-CPU one.
    :raises DebugInfoError: counts or pointers that cannot be right.
    :raises drgn.FaultError: a table is not in the dump.
    :raises LookupError, AttributeError: this kernel has no such members.
    """
    prog = module.prog_
    platform = prog.platform
    if platform is None or not platform.flags & PlatformFlags.IS_64_BIT:
        raise _bad("symbols of modules are read on 64-bit kernels only")
    order = order_of(platform)
    name = text_of(module.name.string_()[:MAX_NAME])
    tables = module.kallsyms
    if not tables.value_():
        raise _bad(f"module {name}: no kallsyms")
    count = int(tables.num_symtab)
    if not 0 < count <= _MAX_MODULE_SYMBOLS:
        raise _bad(f"module {name}: {count} symbols, more than any module has")
    data = prog.read(tables.symtab.value_(), count * _SYM_BYTES)
    letters = b""
    if prog.type("struct mod_kallsyms").has_member("typetab"):
        letters = prog.read(tables.typetab.value_(), count)
    entries = _Entries(data, order)
    strings = _strings(prog, tables.strtab.value_(), entries.last_name(), name)
    return ModuleTable(name, entries, strings, letters, ranges)


def _local(sym: Sym) -> Symbol:
    """As :func:`to_drgn`; in a module, what is not global is local for certain."""
    return to_drgn(sym, SymbolBinding.LOCAL)


def _strings(prog: Program, address: int, last: int, module: str) -> bytes:
    """The string table up to the end of the string at offset ``last``."""
    if last >= _MAX_STRTAB:
        raise _bad(f"module {module}: a name at offset {last} of its strings")
    data: bytes = prog.read(address, last + 1)
    while len(data) <= last + MAX_NAME:
        place = address + len(data)
        data += prog.read(place, PAGE - place % PAGE)
        if b"\0" in data[last:]:
            return data
    raise _bad(f"module {module}: the last name does not end")


def _bad(message: str) -> DebugInfoError:
    return DebugInfoError(message, step="module symbols")


def _letter(info: int, letter: int | None) -> str:
    """
    nm(1)'s letter, upper case if the symbol is global.

    :param info: ``st_info`` of ELF.
    :param letter: Of ``typetab``, where a letter's case says nothing; before 5.2
        None, and ``st_info`` is the letter itself (5.0 and 5.1 lost it).
    """
    text = chr(info if letter is None else letter)
    if not text.isalpha() or not text.isascii():
        return "?"
    if letter is None:
        return text
    if info >> 4 == _STB_WEAK:
        return "V" if info & 0xF == _STT_OBJECT else "W"
    return text.upper() if info >> 4 == _STB_GLOBAL else text.lower()
