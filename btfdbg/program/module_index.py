"""Names of all modules' types, in one index.

Why one and not a search per module: a name that exists nowhere is the common
question (drgn's helpers probe for what a kernel has), and asking each of a few
hundred modules costs milliseconds per probe. Why not at once: a command asks two or three
such questions, and to search the modules' bytes for them takes 1 ms where an index of 41
modules takes 10.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from btfdbg.btf import Kind, TypeId, kinds
from btfdbg.btf.enumerators import NamedValue
from btfdbg.btf.fields import INFO
from btfdbg.btf.layouts import info_kind
from btfdbg.btf.names import offsets_in
from btfdbg.btf.strings import encode_name
from btfdbg.errors import BtfError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.program.convert import TypeConverter

_ENUMS = (Kind.ENUM, Kind.ENUM64)
# What a type finder is asked for; functions are the most of a module's BTF, and theirs
# is another question (``module_objects``).
_INDEXED = frozenset(
    (Kind.INT, Kind.FLOAT, Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64, Kind.TYPEDEF)
)
# Questions (1 ms each) after which an index (10 ms) is made.
_INDEX_AFTER = 16


@dataclass(frozen=True, slots=True)
class Definition:
    """A type of a module."""

    converter: TypeConverter
    type_id: TypeId


class ModuleIndex:
    """
    Where each name is defined in the modules, in the order of the modules.

    :param converters: One per module with usable BTF.
    """

    def __init__(self, converters: Iterable[TypeConverter]) -> None:
        self._converters = list(converters)
        self._types: dict[str, list[Definition]] = {}
        self._values: dict[str, list[tuple[TypeConverter, NamedValue]]] = {}
        self._asked = 0
        self._is_made = False

    def types(self, name: str, wanted: Collection[int]) -> list[Definition]:
        """Definitions of a name, of some kinds of those that a type finder is asked for."""
        found = self._types.get(name, ()) if self._indexed() else self._search_types(name)
        return [d for d in found if d.converter.btf.kind_of(d.type_id) in wanted]

    def enumerators(self, name: str) -> list[tuple[TypeConverter, NamedValue]]:
        """Enumerators of a name."""
        if self._indexed():
            return self._values.get(name, [])
        return list(self._search_values(name))

    def _indexed(self) -> bool:
        """Whether there is an index; made when enough was asked."""
        if not self._is_made:
            self._asked += 1
            if self._asked > _INDEX_AFTER:
                for converter in self._converters:
                    self._add(converter)
                self._is_made = True
        return self._is_made

    def _named(self, name: str) -> Iterator[tuple[TypeConverter, list[int]]]:
        """The modules that may use a name, with the offsets at which its string stands."""
        data = encode_name(name)
        if not data or b"\0" in data:
            return
        in_base: dict[int, list[int]] = {}
        for converter in self._converters:
            btf = converter.btf
            base = btf.base
            offsets = in_base.get(id(base))
            if offsets is None:
                offsets = in_base[id(base)] = [
                    member.start_str_off + at
                    for member in (() if base is None else base.chain())
                    for at in offsets_in(member, data, btf)
                ]
            own = [btf.start_str_off + at for at in btf.strings.offsets_of(data)]
            if offsets or own:
                yield converter, offsets + own

    def _search_types(self, name: str) -> Iterator[Definition]:
        for converter, offsets in self._named(name):
            btf = converter.btf
            for type_id in btf.own_ids_at(offsets):
                if btf.kind_of(type_id) in _INDEXED:
                    yield Definition(converter, type_id)

    def _search_values(self, name: str) -> Iterator[tuple[TypeConverter, NamedValue]]:
        for converter, offsets in self._named(name):
            btf = converter.btf
            words = (word for offset in offsets for word in btf.find_word(offset))
            for type_id in sorted({i for i in map(btf.id_at, words) if i is not None}):
                try:
                    if btf.kind_of(type_id) not in _ENUMS:
                        continue
                    btf.name_of(type_id)  # one damaged record loses all of itself
                    t = btf.type_by_id(type_id)
                except BtfError:
                    continue
                assert isinstance(t, (kinds.Enum, kinds.Enum64))
                for v in t.values:
                    if v.name == name:
                        yield converter, NamedValue(type_id, v.value)

    def _add(self, converter: TypeConverter) -> None:
        btf = converter.btf
        words = btf.words
        for type_id, at in zip(btf.own_ids(), btf.offsets, strict=False):
            kind = info_kind(words[at + INFO])
            if kind not in _INDEXED:
                continue
            try:
                name = btf.name_of(type_id)
                if name:
                    self._types.setdefault(name, []).append(Definition(converter, TypeId(type_id)))
                if kind in _ENUMS:
                    self._add_values(converter, TypeId(type_id))
            except BtfError:
                continue  # one damaged record loses only itself

    def _add_values(self, converter: TypeConverter, type_id: TypeId) -> None:
        t = converter.btf.type_by_id(type_id)
        assert isinstance(t, (kinds.Enum, kinds.Enum64))
        for v in t.values:
            self._values.setdefault(v.name, []).append((converter, NamedValue(type_id, v.value)))
