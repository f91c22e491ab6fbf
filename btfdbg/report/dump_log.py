"""The kernel log that a dump holds, read as events.

Owns the way from printk's records to the text reader: records keep their callers, so that
CPUs that printed at once do not mix. And which line of them names the panic.

Facts: drgn 0.3.0 ``drgn/helpers/linux/panic.py`` (which messages those are, and their rank).
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


# Messages that name a panic, best first; those of one row count alike.
_PANICS = (
    (b"Kernel panic -",),
    (b"BUG: kernel NULL pointer dereference", b"BUG: unable to handle", b"Unable to handle kernel"),
    (b"Kernel BUG at", b"kernel BUG at"),
    (b"Oops: ",),
)


def panic_message(prog: drgn.Program) -> bytes | None:
    """
    Return what drgn's helper of that name does: the message that the kernel panicked with.

    :return: ``None`` if the log has none. From the message's first word to the line's end.
    :raises LookupError, ValueError, drgn.FaultError: as :func:`lines_of`.

    drgn's reads the log anew, an Object for each field of each record: 15 times what it takes
    to look through records that were read for the events.
    """
    from btfdbg.program.log_records import log_records

    return best_panic(b"\n".join(text for _, _, text in log_records(prog)))


def best_panic(text: bytes) -> bytes | None:
    """
    Return the first of the best messages in a log without time stamps, ``None`` without any.

    >>> best_panic(b"Oops: 0002\nKernel panic - not syncing: Fatal exception\n")
    b'Kernel panic - not syncing: Fatal exception'
    """
    for row in _PANICS:
        start = 0
        while (at := _first(text, row, start, len(text))) >= 0:
            line = text.rfind(b"\n", 0, at) + 1
            end = text.find(b"\n", at)
            end = len(text) if end < 0 else end
            # A message that quotes another one is the one that the line begins with.
            if all(not line <= _first(text, other, line, end) < at for other in _PANICS):
                return text[at:end]
            start = end
    return None


def _first(text: bytes, words: tuple[bytes, ...], start: int, end: int) -> int:
    """Return where the first of some words begins, -1 if none is there."""
    return min((at for word in words if (at := text.find(word, start, end)) >= 0), default=-1)


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
