"""Dedup of split BTF against a base many times its size.

Owns the fast way. It gives the answer of ``dedup_whole`` on base and split together,
but its cost goes with the split: a base's types are looked up (``dedup_base``), not
compared.

Rounds: at first every tag is taken to have one definition. Then what refers to a tag
refers to a known id, and each type's class is found from its references' upwards by
looking its record up, in the base or among what was seen before. Then each tag's
definitions must all have come out alike. A tag with definitions that differ is
*ambiguous*: types that refer to it are compared by structure, and the round starts again.
The set of ambiguous tags only grows (two or three rounds on real kernels) and never takes
in a tag that is not ambiguous, because the classes of each round are too coarse, never too
fine. A tag that must become ambiguous through what it refers to is marked at once.

A tag that the base only declares and the split defines counts as the base's while this
goes on. In the end the split keeps its definition, and its own copy of each struct that
directly refers to it; the base's cannot say as much.

Cycles that no unambiguous tag cuts are left over by the way upwards; those few types
go through ``refine``, together with the types of the base that they could equal.
"""

from __future__ import annotations

from btfdbg.btf.btf import Btf
from btfdbg.btf.dedup.base import BaseIndex, BaseNotMinimal
from btfdbg.btf.dedup.cycles import Cycles
from btfdbg.btf.dedup.graph import (
    NEVER_MERGED,
    Graph,
    TagKey,
    TagNodes,
    choose_enum,
    choose_forward,
    replaced,
    tag_of,
)
from btfdbg.btf.dedup.pairs import Pairs
from btfdbg.btf.dedup.strings import Canonical, ChainStrings
from btfdbg.btf.layouts import ENUM, FUNC, info_kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from btfdbg.btf.dedup.flat import Flat

# Rounds' work, in types looked up per type of the whole graph, after which that graph
# is the shorter way.
_PATIENCE = 3
_UNKNOWN = -1


class PreparedBase:
    """A base, indexed once for the dedup of any number of splits."""

    def __init__(self, base: Btf) -> None:
        self.base = base
        self._strings = ChainStrings.of_chain(base)
        self._tails: dict[bytes, int] = {}
        self._index: BaseIndex | None
        try:
            self._index = BaseIndex(base, Canonical(self._strings, self._tails), self._strings)
        except BaseNotMinimal:
            self._index = None

    def fork(self, split: Btf) -> tuple[Canonical, BaseIndex]:
        """
        Return the strings, and the index of the base, for one split.

        :raises BaseNotMinimal: there is no index.
        """
        if self._index is None:
            raise BaseNotMinimal
        tails = dict(self._tails)
        index = self._index.copy(Canonical(self._strings, tails))
        return Canonical(ChainStrings(split, self._strings), tails), index


def representatives(btf: Btf, base: Btf | PreparedBase) -> tuple[Graph | Flat, list[int]]:
    """
    Find the classes of a split BTF's types.

    :param base: That of ``btf``.
    :return: Own types, and for each the id that stands for its class: the base's, or
        the lowest own one.
    """
    prepared = PreparedBase(base) if isinstance(base, Btf) else base
    try:
        split = _Split(btf, prepared)
        return split.graph, split.run()
    except BaseNotMinimal:
        from btfdbg.btf.dedup import whole as dedup_whole

        return dedup_whole.representatives(btf)


class _Split:
    def __init__(self, btf: Btf, prepared: PreparedBase) -> None:
        self.btf = btf
        self.start = btf.start_id
        canonical, self.index = prepared.fork(btf)
        self.tags: dict[TagKey, TagNodes] = {}
        self.graph = Graph(btf, canonical, self.tags)
        functions = {w[0] for w in self.graph.words if info_kind(w[1]) == FUNC}
        self.index.take_names({key[1] for key in self.tags}, self.tags, functions)
        self.ambiguous: set[TagKey] = set()
        self.by_record: dict[bytes, int] = {}
        #: At the beginning of a round: the base's types stand for themselves.
        self._first_ids = [*range(self.start), *[_UNKNOWN] * len(self.graph.words)]
        self.ids: list[int] = []
        self.defined_here: set[TagKey] = set()
        # Tags that mean a certain definition here, because that says more.
        self.richer: dict[TagKey, int] = {}
        # Until they answer another question than a round asks.
        self.pairs: Pairs | None = None
        self.walked = False

    def _walk_pairs(self, everywhere: bool) -> None:
        """Find ambiguous tags, and the classes of their definitions if that is not too long."""
        pairs = Pairs(self.graph, self.index)
        self.ambiguous |= pairs.ambiguous
        if not everywhere and pairs.others:
            # What refers to them may differ for that, then what refers to it, and so on.
            keys = {tag_of(self.graph.words[t - self.start])[0] for t in self._above(pairs.others)}
            tags = [self.tags[key] for key in keys - self.ambiguous if key is not None]
            everywhere = any(len(t.definitions) + len(t.base_definitions) > 1 for t in tags)
        self.pairs = pairs if pairs.run(everywhere) else None
        self.walked = everywhere
        self.ambiguous |= pairs.ambiguous

    def _check_base(self) -> None:
        """
        Look whether all definitions that the base has of a tag do differ.

        :raises BaseNotMinimal: they do not.
        """
        index = self.index
        suspects: list[int] = []
        for key in self.ambiguous:
            known = self.tags[key].base_definitions
            if len({index.label(t) for t in known}) < len(known):
                suspects += known
        if suspects:
            cycles = Cycles(self.graph, index, self.ids, self.ambiguous)
            nodes = cycles.base_closure(suspects)
            classes = cycles.classes([], nodes)
            if len(set(classes.values())) < len(nodes):
                raise BaseNotMinimal

    def run(self) -> list[int]:
        self._walk_pairs(everywhere=False)
        self._check_base()
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
            self.pairs = None
            if not self.walked:
                self._walk_pairs(everywhere=True)
        raise BaseNotMinimal

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
        plain = self.ids
        tags = [self.tags[key] for key in self.defined_here]
        here = [t for tag in tags for t in (*tag.definitions, *tag.forwards)]
        more = self._above(here.copy())
        told = more.union(here)
        most: dict[TagKey, int] = {}
        for type_id in sorted(more):
            key, _ = tag_of(self.graph.words[type_id - self.start])
            if key is not None and key not in self.ambiguous:
                said = sum(t in told for t in self.graph.refs[type_id - self.start])
                if said > most.get(key, -1):
                    most[key] = said
                    self.richer[key] = type_id
        self.pairs = None
        self._round()
        self._leave_unused(plain)

    def _above(self, stack: list[int]) -> set[int]:
        """Return the types that refer to some, and on upwards until there is a tag to refer to."""
        referrers: list[list[int]] = [[] for _ in self.graph.words]
        start = self.start
        for type_id, targets in enumerate(self.graph.refs, start):
            for target in targets:
                if target >= start:
                    referrers[target - start].append(type_id)
        found: set[int] = set()
        while stack:
            for type_id in referrers[stack.pop() - start]:
                words = self.graph.words[type_id - start]
                if type_id in found or info_kind(words[1]) in NEVER_MERGED:
                    continue
                found.add(type_id)
                key, _ = tag_of(words)
                if key is None or key in self.ambiguous:
                    stack.append(type_id)
        return found

    def _leave_unused(self, plain: list[int]) -> None:
        """
        Let types be the base's after all that only such types refer to as are the base's.

        The functions of a table, say, that take what is kept here, if the table is not.

        :param plain: Classes before what is defined here counted.
        """
        start, ids, refs = self.start, self.ids, self.graph.refs
        tags = (*self.defined_here, *self.richer)
        kept = {t for key in tags for t in self.tags[key].definitions}
        referred = set().union(*refs)
        stack = [
            ids[t]
            for t in self.btf.own_ids()
            if plain[t] >= start or t in kept or t not in referred
        ]
        needed = set(stack)
        while stack:
            type_id = stack.pop()
            if type_id >= start:
                fresh = {ids[t] for t in refs[type_id - start]} - needed
                needed |= fresh
                stack += fresh
        for type_id in self.btf.own_ids():
            if ids[type_id] not in needed:
                ids[type_id] = plain[type_id]

    # One round.

    def _round(self) -> None:
        self.by_record = {}
        self.ids = self._first_ids.copy()
        aliases: list[tuple[int, int]] = []
        for key, tag in self.tags.items():
            if key not in self.ambiguous:
                aliases += self._name_tag(key, tag)
        for type_id in self.graph.alone:
            self.ids[type_id] = type_id
        self._resolve_base_forwards(aliases)
        for type_id, target in self.index.aliases.items():
            self.ids[type_id] = target
        for key in self.ambiguous:
            tag = self.tags[key]
            if self.pairs is not None:
                self._name_definitions(tag, self.pairs)
            self._name_forwards(key, tag)
        cyclic = self._climb()
        if cyclic:
            cycles = Cycles(self.graph, self.index, self.ids, self.ambiguous)
            cycles.solve(cyclic, self.by_record)

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

    def _name_tag(self, key: TagKey, tag: TagNodes) -> list[tuple[int, int]]:
        """
        Say what refers to an unambiguous tag's types refers to.

        :return: Forward declarations of the base that the base itself defines.
        """
        if key in self.richer:
            target = self.richer[key]
        elif key in self.defined_here:
            target = tag.definitions[0]
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
        return [(type_id, meant) for type_id in tag.base_forwards for meant in tag.base_definitions]

    def _name_definitions(self, tag: TagNodes, pairs: Pairs) -> None:
        """Say which definitions of an ambiguous tag are the same."""
        known = tag.base_definitions.copy()
        for type_id in tag.definitions:
            target = pairs.same(type_id, known)
            if target < 0:
                known.append(type_id)
                target = type_id
            self.ids[type_id] = self.index.aliases.get(target, target)

    def _name_forwards(self, key: TagKey, tag: TagNodes) -> None:
        if not tag.forwards:
            return
        if key[0] == ENUM:
            chosen = choose_enum(self.btf, (*tag.base_definitions, *tag.definitions), self.start)
            if chosen >= self.start:
                chosen = self.ids[chosen] if self.ids[chosen] >= 0 else self._look_up(chosen)
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
        class_of = ids.__getitem__
        left: list[int] = []
        seen = bytearray(len(refs))
        for root, targets in enumerate(refs, start):
            if ids[root] >= 0 or seen[root - start]:
                continue
            if min(map(class_of, targets), default=0) >= 0:
                ids[root] = self._look_up(root)
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
                if min(map(class_of, refs[at]), default=0) < 0:
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

    def _result(self) -> list[int]:
        """Return the classes' representatives: ids of the base, or the lowest own ones."""
        start, ids = self.start, self.ids
        forwards = {t for tag in self.tags.values() for t in tag.forwards}
        first = {type_id: type_id for type_id in self.richer.values()}
        for type_id, target in enumerate(ids[start:], start):
            # Where a definition stands for its forward declarations, it must not be
            # one of them that stands for the class.
            if target >= start and type_id not in forwards:
                first.setdefault(target, type_id)
        return [first.get(target, target) for target in ids[start:]]
