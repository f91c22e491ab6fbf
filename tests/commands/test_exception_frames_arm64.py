"""Exception frames of arm64: where the kernel puts registers, and no others."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import drgn
import pytest
from drgn.helpers.linux.pid import for_each_task

import btfdbg
from btfdbg.commands.crash.exceptions import _print_registers, frames
from btfdbg.commands.crash.stack import Stack, stack_of
from btfdbg.program.session import Session

_SIZE = 16384
_START = 0xFFFF_8123_4560_0000
_END = _START + _SIZE
_EL1H, _FLAGS = 0x5, 0x8140_0000
_USER_PC, _USER_SP = 0x41_E5C0, 0xFFFF_F8EB_A730


@pytest.fixture
def arm(arm_core: Path) -> Session:
    return btfdbg.session(btfdbg.program_from_core_dump(arm_core))


class MadeUp:
    """A stack of zeros in which registers are put."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.data = bytearray(_SIZE)
        self.regs = session.prog.type("struct pt_regs")
        self.size = self.regs.size or 0
        self.text = session.prog.symbol("schedule").address + 8
        session.prog.add_memory_segment(_START, _SIZE, self._read)

    def _read(self, address: int, count: int, offset: int, physical: bool) -> bytes:
        return bytes(self.data[offset : offset + count])

    def word(self, address: int, value: int) -> None:
        self.data[address - _START : address - _START + 8] = value.to_bytes(8, "little")

    def put(self, place: int, *, pc: int, sp: int, pstate: int, x29: int = 0) -> None:
        for name, value in {"sp": sp, "pc": pc, "pstate": pstate, "regs[29]": x29}.items():
            self.word(place + int(drgn.offsetof(self.regs, name)), value)

    def record(self, place: int, x29: int, pc: int) -> None:
        at = place + int(drgn.offsetof(self.regs, "stackframe"))
        self.word(at, x29)
        self.word(at + 8, pc)

    def found(self) -> list[tuple[int, str]]:
        stack = Stack(_START, _SIZE)
        return [(place - _START, kind) for place, kind, _ in frames(self.session, stack)]


@pytest.fixture
def made(arm: Session) -> MadeUp:
    return MadeUp(arm)


def test_a_users_registers_are_at_the_end_of_the_stack_and_nowhere_else(made: MadeUp) -> None:
    top = _END - made.size
    made.put(top, pc=_USER_PC, sp=_USER_SP, pstate=0x8000_1000)
    # Left over below, on the words of the real one and further down.
    for below in (0x40, 0x80):
        made.put(top - below, pc=0x5D_FAF0, sp=0x5E_1000, pstate=0x40_2B00)
    assert made.found() == [(_SIZE - made.size, "USER-MODE")]


def test_a_users_registers_16_bytes_below_the_end_count_if_none_are_at_it(made: MadeUp) -> None:
    top = _END - made.size
    made.put(top - 16, pc=_USER_PC, sp=_USER_SP, pstate=0x8000_1000)
    assert made.found() == [(_SIZE - made.size - 16, "USER-MODE")]
    # One at the end is certain; its sp is the pstate of the other.
    sp = 0x4000_0000
    made.put(top - 16, pc=_USER_PC, sp=_USER_SP, pstate=sp)
    assert made.found() == [(_SIZE - made.size - 16, "USER-MODE")]
    made.put(top, pc=0x41_0000, sp=sp, pstate=0)
    assert made.found() == [(_SIZE - made.size, "USER-MODE")]


@pytest.mark.parametrize(
    "changed",
    [
        {"pstate": 1 << 4},  # of a 32-bit mode
        {"pstate": 1 << 5},
        {"pstate": 1 << 14},
        {"pstate": 1 << 19},
        {"pstate": 1 << 26},
        {"pstate": 1 << 27},
        {"pstate": 1 << 32},
        {"pstate": 1 << 7},  # interrupts masked in user mode
        {"pstate": 0x4},  # EL1t
        {"pc": _USER_PC + 2},
        {"sp": _USER_SP + 8},
        {"pc": 1 << 52},
        {"sp": _END - 64},
    ],
)
def test_what_no_user_can_have_is_no_users(made: MadeUp, changed: dict[str, int]) -> None:
    values = {"pc": _USER_PC, "sp": _USER_SP, "pstate": 0x8000_1000}
    made.put(_END - made.size, **values)
    assert made.found() == [(_SIZE - made.size, "USER-MODE")]
    made.put(_END - made.size, **{**values, **changed})
    assert made.found() == []


def test_the_kernels_registers_are_right_below_the_stack_they_interrupt(made: MadeUp) -> None:
    place, x29 = _START + 0x2000, _START + 0x2800
    sp = place + made.size
    made.put(place, pc=made.text, sp=sp, pstate=_FLAGS | _EL1H, x29=x29)
    expected = [(0x2000, "KERNEL-MODE")]
    made.record(place, x29, made.text)
    assert made.found() == expected
    made.record(place, 0, 0)
    assert made.found() == expected
    made.record(place, x29, made.text + 4)
    assert made.found() == []
    made.record(place, x29, made.text)
    for other in (sp + 16, sp - 16, 0xFFF0_0000_02F7_8000):
        made.put(place, pc=made.text, sp=other, pstate=_FLAGS | _EL1H, x29=x29)
        assert made.found() == []
    for pc in (_USER_PC, _START + 0x100, made.text + 2):
        made.put(place, pc=pc, sp=sp, pstate=_FLAGS | _EL1H, x29=x29)
        made.record(place, x29, pc)
        assert made.found() == []


def test_a_crash_saves_registers_above_its_own_stack_pointer(made: MadeUp) -> None:
    place = _START + 0x2000
    sp = place - 0x40
    made.put(place, pc=made.text, sp=sp, pstate=0x3C5, x29=sp)
    assert made.found() == [(0x2000, "KERNEL-MODE")]
    for x29 in (0, _START - 16, _END, sp - 16):
        made.put(place, pc=made.text, sp=sp, pstate=0x3C5, x29=x29)
        assert made.found() == []


def test_frames_of_a_dump_do_not_overlap_and_the_unwinders_are_among_them(arm: Session) -> None:
    prog = arm.prog
    size = prog.type("struct pt_regs").size or 0
    users = interrupted = 0
    for task in for_each_task(prog):
        try:
            stack = stack_of(prog, task)
            trace = prog.stack_trace(task)
        except (drgn.FaultError, LookupError, ValueError):
            continue
        found = {place: kind for place, kind, _ in frames(arm, stack)}
        places = sorted(found)
        assert all(low + size <= high for low, high in pairwise(places))
        for place, kind in found.items():
            assert (kind == "USER-MODE") == (place + size == stack.end)
            users += kind == "USER-MODE"
        for frame in list(trace)[1:]:
            if frame.interrupted and stack.holds(frame.sp):
                assert found[frame.sp - size] == "KERNEL-MODE"
                interrupted += 1
    assert users == 9
    assert interrupted


def test_the_registers_fit_a_terminal_of_80_columns(
    arm: Session, oops_core: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    amd64 = btfdbg.session(btfdbg.program_from_core_dump(oops_core))
    for session, rows in ((arm, 21), (amd64, 7)):
        regs = session.prog.type("struct pt_regs")
        names = [m.name for m in regs.members or () if m.name and m.name not in ("user_regs",)]
        values = dict.fromkeys(names, 1 << 63)
        if session is arm:
            values = {f"x{n}": n for n in range(31)} | values
            values.pop("stackframe", None)
        _print_registers(values)
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= 80
        assert len({line.index(": ") for line in lines}) == 1
        assert sum(line.count(": ") for line in lines) == len(values)
        assert abs(len(lines) - rows) <= 2
