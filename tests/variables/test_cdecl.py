"""Declarations as text and as values: both ways, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btfdbg.cdecl import (
    Array,
    CDeclError,
    CType,
    Enumeration,
    Function,
    Member,
    Named,
    Pointer,
    Record,
    format_declaration,
    format_type,
    is_const,
    parse_declaration,
    parse_type,
    qualified,
    unqualified,
)

BOTH_WAYS = [
    "struct list_head",
    "unsigned long [65][128]",
    "const char * const [9]",
    "struct blk_major_name *[255]",
    "int (*[3])(struct foo *, ...)",
    "void (*(*)(int))(void)",
    "char *(*)[3]",
    "void (* const [4])(int)",
    "int (*(*[2])(int (*)(char)))[3]",
    "const volatile u8 [256]",
    "unsigned __int128",
    "struct { seqcount_raw_spinlock_t seq; struct timekeeper timekeeper; }",
    "struct [64] { unsigned int seq; int x : 3 @ 24.3; }",
    "struct { u64 (*func)(void); const char *name; int in_ns; } [10]",
    "union { struct bpf_raw_event_map event; btf_trace_sys_enter handler; }",
    "enum { A = 1, B = -2 }",
    "struct { struct { int a; } in; } *[]",
]


@pytest.mark.parametrize("text", BOTH_WAYS)
def test_a_type_reads_back_as_it_was_written(text: str) -> None:
    assert format_type(parse_type(text)) == text


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("long unsigned int", "unsigned long"),
        ("unsigned", "unsigned int"),
        ("int long long unsigned", "unsigned long long"),
        ("short int", "short"),
        ("signed", "int"),
        ("char const *", "const char *"),
        ("int (void)", "int (void)"),
        ("int ()", "int (void)"),
        ("int [0x10]", "int [16]"),
    ],
)
def test_spellings_of_one_type_become_one(text: str, normal: str) -> None:
    assert format_type(parse_type(text)) == normal


def test_a_declaration_gives_name_and_type() -> None:
    name, type_ = parse_declaration("unsigned long *(*vec[])(int);")
    assert name == "vec"
    assert format_declaration(type_, name) == "unsigned long *(*vec[])(int)"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "struct",
        "int [",
        "int [-1]",
        "int (",
        "unsigned struct foo",
        "long char",
        "int x y",
        "struct [4] foo",
        "enum { A }",
        "int 5",
        "struct { int a }",
        "int @",
        "(" * 200,
    ],
)
def test_what_is_no_type_is_refused(text: str) -> None:
    with pytest.raises(CDeclError):
        parse_type(text)


def test_a_type_nested_without_end_is_refused() -> None:
    with pytest.raises(CDeclError, match="nested deeper"):
        parse_type("int " + "(*" * 100 + ")" * 100)


def test_const_of_an_array_is_const_of_its_elements() -> None:
    array = parse_type("struct foo *[3]")
    assert format_type(qualified(array, "const")) == "struct foo * const [3]"
    assert is_const(qualified(array, "const"))
    assert unqualified(qualified(array, "const"), "const") == array


NAMES = st.sampled_from(["a", "foo", "x_y"])
LEAVES = st.builds(Named, st.sampled_from(["struct", "union", "enum", ""]), NAMES)


def _grow(children: st.SearchStrategy[CType]) -> st.SearchStrategy[CType]:
    data = children.filter(lambda t: not isinstance(t, Function))
    scalar = data.filter(lambda t: not isinstance(t, Array))
    members = st.lists(st.builds(Member, data, NAMES), max_size=3).map(tuple)
    return st.one_of(
        st.builds(Pointer, children),
        st.builds(Array, data, st.none() | st.integers(0, 99)),
        st.builds(Function, scalar, st.lists(data, max_size=2).map(tuple), st.just(False)),
        st.builds(lambda t: qualified(t, "const"), scalar),
        st.builds(Record, st.sampled_from(["struct", "union"]), members),
        st.just(Enumeration((("A", 0), ("B", -3)))),
    )


@given(st.recursive(LEAVES, _grow, max_leaves=6))
def test_any_type_survives_its_text(type_: CType) -> None:
    assert parse_type(format_type(type_)) == type_


@given(st.text(alphabet="int*[](){};,.:@ 09structconst-x", max_size=40))
def test_garbage_gives_only_its_own_error(text: str) -> None:
    try:
        parse_type(text)
    except CDeclError:
        pass
