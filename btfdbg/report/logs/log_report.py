"""The report on a log: the verdict first, then the event, its stack, and all events.

Owns the sentences and the JSON of ``btfdbg report --log``. The schema is
log_report.schema.json beside this file; its version is raised when a member changes
its meaning or goes away.
"""

from __future__ import annotations

from btfdbg.report.blame.signature import VERSION, signature_of
from btfdbg.report.kinds import KINDS
from btfdbg.report.logs.lines import printable
from btfdbg.report.logs.told import shortened
from btfdbg.report.logs.wall_clock import time_of
from btfdbg.report.severity import main_event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from btfdbg.report.blame.signature import Signature
    from btfdbg.report.event import Event, Frame
    from btfdbg.report.logs.files import Log

JSON_VERSION = 1
_TOLD = 100  # characters of what a WARNING says, in the verdict
_LISTED = 40  # events that the text lists
_STACK = 24  # frames that the text shows


def verdict(events: Sequence[Event]) -> str:
    """
    Return the one sentence that says what happened.

    >>> verdict([])
    'The log holds no report of a crash.'
    """
    event = main_event(events)
    if event is None:
        return "The log holds no report of a crash."
    parts = [event.title + warned(event)]
    if event.comm:
        who = f"{event.comm}({event.pid})" if event.pid is not None else event.comm
        parts.append(f"{'waiting' if event.kind == 'hung-task' else 'running'}: {who}")
    if event.panicked:
        parts.append("the kernel panicked")
    if event.corrupted:
        parts.append(f"not to be relied on: {event.reason}")
    same = sum(other.kind == event.kind for other in events) - 1
    if same > 0 and event.kind == "hung-task":
        parts.append(f"{same} more hung {'task' if same == 1 else 'tasks'}")
    return "; ".join(parts) + "."


def warned(event: Event) -> str:
    """Return what a WARNING says and where it stands, to follow its name; empty for others."""
    if event.kind != "warning":
        return ""
    said = f": {shortened(event.said.rstrip('.'), _TOLD)}" if event.said else ""
    return said + (f" ({event.detail})" if ":" in event.detail else "")


def _name(frame: Frame) -> str:
    return printable(f"{frame.name} [{frame.module}]" if frame.module else frame.name)


def signature(event: Event) -> Signature:
    """Return an event's signature, with the reason for each frame."""
    return signature_of(event.kind, event.frames, event.detail)


def as_text(log: Log, name: str) -> str:
    """Return the report for a person."""
    out = [verdict(log.events)]
    event = main_event(log.events)
    if event is not None:
        out += ["", *_facts(event, time_of(log.clock, event)), "", *_stack(event)]
    if len(log.events) > 1:
        out += ["", f"All {len(log.events)} reports:", "  line      seconds  what"]
        for one in log.events[:_LISTED]:
            when = f"{one.seconds:13.6f}" if one.seconds is not None else " " * 13
            mark = " (panic)" if one.panicked else ""
            out.append(f"{one.line:6} {when}  {one.title}{warned(one)}{mark}")
        if len(log.events) > _LISTED:
            out.append(f"  … and {len(log.events) - _LISTED} more (--format json has all)")
    if log.left_out:
        out.append(f"{log.left_out} later reports were only counted.")
    if log.cut:
        out.append(f"{name}: {log.cut}")
    return printable_lines(out)


def printable_lines(lines: Sequence[str]) -> str:
    """Join lines of which none may hold control characters."""
    return "\n".join(printable(line) for line in lines)


def _facts(event: Event, when: float | None) -> list[str]:
    since = "" if event.seconds is None else f"{event.seconds:.6f} s since boot"
    rows = [
        ("kind", f"{KINDS[event.kind].words}{f' ({event.detail})' if event.detail else ''}"),
        ("message", event.message),
        ("says", event.said),
        ("access", access_text(event)),
        ("task", f"{event.comm}({event.pid})" if event.pid is not None else event.comm),
        ("CPU", "" if event.cpu is None else str(event.cpu)),
        ("kernel", event.release),
        ("machine", " ".join(filter(None, (event.host, event.hardware)))),
        ("at", since if when is None else f"{since}, {_date(when)}"),
        ("lines", f"{event.line} to {event.last_line}"),
    ]
    return [f"{key + ':':9}{value}" for key, value in rows if value]


def _date(when: float) -> str:
    from datetime import datetime, timezone

    return datetime.fromtimestamp(when, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def access_text(event: Event) -> str:
    """Return what the faulting instruction accessed through which register, empty if not known."""
    if not event.code:
        return ""
    from btfdbg.report.logs.registers import access_of

    found = access_of(event)
    return "" if found is None else str(found)


def _stack(event: Event) -> list[str]:
    if not event.frames:
        return ["No stack belongs to it."]
    blamed = next((r.frame for r in signature(event).reasons if r.kept), None)
    shown = [frame for frame in event.frames if frame.sure]
    out = ["Stack:"]
    for frame in shown[:_STACK]:
        mark = "   ← blamed" if frame is blamed else ""
        out.append(f"  {_name(frame)}{mark}")
    if len(shown) > _STACK:
        out.append(f"  … {len(shown) - _STACK} more")
    return out


def signature_text(event: Event, why: bool) -> str:
    """Return the title alone on the first line, then the other keys, then the reasons."""
    found = signature(event)
    out = title_lines(found)
    if why:
        out += ["", *why_lines(found)]
    return printable_lines(out)


def title_lines(found: Signature) -> list[str]:
    """Return the title alone on the first line, then the other keys."""
    out = [found.title]
    out += [f"also: {key}" for key in found.alternatives]
    if found.stack_hash:
        out.append(f"stack: {found.stack_hash}")
    out.append(f"rules: {VERSION}")
    return out


def why_lines(found: Signature) -> list[str]:
    """Return a line for each frame: kept or skipped, by which rule, and why."""
    if not found.reasons:
        return ["No frame was looked at: this kind blames no function, or there is no stack."]
    width = min(48, max(len(_name(reason.frame)) for reason in found.reasons))
    return [
        f"{'keep' if reason.kept else 'skip'}  {_name(reason.frame):{width}}"
        f"  {reason.rule}: {reason.why}"
        for reason in found.reasons
    ]


def signature_dict(found: Signature) -> dict[str, Any]:
    """Return a signature as JSON values."""
    return {
        "title": found.title,
        "alternatives": list(found.alternatives),
        "stack_hash": found.stack_hash,
        "function": found.function,
        "module": found.module,
        "stack": list(found.stack),
        "rules_version": found.version,
    }


def event_dict(event: Event) -> dict[str, Any]:
    """Return an event as JSON values."""
    return {
        "kind": event.kind,
        "title": event.title,
        "function": event.function,
        "module": event.module,
        "detail": event.detail,
        "corrupted": event.corrupted,
        "reason": event.reason,
        "line": event.line,
        "last_line": event.last_line,
        "seconds": event.seconds,
        "caller": event.caller,
        "cpu": event.cpu,
        "pid": event.pid,
        "comm": event.comm,
        "release": event.release,
        "hardware": event.hardware,
        "host": event.host,
        "message": event.message,
        "said": event.said,
        "access": access_text(event),
        "panicked": event.panicked,
        "repeats": event.repeats,
        "severity": KINDS[event.kind].severity,
        "frames": [
            {"name": printable(f.name), "module": f.module, "sure": f.sure, "part": f.part}
            for f in event.frames
        ],
        "signature": signature_dict(signature(event)),
    }


def as_dict(log: Log, name: str) -> dict[str, Any]:
    """Return the report as JSON values, as log_report.schema.json describes them."""
    main = main_event(log.events)
    return {
        "format": "btfdbg log report",
        "version": JSON_VERSION,
        "log": printable(name),
        "verdict": verdict(log.events),
        "main": None if main is None else log.events.index(main),
        "events": [event_dict(event) for event in log.events],
        "left_out": log.left_out,
        "cut": log.cut,
    }
