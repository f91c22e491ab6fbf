"""Frames that are shown behind a page of the stack that is missing are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import drgn
import pytest
from drgn.helpers.linux.panic import panic_task

import btfdbg
from btfdbg.commands.evaluate import prepare, run_line
from btfdbg.frames.stack_end import NO_WAY, REMARK, missing_at, reason
from btfdbg.patches import install
from tests.program.damaged import Dump


class Made:
    """A frame as far as the rule asks."""

    def __init__(self, sp: int | None, code: bool = True, interrupted: bool = False) -> None:
        self._sp, self._code, self.interrupted = sp, code, interrupted

    @property
    def sp(self) -> int:
        if self._sp is None:
            raise LookupError
        return self._sp

    def symbol(self) -> str:
        if not self._code:
            raise LookupError
        return "a function"


STACK, CPUS, DATA = 0xFFFF_9000_0010_0000, 0xFFFF_9000_0020_0000, 0xFFFF_A000_0000_0D20


@pytest.fixture
def prog() -> drgn.Program:
    """A page of a task's stack and the last one of a CPU's; behind each is none."""
    made = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    for start in (STACK, CPUS):
        made.add_memory_segment(start, 4096, lambda _a, n, _o, _p: bytes(n))
    return made


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        # The page is missing: neither a jump nor what is no code is a caller.
        ([Made(STACK + 0x1008), Made(DATA)], (1, STACK + 0x1008)),
        ([Made(STACK + 0x1008), Made(STACK + 0x1040, code=False)], (1, STACK + 0x1008)),
        ([Made(STACK), Made(STACK + 0x1008), Made(DATA, False)], (2, STACK + 0x1008)),
        # The return address lies in the next page, which is missing.
        ([Made(STACK + 0xFF8), Made(DATA, code=False)], (1, STACK + 0x1000)),
        # It may lie in the next page, which is there.
        ([Made(STACK - 8), Made(STACK + 0x40)], None),
        # Whole stacks: code without a symbol, a CPU's stack in between, an exception.
        ([Made(STACK + 0xFC0), Made(STACK + 0xFE0, code=False)], None),
        ([Made(CPUS + 0xFF0), Made(STACK + 0x40)], None),
        ([Made(STACK + 0x2000), Made(DATA, interrupted=True)], None),
        # A program's frames are the last, and its memory is not the kernel's to read.
        ([Made(0x7FFF_0000, interrupted=True), Made(0x1000, code=False)], None),
        # Without a stack pointer nothing can be said.
        ([Made(None), Made(None, code=False)], None),
    ],
)
def test_only_what_follows_missing_memory_is_doubted(
    prog: drgn.Program, frames: list[drgn.StackFrame], expected: tuple[int, int] | None
) -> None:
    assert missing_at(prog, frames) == expected


def test_behind_a_tasks_stack_nothing_is_missing(oops_core: Path) -> None:
    prog = btfdbg.program_from_core_dump(oops_core)
    task = panic_task(prog)
    end = task.stack.value_() + int(prog["THREAD_SIZE"])
    assert reason(prog, end) == NO_WAY
    assert reason(prog, end - 4096) == REMARK


def test_a_kernel_that_does_not_say_how_large_stacks_are_misses_a_page(prog: drgn.Program) -> None:
    assert reason(prog, STACK + 0x4000) == REMARK


@pytest.mark.parametrize("size", [0, -4096])
def test_a_size_of_stacks_that_is_none_says_nothing(size: int) -> None:
    damaged: Any = {"THREAD_SIZE": size}
    assert reason(damaged, STACK + 0x4000) == REMARK


def test_bt_and_its_like_end_where_the_stack_is_missing(
    oops_core: object, capsys: pytest.CaptureFixture[str]
) -> None:
    install.install_helpers()
    dump = Dump(oops_core)  # type: ignore[arg-type] # a path, as the fixture says
    task = panic_task(dump.twin.prog)
    whole = list(dump.twin.prog.stack_trace(task))
    assert missing_at(dump.twin.prog, whole) is None
    dump.lose(whole[0].sp & ~0xFFF, 4096)
    session = dump.attach()
    prepare(session)
    trace = session.prog.stack_trace(panic_task(session.prog))
    # drgn goes on by rbp, to what is no caller.
    assert missing_at(session.prog, trace) == (1, whole[0].sp)
    assert len(trace) > 1
    for line in ("bt", "bt -p", "ctx -s stack", "frame 1"):
        run_line(session, line)
        out, err = capsys.readouterr()
        assert (out + err).count(REMARK) == 1, line
        assert "#1" not in out, line
        assert "cf_level3" in out or line == "frame 1"
    assert run_line(session, "foreach bt")
    out, err = capsys.readouterr()
    assert REMARK in err
    assert out.count("PID: ") > 10
