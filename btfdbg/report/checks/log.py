"""The kernel's log from the first trouble on, and all that it reports."""

from __future__ import annotations

from collections.abc import Iterator

from btfdbg.report.logs.log_report import warned
from btfdbg.report.look import Look
from btfdbg.report.parts import Item, Line, Stack, Table
from btfdbg.report.registry import check

_EVENTS = 30
_LINES = 60
_TAIL = 25


@check("log", "Kernel log", more=("log", "log -T"), order=90)
def log(look: Look) -> Iterator[Item]:
    """Print what the log reports, then its lines."""
    from btfdbg.report.place import log_from_first_report

    events = look.events
    if events:
        rows = tuple(
            (
                "" if e.seconds is None else f"{e.seconds:.3f}",
                e.title + warned(e),
                "panic" if e.panicked else "",
            )
            for e in events[:_EVENTS]
        )
        yield Table(("s", "report", ""), rows, "reports in the log", max(len(events) - _EVENTS, 0))
    told = log_from_first_report(look)
    shown = told.lines if told.first else told.lines[-_TAIL:]
    begins = "from shortly before the first report on" if told.led else "from the first report on"
    yield Stack(shown[:_LINES], begins if told.first else "its end")
    if len(shown) > _LINES:
        yield Line(f"{len(shown) - _LINES} more lines: log", "note")
