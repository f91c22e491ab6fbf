"""What a type has at an offset: members, elements, bit-fields.

Owns the way from bytes into a type to the names of what lies there. Must not know where a type
or an offset came from.
"""

from __future__ import annotations

import drgn
from drgn import TypeKind

from btfdbg.lazy_dataclass import dataclass

_BITS = 8
_WORD = 8
_MAX_DEPTH = 8
_AGGREGATES = (TypeKind.STRUCT, TypeKind.UNION, TypeKind.CLASS, TypeKind.ARRAY)


@dataclass(frozen=True, slots=True)
class Member:
    """
    What a struct has at an offset.

    :ivar path: ``f_path.dentry``; "" for the struct itself.
    :ivar type: None if several of a union fit.
    """

    path: str
    type: drgn.Type | None


def underlying(type_: drgn.Type) -> drgn.Type:
    """A type without its typedefs."""
    while type_.kind is TypeKind.TYPEDEF:
        type_ = type_.type
    return type_


def pointed_to(type_: drgn.Type | None) -> drgn.Type | None:
    """The type that a pointer points to; None if it is no pointer."""
    if type_ is None:
        return None
    pointer = underlying(type_)
    return pointer.type if pointer.kind is TypeKind.POINTER else None


def member_at(type_: drgn.Type, offset: int, size: int) -> Member | None:
    """
    What a type has at an offset.

    :param offset: Bytes.
    :param size: Bytes of the access: the innermost member that is at least as large is meant.
        0: the outermost member that starts there.
    :return: None if the type has nothing there, or is not complete.
    """
    found = _candidates(type_, offset, size, 0)
    if not found:
        return None
    first = found[0]
    if all(m.type is not None and m.type == first.type for m in found[1:]):
        return first
    return Member(first.path, None)


def members_at(type_: drgn.Type, offset: int, size: int) -> list[Member]:
    """
    All that a type has at an offset: several in a union, or as bit-fields.

    Bit-fields of which the access has but a part are among them; see :func:`member_at`.
    """
    return _candidates(type_, offset, size, 0, partly=True)


def enclosing(type_: drgn.Type, offset: int, size: int) -> str:
    """
    The path of the innermost struct, union or array in a type that an access lies in.

    :return: "" if that is the type itself, or there is more than one way.

    >>> enclosing(prog.type("struct list_head[4]"), 16, 16)
    '[1]'
    """
    path, real = "", underlying(type_)
    for _ in range(_MAX_DEPTH):
        inner: list[tuple[str, drgn.Type, int]] = []
        if real.kind is TypeKind.ARRAY:
            element = size_of(underlying(real.type))
            if not element or offset // element != (offset + size - 1) // element:
                break
            inner.append((f"[{offset // element}]", real.type, offset % element))
        elif real.kind in (TypeKind.STRUCT, TypeKind.UNION, TypeKind.CLASS):
            for member in real.members or ():
                start, bits = divmod(member.bit_offset, _BITS)
                length = None if member.bit_field_size is not None else size_of(member.type)
                if bits or length is None or not start <= offset < offset + size <= start + length:
                    continue
                inner.append((member.name or "", member.type, offset - start))
        if len(inner) != 1:
            break
        name, inside, rest = inner[0]
        if underlying(inside).kind not in _AGGREGATES:
            break
        path, real, offset = _joined(path, name), underlying(inside), rest
    return path


def _candidates(
    type_: drgn.Type, offset: int, size: int, depth: int, *, partly: bool = False
) -> list[Member]:
    real = underlying(type_)
    total = size_of(real)
    if offset < 0 or total is None or offset + max(size, 1) > total or depth > _MAX_DEPTH:
        return []
    if real.kind is TypeKind.ARRAY:
        return _elements(real, offset, size, depth, partly=partly)
    if real.kind not in (TypeKind.STRUCT, TypeKind.UNION, TypeKind.CLASS):
        return [Member("", type_)] if offset == 0 else []
    found: list[Member] = []
    for member in real.members:
        start, bits = divmod(member.bit_offset, _BITS)
        if member.bit_field_size is not None:
            last = member.bit_offset + member.bit_field_size
            begin, end = offset * _BITS, (offset + size) * _BITS
            inside = begin <= member.bit_offset and last <= end
            if partly:
                inside = begin < last and member.bit_offset < end
            if inside and size <= _WORD:
                found.append(Member(member.name or "", None))
            continue
        if bits or start > offset:
            continue
        if not size and start == offset and member.name:
            found.append(Member(member.name, member.type))
            continue
        for inner in _candidates(member.type, offset - start, size, depth + 1, partly=partly):
            found.append(Member(_joined(member.name, inner.path), inner.type))
    if not found and offset == 0 and size == total:
        found.append(Member("", type_))
    whole = [m for m in found if m.type is not None and size_of(underlying(m.type)) == size]
    return whole or found


def _elements(
    array: drgn.Type, offset: int, size: int, depth: int, *, partly: bool
) -> list[Member]:
    element = size_of(underlying(array.type))
    if not element:
        return []
    if not size and not offset:
        return [Member("", array)]
    index, rest = divmod(offset, element)
    return [
        Member(f"[{index}]{'.' if m.path and m.path[0] != '[' else ''}{m.path}", m.type)
        for m in _candidates(array.type, rest, size, depth + 1, partly=partly)
    ]


def _joined(name: str | None, path: str) -> str:
    if not name or not path:
        return name or path
    return f"{name}{'' if path.startswith('[') else '.'}{path}"


def size_of(type_: drgn.Type) -> int | None:
    """Bytes of a type; None for what has no size: incomplete, void, a function."""
    try:
        return int(drgn.sizeof(type_))
    except TypeError:
        return None
