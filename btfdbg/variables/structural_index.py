"""Whether this kernel's BTF has a type of exactly this shape.

Owns the search for derived types (pointers, arrays, qualified and function types) by
their structure. pahole encodes every type that DWARF has, those of variables too, before
it leaves the variables themselves out: so ``struct attribute *[5]`` is the type of a
variable only if the BTF has an ARRAY of 5 such pointers. That tells lengths apart and
``const`` that came or went, where sizes cannot.

Works on ids; the types of a kind are gone through when the first shape that is built of such
a one is asked for. A first variable needs pointers and a tag, not all of a kernel.

Facts: include/uapi/linux/btf.h; measured: pahole makes one ARRAY of a multi-dimensional
array, its length the product (Debian 6.12), or nests them (Debian 7.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import contains

from btfdbg.btf import Btf, Kind, kinds
from btfdbg.btf.encoder import enum_meaning
from btfdbg.btf.fields import (
    INFO,
    NAME_OFF,
    SIZE_OR_TYPE,
    array_words,
    member_words,
    param_words,
)
from btfdbg.btf.format import info_vlen, make_info
from btfdbg.btf.layouts import TYPE_WORDS
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
_FEW = 8
"""So many targets of a kind are looked for one by one, before all are put in a dictionary."""
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
        # By kind and target.
        self._over: dict[int, dict[int, list[int]]] = {}
        self._asked: dict[int, int] = {}
        self._all_arrays: dict[int, list[tuple[int, int]]] | None = None
        self._of_members: set[int] | None = None
        # By result and number of parameters; the word at which its record starts.
        self._all_protos: dict[tuple[int, int], list[tuple[int, memoryview, int]]] | None = None
        # By kind and number of members.
        self._anonymous: dict[int, dict[int, list[int]]] = {}
        self._by_members: dict[tuple[int, int], dict[tuple[tuple[str, ...], int], list[int]]] = {}

    def expect_many(self) -> None:
        """Put what shapes are built of in dictionaries at once: 20 ms, for thousands of shapes."""
        for kind in (Kind.PTR, Kind.ARRAY, *_QUALIFIER_KINDS.values()):
            self._asked[kind] = _FEW

    def exists(self, type_: CType) -> bool:
        """Whether the BTF has a type of this shape."""
        return bool(self.ids(type_))

    def ids(self, type_: CType) -> frozenset[int]:
        """Return the ids of all types of this shape."""
        found = self._ids.get(type_)
        if found is None:
            found = self._ids[type_] = self._search(type_)
        return found

    def lengths(self, element: CType) -> frozenset[int]:
        """Return the lengths that arrays of this element have in this kernel."""
        found = self._lengths.get(element)
        if found is None:
            inner = 1
            innermost = element
            while isinstance(innermost, Array):
                inner *= innermost.length or 0
                innermost = innermost.element
            lengths: set[int] = set()
            for id_ in self.ids(innermost) if innermost is element or self._is_flattened() else ():
                for length, _ in self._arrays_of(id_):
                    if inner and length % inner == 0:
                        lengths.add(length // inner)
            if innermost is not element:
                for id_ in self.ids(element):
                    lengths.update(length for length, _ in self._arrays_of(id_))
            found = self._lengths[element] = frozenset(lengths)
        return found

    def is_member(self, type_: CType) -> bool:
        """Whether a member of a structure is of a type; all are gone through once, some 50 ms."""
        if self._of_members is None:
            found: set[int] = set()
            for kind in (Kind.STRUCT, Kind.UNION):
                for _, words, at in self._of_kind(kind):
                    found.update(member_words(words, at)[1])
            self._of_members = found
        return not self._of_members.isdisjoint(self.ids(type_))

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
        tags = self._over_targets(Kind.TYPE_TAG)
        if tags:
            todo = list(found)
            while todo:
                for id_ in tags.get(todo.pop(), ()):
                    if id_ not in found:
                        found.add(id_)
                        todo.append(id_)
        return frozenset(found)

    def _derived(self, kind: int, targets: frozenset[int]) -> frozenset[int]:
        if kind not in self._over and self._are_few(kind, len(targets)):
            found = [i for target in targets for i, _, _ in self._with(kind, target)]
            return self._tagged(found)
        over = self._over_targets(kind)
        return self._tagged(id_ for target in targets for id_ in over.get(target, ()))

    def _are_few(self, kind: int, more: int) -> bool:
        """Whether types of a kind were asked for a few times only, with so many more."""
        self._asked[kind] = self._asked.get(kind, 0) + more
        return self._asked[kind] <= _FEW

    def _with(self, kind: int, *values: int) -> Iterator[tuple[int, memoryview, int]]:
        """As :meth:`_of_kind`, those that have values in the words after the info word."""
        for btf in self._btf.chain():
            for word in _places(btf, (make_info(kind, 0), *values)):
                at = word - INFO
                id_ = btf.id_at(at)
                if id_ is not None and btf.offsets[id_ - btf.start_id] == at:
                    yield id_, btf.words, at

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
        if element is type_.element or self._is_flattened():
            found = self._array_ids(element, length)
        if element is not type_.element:
            found |= self._array_ids(type_.element, type_.length or 0)
        return found

    def _array_ids(self, element: CType, length: int) -> frozenset[int]:
        return frozenset(
            id_
            for target in self.ids(element)
            for nelems, id_ in self._arrays_of(target)
            if nelems == length
        )

    def _arrays_of(self, element: int) -> Iterable[tuple[int, int]]:
        """Lengths and ids of the arrays of an element."""
        if self._all_arrays is None and self._are_few(Kind.ARRAY, 1):
            found = self._with(Kind.ARRAY, 0, element)
            return [(array_words(words, at)[2], id_) for id_, words, at in found]
        return self._arrays.get(element, ())

    def _function(self, type_: Function) -> frozenset[int]:
        wanted = [self.ids(parameter) for parameter in type_.parameters]
        if type_.variadic:
            wanted.append(_VOID_IDS)
        protos = self._protos
        if not wanted:
            return frozenset(
                id_ for result in self.ids(type_.result) for id_, *_ in protos.get((result, 0), ())
            )
        # Thousands take two arguments and return int; the first argument tells most apart.
        first, place = wanted[0], TYPE_WORDS + 1
        return frozenset(
            id_
            for result in self.ids(type_.result)
            for id_, words, at in protos.get((result, len(wanted)), ())
            if words[at + place] in first and all(map(contains, wanted, param_words(words, at)[1]))
        )

    def _body(self, type_: Record | Enumeration) -> frozenset[int]:
        if isinstance(type_, Enumeration):
            values = dict(type_.values)
            return frozenset(
                id_
                for kind in (Kind.ENUM, Kind.ENUM64)
                for id_ in self._bodies_of(kind).get(len(values), ())
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
            for id_ in self._bodies_of(kind).get(members, ()):
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

    def _is_flattened(self) -> bool:
        if self._flattened is None:
            kind_of = self._btf.kind_of
            self._flattened = not any(kind_of(target) == Kind.ARRAY for target in self._arrays)
        return self._flattened

    def _over_targets(self, kind: int) -> dict[int, list[int]]:
        """Types of a kind by what they are put over; 2 ms for a kernel's pointers, once."""
        found = self._over.get(kind)
        if found is None:
            found = self._over[kind] = {}
            for id_, words, at in self._of_kind(kind):
                found.setdefault(words[at + SIZE_OR_TYPE], []).append(id_)
        return found

    @property
    def _arrays(self) -> dict[int, list[tuple[int, int]]]:
        """Lengths and ids of the arrays by element."""
        found = self._all_arrays
        if found is None:
            found = self._all_arrays = {}
            for id_, words, at in self._of_kind(Kind.ARRAY):
                element, _, count = array_words(words, at)
                found.setdefault(element, []).append((count, id_))
        return found

    @property
    def _protos(self) -> dict[tuple[int, int], list[tuple[int, memoryview, int]]]:
        found = self._all_protos
        if found is None:
            found = self._all_protos = {}
            for id_, words, at in self._of_kind(Kind.FUNC_PROTO):
                key = (words[at + SIZE_OR_TYPE], info_vlen(words[at + INFO]))
                found.setdefault(key, []).append((id_, words, at))
        return found

    def _bodies_of(self, kind: int) -> dict[int, list[int]]:
        """Anonymous types of a kind by their number of members."""
        found = self._anonymous.get(kind)
        if found is None:
            found = self._anonymous[kind] = {}
            for id_, words, at in self._of_kind(kind):
                if not words[at + NAME_OFF]:
                    found.setdefault(info_vlen(words[at + INFO]), []).append(id_)
        return found

    def _of_kind(self, kind: int) -> Iterator[tuple[int, memoryview, int]]:
        """Id, words and the word at which the record starts of each type of a kind, by id."""
        for btf in self._btf.chain():
            for id_, at in btf.own_of_kind(kind):
                yield id_, btf.words, at


def _places(btf: Btf, values: tuple[int, ...]) -> Iterable[int]:
    """Where words have some values in a row: each search goes through all of a kernel's types."""
    known = btf.known_names
    if known is None:
        return btf.find_word(*values)
    found = known.words(btf, values)
    if found is None:
        found = tuple(btf.find_word(*values))
        known.add_words(values, found)
    return found
