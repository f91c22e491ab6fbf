"""Where it happened: the task, its frame there, and where the log begins to tell of it.

Owns finding these for all that show them (``ctx``, the report's sections). The decision
itself is ``happened``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import drgn

from btfdbg.lazy_dataclass import dataclass
from btfdbg.report.calls import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from btfdbg.report.happened import Happened
    from btfdbg.report.look import Look

WAITING = ("hung-task", "deadlock")
"""Kinds that are about a task that waits, not about the one that panicked."""


def task_of(happened: Happened) -> drgn.Object | None:
    """
    Return the task that the crash is about, ``struct task_struct *``.

    That is the one that panicked; for a hang or a deadlock one that waits, for a stall that
    another CPU noticed the one that does not get on.
    """
    if happened.culprit is not None:
        return happened.culprit.task
    if happened.kind in WAITING and happened.waiting is not None:
        address = happened.waiting.task.address
        return drgn.Object(happened.look.prog, "struct task_struct *", address)
    return happened.look.panic_task


def is_about_another(happened: Happened) -> bool:
    """Whether the task that panicked is only the one that noticed."""
    return happened.kind in WAITING or happened.culprit is not None


def frame_of(happened: Happened) -> int | None:
    """
    Return the number of the frame where it happened, in drgn's trace of :func:`task_of`.

    :return: ``None`` if the stack does not reach it: the frames that are there are panic's.
    """
    task = task_of(happened)
    calls = happened.calls
    trace = happened.look.trace(task) if task is not None else None
    if trace is None or not calls:
        return None
    for number, frame in enumerate(trace):
        try:
            # On arm64 the unwinder does not see all that are interrupted.
            if frame.pc == calls[0].pc and (calls[0].interrupted or not frame.interrupted):
                return number
        except UNREADABLE:
            continue
    return None


_CUT_HERE = "[ cut here ]"
_LED = 3
"""Lines before a report: what a WARNING says stands there, or what led to it."""


@dataclass(frozen=True, slots=True)
class Told:
    """
    The log's lines from a report on.

    :ivar first: Whether a report begins them; else they are all there are.
    :ivar before: Titles of reports that came earlier and are not among the lines.
    :ivar led: How many lines stand before the report's first.
    """

    lines: tuple[str, ...]
    first: bool
    before: tuple[str, ...] = ()
    led: int = 0


def log_from_first_report(look: Look) -> Told:
    """
    Return the log from shortly before its first report on, or all of it if it reports nothing.

    :raises LookupError, ValueError: the log's structures are not known, or damaged.
    """
    lines = _log_lines(look)
    if not look.events:
        return Told(lines, False)
    first = min(event.line for event in look.events) - 1
    start = max(first - _LED, 0)
    return Told(lines[start:], True, led=first - start)


def log_of_the_crash(happened: Happened, limit: int) -> Told:
    """
    Return at most ``limit`` lines: from the first report on if the crash's own is then in.

    Else from the crash's own on, and the earlier ones by title. A log without a report
    gives its end. What the kernel prints above a WARNING or BUG, from ``cut here`` on, is
    a part of it.

    :raises LookupError, ValueError: the log's structures are not known, or damaged.
    """
    lines = _log_lines(happened.look)
    event = happened.event
    events = happened.look.events
    if not events or limit <= 0:
        return Told(lines[-limit:] if limit > 0 else (), False)
    first = _begins(lines, min(one.line for one in events) - 1)
    start = first if event is None else _begins(lines, event.line - 1)
    if start - first < limit:
        return Told(lines[first : first + limit], True)
    before = dict.fromkeys(one.title for one in events if event and one.line < event.line)
    return Told(lines[start : start + limit], True, tuple(before))


def _log_lines(look: Look) -> tuple[str, ...]:
    from btfdbg.report.dump_log import lines_of

    return tuple(line.rstrip("\n") for line in lines_of(look.prog))


def _begins(lines: Sequence[str], at: int) -> int:
    """Where a report begins whose first line is at an index: ``cut here`` stands above it."""
    at = max(at, 0)
    above = (i for i in range(at, max(at - _LED, 0) - 1, -1) if _CUT_HERE in lines[i])
    return next(above, at) if at < len(lines) else at
