"""Structs with fields that BPF manages: what the verifier refuses of them without a word."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from btfdbg.btf import Builder, kinds
from btfdbg.btf.format import TypeId
from btfdbg.btf.validate.validate import check

SIZES = {
    "bpf_spin_lock": 4,
    "bpf_res_spin_lock": 4,
    "bpf_refcount": 4,
    "bpf_list_head": 16,
    "bpf_list_node": 24,
    "bpf_rb_root": 16,
    "bpf_rb_node": 32,
}


class M(NamedTuple):
    """
    A member of the struct.

    :ivar what: A struct of SIZES, ``"int"``, ``"inner"`` or ``"* TAG… TARGET"``.
    :ivar many: Of an array, its length; -1 if it is none. ``bits``: of a bit-field.
    """

    what: str
    many: int = -1
    contains: tuple[str, ...] = ()
    bits: int = 0
    at: int | None = None


LOCK, RB, LIST = M("bpf_spin_lock"), M("bpf_rb_node"), M("bpf_list_node")
HEAD = M("bpf_list_head", contains=("contains:of_ours:l",))
USER = M("* user int")


def built(members: tuple[M, ...], inner: tuple[M, ...] = ()) -> bytes:
    """Return the BTF of a struct ``s`` with these members, and of one that it may embed."""
    b = Builder()
    ids: dict[str, TypeId] = {"int": b.add_int("int", 4, 1), "void": TypeId(0)}
    for name, size in SIZES.items():
        ids[name] = b.add(kinds.Struct(name, size, ()))
    ids["fwd"] = b.add(kinds.Fwd("fwd", False))
    ids["union"] = b.add(kinds.Union("u", 4, (kinds.Member("a", ids["int"], 0),)))
    # No struct of the kernel has this name: else it would have to let programs keep it.
    ids["node"] = b.add(
        kinds.Struct(
            "of_ours",
            64,
            (
                kinds.Member("k", ids["int"], 0),
                kinds.Member("c", ids["bpf_refcount"], 32),
                kinds.Member("l", ids["bpf_list_node"], 64),
                kinds.Member("r", ids["bpf_rb_node"], 256),
            ),
        )
    )
    ids["alias"] = b.add_typedef("alias", ids["node"])
    if inner:
        ids["inner"] = _struct(b, ids, "inner", inner)
    _struct(b, ids, "s", members)
    return b.build()


def _type(b: Builder, ids: dict[str, TypeId], m: M) -> TypeId:
    *tags, target = m.what.removeprefix("* ").split()
    at = ids[target]
    if m.what.startswith("*"):
        for tag in reversed(tags):
            at = b.add_type_tag(tag, at)
        at = b.add_ptr(at)
    return at if m.many < 0 else b.add(kinds.Array(at, ids["int"], m.many))


def _struct(b: Builder, ids: dict[str, TypeId], name: str, members: tuple[M, ...]) -> TypeId:
    made, bit, tags = [], 0, []
    sizes = {**SIZES, "int": 4, "node": 64, "inner": 128}
    for index, m in enumerate(members):
        if m.at is not None:
            bit = m.at
        elif not m.bits:
            bit = (bit + 63) // 64 * 64
        made.append(kinds.Member(f"m{index}", _type(b, ids, m), bit, m.bits))
        size = 8 if m.what.startswith("*") else sizes[m.what]
        bit += m.bits or 8 * size * (1 if m.many < 0 else m.many)
        tags += [(index, value) for value in m.contains]
    size = 128 if name == "inner" else (bit + 7) // 8 + 8
    type_id = b.add(kinds.Struct(name, size, tuple(made)))
    for index, value in tags:
        b.add(kinds.DeclTag(value, type_id, index))
    return type_id


# Members, members of what is embedded, and the rule; "" is right.
CASES: dict[str, tuple[tuple[M, ...], tuple[M, ...], str]] = {
    "a list with its lock": ((LOCK, HEAD), (), ""),
    "a list with the other lock": ((M("bpf_res_spin_lock"), HEAD), (), ""),
    "a list without a lock": ((HEAD,), (), "No lock"),
    "two locks of two kinds": ((LOCK, M("bpf_res_spin_lock")), (), "Two locks"),
    "two locks of one kind": ((LOCK, LOCK), (), "More than one"),
    "a list of what is not said": ((LOCK, M("bpf_list_head")), (), "Invalid contains tag"),
    "a list of what is said twice": (
        (LOCK, HEAD._replace(contains=("contains:of_ours:l", "contains:of_ours:r"))),
        (),
        "Invalid contains tag",
    ),
    "a list with another tag, too": (
        (LOCK, HEAD._replace(contains=("contains:of_ours:l", "other"))),
        (),
        "",
    ),
    "a list of what has no such node": (
        (LOCK, HEAD._replace(contains=("contains:of_ours:x",))),
        (),
        "Invalid contains tag",
    ),
    "a list of what has a node of trees": (
        (LOCK, HEAD._replace(contains=("contains:of_ours:r",))),
        (),
        "Invalid contains tag",
    ),
    "a list of nothing": (
        (LOCK, HEAD._replace(contains=("contains:nosuch:l",))),
        (),
        "Invalid contains tag",
    ),
    "both nodes": ((RB, LIST), (), "No bpf_refcount"),
    "both nodes and a count": ((RB, LIST, M("bpf_refcount")), (), ""),
    "a tagged pointer elsewhere": ((M("int"), USER), (), ""),
    "a tagged pointer beside a node": ((RB, USER), (), "Unknown type tag"),
    "an array of those": ((RB, USER._replace(many=3)), (), "Unknown type tag"),
    "an array of none": ((RB, USER._replace(many=0)), (), ""),
    "a tagged pointer embedded": ((RB, M("inner")), (USER,), "Unknown type tag"),
    "a pointer to user memory": ((RB, M("* uptr node")), (), ""),
    "a kptr": ((RB, M("* kptr node")), (), ""),
    "a kptr by another name": ((RB, M("* kptr alias")), (), ""),
    "a kptr to what is declared": ((RB, M("* kptr fwd")), (), "Invalid pointee"),
    "a kptr to a union": ((RB, M("* kptr union")), (), "Invalid pointee"),
    "a kptr to a number": ((RB, M("* kptr int")), (), "Invalid pointee"),
    "a kptr to void": ((RB, M("* kptr void")), (), "Invalid pointee"),
    "two tags": ((RB, M("* kptr percpu node")), (), "Several type tags"),
    "as many as may be": ((RB, M("* kptr node", 10)), (), ""),
    "one more": ((RB, M("* kptr node", 11)), (), "Too many special fields"),
    "very many": ((RB, M("* kptr node", 1 << 20)), (), "Too many special fields"),
    "an array of nodes": ((LOCK, M("bpf_list_node", 2)), (), "In an array"),
    "an array of one": ((LOCK, M("bpf_list_node", 1)), (), ""),
    "an array of what has a node": ((LOCK, M("inner", 2)), (LIST,), "In an array"),
    "an array of what has a pointer": ((LOCK, M("inner", 2)), (M("* kptr node"),), ""),
    "a bit-field at a byte": ((RB, M("int", bits=3)), (), ""),
    "a bit-field within one": (
        (RB, M("int", bits=3), M("int", bits=3)),
        (),
        "Bit-field beside special fields",
    ),
    "such a bit-field embedded": (
        (RB, M("inner")),
        (M("int", bits=3), M("int", bits=3)),
        "Bit-field beside special fields",
    ),
    "a bit-field elsewhere": ((M("int", bits=3), M("int", bits=3)), (), ""),
}


@pytest.mark.parametrize("case", CASES)
def test_what_the_verifier_refuses_of_managed_fields(case: str) -> None:
    members, inner, rule = CASES[case]
    assert [p.rule for p in check(built(members, inner))] == ([rule] if rule else [])


def test_a_field_that_is_not_aligned_is_none() -> None:
    data = built((M("int"), M("bpf_rb_node", at=32)))
    assert [p.rule for p in check(data)] == ["No special field"]
    assert list(check(data, level="kernel")) == []


def test_structs_that_embed_each_other_twice_are_looked_at_once() -> None:
    b = Builder()
    node = b.add(kinds.Struct("bpf_rb_node", 32, ()))
    number = b.add_int("int", 4, 1)
    at = b.add(kinds.Struct("s0", 4, (kinds.Member("a", number, 0),)))
    for depth in range(1, 25):
        size = 4 << depth
        twice = kinds.Member("a", at, 0), kinds.Member("b", at, 4 * size)
        at = b.add(kinds.Struct(f"s{depth}", size, twice))
    members = kinds.Member("n", node, 0), kinds.Member("s", at, 256)
    b.add(kinds.Struct("top", 32 + (4 << 24), members))
    assert list(check(b.build())) == []
