"""C types as values, and their qualifiers.

Facts: C11 6.2.5 (types), 6.7.3 (type qualifiers).
"""

from __future__ import annotations

from typing import TypeAlias

from btfdbg.lazy_dataclass import dataclass, replace

QUALIFIERS = ("const", "volatile", "restrict", "_Atomic")
TAGS = frozenset(("struct", "union", "enum"))
MAX_DEPTH = 64


class CDeclError(ValueError):
    """The text is not a C type as this notation knows it."""


@dataclass(frozen=True, slots=True)
class Named:
    """
    A type with a name.

    :ivar tag: ``"struct"``, ``"union"``, ``"enum"``, or ``""`` for a typedef or basic type.
    """

    tag: str
    name: str


@dataclass(frozen=True, slots=True)
class Pointer:
    target: CType


@dataclass(frozen=True, slots=True)
class Array:
    """:ivar length: elements; None for ``[]``."""

    element: CType
    length: int | None


@dataclass(frozen=True, slots=True)
class Function:
    result: CType
    parameters: tuple[CType, ...]
    variadic: bool


@dataclass(frozen=True, slots=True)
class Qualified:
    """:ivar qualifiers: in the order of :data:`QUALIFIERS`, never empty."""

    qualifiers: tuple[str, ...]
    type: CType


@dataclass(frozen=True, slots=True)
class Member:
    """
    :ivar name: empty for an anonymous member.
    :ivar bit_size: width of a bit-field, else None.
    :ivar bit_offset: from the start of the record; None where C's layout rules give it.
    """

    type: CType
    name: str
    bit_size: int | None = None
    bit_offset: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """
    An anonymous struct or union with its members.

    :ivar size: bytes; None where C's layout rules give it.
    """

    tag: str
    members: tuple[Member, ...]
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Enumeration:
    """An anonymous enum with its enumerators."""

    values: tuple[tuple[str, int], ...]


CType: TypeAlias = Named | Pointer | Array | Function | Qualified | Record | Enumeration

VOID = Named("", "void")


def qualified(type_: CType, *qualifiers: str) -> CType:
    """Return ``type_`` with the qualifiers added; qualifying an array qualifies its element."""
    if not qualifiers:
        return type_
    if isinstance(type_, Array):
        return replace(type_, element=qualified(type_.element, *qualifiers))
    have: tuple[str, ...] = ()
    if isinstance(type_, Qualified):
        have, type_ = type_.qualifiers, type_.type
    wanted = {*have, *qualifiers}
    return Qualified(tuple(q for q in QUALIFIERS if q in wanted), type_)


def unqualified(type_: CType, *qualifiers: str) -> CType:
    """Return ``type_`` without these top-level qualifiers; an array's are its element's."""
    if isinstance(type_, Array):
        return replace(type_, element=unqualified(type_.element, *qualifiers))
    if not isinstance(type_, Qualified):
        return type_
    left = tuple(q for q in type_.qualifiers if q not in qualifiers)
    return Qualified(left, type_.type) if left else type_.type


def is_const(type_: CType) -> bool:
    """Whether an object of this type is itself read-only (an array: its elements)."""
    while isinstance(type_, Array):
        type_ = type_.element
    return isinstance(type_, Qualified) and "const" in type_.qualifiers
