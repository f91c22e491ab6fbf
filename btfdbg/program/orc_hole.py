"""The way out of ``__crash_kexec()``, for which x86-64 kernels keep no ORC entry.

The kernel takes the registers of a CPU that calls ``panic()`` inside that function, so every
kdump of a panic that no exception led to begins there. The unwinder, without an entry, goes on
by the frame pointer: that ended well as long as ``panic()`` kept one, and ends at once in kernels
whose ``vpanic()`` does not.

Owns the entry that is missing, made from the function's own code: what its end takes off the
stack has to be what its beginning put there. Code that shows neither, an entry that is there, or
another function that lacks one next to it, changes nothing. drgn is given it as it reads the
tables; who reads that memory afterwards gets what the dump holds.

Facts: STACK_FRAME_NON_STANDARD(__crash_kexec) in ``kernel/kexec_core.c`` (``crash_core.c`` since
v6.9), crash_setup_regs() in ``arch/x86/include/asm/kexec.h``; ``arch/x86/include/asm/orc_types.h``
(struct orc_entry: two offsets, then four bits each of the registers that they count from,
ORC_REG_SP and ORC_REG_PREV_SP here; an undefined entry is zero).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import drgn

from btfdbg.lazy_pattern import pattern

if TYPE_CHECKING:
    from btfdbg.program.session import Session

_FUNCTION = "__crash_kexec"
_MAX_CODE = 1 << 12
_MAX_FRAME = 1 << 12
_MAX_SYMBOLS = 8
# Names of what lies before a function and is not run: padding, and what kCFI compares.
_NO_CODE = ("__pfx_", "__cfi_")
_ENTRY = struct.Struct("<hhH")
_IP = struct.Struct("<i")
_UNDEFINED = (0, 0, 0)
# ORC_REG_PREV_SP by ORC_REG_SP, which a function's first entry counts from.
_REG_PREV_SP = {
    3: 8,  # since 1735858caa4b, v7.1
    5: 1,
}
_POP_RBP = b"\x5d"
# add rsp, imm32 or imm8; pops; ret, or the jump to the return thunk.
_END = pattern(
    rb"(?s)\x48(?:\x81\xc4(?P<long>....)|\x83\xc4(?P<short>[\x08-\x78]))"
    rb"(?P<pops>(?:[\x5b\x5d]|\x41[\x5c-\x5f])*)(?:\xc3|\xe9....)"
)
_POP = pattern(rb"\x41?[\x5b-\x5f]")


def fill(session: Session, start: int, entries: int, end: int) -> None:
    """
    Give drgn the entry as it reads the tables, where it is missing and the code shows it.

    :param start: Where the addresses begin; they end where the entries begin.
    :param end: Where the entries end.
    """
    try:
        found = _missing(session, start, entries, end)
    except drgn.FaultError:
        return  # the code or the tables are not in the dump
    if found is None:
        return
    at, entry = found
    prog = session.prog
    original = prog.read(at, _ENTRY.size)
    given = [entry]

    def read(address: int, count: int, offset: int, physical: bool) -> bytes:
        data = given.pop() if given else original
        return data[offset : offset + count]

    prog.add_memory_segment(at, _ENTRY.size, read)


def _missing(session: Session, start: int, entries: int, end: int) -> tuple[int, bytes] | None:
    """Where an entry has nothing to say of the function, and what it should say."""
    symbols = session.lookup_symbols(_FUNCTION)
    if len(symbols) != 1 or not 0 < symbols[0].size <= _MAX_CODE:
        return None
    address, size = symbols[0].address, symbols[0].size
    count = (entries - start) // _IP.size
    if count <= 0 or end - entries != count * _ENTRY.size:
        return None
    prog = session.prog

    def begins(number: int) -> int:
        at = start + number * _IP.size
        return at + int(_IP.unpack(prog.read(at, _IP.size))[0])

    low, high = 0, count  # the first that begins behind the function's first byte
    while low < high:
        middle = (low + high) // 2
        if begins(middle) <= address:
            low = middle + 1
        else:
            high = middle
    if not 0 < low < count or begins(low) < address + size:
        return None
    if not _is_alone(session, begins(low - 1), begins(low)):
        return None
    at = entries + (low - 1) * _ENTRY.size
    undefined, behind = (
        _ENTRY.unpack(prog.read(at + number * _ENTRY.size, _ENTRY.size)) for number in (0, 1)
    )
    # The next function's first entry: nothing but a return address is on the stack.
    previous = _REG_PREV_SP.get(behind[2] & 0xFF)
    if undefined != _UNDEFINED or behind[:2] != (8, 0) or previous is None:
        return None
    frame = frame_of(prog.read(address, size))
    if frame is None:
        return None
    distance, saved = frame
    kind = behind[2] | (previous << 4 if saved else 0)
    return at, _ENTRY.pack(distance, saved, kind)


def _is_alone(session: Session, start: int, end: int) -> bool:
    """Whether nothing else begins where an entry holds: another function has another frame."""
    table = session.symbols
    for _ in range(_MAX_SYMBOLS):
        sym = None if table is None else table.by_address(end - 1)
        if sym is None:
            return False  # the symbols do not say
        if sym.address < start:
            return True
        if sym.name != _FUNCTION and not sym.name.startswith(_NO_CODE):
            return False
        end = sym.address
    return False


def frame_of(code: bytes) -> tuple[int, int] | None:
    """
    Tell a function's frame by its end, if its beginning agrees and all its ends are alike.

    :return: Bytes from the stack pointer to the caller's, and from there to where ``rbp``
        was saved (negative; 0 if it was not); ``None`` if the code does not show it.

    >>> frame_of(bytes.fromhex("53 4881ecb0000000 90 4881c4b0000000 5b c3"))
    (192, 0)
    """
    found = set()
    for match in _END.finditer(code):
        if match["long"] is not None:
            size, taken = int.from_bytes(match["long"], "little"), b"\x48\x81\xec" + match["long"]
        else:
            size, taken = match["short"][0], b"\x48\x83\xec" + match["short"]
        pops = _POP.findall(match["pops"])
        if not 0 < size <= _MAX_FRAME or size % 8:
            continue
        begin = code[: match.start()]
        # pop's opcodes are push's plus 8.
        pushes = [pop[:-1] + bytes((pop[-1] - 8,)) for pop in reversed(pops)]
        place = 0
        for push in (*pushes, taken):
            place = begin.find(push, place) + len(push)
            if place < len(push):
                return None
        saved = 0
        if _POP_RBP in pops:
            saved = -16 - 8 * (len(pops) - 1 - pops.index(_POP_RBP))
        found.add((size + 8 * len(pops) + 8, saved))
    return found.pop() if len(found) == 1 else None
