"""What memory says of types: functions of another prototype, numbers, addresses."""

from __future__ import annotations

import struct

import pytest

from btfdbg.btf import Btf, Builder
from btfdbg.btf.kinds import Param
from btfdbg.vardb.database import Database
from btfdbg.vardb.textdb import Entry, Kernel, TextDatabase
from btfdbg.variables.contents import Contents
from btfdbg.variables.lookup import VariableTypes
from btfdbg.variables.padding import Padding
from btfdbg.variables.parameters import Parameter, read_parameters
from btfdbg.variables.prototypes import Prototypes, compatible
from btfdbg.variables.provenance import Rejection
from btfdbg.variables.structural_index import StructuralIndex

from .kernels import BASE, Sym, Symbols, make_program, make_variables

NEAR = Kernel("amd64-full", "6.1", "6.1.5-amd64", "x86_64")
TEXT = BASE + 0x1000
DATA = BASE + 0x2000
IMAGE = range(BASE, BASE + 0x10000)


class Everything(Symbols):
    """Symbols that are found by address, too."""

    def at(self, address: int) -> Sym | None:
        for symbol in self._all:
            if symbol.address <= address < symbol.address + max(symbol.size, 1):
                return symbol
        return None


def _btf(key_size: int = 16) -> Btf:
    """
    ``struct ops`` with a pointer to ``int (struct a *)``, ``struct other`` with one to
    ``int (struct b *)``, a function of each, and ``struct numbers`` with neither.
    """
    builder = Builder()
    int_ = builder.add_int("int", 4, 1)
    short = builder.add_int("short unsigned int", 2)
    bool_ = builder.add_int("_Bool", 1, 4)
    builder.add_typedef("bool", bool_)
    builder.add_typedef("u16", short)
    ids = {}
    for name in ("a", "b"):
        ids[name] = builder.add_struct(name, 4, [])
        builder.add_field("x", int_, 0)
        pointer = builder.add_ptr(ids[name])
        proto = builder.add_func_proto(int_, (Param("p", pointer),))
        builder.add_func(f"takes_{name}", 0, proto)
        ids[f"*{name}"] = builder.add_ptr(proto)
    next_ = builder.add_ptr(ids["a"])
    for name, member in (("ops", "*a"), ("other", "*b")):
        builder.add_struct(name, 16, [])
        builder.add_field("call", ids[member], 0)
        builder.add_field("next", next_, 64)
    builder.add_struct("numbers", 16, [])
    for i in range(4):
        builder.add_field(f"n{i}", int_, 32 * i)
    builder.add_struct("static_key_true", key_size, [])
    builder.add_struct("static_key_false", key_size, [])
    char = builder.add_int("char", 1)
    const_char = builder.add_const(char)
    text = builder.add_ptr(const_char)
    builder.add_struct("kernel_param", 24, [])
    builder.add_field("name", text, 0)
    builder.add_field("ops", text, 64)
    builder.add_field("arg", text, 128)
    builder.add_array(int_, text, 2)
    builder.add_array(int_, text, 4)
    builder.add_array(int_, builder.add_const(text), 2)
    builder.add_struct("syscall_metadata", 16, [])
    builder.add_field("name", text, 0)
    builder.add_field("nb_args", int_, 64)
    builder.add_struct("kparam_array", 32, [])
    builder.add_field("max", int_, 0)
    builder.add_field("ops", text, 64)
    builder.add_field("elem", text, 128)
    return builder.to_btf()


BTF = _btf()
FUNCTIONS = (
    Sym("takes_a", TEXT - BASE, 16, "t"),
    Sym("takes_b", TEXT - BASE + 16, 16, "t"),
    Sym("_text", 0, 1, "T"),
    Sym("table", DATA - BASE, 64, "d"),
    Sym("_end", 0x10000, 1, "d"),
)
SYMBOLS = Everything(*FUNCTIONS)


def _words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}Q", *values)


def _id(name: str) -> int:
    return BTF.find_by_name_kind(name)


@pytest.mark.parametrize(
    ("type_", "words", "said"),
    [
        ("ops", (TEXT, 0), ""),
        ("ops", (0, 0), ""),
        ("ops", (TEXT, DATA), ""),
        ("ops", (TEXT + 16, 0), "takes_b is of another prototype"),
        ("other", (TEXT + 16, 0), ""),
        ("other", (TEXT, 0), "takes_a is of another prototype"),
        ("ops", (7, 0), "function pointer at 0 is 0x7"),
        # Strings have no names: what is at one is in the table before them.
        ("ops", (DATA + 24, 0), "function pointer at 0 points into table"),
        ("ops", (DATA, 0), "function pointer at 0 points to table"),
        ("ops", (DATA + 64, 0), ""),  # nobody knows what is there
        ("ops", (TEXT + 4, 0), ""),
        ("ops", (TEXT, 5), "pointer at 8 is 0x5"),
        ("ops", (TEXT, 0x20000), ""),  # the offset of per-CPU data
        ("numbers", (0x1_0000_0002, 0), ""),
        ("numbers", (0, DATA), f"address {DATA:#x} at 8"),
    ],
)
def test_contents_speak_against_types(type_: str, words: tuple[int, ...], said: str) -> None:
    contents = Contents(BTF, IMAGE, SYMBOLS.at)
    layout = contents.words.of(_id(type_))
    assert layout is not None
    assert contents.contradiction(layout, _words(*words)) == said


# struct net's ct.stat in a guest of 6.12: what lies in a later chunk than the first.
_LATER_CHUNK = 0x6B28_AA28_A00C10


@pytest.mark.parametrize(
    ("type_", "words", "said"),
    [
        ("ops", (TEXT, _LATER_CHUNK), ""),
        ("ops", (TEXT, _LATER_CHUNK + 1), f"pointer at 8 is {_LATER_CHUNK + 1:#x}"),
        # No function is per-CPU data.
        ("ops", (_LATER_CHUNK, 0), f"function pointer at 0 is {_LATER_CHUNK:#x}"),
    ],
)
def test_an_offset_at_which_a_cpu_has_memory_may_point_to_per_cpu_data(
    type_: str, words: tuple[int, ...], said: str
) -> None:
    contents = Contents(BTF, IMAGE, SYMBOLS.at, lambda word: word == _LATER_CHUNK)
    layout = contents.words.of(_id(type_))
    assert layout is not None
    assert contents.contradiction(layout, _words(*words)) == said


def test_nothing_is_said_of_numbers_where_the_kernel_is_not_in_the_upper_half() -> None:
    contents = Contents(BTF, range(0x10000, 0x20000), lambda address: None)
    layout = contents.words.of(_id("ops"))
    assert layout is not None
    assert contents.contradiction(layout, _words(7, 5)) == ""


def test_prototypes_differ_in_what_a_call_can_tell_apart() -> None:
    prototypes = Prototypes(BTF)
    (a,), (b,) = prototypes.of_function("takes_a"), prototypes.of_function("takes_b")
    assert compatible(a, a)
    assert not compatible(a, b)
    assert not compatible(a, (*a, a[0]))
    assert prototypes.of_function("unheard_of") == ()


def _database(*lines: tuple[str, str]) -> Database:
    entries = [Entry(name, "", type_, frozenset((NEAR.release,))) for name, type_ in lines]
    return Database.from_text(TextDatabase((NEAR,), entries))


def _variables(database: Database, memory: bytes, *symbols: Sym, btf: Btf = BTF) -> VariableTypes:
    table = Everything(*FUNCTIONS, *symbols)
    return make_variables(make_program(btf, memory), btf, table, database)


def _name(variables: VariableTypes, name: str = "v") -> str | None:
    found = variables.find(name)
    return None if found is None else found.type.type_name()


def test_a_type_that_contents_contradict_is_no_answer_and_says_so() -> None:
    database = _database(("v", "struct ops"))
    memory = bytes(0x10) + _words(TEXT + 16, 0)
    variables = _variables(database, memory, Sym("v", 0x10, 16))
    assert _name(variables) is None
    assert variables.cause("v") is Rejection.CONTENTS
    memory = bytes(0x10) + _words(TEXT, 0)
    assert _name(_variables(database, memory, Sym("v", 0x10, 16))) == "struct ops"


@pytest.mark.parametrize(("bit", "given"), [(1, "true"), (0, "false")])
def test_a_static_key_is_of_the_kind_that_its_contents_say(bit: int, given: str) -> None:
    for kind in ("true", "false"):
        database = _database(("v", f"struct static_key_{kind}"))
        memory = bytes(0x10) + _words(bit, DATA | bit)
        found = _name(_variables(database, memory, Sym("v", 0x10, 16)))
        assert found == f"struct static_key_{given}"


@pytest.mark.parametrize("kind", ["true", "false"])
def test_a_static_key_that_is_zero_at_first_is_none_that_is_true(kind: str) -> None:
    """Without CONFIG_JUMP_LABEL a key is only a count, which is 1 for a true one."""
    database = _database(("v", f"struct static_key_{kind}"))
    found = _name(_variables(database, bytes(0x20), Sym("v", 0x10, 16, "b")))
    assert found == "struct static_key_false"


@pytest.mark.parametrize(
    ("letter", "place", "given"),
    [
        ("d", "data", "true"),  # vm_numa_stat_key: 1 at first, else it were in .bss
        ("b", "data", "false"),
        ("d", "ro_after_init", "as known"),  # where both kinds are
    ],
)
@pytest.mark.parametrize("kind", ["true", "false"])
def test_a_static_key_that_is_a_mere_count_is_of_the_kind_that_its_place_says(
    letter: str, place: str, given: str, kind: str
) -> None:
    # Behind four bytes of count lies another variable's word, which is no key's.
    memory = bytes(0x10) + _words(0, 1 if given == "false" else 0)
    names = ("_sdata", "_edata") if place == "data" else (f"__start_{place}", f"__end_{place}")
    bounds = (Sym(names[0], 0, 1), Sym(names[1], 0x1000, 1))
    variables = _variables(
        _database(("v", f"struct static_key_{kind}")),
        memory,
        Sym("v", 0x10, 16, letter),
        *bounds,
        btf=_btf(key_size=4),
    )
    expected = kind if given == "as known" else given
    assert _name(variables) == f"struct static_key_{expected}"


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ((BASE + 0x80, BASE + 0x90), "const char * const [2]"),
        ((BASE + 0x80, 0), "const char * const [2]"),
        ((BASE + 0x80, BASE + 0x2010), None),
    ],
)
def test_a_constant_table_that_leads_to_writable_data_is_none_of_strings(
    words: tuple[int, int], given: str | None
) -> None:
    bounds = (
        Sym("__start_rodata", 0, 1),
        Sym("__end_rodata", 0x1000, 1),
        Sym("_sdata", 0x2000, 1),
        Sym("_edata", 0x3000, 1),
    )
    database = _database(("v", "const char * const [2]"))
    memory = bytes(0x10) + _words(*words)
    # No static one, which may be there without const.
    assert _name(_variables(database, memory, *bounds, Sym("v", 0x10, 16, "D"))) == given


def _parameter_table(*rows: tuple[int, int]) -> tuple[bytes, list[Sym]]:
    table = b"".join(_words(0, ops, arg) for ops, arg in rows)
    symbols = [
        Sym("__start___param", 0x100, 1),
        Sym("__stop___param", 0x100 + len(table), 1),
        Sym("param_ops_bool", 0x200, 8),
        Sym("param_ops_int", 0x208, 8),
        Sym("param_array_ops", 0x210, 8),
        Sym("param_ops_mine", 0x218, 8),
    ]
    return bytes(0x100) + table, symbols


def test_parameters_say_the_types_of_their_variables() -> None:
    array_at = BASE + 0x300
    memory, symbols = _parameter_table(
        (BASE + 0x200, DATA), (BASE + 0x210, array_at), (BASE + 0x218, DATA + 8)
    )
    memory = memory.ljust(0x300, b"\0") + _words(5, BASE + 0x208, DATA + 16, 0)
    prog, table = make_program(BTF, memory), Everything(*symbols)
    address = {s.name: s.address for s in table._all}
    found = read_parameters(BTF, prog.read, address.get, table.at)
    assert found == {DATA: Parameter("bool"), DATA + 16: Parameter("int", 5)}
    assert str(found[DATA + 16]) == "int [5]"


def test_parameters_that_cannot_be_read_are_none() -> None:
    prog = make_program(BTF)
    address = {"__start___param": BASE, "__stop___param": BASE + 48}
    assert read_parameters(BTF, prog.read, address.get, SYMBOLS.at) == {}
    assert read_parameters(BTF, prog.read, lambda name: None, SYMBOLS.at) == {}


def test_a_parameter_of_another_kind_refutes_a_type_and_names_its_own() -> None:
    memory, symbols = _parameter_table((BASE + 0x200, BASE + 0x400))
    database = _database(("v", "int"))
    variables = _variables(database, memory, *symbols, Sym("v", 0x400, 1))
    assert _name(variables) == "bool"


def _neighbours(*lines: tuple[str, str]) -> Padding:
    table = Everything(Sym("v", 0x40, 4), Sym("w", 0x44, 1), Sym("x", 0x60, 1))
    return Padding(_database(*lines), BTF, StructuralIndex(BTF), table.at, lambda c: ())


def test_room_that_the_next_variable_did_not_ask_for_belongs_to_the_first() -> None:
    symbol = Sym("v", BASE + 0x40, 4)
    assert _neighbours(("w", "bool")).has_more(symbol, 2)
    assert _neighbours(("w", "u16")).has_more(symbol, 2)
    assert not _neighbours(("w", "int")).has_more(symbol, 2)
    assert not _neighbours(("w", "struct ops")).has_more(symbol, 2)
    assert not _neighbours().has_more(symbol, 2)
    assert not _neighbours(("w", "bool")).has_more(symbol, 4)


def test_the_next_object_file_says_nothing_of_the_last_variable() -> None:
    assert not _neighbours(("x", "bool")).has_more(Sym("v", BASE + 0x40, 32), 2)


def test_causes_tell_unknown_names_from_types_that_do_not_hold() -> None:
    database = _database(("v", "struct ops"), ("w", "struct gone"))
    memory = bytes(0x100)
    symbols = (Sym("v", 0x10, 8), Sym("w", 0x20, 16), Sym("x", 0x40, 4), Sym("y", 0x80, 128))
    variables = _variables(database, memory, *symbols)
    assert variables.cause("v") is Rejection.SIZE
    assert variables.cause("w") is Rejection.MISSING
    assert variables.cause("x") is Rejection.UNKNOWN
    assert variables.cause("takes_a") is None
    assert variables.cause("nowhere") is None


@pytest.mark.parametrize(("count", "given"), [(2, 2), (0, None)])
def test_a_system_calls_number_of_arguments_may_be_a_bit_field(
    count: int, given: int | None
) -> None:
    builder = Builder()
    int_ = builder.add_int("int", 4, 1)
    byte = builder.add_int("u8", 1)
    text = builder.add_ptr(builder.add_const(builder.add_int("char", 1)))
    for length in (2, 4):
        builder.add_array(int_, text, length)
    builder.add_struct("syscall_metadata", 16, [])
    builder.add_field("name", text, 0)
    builder.add_field("nb_args", byte, 64, 7)
    builder.add_field("user_arg_is_str", byte, 71, 1)
    memory = bytes(0x10) + _words(0, count | 1 << 7 | 0xFF << 8)
    symbols = (Sym("__syscall_meta__x", 0x10, 16), Sym("types__x", 0x40, 32))
    database = _database(("types__x", "const char *[4]"))
    variables = _variables(database, memory, *symbols, btf=builder.to_btf())
    wanted = "const char *[4]" if given is None else f"const char *[{given}]"
    assert _name(variables, "types__x") == wanted


@pytest.mark.parametrize(("count", "given"), [(2, 2), (4, 4), (0, None), (99, None)])
def test_a_system_call_says_how_long_its_tables_are(count: int, given: int | None) -> None:
    memory = bytes(0x10) + _words(0, count)
    symbols = (Sym("__syscall_meta__x", 0x10, 16), Sym("types__x", 0x40, 32))
    variables = _variables(_database(("types__x", "const char *[3]")), memory, *symbols)
    wanted = None if given is None else f"const char *[{given}]"
    assert _name(variables, "types__x") == wanted
