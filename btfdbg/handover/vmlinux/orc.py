"""ORC as .debug_frame, for debuggers that unwind by DWARF only.

Owns the translation of ORC's entries into rules. An entry depends on no other, so the rows
are cut into frames of some dozen each: a debugger runs through one to find a row.

Where ORC says nothing (hand-written assembly, ``STACK_FRAME_NON_STANDARD``), the frame
pointer is tried, as the kernel's own unwinder does.

Facts: arch/x86/include/asm/orc_types.h, arch/x86/kernel/unwind_orc.c; DWARF 4, 6.4.2.
Three layouts of the flag bits: Linux kernel commits ffb1b4a41016 ("x86/unwind/orc: Add
'signal' field to ORC metadata") (in v6.3) and fb799447ae29 ("x86,objtool: Split
UNWIND_HINT_EMPTY in two") (in v6.4); 1735858caa4b (in v7.1) numbered the registers anew.
Which one it is shows in the entries themselves.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from operator import add
from types import MappingProxyType

from btfdbg.handover.vmlinux.cfi import (
    ADVANCE4,
    DATA_ALIGN,
    DEF_CFA,
    OP_BREG0,
    OP_CONSTS,
    OP_DEREF,
    OP_PLUS,
    is_cfa,
    padded,
    same,
    saved,
    saved_at,
    undefined,
)
from btfdbg.lazy_dataclass import dataclass
from btfdbg.leb128 import sleb_bytes, uleb_bytes

ENTRY = 6
"""Bytes of ``struct orc_entry``."""

_ROWS = 48
_RSP, _RBP, _RA = 7, 6, 16
_BP = 4  # in every numbering
# struct pt_regs: DWARF's number of a register by its offset in bytes.
_PT_REGS = {
    0: 15, 8: 14, 16: 13, 24: 12, 32: 6, 40: 3, 48: 11, 56: 10, 64: 9, 72: 8, 80: 0, 88: 2,
    96: 1, 104: 4, 112: 5, 128: 16, 152: 7,
}  # fmt: skip
# User space of five levels of page tables; gdb takes a frame at 0 for one that the linker left.
_USER, _USER_END = 4096, 1 << 56
_IRET_RIP, _IRET_RSP = 0, 24

_DEF_CFA_SF, _DEF_CFA_EXPRESSION = 0x12, 0x0F
_OP_PLUS_UCONST = 0x23


@dataclass(frozen=True, slots=True)
class Registers:
    """
    How ``ORC_REG_*`` are numbered.

    :ivar sp: The stack pointer; ``prev_sp`` the caller's, ``sp_indirect`` and ``bp_indirect``
        what stands where those point to.
    :ivar dwarf: DWARF's numbers of those that are registers.
    """

    sp: int
    prev_sp: int
    sp_indirect: int
    bp_indirect: int
    dwarf: Mapping[int, int]


_SINCE_7_1 = Registers(
    3, 8, 9, 10, MappingProxyType({1: 0, 2: 1, 3: _RSP, 4: _RBP, 5: 5, 6: 10, 7: 13})
)
_BEFORE_7_1 = Registers(5, 1, 9, 8, MappingProxyType({2: 1, 3: 5, 4: _RBP, 5: _RSP, 6: 10, 7: 13}))


@dataclass(frozen=True, slots=True)
class Layout:
    """
    Where the flags of an entry stand, in bits of its last two bytes, and how registers are told.

    :ivar type_bits: Width of the type, which starts at bit 8.
    :ivar end_bit: The bit that ends a stack; -1: a type does.
    :ivar undefined: The type of a place that ORC does not know; -1: register 0 says so.
    :ivar call: The type of a call frame; those of registers follow it.
    """

    type_bits: int
    end_bit: int
    undefined: int
    call: int
    registers: Registers = _BEFORE_7_1


LAYOUTS = (
    Layout(3, -1, 0, 2, _SINCE_7_1),
    Layout(3, -1, 0, 2),  # v6.4: undefined 0, end of stack 1, call 2, regs 3, partial 4
    Layout(2, 11, -1, 0),  # v6.3: call 0, regs 1, partial 2; bit 10 is signal
    Layout(2, 10, -1, 0),  # before
)


def layout_of(entries: bytes) -> Layout | None:
    """
    Which layout the entries have.

    Nearly all places of a kernel are in ordinary functions, whose entry has the stack
    pointer's register and the type of a call. In the layout since v6.4 that type is 2, and
    before it 0. The register's number since v7.1 was rdi's, which no more than a few have.

    :return: ``None`` if neither is common.
    """
    types: dict[int, Counter[int]] = {_SINCE_7_1.sp: Counter(), _BEFORE_7_1.sp: Counter()}
    ends: Counter[int] = Counter()
    for flags, count in Counter(_halves(entries)[2::3]).items():
        if flags & 0xF in types:
            types[flags & 0xF][flags >> 8 & 7] += count
        ends[flags >> 8] += count
    sp = max(types, key=lambda register: sum(types[register].values()))
    total = sum(types[sp].values())
    if not total:
        return None
    if 2 * types[sp][2] > total:
        return LAYOUTS[0] if sp == _SINCE_7_1.sp else LAYOUTS[1]
    if 2 * types[sp][0] > total and sp == _BEFORE_7_1.sp:
        # With the signal bit, bit 10 is set together with registers; alone it ended a stack.
        signals = sum(n for high, n in ends.items() if high & 4 and high & 3)
        return LAYOUTS[2] if signals else LAYOUTS[3]
    return None


def _halves(entries: bytes) -> array[int]:
    """The 16-bit numbers of whole entries, which are x86's and so little-endian."""
    found = array("H", entries[: len(entries) // ENTRY * ENTRY])
    if sys.byteorder == "big":
        found.byteswap()
    return found


class _Rules(dict[bytes, bytes]):
    """What each entry says, found out when it is first met."""

    def __init__(self, translate: Callable[[bytes], bytes]) -> None:
        super().__init__()
        self._translate = translate

    def __missing__(self, entry: bytes) -> bytes:
        found = self[entry] = self._translate(entry)
        return found


class Frames:
    """
    .debug_frame of a kernel's ORC.

    :param layout: See :func:`layout_of`.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._rules = _Rules(self._translate)

    def rules(self, entry: bytes) -> bytes:
        """The instructions that say what an entry says."""
        return self._rules[entry]

    def _translate(self, entry: bytes) -> bytes:
        sp_offset, bp_offset, flags = struct.unpack("<hhH", entry)
        layout = self._layout
        sp_reg, bp_reg = flags & 0xF, flags >> 4 & 0xF
        kind = flags >> 8 & (1 << layout.type_bits) - 1
        if layout.end_bit >= 0 and flags >> layout.end_bit & 1:
            return _end()
        if layout.undefined < 0:
            unknown = sp_reg == 0
        else:
            unknown = kind == layout.undefined
            if kind == layout.undefined + 1:
                return _end()
        if unknown:
            return _frame_pointer()
        cfa = _cfa(layout.registers, sp_reg, sp_offset)
        if cfa is None:
            return _end()
        if kind == layout.call + 1:
            registers = b"".join(saved(reg, offset) for offset, reg in _PT_REGS.items())
            return cfa + registers
        if kind == layout.call + 2:
            return cfa + same(_RBP) + saved(_RA, _IRET_RIP) + saved(_RSP, _IRET_RSP)
        if kind != layout.call:
            return _end()
        if bp_reg == layout.registers.prev_sp:
            bp = saved(_RBP, bp_offset)
        elif bp_reg == _BP:
            # A function that aligns its stack and so has a copy of the return address.
            bp = saved_at(_RBP, bytes((OP_BREG0 + _RBP,)) + sleb_bytes(bp_offset))
        else:
            bp = same(_RBP)
        return cfa + bp + saved(_RA, -8) + is_cfa(_RSP)

    def section(self, starts: Sequence[int], entries: bytes, end: int) -> bytes:
        """Return .debug_frame of one table, and of user space; see :meth:`entries`."""
        return b"".join((head(), *self.entries(starts, entries, end)))

    def entries(self, starts: Sequence[int], entries: bytes, end: int) -> list[bytes]:
        """
        Return a table's part of .debug_frame, in pieces, which belongs behind :func:`head`.

        :param starts: Address of each row, ascending.
        :param entries: The rows.
        :param end: One past the last row's last address.
        """
        out = []
        count = min(len(starts), len(entries) // ENTRY)
        known = self._rules
        rules = [known[entries[at : at + ENTRY]] for at in range(0, ENTRY * count, ENTRY)]
        far = struct.Struct("<BI").pack
        # DW_CFA_advance_loc holds six bits.
        near = [bytes((0x40 | delta,)) for delta in range(64)]
        place_of = struct.Struct("<IQQ").pack
        for first in range(0, count, _ROWS):
            last = min(first + _ROWS, count)
            begin = starts[first]
            stop = starts[last] if last < count else max(end, starts[last - 1] + 1)
            body = [place_of(0, begin, stop - begin)]
            place, before = begin, b""
            for here, text in zip(starts[first:last], rules[first:last], strict=True):
                if text == before:
                    continue
                if here != place:
                    delta = here - place
                    body.append(near[delta] if delta < 64 else far(ADVANCE4, delta))
                    place = here
                body.append(text)
                before = text
            out.append(padded(b"".join(body)))
        return out


def rows(ips: bytes, table: int) -> array[int]:
    """
    Addresses of .orc_unwind_ip's entries: each is relative to its own place.

    :param table: Address of the section.
    """
    offsets = array("i", ips[: len(ips) // 4 * 4])
    places = range(table, table + 4 * len(offsets), 4)
    return array("Q", map(add, places, offsets))


def head() -> bytes:
    """What .debug_frame begins with: what all frames share, and user space's."""
    return _cie() + _user_space()


def _cie() -> bytes:
    # Version 4: no augmentation, 8-byte addresses, no segments.
    body = struct.pack("<IB", 0xFFFFFFFF, 4) + b"\0" + bytes((8, 0, 1)) + sleb_bytes(DATA_ALIGN)
    return padded(body + bytes((_RA,)))


def _user_space() -> bytes:
    """
    Where a kernel's stack ends in a program, whose own frames nobody knows.

    Without it gdb takes the program's function for one that saved the frame pointer, and
    reports a corrupt stack.
    """
    size = _USER_END - _USER
    rule = bytes((DEF_CFA, _RSP, 0)) + undefined(_RA)
    return padded(struct.pack("<IQQ", 0, _USER, size) + rule)


def _cfa(registers: Registers, register: int, offset: int) -> bytes | None:
    if register in (registers.sp_indirect, registers.bp_indirect):
        # *(sp) + offset, or *(bp + offset), as unwind_next_frame() has them.
        if register == registers.sp_indirect:
            text = bytes((OP_BREG0 + _RSP, 0, OP_DEREF)) + _plus(offset)
        else:
            text = bytes((OP_BREG0 + _RBP,)) + sleb_bytes(offset) + bytes((OP_DEREF,))
        return bytes((_DEF_CFA_EXPRESSION, len(text))) + text
    number = registers.dwarf.get(register)
    if number is None:
        return None
    if offset >= 0:
        return bytes((DEF_CFA, number)) + uleb_bytes(offset)
    if offset % 8 == 0:
        return bytes((_DEF_CFA_SF, number)) + sleb_bytes(offset // DATA_ALIGN)
    text = bytes((OP_BREG0 + number,)) + sleb_bytes(offset)
    return bytes((_DEF_CFA_EXPRESSION, len(text))) + text


def _plus(offset: int) -> bytes:
    if offset >= 0:
        return bytes((_OP_PLUS_UCONST,)) + uleb_bytes(offset)
    return bytes((OP_CONSTS,)) + sleb_bytes(offset) + bytes((OP_PLUS,))


def _end() -> bytes:
    return undefined(_RA)


def _frame_pointer() -> bytes:
    cfa = bytes((DEF_CFA, _RBP)) + uleb_bytes(16)
    return cfa + saved(_RBP, -16) + saved(_RA, -8) + is_cfa(_RSP)
