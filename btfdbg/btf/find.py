"""``find()``: types by name, glob pattern, kind or member.

Owns the search only; one row per type found.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Collection

from btfdbg.btf.btf import Btf
from btfdbg.btf.cheader.c_layout import WorkBudget
from btfdbg.btf.format import COMPOSITES, TypeId
from btfdbg.lazy_dataclass import dataclass

_WILD = re.compile(r"[*?\[]")
_MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Found:
    """
    :ivar members: Members that matched, with their bit offsets; empty if none was asked for.
    """

    type_id: TypeId
    kind: int
    name: str
    members: tuple[tuple[str, int], ...] = ()


def _matcher(pattern: str) -> Callable[[str], object]:
    if _WILD.search(pattern) is None:
        return lambda name: name == pattern
    return re.compile(fnmatch.translate(pattern)).match


def find(
    btf: Btf,
    name: str | None = None,
    *,
    kinds: Collection[int] = (),
    member: str | None = None,
) -> list[Found]:
    """
    Return the types that match, bases first.

    :param name: Name or glob pattern; ``None`` for any, anonymous ones included.
    :param kinds: Only these.
    :param member: Only structs and unions with a member of this name or pattern, their
        anonymous members entered.
    """
    ids: Collection[int]
    if name is not None and _WILD.search(name) is None:
        ids = btf.types_by_name(name)
        fits: Callable[[str], object] = bool
    else:
        ids = btf.ids()
        fits = (lambda _name: True) if name is None else _matcher(name)
    member_fits = None if member is None else _matcher(member)
    out = []
    for type_id in ids:
        kind = btf.kind_of(type_id)
        if kinds and kind not in kinds:
            continue
        if member_fits is not None and kind not in COMPOSITES:
            continue
        type_name = btf.name_of(type_id)
        if name is not None and not fits(type_name):
            continue
        members: list[tuple[str, int]] = []
        if member_fits is not None:
            _members(
                btf,
                type_id,
                0,
                member_fits,
                members,
                0,
                WorkBudget(20_000 + len(btf.record(type_id))),
            )
            if not members:
                continue
        out.append(Found(TypeId(type_id), kind, type_name, tuple(members)))
    return out


def _members(
    btf: Btf,
    type_id: int,
    base: int,
    fits: Callable[[str], object],
    out: list[tuple[str, int]],
    depth: int,
    steps: WorkBudget,
) -> None:
    words = btf.record(type_id)
    kflag = words[1] > 0x7FFFFFFF
    for at in range(3, len(words), 3):
        steps.take(type_id)
        offset = words[at + 2] & 0xFFFFFF if kflag else words[at + 2]
        name = btf.string(words[at])
        if name:
            if fits(name):
                out.append((name, base + offset))
        elif depth < _MAX_DEPTH:
            inner = btf.skip_mods_and_typedefs(words[at + 1])
            if btf.kind_of(inner) in COMPOSITES:
                _members(btf, inner, base + offset, fits, out, depth + 1, steps)
