"""Sizes, alignments and what is left of a type after its qualifiers.

Owns every walk along references to a size. Data that libbpf accepts may hold
cycles, so each walk is bounded and none of them recurses on the data's say-so
deeper than :data:`MAX_CHAIN`.
Facts: libbpf's btf__resolve_size, btf__align_of, determine_ptr_size.
"""

from __future__ import annotations

from btfdbg.btf import layouts
from btfdbg.btf.layouts import (
    COMPOSITES,
    MAX_CHAIN,
    MODIFIERS,
    SIZED,
    TRANSPARENT,
    TypeId,
    info_kflag,
    info_kind,
    kind_name,
)
from btfdbg.errors import BtfFormatError, BtfNotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from btfdbg.btf.btf import Btf

_LONGS = (
    "long unsigned int",
    "long int",
    "long",
    "unsigned long",
    "unsigned long int",
    "long unsigned",
    "int long",
    "unsigned int long",
    "int unsigned long",
    "int long unsigned",
    "long int unsigned",
)


def _cycle(btf: Btf, type_id: int) -> BtfFormatError:
    return BtfFormatError(
        f"type {type_id} ({kind_name(btf.kind_of(type_id))}): "
        f"refers to itself, or is over {MAX_CHAIN} references deep",
        type_id=type_id,
    )


def _target(btf: Btf, type_id: int) -> int:
    """Return the type a one-word reference leads to, checked to exist."""
    owner = btf.owner_of(type_id)
    target = owner.words[owner.offsets[type_id - owner.start_id] + 2]
    if target >= owner.type_cnt:
        raise BtfFormatError(
            f"type {type_id} ({kind_name(btf.kind_of(type_id))}): "
            f"refers to type {target}, which does not exist",
            type_id=type_id,
        )
    return target


def _skip(btf: Btf, type_id: int, what: frozenset[int]) -> TypeId:
    at = type_id
    for _ in range(MAX_CHAIN):
        if btf.kind_of(at) not in what:
            return TypeId(at)
        at = _target(btf, at)
    raise _cycle(btf, type_id)


def skip_modifiers(btf: Btf, type_id: int) -> TypeId:
    """See :meth:`btfdbg.btf.Btf.skip_modifiers`."""
    return _skip(btf, type_id, MODIFIERS)


def skip_mods_and_typedefs(btf: Btf, type_id: int) -> TypeId:
    """See :meth:`btfdbg.btf.Btf.skip_mods_and_typedefs`."""
    return _skip(btf, type_id, TRANSPARENT)


def _array(btf: Btf, type_id: int) -> tuple[int, int]:
    """Return element type and count of an ARRAY."""
    words = btf.record(type_id)
    elem, nelems = words[3], words[5]
    if elem >= btf.owner_of(type_id).type_cnt:
        raise BtfFormatError(
            f"type {type_id} (ARRAY): refers to type {elem}, which does not exist",
            type_id=type_id,
        )
    return elem, nelems


def resolve_size(btf: Btf, type_id: int) -> int:
    """See :meth:`btfdbg.btf.Btf.resolve_size`."""
    at = type_id
    count = 1
    for _ in range(MAX_CHAIN):
        kind = btf.kind_of(at)
        if kind in SIZED or kind == layouts.PTR:
            size = btf.pointer_size if kind == layouts.PTR else btf.record(at)[2]
            if count * size >= 1 << 63:
                raise BtfFormatError(
                    f"type {type_id} ({kind_name(btf.kind_of(type_id))}): 2^63 bytes or more",
                    type_id=type_id,
                )
            return count * size
        if kind in TRANSPARENT or kind == layouts.VAR:
            at = _target(btf, at)
        elif kind == layouts.ARRAY:
            at, nelems = _array(btf, at)
            count *= nelems
        else:
            what = "void" if at == 0 else f"type {at} ({kind_name(kind)})"
            raise BtfNotFoundError(f"{what} has no size")
    raise _cycle(btf, type_id)


def align_of(btf: Btf, type_id: int) -> int:
    """See :meth:`btfdbg.btf.Btf.align_of`."""
    return _align(btf, type_id, 0)


def _align(btf: Btf, type_id: int, depth: int) -> int:
    known = btf.alignments.get(type_id)
    if known:
        return known
    at = type_id
    for _ in range(MAX_CHAIN):
        kind = btf.kind_of(at)
        if kind in TRANSPARENT or kind == layouts.VAR:
            at = _target(btf, at)
        elif kind == layouts.ARRAY:
            at, _nelems = _array(btf, at)
        else:
            break
    else:
        raise _cycle(btf, type_id)
    result = _align_resolved(btf, at, kind, depth)
    if at != type_id:  # a long chain is walked once, however many members have it
        btf.alignments[type_id] = result
    return result


def _align_resolved(btf: Btf, at: int, kind: int, depth: int) -> int:
    if kind == layouts.PTR:
        return btf.pointer_size
    if kind in (layouts.INT, layouts.ENUM, layouts.ENUM64, layouts.FLOAT):
        size = btf.record(at)[2]
        # A FLOAT of 12 bytes is aligned as one of 4: an alignment is a power of two.
        return min(btf.pointer_size, size & -size) or 1
    if kind in COMPOSITES:
        return _align_composite(btf, at, depth)
    what = "void" if at == 0 else f"type {at} ({kind_name(kind)})"
    raise BtfNotFoundError(f"{what} has no alignment")


def _align_composite(btf: Btf, type_id: int, depth: int) -> int:
    known = btf.alignments.get(type_id)
    if known == 0 or depth > MAX_CHAIN:  # 0: being worked out further up
        raise _cycle(btf, type_id)
    if known is not None:
        return known
    owner = btf.owner_of(type_id)
    record = btf.record(type_id)
    kflag = info_kflag(record[1])
    struct = info_kind(record[1]) == layouts.STRUCT
    size = record[2]
    btf.alignments[type_id] = 0
    result = 1
    packed = False
    try:
        for at in range(3, len(record), 3):
            member = record[at + 1]
            if member >= owner.type_cnt:
                raise BtfFormatError(
                    f"type {type_id} ({kind_name(info_kind(record[1]))}): "
                    f"refers to type {member}, which does not exist",
                    type_id=type_id,
                )
            align = _align(btf, member, depth + 1)
            result = max(result, align)
            offset = record[at + 2]
            if kflag:
                if offset >> 24:
                    continue  # a bit-field stands where it stands
                offset &= 0xFFFFFF
            if struct and offset % (8 * align):
                packed = True
        if packed or size % result:
            result = 1
        btf.alignments[type_id] = result
    finally:
        if not btf.alignments[type_id]:
            del btf.alignments[type_id]
    return result


def guess_pointer_size(btf: Btf) -> int:
    """Return the size of the first ``long`` at the bottom of the chain, 8 without one."""
    bottom = btf.chain()[0]
    for name in _LONGS:
        for type_id in bottom.own_ids_by_name(name, (layouts.INT,)):
            size = bottom.record(type_id)[2]
            if size in (4, 8):
                return int(size)
    return 8
