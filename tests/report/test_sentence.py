"""The words for a panic by hand say what the stack shows of who did it, and nothing else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from btfdbg.report.look import Call
from btfdbg.report.sentence import _by_hand


@pytest.mark.parametrize(
    ("stack", "words"),
    [
        ("panic nmi_panic.cold unknown_nmi_error.cold exc_nmi", "An NMI that nobody claimed"),
        ("panic hpwdt_pretimeout nmi_handle", "An NMI that nobody claimed"),
        ("panic sysrq_handle_crash write_sysrq_trigger.cold", "init(1) wrote to /proc/sysrq"),
        ("panic sysrq_handle_crash.cold __handle_sysrq", "by the SysRq key"),
        ("panic system_reset_exception", "by a reset or restart"),
        ("panic something", "panicked this machine on purpose."),
    ],
)
def test_how_it_was_done_is_told_by_the_stack(stack: str, words: str) -> None:
    calls = tuple(Call(name, "", 1, 0, False) for name in stack.split())
    look: Any = SimpleNamespace(panic_task=object(), who=lambda task: "init(1)")
    happened: Any = SimpleNamespace(look=look, stack=calls)
    assert words in _by_hand(happened)
