"""Shapes of DWARF entries: .debug_abbrev, and how long an entry of each shape is.

Owns DWARF's numbers. Every form used has a fixed length, so that where an entry will
stand is known before any is written, and entries can refer forward.

Facts: DWARF 4, sections 7.5.3 (abbreviations), 7.5.4 (attributes), 7.5.6 (forms).
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Tag(IntEnum):
    """``DW_TAG_*``."""

    ARRAY_TYPE = 0x01
    ENUMERATION_TYPE = 0x04
    FORMAL_PARAMETER = 0x05
    MEMBER = 0x0D
    POINTER_TYPE = 0x0F
    COMPILE_UNIT = 0x11
    STRUCTURE_TYPE = 0x13
    SUBROUTINE_TYPE = 0x15
    TYPEDEF = 0x16
    UNION_TYPE = 0x17
    UNSPECIFIED_PARAMETERS = 0x18
    SUBRANGE_TYPE = 0x21
    BASE_TYPE = 0x24
    CONST_TYPE = 0x26
    ENUMERATOR = 0x28
    SUBPROGRAM = 0x2E
    VARIABLE = 0x34
    VOLATILE_TYPE = 0x35
    RESTRICT_TYPE = 0x37
    UNSPECIFIED_TYPE = 0x3B


class At(IntEnum):
    """``DW_AT_*``."""

    LOCATION = 0x02
    NAME = 0x03
    BYTE_SIZE = 0x0B
    BIT_SIZE = 0x0D
    LOW_PC = 0x11
    HIGH_PC = 0x12
    LANGUAGE = 0x13
    CONST_VALUE = 0x1C
    PRODUCER = 0x25
    PROTOTYPED = 0x27
    UPPER_BOUND = 0x2F
    DATA_MEMBER_LOCATION = 0x38
    DECLARATION = 0x3C
    ENCODING = 0x3E
    EXTERNAL = 0x3F
    TYPE = 0x49
    DATA_BIT_OFFSET = 0x6B


class Form(IntEnum):
    """``DW_FORM_*`` of fixed length."""

    ADDR = 0x01
    DATA4 = 0x06
    DATA8 = 0x07
    DATA1 = 0x0B
    STRP = 0x0E
    DATA2 = 0x05
    REF4 = 0x13
    FLAG_PRESENT = 0x19
    # An expression of one address: a length byte, DW_OP_addr and 8 bytes.
    EXPRLOC = 0x18


_CODES = {
    Form.ADDR: "Q",
    Form.DATA1: "B",
    Form.DATA2: "H",
    Form.DATA4: "I",
    Form.DATA8: "Q",
    Form.STRP: "I",
    Form.REF4: "I",
    Form.FLAG_PRESENT: "",
    Form.EXPRLOC: "BBQ",
}
_SIZES = {"B": 1, "H": 2, "I": 4, "Q": 8}
OP_ADDR = 0x03
ADDRESS_EXPRESSION = 9
"""Bytes of DW_OP_addr with its address."""
LANG_C99 = 0x0C


class Encoding(IntEnum):
    """``DW_ATE_*``."""

    BOOLEAN = 0x02
    FLOAT = 0x04
    SIGNED = 0x05
    SIGNED_CHAR = 0x06
    UNSIGNED = 0x07
    UNSIGNED_CHAR = 0x08


class Shape(NamedTuple):
    """
    One abbreviation.

    :ivar code: Its number, the entry's first byte.
    :ivar layout: Of the entry as :mod:`struct` writes it, the code included.
    :ivar size: Bytes of an entry.
    """

    code: int
    layout: str
    size: int


class Shapes:
    """The abbreviations of one unit."""

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], Shape] = {}
        self._out = bytearray()

    def get(self, tag: Tag, children: bool, *attributes: tuple[At, Form]) -> Shape:
        """The shape of entries with these attributes, in this order."""
        key = (tag, children, attributes)
        found = self._made.get(key)
        if found is None:
            code = len(self._made) + 1
            assert code < 0x80  # one byte of ULEB128
            layout = "B" + "".join(_CODES[form] for _, form in attributes)
            found = self._made[key] = Shape(code, layout, sum(_SIZES[c] for c in layout))
            self._out += bytes((code, tag, children))
            for at, form in attributes:
                self._out += bytes((at, form))
            self._out += b"\0\0"
        return found

    def section(self) -> bytes:
        """.debug_abbrev."""
        return bytes(self._out) + b"\0"
