"""Enumerators by name, first without an index of all of them.

A lookup is a byte search for the name and one for its offset in the type
section: about a millisecond for a kernel, against 20 to read the names of all
enumerators of one, which is done when enough was asked. Facts: ``struct btf_enum`` and
``struct btf_enum64`` in ``include/uapi/linux/btf.h``.
"""

from __future__ import annotations

from collections.abc import Collection

from btfdbg.btf import kinds
from btfdbg.btf.btf import Btf
from btfdbg.btf.encoder import enum_meaning
from btfdbg.btf.fields import INFO
from btfdbg.btf.format import LAYOUTS, TYPE_WORDS, Kind, TypeId, info_kind
from btfdbg.btf.names import offsets_in
from btfdbg.errors import BtfFormatError
from btfdbg.lazy_dataclass import dataclass

_ENUMS = (Kind.ENUM, Kind.ENUM64)
# Searches after which all names are read.
_TABLE_AFTER = 48


@dataclass(frozen=True, slots=True)
class NamedValue:
    """An enumerator: the enum it belongs to and its value."""

    type_id: TypeId
    value: int


def find_enumerators(
    btf: Btf, name: str, doubts: list[str] | None = None
) -> tuple[NamedValue, ...]:
    """
    Return every enumerator of a name among the own types of a BTF, by id.

    Values are what :func:`encoder.enum_meaning` makes of them: one that the encoder cut
    is not among them.

    :param doubts: Gets what is not known of the enums that hold one.
    :raises BtfFormatError: an enum that holds one is malformed.
    """
    data = name.encode("utf-8", "surrogateescape")
    if not data or b"\0" in data:
        return ()
    ids, is_known = _enums_with(btf, data)
    found: list[NamedValue] = []
    for type_id in ids:
        t = btf.type_by_id(type_id)
        assert isinstance(t, (kinds.Enum, kinds.Enum64))
        meaning = enum_meaning(btf, t)
        values = meaning.values
        places = [at for at, value in enumerate(t.values) if value.name == name]
        if is_known and not places:
            assert btf.known_names is not None
            btf.known_names.clear()
            return find_enumerators(btf, name, doubts)
        for position in places:
            if meaning.doubt and doubts is not None:
                doubts.append(meaning.doubt)
            if position < len(values):
                found.append(NamedValue(type_id, values[position].value))
    return tuple(found)


def _enums_with(btf: Btf, name: bytes) -> tuple[Collection[TypeId], bool]:
    """Own enums that have an enumerator of a name, by id; and whether that was known before."""
    known = btf.known_names
    if btf.enumerator_names is None:
        btf.enumerator_names = EnumeratorNames()
    names = btf.enumerator_names
    if known is None:
        return names.ids(btf, name), False
    ids = known.enums(btf, name)
    if ids is not None:
        return [TypeId(i) for i in ids], True
    found = names.ids(btf, name)
    known.add_enums(name, found)
    return found, False


class EnumeratorNames:
    """The own enums of a blob that have an enumerator of a name."""

    __slots__ = ("_asked", "_table")

    def __init__(self) -> None:
        self._asked = 0
        self._table: dict[bytes, list[TypeId]] | None = None

    def ids(self, btf: Btf, name: bytes) -> tuple[TypeId, ...]:
        """Return the ids of the enums, ascending."""
        if self._table is None:
            self._asked += 1
            if self._asked <= _TABLE_AFTER:
                return _search(btf, name)
            self._table = _all_names(btf)
        return tuple(self._table.get(name, ()))


def _all_names(btf: Btf) -> dict[bytes, list[TypeId]]:
    """All enumerators' names to the ids of their enums; what names nothing is left out."""
    found: dict[bytes, list[TypeId]] = {}
    words, string_bytes = btf.words, btf.string_bytes
    ids = sorted(entry for kind in _ENUMS for entry in btf.own_of_kind(kind))
    for type_id, at in ids:
        first = at + TYPE_WORDS
        elem_words = LAYOUTS[info_kind(words[at + INFO])].elem_words
        for offset in words[first : btf.record_end(type_id)].tolist()[::elem_words]:
            try:
                of_name = found.setdefault(string_bytes(offset), [])
            except BtfFormatError:
                continue
            if not of_name or of_name[-1] != type_id:
                of_name.append(TypeId(type_id))
    return found


def _search(btf: Btf, name: bytes) -> tuple[TypeId, ...]:
    offsets = [
        member.start_str_off + at for member in btf.chain() for at in offsets_in(member, name, btf)
    ]
    found: set[TypeId] = set()
    for offset in offsets:
        for word in btf.find_word(offset):
            type_id = btf.id_at(word)
            if type_id is None:
                continue
            kind = btf.kind_of(type_id)
            if kind not in _ENUMS:
                continue
            first = btf.offsets[type_id - btf.start_id] + TYPE_WORDS
            position, rest = divmod(word - first, LAYOUTS[kind].elem_words)
            if not rest and position >= 0:
                found.add(type_id)
    return tuple(sorted(found))
