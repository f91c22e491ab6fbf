"""Which of a log's events the crash is about: :func:`main_event`.

Owns the order in which events are held to be the cause.
"""

from __future__ import annotations

from btfdbg.report.kinds import CORRECTED, FAULT, KINDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from btfdbg.report.event import Event

# Events that kernels live with: the cause only if there is no other.
_HARMLESS = 40
_CORRUPTION = 87
_JUST_BEFORE = 5.0  # seconds
_AT_ONCE = 1.0
_BESIDE = 10  # lines


def main_event(events: Sequence[Event]) -> Event | None:
    """
    Return the event that a crash is called after, or None if there is none.

    The first that the kernel panicked for; or the memory corruption that was reported
    just before, which others trip over, or the first of faults that came at once.
    Without a panic the first that is no mere warning or shortage, nor an error that the
    hardware corrected; else the first.
    """
    fatal = next((event for event in events if event.panicked), None)
    if fatal is not None:
        return next((event for event in events if _led_to(event, fatal)), fatal)
    for event in events:
        corrected = event.kind == "hardware" and event.detail == CORRECTED
        if KINDS[event.kind].severity >= _HARMLESS and not corrected:
            return event
    return events[0] if events else None


def _led_to(event: Event, fatal: Event) -> bool:
    """Say whether an event just before the fatal one is what the fatal one follows from."""
    if event.line >= fatal.line:
        return False
    if event.function is None and not _cut_short(event, fatal):
        return False
    if event.seconds is None or fatal.seconds is None:
        return False
    kind, end = KINDS[event.kind], KINDS[fatal.kind]
    before = fatal.seconds - event.seconds
    if kind.severity >= _CORRUPTION > end.severity:
        return before < _JUST_BEFORE
    # What a check found and reported, before its own BUG() ended it all.
    if fatal.kind == "bug" != event.kind:
        from btfdbg.report.witness import check_of

        check = check_of(fatal.function or "")
        if check is not None and check.kind == event.kind:
            return before < _JUST_BEFORE
    return kind.choice == end.choice == FAULT and before < _AT_ONCE


def _cut_short(event: Event, fatal: Event) -> bool:
    """Say whether an event has no stack only because another CPU's worse end came between."""
    kind, end = KINDS[event.kind], KINDS[fatal.kind]
    beside = fatal.line - event.line <= _BESIDE
    return beside and kind.choice == end.choice == FAULT and kind.severity >= end.severity
