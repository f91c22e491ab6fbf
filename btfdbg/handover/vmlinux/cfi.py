"""What call frame information is made of, whatever it is made from.

Owns the numbers of DW_CFA and DW_OP that several makers of .debug_frame use.

Facts: DWARF 4, sections 6.4.2 and 7.23.
"""

from __future__ import annotations

import struct

from btfdbg.leb128 import sleb_bytes, uleb_bytes

DATA_ALIGN = -8
ADVANCE4, DEF_CFA = 0x04, 0x0C
_OFFSET_EXTENDED_SF, _VAL_OFFSET_SF, _SAME_VALUE, _VAL_EXPRESSION = 0x11, 0x15, 0x08, 0x16
_UNDEFINED, _EXPRESSION = 0x07, 0x10
OP_BREG0, OP_DEREF, OP_CONSTS, OP_PLUS = 0x70, 0x06, 0x11, 0x22


def padded(body: bytes | bytearray) -> bytes:
    """An entry with its length, filled with DW_CFA_nop."""
    length = -(-(len(body) + 4) // 8) * 8 - 4
    return struct.pack("<I", length) + bytes(body).ljust(length, b"\0")


def saved(register: int, offset: int) -> bytes:
    """A register is saved at an offset from the CFA."""
    return bytes((_OFFSET_EXTENDED_SF, register)) + sleb_bytes(offset // DATA_ALIGN)


def is_cfa(register: int) -> bytes:
    """A register was what the CFA is."""
    return bytes((_VAL_OFFSET_SF, register, 0))


def same(register: int) -> bytes:
    """A register was not changed."""
    return bytes((_SAME_VALUE, register))


def undefined(register: int) -> bytes:
    """A register's value is lost; of the return address: nothing called this function."""
    return bytes((_UNDEFINED, register))


def value(register: int, expression: bytes) -> bytes:
    """A register was what an expression gives, which starts with the CFA on its stack."""
    return bytes((_VAL_EXPRESSION, register)) + uleb_bytes(len(expression)) + expression


def saved_at(register: int, expression: bytes) -> bytes:
    """A register is saved at the address that an expression gives."""
    return bytes((_EXPRESSION, register)) + uleb_bytes(len(expression)) + expression
