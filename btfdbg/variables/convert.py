"""Declarations to drgn types, and drgn types to declarations.

Owns the two directions between :mod:`.cdecl` trees and :class:`drgn.Type`, and C's
layout rules for anonymous records. Named types come from ``prog.type``: whether a
name exists is the registered type finders' answer, never a guess made here.

A declaration that names a type which this program does not have raises
:class:`LookupError`: the caller drops the candidate.

Facts: drgn 0.3 API reference, "Types"; C11 6.7.2.1 (layout is the ABI's: every
member at the next multiple of its alignment).
"""

from __future__ import annotations

from collections.abc import Callable

import drgn
from drgn import Object, Program, Qualifiers, Type, TypeEnumerator, TypeKind, TypeMember

from btfdbg.cdecl import (
    Array,
    CDeclError,
    CType,
    Enumeration,
    Function,
    Member,
    Named,
    Pointer,
    Qualified,
    Record,
    parse_type,
    qualified,
)

_QUALIFIERS = {
    "const": Qualifiers.CONST,
    "volatile": Qualifiers.VOLATILE,
    "restrict": Qualifiers.RESTRICT,
    "_Atomic": Qualifiers.ATOMIC,
}
_MAX_DEPTH = 64
_MAX_MEMBERS = 4096


class TypeBuilder:
    """
    Build drgn types from declarations, for one program.

    Every text is built once: drgn never frees a type that it has made.

    :param find_type: finds a named type, ``prog.type`` by default.
    """

    def __init__(self, prog: Program, find_type: Callable[[str], Type] | None = None) -> None:
        self._prog = prog
        self._find_type = find_type or prog.type
        self._by_text: dict[str, Type | None] = {}
        self._by_tree: dict[CType, Type] = {}

    def from_text(self, text: str) -> Type | None:
        """Return the type, or None if the text names a type that this program lacks."""
        try:
            return self._by_text[text]
        except KeyError:
            pass
        try:
            built: Type | None = self.build(parse_type(text))
        except (LookupError, CDeclError):
            built = None
        self._by_text[text] = built
        return built

    def build(self, type_: CType) -> Type:
        """
        :raises LookupError: a named type is missing.
        :raises CDeclError: the tree has no drgn equivalent (an array of void, say).
        """
        try:
            return self._by_tree[type_]
        except KeyError:
            pass
        try:
            built = self._build(type_)
        except (ValueError, TypeError, OverflowError) as e:
            raise CDeclError(f"cannot be built: {e}") from e
        self._by_tree[type_] = built
        return built

    def _build(self, type_: CType) -> Type:
        prog = self._prog
        if isinstance(type_, Named):
            if not type_.tag and type_.name == "void":
                return prog.void_type()
            if type_.name in ("__int128", "unsigned __int128"):
                # drgn's own parser does not know the words of these types.
                return prog.int_type(type_.name, 16, type_.name == "__int128")
            return self._find_type(f"{type_.tag} {type_.name}" if type_.tag else type_.name)
        if isinstance(type_, Pointer):
            return prog.pointer_type(self.build(type_.target))
        if isinstance(type_, Array):
            element = self.build(type_.element)
            if type_.length is None:
                return prog.array_type(element)
            return prog.array_type(element, type_.length)
        if isinstance(type_, Qualified):
            flags = Qualifiers(0)
            for name in type_.qualifiers:
                flags |= _QUALIFIERS[name]
            return self.build(type_.type).qualified(flags)
        if isinstance(type_, Function):
            parameters = [drgn.TypeParameter(self.build(p)) for p in type_.parameters]
            return prog.function_type(self.build(type_.result), parameters, type_.variadic)
        if isinstance(type_, Enumeration):
            values = [TypeEnumerator(name, value) for name, value in type_.values]
            signed = any(value < 0 for _, value in type_.values)
            return prog.enum_type(None, prog.type("int" if signed else "unsigned int"), values)
        return self._record(type_)

    def _record(self, record: Record) -> Type:
        members: list[TypeMember] = []
        layout = Layout(record.tag)
        for member in record.members:
            type_ = self.build(member.type)
            bit_offset = layout.place(type_, member.bit_size)
            if member.bit_offset is not None:
                bit_offset = layout.move(member.bit_offset, type_, member.bit_size)
            members.append(self._member(type_, member, bit_offset))
        size = layout.size() if record.size is None else record.size
        if size < layout.end():
            raise CDeclError(f"record of {size} bytes has members up to byte {layout.end()}")
        if record.tag == "union":
            return self._prog.union_type(None, size, members)
        return self._prog.struct_type(None, size, members)

    def _member(self, type_: Type, member: Member, bit_offset: int) -> TypeMember:
        name = member.name or None
        if member.bit_size is None:
            return TypeMember(type_, name, bit_offset)
        # drgn takes the width of a bit-field from an object only.
        prog, width = self._prog, member.bit_size
        return TypeMember(Object(prog, type_, 0, bit_field_size=width), name, bit_offset)


class Layout:
    """C's layout rules for one record; all offsets in bits, sizes in bytes."""

    def __init__(self, tag: str) -> None:
        self._union = tag == "union"
        self._next = 0
        self._end = 0
        self._align = 1

    def place(self, type_: Type, bit_size: int | None) -> int:
        """Add a member at the offset that the rules give, and return that offset."""
        align = _alignment(type_)
        start = 0 if self._union else self._next
        if bit_size is None:
            start = _round_up(start, align * 8)
        else:
            unit = drgn.sizeof(type_) * 8
            if bit_size == 0 or start // unit != (start + bit_size - 1) // unit:
                start = _round_up(start, unit)
        self._align = max(self._align, align)
        return self._occupy(start, type_, bit_size)

    def move(self, bit_offset: int, type_: Type, bit_size: int | None) -> int:
        """Put the member just placed at a stated offset instead."""
        return self._occupy(bit_offset, type_, bit_size)

    def _occupy(self, start: int, type_: Type, bit_size: int | None) -> int:
        width = bit_size if bit_size is not None else _complete_size(type_) * 8
        self._next = start + width
        self._end = max(self._end, self._next)
        return start

    def end(self) -> int:
        """Bytes up to the last member's end."""
        return -(-self._end // 8)

    def size(self) -> int:
        """Bytes of the whole record, its tail padding included."""
        return _round_up(self.end(), self._align)


def _round_up(value: int, to: int) -> int:
    return -(-value // to) * to


def _alignment(type_: Type, depth: int = 0) -> int:
    """
    Alignment in bytes; a flexible array has its element's.

    :raises CDeclError: the type is incomplete.
    """
    while type_.unaliased_kind() == TypeKind.ARRAY:
        type_ = type_.unaliased().type
    try:
        return int(drgn.alignof(type_))
    except TypeError as e:
        # drgn knows none of a record that ends in a flexible array.
        record = type_.unaliased()
        if record.kind not in (TypeKind.STRUCT, TypeKind.UNION) or not record.members:
            raise CDeclError(str(e)) from e
        if depth > _MAX_DEPTH:
            raise CDeclError(f"type nested deeper than {_MAX_DEPTH}") from e
        return max(_alignment(member.type, depth + 1) for member in record.members)


def _complete_size(type_: Type) -> int:
    """Size in bytes; a flexible array has none."""
    if type_.unaliased_kind() == TypeKind.ARRAY and not type_.is_complete():
        return 0
    return int(drgn.sizeof(type_))


def describe(type_: Type, depth: int = 0) -> CType:
    """
    Return the declaration tree of a drgn type; bodies of anonymous types included.

    :raises CDeclError: the type cannot be written (nested too deep, too many members).
    """
    if depth > _MAX_DEPTH:
        raise CDeclError(f"type nested deeper than {_MAX_DEPTH}")
    depth += 1
    result = _describe_unqualified(type_, depth)
    flags = type_.qualifiers
    return qualified(result, *(name for name, flag in _QUALIFIERS.items() if flags & flag))


def tree_of(type_: Type) -> CType | None:
    """As :func:`describe`; ``None`` for a type that cannot be written."""
    try:
        return describe(type_)
    except CDeclError:
        return None


def _describe_unqualified(type_: Type, depth: int) -> CType:
    kind = type_.kind
    if kind == TypeKind.VOID:
        return Named("", "void")
    if kind == TypeKind.POINTER:
        return Pointer(describe(type_.type, depth))
    if kind == TypeKind.ARRAY:
        return Array(describe(type_.type, depth), type_.length)
    if kind == TypeKind.FUNCTION:
        parameters = tuple(describe(p.type, depth) for p in type_.parameters)
        return Function(describe(type_.type, depth), parameters, type_.is_variadic)
    if kind in (TypeKind.STRUCT, TypeKind.UNION, TypeKind.ENUM):
        tag = kind.name.lower()
        if type_.tag is not None:
            return Named(tag, type_.tag)
        if kind == TypeKind.ENUM:
            values = type_.enumerators or ()
            if len(values) > _MAX_MEMBERS:
                raise CDeclError(f"enum of {len(values)} values")
            return Enumeration(tuple((value.name, value.value) for value in values))
        return _describe_record(type_, tag, depth)
    if kind == TypeKind.CLASS:
        raise CDeclError("a C++ class")
    return Named("", type_.name)


def _describe_record(type_: Type, tag: str, depth: int) -> CType:
    if len(type_.members or ()) > _MAX_MEMBERS:
        raise CDeclError(f"{tag} of {len(type_.members or ())} members")
    layout = Layout(tag)
    members = []
    for member in type_.members or ():
        bit_size = member.bit_field_size
        expected = layout.place(member.type, bit_size)
        stated = None
        if expected != member.bit_offset:
            stated = layout.move(member.bit_offset, member.type, bit_size)
        members.append(Member(describe(member.type, depth), member.name or "", bit_size, stated))
    size = None if type_.size == layout.size() else type_.size
    return Record(tag, tuple(members), size)
