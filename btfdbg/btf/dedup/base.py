"""A frozen base as dedup looks types up in it: every record by its bytes.

Owns the index of a base and the equalities inside it. A base that was deduplicated
itself is its own set of classes, so an own type equals one of the base's exactly if
its record, its references already led into the base, is a record of the base: one
look-up, however deep the type is. Cutting 100,000 records out of a section and hashing
them takes 40 ms.

Two things keep a base from being its own set of classes, and are dealt with here:
equal records, and forward declarations that it could have resolved (Debian's 6.12 has
one). Both make ids *aliases* of others; the records that refer to an alias are found by
searching the section for its id, rewritten, and may become aliases in their turn. If
that goes on too long, or if duplicates might hide in cycles, :class:`BaseNotMinimal`
is raised and the caller takes the long way.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from itertools import compress
from operator import ne

from btfdbg.btf.btf import Btf
from btfdbg.btf.dedup.graph import (
    NEVER_MERGED,
    TagKey,
    TagNodes,
    label,
    replaced,
    tag_of,
)
from btfdbg.btf.dedup.strings import Canonical, ChainStrings
from btfdbg.btf.layouts import FUNC, FWD, info_kind
from btfdbg.btf.records import places_of, refs
from btfdbg.btf.roles import gather

_IS_FUNC = bytes(kind == FUNC for kind in range(256))
_IS_NOT = bytes(not mark for mark in range(256))

# Aliases that are worth following one by one.
_MAX_ALIASES = 256
_MAX_HITS = 20_000
# Up to here the higher bytes of an id are found in too many words.
_COMMON_PAGES = 16


class BaseNotMinimal(Exception):
    """A base holds duplicates of its own, more than are worth following."""


class BaseIndex:
    """
    Records of a base chain by their bytes.

    :param strings: The chain's.
    """

    def __init__(self, base: Btf, canonical: Canonical, strings: ChainStrings) -> None:
        self.base = base
        self.canonical = canonical
        self._known: dict[int, list[int]] = {}
        #: Record to the lowest id that has it.
        self.ids: dict[bytes, int] = {}
        #: Id to the id that stands for it.
        self.aliases: dict[int, int] = {}
        self._borrowed = False
        #: Names' canonical offsets, per level.
        self._names: list[Sequence[int]] = []
        # Whether functions are not among the records until their names are asked for.
        self._functions = False
        duplicates: list[tuple[int, int]] = []
        for level in base.chain():
            ids, records = self._records(level, strings)
            fresh = dict(zip(reversed(records), reversed(ids), strict=True))
            doubled = len(fresh) < len(records) or not self.ids.keys().isdisjoint(fresh)
            fresh.update(self.ids)
            self.ids = fresh
            if doubled:
                first = list(map(fresh.__getitem__, records))
                more = map(ne, first, ids)
                duplicates += [
                    pair
                    for pair in compress(zip(ids, first, strict=True), more)
                    if base.kind_of(pair[0]) not in NEVER_MERGED
                ]
        self._known.clear()
        self.alias(duplicates)

    def copy(self, canonical: Canonical) -> BaseIndex:
        """Return an index that can take other aliases than this one."""
        other = copy(self)
        other.canonical = canonical
        other._known = {}
        other._borrowed = True
        other.aliases = dict(self.aliases)
        return other

    def _records(self, level: Btf, strings: ChainStrings) -> tuple[Sequence[int], list[bytes]]:
        """Return a level's records, names canonical, and their ids."""
        words = level.words
        names: Sequence[int] = gather(words, level.offsets)
        whole = strings.unique and strings.of_level(level).are_first(names)
        self._names.append(names if whole else list(map(self.canonical.__getitem__, names)))
        ids = level.own_ids()
        if not whole:
            same = _Aliased({})
            return ids, [replaced(self.words(type_id), same) for type_id in ids]
        data = words.tobytes()
        places = zip(level.offsets, [*level.offsets, len(words)][1:], strict=True)
        if level is self.base and level.base is None:
            # Every second type is a function, that few of a split's could equal.
            functions = level.own_kinds().translate(_IS_FUNC)
            heads = list(compress(names, functions))
            if len(set(heads)) == len(heads) or self._differ(level, heads, functions):
                self._functions = True
                others = functions.translate(_IS_NOT)
                return list(compress(ids, others)), [
                    data[4 * at : 4 * end] for at, end in compress(places, others)
                ]
        return ids, [data[4 * at : 4 * end] for at, end in places]

    @staticmethod
    def _differ(level: Btf, heads: list[int], functions: bytes) -> bool:
        """Return whether no two functions of a name have one prototype."""
        protos = gather(level.words[2:], list(compress(level.offsets, functions)))
        return len(set(zip(heads, protos, strict=True))) == len(heads)

    def words(self, type_id: int) -> list[int]:
        """Return the record of a type, string offsets canonical; not to be written to."""
        known = self._known.get(type_id)
        if known is not None:
            return known
        words: list[int] = self.base.record(type_id).tolist()
        canonical = self.canonical
        words[0] = canonical[words[0]]
        for part in places_of(self.base, type_id, words[1]).elem_strs:
            words[part] = list(map(canonical.__getitem__, words[part]))
        if info_kind(words[1]) == FWD:
            words[2] = 0
        self._known[type_id] = words
        return words

    def refs(self, type_id: int) -> list[int]:
        """Return the ids that a type refers to, aliases resolved."""
        words = self.words(type_id)
        aliases = self.aliases
        targets = refs(words, places_of(self.base, type_id, words[1]))
        return [aliases.get(target, target) for target in targets]

    def alias(self, pairs: Iterable[tuple[int, int]]) -> None:
        """
        Let ids stand for others, and find what becomes equal by that.

        :param pairs: An id, and the one that stands for it.
        :raises BaseNotMinimal: there is no near end to it.
        """
        queue = list(pairs)
        referrers: dict[int, list[int]] = {}
        while queue:
            type_id, target = queue.pop()
            target = self.aliases.get(target, target)
            if type_id == target or self.aliases.get(type_id) == target:
                continue
            self.aliases[type_id] = target
            if len(self.aliases) > _MAX_ALIASES:
                raise BaseNotMinimal
            if type_id not in referrers:
                fresh = {type_id, *(waiting for waiting, _ in queue)}
                referrers.update(self._referrers(fresh - referrers.keys()))
            for referrer in referrers[type_id]:
                if referrer in self.aliases or self.base.kind_of(referrer) in NEVER_MERGED:
                    continue
                if self._borrowed:
                    self.ids = dict(self.ids)
                    self._borrowed = False
                record = self._resolved(referrer)
                known = self.ids.setdefault(record, referrer)
                if known != referrer:
                    queue.append((max(known, referrer), min(known, referrer)))
                    self.ids[record] = min(known, referrer)

    def _referrers(self, ids: set[int]) -> dict[int, list[int]]:
        """
        Return the types that refer to each of some.

        Duplicates are often neighbours: those whose ids differ in the lowest byte alone are
        searched for by the others at once.
        """
        pages: dict[int, set[int]] = {}
        for type_id in ids:
            pages.setdefault(type_id >> 8, set()).add(type_id)
        out: dict[int, list[int]] = {type_id: [] for type_id in ids}
        little = sys.byteorder == "little"
        for level in self.base.chain():
            data = level.words.tobytes()
            for page, members in pages.items():
                if min(members) >= level.type_cnt:
                    continue
                if page < _COMMON_PAGES or len(members) == 1:
                    for type_id in members:
                        places = _places(data, type_id.to_bytes(4, sys.byteorder), 0)
                        out[type_id] += self._at(level, places)
                    continue
                needle = page.to_bytes(3, sys.byteorder)
                found: dict[int, list[int]] = {type_id: [] for type_id in members}
                for place in _places(data, needle, 1 if little else 0):
                    hits = found.get(level.words[place])
                    if hits is not None:
                        hits.append(place)
                for type_id, hits in found.items():
                    out[type_id] += self._at(level, hits)
        return out

    @staticmethod
    def _at(level: Btf, places: Iterable[int]) -> list[int]:
        """Return the types of a level that refer to something in the words at some places."""
        out = []
        for number, place in enumerate(places):
            if number >= _MAX_HITS:
                raise BaseNotMinimal
            found = level.start_id + bisect_right(level.offsets, place) - 1
            if place in level.type_ref_words(found):
                out.append(found)
        return out

    def _resolved(self, type_id: int) -> bytes:
        return replaced(self.words(type_id), _Aliased(self.aliases))

    def take_names(
        self, names: set[int], tags: dict[TagKey, TagNodes], functions: set[int]
    ) -> None:
        """
        Look at the base's types of some names.

        :param names: Of tags that own types have.
        :param tags: These; gets the base's types of them.
        :param functions: Names of own functions; the base's will be found among its records.
        """
        for type_id in self.named(names | functions):
            if self._functions and self.base.kind_of(type_id) == FUNC:
                # What is a fact of the base may be known to all who borrow from it.
                self.ids.setdefault(self.base.record(type_id).tobytes(), type_id)
                continue
            key, forward = tag_of(self.words(type_id))
            tag = tags.get(key) if key is not None else None
            if tag is not None:
                known = tag.base_forwards if forward else tag.base_definitions
                type_id = self.aliases.get(type_id, type_id)
                if type_id not in known:
                    known.append(type_id)

    def named(self, names: set[int]) -> list[int]:
        """Return the types whose name's canonical offset is one of these, by id."""
        out: list[int] = []
        for level, heads in zip(self.base.chain(), self._names, strict=True):
            out += compress(level.own_ids(), map(names.__contains__, heads))
        return out

    def label(self, type_id: int) -> bytes | int:
        return label(self.words(type_id))

    def anonymous_cycles(self) -> list[int]:
        """
        Return the unnamed types from which unnamed types lead into a cycle.

        No compiler makes such, so the search through the whole base is rare.
        """
        base = self.base
        unnamed = {i for i in base.ids() if not base.record(i)[0]}
        return sorted(leads_into_cycle(unnamed, {i: self.refs(i) for i in unnamed}))


def _places(data: bytes, needle: bytes, at_byte: int) -> Iterator[int]:
    """Return the words of some bytes that hold others from a byte of theirs on."""
    at = data.find(needle)
    while at >= 0:
        if at % 4 == at_byte:
            yield at // 4
        at = data.find(needle, at + 1)


class _Aliased:
    """``ids[i]`` is ``i``, or what it is an alias of."""

    def __init__(self, aliases: dict[int, int]) -> None:
        self._aliases = aliases

    def __getitem__(self, index: int, /) -> int:
        return self._aliases.get(index, index)


def leads_into_cycle(nodes: set[int], targets: dict[int, list[int]]) -> set[int]:
    """Return the nodes from which a walk inside ``nodes`` need not end."""
    waiting = {n: sum(t in nodes for t in targets[n]) for n in nodes}
    referrers: dict[int, list[int]] = {}
    for node in nodes:
        for target in targets[node]:
            if target in nodes:
                referrers.setdefault(target, []).append(node)
    done = [n for n, count in waiting.items() if not count]
    for node in done:  # grows while it is walked
        for referrer in referrers.get(node, ()):
            waiting[referrer] -= 1
            if not waiting[referrer]:
                done.append(referrer)
    return nodes.difference(done)
