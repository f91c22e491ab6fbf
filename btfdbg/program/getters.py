"""Where variables are, by functions that do little else than read them.

A kernel without data symbols names its functions: ``get_taint()`` returns ``tainted_mask``,
and what it reads is that. Owns the few such functions, and the reading of their code; nothing
of it is run. Each address is believed where the function reads a single variable, and where
what stands there bears it out.

Facts: ``kernel/panic.c`` (get_taint), ``kernel/time/timekeeping.c`` (ktime_get_real_seconds()
returns ``tk_core.timekeeper.xtime_sec``; tk_core begins with its seqcount, at a cache line),
``fs/proc/cmdline.c`` (cmdline_proc_show() shows ``saved_command_line``), ``init/main.c`` (logs
it); Intel SDM volume 2 (MOV r64, r/m64); Arm ARM C6.2 (ADRP, ADD, LDR).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from drgn import Architecture, FaultError

from btfdbg.arch import CACHE_LINE
from btfdbg.btf.enumerators import find_enumerators
from btfdbg.lazy_pattern import pattern

if TYPE_CHECKING:
    from btfdbg.program.session import Session

_MAX_CODE = 256
_MAX_LINE = 1 << 14
_TAINTS = 32
_M64 = (1 << 64) - 1
# mov r64, [rip + disp32] and mov r64, [disp32]; what stands before them in so small functions.
# endbr64 may have become a nop of as many bytes.
_X86_ENTRY = (
    rb"(?:\xf3\x0f\x1e\xfa|\x66\x0f\x1f\0|\x0f\x1f\x40.)?"
    rb"(?:\x0f\x1f\x44\0\0|\x66\x66\x66\x66\x90|\xe8....)?"
)
_X86_MOV = (
    rb"\x48\x8b(?:([\x05\x0d\x15\x1d\x25\x2d\x35\x3d])|[\x04\x0c\x14\x1c\x2c\x34\x3c]\x25)(....)"
)
_X86_FIRST = pattern(rb"(?s)" + _X86_ENTRY + rb"(?:\x55\x48\x89\xe5)?" + _X86_MOV)
_X86_ANY = pattern(rb"(?s)" + _X86_MOV)
_COMMAND_LINE = b"Kernel command line: "


def _code(session: Session, function: str) -> tuple[int, bytes]:
    found = session.lookup_symbols(function)
    if len(found) != 1 or not found[0].size:
        return 0, b""
    address = found[0].address
    return address, session.prog.read(address, min(found[0].size, _MAX_CODE))


def _reads(session: Session, function: str, *, first: bool) -> list[int]:
    """
    Addresses of the words of 8 bytes that a function reads by name.

    :param first: Of x86-64 only the one that it begins with, as code of any other place may
        be something else than it seems.
    """
    address, code = _code(session, function)
    platform = session.prog.platform
    arch = None if platform is None else platform.arch
    if arch is Architecture.X86_64:
        match = _X86_FIRST.match(code)
        matches = ([match] if match else []) if first else list(_X86_ANY.finditer(code))
        return [_x86_target(address, m.end(), m[1], m[2]) for m in matches]
    return list(_aarch64(address, code)) if arch is Architecture.AARCH64 else []


def _x86_target(address: int, end: int, relative: bytes | None, number: bytes) -> int:
    distance = int.from_bytes(number, "little", signed=True)
    return (address + end if relative else 0) + distance & _M64


def _aarch64(address: int, code: bytes) -> Iterator[int]:
    known: dict[int, int] = {}
    for at in range(0, len(code) - 3, 4):
        word = int.from_bytes(code[at : at + 4], "little")
        to, base = word & 31, word >> 5 & 31
        if word & 0x9F00_0000 == 0x9000_0000:  # adrp
            pages = (word >> 5 & 0x7FFFF) << 2 | word >> 29 & 3
            pages -= pages >> 20 << 21
            known[to] = (address + at & -4096) + (pages << 12) & _M64
        elif word & 0xFFC0_0000 == 0x9100_0000 and base in known:  # add, 64 bits
            known[to] = known[base] + (word >> 10 & 0xFFF)
        elif word & 0xFFC0_0000 == 0xF940_0000 and base in known:  # ldr, 64 bits
            yield known[base] + (word >> 10 & 0xFFF) * 8
            known.pop(to, None)


def read_first(session: Session, function: str) -> int | None:
    """The one word of 8 bytes that a function begins with reading, or ``None``."""
    return _only(_reads(session, function, first=True))


def _only(found: list[int]) -> int | None:
    return found[0] if len(set(found)) == 1 else None


def tainted_mask(session: Session) -> int | None:
    """The word that ``get_taint()`` returns, if it has bits of taints only."""
    found = read_first(session, "get_taint")
    if found is None or session.prog.read_u64(found) >> _TAINTS:
        return None
    return found


def tk_core(session: Session) -> int | None:
    """By the second that ``ktime_get_real_seconds()`` returns, which stands in it."""
    if find_enumerators(session.vmlinux, "TIMEKEEPER_CORE"):
        return None  # commit 22c62b9a84b8, in v6.17
    # The seqcount comes first, and the next word is the timekeeper's.
    return _before_seconds(session, 8 + session.vmlinux.offset_of("timekeeper", "xtime_sec") // 8)


def timekeeper_data(session: Session) -> int | None:
    """An array since v6.17, whose first element was ``tk_core``."""
    values = {v.value for v in find_enumerators(session.vmlinux, "TIMEKEEPER_CORE")}
    if values != {0}:
        return None
    within = session.vmlinux.offset_of("tk_data", "timekeeper.xtime_sec") // 8
    return _before_seconds(session, within)


def _before_seconds(session: Session, within: int) -> int | None:
    found = read_first(session, "ktime_get_real_seconds")
    if found is None or (found - within) % CACHE_LINE:
        return None
    return found - within


def saved_command_line(session: Session) -> int | None:
    """What ``cmdline_proc_show()`` reads, if it points at the line that the kernel logged."""
    from btfdbg.program.log_records import log_records

    logged = ""
    for _, _, text in log_records(session.prog):
        if text.startswith(_COMMAND_LINE):
            logged = text[len(_COMMAND_LINE) :].decode("ascii", "replace").strip()
            break
    if not logged:
        return None
    fitting = []
    for place in set(_reads(session, "cmdline_proc_show", first=False)):
        try:
            line = session.prog.read_c_string(session.prog.read_u64(place), max_size=_MAX_LINE)
        except (FaultError, ValueError, OverflowError):
            continue
        if line.decode("ascii", "replace").strip() == logged:
            fitting.append(place)
    return _only(fitting)


RULES: dict[str, Callable[[Session], int | None]] = {
    "saved_command_line": saved_command_line,
    "tainted_mask": tainted_mask,
    "timekeeper_data": timekeeper_data,
    "tk_core": tk_core,
}
"""Addresses of variables."""
