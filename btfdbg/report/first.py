"""What a prompt says before anybody asked: what the log says, who panicked, what to type.

Owns three short lines made from the kernel's log and two variables: no stack is unwound, no
task looked at. So it says less than the report, and never something else: a title only for
kinds whose function the log has from the kernel itself; for tasks that wait, for stalls and
panics by hand, where the report decides by structures, only the kernel's own words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from btfdbg.report.calls import UNREADABLE
from btfdbg.report.kinds import FAULT, FIRST, KINDS
from btfdbg.report.look import panic_cpu
from btfdbg.report.severity import main_event

if TYPE_CHECKING:
    import drgn

    from btfdbg.report.event import Event

NEXT = "report says what happened and why, ctx shows where"
_WORDS = 100  # characters of the kernel's own


def first_lines(prog: drgn.Program) -> list[str]:
    """
    Return what the log says of the crash, whose it was, and the next step.

    What cannot be told cheaply and for sure is left out; the next step is always there.

    >>> first_lines(prog)[0]
    'NULL dereference in cf_level3 [cf_fault]'
    """
    try:
        cpu = panic_cpu(prog)
    except LookupError:
        return [NEXT]
    if cpu is None:
        return ["no CPU has panicked", NEXT]
    who, pid = _who(prog)
    event = _event(prog, cpu, pid)
    lines = []
    if event is not None:
        lines.append(event.title if _is_sure(event) else _said(event))
    lines.append(f"{who}CPU {cpu}{_when(event)}")
    lines.append(NEXT)
    return lines


def _event(prog: drgn.Program, cpu: int, pid: int | None) -> Event | None:
    """
    Return the event that the panic came of.

    A dump is often taken before the kernel prints that it panics: then it is the last event,
    if it is of the very task and CPU that panicked.
    """
    from btfdbg.report.dump_log import log_of_dump

    try:
        events = log_of_dump(prog).events
    except UNREADABLE:
        return None
    event = main_event(events)
    if event is None or event.panicked:
        return event
    own = (event.cpu, event.pid) == (cpu, pid)
    return event if own and event is events[-1] else None


def _is_sure(event: Event) -> bool:
    """Whether the report can only name the crash as its log does."""
    kind = KINDS[event.kind]
    return (
        kind.choice in (FAULT, FIRST)
        and kind.id != "panic"
        and event.function is not None
        and not event.corrupted
    )


def _said(event: Event) -> str:
    words = event.message
    return f"the log says: {words[:_WORDS]}{'…' if len(words) > _WORDS else ''}"


def _who(prog: drgn.Program) -> tuple[str, int | None]:
    try:
        task = prog.crashed_thread().object
        comm = task.comm.string_().decode("utf-8", "backslashreplace")
        pid = int(task.pid)
    except UNREADABLE:
        return "", None
    return f"{comm}({pid}) on ", pid


def _when(event: Event | None) -> str:
    if event is None or event.seconds is None:
        return ""
    seconds = int(event.seconds)
    return f", {seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02} after it was booted"
