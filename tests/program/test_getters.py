"""Variables that small functions read: how code is read, and what is believed of it."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

import drgn
import pytest

from btfdbg.program import getters, log_records
from tests.program.support import put

_FUNCTION, _DATA = 0xFFFF800010000F00, 0xFFFF800010345678
_LINE = b"console=ttyS0 quiet"


def made(arch: drgn.Architecture, code: bytes, memory: dict[int, bytes] | None = None) -> Any:
    """A session of a kernel with one function and some data."""
    prog = drgn.Program(drgn.Platform(arch))
    for address, data in {_FUNCTION: code, **(memory or {})}.items():
        put(prog, address, data)
    function = SimpleNamespace(address=_FUNCTION, size=len(code))
    return SimpleNamespace(lookup_symbols=lambda name: [function], prog=prog)


def arm64(*words: int) -> bytes:
    return struct.pack(f"<{len(words)}I", *words)


def adrp(to: int, at: int, target: int) -> int:
    pages = (target >> 12) - (at >> 12) & 0x1FFFFF
    return 0x90000000 | (pages & 3) << 29 | pages >> 2 << 5 | to


def ldr(to: int, base: int, offset: int) -> int:
    return 0xF9400000 | offset // 8 << 10 | base << 5 | to


def rip(opcode: bytes, at: int, target: int) -> bytes:
    return opcode + struct.pack("<i", target - (at + len(opcode) + 4))


BTI, NOP, RET = 0xD503245F, 0xD503201F, 0xD65F03C0
ARM64 = arm64(BTI, NOP, adrp(0, _FUNCTION + 8, _DATA), ldr(0, 0, _DATA & 0xFF8), RET)
ADD = arm64(
    adrp(3, _FUNCTION, _DATA), 0x91000000 | (_DATA & 0xFFF) << 10 | 3 << 5 | 3, ldr(0, 3, 0), RET
)
NOP5, CALL = b"\x0f\x1f\x44\0\0", b"\xe8\1\2\3\4"
ENDBR, SEALED = b"\xf3\x0f\x1e\xfa", b"\x66\x0f\x1f\0"
MOV = b"\x48\x8b\x05"


@pytest.mark.parametrize("code", [ARM64, ADD])
def test_arm64_reads_by_page_and_offset(code: bytes) -> None:
    session = made(drgn.Architecture.AARCH64, code)
    assert getters._reads(session, "get_taint", first=True) == [_DATA]


@pytest.mark.parametrize("entry", [b"", ENDBR, SEALED, ENDBR + NOP5, SEALED + CALL, NOP5])
def test_x86_64_reads_at_a_distance(entry: bytes) -> None:
    code = entry + rip(MOV, _FUNCTION + len(entry), _DATA) + b"\xc3"
    session = made(drgn.Architecture.X86_64, code)
    assert getters._reads(session, "get_taint", first=True) == [_DATA]


def test_x86_64_reads_at_a_number() -> None:
    session = made(drgn.Architecture.X86_64, b"\x48\x8b\x04\x25\x00\x10\x00\x82\xc3")
    assert getters._reads(session, "get_taint", first=True) == [0xFFFFFFFF82001000]


@pytest.mark.parametrize(
    ("arch", "code"),
    [
        (drgn.Architecture.X86_64, b"\x90" + rip(MOV, _FUNCTION + 1, _DATA)),
        (drgn.Architecture.X86_64, b""),
        (drgn.Architecture.AARCH64, arm64(ldr(0, 0, 8), RET)),
        (drgn.Architecture.PPC64, ARM64),
    ],
)
def test_what_begins_otherwise_reads_nothing_that_is_known(
    arch: drgn.Architecture, code: bytes
) -> None:
    assert getters._reads(made(arch, code), "get_taint", first=True) == []


@pytest.mark.parametrize(("value", "found"), [(0x1201, _DATA), (1 << 40, None)])
def test_a_mask_of_taints_has_their_bits_only(value: int, found: int | None) -> None:
    memory = {_DATA: value.to_bytes(8, "little")}
    session = made(drgn.Architecture.AARCH64, ARM64, memory)
    assert getters.tainted_mask(session) == found


@pytest.mark.parametrize(
    ("logged", "found"),
    [
        (b"Kernel command line: " + _LINE, _DATA),
        (b"Kernel command line: another", None),
        (b"Linux version", None),
    ],
)
def test_a_command_line_is_the_one_that_was_logged(
    logged: bytes, found: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = 0xFFFF000001000000
    memory = {_DATA: text.to_bytes(8, "little"), text: _LINE + b"\0"}
    session = made(drgn.Architecture.AARCH64, ARM64, memory)
    monkeypatch.setattr(log_records, "log_records", lambda prog: iter([(0, 0, logged)]))
    assert getters.saved_command_line(session) == found
