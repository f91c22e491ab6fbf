"""``--- <IRQ stack> ---`` stands where the words of the interrupt's stack end, as in crash."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from drgn.helpers.linux.stack import LinuxKernelStack, StackKind, StackSegment

import btfdbg
from btfdbg.commands.evaluate import prepare, run_line
from btfdbg.patches import backtrace
from tests.conftest import bundled_dumps

_FRAME = re.compile(r" *#\d+ \[([0-9a-f]+)\] (\S+) at ")
_SIZE = 16384
_IRQ = 0xFF00_0000_0000
_TASK = 0xFFFF_8000_0000


@pytest.mark.parametrize(
    ("scenario", "architecture", "mark", "entry"),
    [
        ("hung-tasks", "amd64", "--- <IRQ stack> ---", "asm_sysvec_reboot"),
        ("deadlock", "arm64", "--- <IRQ stack> ---", "call_on_irq_stack"),
    ],
)
def test_the_mark_stands_between_two_stacks(
    scenario: str, architecture: str, mark: str, entry: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [p for p, e in bundled_dumps() if e["scenario"] == scenario and architecture in p.name]
    if not found:
        pytest.skip("no such dump is bundled")
    session = btfdbg.session(btfdbg.program_from_core_dump(found[0]))
    prepare(session)
    assert run_line(session, "bt -a")
    lines = capsys.readouterr().out.splitlines()
    marks = [i for i, line in enumerate(lines) if line == mark]
    assert marks
    size = session.prog["THREAD_SIZE"].value_()
    for at in marks:
        above = next(m for m in map(_FRAME.match, reversed(lines[:at])) if m)
        below = next(m for m in map(_FRAME.match, lines[at:]) if m)
        assert below[2] == entry
        assert abs(int(above[1], 16) - int(below[1], 16)) >= size
    assert backtrace._leaves == {}


class _Prog:
    def __init__(self, size: int | None) -> None:
        self._size = size

    def __getitem__(self, name: str) -> Any:
        if self._size is None:
            raise KeyError(name)
        return SimpleNamespace(value_=lambda: self._size)


class _Lost:
    @property
    def sp(self) -> int:
        raise LookupError("no sp")


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    yield
    backtrace._leaves.clear()


def _stack(size: int | None, *parts: tuple[StackKind, tuple[int | None, ...]]) -> Any:
    segments = [
        StackSegment(kind, [_Lost() if sp is None else SimpleNamespace(sp=sp) for sp in sps])
        for kind, sps in parts
    ]
    return LinuxKernelStack(_Prog(size), segments)


_INTERRUPTED = (StackKind.TASK, (_TASK + 0x800, _TASK + 0x900))


@pytest.mark.parametrize(
    ("part", "marked"),
    [
        ((StackKind.IRQ, (_IRQ, _IRQ + 8, _TASK + 0x700)), {2: "IRQ"}),
        ((StackKind.IRQ, (_IRQ, _TASK + 0x600, _TASK + 0x700)), {1: "IRQ"}),
        ((StackKind.SOFTIRQ, (_IRQ, _TASK + 0x700)), {1: "SOFTIRQ"}),
        # All of it is on the special stack, or on the task's, or nobody knows.
        ((StackKind.IRQ, (_IRQ, _IRQ + 8)), {}),
        ((StackKind.IRQ, (_TASK + 0x600, _TASK + 0x700)), {}),
        ((StackKind.IRQ, (_IRQ, None)), {}),
        ((StackKind.IRQ, (_IRQ, _TASK + 0x800 - _SIZE)), {}),
        ((StackKind.TASK, (_IRQ, _TASK + 0x700)), {}),
    ],
)
def test_only_frames_on_the_interrupted_ones_stack_move(
    part: tuple[StackKind, tuple[int | None, ...]], marked: dict[int, str]
) -> None:
    stack = backtrace._marked(_stack(_SIZE, part, _INTERRUPTED))
    assert backtrace._leaves == marked
    kinds = [segment.kind for segment in stack.segments]
    assert kinds == [StackKind.UNKNOWN if marked else part[0], StackKind.TASK]
    assert [len(segment.frames) for segment in stack.segments] == [len(part[1]), 2]


def test_a_size_that_is_not_known_moves_nothing() -> None:
    part = (StackKind.IRQ, (_IRQ, _TASK + 0x700))
    assert backtrace._marked(_stack(None, part, _INTERRUPTED)).segments[0].kind is StackKind.IRQ
    assert backtrace._leaves == {}


def test_the_last_part_of_a_stack_keeps_its_mark() -> None:
    part = (StackKind.IRQ, (_IRQ, _TASK + 0x700))
    assert backtrace._marked(_stack(_SIZE, part)).segments[0].kind is StackKind.IRQ


def test_a_stack_that_was_given_back_has_no_part() -> None:
    assert list(backtrace._marked(_stack(_SIZE)).segments) == []
