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
    from btfdbg.report.happened import Happened
    from btfdbg.report.look import Look

WAITING = ("hung-task", "deadlock")
"""Kinds that are about a task that waits, not about the one that panicked."""


def task_of(happened: Happened) -> drgn.Object | None:
    """
    Return the task that the crash is about, ``struct task_struct *``.

    That is the one that panicked; for a hang or a deadlock one that waits, since the
    panicking task is only the one that noticed.
    """
    if happened.kind in WAITING and happened.waiting is not None:
        address = happened.waiting.task.address
        return drgn.Object(happened.look.prog, "struct task_struct *", address)
    return happened.look.panic_task


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


@dataclass(frozen=True, slots=True)
class Told:
    """
    The log's lines from a report on.

    :ivar first: Whether a report begins them; else they are all there are.
    :ivar before: Titles of reports that came earlier and are not among the lines.
    """

    lines: tuple[str, ...]
    first: bool
    before: tuple[str, ...] = ()


def log_from_first_report(look: Look) -> Told:
    """
    Return the log from its first report on, or all of it if it reports nothing.

    :raises LookupError, ValueError: the log's structures are not known, or damaged.
    """
    from btfdbg.report.dump_log import lines_of

    lines = tuple(line.rstrip("\n") for line in lines_of(look.prog))
    if not look.events:
        return Told(lines, False)
    first = min(event.line for event in look.events)
    return Told(lines[max(first - 1, 0) :], True)


def log_of_the_crash(happened: Happened, limit: int) -> Told:
    """
    Return at most ``limit`` lines: from the first report on if the crash's own is then in.

    Else from the crash's own on, and the earlier ones by title. A log without a report
    gives its end.
    """
    told = log_from_first_report(happened.look)
    if not told.first or limit <= 0:
        return Told(told.lines[-limit:] if limit > 0 else (), False)
    event = happened.event
    events = happened.look.events
    skip = 0 if event is None else event.line - min(one.line for one in events)
    if event is None or skip < limit:
        return Told(told.lines[:limit], True)
    before = dict.fromkeys(one.title for one in events if one.line < event.line)
    return Told(told.lines[skip : skip + limit], True, tuple(before))
