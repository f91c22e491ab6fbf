"""Which tags are ambiguous, found by looking at pairs of definitions.

Owns the short cut of ``dedup_split``. That two types differ is a fact that spreads: a
pair differs if the two say different things, or if some pair that they refer to, place
by place, differs. So the pairs that matter are walked once, from the definitions of
each tag downwards, and what differs is handed back upwards; what is left over when no
fact is left to be handed is the same. A tag is ambiguous as soon as two definitions of
it differ, and only then is a forward declaration of it something else than they.

This is no pairwise walk as libbpf's, which has to assume that a type has one partner:
any type may be in any number of pairs. That also is what limits it. A tag with very many
definitions that look alike makes very many pairs; then the short cut gives up, and the
rounds of ``dedup_split`` do the work.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations, compress, count
from operator import ne

from btfdbg.btf.dedup.base import BaseIndex
from btfdbg.btf.dedup.graph import NEVER_MERGED, Graph, TagKey, choose_enum, label, tag_of
from btfdbg.btf.layouts import ENUM, LAYOUTS, TYPE_WORDS, info_kind
from btfdbg.errors import BtfFormatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

# By kind, where its records hold type ids: words, and from which word on in every so many
# words which.
_ID_WORDS = {
    int(kind): (
        row.type_words,
        TYPE_WORDS + row.info_words,
        row.elem_words or 1,
        row.elem_type_words,
    )
    for kind, row in LAYOUTS.items()
}

#: Two ids, the lower first.
Pair: TypeAlias = tuple[int, int]

# Words compared per own word before the short cut is none, and how many of them the
# entering of a reference costs.
_MOST_PER_WORD = 8
_REFERENCE_COSTS = 16


class Pairs:
    """
    The walk; :meth:`run` does it.

    :ivar ambiguous: Tags whose definitions are not all the same; before the walk, those
        that show it at first sight.
    """

    def __init__(self, graph: Graph, index: BaseIndex) -> None:
        self.ambiguous: set[TagKey] = set()
        self._graph = graph
        self._index = index
        self._start = graph.start
        self._apart: set[Pair] = set()
        # What differs if a pair does, or if a tag is ambiguous.
        self._above: dict[Pair, list[Pair]] = {}
        self._waiting: dict[TagKey, list[Pair]] = {}
        self._stack: list[Pair] = []
        self._left = 0
        self._tags: dict[int, tuple[TagKey | None, bool]] = {}
        self._chosen: dict[TagKey, int] = {}

        # For each tag, its definitions in groups that look alike; those of one are left out.
        self._alike: dict[TagKey, list[list[int]]] = {}
        #: Definitions here that look like none that the base has of their tag.
        self.others: list[int] = []
        self._group()

    def _group(self) -> None:
        index, words, start = self._index, self._graph.words, self._start
        for key, tag in self._graph.tags.items():
            known = tag.base_definitions
            if len(known) > 1:
                self.ambiguous.add(key)
            if not tag.definitions or len(tag.definitions) + len(known) < 2:
                continue
            groups: dict[bytes | int, list[int]] = {}
            for type_id in known:
                groups.setdefault(index.label(type_id), []).append(type_id)
            looks = set(groups)
            for type_id in tag.definitions:
                groups.setdefault(label(words[type_id - start]), []).append(type_id)
            if len(groups) > 1:
                self.ambiguous.add(key)
                self.others += [t for look in groups.keys() - looks for t in groups[look]]
            self._alike[key] = [sorted(group) for group in groups.values() if len(group) > 1]

    def run(self, everywhere: bool) -> bool:
        """
        Find out which definitions of ambiguous tags are the same, or of all tags.

        :param everywhere: If not, there may be more ambiguous tags than are found.
        :return: Whether the walk came to its end.
        """
        tags = list(self._alike if everywhere else self.ambiguous)
        self._left = _MOST_PER_WORD * sum(map(len, self._graph.words)) + 1000
        groups = [group for key in tags for group in self._alike.get(key, ())]
        alike = ((len(group) * (len(group) - 1) // 2, group[-1]) for group in groups)
        if sum(pairs * len(self._words(one)) for pairs, one in alike) > self._left:
            return False
        for key in tags:
            self._enter(key)
        stack = self._stack
        while stack:
            pair = stack.pop()
            if pair in self._apart:
                continue
            self._look(pair)
            if self._left < 0:
                return False
        return True

    def _enter(self, key: TagKey) -> None:
        for group in self._alike.get(key, ()):
            for pair in combinations(group, 2):
                self._ask(pair)

    def same(self, type_id: int, others: Iterable[int]) -> int:
        """Return the first of other definitions of its tag that is the same as one, or -1."""
        for other in others:
            pair = (other, type_id) if other < type_id else (type_id, other)
            if pair in self._above and pair not in self._apart:
                return other
        return -1

    def _words(self, type_id: int) -> list[int]:
        if type_id < self._start:
            return self._index.words(type_id)
        try:
            return self._graph.words[type_id - self._start]
        except IndexError:
            last = self._graph.btf.type_cnt - 1
            raise BtfFormatError(f"refers to type {type_id}, last type is {last}") from None

    def _tag(self, type_id: int) -> tuple[TagKey | None, bool]:
        known = self._tags.get(type_id)
        if known is None:
            known = self._tags[type_id] = tag_of(self._words(type_id)) if type_id else (None, False)
        return known

    def _ask(self, pair: Pair) -> list[Pair]:
        """Return where to enter what depends on a pair; it will be looked at."""
        above = self._above.get(pair)
        if above is None:
            above = self._above[pair] = []
            self._stack.append(pair)
        return above

    def _look(self, pair: Pair) -> None:
        """Compare the records of a pair, and enter what the answer depends on."""
        first, second = self._words(pair[0]), self._words(pair[1])
        kind = info_kind(first[1])
        if first[:2] != second[:2] or len(first) != len(second) or kind in NEVER_MERGED:
            self._differ(pair)
            return
        places = list(compress(count(), map(ne, first, second)))
        self._left -= len(first) + _REFERENCE_COSTS * len(places)
        ids, begin, step, inner = _ID_WORDS[kind]
        for at in places:
            if at not in ids and (at < begin or (at - begin) % step not in inner):
                self._differ(pair)
                return
        for at in places:
            if self._depends(pair, first[at], second[at]):
                self._differ(pair)
                return

    def _depends(self, pair: Pair, a: int, b: int) -> bool:
        """
        Return whether two references differ for certain; else enter when they would.

        :param pair: Who refers.
        """
        aliases = self._index.aliases
        a, b = aliases.get(a, a), aliases.get(b, b)
        key, forward = self._tag(a)
        other_key, other_forward = self._tag(b)
        if not a or not b or key != other_key:
            return a != b
        if key is not None and key not in self._graph.tags:
            return a != b  # the base's, and told apart there
        if key is not None and (forward or other_forward):
            if forward and other_forward and key[0] != ENUM:
                return False
            if key[0] == ENUM:
                a, b = self._meant(key, a, forward), self._meant(key, b, other_forward)
                _, forward = self._tag(a)
                _, other_forward = self._tag(b)
            if a != b and (forward or other_forward):
                if key in self.ambiguous:
                    return True
                self._waiting.setdefault(key, []).append(pair)
                return False
        if a != b:
            inner = (a, b) if a < b else (b, a)
            if inner in self._apart:
                return True
            self._ask(inner).append(pair)
        return False

    def _meant(self, key: TagKey, type_id: int, forward: bool) -> int:
        """Return the definition that an own enum's forward declaration stands for, if any."""
        if not forward or type_id < self._start:
            return type_id
        chosen = self._chosen.get(key)
        if chosen is None:
            tag = self._graph.tags[key]
            known = (*tag.base_definitions, *tag.definitions)
            chosen = choose_enum(self._graph.btf, known, self._start) if known else -1
            self._chosen[key] = chosen
        return type_id if chosen < 0 else chosen

    def _differ(self, pair: Pair) -> None:
        """Take note that a pair differs, and of all that follows."""
        stack = [pair]
        while stack:
            pair = stack.pop()
            if pair in self._apart:
                continue
            self._apart.add(pair)
            stack += self._above[pair]
            key, _ = self._tag(pair[0])
            if key is not None and key not in self.ambiguous:
                self.ambiguous.add(key)
                self._enter(key)
                stack += self._waiting.pop(key, ())
