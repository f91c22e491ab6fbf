"""Which types have another at an offset: all of a BTF that do, or no answer.

Owns the walk from a type to what is made of it: typedefs, arrays, structs, unions. A BTF that
pahole made has every type of the kernel's (or the module's) debug info, those of static
variables and arrays with their lengths included, so that what is the only one here is the only
one there can be. Knows no dump.

Facts: include/uapi/linux/btf.h; pahole's btf_encoder.c (every type of every compile unit is
encoded, whether a function uses it or not).
"""

from __future__ import annotations

from collections.abc import Iterable

from btfdbg.btf import Btf, Kind, kinds
from btfdbg.btf.fields import SIZE_OR_TYPE
from btfdbg.errors import BtfError

_MAX_STATES = 4096
_MAX_HITS = 1 << 11
_SAME = (Kind.TYPEDEF, Kind.CONST, Kind.VOLATILE, Kind.TYPE_TAG)
_RECORDS = (Kind.STRUCT, Kind.UNION)


def enclosing(btf: Btf, start: Iterable[int], offset: int, room: int) -> frozenset[int] | None:
    """
    Types that have one of some types at an offset.

    :param btf: Where they are looked for; with its base.
    :param start: Ids of the types that are to stand there.
    :param offset: Bytes.
    :param room: Bytes; larger types do not count.
    :return: Ids of structs, unions, arrays and what was begun with, each without typedefs and
        qualifiers around it; None if there is more than can be looked through.
    :raises BtfError: the BTF is damaged.
    """
    first = list(start)
    found: set[int] = set() if offset else set(first)
    todo = [(type_id, 0) for type_id in first]
    seen = set(todo)
    hits = 0
    while todo:
        inner, at = todo.pop()
        for where in btf.chain():
            for word in where.find_word(inner):
                hits += 1
                if hits > _MAX_HITS:
                    return None
                outer = where.id_at(word)
                if outer is None:
                    continue
                kind = where.kind_of(outer)
                if kind in _RECORDS or kind == Kind.ARRAY:
                    places = _places(btf, outer, inner, at, offset, room)
                    counts = True
                elif kind in _SAME and where.record(outer)[SIZE_OR_TYPE] == inner:
                    places, counts = [at], False
                else:
                    continue  # the number is its name, or a pointer to it
                for place in places:
                    if (outer, place) in seen:
                        continue
                    seen.add((outer, place))
                    todo.append((outer, place))
                    if counts and place == offset:
                        found.add(outer)
                if len(seen) > _MAX_STATES:
                    return None
    return frozenset(found)


def _places(btf: Btf, outer: int, inner: int, at: int, offset: int, room: int) -> list[int]:
    """Where what is ``at`` bytes from the start of ``inner`` is in ``outer``, up to an offset."""
    if btf.kind_of(outer) != Kind.ARRAY and btf.owner_of(outer).record(outer)[SIZE_OR_TYPE] > room:
        return []
    t = btf.type_by_id(outer)
    if isinstance(t, (kinds.Struct, kinds.Union)):
        places = {at + m.bit_offset // 8 for m in t.members if m.type == inner}
        return [place for place in places if place <= offset]
    if not isinstance(t, kinds.Array) or t.type != inner:
        return []
    size = btf.resolve_size(inner)
    if not size or not t.nelems or size * t.nelems > room:
        return []
    last = min(t.nelems - 1, (offset - at) // size)
    return [at + size * number for number in range(last + 1)]


def size_of(btf: Btf, type_id: int) -> int | None:
    """Bytes of a type, None if it has none."""
    try:
        return btf.resolve_size(type_id)
    except BtfError:
        return None
