"""The report on a log in the shape of a report on a dump, so that one page shows either.

Owns which facts of a log's events become which section. The sentences are log_report.py's.
"""

from __future__ import annotations

from btfdbg.report.blame.signature import signature_of
from btfdbg.report.kinds import KINDS
from btfdbg.report.logs.log_report import access_text, signature, verdict, warned
from btfdbg.report.parts import Line, Report, Section, Stack, Table
from btfdbg.report.severity import main_event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from btfdbg.report.event import Event
    from btfdbg.report.logs.files import Log

_LISTED = 200  # events


def report_of_log(log: Log, name: str) -> Report:
    """
    Return what a log says as a :class:`~btfdbg.report.parts.Report`.

    :param name: Of the file; stands on the page as the source.
    """
    event = main_event(log.events)
    doubts = [f"{name}: {log.cut}"] if log.cut else []
    sections = []
    if event is None:
        evidence = ["No line of the log begins a report of a crash."]
        if log.events:
            evidence = ["The log reports something, but nothing that ended the kernel."]
    else:
        evidence = [
            f"{event.message} (line {event.line})",
            *((f"The WARNING says: {event.said}",) if event.said else ()),
            "A log tells what the kernel printed; its dump, if there is one, tells more.",
        ]
        if event.corrupted:
            doubts.append(f"not to be relied on: {event.reason}")
        sections.append(Section("crash", "The crash", _crash(event)))
    if log.events:
        sections.append(Section("events", "All reports of the log", tuple(_all(log))))
    return Report(
        verdict=verdict(log.events),
        kind="snapshot" if event is None else event.kind,
        signature=signature_of("snapshot", ()) if event is None else signature(event),
        evidence=tuple(evidence),
        doubts=tuple(doubts),
        sections=tuple(sections),
        source=name,
        release=_release(log),
    )


def _release(log: Log) -> str:
    return next((event.release for event in log.events if event.release), "")


def _crash(event: Event) -> tuple[Table | Stack | Line, ...]:
    rows = (
        ("kind", KINDS[event.kind].words + (f" ({event.detail})" if event.detail else "")),
        ("access", access_text(event)),
        ("task", f"{event.comm}({event.pid})" if event.pid is not None else event.comm),
        ("CPU", "" if event.cpu is None else str(event.cpu)),
        ("host", event.host),
        ("machine", event.hardware),
        ("seconds since boot", "" if event.seconds is None else f"{event.seconds:.6f}"),
        ("lines", f"{event.line} to {event.last_line}"),
    )
    facts = Table(("", ""), tuple(row for row in rows if row[1]))
    if not event.frames:
        return facts, Line("No stack belongs to it.", "note")
    blamed = next((reason.frame for reason in signature(event).reasons if reason.kept), None)
    frames = tuple(
        f"{frame.name}{f' [{frame.module}]' if frame.module else ''}"
        f"{'   ← blamed' if frame is blamed else ''}"
        for frame in event.frames
        if frame.sure
    )
    return facts, Stack(frames, "stack")


def _all(log: Log) -> list[Table | Line]:
    rows = tuple(
        (
            one.line,
            "" if one.seconds is None else f"{one.seconds:.6f}",
            f"{one.title}{warned(one)}{' (panic)' if one.panicked else ''}",
        )
        for one in log.events[:_LISTED]
    )
    left = len(log.events) - len(rows)
    items: list[Table | Line] = [Table(("line", "seconds", "what"), rows, left_out=left)]
    if log.left_out:
        items.append(Line(f"{log.left_out} later reports were only counted.", "note"))
    return items
