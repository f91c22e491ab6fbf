"""What a dump or a log says happened, and what the crash is called.

In reading order:

kinds.py       the kinds of event, one row each
event.py       the values: Event, Frame
lines.py       text → line: time stamp, caller, message
stacklines.py  line → frame, register, heading
headers.py     the messages that begin a report, one row each
text.py        text → events; building.py is one report while it is read, panics.py what ends it,
               deciding.py which of its stacks decides
names.py       names of functions as keys; rust.py: those of Rust
rules.py       the functions that are never to blame, one row per family; match.py looks up
choice.py      stack → function to blame, with the reason for each frame
signature.py   kind, stack → title, alternatives and hash
severity.py    which event the crash is about
parts.py       the values that a report on a dump is made of, and its checks' registry
look.py        tasks, stacks and log of a dump, each read once
witness.py     functions on the panic's stack → kind, one row per family
syscall.py     the system call of a task, its arguments and file
alike.py       stacks that are alike, unwound once
waits.py       what a blocked task waits for; blocked.py: groups, chains, circles
happened.py    the decision: kind, deciding stack, access; sentence.py: its words
place.py       where it happened: task, frame, lines of the log
clock.py       jiffies → seconds; pools.py: work queues; trouble.py: why one was panicked by hand
checks/        the sections, one file per subject; the user's own come beside them
whole.py       report(session); as_text.py, as_json.py, as_html.py show it
files.py       logs as files; log_report.py: the report on one
log_page.py    a log's report in the shape of a dump's
triage.py      many crashes → groups and hints; known.py: local knowledge of them
finding.py     which files are dumps and logs; workers.py reads them, kept.py keeps results
on_dask.py     the same on other machines; read_batch.py: some files in a process there
crash_of.py    one file → its crash; singles.py: the page about it
triage_text.py groups as text and JSON lines; triage_html.py the index; history.py its bars
pages.py       HTML templates

Why rules as data: which function is machinery is a judgement that grows with every log;
a row is reviewed, tested and explained (``btfdbg signature --why``) by itself.

The names below are resolved on first use: start-up pays for none of it.
"""

from __future__ import annotations

# A plain name, which type checkers take for typing's: that module takes 5 ms to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from btfdbg.report.event import Event, Frame
    from btfdbg.report.parts import Report, check
    from btfdbg.report.signature import Signature, joins, signature_of, similarity
    from btfdbg.report.text import Reader, events
    from btfdbg.report.whole import report

__all__ = [
    "Event",
    "Frame",
    "Reader",
    "Report",
    "Signature",
    "check",
    "events",
    "joins",
    "report",
    "signature_of",
    "similarity",
]

_HOME = {
    "Event": "event",
    "Frame": "event",
    "Reader": "text",
    "Report": "parts",
    "check": "parts",
    "report": "whole",
    "Signature": "signature",
    "events": "text",
    "joins": "signature",
    "signature_of": "signature",
    "similarity": "signature",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
