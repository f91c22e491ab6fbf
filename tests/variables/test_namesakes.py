"""Several variables of one name: which of the known types each of them has."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import pytest

from btfdbg.btf import Btf, Builder
from btfdbg.vardb.database import Database
from btfdbg.vardb.textdb import Entry, Kernel, TextDatabase, TrailingZeros
from btfdbg.variables.lookup import VariableTypes
from btfdbg.variables.provenance import Rejection

from .kernels import BASE, Sym, Symbols, make_program, make_variables

OLD = Kernel("amd64-full", "6.1", "6.1.5-amd64", "x86_64")
NEAR = Kernel("amd64-full", "6.12", "6.12.9-amd64", "x86_64")
NEW = Kernel("amd64-full", "7.2", "7.2.9-amd64", "x86_64")
BOUNDS = (
    Sym("_text", 0, 1),
    Sym("_end", 0x8000, 1),
    Sym("_sdata", 0x80, 1),
    Sym("_edata", 0x2000, 1),
    Sym("__start_rodata", 0x2000, 1),
    Sym("__end_rodata", 0x4000, 1),
)
OPS = {"int": 0x5000, "uint": 0x5008, "bool": 0x5010, "ulong": 0x5018}
TABLE = 0x5100


def _btf() -> Btf:
    builder = Builder()
    int_ = builder.add_int("int", 4, 1)
    builder.add_int("unsigned int", 4)
    builder.add_int("long unsigned int", 8)
    s64 = builder.add_int("long long int", 8, 1)
    builder.add_typedef("bool", builder.add_int("_Bool", 1, 4))
    for name, member in (("atomic_t", int_), ("atomic64_t", s64)):
        record = builder.add_struct("", 4 if member == int_ else 8, [])
        builder.add_field("counter", member, 0)
        builder.add_typedef(name, record)
    builder.add_struct("semaphore", 24, [])
    for i in range(3):
        builder.add_field(f"n{i}", s64, 64 * i)
    char = builder.add_int("char", 1)
    const_char = builder.add_const(char)
    text = builder.add_ptr(const_char)
    attribute = builder.add_struct("attribute", 8, [])
    builder.add_field("name", text, 0)
    pointer = builder.add_ptr(attribute)
    for length in range(2, 9):
        builder.add_array(int_, const_char, length)
        builder.add_array(int_, pointer, length)
    builder.add_struct("kernel_param", 24, [])
    for i, name in enumerate(("name", "ops", "arg")):
        builder.add_field(name, text, 64 * i)
    builder.add_struct("kparam_array", 32, [])
    builder.add_field("max", int_, 0)
    builder.add_field("ops", text, 64)
    builder.add_field("elem", text, 128)
    return builder.to_btf()


def _variables(
    types: Mapping[str, tuple[Kernel, ...]],
    *places: Sym,
    parameters: Mapping[int, str] | None = None,
    contents: dict[int, bytes] | None = None,
    tails: dict[str, TrailingZeros] | None = None,
) -> VariableTypes:
    """Types that kernels have under the name of some places, and what the dump has there."""
    rows = [(OPS[ops], at) for at, ops in (parameters or {}).items()]
    memory = bytearray(0x8000)
    for i, (ops, at) in enumerate(rows):
        struct.pack_into("<3Q", memory, TABLE + 24 * i, 0, BASE + ops, BASE + at)
    for at, data in (contents or {}).items():
        memory[at : at + len(data)] = data
    table = Symbols(
        *BOUNDS,
        *places,
        *(Sym(f"param_ops_{name}", at, 8) for name, at in OPS.items()),
        Sym("__start___param", TABLE, 1),
        Sym("__stop___param", TABLE + 24 * len(rows), 1),
    )
    entries = [
        Entry("v", "", type_, frozenset(k.release for k in kernels))
        for type_, kernels in types.items()
    ]
    text = TextDatabase((OLD, NEAR, NEW), entries)
    text.tails.update(tails or {})
    btf = _btf()
    program = make_program(btf, bytes(memory))
    return make_variables(program, btf, table, Database.from_text(text))


def _given(variables: VariableTypes, *places: int) -> list[str | None]:
    found = (variables.find_at("v", BASE + at) for at in places)
    return [None if one is None else one.type.type_name() for one in found]


BOTH = {"int": (OLD, NEAR, NEW), "unsigned int": (OLD, NEAR, NEW)}
TWO = (Sym("v", 0x200, 4), Sym("v", 0x300, 4))


@pytest.mark.parametrize(
    ("parameters", "given"),
    [
        ({0x200: "int", 0x300: "uint"}, ["int", "unsigned int"]),
        ({0x200: "uint", 0x300: "int"}, ["unsigned int", "int"]),
        # An int may be recorded as uint, so that both of one kind tell nothing, nor does one alone.
        ({0x200: "uint", 0x300: "uint"}, [None, None]),
        ({0x200: "int"}, [None, None]),
        ({}, [None, None]),
    ],
)
def test_records_of_parameters_tell_namesakes_apart(
    parameters: dict[int, str], given: list[str | None]
) -> None:
    variables = _variables(BOTH, *TWO, parameters=parameters)
    assert _given(variables, 0x200, 0x300) == given
    assert len(variables.of_symbols("v")) == len([one for one in given if one])


def test_the_first_of_namesakes_that_are_told_apart_is_given() -> None:
    variables = _variables(BOTH, *TWO, parameters={0x200: "int", 0x300: "uint"})
    first = variables.first_linked("v")
    assert first is not None
    assert (first.type.type_name(), first.address) == ("int", BASE + 0x200)


def test_a_third_of_a_name_that_is_no_parameter_may_be_either() -> None:
    places = (*TWO, Sym("v", 0x400, 4))
    variables = _variables(BOTH, *places, parameters={0x200: "int", 0x300: "uint"})
    assert _given(variables, 0x200, 0x300, 0x400) == [None, None, None]


def test_a_parameter_of_one_name_only_may_still_be_the_other_number() -> None:
    assert _given(_variables(BOTH, TWO[0], parameters={0x200: "uint"}), 0x200) == [None]


@pytest.mark.parametrize(("ops", "given"), [("uint", "unsigned int"), (None, None)])
def test_a_parameter_that_the_kernel_records_has_not_grown(ops: str | None, given: str) -> None:
    """kmsg_bytes: unsigned long until 5.x, unsigned int by now, and 4 bytes of padding behind."""
    types = {"unsigned int": (NEAR,), "unsigned long": (OLD,)}
    variables = _variables(
        types, Sym("v", 0x200, 8), parameters={} if ops is None else {0x200: ops}
    )
    assert _given(variables, 0x200) == [given]


STRINGS = {"const char [7]": (OLD, NEAR, NEW), "const char [8]": (OLD, NEAR, NEW)}


@pytest.mark.parametrize(
    ("text", "other", "given"),
    [
        (b"utstate\0", b"dswload\0", "const char [8]"),
        (b"tbxfac\0\0", b"dswload\0", "const char [7]"),
        (b"utstate\0", None, None),  # the only one of its name may be seven letters without NUL
    ],
)
def test_of_strings_of_one_name_each_ends_with_its_nul(
    text: bytes, other: bytes | None, given: str | None
) -> None:
    places = [Sym("v", 0x2100, 8), *([] if other is None else [Sym("v", 0x2108, 8)])]
    contents = {0x2100: text, 0x2108: other or b""}
    variables = _variables(STRINGS, *places, contents=contents)
    assert _given(variables, 0x2100) == [given]


ATOMIC = {"atomic_t": (OLD, NEAR, NEW), "atomic64_t": (OLD, NEAR, NEW)}


def test_alignment_leaves_one_type_to_each_place() -> None:
    variables = _variables(ATOMIC, Sym("v", 0x22C, 20), Sym("v", 0x308, 8))
    assert _given(variables, 0x22C, 0x308) == ["atomic_t", "atomic64_t"]


def test_size_leaves_one_type_to_each_place() -> None:
    types = {"atomic_t": (OLD, NEAR, NEW), "struct semaphore": (OLD, NEAR, NEW)}
    variables = _variables(types, Sym("v", 0x208, 8), Sym("v", 0x320, 24))
    assert _given(variables, 0x208, 0x320) == ["atomic_t", "struct semaphore"]


@pytest.mark.parametrize(
    ("types", "places"),
    [
        # Either fits either place.
        (ATOMIC, (Sym("v", 0x208, 8), Sym("v", 0x308, 8))),
        # A third place: two of them are of one type, and nobody knows of which.
        (ATOMIC, (Sym("v", 0x22C, 20), Sym("v", 0x308, 8), Sym("v", 0x408, 8))),
        # No kernel has both at once.
        ({"atomic_t": (OLD,), "atomic64_t": (NEW,)}, (Sym("v", 0x22C, 20), Sym("v", 0x308, 8))),
    ],
)
def test_places_that_leave_a_choice_have_no_type(
    types: dict[str, tuple[Kernel, ...]], places: tuple[Sym, ...]
) -> None:
    variables = _variables(types, *places)
    assert None in _given(variables, 0x308)
    assert variables.cause_of(Sym("v", BASE + 0x308, 8)) is Rejection.AMBIGUOUS


def test_a_number_with_a_page_to_itself_is_not_its_namesakes() -> None:
    """in_suspend: an atomic_t of a driver, and an int in a section of its own."""
    types = {"atomic_t": (OLD, NEAR, NEW)}
    page = Sym("v", 0x1000, 0x1000)
    assert _given(_variables(types, page), 0x1000) == ["atomic_t"]
    variables = _variables(types, page, Sym("v", 0x204, 4))
    assert _given(variables, 0x204, 0x1000) == ["atomic_t", None]
    assert variables.cause_of(Sym("v", BASE + 0x1000, 0x1000)) is Rejection.GAP


_ATTRIBUTES = {
    "struct attribute *[5]": (OLD, NEAR, NEW),
    "struct attribute *[6]": (OLD, NEAR, NEW),
    "tail2 struct attribute *[4]": (OLD, NEAR, NEW),
}


@pytest.mark.parametrize(
    ("types", "used", "size", "given"),
    [
        (_ATTRIBUTES, 2, 32, "struct attribute *[4]"),
        (_ATTRIBUTES, 4, 64, "struct attribute *[5]"),
        (_ATTRIBUTES, 5, 64, "struct attribute *[6]"),
        # Five of one kind and six of the other end alike.
        (
            {
                "tail0 struct attribute *[5]": (OLD, NEAR, NEW),
                "struct attribute *[6]": (OLD, NEAR, NEW),
            },
            5,
            64,
            "struct attribute *[]",
        ),
    ],
)
def test_tables_of_one_name_that_end_in_different_ways(
    types: dict[str, tuple[Kernel, ...]], used: int, size: int, given: str
) -> None:
    rows = {0x400: struct.pack(f"<{used}Q", *(BASE + 0x600 + 8 * i for i in range(used)))}
    variables = _variables(
        types,
        Sym("v", 0x400, size),
        Sym("after", 0x400 + size, 8),
        Sym("v", 0x700, 64),
        contents=rows,
        tails={"struct attribute *": TrailingZeros(1, 100, 100)},
    )
    assert _given(variables, 0x400) == [given]


def test_strings_that_modules_have_under_the_name_are_no_other_type() -> None:
    """_acpi_module_name: of another length in each file, and in modules."""
    entries = [
        Entry("v", "", "const char [8]", frozenset((OLD.release,))),
        Entry("v", "ac", "const char [3]", frozenset((OLD.release,))),
    ]
    btf = _btf()
    table = Symbols(*BOUNDS, Sym("v", 0x2100, 8), Sym("v", 0x2108, 8))
    memory = bytearray(0x8000)
    memory[0x2100:0x2110] = b"utstate\0tbxfacs\0"
    database = Database.from_text(TextDatabase((OLD, NEAR, NEW), entries))
    variables = make_variables(make_program(btf, bytes(memory)), btf, table, database)
    assert _given(variables, 0x2100, 0x2108) == ["const char [8]", "const char [8]"]


@pytest.mark.parametrize("own", [True, False])
def test_what_another_module_has_under_the_name_is_not_given_for_a_type_that_is_missing(
    own: bool,
) -> None:
    """nf_tables' ``zero`` is a struct that 5.10's BTF lacks; mac80211's would hold."""
    entries = [Entry("v", "ac", "int", frozenset((OLD.release, NEW.release)))]
    if own:
        entries.append(Entry("v", "", "struct of_a_module", frozenset((OLD.release,))))
    btf = _btf()
    table = Symbols(*BOUNDS, Sym("v", 0x200, 4))
    database = Database.from_text(TextDatabase((OLD, NEAR, NEW), entries))
    variables = make_variables(make_program(btf, bytes(0x8000)), btf, table, database)
    assert _given(variables, 0x200) == [None if own else "int"]
    assert not own or variables.cause("v") is Rejection.MISSING
