"""Random type graphs, small alphabets and any cycle, so that duplicates are frequent."""

from __future__ import annotations

import random
from collections.abc import Sequence

from btfdbg.btf import Btf, Builder
from btfdbg.btf.format import Kind, TypeId
from btfdbg.btf.kinds import (
    Array,
    Const,
    DeclTag,
    Enum,
    Enumerator,
    Func,
    FuncProto,
    Fwd,
    Int,
    Member,
    Param,
    Ptr,
    Struct,
    Type,
    Typedef,
    Union,
    Var,
)


def random_type(rng: random.Random, limit: int, protos: Sequence[int]) -> Type:
    """Return a type whose references are ids below ``limit``."""

    def ref() -> TypeId:
        return TypeId(rng.randrange(limit))

    name = rng.choice("abc")
    members = tuple(
        Member(rng.choice("xy"), ref(), 64 * i) for i in range(rng.choice((0, 1, 1, 2)))
    )
    choice = rng.randrange(12)
    if choice < 2:
        return Ptr(ref())
    if choice < 5:
        tag = rng.choice((name, name, name, ""))
        return Struct(tag, 8 * len(members), members)
    match choice:
        case 5:
            return Union(rng.choice((name, "")), 8, members[:1])
        case 6:
            return Fwd(name, rng.random() < 0.2)
        case 7:
            return Typedef(rng.choice("st"), ref())
        case 8:
            return Const(ref())
        case 9:
            return rng.choice((Int("i", 4, 32, 0, 1), Int("u", 4, 32, 0, 0)))
        case 10:
            values = tuple(Enumerator(v, i) for i, v in enumerate(rng.choice(("", "", "V", "W"))))
            return Enum(rng.choice((name, "")), 4, False, values)
    rest = rng.randrange(5)
    if rest == 0:
        return Array(ref(), ref(), rng.randrange(2))
    if rest == 1:
        return FuncProto(ref(), tuple(Param("p", ref()) for _ in range(rng.randrange(2))))
    if rest == 2 and protos:
        return Func("f", TypeId(rng.choice(protos)), 0)
    if rest == 3:
        return Var("v", ref(), 1)
    return DeclTag("tag", ref(), -1)


def random_types(rng: random.Random, count: int, start: int) -> list[Type]:
    """Return types for ids from ``start`` on; they refer to any id, forward ones included."""
    types: list[Type] = []
    protos: list[int] = []
    for i in range(count):
        type_ = random_type(rng, start + count, protos)
        if type_.kind == Kind.FUNC_PROTO:
            protos.append(start + i)
        types.append(type_)
    return types


def build(types: Sequence[Type], base: Btf | None = None) -> Btf:
    builder = Builder(base)
    for type_ in types:
        builder.add(type_)
    return builder.to_btf()


def permuted(btf: Btf, order: Sequence[int]) -> Btf:
    """Return a BTF with its own types in another order, ``order`` being of their ids."""
    start = btf.start_id
    ids = {old: start + new for new, old in enumerate(order)}
    builder = Builder(btf.base)
    for old in order:
        builder.add_copy(btf, old, ids)
    return builder.to_btf()
