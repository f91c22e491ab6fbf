"""Types that cycles are below of, told apart by partition refinement.

Owns what ``dedup_split`` leaves over: cycles that no tag cuts, which are the rare ones
through an anonymous type or a typedef alone, and, where its short cut gave up, those
through ambiguous tags. Own types go through ``refine`` together with the types of the
base that they could equal.
"""

from __future__ import annotations

from array import array
from collections.abc import Set as AbstractSet

from btfdbg.btf.dedup.base import BaseIndex, leads_into_cycle
from btfdbg.btf.dedup.graph import NEVER_MERGED, Graph, TagKey, replaced, tag_of
from btfdbg.btf.dedup.refine import coarsest
from btfdbg.btf.layouts import info_kind
from btfdbg.btf.records import PLACES

# In a label, in place of a reference that is compared by class.
_REFERENCE = 0xFFFFFFFF


class Cycles:
    """
    One round's work on cycles.

    :param ids: Of every type, its class's, or -1 while it is not known.
    :param ambiguous: Tags that do not count by name.
    """

    def __init__(
        self, graph: Graph, index: BaseIndex, ids: list[int], ambiguous: AbstractSet[TagKey]
    ) -> None:
        self._graph = graph
        self._index = index
        self._ids = ids
        self._ambiguous = ambiguous
        self._start = graph.start

    def solve(self, cyclic: list[int], by_record: dict[bytes, int]) -> None:
        """
        Enter the ids of all types that the way upwards has left.

        :param cyclic: These, references (as far as they are no cycles) first.
        :param by_record: Own types found so far; more are added.
        """
        start = self._start
        graph = self._graph
        own = set(cyclic)
        names = {graph.words[t - start][0] for t in cyclic} - {0}
        kinds = {info_kind(graph.words[t - start][1]) for t in cyclic}
        roots = [t for t in self._index.named(names) if self._graph.btf.kind_of(t) in kinds]
        unnamed = {t for t in cyclic if not graph.words[t - start][0]}
        if leads_into_cycle(unnamed, {t: graph.refs[t - start] for t in unnamed}):
            roots += self._index.anonymous_cycles()
        base = self.base_closure(roots)
        classes = self.classes(cyclic, base)
        first: dict[int, int] = {}
        for type_id in sorted((*base, *own)):
            first.setdefault(classes[type_id], type_id)
        for type_id in cyclic:
            self._ids[type_id] = first[classes[type_id]]
        # What is only above a cycle may equal a type of the base, or one seen on the way
        # upwards; once what it refers to is known, it is found like any other.
        for type_id in cyclic:
            target = self._ids[type_id]
            if target >= start:
                record = replaced(graph.words[type_id - start], self._ids)
                known = self._index.ids.get(record)
                if known is None:
                    known = by_record.setdefault(record, target)
                self._ids[type_id] = known

    def _is_leaf(self, type_id: int) -> bool:
        """Return whether a type of the base counts by its id alone."""
        if not type_id:
            return True
        words = self._index.words(type_id)
        if info_kind(words[1]) in NEVER_MERGED:
            return True
        key, forward = tag_of(words)
        return key is not None and (forward or key not in self._ambiguous)

    def base_closure(self, roots: list[int]) -> list[int]:
        """Return the types of the base that are compared by structure, from some on."""
        aliases = self._index.aliases
        seen = {aliases.get(t, t) for t in roots}
        seen = {t for t in seen if not self._is_leaf(t)}
        stack = list(seen)
        leaves: set[int] = set()
        while stack:
            for target in self._index.refs(stack.pop()):
                if target in seen or target in leaves:
                    continue
                if self._is_leaf(target):
                    leaves.add(target)
                else:
                    seen.add(target)
                    stack.append(target)
        return sorted(seen)

    def classes(self, own: list[int], base: list[int]) -> dict[int, int]:
        """Return the class of each of these types."""
        nodes = [*base, *own]
        numbers = {type_id: number for number, type_id in enumerate(nodes)}
        labels: list[int] = []
        successors: list[list[int]] = []
        known: dict[bytes, int] = {}
        for type_id in nodes:
            if type_id < self._start:
                words = self._index.words(type_id)
                targets = self._index.refs(type_id)
            else:
                words = self._graph.words[type_id - self._start]
                targets = [
                    t if self._ids[t] < 0 else self._ids[t]
                    for t in self._graph.refs[type_id - self._start]
                ]
            inner = [t in numbers for t in targets]
            key = _with_leaves(
                words, [_REFERENCE if i else t for i, t in zip(inner, targets, strict=True)]
            )
            labels.append(known.setdefault(key, len(known)))
            successors.append([numbers[t] for i, t in zip(inner, targets, strict=True) if i])
        classes, _ = coarsest(labels, successors)
        return {type_id: classes[number] for type_id, number in numbers.items()}


def _with_leaves(words: list[int], targets: list[int]) -> bytes:
    """Return a record's label with its references replaced, in order."""
    places = PLACES[info_kind(words[1])]
    words = words.copy()
    at = 0
    for place in places.ids:
        words[place] = targets[at]
        at += 1
    for part in places.elem_ids:
        count = len(words[part])
        words[part] = targets[at : at + count]
        at += count
    return array("I", words).tobytes()
