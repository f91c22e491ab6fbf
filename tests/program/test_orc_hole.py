"""__crash_kexec() has no entry in the ORC tables: its code makes one, or there is none."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import drgn
import pytest

from btfdbg.kallsyms import Sym
from btfdbg.program import orc_hole
from btfdbg.program.orc_hole import fill, frame_of
from tests.program.support import Table, put

_CODE = 0xFFFFFFFF81000000
_IP = 0xFFFFFFFF82000000
_PLAIN = "53 31c0 4881ecb0000000 0f05 4881c4b0000000 5b c3 cc"


@pytest.mark.parametrize(
    ("code", "frame"),
    [
        (_PLAIN, (0xC0, 0)),
        # What is saved first is furthest from the frame, rbp by its name.
        ("55 53 4883ec10 90 4883c410 5b 5d c3", (0x28, -16)),
        ("4154 55 53 4883ec10 90 4883c410 5b 5d 415c c3", (0x30, -24)),
        # Returns by way of the thunk, two ends alike.
        ("53 4883ec10 90 4883c410 5b c3 90 4883c410 5b e900000000", (0x20, 0)),
        # Ends that differ, a beginning that does not agree, no end at all, a size that is none.
        ("53 4883ec10 90 4883c410 5b c3 90 4883c410 c3", None),
        ("53 4883ec18 90 4883c410 5b c3", None),
        ("4883ec10 53 90 4883c410 5b c3", None),
        ("53 4883ec10 90 5b c9 c3", None),
        ("53 4881ec00000001 90 4881c400000001 5b c3", None),
        ("", None),
    ],
)
def test_a_frame_is_what_both_ends_of_the_code_say(
    code: str, frame: tuple[int, int] | None
) -> None:
    assert frame_of(bytes.fromhex(code)) == frame


def _session(
    entry: tuple[int, int, int],
    code: str = _PLAIN,
    begins: int = -16,
    others: Sequence[Sym] = (),
    kind: int = 0x205,
) -> Any:
    """A kernel of three functions, the second is __crash_kexec; and others in its hole."""
    text = bytes.fromhex(code)
    behind = len(text)
    prog = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    put(prog, _CODE, text)
    starts = (_CODE - 64, _CODE + begins, _CODE + behind)
    ips = b"".join(struct.pack("<i", at - (_IP + 4 * i)) for i, at in enumerate(starts))
    orc = b"".join(struct.pack("<hhH", *e) for e in ((8, 0, kind), entry, (8, 0, kind)))
    put(prog, _IP, ips + orc)
    found = Sym("__crash_kexec", _CODE, len(text), "T")
    before = Sym("before", _CODE - 64, 64 - sum(sym.size for sym in others), "T")
    return SimpleNamespace(
        prog=prog,
        symbols=Table(before, *others, found),
        lookup_symbols=lambda name: [found] if name == "__crash_kexec" else [],
    )


def _read(session: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The entry as drgn reads it, which is first, and as anybody does after it."""
    fill(session, _IP, _IP + 12, _IP + 30)
    whole = session.prog.read(_IP, 30)
    return struct.unpack_from("<hhH", whole, 18), struct.unpack(
        "<hhH", session.prog.read(_IP + 18, 6)
    )


def test_the_missing_entry_is_drgns_alone() -> None:
    assert _read(_session((0, 0, 0))) == ((0xC0, 0, 0x205), (0, 0, 0))
    saved = _session((0, 0, 0), "55 53 4883ec10 90 4883c410 5b 5d c3 cc")
    assert _read(saved) == ((0x28, -16, 0x215), (0, 0, 0))


def test_registers_have_the_numbers_that_the_kernel_gives_them() -> None:
    """Of Debian's 7.2: 0x203 of nearly all functions, 0x283 behind their push of rbp."""
    assert _read(_session((0, 0, 0), kind=0x203))[0] == (0xC0, 0, 0x203)
    saved = "55 53 4883ec10 90 4883c410 5b 5d c3 cc"
    assert _read(_session((0, 0, 0), saved, kind=0x203))[0] == (0x28, -16, 0x283)
    # No function begins by a register that is not the stack pointer's.
    assert _read(_session((0, 0, 0), kind=0x204))[0] == (0, 0, 0)


def test_an_entry_that_is_there_stays() -> None:
    assert _read(_session((16, 0, 0x205))) == ((16, 0, 0x205),) * 2


def test_what_the_tables_or_the_code_leave_open_stays_so() -> None:
    for session in (
        _session((0, 0, 0), code="90 c3 cc cc"),
        # The function's end has an entry of its own, so the hole is a part of it only.
        _session((0, 0, 0), begins=8),
    ):
        assert _read(session) == ((0, 0, 0),) * 2


def test_the_padding_before_it_is_no_other_function() -> None:
    padding = Sym("__pfx___crash_kexec", _CODE - 16, 16, "T")
    assert _read(_session((0, 0, 0), others=[padding]))[0] == (0xC0, 0, 0x205)


def test_a_neighbour_that_has_no_entry_either_is_not_given_this_one() -> None:
    padding = Sym("__pfx___crash_kexec", _CODE - 8, 8, "T")
    for others in ([Sym("b", _CODE - 8, 8, "T")], [Sym("b", _CODE - 16, 8, "T"), padding]):
        assert _read(_session((0, 0, 0), others=others)) == ((0, 0, 0),) * 2


def test_tables_that_are_damaged_or_missing_raise_nothing() -> None:
    session = _session((0, 0, 0))
    for start, entries, end in (
        (_IP, _IP, _IP),
        (_IP, _IP + 12, _IP + 24),
        (_IP, _IP - 4, _IP + 30),
        (_IP + 4096, _IP + 4096 + 12, _IP + 4096 + 30),
    ):
        fill(session, start, entries, end)
    assert orc_hole._missing(session, _IP, _IP + 12, _IP + 30) is not None
