"""Dedup of split BTF against a base many times its size.

Owns the fast way. It gives the answer of ``dedup_whole`` on base and split together,
but its cost goes with the split: a base's types are looked up (``dedup_base``), not
compared.

Rounds: at first every tag is taken to have one definition. Then what refers to a tag
refers to a known id, and each type's class is found from its references' upwards by
looking its record up, in the base or among what was seen before. Then each tag's
definitions must all have come out alike; a tag whose have not is *ambiguous*, what
refers to it is compared by structure, and everything is done again. Ambiguous tags
only become more (two or three rounds on real kernels), and none becomes so that is not
in truth: the classes of each round are too coarse, never too fine. What is bound to become
ambiguous because of what it refers to becomes so at once.

A tag that the base only declares and the split defines counts as the base's while this
goes on. In the end the split keeps its definition, and its own copy of each struct that
directly refers to it; the base's cannot say as much.

Cycles that no unambiguous tag cuts are left over by the way upwards; those few types
go through ``refine``, together with the types of the base that they could equal.
"""

from __future__ import annotations

from array import array

from btfdbg.btf import dedup_whole
from btfdbg.btf.btf import Btf
from btfdbg.btf.dedup_base import BaseIndex, BaseNotMinimal, leads_into_cycle
from btfdbg.btf.dedup_graph import (
    NEVER_MERGED,
    Canonical,
    Graph,
    TagKey,
    TagNodes,
    choose_enum,
    choose_forward,
    label,
    replaced,
    tag_of,
)
from btfdbg.btf.format import Kind, info_kind
from btfdbg.btf.nametable import string_table
from btfdbg.btf.records import PLACES
from btfdbg.btf.refine import coarsest

# Rounds' work, in types looked up per type of the whole graph, after which that graph
# is the shorter way.
_PATIENCE = 3
_UNKNOWN = -1
# In a label, in place of a reference that is compared by class.
_REFERENCE = 0xFFFFFFFF


class PreparedBase:
    """A base, indexed once for the dedup of any number of splits."""

    def __init__(self, base: Btf) -> None:
        self.base = base
        self.table, unique = string_table(base)
        canonical = Canonical(base, self.table)
        self.index: BaseIndex | None
        try:
            self.index = BaseIndex(base, canonical, set(self.table.values()), unique)
        except BaseNotMinimal:
            self.index = None

    def fork(self, once: bool) -> tuple[dict[bytes, int], BaseIndex]:
        """Return table and index that may be written to."""
        if self.index is None:
            raise BaseNotMinimal
        if once:
            return self.table, self.index
        table = dict(self.table)
        return table, self.index.copy(Canonical(self.base, table))


def representatives(btf: Btf, base: Btf | PreparedBase) -> tuple[Graph, list[int]]:
    """
    Find the classes of a split BTF's types.

    :param base: That of ``btf``.
    :return: Own types, and for each the id that stands for its class: the base's, or
        the lowest own one.
    """
    once = isinstance(base, Btf)
    prepared = PreparedBase(base) if isinstance(base, Btf) else base
    try:
        split = _Split(btf, *prepared.fork(once))
        return split.graph, split.run()
    except BaseNotMinimal:
        return dedup_whole.representatives(btf)


class _Split:
    def __init__(self, btf: Btf, table: dict[bytes, int], index: BaseIndex) -> None:
        self.btf = btf
        self.start = btf.start_id
        self.index = index
        self.tags: dict[TagKey, TagNodes] = {}
        self.graph = Graph(btf, Canonical(btf, table), self.tags)
        self.index.take_names({key[1] for key in self.tags}, self.tags)
        self.ambiguous: set[TagKey] = set()
        self.by_record: dict[bytes, int] = {}
        self.ids: list[int] = []
        self.ids_before: list[int] = []
        self.defined_here: set[TagKey] = set()
        self.referrers: list[list[int]] | None = None
        self._base_tags()

    def _base_tags(self) -> None:
        """Settle what of the tags is settled by the base alone."""
        index = self.index
        suspects: list[int] = []
        for key, tag in self.tags.items():
            if len(tag.base_definitions) > 1:
                self.ambiguous.add(key)
                if len({index.label(t) for t in tag.base_definitions}) < len(tag.base_definitions):
                    suspects += tag.base_definitions
        # What differs at first sight need not wait for a round to find that out.
        words, start = self.graph.words, self.start
        other: list[int] = []
        for key, tag in self.tags.items():
            if key in self.ambiguous or len(tag.definitions) + len(tag.base_definitions) < 2:
                continue
            known = {index.label(t) for t in tag.base_definitions}
            labels = {t: label(words[t - start]) for t in tag.definitions}
            if len(known.union(labels.values())) > 1:
                self.ambiguous.add(key)
                other += self._lone_forwards(key)
                if known:
                    other += [t for t, said in labels.items() if said not in known]
        self.ambiguous |= self._above(other)
        if suspects:
            nodes = self._base_closure(suspects)
            classes = self._refined([], nodes)
            if len(set(classes.values())) < len(nodes):
                raise BaseNotMinimal

    def run(self) -> list[int]:
        patience = _PATIENCE * self.btf.type_cnt // max(len(self.graph.words), 1) + 8
        for _ in range(min(patience, 200)):
            self._round()
            fresh = {
                key
                for key, tag in self.tags.items()
                if key not in self.ambiguous and not self._is_one(tag)
            }
            if not fresh:
                self._see_more()
                return self._result()
            self.ambiguous |= fresh
            other: list[int] = []
            for key in fresh:
                tag = self.tags[key]
                other += self._lone_forwards(key)
                if tag.base_definitions:
                    other += [t for t in tag.definitions if not self._is_the_bases(t, tag)]
            self.ambiguous |= self._above(other)
        raise BaseNotMinimal

    def _above(self, stack: list[int]) -> set[TagKey]:
        """
        Return the tags that the next rounds would find ambiguous because others are.

        What refers by structure to a definition that is not the base's is not the base's
        either, and so on upwards: in a driver with an own ``struct device``, all of it.

        :param stack: Types of ambiguous tags that are none of the base's.
        """
        if not stack:
            return set()
        start, words = self.start, self.graph.words
        if self.referrers is None:
            self.referrers = [[] for _ in words]
            for type_id, targets in enumerate(self.graph.refs, start):
                for target in targets:
                    if target >= start:
                        self.referrers[target - start].append(type_id)
        found: set[TagKey] = set()
        seen = set(stack)
        while stack:
            for type_id in self.referrers[stack.pop() - start]:
                record = words[type_id - start]
                if type_id in seen or info_kind(record[1]) in NEVER_MERGED:
                    continue
                key, _ = tag_of(record)
                if key is not None and key not in self.ambiguous:
                    if not self.tags[key].base_definitions:
                        continue  # one of its own, and referred to by its tag
                    if key not in found:
                        found.add(key)
                        forwards = self._lone_forwards(key)
                        stack += forwards
                        seen.update(forwards)
                seen.add(type_id)
                stack.append(type_id)
        return found

    def _lone_forwards(self, key: TagKey) -> list[int]:
        """Return the forward declarations of a tag that, if it is ambiguous, are not the base's."""
        tag = self.tags[key]
        return [] if tag.base_forwards or key[0] == Kind.ENUM else tag.forwards

    def _is_the_bases(self, type_id: int, tag: TagNodes) -> bool:
        """Return whether a definition came out as the base's of its tag."""
        record = replaced(self.graph.words[type_id - self.start], self.ids)
        return self.index.ids.get(record) == tag.base_definitions[0]

    def _see_more(self) -> None:
        """
        Keep what knows more than the base: definitions of tags that it only declares.

        Until here these counted as the base's declarations. Now they count as what they
        are, and so does each struct that refers to one of them. Not more: a struct that
        refers to such a struct refers to its tag, and is the base's.
        """
        self.defined_here = {
            key
            for key, tag in self.tags.items()
            if tag.definitions and tag.base_forwards and not tag.base_definitions
        } - self.ambiguous
        if not self.defined_here:
            return
        self._round()
        richer = {
            key
            for key, tag in self.tags.items()
            if key not in self.ambiguous and tag.base_definitions and not self._is_one(tag)
        }
        if richer:
            self.defined_here |= richer
            self._round()

    # One round.

    def _round(self) -> None:
        self.by_record = {}
        self.ids_before = self.ids
        self.ids = list(range(self.start))
        self.ids += [_UNKNOWN] * len(self.graph.words)
        aliases: list[tuple[int, int]] = []
        for key, tag in self.tags.items():
            if key not in self.ambiguous:
                aliases += self._name_tag(tag, key in self.defined_here)
        for type_id, words in enumerate(self.graph.words, self.start):
            if info_kind(words[1]) in NEVER_MERGED:
                self.ids[type_id] = type_id
        self._resolve_base_forwards(aliases)
        for type_id, target in self.index.aliases.items():
            self.ids[type_id] = target
        for key in self.ambiguous:
            self._name_forwards(key, self.tags[key])
        cyclic = self._climb()
        if cyclic:
            self._solve_cycles(cyclic)

    def _resolve_base_forwards(self, aliases: list[tuple[int, int]]) -> None:
        """Let the base's forward declarations mean its definitions, this round's."""
        index = self.index
        if any(index.aliases.get(a) not in (None, b) for a, b in aliases):
            raise BaseNotMinimal
        known = {a for a, _ in aliases}
        for key in self.ambiguous:
            if any(f in index.aliases and f not in known for f in self.tags[key].base_forwards):
                # An earlier round resolved them and the records that refer to them.
                raise BaseNotMinimal
        index.alias(aliases)

    def _name_tag(self, tag: TagNodes, here: bool) -> list[tuple[int, int]]:
        """
        Say what refers to an unambiguous tag's types refers to.

        :param here: To the definition here, not to what the base has.
        :return: Forward declarations of the base that the base itself defines.
        """
        if here:
            target = self._richest(tag)
        elif tag.base_definitions:
            target = tag.base_definitions[0]
        elif tag.base_forwards:
            target = choose_forward(self.btf, tag.base_forwards, self.start)
        elif tag.definitions:
            target = tag.definitions[0]
        else:
            target = choose_forward(self.btf, (*tag.base_forwards, *tag.forwards), self.start)
        for type_id in (*tag.definitions, *tag.forwards):
            self.ids[type_id] = target
        if tag.base_definitions:
            return [(type_id, target) for type_id in tag.base_forwards]
        return []

    def _richest(self, tag: TagNodes) -> int:
        """Return the first definition here that is not the base's to the letter."""
        if tag.base_definitions:
            for type_id in tag.definitions:
                record = replaced(self.graph.words[type_id - self.start], self.ids_before)
                if self.index.ids.get(record) != tag.base_definitions[0]:
                    return type_id
        return tag.definitions[0]

    def _name_forwards(self, key: TagKey, tag: TagNodes) -> None:
        if not tag.forwards:
            return
        if key[0] == Kind.ENUM:
            chosen = choose_enum(self.btf, (*tag.base_definitions, *tag.definitions), self.start)
            if chosen >= self.start:
                chosen = self._look_up(chosen)
        else:
            chosen = min((*tag.base_forwards, *tag.forwards))
        for type_id in tag.forwards:
            self.ids[type_id] = chosen

    def _look_up(self, type_id: int) -> int:
        """Return the class of a type whose references' classes are known."""
        record = replaced(self.graph.words[type_id - self.start], self.ids)
        known = self.index.ids.get(record)
        return self.by_record.setdefault(record, type_id) if known is None else known

    def _climb(self) -> list[int]:
        """
        Find the classes of all types that no cycle is below of.

        :return: The others, references (as far as they are no cycles) first.
        """
        start, ids = self.start, self.ids
        refs = self.graph.refs
        left: list[int] = []
        seen = bytearray(len(refs))
        for root in range(start, start + len(refs)):
            if ids[root] >= 0 or seen[root - start]:
                continue
            stack = [root]
            while stack:
                type_id = stack[-1]
                at = type_id - start
                if not seen[at]:
                    seen[at] = 1
                    below = [t for t in refs[at] if ids[t] < 0 and not seen[t - start]]
                    if below:
                        stack += below
                        continue
                stack.pop()
                if seen[at] == 2:
                    continue
                seen[at] = 2
                if any(ids[t] < 0 for t in refs[at]):
                    left.append(type_id)
                else:
                    ids[type_id] = self._look_up(type_id)
        return left

    def _is_one(self, tag: TagNodes) -> bool:
        """Return whether all definitions of a tag came out alike."""
        if not tag.definitions:
            return True
        if tag.base_definitions:
            return all(self._is_the_bases(type_id, tag) for type_id in tag.definitions)
        if len(tag.definitions) == 1:
            return True
        return (
            len({replaced(self.graph.words[t - self.start], self.ids) for t in tag.definitions})
            == 1
        )

    # Cycles.

    def _solve_cycles(self, cyclic: list[int]) -> None:
        start = self.start
        graph = self.graph
        own = set(cyclic)
        names = {graph.words[t - start][0] for t in cyclic} - {0}
        kinds = {info_kind(graph.words[t - start][1]) for t in cyclic}
        roots = [t for t in self.index.named(names) if self.btf.kind_of(t) in kinds]
        unnamed = {t for t in cyclic if not graph.words[t - start][0]}
        if leads_into_cycle(unnamed, {t: graph.refs[t - start] for t in unnamed}):
            roots += self.index.anonymous_cycles()
        base = self._base_closure(roots)
        classes = self._refined(cyclic, base)
        first: dict[int, int] = {}
        for type_id in sorted((*base, *own)):
            first.setdefault(classes[type_id], type_id)
        for type_id in cyclic:
            self.ids[type_id] = first[classes[type_id]]
        # What is only above a cycle may equal a type of the base, or one seen on the way
        # upwards; once what it refers to is known, it is found like any other.
        for type_id in cyclic:
            target = self.ids[type_id]
            if target >= start:
                record = replaced(graph.words[type_id - start], self.ids)
                known = self.index.ids.get(record)
                if known is None:
                    known = self.by_record.setdefault(record, target)
                self.ids[type_id] = known

    def _is_leaf(self, type_id: int) -> bool:
        """Return whether a type of the base counts by its id alone."""
        if not type_id:
            return True
        words = self.index.words(type_id)
        if info_kind(words[1]) in NEVER_MERGED:
            return True
        key, forward = tag_of(words)
        return key is not None and (forward or key not in self.ambiguous)

    def _base_closure(self, roots: list[int]) -> list[int]:
        """Return the types of the base that are compared by structure, from some on."""
        aliases = self.index.aliases
        seen = {aliases.get(t, t) for t in roots}
        seen = {t for t in seen if not self._is_leaf(t)}
        stack = list(seen)
        leaves: set[int] = set()
        while stack:
            for target in self.index.refs(stack.pop()):
                if target in seen or target in leaves:
                    continue
                if self._is_leaf(target):
                    leaves.add(target)
                else:
                    seen.add(target)
                    stack.append(target)
        return sorted(seen)

    def _refined(self, own: list[int], base: list[int]) -> dict[int, int]:
        """Return the class of each of these types."""
        nodes = [*base, *own]
        numbers = {type_id: number for number, type_id in enumerate(nodes)}
        labels: list[int] = []
        successors: list[list[int]] = []
        known: dict[bytes, int] = {}
        for type_id in nodes:
            if type_id < self.start:
                words = self.index.words(type_id)
                targets = self.index.refs(type_id)
            else:
                words = self.graph.words[type_id - self.start]
                targets = [
                    t if self.ids[t] < 0 else self.ids[t]
                    for t in self.graph.refs[type_id - self.start]
                ]
            inner = [t in numbers for t in targets]
            key = _with_leaves(
                words, [_REFERENCE if i else t for i, t in zip(inner, targets, strict=True)]
            )
            labels.append(known.setdefault(key, len(known)))
            successors.append([numbers[t] for i, t in zip(inner, targets, strict=True) if i])
        classes, _ = coarsest(labels, successors)
        return {type_id: classes[number] for type_id, number in numbers.items()}

    def _result(self) -> list[int]:
        """Return the classes' representatives: ids of the base, or the lowest own ones."""
        start, ids = self.start, self.ids
        first: dict[int, int] = {}
        for type_id, words in enumerate(self.graph.words, start):
            target = ids[type_id]
            # Where a definition stands for its forward declarations, it must not be
            # one of them that stands for the class.
            if target >= start and not tag_of(words)[1]:
                first.setdefault(target, type_id)
        return [first.get(target, target) for target in ids[start:]]


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
