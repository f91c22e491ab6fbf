"""arm64's frame records as .debug_frame, found in the code itself.

The kernel is compiled so that x29 leads to a record of the caller's x29 and return address
(``-fno-omit-frame-pointer``). Owns where in each function that is so: from the instruction
that stores the record to the one that loads it, and in a function that calls others without
storing one (assembly: entry from an exception leaves x29 at the record in ``pt_regs``). Else
the caller is in x30.

Where an exception came from user space nothing called, and a stack ends. The entry's code
shows it: it stores zeros as the record in ``pt_regs``. Since Linux kernel commit c2c6b27b5aa1
("arm64: stacktrace: unwind exception boundaries") (in v6.13) each entry does, and a number
behind the record says whether the stack ends or goes on with the registers in ``pt_regs``.

Addresses that were signed (pointer authentication) get their upper bits back.

Facts: Arm Architecture Reference Manual, C6.2 (STP, LDP, ADD, SUB, BL, RET); Arm's "DWARF for
the Arm 64-bit Architecture" (numbers of registers); Documentation/arch/arm64 and
arch/arm64/kernel/stacktrace.c (what a record is); ``NUMBER(KERNELPACMASK)`` of VMCOREINFO.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Container, Iterable

from btfdbg.handover.vmlinux.cfi import (
    ADVANCE4,
    DEF_CFA,
    OP_BREG0,
    OP_CONSTS,
    OP_DEREF,
    OP_PLUS,
    is_cfa,
    padded,
    same,
    saved,
    undefined,
    value,
)
from btfdbg.lazy_dataclass import dataclass
from btfdbg.leb128 import sleb_bytes, uleb_bytes

_FP, _LR, _SP = 29, 30, 31
_RECORD = 16
_WORD = 4
# Instructions with x29 and x30: store or load of the pair, by bits 22 to 31.
_PAIR = re.compile(rb"\xfd[\x7b\xfb].[\xa8\xa9]", re.DOTALL)
_STORE_PRE, _STORE, _LOAD_POST, _LOAD = 0x2A6, 0x2A4, 0x2A3, 0x2A5
_CALL = re.compile(
    rb"...[\x94-\x97]|[\x00\x20\x40\x60\x80\xa0\xc0\xe0][\x00-\x03]\x3f\xd6", re.DOTALL
)
_RET = frozenset((0xD65F03C0, 0xD65F0BFF, 0xD65F0FFF))  # RET, RETAA, RETAB
# How far from the store the record's address goes to x29, and from the load the function ends.
_NEAR = 8
_FAR = 12
_OP_CONST4U, _OP_CONST8U, _OP_DUP, _OP_DROP, _OP_OVER, _OP_SWAP = (
    0x0C, 0x0E, 0x12, 0x13, 0x14, 0x16,
)  # fmt: skip
_OP_AND, _OP_MINUS, _OP_NEG, _OP_OR, _OP_LIT0 = 0x1A, 0x1C, 0x1F, 0x21, 0x30
# STP xzr, xzr, [sp, #...]; ADD x29, sp, #...; STR Xt, [sp, #...]; MOVZ Xt, #...
_ZEROS, _TO_FP, _STR, _MOVZ = 0xA9007FFF, 0x910003FD, 0xF90003E0, 0xD2800000
_META_FINAL, _META_PT_REGS = 1, 2  # FRAME_META_TYPE_* of asm/stacktrace/frame.h
_OP_BRA, _OP_EQ, _OP_GE, _OP_LT, _OP_NE, _OP_SKIP = 0x28, 0x29, 0x2A, 0x2D, 0x2E, 0x2F


@dataclass(frozen=True, slots=True)
class Saved:
    """
    Where ``struct pt_regs`` has registers, in bytes behind the end of the record in it.

    All are in front of it, and so negative.
    """

    fp: int
    lr: int
    pc: int


class Records:
    """
    .debug_frame of arm64 code.

    :param text: The code.
    :param start: Its address in memory.
    :param shift: What to take off an address in memory to get the file's.
    :param mask: Bits of a signed address that are the signature's, 0 without.
    :param saved_by: Where an exception saves registers.
    :param ends: Addresses in memory of functions that nothing called.
    :param omits_ends: Leave out the functions where a stack ends. drgn shows a frame without a
        place where gdb ends, and follows the record to its end by itself.
    """

    def __init__(
        self,
        text: bytes,
        start: int,
        shift: int,
        mask: int,
        saved_by: Saved | None = None,
        ends: Container[int] = (),
        omits_ends: bool = False,
    ) -> None:
        self._text = text
        self._start = start
        self._shift = shift
        self._words = memoryview(text)[: len(text) // _WORD * _WORD]
        # 0 ends a stack and stays 0.
        self._unsigned = b""
        if mask:
            self._unsigned = (
                bytes((_OP_DUP, _OP_LIT0, _OP_NE, _OP_NEG, _OP_CONST8U))
                + struct.pack("<Q", mask)
                + bytes((_OP_AND, _OP_OR))
            )
        self._saved = saved_by
        self._ends = ends
        self._omits_ends = omits_ends
        in_register = value(_LR, bytes((OP_BREG0 + _LR, 0)) + self._unsigned)
        self._leaf = _cfa(_SP, 0) + same(_FP) + (in_register if mask else same(_LR))
        self._framed: dict[tuple[int, int], bytes] = {}
        self._pairs = [m.start() for m in _PAIR.finditer(text) if m.start() % _WORD == 0]
        self.count = 0

    def entries(self, functions: Iterable[tuple[int, int]]) -> bytes:
        """
        Return the functions' entries, which belong behind :func:`head`.

        :param functions: Address in memory and bytes of each, ascending, none overlapping.
        """
        out = []
        pairs, at = self._pairs, 0
        for start, size in functions:
            low = start - self._start
            high = low + size
            if low < 0 or high > len(self._text) or low % _WORD or size < _WORD:
                continue
            while at < len(pairs) and pairs[at] < low:
                at += 1
            first = at
            while at < len(pairs) and pairs[at] < high:
                at += 1
            body = self._function(low, high, pairs[first:at])
            if self._omits_ends and body == _ENDED:
                continue
            out.append(padded(struct.pack("<IQQ", 0, start - self._shift, size) + body))
            self.count += 1
        return b"".join(out)

    def _function(self, low: int, high: int, pairs: list[int]) -> bytes:
        if self._start + low in self._ends:
            return _ENDED
        if not pairs and not any(self._words[low:high]):
            # What ran while booting and was given back; what it called has its record.
            return self._rule(_FP, _RECORD)
        rows: list[tuple[int, bytes]] = []
        framed = b""
        for at in pairs:
            word = self._word(at)
            kind = word >> 22
            if kind in (_STORE_PRE, _STORE) and not framed:
                framed = self._enter(at, word, low, high, rows)
            elif kind in (_LOAD_POST, _LOAD) and framed:
                rows.append((at + _WORD, self._leaf))
                after = self._end(at + _WORD, high)
                if after < high:
                    rows.append((after, framed))
        if not framed:
            calls = any(m.start() % _WORD == 0 for m in _CALL.finditer(self._text, low, high))
            return self._entry(low, high) if calls else self._first(low, high)
        body, place = bytearray(self._first(low, high)), low
        for at, rule in rows:
            if at >= high:
                continue
            if at != place:
                delta = (at - place) // _WORD
                near = delta < 64
                body += bytes((0x40 | delta,)) if near else struct.pack("<BI", ADVANCE4, delta)
                place = at
            body += rule
        return bytes(body)

    def _entry(self, low: int, high: int) -> bytes:
        """The rule of a function that calls others without a record of its own."""
        kind = self._exception(low, high)
        if kind == _META_FINAL:
            return _ENDED
        if kind == _META_PT_REGS and self._saved is not None:
            found = _cfa(_FP, _RECORD) + saved(_FP, self._saved.fp)
            return found + saved(_LR, self._saved.pc)
        return self._rule(_FP, _RECORD)

    def _exception(self, low: int, high: int) -> int:
        """FRAME_META_TYPE of the record that an exception's entry makes; 0 if it makes none."""
        words = self._words[low:high].cast("I").tolist()
        zeros = -1
        for word in words:
            if word & 0xFFC07FFF == _ZEROS:
                zeros = (word >> 15 & 0x7F) * 8
            elif zeros >= 0 and word == _TO_FP | zeros << 10:
                break
        else:
            return 0
        kept = _STR | (zeros + _RECORD) // 8 << 10
        for at, word in enumerate(words):
            if word & 0xFFFFFFE0 != kept:
                continue
            for before in reversed(words[:at]):
                if before & 0x1F == word & 0x1F and before & 0x7F800000 == _MOVZ & 0x7F800000:
                    return before >> 5 & 0xFFFF
            return 0
        # Before v6.13 only what came from user space stores zeros.
        return _META_FINAL

    def _first(self, low: int, high: int) -> bytes:
        """
        The rule before a record is stored: the caller is in x30.

        Where an exception came, x30 is the place in this function that ``pt_regs`` says; that
        stands below the stack then, and x30 itself before it.
        """
        if self._saved is None:
            return self._leaf
        start = self._start + low - self._shift
        stored = bytes((OP_BREG0 + _SP,)) + sleb_bytes(self._saved.pc) + bytes((OP_DEREF,))
        inside = (
            bytes((_OP_DUP, _OP_CONST8U))
            + struct.pack("<Q", start)
            + bytes((_OP_MINUS, _OP_DUP, _OP_LIT0, _OP_GE, _OP_SWAP, _OP_CONST4U))
            + struct.pack("<I", high - low)
            + bytes((_OP_LT, _OP_AND))
        )
        same_place = bytes((_OP_OVER,)) + stored + bytes((_OP_EQ, _OP_AND))
        other = bytes((_OP_DROP, OP_BREG0 + _SP)) + sleb_bytes(self._saved.lr) + bytes((OP_DEREF,))
        choice = (
            bytes((OP_BREG0 + _LR, 0))
            + inside
            + same_place
            + struct.pack("<BhBh", _OP_BRA, 3, _OP_SKIP, len(other))
            + other
        )
        return _cfa(_SP, 0) + same(_FP) + value(_LR, choice + self._unsigned)

    def _enter(
        self, at: int, word: int, low: int, high: int, rows: list[tuple[int, bytes]]
    ) -> bytes:
        """Rows from the store of a record on; the rule once x29 leads to it."""
        offset = (word >> 15 & 0x7F) * 8
        if word >> 22 == _STORE_PRE:
            offset, size = 0, 0x400 - offset
        else:
            size = self._allocated(at, low) - offset
        if not _RECORD <= size <= 1 << 12:
            size = _RECORD
        if not offset:
            rows.append((at + _WORD, self._rule(_SP, size)))
        rule = self._rule(_FP, size)
        wanted = 0x910003FD | offset << 10  # ADD x29, sp, #offset
        for place in range(at + _WORD, min(at + _NEAR * _WORD, high), _WORD):
            if self._word(place) == wanted:
                rows.append((place + _WORD, rule))
                break
        else:
            rows.append((at + _WORD, rule))
        return rule

    def _allocated(self, at: int, low: int) -> int:
        """Bytes that SUB sp, sp, #... took before a store; 0 if none did."""
        for place in range(at - _WORD, max(low, at - _NEAR * _WORD) - 1, -_WORD):
            word = self._word(place)
            if word & 0xFFC003FF == 0xD10003FF:
                return word >> 10 & 0xFFF
        return 0

    def _end(self, at: int, high: int) -> int:
        """Behind the instruction that leaves the function after a load."""
        for place in range(at, min(at + _FAR * _WORD, high), _WORD):
            word = self._word(place)
            if word in _RET or word >> 26 == 0x05 or word & 0xFFFFFC1F == 0xD61F0000:
                return place + _WORD
        return at

    def _rule(self, register: int, size: int) -> bytes:
        """The record stands at a register, and the caller's stack ``size`` bytes above."""
        found = self._framed.get((register, size))
        if found is None:
            found = _cfa(register, size) + saved(_FP, -size)
            if self._unsigned:
                at = bytes((OP_CONSTS,)) + sleb_bytes(8 - size) + bytes((OP_PLUS, OP_DEREF))
                found += value(_LR, at + self._unsigned)
            else:
                found += saved(_LR, 8 - size)
            self._framed[register, size] = found
        return found

    def _word(self, at: int) -> int:
        (word,) = struct.unpack_from("<I", self._words, at)
        return int(word)


def _cfa(register: int, offset: int) -> bytes:
    return bytes((DEF_CFA, register)) + uleb_bytes(offset)


_ENDED = _cfa(_FP, _RECORD) + undefined(_LR)


def head() -> bytes:
    """What all entries of a section refer to, at its start."""
    # Version 4: no augmentation, 8-byte addresses, no segments; code in words.
    body = struct.pack("<IB", 0xFFFFFFFF, 4) + b"\0" + bytes((8, 0, _WORD)) + sleb_bytes(-8)
    return padded(body + bytes((_LR,)) + is_cfa(_SP))
