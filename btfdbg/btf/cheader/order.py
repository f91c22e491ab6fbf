"""The order of a C header's types that changes least from kernel to kernel.

Owns the order of definitions: by what they are, then by name, so that two kernels' headers
can be compared line by line. What a type needs still comes before it. The order is that of
``bpftool btf dump format c`` since 7.6 ("sort_btf_c"), but for types of one name and sort,
which stay in the order of their ids.
"""

from __future__ import annotations

from collections.abc import Iterable

from btfdbg.btf.btf import Btf
from btfdbg.btf.format import MAX_CHAIN, Kind

# Before these, enums of which only the values have names; after them, all else.
_RANK: dict[int, int] = {
    Kind.ENUM: 1,
    Kind.ENUM64: 1,
    Kind.INT: 2,
    Kind.FLOAT: 2,
    Kind.STRUCT: 3,
    Kind.UNION: 3,
    Kind.FUNC_PROTO: 4,
}
_LAST = 10
_ENUMS = frozenset({Kind.ENUM, Kind.ENUM64})
# Named like what they refer to, if that is not named: its word in the record.
_THROUGH = {
    Kind.PTR: 2,
    Kind.TYPEDEF: 2,
    Kind.CONST: 2,
    Kind.VOLATILE: 2,
    Kind.RESTRICT: 2,
    Kind.TYPE_TAG: 2,
    Kind.DECL_TAG: 2,
    Kind.ARRAY: 3,
}


def c_order(btf: Btf, ids: Iterable[int]) -> list[int]:
    """
    Return ids of a BTF and its bases in the order in which to define them.

    :raises BtfFormatError: a type refers to what does not exist.
    """
    return sorted(ids, key=lambda type_id: (*_key(btf, type_id), type_id))


def _key(btf: Btf, type_id: int) -> tuple[int, bytes, bytes]:
    record = btf.record(type_id)
    kind = btf.kind_of(type_id)
    own = btf.string_bytes(record[0])
    if kind in _THROUGH:
        for _ in range(MAX_CHAIN):
            at = record[_THROUGH[Kind(kind)]]
            kind = btf.kind_of(at)
            if not at:
                return _LAST, b"", own
            record = btf.record(at)
            if kind not in _THROUGH:
                break
        # What has no name of its own is defined for others' sake only.
        return _RANK.get(kind, _LAST) if own else _LAST, btf.string_bytes(record[0]), own
    if kind in _ENUMS and not own:
        return 0, btf.string_bytes(record[3]) if len(record) > 3 else b"", own
    if kind in (Kind.STRUCT, Kind.UNION, Kind.FUNC_PROTO) and not own:
        return _LAST, own, own
    return _RANK.get(kind, _LAST), own, own
