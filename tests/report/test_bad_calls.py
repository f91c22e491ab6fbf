"""A call to where no code is: the stack goes on with who called."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from btfdbg.frames import stack_end
from btfdbg.report.calls import Call
from btfdbg.report.look import Look

CODE = {0x1000: "handler", 0x2000: "caller", 0x3000: "entry", 0x4000: "other"}


class Frame:
    def __init__(self, pc: int, interrupted: bool = False, user: bool = False) -> None:
        self.pc, self.sp, self.interrupted, self.user = pc, 0, interrupted, user

    def symbol(self) -> Any:
        if self.pc not in CODE:
            raise LookupError
        return SimpleNamespace(name=CODE[self.pc], address=self.pc)


def _names(monkeypatch: pytest.MonkeyPatch, *frames: Frame, caller: int | None) -> list[str]:
    monkeypatch.setattr(stack_end, "missing_at", lambda prog, trace: None)
    found = [] if caller is None else [Call(CODE[caller], "", caller, 0, False)]
    look: Any = SimpleNamespace(
        prog=None,
        module=lambda pc: "",
        _caller=lambda frame: found,
        _is_user_space=lambda frame: frame.user,
        _is_interrupted=lambda trace, number: trace[number].interrupted,
        _called_leaf=lambda trace, number: None,
    )
    return [call.name or hex(call.pc) for call in Look._calls(look, frames)]


HANDLER, NOWHERE = Frame(0x1000), Frame(0, interrupted=True)
CALLER, ENTRY, OTHER = Frame(0x2000), Frame(0x3000), Frame(0x4000)


def test_the_stack_goes_on_where_the_unwinder_knows_who_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frames = HANDLER, NOWHERE, CALLER, ENTRY
    expected = ["handler", "0x0", "caller", "entry"]
    assert _names(monkeypatch, *frames, caller=0x2000) == expected
    assert _names(monkeypatch, *frames[1:], caller=0x2000) == expected[1:]


def test_who_called_is_the_last_where_the_unwinder_does_not_know_him(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert _names(monkeypatch, HANDLER, NOWHERE, caller=0x2000) == ["handler", "0x0", "caller"]
    frames = HANDLER, NOWHERE, OTHER, ENTRY
    assert _names(monkeypatch, *frames, caller=0x2000) == ["handler", "0x0", "caller"]
    assert _names(monkeypatch, *frames, caller=None) == ["handler", "0x0"]


def test_a_programs_frames_end_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Frame(0x7F00, interrupted=True, user=True)
    assert _names(monkeypatch, HANDLER, program, CALLER, caller=0x2000) == ["handler"]
    garbage = Frame(0x99)
    assert _names(monkeypatch, HANDLER, garbage, CALLER, caller=0x2000) == ["handler"]
