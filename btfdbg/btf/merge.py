"""``merge()`` and ``rebase()``: trees of split BTF put together or put elsewhere.

Owns the trees: base, modules on top of it, extras on top of either. Matching of types
is ``relocate``'s, equality of types is ``dedup``'s.
"""

from __future__ import annotations

from collections.abc import Sequence

from btfdbg.btf.btf import Btf
from btfdbg.btf.dedup.dedup import dedup
from btfdbg.btf.distill import is_recognised, needed_of_base
from btfdbg.btf.format import info_kind
from btfdbg.btf.records import Records
from btfdbg.btf.relocate import Matcher, embedded_by
from btfdbg.errors import BtfError


def merge(parts: Sequence[Btf]) -> Btf:
    """
    Put BTFs of one base together into one on top of that base.

    Types that several have are in the result once. Types of one name that differ, as
    two modules may have, stay several.

    :param parts: All without a base, or all split on top of the very same.
    :raises BtfError: none given, or bases differ.
    """
    if not parts:
        raise BtfError("cannot merge: nothing given")
    base = parts[0].base
    if any(part.base is not base for part in parts):
        raise BtfError("cannot merge: not all are on top of the same base")
    records = Records(base, parts[0])
    start = records.start_id
    for part in parts:
        shift = records.type_cnt - start
        ids = list(range(start)) + [type_id + shift for type_id in part.own_ids()]
        for type_id in part.own_ids():
            records.copy(part, type_id, ids)
    return dedup(records.to_btf())


class Rebase:
    """
    Moves BTF split on top of one base, however many levels, onto another base.

    Each moved level keeps its own types, in order; what it needs of the old base and
    cannot find by name in the new one (pointers, arrays, anonymous types) follows them.
    A level that several others are on top of is moved once.

    :param old_base: The level to be replaced.
    :param new_base: What replaces it.
    """

    def __init__(self, old_base: Btf, new_base: Btf) -> None:
        self.old_base = old_base
        self.new_base = new_base
        # Old level to the new one, and all ids to those in it.
        self._moved: dict[int, tuple[Btf, list[int]]] = {}
        self._keep: list[Btf] = []

    def move(self, split: Btf) -> Btf:
        """
        Return a split moved.

        :raises BtfRelocateError: the new base lacks types; all are listed.
        :raises BtfError: the split is not on top of the old base.
        """
        levels = list(split.chain())
        if self.old_base not in levels or split is self.old_base:
            raise BtfError("cannot rebase: the BTF is not on top of the old base")
        parent, ids = self.new_base, [0] + [-1] * (self.old_base.type_cnt - 1)
        for level in levels[levels.index(self.old_base) + 1 :]:
            known = self._moved.get(id(level))
            if known is None:
                known = self._moved[id(level)] = self._move_level(level, parent, ids)
                self._keep.append(level)
            parent, ids = known
        return parent

    def _move_level(self, level: Btf, parent: Btf, before: list[int]) -> tuple[Btf, list[int]]:
        ids = list(before)
        needed = sorted(t for t in needed_of_base(level, self.old_base) if ids[t] < 0)
        found: list[int] = []
        moved: list[int] = []
        for type_id in needed:
            words = self.old_base.record(type_id)
            known = is_recognised(words[0], info_kind(words[1]))
            (found if known else moved).append(type_id)
        embedded = embedded_by(level, self.old_base)
        matcher = Matcher(self.old_base, found, embedded, self.new_base)
        for type_id, target in matcher.match().items():
            ids[type_id] = target
        start = parent.type_cnt
        ids += range(start, start + len(level.offsets))
        for number, type_id in enumerate(moved, start + len(level.offsets)):
            ids[type_id] = number
        records = Records(parent, level)
        for type_id in (*level.own_ids(), *moved):
            if any(ids[t] < 0 for t in level.iter_type_refs(type_id)):
                # needed_of_base() has seen every reference of this level to the old base.
                raise level.record_error(type_id, "refers to a type that was not moved")
            records.copy(level, type_id, ids)
        return records.to_btf(), ids


def rebase(split: Btf, new_base: Btf) -> Btf:
    """
    Move split BTF, and the levels between, from its bottom-most base onto another.

    :raises BtfRelocateError: the new base lacks types; all are listed.
    """
    return Rebase(split.chain()[0], new_base).move(split)
