"""Classes of all types from their references' upwards, many types at a time.

Owns the first and by far longest step of a dedup without base: which types are the same
if every tag has one definition. Then a reference to a tag says all by its name, hardly a
cycle is left, and a type's class is known once those of what it refers to are: it is that
of the first type with the same record, ids replaced by classes.

All types of a kind whose references are known are looked up at once, in dictionaries that
C loops fill, and after them those that become known by it. As many rounds are made as types
are nested between two tags, some ten; nearly all types are done in the first two. Types
that are the same are done in the same step, whatever the steps, so that no step needs to
know what another one saw.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import accumulate, compress, pairwise, repeat
from operator import contains, not_

from btfdbg.btf.dedup.flat import Flat
from btfdbg.btf.dedup.graph import NEVER_MERGED, TAG_KINDS
from btfdbg.btf.layouts import LAYOUTS, TYPE_WORDS

#: Class of what has none yet; no id is as high.
UNKNOWN = 0xFFFFFFFF
_UNKNOWN_BYTES = b"\xff" * 4

# Rounds after which what is left is taken for cycles; kernels take some 20.
_ROUNDS = 64
# Looks at all types that these may take together; kernels take two.
_LOOKS = 8


class Climb:
    """
    Classes, each numbered by its lowest id.

    :ivar seen_as: What a reference to each type counts as: for types of a tag the tag's
        number, for others their class. :data:`UNKNOWN` for what is in or above a cycle
        that no tag cuts.
    :ivar tagged: Classes of the types of a tag, but for those above such a cycle.
    """

    def __init__(self, flat: Flat, numbers: Mapping[int, int]) -> None:
        """
        :param numbers: For each type of a tag, the tag's number: the id of one of them.
        :raises IndexError: a record refers to a type that does not exist.
        """
        self.tagged: dict[int, int] = {}
        self.seen_as = [UNKNOWN] * flat.count
        self.seen_as[0] = 0
        self._enter(numbers.keys(), numbers.values())
        alone = flat.of_kinds(NEVER_MERGED)
        self._enter(alone, alone)
        batches: list[_Batch] = []
        last: list[_Batch] = []
        for kind in sorted(set(flat.kinds) - NEVER_MERGED - {0}):
            ids = flat.of_kinds((kind,))
            if kind in TAG_KINDS:
                named = list(map(numbers.__contains__, ids))
                last.append(_Batch(flat, kind, list(compress(ids, named))))
                ids = list(compress(ids, map(not_, named)))
            batches.append(_Batch(flat, kind, ids))
        # What has elements waits for what has none; few types of it are looked at twice.
        batches.sort(key=lambda batch: batch.has_elements)
        looks = _LOOKS * flat.count
        for _ in range(_ROUNDS):
            looks -= sum(batch.left for batch in batches)
            if looks < 0 or not sum(map(self._settle, batches)):
                break
        for batch in last:
            self.tagged.update(zip(*batch.settle(self.seen_as), strict=True))

    def _settle(self, batch: _Batch) -> int:
        ids, classes = batch.settle(self.seen_as)
        self._enter(ids, classes)
        return len(ids)

    def _enter(self, ids: Iterable[int], classes: Iterable[int]) -> None:
        seen_as = self.seen_as
        for type_id, number in zip(ids, classes, strict=True):
            seen_as[type_id] = number


class _Batch:
    """Types of one kind that have no class yet."""

    def __init__(self, flat: Flat, kind: int, ids: list[int]) -> None:
        row = LAYOUTS[kind]
        self._ids = ids
        starts = flat.starts(ids)
        head = range(TYPE_WORDS + row.info_words)
        #: Columns of what stands before elements: ids, and what is not all the same.
        self._refs = [flat.column(starts, at) for at in row.type_words]
        self._others = [flat.column(starts, at) for at in head if at not in row.type_words]
        self._others = [c for c in self._others if c and c.count(c[0]) < len(c)]
        self.has_elements = row.elem_words > 0
        self._elem_words = row.elem_words
        self._elem_ids = row.elem_type_words
        #: Elements of each.
        self._bodies = flat.bodies(ids, len(head)) if self.has_elements else []

    @property
    def left(self) -> int:
        """Types that have no class yet."""
        return len(self._ids)

    def settle(self, seen_as: list[int]) -> tuple[list[int], list[int]]:
        """
        Find the classes of those whose references have one.

        :return: Their ids, and their classes.
        """
        ids = self._ids
        if not ids:
            return [], []
        columns: list[Sequence[Hashable]] = []
        unready: list[Iterable[bool]] = []
        for column in self._refs:
            targets = list(map(seen_as.__getitem__, column))
            columns.append(targets)
            if UNKNOWN in targets:
                unready.append(map(UNKNOWN.__eq__, targets))
        columns += self._others
        if self.has_elements:
            bodies = self._bodies
            if self._elem_ids:
                bodies = self._replaced(seen_as)
                unready.append(map(contains, bodies, repeat(_UNKNOWN_BYTES)))
            columns.append(bodies)
        if unready:
            ready = list(map(not_, map(max, *unready) if len(unready) > 1 else unready[0]))
            columns = [list(compress(column, ready)) for column in columns]
            ids = list(compress(ids, ready))
            self._keep(list(map(not_, ready)))
        else:
            self._ids = []
        if not columns:
            return ids, ids[:1] * len(ids)
        keys: Sequence[Hashable] = (
            columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
        )
        # Of equal keys the last one counts: that of the lowest id.
        first = dict(zip(reversed(keys), reversed(ids), strict=True))
        return ids, list(map(first.__getitem__, keys))

    def _keep(self, left: list[bool]) -> None:
        """Keep what is left."""
        self._ids = list(compress(self._ids, left))
        self._refs = [list(compress(column, left)) for column in self._refs]
        self._others = [list(compress(column, left)) for column in self._others]
        self._bodies = list(compress(self._bodies, left))

    def _replaced(self, seen_as: list[int]) -> list[bytes]:
        """Return the elements of each, ids replaced by what they count as."""
        words = array("I", b"".join(self._bodies))
        step = self._elem_words
        for at in self._elem_ids:
            words[at::step] = array("I", map(seen_as.__getitem__, words[at::step]))
        data = words.tobytes()
        ends = accumulate(map(len, self._bodies), initial=0)
        return [data[at:end] for at, end in pairwise(ends)]
