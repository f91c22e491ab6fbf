"""Whether this kernel's BTF has a type of exactly this shape.

Owns the search for derived types (pointers, arrays, qualified and function types) by
their structure. pahole encodes every type that DWARF has, those of variables too, before
it leaves the variables themselves out: so ``struct attribute *[5]`` is the type of a
variable only if the BTF has an ARRAY of 5 such pointers. That tells lengths apart and
``const`` that came or went, where sizes cannot.

Works on ids; one pass over the type section, made when the first shape is asked for.

Facts: include/uapi/linux/btf.h; measured: pahole makes one ARRAY of a multi-dimensional
array, its length the product (Debian 6.12), or nests them (Debian 7.2).
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import contains

from btfdbg.btf import Btf, Kind, kinds
from btfdbg.btf.encoder import enum_meaning
from btfdbg.btf.fields import INFO, NAME_OFF, SIZE_OR_TYPE, array_words, param_words
from btfdbg.btf.format import info_vlen
from btfdbg.cdecl import (
    VOID,
    Array,
    CType,
    Enumeration,
    Function,
    Named,
    Pointer,
    Qualified,
    Record,
)

_TAGS = {
    "struct": (Kind.STRUCT, Kind.FWD),
    "union": (Kind.UNION, Kind.FWD),
    "enum": (Kind.ENUM, Kind.ENUM64),
    "": (Kind.TYPEDEF, Kind.INT, Kind.FLOAT),
}
_QUALIFIER_KINDS = {"const": Kind.CONST, "volatile": Kind.VOLATILE, "restrict": Kind.RESTRICT}
# How gcc's DWARF, and so BTF, spells what drgn, and clang, call otherwise.
_GCC_NAMES = {
    "unsigned long": "long unsigned int",
    "long": "long int",
    "unsigned long long": "long long unsigned int",
    "long long": "long long int",
    "short": "short int",
    "unsigned short": "short unsigned int",
    "unsigned __int128": "__int128 unsigned",
}
_VOID_IDS = frozenset((0,))
_NONE: frozenset[int] = frozenset()


class StructuralIndex:
    """
    The derived types of one BTF (a module's includes its base's).

    :param btf: whatever is split from a base is searched with its base.
    :param flattened: take one ARRAY of 6 for the ``[2][3]`` that it may have been; by
        default, if this BTF has no ARRAY of ARRAYs.
    """

    def __init__(self, btf: Btf, *, flattened: bool | None = None) -> None:
        self._btf = btf
        self._flattened = flattened
        self._ids: dict[CType, frozenset[int]] = {VOID: _VOID_IDS}
        self._lengths: dict[CType, frozenset[int]] = {}
        self._over: dict[int, dict[int, list[int]]] | None = None
        self._arrays: dict[int, list[tuple[int, int]]] = {}
        # By result and number of parameters; the word at which its record starts.
        self._protos: dict[tuple[int, int], list[tuple[int, memoryview, int]]] = {}
        self._anonymous: dict[tuple[int, int], list[int]] = {}
        self._by_members: dict[tuple[int, int], dict[tuple[tuple[str, ...], int], list[int]]] = {}

    def exists(self, type_: CType) -> bool:
        """Whether the BTF has a type of this shape."""
        return bool(self.ids(type_))

    def ids(self, type_: CType) -> frozenset[int]:
        """Return the ids of all types of this shape."""
        found = self._ids.get(type_)
        if found is None:
            self._index()
            found = self._ids[type_] = self._search(type_)
        return found

    def lengths(self, element: CType) -> frozenset[int]:
        """Return the lengths that arrays of this element have in this kernel."""
        found = self._lengths.get(element)
        if found is None:
            self._index()
            inner = 1
            innermost = element
            while isinstance(innermost, Array):
                inner *= innermost.length or 0
                innermost = innermost.element
            lengths: set[int] = set()
            for id_ in self.ids(innermost) if self._flattened or innermost is element else ():
                for length, _ in self._arrays.get(id_, ()):
                    if inner and length % inner == 0:
                        lengths.add(length // inner)
            if innermost is not element:
                for id_ in self.ids(element):
                    lengths.update(length for length, _ in self._arrays.get(id_, ()))
            found = self._lengths[element] = frozenset(lengths)
        return found

    def _search(self, type_: CType) -> frozenset[int]:
        if isinstance(type_, Named):
            return self._named(type_)
        if isinstance(type_, Pointer):
            return self._derived(Kind.PTR, self.ids(type_.target))
        if isinstance(type_, Qualified):
            return self._qualified(type_)
        if isinstance(type_, Array):
            return self._array(type_)
        if isinstance(type_, Function):
            return self._function(type_)
        return self._body(type_)

    def _named(self, type_: Named) -> frozenset[int]:
        kinds_ = _TAGS[type_.tag]
        found = list(self._btf.types_by_name(type_.name, kinds_))
        if not type_.tag and type_.name in _GCC_NAMES:
            # Both where gcc's and clang's objects are linked into one kernel.
            found += self._btf.types_by_name(_GCC_NAMES[type_.name], kinds_)
        return self._tagged(found)

    def _tagged(self, ids: Iterable[int]) -> frozenset[int]:
        """The ids and what only puts a type tag before them (``__rcu``, ``__user``)."""
        found = set(ids)
        assert self._over is not None
        tags = self._over[Kind.TYPE_TAG]
        if tags:
            todo = list(found)
            while todo:
                for id_ in tags.get(todo.pop(), ()):
                    if id_ not in found:
                        found.add(id_)
                        todo.append(id_)
        return frozenset(found)

    def _derived(self, kind: int, targets: frozenset[int]) -> frozenset[int]:
        assert self._over is not None
        over = self._over[kind]
        return self._tagged(id_ for target in targets for id_ in over.get(target, ()))

    def _qualified(self, type_: Qualified) -> frozenset[int]:
        found: set[int] = set()
        for last in type_.qualifiers:
            kind = _QUALIFIER_KINDS.get(last)
            if kind is None:
                continue
            rest = tuple(q for q in type_.qualifiers if q != last)
            inner = Qualified(rest, type_.type) if rest else type_.type
            found |= self._derived(kind, self.ids(inner))
        return frozenset(found)

    def _array(self, type_: Array) -> frozenset[int]:
        length: int = type_.length or 0
        element = type_.element
        while isinstance(element, Array):
            length *= element.length or 0
            element = element.element
        found = _NONE
        if self._flattened or element is type_.element:
            found = self._array_ids(element, length)
        if element is not type_.element:
            found |= self._array_ids(type_.element, type_.length or 0)
        return found

    def _array_ids(self, element: CType, length: int) -> frozenset[int]:
        return frozenset(
            id_
            for target in self.ids(element)
            for nelems, id_ in self._arrays.get(target, ())
            if nelems == length
        )

    def _function(self, type_: Function) -> frozenset[int]:
        wanted = [self.ids(parameter) for parameter in type_.parameters]
        if type_.variadic:
            wanted.append(_VOID_IDS)
        return frozenset(
            id_
            for result in self.ids(type_.result)
            for id_, words, at in self._protos.get((result, len(wanted)), ())
            if all(map(contains, wanted, param_words(words, at)[1]))
        )

    def _body(self, type_: Record | Enumeration) -> frozenset[int]:
        if isinstance(type_, Enumeration):
            values = dict(type_.values)
            return frozenset(
                id_
                for kind in (Kind.ENUM, Kind.ENUM64)
                for id_ in self._anonymous.get((kind, len(values)), ())
                if self._has_values(id_, values)
            )
        if not type_.members:
            return _NONE
        kind = Kind.UNION if type_.tag == "union" else Kind.STRUCT
        names = tuple(member.name for member in type_.members)
        bodies = self._bodies(kind, len(names))
        return frozenset(
            id_
            for last in self.ids(type_.members[-1].type)
            for id_ in bodies.get((names, last), ())
            if self._has_members(id_, type_)
        )

    def _bodies(self, kind: int, members: int) -> dict[tuple[tuple[str, ...], int], list[int]]:
        """Anonymous records of so many members, by their members' names and last type."""
        found = self._by_members.get((kind, members))
        if found is None:
            found = self._by_members[kind, members] = {}
            for id_ in self._anonymous.get((kind, members), ()):
                record = self._btf.type_by_id(id_)
                assert isinstance(record, (kinds.Struct, kinds.Union))
                key = (tuple(m.name for m in record.members), int(record.members[-1].type))
                found.setdefault(key, []).append(id_)
        return found

    def _has_values(self, id_: int, values: dict[str, int]) -> bool:
        enum = self._btf.type_by_id(id_)
        assert isinstance(enum, (kinds.Enum, kinds.Enum64))
        meaning = enum_meaning(self._btf, enum)
        if meaning.doubt:  # the lower half is what the encoder wrote in any case
            low = {name: value & 0xFFFFFFFF for name, value in values.items()}
            return {value.name: value.value & 0xFFFFFFFF for value in enum.values} == low
        return {value.name: value.value for value in meaning.values} == values

    def _has_members(self, id_: int, record: Record) -> bool:
        found = self._btf.type_by_id(id_)
        assert isinstance(found, (kinds.Struct, kinds.Union))
        return all(
            have.type in self.ids(want.type)
            for have, want in zip(found.members, record.members, strict=True)
        )

    def _index(self) -> None:
        """Index by target what has one; about 50 ms for a whole kernel."""
        if self._over is not None:
            return
        self._over = {
            int(kind): {}
            for kind in (Kind.PTR, Kind.CONST, Kind.VOLATILE, Kind.RESTRICT, Kind.TYPE_TAG)
        }
        for btf in self._btf.chain():
            self._index_own(btf)
        if self._flattened is None:
            self._flattened = not any(
                self._btf.kind_of(target) == Kind.ARRAY for target in self._arrays
            )

    def _index_own(self, btf: Btf) -> None:
        assert self._over is not None
        over, words = self._over, btf.words
        array_, proto = int(Kind.ARRAY), int(Kind.FUNC_PROTO)
        bodies = (int(Kind.STRUCT), int(Kind.UNION), int(Kind.ENUM), int(Kind.ENUM64))
        for id_, at, kind in zip(btf.own_ids(), btf.offsets, btf.own_kinds(), strict=True):
            by_target = over.get(kind)
            if by_target is not None:
                by_target.setdefault(words[at + SIZE_OR_TYPE], []).append(id_)
            elif kind == array_:
                element, _, count = array_words(words, at)
                self._arrays.setdefault(element, []).append((count, id_))
            elif kind == proto:
                key = (words[at + SIZE_OR_TYPE], info_vlen(words[at + INFO]))
                self._protos.setdefault(key, []).append((id_, words, at))
            elif kind in bodies and not words[at + NAME_OFF]:
                self._anonymous.setdefault((kind, info_vlen(words[at + INFO])), []).append(id_)
