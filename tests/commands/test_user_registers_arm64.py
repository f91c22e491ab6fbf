"""The registers at the end of arm64's ``bt``: user space's, of every task that came from there."""

from __future__ import annotations

import re
from pathlib import Path

import drgn
import pytest
from drgn.helpers.linux.pid import find_task, for_each_task

import btfdbg
from btfdbg.commands.globals import all_globals
from btfdbg.commands.namespace import run
from btfdbg.program.session import Session
from btfdbg.program.user_registers import around_record, at_top, is_user_space
from tests.conftest import bundled_dumps

_FRAME = re.compile(r"#\d+ \[[0-9a-f?]+\] (\S+) at")


@pytest.fixture(scope="module")
def arm() -> Session:
    path: Path = next(path for path, entry in bundled_dumps() if entry["arch"] == "arm64")
    return btfdbg.session(btfdbg.program_from_core_dump(path))


@pytest.fixture
def stacks(arm: Session, capsys: pytest.CaptureFixture[str]) -> dict[int, list[str]]:
    """pid to the lines of its stack, without those of idle tasks."""
    assert run(arm, "foreach bt", all_globals(arm.prog))
    found: dict[int, list[str]] = {}
    lines: list[str] = []
    for line in capsys.readouterr().out.splitlines():
        if line.startswith("PID:"):
            lines = []
            found[int(line.split()[1])] = lines
        lines.append(line)
    return found


def _ends_with_registers(lines: list[str]) -> bool:
    return any(line.startswith("    ORIG_X0: ") for line in lines)


def test_tasks_that_came_from_user_space_and_no_others_have_its_registers(
    stacks: dict[int, list[str]],
) -> None:
    came = 0
    for pid, lines in stacks.items():
        names = [m.group(1) for line in lines if (m := _FRAME.match(line.strip()))]
        from_user = any(name.startswith("el0t_") for name in names)
        assert _ends_with_registers(lines) == from_user, (pid, lines)
        came += from_user
    assert came > 2
    assert not _ends_with_registers(stacks[0])


def test_they_are_those_at_the_top_of_the_tasks_stack(
    arm: Session, stacks: dict[int, list[str]]
) -> None:
    prog = arm.prog
    type_, size = prog.type("struct pt_regs"), int(prog["THREAD_SIZE"])
    for pid, lines in stacks.items():
        if not _ends_with_registers(lines):
            continue
        at = next(i for i, line in enumerate(lines) if line.startswith("     PC: ") and
                  not int(line.split()[1], 16) >> 56)  # fmt: skip
        shown = dict(re.findall(r"(\w+): +([0-9a-f]+)", "\n".join(lines[at:])))
        top = int(find_task(prog, pid).stack) + size
        regs = at_top(prog, "aarch64", type_, top)
        assert regs is not None
        assert int(shown["PC"], 16) == int(regs.pc)
        assert int(shown["SP"], 16) == int(regs.sp)
        assert int(shown["PSTATE"], 16) == int(regs.pstate)
        assert int(shown["ORIG_X0"], 16) == int(regs.orig_x0)
        assert int(shown["SYSCALLNO"], 16) == int(regs.syscallno) & 0xFFFFFFFF
        for number in range(30):
            assert int(shown[f"X{number}"], 16) == int(regs.regs[number])
        assert int(shown["LR"], 16) == int(regs.regs[30])


def test_registers_of_zeros_are_nobodys(arm: Session) -> None:
    zeros = drgn.Object(arm.prog, arm.prog.type("struct pt_regs"), {})
    assert not is_user_space("aarch64", zeros)
    at_user = drgn.Object(arm.prog, arm.prog.type("struct pt_regs"), {"pc": 0x400000, "sp": 64})
    assert is_user_space("aarch64", at_user)
    kernels = drgn.Object(
        arm.prog, arm.prog.type("struct pt_regs"), {"pc": 0x400000, "sp": 64, "pstate": 5}
    )
    assert not is_user_space("aarch64", kernels)


def test_a_record_at_no_place_for_registers_has_none(arm: Session) -> None:
    assert around_record(arm.prog, 8) is None
    assert around_record(arm.prog, 0x12345) is None
    with pytest.raises(drgn.FaultError):
        around_record(arm.prog, 1 << 62)


def test_registers_around_a_function_s_record_are_nobodys(arm: Session) -> None:
    # Around the last record of a kernel thread (5.10) there was what looked like some.
    prog = btfdbg.program_from_core_dump(
        next(p for p, e in bundled_dumps() if e["arch"] == "arm64")
    )
    type_, size = prog.type("struct pt_regs"), int(prog["THREAD_SIZE"])
    within = drgn.offsetof(type_, "stackframe")
    tops = (int(task.stack) + size for task in for_each_task(prog))
    top = next(top for top in tops if at_top(prog, "aarch64", type_, top) is not None)
    places = (top - above - drgn.sizeof(type_) + within for above in (0, 16))
    record = next(at for at in places if around_record(prog, at) is not None)
    for word in (0, 8):
        words = bytearray(16)
        prog.add_memory_segment(
            record, 16, lambda _, n, at, __, w=words: bytes(w[at : at + n]), False
        )
        assert around_record(prog, record) is not None
        words[word : word + 8] = (0xFFFF_8000_0801_1234).to_bytes(8, "little")
        assert around_record(prog, record) is None
