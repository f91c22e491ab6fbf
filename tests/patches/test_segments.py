"""Parts of a stack have frames where the variable that would name the part is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import drgn
import pytest
from drgn.helpers.linux.pid import find_task
from drgn.helpers.linux.stack import StackKind

import btfdbg
from btfdbg.errors import RefusedError
from btfdbg.patches.missing import classify_segment


class Frame:
    """As much of a frame as is asked for."""

    def __init__(self, sp: int | None) -> None:
        self._sp = sp

    @property
    def sp(self) -> int:
        if self._sp is None:
            raise LookupError("stack pointer is not known")
        return self._sp


@pytest.fixture(scope="module")
def task(x86_core: Path) -> drgn.Object:
    return find_task(btfdbg.program_from_core_dump(x86_core), 1)


@pytest.mark.parametrize(
    "error",
    [LookupError("irq_stack_ptr"), drgn.FaultError("gone", 16), RefusedError("it cannot be")],
    ids=lambda error: type(error).__name__,
)
def test_what_is_told_without_a_variable_is_told(task: drgn.Object, error: Exception) -> None:
    def original(*_: Any) -> Any:
        raise error

    classify = classify_segment(original)
    notes = btfdbg.session(task.prog_).notes
    notes.clear()
    stack, size = task.stack.value_(), int(task.prog_["THREAD_SIZE"])
    for sp, kind in (
        (stack, StackKind.TASK),
        (stack + size - 8, StackKind.TASK),
        (stack + size, StackKind.UNKNOWN),
        (stack - 8, StackKind.UNKNOWN),
        (0x7FFE_1234_5670, StackKind.USER),
        (None, StackKind.UNKNOWN),
    ):
        frames = [Frame(sp)]
        segment = classify(task, 0, frames)
        assert (segment.kind, segment.frames) == (kind, frames), sp
        told = [note.what for note in notes]
        unknown = [f"whose stack some frames are on is not known: {error}"]
        assert told == (unknown if kind is StackKind.UNKNOWN else []), sp
        notes.clear()


def test_what_can_be_told_is_drgn_s(task: drgn.Object) -> None:
    said = object()
    assert classify_segment(lambda *_: said)(task, 0, [Frame(0)]) is said
