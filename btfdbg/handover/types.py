"""Types of variables as BTF: a ``drgn.Type`` becomes the id of a type.

Owns the way back up from drgn's types. A named type is the kernel's own of that name; what
its BTF lacks (an array of another length, a record without a name) is added in split BTF
on top of it. Files for other tools then know one notation of types only.

Why not keep drgn's types: a symbol table or DWARF refers to types by identity, which
BTF has (the id) and drgn does not tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import drgn
from drgn import Qualifiers, TypeKind

from btfdbg.btf import Btf, Builder, Kind, TypeId, kinds
from btfdbg.btf.format import IntEncoding
from btfdbg.errors import BtfError

_MAX_DEPTH = 64
_NAMED = {
    TypeKind.STRUCT: (Kind.STRUCT,),
    TypeKind.UNION: (Kind.UNION,),
    TypeKind.ENUM: (Kind.ENUM, Kind.ENUM64),
    TypeKind.TYPEDEF: (Kind.TYPEDEF,),
    TypeKind.INT: (Kind.INT,),
    TypeKind.BOOL: (Kind.INT,),
    TypeKind.FLOAT: (Kind.FLOAT,),
}
_QUALIFIERS = (
    (Qualifiers.CONST, Builder.add_const),
    (Qualifiers.VOLATILE, Builder.add_volatile),
    (Qualifiers.RESTRICT, Builder.add_restrict),
)


class TypeIds:
    """
    Ids of drgn types on top of a BTF.

    :param convert: gives the drgn type of an id of ``base``.
    :ivar builder: what was added.
    """

    def __init__(self, base: Btf, convert: Callable[[int], drgn.Type]) -> None:
        self.base = base
        self.builder = Builder(base)
        self._convert = convert
        # By identity: drgn types have no other; kept, so that none is reused.
        self._known: dict[int, tuple[drgn.Type, TypeId | None]] = {}
        self._made: dict[tuple[object, ...], TypeId] = {}
        self._same: dict[tuple[str, TypeKind], list[TypeId]] = {}

    def btf(self) -> Btf:
        """The base with all that was added so far; the base itself if nothing was."""
        return self.builder.to_btf() if len(self.builder) else self.base

    def id_of(self, type_: drgn.Type) -> TypeId | None:
        """
        Return the id of a type.

        :return: ``None`` if it names a type that the BTF lacks.
        """
        known = self._known.get(id(type_))
        if known is None:
            try:
                found: TypeId | None = self._find(type_, 0)
            except (BtfError, LookupError):
                found = None
            known = self._known[id(type_)] = (type_, found)
        return known[1]

    def _find(self, type_: drgn.Type, depth: int) -> TypeId:
        if depth > _MAX_DEPTH:
            raise LookupError("nested too deeply")
        plain = self._unqualified(type_, depth)
        for flag, add in _QUALIFIERS:
            if type_.qualifiers & flag:
                plain = self._once((flag, plain), lambda add=add, id_=plain: add(self.builder, id_))  # type: ignore[misc]
        return plain

    def _unqualified(self, type_: drgn.Type, depth: int) -> TypeId:
        kind = type_.kind
        if kind == TypeKind.VOID:
            return TypeId(0)
        if kind == TypeKind.POINTER:
            target = self._find(type_.type, depth + 1)
            return self._once((kind, target), lambda: self.builder.add_ptr(target))
        if kind == TypeKind.ARRAY:
            element = self._find(type_.type, depth + 1)
            length = type_.length or 0
            return self._once(
                (kind, element, length),
                lambda: self.builder.add_array(self._index_type(), element, length),
            )
        if kind == TypeKind.FUNCTION:
            return self._function(type_, depth)
        name = type_.name if kind in (TypeKind.INT, TypeKind.BOOL, TypeKind.FLOAT) else None
        name = name or getattr(type_, "name", None) or getattr(type_, "tag", None)
        if name:
            return self._named(type_, name)
        return self._anonymous(type_, depth)

    def _once(self, key: tuple[object, ...], make: Callable[[], TypeId]) -> TypeId:
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = make()
        return found

    def _index_type(self) -> TypeId:
        found = self.base.types_by_name("int", (Kind.INT,))
        if found:
            return found[0]
        return self._once(("int",), lambda: self.builder.add_int("int", 4, IntEncoding.SIGNED))

    def _named(self, type_: drgn.Type, name: str) -> TypeId:
        key = (name, type_.kind)
        ids = self._same.get(key)
        if ids is None:
            ids = self._same[key] = self._ids(type_, name)
        if len(ids) == 1:
            return ids[0]
        if not ids:
            return self._missing(type_, name)
        # Several types of one name: the one that looks the same.
        wanted = _look(type_)
        for id_ in ids:
            if _look(self._convert(id_)) == wanted:
                return id_
        raise LookupError(name)

    def _ids(self, type_: drgn.Type, name: str) -> list[TypeId]:
        found: Sequence[TypeId] = self.base.types_by_name(name, _NAMED[type_.kind])
        if not found and type_.kind == TypeKind.INT:
            found = self._ints.get(_words_of(name), ())
        return list(found)

    @cached_property
    def _ints(self) -> dict[tuple[str, ...], list[TypeId]]:
        """C's words of integers to their ids: ``long unsigned int`` is ``unsigned long``."""
        found: dict[tuple[str, ...], list[TypeId]] = {}
        for part in reversed(list(self.base.chain())):
            for id_, _ in part.own_of_kind(Kind.INT):
                found.setdefault(_words_of(part.name_of(id_)), []).append(TypeId(id_))
        return found

    def _missing(self, type_: drgn.Type, name: str) -> TypeId:
        if type_.kind == TypeKind.INT:
            encoding = IntEncoding.SIGNED if type_.is_signed else IntEncoding(0)
            size = type_.size
            return self._once((name,), lambda: self.builder.add_int(name, size, encoding))
        if type_.kind in (TypeKind.STRUCT, TypeKind.UNION):
            # Defined in a module only, or nowhere: a pointer to it still says its name.
            kind = Kind.STRUCT if type_.kind == TypeKind.STRUCT else Kind.UNION
            for id_ in self.base.types_by_name(name, (Kind.FWD,)):
                declared = self.base.type_by_id(id_)
                if isinstance(declared, kinds.Fwd) and declared.is_union == (kind == Kind.UNION):
                    return id_
            return self._once((kind, name), lambda: self.builder.add_fwd(name, kind))
        raise LookupError(name)

    def _function(self, type_: drgn.Type, depth: int) -> TypeId:
        result = self._find(type_.type, depth + 1)
        params = [kinds.Param("", self._find(p.type, depth + 1)) for p in type_.parameters]
        if type_.is_variadic:
            params.append(kinds.Param("", TypeId(0)))
        key = ("function", result, tuple(p.type for p in params), type_.is_variadic)
        return self._once(key, lambda: self.builder.add_func_proto(result, params))

    def _anonymous(self, type_: drgn.Type, depth: int) -> TypeId:
        if type_.kind == TypeKind.ENUM:
            values = [kinds.Enumerator(e.name, e.value) for e in type_.enumerators or ()]
            id_ = self.builder.add_enum("", drgn.sizeof(type_))
            for value in values:
                self.builder.add_enum_value(value.name, value.value)
            return id_
        if type_.kind not in (TypeKind.STRUCT, TypeKind.UNION):
            raise LookupError(str(type_))
        members = [
            kinds.Member(
                m.name or "",
                self._find(m.type, depth + 1),
                m.bit_offset,
                m.bit_field_size or 0,
            )
            for m in type_.members or ()
        ]
        struct = type_.kind == TypeKind.STRUCT
        add = self.builder.add_struct if struct else self.builder.add_union
        return add("", type_.size or 0, members)


def _words_of(name: str) -> tuple[str, ...]:
    return tuple(sorted(w for w in name.split() if w not in ("int", "signed")))


def _look(type_: drgn.Type) -> tuple[object, ...]:
    """What tells types of one name apart: size and the names and places of members."""
    if type_.kind == TypeKind.TYPEDEF:
        return ("typedef", type_.type.type_name())
    size = getattr(type_, "size", None)
    members = getattr(type_, "members", None) or ()
    values = getattr(type_, "enumerators", None) or () if type_.kind == TypeKind.ENUM else ()
    return (
        size,
        tuple((m.name, m.bit_offset) for m in members),
        tuple((v.name, v.value) for v in values),
    )
