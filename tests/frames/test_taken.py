"""Functions whose address somebody has: what is found in data, and in code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btfdbg.frames.disasm import open_disassembler
from btfdbg.frames.taken import in_data, in_text

TEXT = 0xFFFF_FFFF_8100_0000
FUNCTION = TEXT + 0x1230
END = TEXT + 0x10000


def absolute(address: int = FUNCTION) -> bytes:
    return (address & 0xFFFF_FFFF).to_bytes(4, "little")


def relative(before: int, address: int = FUNCTION) -> bytes:
    """From the end of an instruction whose first so many bytes come before the number."""
    return (address - (TEXT + before + 4)).to_bytes(4, "little", signed=True)


def found(code: bytes) -> set[int]:
    def read(address: int, size: int) -> bytes | None:
        assert address >= TEXT
        part = code[address - TEXT : address - TEXT + size]
        return part if len(part) == size else None

    return in_text(read, [(TEXT, TEXT + len(code))], TEXT, END)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (b"\x48\x8d\x3d" + relative(3), "lea rdi, [rip"),
        (b"\x4c\x8d\x05" + relative(3), "lea r8, [rip"),
        (b"\x48\x8d\x2d" + relative(3), "lea rbp, [rip"),
        (b"\x48\xc7\xc7" + absolute(), "mov rdi, "),
        (b"\x49\xc7\xc0" + absolute(), "mov r8, "),
        (b"\x48\xc7\x03" + absolute(), "mov qword ptr [rbx], "),
        (b"\x48\xc7\x43\x18" + absolute(), "mov qword ptr [rbx + 0x18], "),
        (b"\x49\xc7\x45\x18" + absolute(), "mov qword ptr [r13 + 0x18], "),
        (b"\x48\xc7\x44\x24\x08" + absolute(), "mov qword ptr [rsp + 8], "),
        (b"\x48\xc7\x04\x24" + absolute(), "mov qword ptr [rsp], "),
        (b"\x48\xc7\x05\x00\x01\x00\x00" + absolute(), "mov qword ptr [rip + 0x100], "),
        (b"\x48\xc7\x83\x00\x01\x00\x00" + absolute(), "mov qword ptr [rbx + 0x100], "),
        (b"\x48\xc7\x84\x24\x00\x01\x00\x00" + absolute(), "mov qword ptr [rsp + 0x100], "),
    ],
)
@pytest.mark.parametrize("before", [0, 1, 4095])
def test_an_instruction_that_makes_an_address(code: bytes, said: str, before: int) -> None:
    pytest.importorskip("capstone")
    (insn,) = open_disassembler("x86_64")(code, TEXT)
    assert f"{insn[2]} {insn[3]}".startswith(said)
    if "rip" in said and said.startswith("lea"):
        code = code[:3] + relative(before + 3)
    assert found(b"\x90" * before + code + b"\xc3") == {FUNCTION}


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(b"\xe8" + relative(1), id="call"),
        pytest.param(b"\xe9" + relative(1), id="jmp"),
        pytest.param(b"\x0f\x84" + relative(2), id="je"),
        pytest.param(b"\x48\x8b\x3d" + relative(3), id="mov rdi, [rip + n]"),
        pytest.param(b"\x48\x8d\x3d" + relative(3, END), id="an address behind the range"),
    ],
)
def test_what_only_goes_there_has_no_address(code: bytes) -> None:
    assert found(code + b"\xc3" * 8) == set()


def test_words_of_the_data_and_pages_that_are_missing() -> None:
    words = {0x2000: FUNCTION, 0x3008: FUNCTION + 1, 0x4000: FUNCTION + 2, 0x5000: END}

    def read(address: int, size: int) -> bytes | None:
        if address <= 0x3000 < address + size or size > 0x4000:
            return None  # one page is not in the dump
        whole = range(address, address + size, 8)
        return b"".join(words.get(at, 0).to_bytes(8, "little") for at in whole)

    assert in_data(read, [(0x1000, 0x6000)], TEXT, END) == {FUNCTION, FUNCTION + 2}


@given(st.binary(max_size=200))
def test_any_bytes_end(code: bytes) -> None:
    assert all(TEXT <= address < END for address in found(code))
