"""What the kernel's code does with a number against the type that it would be given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from btfdbg.btf import Btf, Builder
from btfdbg.btf.kinds import Param
from btfdbg.vardb.database import Database
from btfdbg.vardb.textdb import Entry, Kernel, TextDatabase
from btfdbg.variables.accessed import INVERTED
from btfdbg.variables.lookup import VariableTypes
from btfdbg.variables.provenance import Rejection

from .kernels import BASE, Sym, Symbols, make_program, make_variables

OLD = Kernel("amd64-full", "6.1", "6.1.5-amd64", "x86_64")
NEW = Kernel("amd64-full", "7.2", "7.2.9-amd64", "x86_64")
NEAR = Kernel("amd64-full", "6.12", "6.12.9-amd64", "x86_64")
BANNER = 0x1000
BOUNDS = (
    Sym("_text", 0, 1),
    Sym("_sdata", 0x80, 1),
    Sym("_edata", 0x2000, 1),
    Sym("__init_begin", 0x3000, 1),
    Sym("__init_end", 0x4000, 1),
    Sym("linux_banner", BANNER, 64),
    Sym("_end", 0x8000, 1),
)
FUNCTIONS = {
    name: Sym(name, 0x5000 + 16 * number, 16, "T")
    for number, name in enumerate(
        ("take_raw_lock", "take_head", "take_entry", "take_nothing", "take_only", "take_locked")
    )
}
GCC, CLANG = b"Linux version 6.12 (gcc-14)", b"Linux version 6.12 (Debian clang version 19)"


@dataclass(frozen=True)
class Does:
    """What code does."""

    sizes: frozenset[int] = frozenset()
    bits: frozenset[int] = frozenset()
    behind: int = 0
    is_indexed: bool = False
    is_counted: bool = False
    is_added: bool = False
    is_followed: bool = False
    passed: frozenset[int] = frozenset()


def of(*sizes: int) -> Does:
    return Does(frozenset(sizes))


def _btf() -> Btf:
    builder = Builder()
    int_ = builder.add_int("int", 4, 1)
    builder.add_int("unsigned char", 1)
    builder.add_typedef("bool", builder.add_int("_Bool", 1, 4))
    counter = builder.add_struct("", 4, [])
    builder.add_field("counter", int_, 0)
    builder.add_typedef("atomic_t", counter)
    records = {}
    for name in ("raw_lock", "rw_lock"):
        records[name] = builder.add_struct(name, 4, [])
        builder.add_field("n", int_, 0)
    anything = builder.add_ptr(0)
    records["head"] = builder.add_struct("head", 8, [])
    builder.add_field("next", anything, 0)
    for name, inner, size in (
        ("lock", "raw_lock", 4), ("entry", "head", 16), ("only", "head", 8),
        ("locked", "raw_lock", 16),
    ):  # fmt: skip
        records[name] = builder.add_struct(name, size, [])
        builder.add_field("inner", records[inner], 0)
    pointers = {name: builder.add_ptr(record) for name, record in records.items()}
    for name in ("raw_lock", "head", "entry", "only", "locked"):
        proto = builder.add_func_proto(0, (Param("p", pointers[name]),))
        builder.add_func(f"take_{name}", 0, proto)
    builder.add_func("take_nothing", 0, builder.add_func_proto(0, ()))
    return builder.to_btf()


def _variables(
    type_: str,
    does: Does | None,
    *,
    kernels: tuple[Kernel, ...] = (OLD,),
    banner: bytes = GCC,
    letter: str = "D",
    address: int = 0x108,
) -> tuple[VariableTypes, list[str]]:
    """The variables of a kernel with ``v``, and the names that code is asked for."""
    entries = [Entry("v", "", type_, frozenset(k.release for k in kernels))]
    size = {"bool": 1, "unsigned char": 1, "struct head": 8}.get(type_, 4)
    table = Symbols(
        *BOUNDS, *FUNCTIONS.values(), Sym("v", address, size, letter), Sym("w", address + size, 4)
    )
    memory = bytes(BANNER) + banner.ljust(0x4000, b"\0")
    btf = _btf()
    asked: list[str] = []

    def accesses(symbol: Sym) -> Does | None:
        asked.append(symbol.name)
        return does

    database = Database.from_text(TextDatabase((OLD, NEW, NEAR), entries))
    program = make_program(btf, memory)

    def expect(symbols: Sequence[Sym]) -> None:
        asked.append(" ".join(symbol.name for symbol in symbols) + " at once")

    found = make_variables(program, btf, table, database, accesses=accesses, expect_accesses=expect)
    return found, asked


def _found(
    type_: str, does: Does | None, **more: Any
) -> tuple[str | None, Rejection | None, list[str]]:
    """The type that is given, why none is, and the names that code was asked for."""
    variables, asked = _variables(type_, does, **more)
    found = variables.find("v")
    return None if found is None else found.type.type_name(), variables.cause("v"), asked


@pytest.mark.parametrize(
    ("type_", "does", "given"),
    [
        ("int", of(4), True),
        ("int", of(4, 1), True),  # (u8)v
        ("int", of(1), False),  # hashdist: bool since 7.0
        ("int", of(8), False),
        ("bool", of(1), True),
        ("bool", of(4), False),
        ("int", Does(bits=frozenset((1,))), True),  # v & 1
        ("bool", Does(bits=frozenset((4,))), False),
        ("int", Does(frozenset((4,)), is_indexed=True), False),  # an array
        ("int", Does(frozenset((4,)), is_counted=True), False),  # an atomic_t
        ("int", Does(frozenset((4,)), is_added=True), True),
        ("atomic_t", Does(frozenset((4,)), is_counted=True), True),
        ("atomic_t", Does(frozenset((4,)), is_added=True), False),  # fl_size is an int by now
        ("atomic_t", Does(frozenset((8,)), is_counted=True), False),
        ("int", Does(frozenset((4,)), is_followed=True), False),  # a pointer
        ("int", None, True),  # code is silent
    ],
)
def test_a_number_is_what_code_makes_of_it(type_: str, does: Does | None, given: bool) -> None:
    found, why, asked = _found(type_, does)
    assert found == (type_ if given else None)
    assert why is (None if given else Rejection.CODE)
    assert asked == ["v"]


@pytest.mark.parametrize(("does", "given"), [(of(4), True), (of(1), False)])
def test_code_is_told_of_all_that_it_is_asked(does: Does, given: bool) -> None:
    variables, asked = _variables("int", does)
    judged = variables.judge([Sym("v", BASE + 0x108, 4, "D"), Sym("w", BASE + 0x10C, 4)])
    assert [name for name, _ in judged] == ["v"] * given
    assert variables.cause("v") is (None if given else Rejection.CODE)
    assert asked == ["v at once", "v"]


@pytest.mark.parametrize("kernels", [(OLD, NEW), (NEAR,)])
def test_code_is_not_asked_where_kernels_around_it_or_of_its_series_agree(
    kernels: tuple[Kernel, ...],
) -> None:
    assert _found("int", of(1), kernels=kernels) == ("int", None, [])


@pytest.mark.parametrize(
    ("type_", "banner", "letter", "said"),
    [
        ("bool", CLANG, "b", INVERTED),
        ("bool", CLANG, "d", INVERTED),
        ("bool", CLANG, "D", ""),  # what others see is not changed
        ("bool", GCC, "b", ""),
        ("int", CLANG, "b", ""),
    ],
)
def test_a_bool_that_clang_may_keep_inverted_is_said_to_be_one(
    type_: str, banner: bytes, letter: str, said: str
) -> None:
    found = _variables(type_, None, banner=banner, letter=letter)[0].find("v")
    assert found is not None
    assert found.caution == said


@pytest.mark.parametrize(
    ("type_", "behind", "given"),
    [("int", 4, True), ("int", 8, False), ("struct lock", 0, True), ("struct lock", 8, False)],
)
def test_code_goes_no_further_than_the_type(type_: str, behind: int, given: bool) -> None:
    does = Does(frozenset((4,)), behind=behind)
    assert _found(type_, does)[0] == (type_ if given else None)
    assert _found(type_, does, kernels=(OLD, NEW))[0] == type_


def test_code_that_was_freed_says_nothing_of_what_was_freed() -> None:
    assert _found("int", of(1), address=0x3104)[::2] == ("int", [])


@pytest.mark.parametrize(
    ("type_", "does", "letter", "banner", "given"),
    [
        ("int", of(1), "b", CLANG, False),
        ("int", Does(bits=frozenset((1,))), "b", CLANG, False),
        ("unsigned char", of(1), "b", CLANG, False),  # a byte is what it is in both cases
        ("int", of(4), "b", CLANG, True),
        ("int", of(1, 4), "b", CLANG, True),
        ("int", of(1), "B", CLANG, True),  # others write it as well
        ("int", of(1), "b", GCC, True),
        ("bool", of(1), "b", CLANG, True),
        ("int", None, "b", CLANG, True),
    ],
)
def test_clang_may_keep_a_static_number_as_a_byte_that_says_which_of_two(
    type_: str, does: Does | None, letter: str, banner: bytes, given: bool
) -> None:
    found, why, _ = _found(type_, does, kernels=(OLD, NEW), banner=banner, letter=letter)
    assert found == (type_ if given else None)
    assert why is (None if given else Rejection.SHRUNK)


@pytest.mark.parametrize(
    ("type_", "names", "given"),
    [
        ("struct lock", ("take_raw_lock",), True),  # what it begins with
        ("struct raw_lock", ("take_raw_lock",), True),
        ("struct rw_lock", ("take_raw_lock",), False),  # file_systems_lock is a spin lock by now
        ("struct rw_lock", ("take_raw_lock", "take_nothing"), False),
        ("struct rw_lock", ("take_nothing",), True),
        ("struct raw_lock", ("take_raw_lock", "take_head"), True),  # they do not agree
        ("struct head", ("take_entry",), True),  # as if the head of a list were an entry
        ("struct head", ("take_only",), False),  # ptp_clocks_map is an ida by now, no xarray
        ("struct raw_lock", ("take_locked",), False),  # no head of anything: aa_secids, an idr
        ("int", ("take_head",), False),
    ],
)
def test_functions_that_take_the_address_take_what_the_variable_is(
    type_: str, names: tuple[str, ...], given: bool
) -> None:
    does = Does(passed=frozenset(BASE + FUNCTIONS[name].address for name in names))
    found, why, _ = _found(type_, does)
    assert found == (type_ if given else None)
    assert why is (None if given else Rejection.CODE)
    assert _found(type_, does, kernels=(OLD, NEW))[0] == type_
