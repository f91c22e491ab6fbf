"""What a module's types need of the kernel's, as a BTF that stands alone.

Owns the choice: a record of the kernel that is only pointed to becomes a declaration, for
which a debugger looks in vmlinux; one that lies inside another is copied, since its size is
needed. A module then has some thousands of types and not the kernel's 100,000.
"""

from __future__ import annotations

from collections.abc import Iterable

from btfdbg.btf import Btf, Builder, Kind
from btfdbg.errors import BtfError

_RECORDS = (Kind.STRUCT, Kind.UNION)
_LEFT_OUT = (Kind.VAR, Kind.DATASEC, Kind.DECL_TAG)
_THROUGH = (Kind.TYPEDEF, Kind.CONST, Kind.VOLATILE, Kind.RESTRICT, Kind.TYPE_TAG)


def alone(btf: Btf, start: int, more: Iterable[int] = ()) -> tuple[Btf, dict[int, int]]:
    """
    Return the types of a BTF from an id on, with what they need of those before it.

    :param start: First own id.
    :param more: Ids of further types that are wanted whole.
    :return: The BTF, without a base; and its ids by the old ones.
    :raises BtfError: a type refers to one that does not exist.
    """
    whole, declared = _reached(btf, start, more)
    order = sorted(whole | declared)
    ids = {0: 0} | {old: new for new, old in enumerate(order, 1)}
    builder = Builder(byteorder=btf.byteorder)
    for old in order:
        if old in whole:
            builder.add_copy(btf, old, ids)
        else:
            kind = Kind.STRUCT if btf.kind_of(old) == Kind.STRUCT else Kind.UNION
            builder.add_fwd(btf.name_of(old), kind)
    return builder.to_btf(), ids


def _reached(btf: Btf, start: int, more: Iterable[int]) -> tuple[set[int], set[int]]:
    """Ids wanted whole, and those of which the name is enough."""
    own = (i for i in range(start, btf.type_cnt) if btf.kind_of(i) not in _LEFT_OUT)
    todo = [(type_id, True) for type_id in (*own, *more)]
    seen: set[tuple[int, bool]] = set()
    whole: set[int] = set()
    declared: set[int] = set()
    while todo:
        type_id, by_value = step = todo.pop()
        if not type_id or step in seen:
            continue
        seen.add(step)
        kind = btf.kind_of(type_id)
        is_own = type_id >= start
        if kind in _RECORDS and not by_value and not is_own and btf.name_of(type_id):
            declared.add(type_id)
            continue
        whole.add(type_id)
        inside = by_value if kind in _THROUGH else kind != Kind.PTR
        for target in btf.iter_type_refs(type_id):
            if target >= btf.type_cnt:
                raise BtfError(f"type {type_id} refers to {target}, which does not exist")
            todo.append((target, inside))
    return whole, declared - whole
