"""Types by name: from a string's offsets to the types that carry it.

Owns the search among one blob's own types; the chain is ``btf``'s.

Why three ways: a first answer needs two or three names, for which a search of the
bytes for the name and then for its offset among the types' is cheapest; a session
looks up a few hundred, for which checksums of a kernel's names pay (in small BTF a table of
offsets); a tool thousands, for which a table of all names does. The look-ups start the first
way, and their number decides. Checksums take 0.5 MB, the table 14: with it `foreach bt` with an
empty cache had its peak (``python -m tests.bench``).
Who says which kinds are wanted has only their offsets searched: a kernel's structs are one
type of nine, its variables one of 300, and collecting all offsets costs more than the rest.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import accumulate, compress
from operator import add

from btfdbg.btf.fields import NAME_OFF, SIZE_OR_TYPE
from btfdbg.btf.layouts import FUNC, TypeId

TYPE_CHECKING = False
if TYPE_CHECKING:
    from btfdbg.btf.btf import Btf

# What searches for offsets may cost (a look-up needs one for each string that ends in the
# name) before they are indexed (15 ms): 0.3 ms each among all of a kernel, a tenth of that
# among those of one kind.
_INDEX_AFTER = 240
_SEARCH_OF_ALL = 10
_SEARCH_OF_KIND = 1
# Look-ups (up to 1 ms each in a kernel's strings) after which checksums (20 ms) or a table
# (60 ms) are made; and those after which it is made although they found so few strings that no
# index was due.
_TABLE_AFTER = 48
_SCANS = 128
# Look-ups up to which a kernel's names have checksums (0.1 ms each) and no table.
_MARKED = 1024
# Names from which on all strings are split at once for it.
_SPLIT_FROM = 4096
_PIECE = 1 << 16  # bytes of strings that are split together


def named_types(btf: Btf, wanted: Collection[int]) -> Iterator[tuple[str, int]]:
    """
    (name, kind) of a blob's own types of some kinds, by id; without those that have no name.

    Reads the words itself: asking for the kind of each of a kernel's 110,000 types takes
    three times as long.
    """
    words = btf.words
    kinds = btf.own_kinds()
    marks = bytes(kind in wanted for kind in range(256))
    for at, kind in compress(zip(btf.offsets, kinds, strict=True), kinds.translate(marks)):
        if words[at + NAME_OFF]:
            name = btf.string(words[at + NAME_OFF])
            if name:
                yield name, kind


def functions_by_name(btf: Btf) -> dict[str, tuple[int, ...]]:
    """
    All functions of a BTF and its bases: where a name stands first, then ids of prototypes.

    Prototypes are in the order of the functions, each once. What a function refers to need not
    be a prototype where BTF is damaged.
    """
    found: dict[str, tuple[int, ...]] = {}
    for part in btf.chain():
        table = part.own_functions()
        if not found:
            found = table
        elif table:
            merged = dict(table)
            for name, (place, *protos) in found.items():
                own = table.get(name, ())[1:]
                merged[name] = (place, *protos, *(p for p in own if p not in protos))
            found = merged
    return found


def own_functions(btf: Btf) -> dict[str, tuple[int, ...]]:
    """As :func:`functions_by_name`, of one blob alone; 50 ms for a kernel."""
    words = btf.words
    places, protos = [], []
    for _, at in btf.own_of_kind(FUNC):
        places.append(words[at + NAME_OFF])
        protos.append(words[at + SIZE_OR_TYPE])
    names = btf.strings_at(places)
    table: dict[str, tuple[int, ...]] = {}
    for name, place, proto in zip(names, places, protos, strict=True):
        known = table.get(name)
        if known is None:
            table[name] = place, proto
        elif proto not in known[1:]:
            table[name] = (*known, proto)
    return table


class NameIndex:
    """Own types by name. Anonymous types are not in it."""

    __slots__ = (
        "_asked", "_btf", "_by_kind", "_column", "_first", "_is_for_many", "_marks", "_more",
        "_repeated", "_spent", "_table",
    )  # fmt: skip

    def __init__(self, btf: Btf) -> None:
        self._btf = btf
        self._asked = 0
        self._spent = 0
        self._is_for_many = False
        # Name to its offset; names that stand at several offsets, to all of them.
        self._table: dict[bytes, int] | None = None
        self._repeated: dict[bytes, list[int]] = {}
        # Offset to the first type that has it, and to the others.
        self._first: dict[int, int] | None = None
        self._more: dict[int, list[int]] = {}
        # The offsets alone, as bytes in native order.
        self._column = b""
        # The types of a kind, and the offsets of their names as above.
        self._by_kind: dict[int, tuple[Sequence[int], bytes]] = {}
        # The types of a kind that have names, where those stand, and the names' checksums.
        self._marks: dict[int, tuple[Sequence[int], Sequence[int], bytes]] = {}

    def _index(self) -> dict[int, int]:
        btf = self._btf
        words = btf.words
        column = array("I", map(words.__getitem__, btf.offsets))
        ids = range(btf.start_id, btf.start_id + len(column))
        first = dict(zip(reversed(column), reversed(ids), strict=True))
        first.pop(0, None)
        for offset, type_id in zip(column, ids, strict=True):
            if offset and first[offset] != type_id:
                self._more.setdefault(offset, []).append(type_id)
        return first

    def ids(self, name: bytes, kinds: Collection[int] | None = None) -> tuple[TypeId, ...]:
        """
        Return the ids of own types of a name, ascending.

        :param kinds: Only these; ``None`` for all.
        """
        if not name or b"\0" in name:
            return ()
        known = self._btf.known_names
        if known is None or self._is_for_many:
            return self._find(name, kinds)
        found = known.ids(self._btf, name, kinds)
        if found is not None:
            return tuple([TypeId(i) for i in found])
        ids = self._find(name, kinds)
        known.add(name, kinds, ids)
        return ids

    def _find(self, name: bytes, kinds: Collection[int] | None) -> tuple[TypeId, ...]:
        self._asked += 1
        if self._are_marks_due():
            return self._marked(name, kinds)
        if self._first is None and self._asked > _SCANS:
            self._make_index()
        if self._first is None:
            offsets = [
                member.start_str_off + at
                for member in self._btf.chain()
                for at in offsets_in(member, name, self._btf)
            ]
            found = self._searched(offsets, kinds)
            if found is not None:
                return found
            if self._are_marks_due():
                return self._marked(name, kinds)
            self._make_index()
        first = self._first
        assert first is not None
        if self._table is None and self._asked > _TABLE_AFTER:
            self._table = self._make_table(first)
        out: list[int] = []
        for offset in self._offsets(name, first):
            out.append(first[offset])
            if offset in self._more:
                out += self._more[offset]
        if kinds is not None and out:
            kind_of = self._btf.kind_of
            out = [type_id for type_id in out if kind_of(type_id) in kinds]
        if len(out) > 1:
            out.sort()
        return tuple([TypeId(i) for i in out])

    def _are_marks_due(self) -> bool:
        """Whether searches were many, in a kernel's types, and are not yet too many."""
        return (
            self._first is None
            and self._asked <= _MARKED
            and (self._asked > _TABLE_AFTER or self._spent > _INDEX_AFTER)
            and self._btf.base is None
            and len(self._btf.offsets) >= _SPLIT_FROM
        )

    def _marked(self, name: bytes, kinds: Collection[int] | None) -> tuple[TypeId, ...]:
        """The types of a name, by its checksum."""
        mark = zlib.crc32(name)
        string_bytes, end = self._btf.string_bytes, self._btf.end_str_off
        out = []
        for kind in set(self._btf.own_kinds() if kinds is None else kinds):
            ids, places, marks = self._marks_of(kind)
            for i in _places(marks, mark):
                if places[i] < end and string_bytes(places[i]) == name:
                    out.append(ids[i])
        out.sort()
        return tuple([TypeId(i) for i in out])

    def _marks_of(self, kind: int) -> tuple[Sequence[int], Sequence[int], bytes]:
        found = self._marks.get(kind)
        if found is None:
            ids, places = array("I"), array("I")
            words = self._btf.words
            for type_id, at in self._btf.own_of_kind(kind):
                if words[at + NAME_OFF]:
                    ids.append(type_id)
                    places.append(words[at + NAME_OFF])
            data, find, crc32 = self._btf.strings.data, self._btf.strings.find, zlib.crc32
            marks = array("I", [crc32(data[at : find(0, at)]) for at in places])
            found = self._marks[kind] = ids, places, marks.tobytes()
        return found

    def make_table(self) -> None:
        """
        Prepare for many names: 50 ms for a kernel, and no search of its strings then.

        Nor are they kept for other runs, in the place of the few that those ask for.
        """
        self._is_for_many = True
        if self._first is None:
            self._make_index()
        assert self._first is not None
        if self._table is None:
            self._table = self._make_table(self._first)

    def _make_index(self) -> None:
        self._first = self._index()
        self._column = b""
        self._by_kind.clear()
        self._marks.clear()

    def _searched(
        self, offsets: list[int], kinds: Collection[int] | None
    ) -> tuple[TypeId, ...] | None:
        """The types whose names stand at some offsets; ``None`` if an index is due."""
        self._spent += len(offsets) * (
            _SEARCH_OF_ALL if kinds is None else _SEARCH_OF_KIND * len(kinds)
        )
        if self._spent > _INDEX_AFTER:
            return None
        if kinds is None:
            return self.ids_at(offsets)
        out = []
        for kind in set(kinds):
            ids, column = self._of_kind(kind)
            out += [ids[i] for offset in offsets for i in _places(column, offset)]
        out.sort()
        return tuple([TypeId(i) for i in out])

    def ids_at(self, offsets: Iterable[int]) -> tuple[TypeId, ...]:
        """Return the own types whose names stand at some offsets, ascending."""
        btf = self._btf
        if not self._column:
            self._column = self._offsets_at(btf.offsets)
        out = {btf.start_id + i for o in offsets for i in _places(self._column, o)}
        return tuple([TypeId(i) for i in sorted(out)])

    def _of_kind(self, kind: int) -> tuple[Sequence[int], bytes]:
        found = self._by_kind.get(kind)
        if found is None:
            own = list(self._btf.own_of_kind(kind))
            column = self._offsets_at(at for _, at in own)
            found = self._by_kind[kind] = array("I", [type_id for type_id, _ in own]), column
        return found

    def _offsets_at(self, words: Iterable[int]) -> bytes:
        return array("I", map(self._btf.words.__getitem__, words)).tobytes()

    def _offsets(self, name: bytes, first: dict[int, int]) -> Sequence[int]:
        """Return the offsets of a name at which types of ours have theirs."""
        if self._table is not None:
            if name in self._repeated:
                return self._repeated[name]
            return (self._table[name],) if name in self._table else ()
        return [
            btf.start_str_off + at
            for btf in self._btf.chain()
            for at in btf.strings.offsets_of(name)
            if btf.start_str_off + at in first
        ]

    def _make_table(self, first: dict[int, int]) -> dict[bytes, int]:
        table: dict[bytes, int] = {}
        if self._btf.base is None and len(first) >= _SPLIT_FROM:
            table = self._whole_strings(first)
            if len(table) == len(first):
                return table
        self._add_names(table, first)
        return table

    def _whole_strings(self, first: dict[int, int]) -> dict[bytes, int]:
        """
        Names that stand whole in the strings, to their offsets; all at once, in C.

        Of a name that stands there twice one is in it; those that are the tail of another
        string are not.
        """
        data = self._btf.strings.data
        table: dict[bytes, int] = {}
        at = 0
        while at < len(data):
            # By pieces: of a kernel's 110,000 strings half are no type's name, and all of them at
            # once take 8 MB.
            end = data.find(b"\0", at + _PIECE)
            end = len(data) if end < 0 else end
            names = data[at:end].split(b"\0")
            # Each string starts behind those before it and the NUL of each.
            starts = list(map(add, accumulate(map(len, names), initial=at), range(len(names))))
            used = list(map(first.__contains__, starts))
            table.update(zip(compress(names, used), compress(starts, used), strict=True))
            at = end + 1
        return table

    def _add_names(self, table: dict[bytes, int], first: dict[int, int]) -> None:
        """Add every name, and remember those that stand at several offsets."""
        string_bytes = self._btf.string_bytes
        end = self._btf.end_str_off
        for offset in first:
            if offset >= end:
                continue  # a type whose name does not exist is found by none
            name = string_bytes(offset)
            if table.setdefault(name, offset) != offset:
                self._repeated.setdefault(name, [table[name]]).append(offset)


def offsets_in(btf: Btf, name: bytes, top: Btf) -> Iterable[int]:
    """
    Where one blob's own strings read a name.

    :param btf: One of the chain of ``top``, whose types are looked for.

    A kernel's 2 MB are searched once for a name that each of its modules asks for, and not
    again by a later run; of its own types the ids are kept.
    """
    known = btf.known_names
    if known is None or btf is top:
        return btf.strings.offsets_of(name)
    found = known.offsets(btf, name)
    if found is None:
        found = tuple(btf.strings.offsets_of(name))
        known.add_offsets(name, found)
    return found


def _places(column: bytes, value: int) -> Iterator[int]:
    """Where a column of u32 in native order has a value."""
    pattern = value.to_bytes(4, sys.byteorder)
    at = column.find(pattern)
    while at >= 0:
        index, rest = divmod(at, 4)
        if not rest:
            yield index
        at = column.find(pattern, at + 1)
