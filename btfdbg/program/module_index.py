"""Names of all modules' types, in one index.

Why one and not a search per module: a name that exists nowhere is the common
question (drgn's helpers probe for what a kernel has), and asking each of a few
hundred modules costs milliseconds per probe. Built at the first question that
the kernel's own BTF cannot answer: about a millisecond per module.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from btfdbg.btf import Kind, TypeId, kinds
from btfdbg.btf.enumerators import NamedValue
from btfdbg.btf.fields import INFO
from btfdbg.btf.layouts import info_kind
from btfdbg.errors import BtfError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.program.convert import TypeConverter

_ENUMS = (Kind.ENUM, Kind.ENUM64)
# What a type finder is asked for; functions are the most of a module's BTF, and theirs
# is another question (``module_objects``).
_INDEXED = frozenset(
    (Kind.INT, Kind.FLOAT, Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64, Kind.TYPEDEF)
)


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
        self._types: dict[str, list[Definition]] = {}
        self._values: dict[str, list[tuple[TypeConverter, NamedValue]]] = {}
        for converter in converters:
            self._add(converter)

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

    def types(self, name: str, wanted: Collection[int]) -> list[Definition]:
        """Definitions of a name, of some kinds of those that a type finder is asked for."""
        return [
            d for d in self._types.get(name, ()) if d.converter.btf.kind_of(d.type_id) in wanted
        ]

    def enumerators(self, name: str) -> list[tuple[TypeConverter, NamedValue]]:
        """Enumerators of a name."""
        return self._values.get(name, [])
