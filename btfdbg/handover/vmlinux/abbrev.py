"""Shapes of DWARF entries: .debug_abbrev, and how long an entry of each shape is.

Owns DWARF's numbers. Every form used has a fixed length, so that where an entry will
stand is known before any is written, and entries can refer forward.

Facts: DWARF 4, sections 7.5.3 (abbreviations), 7.5.4 (attributes), 7.5.6 (forms).
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Tag:
    """``DW_TAG_*``: plain numbers, for they are hashed 300,000 times."""

    ARRAY_TYPE: Final = 0x01
    ENUMERATION_TYPE: Final = 0x04
    FORMAL_PARAMETER: Final = 0x05
    MEMBER: Final = 0x0D
    POINTER_TYPE: Final = 0x0F
    COMPILE_UNIT: Final = 0x11
    STRUCTURE_TYPE: Final = 0x13
    SUBROUTINE_TYPE: Final = 0x15
    TYPEDEF: Final = 0x16
    UNION_TYPE: Final = 0x17
    UNSPECIFIED_PARAMETERS: Final = 0x18
    SUBRANGE_TYPE: Final = 0x21
    BASE_TYPE: Final = 0x24
    CONST_TYPE: Final = 0x26
    ENUMERATOR: Final = 0x28
    SUBPROGRAM: Final = 0x2E
    VARIABLE: Final = 0x34
    VOLATILE_TYPE: Final = 0x35
    RESTRICT_TYPE: Final = 0x37
    UNSPECIFIED_TYPE: Final = 0x3B


class At:
    """``DW_AT_*``."""

    LOCATION: Final = 0x02
    NAME: Final = 0x03
    BYTE_SIZE: Final = 0x0B
    BIT_SIZE: Final = 0x0D
    LOW_PC: Final = 0x11
    HIGH_PC: Final = 0x12
    LANGUAGE: Final = 0x13
    CONST_VALUE: Final = 0x1C
    PRODUCER: Final = 0x25
    PROTOTYPED: Final = 0x27
    UPPER_BOUND: Final = 0x2F
    DATA_MEMBER_LOCATION: Final = 0x38
    DECLARATION: Final = 0x3C
    ENCODING: Final = 0x3E
    EXTERNAL: Final = 0x3F
    TYPE: Final = 0x49
    DATA_BIT_OFFSET: Final = 0x6B


class Form:
    """``DW_FORM_*`` of fixed length."""

    ADDR: Final = 0x01
    DATA4: Final = 0x06
    DATA8: Final = 0x07
    DATA1: Final = 0x0B
    STRP: Final = 0x0E
    DATA2: Final = 0x05
    REF4: Final = 0x13
    FLAG_PRESENT: Final = 0x19
    # An expression of one address: a length byte, DW_OP_addr and 8 bytes.
    EXPRLOC: Final = 0x18


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


class Encoding:
    """``DW_ATE_*``."""

    BOOLEAN: Final = 0x02
    FLOAT: Final = 0x04
    SIGNED: Final = 0x05
    SIGNED_CHAR: Final = 0x06
    UNSIGNED: Final = 0x07
    UNSIGNED_CHAR: Final = 0x08


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

    def get(self, tag: int, children: bool, *attributes: tuple[int, int]) -> Shape:
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
