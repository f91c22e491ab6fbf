"""Which of a report's stacks decides, and with which frame it begins.

Owns the choice of the stack. The function to blame on it is choice.py's matter.

Facts: the order of sections in print_circular_bug(), print_other_cpu_stall(), show_regs()
and kcsan's report.
"""

from __future__ import annotations

from btfdbg.report.blame.choice import choose
from btfdbg.report.blame.match import match
from btfdbg.report.event import Frame
from btfdbg.report.kinds import FAULT, HANG, STALL
from btfdbg.report.logs.expression import Expression

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from btfdbg.report.kinds import Kind
    from btfdbg.report.logs.sections import Section

    class Read(Protocol):
        """What was read of a report; ``building`` has it."""

        kind: Kind
        message: str
        detail: str
        bad_pc: bool
        at: Frame | None
        holder: Frame | None
        named: Frame | None
        pc: Frame | None

        @property
        def sections(self) -> Sequence[Section]: ...


RESUMED = "resumed"
"""A section whose frames may be another report's."""


def _stack(report: Read, *names: str) -> list[Frame]:
    for name in names:
        for section in report.sections:
            if section.name == name and section.sure:
                return section.frames
    return []


def deciding(report: Read) -> list[Frame]:
    """Return the frames of the stack that decides, innermost first."""
    kind = report.kind
    if kind.choice == STALL:
        stalled = _stalled(report)
        if not stalled and kind.id == "workqueue-stall" and report.named is not None:
            return [report.named]
        return stalled
    if kind.choice == HANG:
        return _stack(report, "trace", "stack", "cpu")
    if kind.id == "lockdep":
        if "unsafe" in report.message:
            usage = _stack(report, "usage")
            if usage:
                return usage
        stack = _stack(report, "stack", "trace", "panic")
        locks = [one for one in (report.at, report.holder) if one is not None]
        return [*locks, *stack] if _at_decides(report) else stack
    if kind.id == "kcsan":
        stack = _stack(report, "sharp", "trace", "panic")
    elif kind.id == "bad-page":
        # page_owner: who had the page last wrote to it; the trace is who met it afterwards
        stack = _stack(report, "owner", "trace", "stack", "panic")
    else:
        stack = _stack(report, "trace", "stack", "cpu", "panic")
    if not stack and report.bad_pc and kind.choice == FAULT:
        stack = _top_of_stack(report)
    first = report.named or report.pc
    if first is not None and not (stack and stack[0] == first):
        return [first, *stack]
    return stack


def is_held(detail: str) -> bool:
    """Say whether lockdep reports a lock that somebody still holds, by the report's detail."""
    return detail.startswith(("held", "still", "lock held"))


def _top_of_stack(report: Read) -> list[Frame]:
    """
    Return a stack that the unwinder cannot follow, of which the top can be relied on.

    A call through a bad pointer leaves its return address at the very top; the
    processor faults before anything else is pushed.
    """
    for section in report.sections:
        for i, one in enumerate(section.frames):
            if not match("skip", one.name):
                top = Frame(one.name, one.module, True, one.part)
                return [*section.frames[:i], top, *section.frames[i + 1 :]]
    return []


def _at_decides(report: Read) -> bool:
    return (
        is_held(report.detail)
        or report.detail == "workqueue leaked lock"
        or report.detail in ("possible deadlock", "inconsistent lock state")
        or report.detail.startswith("bad ")
    )


# print_other_cpu_stall() and synchronize_rcu_expedited_wait(), not print_cpu_stall().
_OTHERS = Expression(r".*\brcu_\w+ detected (?:expedited )?stalls? on CPUs")


_IDLE = frozenset(("do_idle", "cpu_idle_loop", "cpu_startup_entry"))


def _is_anothers(panic: Section, report: Read) -> bool:
    """
    Whether the panic's stack is that of a CPU that got on, and noticed that others did not.

    It is if it was idle, or if the report has the others' stacks, though only guessed ones.
    """
    return noticed(report, idle=any(one.name in _IDLE for one in panic.frames))


def noticed(report: Read, *, idle: bool) -> bool:
    """
    Whether the CPU that panicked for a stall of RCU is not one that it waited for.

    :param idle: Whether that CPU was.
    """
    if report.kind.id != "rcu-stall" or _OTHERS.match(report.message) is None:
        return False
    return idle or any(one.name not in ("kthread", "locks", "panic") for one in report.sections)


def _stalled(report: Read) -> list[Frame]:
    fallback: list[Frame] = []
    for section in report.sections:
        if section.name in ("kthread", "locks", RESUMED) or not section.sure:
            continue
        if section.name == "panic" and _is_anothers(section, report):
            continue
        choice = choose(report.kind.id, section.frames)
        if choice.frame is None:
            continue
        if choice.reasons[-1].rule != "first":
            return section.frames
        fallback = fallback or section.frames
    return fallback
