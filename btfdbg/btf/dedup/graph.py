"""The type graph as dedup sees it: records with comparable strings, tags by name.

Owns what makes two records comparable: strings count by content, a FWD's meaningless
third word does not count, and definitions and forward declarations of one tag are
brought together. How classes are found is ``dedup_whole``'s and ``dedup_split``'s.

A tag is a struct's, union's or enum's name; FWDs and enums without values declare it.
ENUM and ENUM64 share their tags, as in C.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import chain

from btfdbg.btf.btf import Btf
from btfdbg.btf.dedup.strings import Canonical
from btfdbg.btf.layouts import (
    DATASEC,
    ENUM,
    ENUM64,
    FWD,
    LAYOUTS,
    LOCSEC,
    STRUCT,
    UNION,
    VAR,
    info_kflag,
    info_kind,
    info_vlen,
)
from btfdbg.btf.records import PLACES, IdMap, places_of, refs
from btfdbg.btf.roles import Roles
from btfdbg.errors import BtfFormatError
from btfdbg.lazy_dataclass import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

#: Kind that a tag's definition has (ENUM for both enums) and its name's offset.
TagKey: TypeAlias = tuple[int, int]

#: What a section holds is a fact of its own, however alike another's is.
NEVER_MERGED = frozenset({VAR, DATASEC, LOCSEC})

#: Kinds of tags, and of the definition that each stands for; FWDs of either.
TAG_KINDS = {
    STRUCT: STRUCT,
    UNION: UNION,
    ENUM: ENUM,
    ENUM64: ENUM,
    FWD: FWD,
}
_ENUMS = frozenset({ENUM, ENUM64})


@dataclass(slots=True)
class TagNodes:
    """
    Types that define or declare a tag, by id and in order.

    :ivar base_definitions: Those of the base; only filled where a base is frozen.
    """

    definitions: list[int] = field(default_factory=list)
    forwards: list[int] = field(default_factory=list)
    base_definitions: list[int] = field(default_factory=list)
    base_forwards: list[int] = field(default_factory=list)


def tag_of(words: Sequence[int]) -> tuple[TagKey | None, bool]:
    """Return the tag that a record defines or declares, and whether it only declares it."""
    info = words[1]
    kind = TAG_KINDS.get(info_kind(info))
    if kind is None or not words[0]:
        return None, False
    if kind == FWD:
        return (UNION if info_kflag(info) else STRUCT, words[0]), True
    return (kind, words[0]), kind == ENUM and not info_vlen(info)


class Graph:
    """
    Own types of a Btf, ready to be compared.

    :ivar words: Record of each, string offsets canonical.
    :ivar refs: Type ids that each refers to.
    :ivar tags: Their tags.
    :ivar alone: Ids of those that are never merged.
    """

    def __init__(self, btf: Btf, canonical: Canonical, tags: dict[TagKey, TagNodes]) -> None:
        self.btf = btf
        self.start = btf.start_id
        self.words: list[list[int]] = []
        self.refs: list[list[int]] = []
        self.tags = tags
        self.alone: list[int] = []
        all_words: list[int] = btf.words.tolist()
        ends = [*btf.offsets, len(all_words)][1:]
        limit = btf.type_cnt
        for type_id, pos, end in zip(btf.own_ids(), btf.offsets, ends, strict=True):
            words = all_words[pos:end]
            kind = info_kind(words[1])
            places = PLACES.get(kind) or places_of(btf, type_id, words[1])
            try:
                if words[0]:
                    words[0] = canonical[words[0]]
                for part in places.elem_strs:
                    words[part] = list(map(canonical.__getitem__, words[part]))
            except BtfFormatError as error:
                raise btf.record_error(type_id, str(error)) from None
            targets = refs(words, places)
            if targets and max(targets) >= limit:
                raise btf.record_error(
                    type_id, f"refers to type {max(targets)}, last type is {limit - 1}"
                )
            if kind in TAG_KINDS:
                if kind == FWD:
                    words[2] = 0
                self._take_tag(type_id, words)
            elif kind in NEVER_MERGED:
                self.alone.append(type_id)
            self.words.append(words)
            self.refs.append(targets)

    def select(self, ids: Iterable[int]) -> tuple[array[int], bytes]:
        """Return the words of some records, one after the other, and their roles."""
        records = [self.words[type_id - self.start] for type_id in ids]
        roles = Roles().of([words[1] for words in records])
        return array("I", chain.from_iterable(records)), roles

    def _take_tag(self, type_id: int, words: list[int]) -> None:
        key, forward = tag_of(words)
        if key is None:
            return
        tag = self.tags.get(key)
        if tag is None:
            tag = self.tags[key] = TagNodes()
        (tag.forwards if forward else tag.definitions).append(type_id)


def replaced(words: list[int], ids: IdMap) -> bytes:
    """Return a record with its type ids replaced, as bytes."""
    places = PLACES[info_kind(words[1])]
    words = words.copy()
    for at in places.ids:
        words[at] = ids[words[at]]
    for part in places.elem_ids:
        words[part] = list(map(ids.__getitem__, words[part]))
    return array("I", words).tobytes()


def label(words: list[int]) -> bytes | int:
    """Return what a record says without its type ids."""
    kind = info_kind(words[1])
    places = PLACES[kind]
    if places.ids == (2,) and not places.elem_ids and len(words) == 3:
        return words[0] << 32 | words[1]
    words = words.copy()
    for at in places.ids:
        words[at] = 0
    for part in places.elem_ids:
        words[part] = [0] * len(words[part])
    return array("I", words).tobytes()


def enum_order(btf: Btf, type_id: int) -> tuple[object, ...]:
    """
    Return what enums are ordered by where one has to be chosen, whatever their ids.

    ENUM before ENUM64, smaller before larger, then by what they enumerate.
    """
    record = btf.record(type_id)
    step = LAYOUTS[info_kind(record[1])].elem_words
    names = tuple(btf.string_bytes(off) for off in record[3::step].tolist())
    return (info_kind(record[1]), record[2], info_kflag(record[1]), names, record.tolist()[3:])


def choose_enum(btf: Btf, definitions: Iterable[int], start: int) -> int:
    """
    Return the definition that forward declarations of an ambiguous enum stand for.

    libbpf takes the first. That depends on the order of the input, so here it is the
    base's first, else the least by content.
    """
    known = list(definitions)
    frozen = [type_id for type_id in known if type_id < start]
    return min(frozen) if frozen else min(known, key=lambda t: enum_order(btf, t))


def choose_forward(btf: Btf, forwards: Iterable[int], start: int) -> int:
    """Return the forward declaration that stays where a tag has no definition."""
    known = list(forwards)
    frozen = [type_id for type_id in known if type_id < start]
    if frozen:
        return min(frozen)
    first = btf.record(known[0])
    if info_kind(first[1]) not in _ENUMS:
        return min(known)
    # Enum forwards may claim different sizes; of those of the least, the first.
    return min(known, key=lambda t: (enum_order(btf, t)[:3], t))
