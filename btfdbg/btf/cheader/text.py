"""Types as short C text, for people: members with their offsets, signatures.

Owns what the comparing and looking verbs share: a type in one line, and a struct as a
flat list of its members, anonymous ones entered. Syntax is ``cdecl``'s; nothing here
has to compile, so equal names stay equal.
"""

from __future__ import annotations

from btfdbg.btf.btf import Btf
from btfdbg.btf.cheader.c_layout import Types, WorkBudget
from btfdbg.btf.cheader.columns import Columns
from btfdbg.btf.cheader.declarations import Declarator
from btfdbg.btf.layouts import (
    ARRAY,
    CONST,
    MAX_CHAIN,
    RESTRICT,
    STRUCT,
    TYPE_TAG,
    TYPEDEF,
    UNION,
    VOLATILE,
)
from btfdbg.errors import BtfFormatError
from btfdbg.lazy_dataclass import dataclass

_THROUGH = frozenset({CONST, VOLATILE, RESTRICT, TYPE_TAG, TYPEDEF})
_MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Field:
    """
    A member, seen from the outermost type.

    :ivar name: Its name; members of named members are not listed.
    :ivar bit_offset: Bits from the start of the outermost type.
    :ivar bits: Width of a bit-field, else 0.
    :ivar size: Bytes of its type.
    :ivar text: Its type.
    """

    name: str
    bit_offset: int
    bits: int
    size: int
    text: str
    type_id: int


class Texts(Declarator):
    """Types of one BTF as text."""

    def __init__(self, btf: Btf) -> None:
        super().__init__(Types(Columns(btf)), ms_extensions=True)

    def _numbered(self, counts: dict[str, int], name: str) -> str:
        return name

    def type(self, type_id: int, name: str = "") -> str:
        """Return a declaration, on one line; what C cannot say becomes its kind and id."""
        if type_id >= self.types.count:
            return f"<type {type_id}>"  # of a VAR or tag; what C types refer to exists
        try:
            return " ".join(self.declare(type_id, name, 0).split())
        except BtfFormatError:
            return f"<type {type_id}>"

    def fields(self, type_id: int) -> list[Field]:
        """Return the members of a STRUCT or UNION."""
        out: list[Field] = []
        self._fields(type_id, 0, 0, out, WorkBudget(20_000 + len(self.types.record[type_id])))
        return out

    def _fields(
        self, type_id: int, base: int, depth: int, out: list[Field], steps: WorkBudget
    ) -> None:
        types = self.types
        record = types.record[type_id]
        kflag = record[1] > 0x7FFFFFFF
        for name_off, member, offset in zip(record[3::3], record[4::3], record[5::3], strict=True):
            steps.take(type_id)
            bits = 0
            if kflag:
                bits, offset = offset >> 24, offset & 0xFFFFFF
            name = self.names[name_off]
            inner = self.composite_of(member)
            if not name and inner and not bits and depth < _MAX_DEPTH:
                self._fields(inner, base + offset, depth + 1, out, steps)
            else:
                size = types.size_of(member)
                text = self.type(member)
                out.append(Field(name, base + offset, bits, size, text, member))

    def placed(self, type_id: int) -> int:
        """Return the anonymous STRUCT or UNION that a declaration defines in place, else 0."""
        types = self.types
        at = type_id
        for _ in range(MAX_CHAIN):
            kind = types.kind[at]
            if kind in (STRUCT, UNION):
                return 0 if types.record[at][0] else at
            if kind == ARRAY:
                at = types.record[at][3]
            elif kind in _THROUGH and kind != TYPEDEF:
                at = types.record[at][2]
            else:
                break
        return 0

    def around(self, type_id: int, name: str) -> str:
        """Return what follows the definition in a declaration of that kind: ``} name[4]``."""
        types = self.types
        at = type_id
        right = ""
        for _ in range(MAX_CHAIN):
            if types.kind[at] == ARRAY:
                right += f"[{types.record[at][5]}]"
                at = types.record[at][3]
            elif types.kind[at] in _THROUGH:
                at = types.record[at][2]
            else:
                break
        return f"}} {name}{right}" if name else "}" + right

    def composite_of(self, type_id: int) -> int:
        """Return the STRUCT or UNION below qualifiers and typedefs, 0 if it is none."""
        types = self.types
        at = type_id
        for _ in range(MAX_CHAIN):
            if types.kind[at] in (STRUCT, UNION):
                return at
            if types.kind[at] not in _THROUGH:
                break
            at = types.record[at][2]
        return 0
