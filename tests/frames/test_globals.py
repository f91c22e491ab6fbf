"""Types of variables from what the code does with them."""

from __future__ import annotations

from pathlib import Path

import drgn
import pytest

import btfdbg
from btfdbg.commands import namespace
from btfdbg.commands.evaluate import prepare, run_line
from btfdbg.frames.evidence import Evidence
from btfdbg.frames.globals import _one_record
from btfdbg.program.session import Session

pytest.importorskip("capstone")
namespace.load_commands()


@pytest.fixture(scope="module")
def oops(oops_core: Path) -> Session:
    """A Session of a dump whose module no database knows."""
    return btfdbg.session(btfdbg.program_from_core_dump(oops_core))


@pytest.mark.parametrize(
    ("name", "type_", "source"),
    [
        ("cf_left", "struct mutex", "code: 2 calls of mutex_lock, 2 calls of mutex_unlock"),
        ("cf_right", "struct mutex", "code: 2 calls of mutex_lock, 2 calls of mutex_unlock"),
        ("cf_widgets", "struct list_head", "contents: its links lead back to it"),
    ],
)
def test_a_modules_variable_has_the_type_that_its_code_proves(
    oops: Session, name: str, type_: str, source: str
) -> None:
    assert oops.prog[name].type_.type_name() == type_
    assert oops.variable_source(name) == source


def test_whatis_says_which_code(oops: Session, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(oops)
    assert run_line(oops, "whatis cf_left")
    out = capsys.readouterr().out
    assert "struct mutex cf_left;" in out
    assert "type known from: code: 2 calls of mutex_lock" in out


def test_what_the_code_does_not_prove_has_no_type(oops: Session) -> None:
    # It is only looked through, never passed: any struct with an int there would do.
    assert "cf_victim" not in oops.prog
    assert oops.variable_source("cf_victim") is None


def test_nobody_reads_code_where_that_was_switched_off(oops_core: Path) -> None:
    session = btfdbg.session(btfdbg.program_from_core_dump(oops_core))
    session.reads_code = False
    assert "cf_left" not in session.prog


@pytest.fixture(scope="module")
def types() -> dict[str, drgn.Type]:
    """``outer`` begins with ``inner``; ``other`` does not."""
    prog = drgn.Program(drgn.host_platform)
    number = prog.int_type("unsigned long", 8, False)
    member = drgn.TypeMember
    inner = prog.struct_type("inner", 8, [member(number, "a", 0)])
    outer = prog.struct_type("outer", 24, [member(inner, "i", 0), member(number, "b", 64)])
    other = prog.struct_type("other", 24, [member(number, "c", 0), member(number, "d", 64)])
    nameless = prog.struct_type(None, 24, [member(number, "e", 0)])
    return {"inner": inner, "outer": outer, "other": other, "nameless": nameless}


def _objects(
    types: dict[str, drgn.Type],
    *names: str,
    reach: int = 0,
    named: int = 0,
    begun: tuple[str, ...] = (),
) -> str | None:
    evidence = Evidence(0xFFFF_FFFF_8200_0000, 24)
    evidence.reach, evidence.named = reach, named
    evidence.objects = [(types[name], "call f") for name in names]
    found = evidence.verdict(lambda type_, limit: type_.tag in begun)
    return None if found is None else found.type


def _values(
    types: dict[str, drgn.Type], *names: str, beyond: int = 0, begun: tuple[str, ...] = ()
) -> str | None:
    evidence = Evidence(0xFFFF_FFFF_8200_0000, 8)
    evidence.beyond = beyond
    evidence.values = [(types[name], "call f") for name in names]
    found = evidence.verdict(lambda type_, limit: type_.tag in begun)
    return None if found is None else found.type


def test_of_a_struct_and_its_first_member_the_struct_is_meant(types: dict[str, drgn.Type]) -> None:
    assert _objects(types, "inner", "outer", "inner") == "struct outer"
    assert _values(types, "inner", "outer") == "struct outer *"


def test_who_disagrees_ends_it(types: dict[str, drgn.Type]) -> None:
    assert _objects(types, "outer", "other") is None
    assert _values(types, "outer", "other", "outer") is None


def test_an_access_behind_the_end_refutes_a_type(types: dict[str, drgn.Type]) -> None:
    assert _objects(types, "inner", reach=8) == "struct inner"
    assert _objects(types, "outer", reach=24) == "struct outer"
    assert _objects(types, "outer", reach=32) is None
    assert _values(types, "inner", beyond=8) == "struct inner *"
    assert _values(types, "inner", beyond=16) is None


def test_without_evidence_there_is_no_type(types: dict[str, drgn.Type]) -> None:
    assert _objects(types) is None
    assert _objects(types, "nameless", "nameless") is None


def test_what_begins_a_larger_struct_is_not_taken_for_a_variable_of_its_own(
    types: dict[str, drgn.Type],
) -> None:
    assert _objects(types, "inner", named=16, begun=("inner",)) is None
    assert _objects(types, "inner", "outer", begun=("inner",)) == "struct outer"
    assert _values(types, "inner", begun=("inner",)) is None


def test_what_begins_a_larger_struct_is_meant_where_no_code_goes_on_behind_it(
    types: dict[str, drgn.Type],
) -> None:
    def verdict(why: str, named: int = 0, reach: int = 0, *, unread: bool = False) -> bool:
        evidence = Evidence(0xFFFF_FFFF_8200_0000, 24)
        evidence.objects = [(types["inner"], why)]
        evidence.named, evidence.reach, evidence.unread = named, reach, unread
        return evidence.verdict(lambda type_, limit: True) is not None

    assert verdict("call f", reach=8)
    assert not verdict("call f", named=8)
    assert not verdict("call f", reach=16)
    assert not verdict("call f", unread=True)
    assert not verdict("pointer other.member")  # a node of a list: no code names it


def test_where_a_pointer_to_the_variable_is_wanted_the_variable_is_no_other(
    types: dict[str, drgn.Type],
) -> None:
    evidence = Evidence(0xFFFF_FFFF_8200_0000, 8)
    evidence.points_to_word(0, types["inner"], "call f")
    found = evidence.verdict(lambda type_, limit: True)
    assert found is not None
    assert found.type == "struct inner *"
    # A larger variable only begins with such a pointer.
    evidence = Evidence(0xFFFF_FFFF_8200_0000, 16)
    evidence.points_to_word(0, types["inner"], "call f")
    assert evidence.verdict(lambda type_, limit: False) is None
    assert [offset for offset, _, _ in evidence.exact] == [0]


def test_an_attribute_list_of_a_union_is_meant_as_it_may_be_written() -> None:
    prog = drgn.Program(drgn.host_platform)
    attribute = prog.struct_type("attribute", 16, ())
    other = prog.struct_type("other", 16, ())
    const = attribute.qualified(drgn.Qualifiers.CONST)

    def table(target: drgn.Type) -> drgn.Type:
        return prog.pointer_type(prog.pointer_type(target))

    both = [table(attribute), table(const)]
    assert _one_record(both, True) == attribute
    assert _one_record(both, False) == const
    assert _one_record([table(attribute), table(other)], True) is None
    assert _one_record([table(attribute), prog.pointer_type(attribute)], True) is None
    assert _one_record([], True) is None
