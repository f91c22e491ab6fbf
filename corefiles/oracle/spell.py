"""
One spelling for a type, whoever gave it: DWARF or BTF.

What BTF cannot say is left out of the spelling: the dimensions of an array
(``int [2][3]`` is ``int [6]`` there), the length of a flexible array (``[]`` is
``[0]``), parameter names.
"""

from __future__ import annotations

from typing import Any

import drgn

_KEYWORDS = {
    drgn.TypeKind.STRUCT: "struct",
    drgn.TypeKind.UNION: "union",
    drgn.TypeKind.CLASS: "struct",
    drgn.TypeKind.ENUM: "enum",
}
_QUALIFIERS = (
    (drgn.Qualifiers.CONST, "const "),
    (drgn.Qualifiers.VOLATILE, "volatile "),
    (drgn.Qualifiers.RESTRICT, "restrict "),
    (drgn.Qualifiers.ATOMIC, "_Atomic "),
)


def spell(type_: drgn.Type) -> str:
    """A type as its users see it; what has no name is spelled out."""
    return _qualified(type_, type_.qualifiers)


def _qualified(type_: drgn.Type, qualifiers: drgn.Qualifiers) -> str:
    if type_.kind == drgn.TypeKind.ARRAY:
        return _array(type_, qualifiers)
    return "".join(word for flag, word in _QUALIFIERS if qualifiers & flag) + _unqualified(type_)


def _array(type_: drgn.Type, qualifiers: drgn.Qualifiers) -> str:
    """An array is as const as its elements are (C11 6.7.3); gcc qualifies both in DWARF."""
    count = 1
    while type_.kind == drgn.TypeKind.ARRAY:
        count *= type_.length or 0
        type_ = type_.type
        qualifiers |= type_.qualifiers
    return f"[{count}]{_qualified(type_, qualifiers)}"


def _unqualified(type_: drgn.Type) -> str:
    kind = type_.kind
    if kind == drgn.TypeKind.VOID:
        return "void"
    if kind in (drgn.TypeKind.INT, drgn.TypeKind.BOOL, drgn.TypeKind.FLOAT):
        return str(type_.name)
    if kind == drgn.TypeKind.TYPEDEF:
        return str(type_.name)
    if kind in _KEYWORDS:
        if type_.tag is not None:
            return f"{_KEYWORDS[kind]} {type_.tag}"
        return f"{_KEYWORDS[kind]} {describe(type_)}"
    if kind == drgn.TypeKind.POINTER:
        return f"*{spell(type_.type)}"
    if kind == drgn.TypeKind.FUNCTION:
        parameters = [spell(p.type) for p in type_.parameters]
        if type_.is_variadic:
            parameters.append("...")
        return f"fn({', '.join(parameters)}) {spell(type_.type)}"
    raise ValueError(f"what is {type_!r}?")


def describe(type_: drgn.Type) -> list[Any]:
    """
    A type from inside: a value for JSON.

    Struct or union: size in bytes, then name, bit offset, bit-field size (0 for
    none) and type of each member. Enum: size, signedness, then name and value
    of each enumerator. Typedef: what it stands for.
    """
    kind = type_.kind
    if kind == drgn.TypeKind.TYPEDEF:
        return [spell(type_.type)]
    if not type_.is_complete():
        return ["incomplete"]
    if kind == drgn.TypeKind.ENUM:
        values = [[e.name, e.value] for e in type_.enumerators]
        return [type_.type.size, type_.type.is_signed, values]
    members = [[m.name, m.bit_offset, m.bit_field_size or 0, spell(m.type)] for m in type_.members]
    return [type_.size, members]
