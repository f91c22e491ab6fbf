"""What a dump or a log says happened, and what the crash is called.

In reading order:

kinds.py     the kinds of event, one row each
event.py     the values: Event, Frame
logs/        text → events
blame/       stack → function to blame, title, signature
severity.py  which event the crash is about
parts.py     the values that a report on a dump is made of
calls.py     a frame, a task's name, what a question may end in; locks.py: a lock
look.py      tasks, stacks and log of a dump, each read once; dump_log.py: its log
witness.py   functions on the panic's stack → kind, one row per family
syscall.py   the system call of a task, its arguments and file
alike.py     stacks that are alike, unwound once
waits.py     what a blocked task waits for; blocked.py: groups, chains, circles
happened.py  the decision: kind, deciding stack, access; sentence.py: its words
taints.py    what taints the kernel, in letters
place.py     where it happened: task, frame, lines of the log
clock.py     jiffies → seconds; pools.py: work queues; trouble.py: why one was panicked by hand
first.py     the first lines of a prompt, before anybody asked
registry.py  what a check is, and all of them
checks/      the sections, one file per subject; the user's own come beside them
whole.py     report(session); as_text.py, as_json.py, as_html.py show it
pages.py     HTML templates
triage/      many dumps and logs → groups, hints, an index

Why rules as data: which function is machinery is a judgement that grows with every log;
a row is reviewed, tested and explained (``btfdbg signature --why``) by itself.

The names below are resolved on first use: start-up pays for none of it.
"""

from __future__ import annotations

# A plain name, which type checkers take for typing's: that module takes 5 ms to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from btfdbg.report.blame.signature import Signature, joins, signature_of, similarity
    from btfdbg.report.event import Event, Frame
    from btfdbg.report.logs.text import Reader, events
    from btfdbg.report.parts import Report
    from btfdbg.report.registry import check
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
    "Reader": "logs.text",
    "Report": "parts",
    "check": "registry",
    "report": "whole",
    "Signature": "blame.signature",
    "events": "logs.text",
    "joins": "blame.signature",
    "signature_of": "blame.signature",
    "similarity": "blame.signature",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
