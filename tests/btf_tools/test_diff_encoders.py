"""``diff`` between encoders: what one did not write is no change; what changed still is."""

from __future__ import annotations

import pytest

from btfdbg.btf import Btf, TypeId, kinds
from btfdbg.btf.builder import Builder
from btfdbg.btf.diff import diff, diff_with_remarks
from btfdbg.btf.format import IntEncoding
from tests.btf.test_encoder import CHARS, SIGNED_CHAR, btf_of, enum

NEWER = (
    SIGNED_CHAR,
    kinds.Int("char", 1, 8, 0, IntEncoding.SIGNED),
    kinds.Float("double", 8),
    enum("other", signed=True, MINUS=-1),
)
OLDER = (*CHARS, kinds.Int("double", 8, 64, 0, IntEncoding.SIGNED), enum("other", MINUS=2**32 - 1))


def changes(old: tuple[kinds.Type, ...], new: tuple[kinds.Type, ...]) -> list[str]:
    return [
        f"{c.status} {c.kind} {c.name} {'; '.join(map(str, c.details))}".strip()
        for c in diff(btf_of(*OLDER, *old), btf_of(*NEWER, *new))
    ]


def test_signs_and_floats_that_one_encoder_did_not_write_are_no_changes() -> None:
    assert changes((), ()) == []


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        (enum("e", A=2**32 - 2), enum("e", signed=True, A=-3), "value A: 4294967294 -> 4294967293"),
        (enum("e", A=1), enum("e", A=2), "value A: 1 -> 2"),
        (enum("e", 8, A=1), kinds.Enum64("e", 8, False, (kinds.Enumerator("A", 2),)), "A: 1 -> 2"),
        (enum("e", 8, A=1), enum("e", 4, A=1), "size: 8 -> 4"),
        (kinds.Int("int", 4, 32, 0, 1), kinds.Int("int", 4, 32, 0, 0), "32 bits signed -> 32 bits"),
        (kinds.Int("char16", 1, 8, 0, 0), kinds.Int("char16", 1, 8, 0, 1), "8 bits -> 8 bits sig"),
        (kinds.Fwd("gone", False), kinds.Fwd("come", False), "added fwd come"),
    ],
)
def test_what_changed_besides_is_reported(old: kinds.Type, new: kinds.Type, changed: str) -> None:
    assert any(changed in line for line in changes((old,), (new,)))


def test_an_eight_byte_enum_is_compared_by_the_half_that_both_have() -> None:
    cut = enum("pfn", 8, PFN_ERROR=0, PFN_ONE=1)
    whole = kinds.Enum64(
        "pfn", 8, False, (kinds.Enumerator("PFN_ERROR", 1 << 61), kinds.Enumerator("PFN_ONE", 1))
    )
    assert changes((cut,), (whole,)) == []


def test_a_declaration_left_beside_a_definition_is_no_change() -> None:
    struct = kinds.Struct("s", 4, ())
    assert changes((struct, kinds.Fwd("s", False)), (struct,)) == []


def _with_function(types: tuple[kinds.Type, ...], name: str, *, var: bool = False) -> Btf:
    b = Builder()
    for type_ in types:
        b.add(type_)
    proto = b.add(kinds.FuncProto(TypeId(1), ()))
    b.add(kinds.Func(name, proto, 1))
    if var:
        b.add(kinds.Var("percpu", TypeId(1), 1))
    return Btf.parse(b.build())


def test_functions_of_one_side_count_only_between_encoders_of_one_age() -> None:
    a, b = _with_function(NEWER, "gone"), _with_function(NEWER, "come")
    assert [c.name for c in diff(a, b)] == ["come", "gone"]
    a = _with_function(OLDER, "gone")
    found, remarks = diff_with_remarks(a, _with_function(NEWER, "come", var=True))
    assert found == []
    assert [r.split(" are not")[0] for r in remarks] == [
        "1 funcs that only A has",
        "1 funcs that only B has",
        "1 vars that only B has",
    ]


def test_enums_without_a_name_in_members_and_typedefs_are_compared_as_others() -> None:
    assert len(OLDER) == len(NEWER)
    anonymous = TypeId(len(OLDER) + 1)

    def users(name: str) -> tuple[kinds.Type, ...]:
        member = kinds.Member("state", anonymous, 0)
        return kinds.Struct(name, 8, (member,)), kinds.Typedef(f"{name}_t", anonymous)

    cut = enum("", 8, BAD=2**32 - 1, WIDE=0)
    values = kinds.Enumerator("BAD", -1), kinds.Enumerator("WIDE", 1 << 40)
    whole = kinds.Enum64("", 8, True, values)
    assert changes((cut, *users("s")), (whole, *users("s"))) == []
    minus = enum("", BAD=2**32 - 1), enum("", signed=True, BAD=-1), enum("", signed=True, BAD=-2)
    assert changes((minus[0], *users("s")), (minus[1], *users("s"))) == []
    found = changes((minus[0], *users("s")), (minus[2], *users("s")))
    assert len(found) == 2
    assert any(
        "member type state: enum { BAD = 4294967295, } -> enum { BAD = -2, }" in f for f in found
    )
