"""Structs by size and by the types of their members: ``whatis -r`` and ``-m``.

Owns the search through BTF, of the kernel and of its loaded modules. A pass over all types: each
record is decoded once, and no drgn type is made.

Facts: crash's ``help whatis``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from btfdbg.btf import Btf, Kind
from btfdbg.errors import BtfdbgError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.program.session import Session

_RECORDS = (Kind.STRUCT, Kind.UNION)
_MODIFIERS = (
    Kind.PTR, Kind.ARRAY, Kind.CONST, Kind.VOLATILE, Kind.RESTRICT, Kind.TYPE_TAG,
)  # fmt: skip
_MAX_DEPTH = 16


@dataclass(frozen=True, slots=True)
class Match:
    """
    :ivar size: bytes.
    :ivar module: Whose BTF has it; "" for the kernel.
    """

    size: int
    name: str
    kind: str
    module: str


def search(session: Session, low: int, high: int, member: str) -> list[Match]:
    """
    Structs and unions of a size that have a member of a type, smallest first.

    :param low: Smallest size in bytes; ``high`` the largest, inclusive.
    :param member: Part of the name of a member's type, or of what it points to; "" for any.
    """
    session.ensure_modules()
    found: list[Match] = []
    btfs: list[tuple[str, Btf]] = [("", session.vmlinux)]
    for name in session.module_names():
        try:
            btfs.append((name, session.modules[name]))
        except (LookupError, BtfdbgError):
            continue
    for module, btf in btfs:
        found += _in(btf, module, low, high, member)
    return sorted(set(found), key=lambda m: (m.size, m.name, m.module))


def _in(btf: Btf, module: str, low: int, high: int, member: str) -> Iterator[Match]:
    known: dict[int, bool] = {}
    for type_id in btf.own_ids():
        kind = btf.kind_of(type_id)
        if kind not in _RECORDS:
            continue
        record: Any = btf.type_by_id(type_id)
        if not record.name or not low <= record.size <= high:
            continue
        if member and not _has(btf, type_id, member, known, 0):
            continue
        yield Match(record.size, record.name, "struct" if kind == Kind.STRUCT else "union", module)


def _has(btf: Btf, type_id: int, member: str, known: dict[int, bool], depth: int) -> bool:
    """Whether a record, or one within it, has a member of a type of that name."""
    cached = known.get(type_id)
    if cached is not None:
        return cached
    known[type_id] = False  # while it is looked at
    record: Any = btf.type_by_id(type_id)
    for m in record.members:
        if _fits(btf, m.type, member, known, depth):
            known[type_id] = True
            return True
    return False


def _fits(btf: Btf, type_id: int, member: str, known: dict[int, bool], depth: int) -> bool:
    pointed_to = False
    for _ in range(_MAX_DEPTH):
        kind = btf.kind_of(type_id)
        if kind not in _MODIFIERS:
            break
        pointed_to = pointed_to or kind == Kind.PTR
        type_id = btf.type_by_id(type_id).type  # type: ignore[union-attr] # every modifier has one
    if type_id and member in btf.name_of(type_id):
        return True
    if pointed_to or btf.kind_of(type_id) not in _RECORDS or depth >= _MAX_DEPTH:
        return False
    return _has(btf, type_id, member, known, depth + 1)
