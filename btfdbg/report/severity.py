"""Which of a log's events the crash is about: :func:`main_event`.

Owns the order in which events are held to be the cause.
"""

from __future__ import annotations

from btfdbg.report.kinds import KINDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from btfdbg.report.event import Event

# Events that kernels live with: the cause only if there is no other.
_HARMLESS = 40
_CORRUPTION = 87
_JUST_BEFORE = 5.0  # seconds


def main_event(events: Sequence[Event]) -> Event | None:
    """
    Return the event that a crash is called after, or None if there is none.

    The first that the kernel panicked for, or the memory corruption that was reported
    just before, which others trip over; without a panic the first that is no mere
    warning or shortage; else the first.
    """
    fatal = next((event for event in events if event.panicked), None)
    if fatal is not None:
        return next((event for event in events if _led_to(event, fatal)), fatal)
    for event in events:
        if KINDS[event.kind].severity >= _HARMLESS:
            return event
    return events[0] if events else None


def _led_to(event: Event, fatal: Event) -> bool:
    return (
        event.line < fatal.line
        and KINDS[event.kind].severity >= _CORRUPTION > KINDS[fatal.kind].severity
        and event.seconds is not None
        and fatal.seconds is not None
        and fatal.seconds - event.seconds < _JUST_BEFORE
    )
