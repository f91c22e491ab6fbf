"""The kernel log that a dump holds, read as events.

Owns the way from printk's records to the text reader: records keep their callers, so that
CPUs that printed at once do not mix.
"""

from __future__ import annotations

from btfdbg.errors import DebugInfoError
from btfdbg.report.logs.files import Log
from btfdbg.report.logs.text import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    import drgn


def lines_of(prog: drgn.Program) -> Iterator[str]:
    """
    Yield the log's lines as a console shows them, each with its time stamp and caller.

    :raises LookupError, ValueError: its structures are not known, or damaged.
    """
    from btfdbg.program.log_records import log_records

    for nanoseconds, caller, text in log_records(prog):
        seconds, rest = divmod(nanoseconds, 10**9)
        who = f"[{caller}]" if caller else ""
        for line in text.decode("utf-8", "replace").split("\n"):
            yield f"[{seconds}.{rest // 1000:06}]{who} {line}\n"


def log_of_dump(prog: drgn.Program) -> Log:
    """
    Return the events of a dump's log.

    :raises DebugInfoError: The log cannot be read.
    """
    reader = Reader()
    try:
        reader.feed("".join(lines_of(prog)))
    except (LookupError, ValueError) as e:
        raise DebugInfoError(f"the dump's log cannot be read: {e}", step="log") from e
    return Log(tuple(reader.finish()), reader.left_out)
