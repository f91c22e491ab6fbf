"""C declarations as values: parser, printer, and the small tree between them.

``expression`` has C's expressions the same way.

Owns the notation in which the variable database writes types: C's own abstract
declarators (``const char * const [9]``, ``int (*[3])(struct foo *, ...)``), with
anonymous ``struct``/``union``/``enum`` bodies in full. Knows no drgn, no BTF and
no kernel: whether a name exists and how large it is, is somebody else's question.

One extension: a member whose offset does not follow from C's layout rules is
written ``type name @ 24;`` (bytes; bits after a dot: ``@ 24.3``), and a record
whose size does not follow starts with it: ``struct [64] { ... }`` (bytes).

Facts: C11 6.7.6 (declarators) and 6.7.7 (type names).
"""

from __future__ import annotations

from btfdbg.cdecl.read import parse_declaration, parse_type
from btfdbg.cdecl.tree import (
    QUALIFIERS,
    VOID,
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
    is_const,
    qualified,
    unqualified,
)
from btfdbg.cdecl.write import format_declaration, format_type

__all__ = [
    "QUALIFIERS",
    "VOID",
    "Array",
    "CDeclError",
    "CType",
    "Enumeration",
    "Function",
    "Member",
    "Named",
    "Pointer",
    "Qualified",
    "Record",
    "format_declaration",
    "format_type",
    "is_const",
    "parse_declaration",
    "parse_type",
    "qualified",
    "unqualified",
]
