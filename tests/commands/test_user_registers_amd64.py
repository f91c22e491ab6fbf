"""``ORIG_RAX`` below amd64's stacks that lead to user space: the number of the system call."""

from __future__ import annotations

import re

import pytest
from drgn.helpers.linux.pid import find_task

import btfdbg
from btfdbg.commands.evaluate import run_line
from btfdbg.program.session import Session
from btfdbg.program.user_registers import at_top
from tests.conftest import bundled_dumps

# arch/x86/entry/syscalls/syscall_64.tbl
_NUMBERS = {"read": 0, "write": 1, "wait4": 61, "mkdir": 83, "openat": 257, "clock_nanosleep": 230}
_AMD64 = [path for path, entry in bundled_dumps() if entry["arch"] == "amd64"]


@pytest.fixture(params=_AMD64, ids=lambda path: path.stem)
def session(request: pytest.FixtureRequest) -> Session:
    return btfdbg.session(btfdbg.program_from_core_dump(request.param))


def _stacks(out: str) -> dict[int, str]:
    parts = re.split(r"^PID: (\d+) ", out, flags=re.M)[1:]
    return {int(pid): text for pid, text in zip(parts[::2], parts[1::2], strict=True)}


def test_it_is_below_the_registers_of_user_space_and_nowhere_else(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_line(session, "foreach bt")
    prog = session.prog
    type_, size = prog.type("struct pt_regs"), int(prog["THREAD_SIZE"])
    came = named = 0
    for pid, text in _stacks(capsys.readouterr().out).items():
        shown = re.findall(r"^ +CS: 0033 +SS: 002b\n +ORIG_RAX: ([0-9a-f]{16})$", text, re.M)
        assert len(shown) == text.count("ORIG_RAX") == text.count("CS: 0033")
        if not shown:
            continue
        came += 1
        regs = at_top(prog, "x86_64", type_, int(find_task(prog, pid).stack) + size)
        assert regs is not None
        assert int(shown[0], 16) == int(regs.orig_ax)
        call = re.search(r" (?:__x64_sys_|ksys_)(\w+) at ", text)
        if call and call[1] in _NUMBERS:
            assert int(shown[0], 16) == _NUMBERS[call[1]]
            named += 1
    assert came > 2
    assert named
