"""Symbols of modules, read from memory without a dump."""

from __future__ import annotations

import struct
from collections.abc import Callable

import drgn
import pytest
from drgn import Architecture, Object, Platform, PlatformFlags, Program, TypeMember

from btfdbg.errors import DebugInfoError
from btfdbg.kallsyms import modules as modules_module
from btfdbg.kallsyms.loaded import loaded_modules
from btfdbg.kallsyms.modules import ModuleSymbols, load_module

MODULE = 0xFFFFFFFFC0000000
SYMTAB = 0xFFFFFFFFC0200000
STRTAB = 0xFFFFFFFFC0300000
TYPETAB = 0xFFFFFFFFC0400000
TABLES = 0xFFFFFFFFC0500000
TEXT = 0xFFFFFFFFC0600000
MODULES = 0xFFFFFFFFC0700000

GLOBAL_FUNC, LOCAL_FUNC, LOCAL_OBJECT, WEAK_FUNC = 0x12, 0x02, 0x01, 0x22

# name, info, section, value, size, letter
Entry = tuple[str, int, int, int, int, str]
ENTRIES: list[Entry] = [
    ("", 0, 0, 0, 0, "?"),
    ("foo_open", GLOBAL_FUNC, 1, TEXT, 0x40, "t"),
    ("foo_read", LOCAL_FUNC, 1, TEXT + 0x40, 0x20, "t"),
    ("foo_weak", WEAK_FUNC, 1, TEXT + 0x80, 0x20, "w"),
    ("printk", 0x10, 0, 0, 0, "U"),
    ("$x", 0, 1, TEXT, 0, "t"),
    (".LC0", 0, 2, TEXT + 0x100, 0, "r"),
    ("foo_counter", LOCAL_OBJECT, 3, 0x23000, 8, "d"),
    ("foo_state", LOCAL_OBJECT, 4, TEXT + 0x200, 0x10, "b"),
]


class Machine:
    """A kernel with modules, in a dict of byte strings."""

    def __init__(
        self,
        entries: list[Entry] = ENTRIES,
        *,
        typetab: bool = True,
        big: bool = False,
        layout: str = "mem",
    ) -> None:
        self.order = ">" if big else "<"
        flags = PlatformFlags.IS_64_BIT
        if not big:
            flags |= PlatformFlags.IS_LITTLE_ENDIAN
        self.prog = Program(Platform(Architecture.UNKNOWN, flags))
        strings = b""
        symtab = b""
        letters = b""
        for name, info, section, value, size, letter in entries:
            code = info if typetab else ord(letter)
            symtab += struct.pack(
                f"{self.order}IBBHQQ", len(strings), code, 0, section, value, size
            )
            strings += name.encode() + b"\0"
            letters += letter.encode()
        self.memory = {SYMTAB: symtab, STRTAB: strings, TYPETAB: letters}
        self.count = len(entries)
        self.typetab = typetab
        self.layout = layout
        self.strtab = STRTAB
        self.lost: set[int] = set()

    def module(self) -> Object:
        """Finish memory and types; the module with symbols."""
        pointers = [SYMTAB, self.count, self.strtab, TYPETAB]
        self.memory[TABLES] = struct.pack(f"{self.order}QI4xQQ", *pointers)
        self.put_module(MODULE, b"foo", TEXT, MODULES, MODULES, TABLES)
        self.memory.setdefault(MODULES, struct.pack(f"{self.order}QQ", MODULE + 64, MODULE + 64))
        prog = self.prog
        for address, data in self.memory.items():
            data = data.ljust(-(-len(data) // 4096) * 4096, b"\0")
            prog.add_memory_segment(address, len(data), self._reader(data))
        types = self._types()

        def find_type(
            prog: Program, kinds: drgn.TypeKindSet, name: str, filename: str | None
        ) -> drgn.Type | None:
            return types.get(name)

        def find_object(
            prog: Program, name: str, flags: drgn.FindObjectFlags, filename: str | None
        ) -> Object | None:
            return Object(prog, types["list_head"], address=MODULES) if name == "modules" else None

        prog.register_type_finder("test", find_type, enable_index=0)
        prog.register_object_finder("test", find_object, enable_index=0)
        return Object(prog, prog.pointer_type(types["module"]), MODULE)

    def put_module(
        self, at: int, name: bytes, text: int, after: int, before: int, tables: int
    ) -> None:
        """A ``struct module``: 56 bytes of name, kallsyms, list, two ranges."""
        words = [tables, after, before, text, 0x1000, 0, 0]
        self.memory[at] = name.ljust(56, b"\0") + struct.pack(f"{self.order}7Q", *words)

    def _types(self) -> dict[str, drgn.Type]:
        prog = self.prog
        pointer = prog.pointer_type(prog.void_type())
        uint = prog.int_type("unsigned int", 4, False)
        ulong = prog.int_type("unsigned long", 8, False)
        char = prog.int_type("char", 1, True)
        members = [
            TypeMember(pointer, "symtab", 0),
            TypeMember(uint, "num_symtab", 64),
            TypeMember(pointer, "strtab", 128),
        ]
        if self.typetab:
            members.append(TypeMember(pointer, "typetab", 192))
        tables = prog.struct_type("mod_kallsyms", 32, members)
        list_head = prog.struct_type(
            "list_head", 16, [TypeMember(pointer, "next", 0), TypeMember(pointer, "prev", 64)]
        )
        memory = prog.struct_type(
            "module_memory", 16, [TypeMember(pointer, "base", 0), TypeMember(ulong, "size", 64)]
        )
        where = {
            "mem": [TypeMember(prog.array_type(memory, 2), "mem", 80 * 8)],
            "layouts": [
                TypeMember(memory, "core_layout", 80 * 8),
                TypeMember(memory, "init_layout", 96 * 8),
            ],
            "core": [
                TypeMember(pointer, "module_core", 80 * 8),
                TypeMember(ulong, "core_size", 88 * 8),
            ],
        }[self.layout]
        module = prog.struct_type(
            "module",
            112,
            [
                TypeMember(prog.array_type(char, 56), "name", 0),
                TypeMember(prog.pointer_type(tables), "kallsyms", 56 * 8),
                TypeMember(list_head, "list", 64 * 8),
                *where,
            ],
        )
        return {"mod_kallsyms": tables, "module": module, "list_head": list_head}

    def _reader(self, data: bytes) -> Callable[[int, int, int, bool], bytes]:
        def read(address: int, count: int, offset: int, physical: bool) -> bytes:
            if address & ~0xFFF in self.lost:
                raise drgn.FaultError("lost", address)
            return data[offset : offset + count]

        return read


RANGES = [(TEXT, TEXT + 0x1000)]


@pytest.mark.parametrize("big", [False, True])
def test_symbols_of_a_module_are_read(big: bool) -> None:
    table = load_module(Machine(big=big).module(), RANGES)
    assert table.name == "foo"
    assert [(s.name, s.address, s.size, s.type_letter, s.percpu) for s in table] == [
        ("foo_counter", 0x23000, 8, "d", True),
        ("foo_open", TEXT, 0x40, "T", False),
        ("foo_read", TEXT + 0x40, 0x20, "t", False),
        ("foo_weak", TEXT + 0x80, 0x20, "W", False),
        ("foo_state", TEXT + 0x200, 0x10, "b", False),
    ]
    assert {s.source for s in table} == {"module foo"}


def test_before_5_2_the_letter_stands_in_st_info() -> None:
    table = load_module(Machine(typetab=False).module(), RANGES)
    assert [(s.name, s.type_letter) for s in table][:3] == [
        ("foo_counter", "d"),
        ("foo_open", "t"),
        ("foo_read", "t"),
    ]


def test_a_module_is_searched_by_address_and_by_name() -> None:
    table = load_module(Machine().module(), RANGES)
    for address, name in [
        (TEXT, "foo_open"),
        (TEXT + 0x3F, "foo_open"),
        (TEXT + 0x40, "foo_read"),
        (TEXT + 0x20F, "foo_state"),
    ]:
        sym = table.by_address(address)
        assert sym is not None
        assert sym.name == name
    for address in (TEXT - 1, TEXT + 0x60, TEXT + 0x210):
        assert table.by_address(address) is None
    assert [s.address for s in table.by_name(b"foo_read")] == [TEXT + 0x40]
    for absent in (b"printk", b"read", b"oo_read", b"$x", b".LC0", b"foo"):
        assert table.by_name(absent) == []


@pytest.mark.parametrize("count", [0, (1 << 20) + 1, 0xFFFFFFFF])
def test_an_impossible_count_is_an_error(count: int) -> None:
    machine = Machine()
    machine.count = count
    module = machine.module()
    with pytest.raises(DebugInfoError, match="module foo"):
        load_module(module)


def test_names_beyond_the_strings_are_an_error() -> None:
    machine = Machine()
    machine.memory[SYMTAB] += struct.pack("<IBBHQQ", 1 << 30, 2, 0, 1, TEXT, 1)
    machine.count += 1
    module = machine.module()
    with pytest.raises(DebugInfoError, match="offset 1073741824"):
        load_module(module)


def test_strings_that_do_not_end_are_an_error() -> None:
    machine = Machine()
    machine.memory[STRTAB] = b"a" * (1 << 16)
    module = machine.module()
    with pytest.raises((DebugInfoError, drgn.FaultError)):
        load_module(module)


def test_tables_that_are_not_in_the_dump_are_a_fault() -> None:
    machine = Machine()
    machine.strtab = 0x1234000
    module = machine.module()
    with pytest.raises(drgn.FaultError):
        load_module(module)


def test_a_program_without_modules_has_no_module_symbols() -> None:
    prog = Program(Platform(Architecture.X86_64))
    symbols = ModuleSymbols(prog)
    assert symbols.by_name("foo") == ()
    assert symbols.by_address(TEXT) is None
    assert list(symbols) == []
    assert list(symbols.problems) == [""]
    prog.register_symbol_finder("btfdbg modules", symbols.finder(), enable_index=0)
    with pytest.raises(LookupError):
        prog.symbol(TEXT)
    assert prog.symbols() == []


def chain(machine: Machine, *names: bytes) -> list[int]:
    """Modules of no symbols behind the one with symbols; where they are."""
    places = [MODULE, *(MODULE + 0x10000 * (i + 1) for i in range(len(names)))]
    links = [MODULES, *(place + 64 for place in places), MODULES]
    for number, name in enumerate(names, 1):
        text = TEXT + 0x10000 * number
        machine.put_module(places[number], name, text, links[number + 2], links[number], 0xDEAD000)
    machine.module()
    data = bytearray(machine.memory[MODULE])
    struct.pack_into("<Q", data, 64, links[2])
    machine.memory[MODULE] = bytes(data)
    machine.prog.add_memory_segment(MODULE, 4096, machine._reader(bytes(data).ljust(4096, b"\0")))
    head = struct.pack("<QQ", places[0] + 64, places[-1] + 64).ljust(4096, b"\0")
    machine.prog.add_memory_segment(MODULES, 4096, machine._reader(head))
    return places


@pytest.mark.parametrize("layout", ["mem", "layouts", "core"])
def test_one_damaged_module_loses_only_itself(layout: str) -> None:
    machine = Machine(layout=layout)
    chain(machine, b"bad")
    prog = machine.prog
    notes: list[tuple[str, str]] = []
    symbols = ModuleSymbols(prog, lambda name, what: notes.append((name, what)))
    assert symbols.by_address(TEXT + 0x10004) is None
    sym = symbols.by_address(TEXT + 0x44)
    assert sym is not None
    assert sym.name == "foo_read"
    assert symbols.by_address(TEXT + 0x1000) is None
    assert symbols.by_address(TEXT - 1) is None
    assert [s.address for s in symbols.by_name("foo_open")] == [TEXT]
    assert [name for name, _ in notes] == ["bad"]
    assert list(symbols.problems) == ["bad"]
    prog.register_symbol_finder("btfdbg modules", symbols.finder(), enable_index=0)
    assert prog.symbol(TEXT + 0x44).binding is drgn.SymbolBinding.LOCAL
    assert prog.symbol("foo_open").binding is drgn.SymbolBinding.GLOBAL
    assert len(prog.symbols()) == 5
    assert prog.symbols("foo_open")[0].address == TEXT


def test_of_one_module_only_its_tables_are_read() -> None:
    machine = Machine()
    chain(machine, b"bad")
    notes: list[str] = []
    symbols = ModuleSymbols(machine.prog, lambda name, what: notes.append(name))
    found = symbols.by_name("foo_open", "foo")
    assert [sym.address for sym in found] == [TEXT]
    assert notes == []
    assert symbols.by_name("foo_open", "bad") == symbols.by_name("foo_open", "none") == ()
    assert notes == ["bad"]
    assert symbols.by_name("foo_open") == found


@pytest.mark.parametrize(("index_after", "most"), [(1000, 0), (0, 1 << 20), (0, 0), (0, 12)])
def test_names_are_found_by_search_and_by_index(
    index_after: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modules_module, "_INDEX_AFTER", index_after)
    monkeypatch.setattr(modules_module, "_MAX_NAMES", most)
    machine = Machine()
    machine.module()
    symbols = ModuleSymbols(machine.prog)
    every = list(symbols)
    assert {sym.name for sym in every} >= {"foo_open", "foo_read"}
    for sym in every:
        assert symbols.by_name(sym.name) == tuple(s for s in every if s.name == sym.name)
    assert symbols.by_name("foo_") == symbols.by_name("oo_open") == symbols.by_name("none") == ()
    found = sorted(symbols.containing("foo_"), key=lambda sym: sym.address)
    assert found == [sym for sym in every if "foo_" in sym.name]


def names_of(machine: Machine) -> tuple[list[str], list[str]]:
    notes: list[str] = []
    modules = loaded_modules(machine.prog, notes.append)
    return [module.name for module in modules], notes


def test_the_list_of_modules_is_walked_in_its_order() -> None:
    machine = Machine()
    chain(machine, b"bar", b"baz")
    assert names_of(machine) == (["foo", "bar", "baz"], [])


def test_behind_a_lost_page_the_list_is_walked_from_its_end() -> None:
    machine = Machine()
    places = chain(machine, b"one", b"two", b"three", b"four")
    machine.lost = {places[2]}
    names, notes = names_of(machine)
    assert names == ["foo", "one", "three", "four"]
    (note,) = notes
    assert "cannot be read" in note
    assert "4 modules were reached" in note


def test_a_list_that_runs_in_a_circle_ends() -> None:
    machine = Machine()
    places = chain(machine, b"one", b"two")
    machine.put_module(places[2], b"two", TEXT, places[1] + 64, places[1] + 64, 0)
    data = machine.memory[places[2]].ljust(4096, b"\0")
    machine.prog.add_memory_segment(places[2], 4096, machine._reader(data))
    names, notes = names_of(machine)
    assert names == ["foo", "one", "two"]
    assert "circle" in notes[0]


def test_a_list_whose_head_is_lost_is_noted() -> None:
    machine = Machine()
    chain(machine)
    machine.lost = {MODULES}
    symbols = ModuleSymbols(machine.prog)
    assert list(symbols) == []
    assert "cannot be read" in symbols.problems[""]
