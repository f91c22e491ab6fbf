"""The report's stacks of riscv64, for which drgn 0.3 has no unwinder."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import drgn
import pytest

from btfdbg.errors import DebugInfoError
from btfdbg.program import unwind_riscv64
from btfdbg.program.unwind_riscv64 import Frame
from btfdbg.program.user_registers import is_user_space
from btfdbg.report.look import Look
from btfdbg.report.syscall import syscall_of

TASK = cast(drgn.Object, SimpleNamespace(value_=lambda: 0x1000))
SYMBOLS = ((0x8000, "panic"), (0x8100, "ksys_write"), (0x8200, "__riscv_sys_write"))


def symbol(pc: int) -> SimpleNamespace:
    for start, name in SYMBOLS:
        if start <= pc < start + 0x100:
            return SimpleNamespace(name=name, address=start)
    raise LookupError(pc)


class Bare(Look):
    """A look at a task of riscv64, without a dump."""

    machine = "riscv64"

    def __init__(self) -> None:
        self.prog = cast(drgn.Program, SimpleNamespace(symbol=symbol))
        self._stacks = {}
        self.alike = SimpleNamespace(find=lambda at: None)  # type: ignore[assignment]

    def trace(self, task: drgn.Object) -> None:
        return None  # drgn raises NotImplementedError

    def module(self, pc: int) -> str:
        return ""


def test_stack_that_drgn_cannot_unwind_is_unwound_by_frame_pointers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A return address behind the last instruction is still the caller's.
    frames = [Frame(0x8010, 1, True), Frame(0x8200, 2, False), Frame(0x8220, 3, False)]
    monkeypatch.setattr(unwind_riscv64, "stack", lambda task: [*frames, Frame(0x42, 4, True)])
    look = Bare()
    assert [str(c) for c in look.stack(TASK)] == [
        "panic+0x10",
        "ksys_write+0x100",
        "__riscv_sys_write+0x20",
    ]
    assert not any(call.interrupted for call in look.stack(TASK))
    found = syscall_of(look, TASK)
    assert found is not None
    assert found.name == "write"
    assert found.args == ()


def test_registers_that_were_not_saved_leave_no_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    def stack(task: drgn.Object) -> list[Frame]:
        raise DebugInfoError("were not saved", step="stack")

    monkeypatch.setattr(unwind_riscv64, "stack", stack)
    assert Bare().stack(TASK) == ()


@pytest.mark.parametrize(
    ("status", "epc", "user"),
    [
        (0x200000020, 0xB5926, True),
        (0x200000120, 0xFFFFFFFF80A66446, False),  # SR_SPP is set
        (0x200000020, 0xFFFFFFFF80A66446, False),  # no address of user space
    ],
)
def test_registers_of_user_space_say_so_themselves(status: int, epc: int, user: bool) -> None:
    regs = cast(drgn.Object, SimpleNamespace(status=status, epc=epc))
    assert is_user_space("riscv64", regs) is user
