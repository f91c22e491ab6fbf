"""``distill_base()``: split BTF that does not depend on the exact base it was made for.

Owns which of a base's types go where. The result is a pair: a *distilled base* of
named types without any content, by which ``relocate`` later recognises the types of a
real base, and the split on top of it, which takes along what has no name to recognise.

Distilled base: INT, FLOAT and FWD as they are; STRUCT and UNION with their size and
no members; ENUM and ENUM64 as an ENUM of their size without values. Split: its own
types, then arrays, pointers, typedefs, qualifiers, tags, prototypes, locations and
anonymous types that it needs of the base, in the base's order.

Facts: Documentation/bpf/btf.rst, "BTF.base section"; libbpf's btf__distill_base, of
whose choice this is the equal. One difference: an INT or FLOAT without a name goes
into the split, because no relocation could ever find it.
"""

from __future__ import annotations

from btfdbg.btf.btf import Btf
from btfdbg.btf.layouts import (
    ARRAY,
    COMPOSITES,
    CONST,
    ENUM,
    ENUM64,
    FLOAT,
    FUNC_PROTO,
    FWD,
    INT,
    LOC_PARAM,
    LOC_PROTO,
    PTR,
    RESTRICT,
    TYPE_TAG,
    TYPEDEF,
    VOLATILE,
    info_kind,
    kind_name,
    make_info,
)
from btfdbg.btf.records import Records, own_targets
from btfdbg.errors import BtfError

_VERBATIM = frozenset({INT, FLOAT, FWD})
_ENUMS = frozenset({ENUM, ENUM64})
_IN_BASE = _VERBATIM | _ENUMS | COMPOSITES
# Kinds of a base that split BTF may use and still be distilled.
_ALLOWED = _IN_BASE | {
    ARRAY,
    CONST,
    FUNC_PROTO,
    LOC_PARAM,
    LOC_PROTO,
    PTR,
    RESTRICT,
    TYPEDEF,
    TYPE_TAG,
    VOLATILE,
}


def distill_base(split: Btf) -> tuple[Btf, Btf]:
    """
    Take out of a base what a split BTF needs of it.

    :param split: Split BTF; its base may itself be split.
    :return: The distilled base, and the split on top of it.
    :raises BtfError: it is not split, or refers to a function, variable, section or
        declaration tag of its base.
    :raises BtfFormatError: a record refers to what does not exist.
    """
    if split.base is None:
        raise BtfError("cannot distill: the BTF is not split")
    needed = sorted(needed_of_base(split, split.base))
    ids = [-1] * split.type_cnt
    ids[0] = 0
    base = Records(None, split)
    moved: list[int] = []
    for type_id in needed:
        words = split.record(type_id)
        kind = info_kind(words[1])
        if not is_recognised(words[0], kind):
            moved.append(type_id)
        elif kind in _VERBATIM:
            ids[type_id] = base.copy(split, type_id)
        else:
            name = base.string_map(split)[words[0]]
            bare = ENUM if kind in _ENUMS else kind
            ids[type_id] = base.append((name, make_info(bare), words[2]))
    new_base = base.to_btf()
    out = Records(new_base, split)
    for number, type_id in enumerate((*split.own_ids(), *moved), new_base.type_cnt):
        ids[type_id] = number
    out.copy_own(split, ids)
    for type_id in moved:
        out.copy(split, type_id, ids)
    return new_base, out.to_btf()


def is_recognised(name_off: int, kind: int) -> bool:
    """Return whether a type of a base can be recognised in another base, by its name."""
    return name_off != 0 and kind in _IN_BASE


def needed_of_base(split: Btf, base: Btf) -> set[int]:
    """
    Return the types of a base that split BTF cannot do without.

    :param base: ``split``'s base, or a base further down; types in between are not
        returned, and what they refer to is not followed.
    :raises BtfError: it refers to a function, variable, section or declaration tag.
    """
    limit = base.type_cnt
    needed: set[int] = set()
    stack: list[int] = []

    def follow(type_id: int) -> None:
        end = split.type_cnt if type_id >= limit else split.owner_of(type_id).type_cnt
        for target in split.iter_type_refs(type_id):
            if target >= end:
                raise split.record_error(
                    type_id, f"refers to type {target}, last type is {end - 1}"
                )
            if not target or target >= limit or target in needed:
                continue
            kind = split.kind_of(target)
            if kind not in _ALLOWED:
                raise BtfError(
                    f"cannot distill: type {type_id} "
                    f"({kind_name(split.kind_of(type_id))} {split.name_of(type_id)!r}) refers "
                    f"to the base's type {target} ({kind_name(kind)} {split.name_of(target)!r})"
                )
            needed.add(target)
            stack.append(target)

    targets = own_targets(split)
    if targets is not None and max(targets, default=0) < split.type_cnt:
        of_base = [target for target in targets if 0 < target < limit]
        if _ALLOWED.issuperset(map(split.kind_of, of_base)):
            needed.update(of_base)
            stack += of_base
    if not stack:  # one after the other, to find out which is wrong
        for type_id in split.own_ids():
            follow(type_id)
    while stack:
        type_id = stack.pop()
        if split.kind_of(type_id) in COMPOSITES and split.name_of(type_id):
            continue
        follow(type_id)
    return needed
