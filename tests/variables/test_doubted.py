"""What other kernels agree on where nothing here proves all of it, and this dump speaks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import drgn
import pytest

from btfdbg.variables.code_claims import _ends_otherwise, proven_by_code
from btfdbg.variables.evidence import DumpEvidence
from btfdbg.variables.lookup import VariableTypes
from btfdbg.variables.provenance import Rejection, Source
from btfdbg.variables.symbols import Symbol

from .kernels import BASE, RELEASE, Sym, Symbols, make_btf, make_program
from .test_lookup import _database

Said = Callable[[Symbol, drgn.Type, bool], tuple[str, int]]
TABLE = Sym("v", 0x40, 64)  # room for one to eight pointers; BTF has arrays of three and five
NUMBER = Sym("v", 0x40, 0x48)  # the next one begins at a multiple of 8: more than padding


@dataclass(frozen=True)
class Claim:
    """What code says."""

    type: str
    why: str = "code: 1 call of f"
    reach: int = 0
    alone: bool = False
    or_table: bool = False


def _variables(
    *lines: tuple[str, ...],
    symbol: Sym = TABLE,
    says: Said | None = None,
    claim: Claim | None = None,
) -> VariableTypes:
    btf = make_btf()
    return VariableTypes(
        make_program(btf, bytes(0x200)),
        DumpEvidence(
            Symbols(symbol),
            release=RELEASE,
            architecture="x86_64",
            btf=lambda: btf,
            code=lambda _: claim,
            bears_out=says,
            symbol_at=lambda at: Sym("next", at, 8),
        ),
        database=lambda: _database(*lines),
    )


def _given(variables: VariableTypes) -> tuple[str, str] | None:
    found = variables.find("v")
    if found is None:
        return None
    assert found.source is Source.CODE
    return found.type.type_name(), found.known_from


def test_elements_that_the_dump_bears_out_are_an_array_of_open_length() -> None:
    asked: list[tuple[str, bool]] = []

    def says(symbol: Symbol, element: drgn.Type, array: bool) -> tuple[str, int]:
        asked.append((element.type_name(), array))
        return "contents: 4 pointers to text", 0

    variables = _variables(("v", "struct foo *[4]", "near"), says=says)
    assert _given(variables) == (
        "struct foo *[]",
        "contents: 4 pointers to text, as in DWARF of 6.1.5-amd64",
    )
    assert asked == [("struct foo *", True)]


@pytest.mark.parametrize(("shown", "given"), [(5, "[5]"), (3, "[3]"), (4, "[]"), (0, "[]")])
def test_the_length_that_memory_shows_is_given_if_btf_has_it(shown: int, given: str) -> None:
    line = ("v", "struct foo *[4]", "near")
    found = _given(_variables(line, says=lambda *_: ("contents: 4 pointers to text", shown)))
    assert found is not None
    assert found[0] == f"struct foo *{given}"


def test_without_a_witness_there_is_no_type() -> None:
    line = ("v", "struct foo *[4]", "near")
    assert _given(_variables(line)) is None
    assert _given(_variables(line, says=lambda *_: ("", 0))) is None
    assert _variables(line).cause("v") is Rejection.LENGTH


def test_what_code_says_of_the_elements_is_a_witness() -> None:
    lines = (("v", "struct foo [2]", "near"),)
    symbol = Sym("v", 0x40, 64)
    says: Said = lambda *_: ("", 0)  # noqa: E731
    given = _given(_variables(*lines, symbol=symbol, says=says, claim=Claim("struct foo")))
    assert given == ("struct foo []", "code: 1 call of f, as in DWARF of 6.1.5-amd64")
    assert _given(_variables(*lines, symbol=symbol, says=says, claim=Claim("struct bar"))) is None


@pytest.mark.parametrize(
    "lines",
    [
        (("v", "struct foo *[4]", "near"), ("v", "int [4]", "far")),  # they disagree
        (("v@m", "struct foo *[4]", "near"), ("v@n", "int *[4]", "near")),  # other modules'
        (("v", "struct nothing *[4]", "near"),),  # BTF has no such type
        (("w", "struct foo *[4]", "near"),),
    ],
)
def test_nobody_is_asked_where_kernels_do_not_agree(lines: tuple[tuple[str, ...], ...]) -> None:
    def says(symbol: Symbol, element: drgn.Type, array: bool) -> tuple[str, int]:
        raise AssertionError(element)

    assert _given(_variables(*lines, says=says)) is None


def test_a_number_with_more_room_than_it_needs_wants_a_witness() -> None:
    line = ("v", "int", "near")
    assert _variables(line, symbol=NUMBER).cause("v") is Rejection.GAP
    says: Said = lambda _, type_, array: ("" if array else "code: it accesses it", 0)  # noqa: E731
    given = _given(_variables(line, symbol=NUMBER, says=says))
    assert given == ("int", "code: it accesses it, as in DWARF of 6.1.5-amd64")


# One, or an array of one.


def test_code_cannot_tell_an_array_of_one_from_its_element() -> None:
    symbol, claim = Sym("v", 0x40, 16), Claim("struct foo")
    plain = _given(_variables(symbol=symbol, claim=claim))
    assert plain is not None
    assert plain[0] == "struct foo"
    assert _given(_variables(symbol=symbol, claim=replace(claim, or_table=True))) is None


def test_of_one_and_an_array_of_one_other_kernels_say_which() -> None:
    symbol, claim = Sym("v", 0x40, 16), Claim("struct foo", or_table=True)
    table = _given(_variables(("v", "struct foo [3]", "near"), symbol=symbol, claim=claim))
    assert table is not None
    assert table[0] == "struct foo [1]"


def test_what_nothing_names_behind_a_pointer_is_padding() -> None:
    symbol = Sym("v", 0x40, 16)
    claim = Claim("struct foo *")
    assert _given(_variables(symbol=symbol, claim=claim)) is None
    found = _given(_variables(symbol=symbol, claim=replace(claim, alone=True)))
    assert found is not None
    assert found[0] == "struct foo *"


@pytest.mark.parametrize(("mark", "otherwise"), [("", False), ("tail2 ", True), ("tail0 ", True)])
def test_an_array_that_ends_otherwise_elsewhere_has_no_usual_end(
    mark: str, otherwise: bool
) -> None:
    # An array of one struct fits here alone; its length is what the usual end says.
    line = ("w", f"{mark}struct foo *[4]", "near")
    variables = _variables(line, symbol=Sym("w", 0x40, 24))
    variables.find("w")
    context = variables._prepared()
    assert _ends_otherwise(context, Sym("w", BASE + 0x40, 24)) is otherwise
    claim = Claim("struct foo *[]")
    given = proven_by_code(context, Sym("w", BASE + 0x40, 24), claim)
    assert given is not None
    assert given.type_name() == ("struct foo *[]" if otherwise else "struct foo *[3]")
