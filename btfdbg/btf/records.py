"""Records as lists of words: their names and ids replaced, and put into a new blob.

Owns the loop that every transformation of BTF shares (dedup, distill, relocate,
minimize, merge): copy a record, send its string offsets through one map and its
type ids through another. It knows no kind; the layout rows say where things are.
A kind that has no row could hold ids anywhere, so it is refused.

Facts: ``btf_type_field_iter`` of libbpf says the same of each kind.
"""

from __future__ import annotations

from array import array
from itertools import compress

from btfdbg.btf.btf import Btf, string_sections
from btfdbg.btf.layouts import (
    FWD,
    HEADER_LEN,
    HEADER_LEN_LAYOUT,
    LAYOUTS,
    TYPE_WORDS,
    info_kind,
)
from btfdbg.btf.pack import layout_section, pack
from btfdbg.btf.roles import Roles, gather, ids_among, names_in, replaced_words
from btfdbg.btf.string_table import StringTable
from btfdbg.errors import BtfFormatError
from btfdbg.lazy_dataclass import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Protocol

    from btfdbg.btf.header import ByteOrder

    class IdMap(Protocol):
        """New id by old id; ``IndexError`` for one that does not exist."""

        def __getitem__(self, index: int, /) -> int: ...

else:
    IdMap = object


@dataclass(frozen=True, slots=True)
class Places:
    """
    Where a kind's records hold ids and string offsets, as slices ready to use.

    :ivar ids: Word numbers outside of the elements that hold type ids.
    :ivar elem_ids: Slices, each covering one id of every element.
    :ivar elem_strs: Slices, each covering one string offset of every element.
    """

    ids: tuple[int, ...]
    elem_ids: tuple[slice, ...]
    elem_strs: tuple[slice, ...]


def _places() -> dict[int, Places]:
    out = {}
    for kind, row in LAYOUTS.items():
        first = TYPE_WORDS + row.info_words
        out[int(kind)] = Places(
            row.type_words,
            tuple(slice(first + w, None, row.elem_words) for w in row.elem_type_words),
            tuple(slice(first + w, None, row.elem_words) for w in row.elem_str_words),
        )
    return out


#: By kind; a kind that is not here cannot be transformed.
PLACES = _places()


def places_of(btf: Btf, type_id: int, info: int) -> Places:
    """
    Return the places of an own type's kind.

    :raises BtfFormatError: nothing is known of the kind but its length.
    """
    try:
        return PLACES[info_kind(info)]
    except KeyError:
        raise btf.record_error(
            type_id, "kind is not known, so its type ids cannot be followed"
        ) from None


def refs(words: Sequence[int], places: Places) -> list[int]:
    """Return the type ids in a record, void included."""
    out = [words[at] for at in places.ids]
    for part in places.elem_ids:
        out += words[part]
    return out


class StringMap(dict[int, int]):
    """
    String offsets of one chain to those of another, each looked up once.

    :param source: Whose offsets are the keys.
    :param table: Gets the strings, and says where they are.
    """

    def __init__(self, source: Btf, table: StringTable) -> None:
        super().__init__()
        self[0] = 0
        self._source = source
        self._bytes = source.string_bytes
        self._table = table
        self._add = table.add

    def take(self, offsets: Iterable[int]) -> None:
        """
        Look up many offsets at once, in order.

        :raises BtfFormatError: there is no string at one of them.
        """
        source = self._source
        start, end = source.start_str_off, source.end_str_off
        data, find = source.strings.data, source.strings.find
        fresh = [offset for offset in dict.fromkeys(offsets) if offset not in self]
        texts = [
            data[at - start : find(0, at - start)] if start <= at < end else self._bytes(at)
            for at in fresh
        ]
        self.update(zip(fresh, self._table.add_all(texts), strict=True))

    def __missing__(self, offset: int) -> int:
        new = self[offset] = self._add(self._bytes(offset))
        return new


class Records:
    """
    A type section in the making, out of records of other BTFs.

    :param base: What the new BTF is split on top of, if it is.
    :param like: Byte order, header length and layout section are taken from it.
    """

    def __init__(self, base: Btf | None, like: Btf) -> None:
        self.base = base
        self.like = like
        self.strings = StringTable(string_sections(base))
        self.start_id = 1 if base is None else base.type_cnt
        self.words: array[int] = array("I")
        self.count = 0
        self._maps: dict[int, tuple[Btf, StringMap]] = {}

    @property
    def type_cnt(self) -> int:
        return self.start_id + self.count

    def string_map(self, source: Btf) -> StringMap:
        """Return the map from a source's string offsets to this one's."""
        known = self._maps.get(id(source))
        if known is None:
            known = self._maps[id(source)] = (source, StringMap(source, self.strings))
        return known[1]

    def append(self, words: Iterable[int]) -> int:
        """Append a finished record; returns its id."""
        self.words.extend(words)
        self.count += 1
        return self.type_cnt - 1

    def copy(self, source: Btf, type_id: int, ids: IdMap | None = None) -> int:
        """
        Append a copy of a source's type.

        :param source: Any BTF; the type may be one of its base's.
        :param ids: New id for each old one by index; ``None`` leaves them.
        :raises BtfFormatError: the record refers to a type or string that does not exist.
        """
        owner = source.owner_of(type_id)
        words = copied(owner, type_id, self.string_map(owner), ids)
        return self.append(words)

    def copy_own(self, source: Btf, ids: IdMap) -> None:
        """Append copies of all own types of a source, as :meth:`copy` does."""
        self.words += own_copied(source, self.string_map(source), ids)
        self.count += len(source.offsets)

    def pack(self) -> bytes:
        """Return the blob."""
        return packed_like(self.like, self.words, self.strings.data)

    def to_btf(self) -> Btf:
        """Return the blob, parsed."""
        return Btf.parse(self.pack(), self.base)


def packed_like(like: Btf, words: array[int], strings: bytes | bytearray) -> bytes:
    """
    Return a blob of other types, with the byte order, header length and kind of layout of a Btf.

    :param words: The type section, native u32.
    """
    order: ByteOrder = like.byteorder
    header_len = HEADER_LEN_LAYOUT if like.header.hdr_len >= HEADER_LEN_LAYOUT else HEADER_LEN
    return pack(
        words,
        strings,
        byteorder=order,
        header_len=header_len,
        layout=layout_section(order) if like.effective_layout else b"",
    )


def copied(owner: Btf, type_id: int, strings: IdMap, ids: IdMap | None) -> list[int]:
    """
    Return the words of an own type with its strings and ids replaced.

    A FWD's third word, which has no meaning and in which gcc 12 leaves garbage,
    becomes 0: the kernel refuses anything else.

    :raises BtfFormatError: a type or string does not exist.
    """
    pos = owner.offsets[type_id - owner.start_id]
    words: list[int] = owner.words[pos : owner.record_end(type_id)].tolist()
    if info_kind(words[1]) not in PLACES:
        places_of(owner, type_id, words[1])
    try:
        replace(words, strings, ids)
    except BtfFormatError as error:
        raise owner.record_error(type_id, str(error)) from None
    except IndexError:
        places = places_of(owner, type_id, words[1])
        raise owner.record_error(
            type_id,
            f"refers to type {max(refs(owner.record(type_id).tolist(), places))}, "
            f"last type is {owner.type_cnt - 1}",
        ) from None
    return words


def own_roles(btf: Btf) -> bytes | None:
    """Return the roles of the own types' words; ``None`` if a kind is not known."""
    try:
        return Roles().of(gather(btf.words[1:], btf.offsets))
    except KeyError:
        return None


def own_targets(btf: Btf) -> list[int] | None:
    """
    Return the ids that own types refer to, each once, in order of the first reference.

    :return: ``None`` if one of them is of a kind that is not known.
    """
    roles = own_roles(btf)
    if roles is None:
        return None
    return list(dict.fromkeys(compress(btf.words, ids_among(roles))))


def own_copied(source: Btf, strings: IdMap, ids: IdMap) -> array[int]:
    """
    Return the words of all own types as :func:`copied` does; strings are asked for in its order.

    It takes a twentieth of the time for 2,000 types.
    """
    roles = own_roles(source)
    try:
        if roles is None:
            raise BtfFormatError("kind is not known")
        if isinstance(strings, StringMap):
            strings.take(names_in(source.words, roles))
        out = replaced_words(source.words, roles, strings, ids)
    except (BtfFormatError, IndexError):
        for type_id in source.own_ids():  # says which of them it is
            copied(source, type_id, strings, ids)
        raise
    for _, at in source.own_of_kind(FWD):
        out[at + 2] = 0
    return out


def replace(words: list[int], strings: IdMap | None, ids: IdMap | None) -> None:
    """Replace string offsets and type ids of a record of a known kind, in place."""
    kind = info_kind(words[1])
    places = PLACES[kind]
    if strings is not None:
        if words[0]:
            words[0] = strings[words[0]]
        for part in places.elem_strs:
            words[part] = list(map(strings.__getitem__, words[part]))
    if ids is not None:
        for at in places.ids:
            words[at] = ids[words[at]]
        for part in places.elem_ids:
            words[part] = list(map(ids.__getitem__, words[part]))
    if kind == FWD:
        words[2] = 0
