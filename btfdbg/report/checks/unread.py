"""What of the dump could not be read, and what opening it had to work around."""

from __future__ import annotations

from collections.abc import Iterator

from btfdbg.report.look import Look
from btfdbg.report.parts import Item, Line
from btfdbg.report.registry import check


@check("unread", "What could not be read", more=("info",), order=100)
def unread(look: Look) -> Iterator[Item]:
    """Print notes and failed reads."""
    any_ = False
    for note in look.session.notes:
        any_ = True
        yield Line(str(note), "note")
    from btfdbg.vmcore.read_failures import unread as failures

    count = failures(look.prog)
    for remark in count.remarks():
        any_ = True
        yield Line(remark, "note")
    summary = count.summary(look.prog, look.session.dump)
    if summary is not None:
        any_ = True
        yield Line(str(summary), "note")
    if look.passed_over:
        yield Line("Some of what was asked for cannot be told; the sections say what.", "note")
    elif not any_:
        yield Line("Everything that was asked for could be read.")
