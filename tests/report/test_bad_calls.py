"""A call to where no code is: the stack goes on with who called."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from btfdbg.frames import stack_end
from btfdbg.report.calls import Call
from btfdbg.report.look import Look, is_behind_a_call

CODE = {0x1000: "handler", 0x2000: "caller", 0x3000: "entry", 0x4000: "other"}


class Frame:
    def __init__(self, pc: int, interrupted: bool = False, user: bool = False) -> None:
        self.pc, self.sp, self.interrupted, self.user = pc, 0, interrupted, user

    def symbol(self) -> Any:
        if self.pc not in CODE:
            raise LookupError
        return SimpleNamespace(name=CODE[self.pc], address=self.pc)


def _names(
    monkeypatch: pytest.MonkeyPatch, *frames: Frame, caller: int | None, above: Any = ()
) -> list[str]:
    monkeypatch.setattr(stack_end, "missing_at", lambda prog, trace: None)
    found = [] if caller is None else [Call(CODE[caller], "", caller, 0, False)]
    look: Any = SimpleNamespace(
        prog=None,
        module=lambda pc: "",
        _caller=lambda frame: found,
        _callers_of=lambda frame, callers: above,
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


def test_who_called_him_is_found_by_unwinding_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    above = [Call("entry", "", 0x3000, 0, False)]
    found = _names(monkeypatch, HANDLER, NOWHERE, OTHER, caller=0x2000, above=above)
    assert found == ["handler", "0x0", "caller", "entry"]


@pytest.mark.parametrize(
    ("code", "is_call"),
    [
        ("9090e812345678", True),  # call rel32, to a thunk
        ("9090909090ffd0", True),  # call rax
        ("9090909041ffd3", True),  # call r11
        ("90909090ff5038", True),  # call [rax+0x38]
        ("90ff9038010000", True),  # call [rax+0x138]
        ("9090909090ffe0", False),  # jmp rax
        ("90909090909090", False),
        ("4889c74889dec3", False),
    ],
)
def test_a_return_address_stands_behind_a_call(code: str, is_call: bool) -> None:
    assert is_behind_a_call(bytes.fromhex(code)) is is_call


def test_a_programs_frames_end_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Frame(0x7F00, interrupted=True, user=True)
    assert _names(monkeypatch, HANDLER, program, CALLER, caller=0x2000) == ["handler"]
    garbage = Frame(0x99)
    assert _names(monkeypatch, HANDLER, garbage, CALLER, caller=0x2000) == ["handler"]
