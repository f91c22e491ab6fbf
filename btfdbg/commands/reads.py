"""The line at the end of a command: how much memory could not be read, and why.

Owns when counting starts and ends, and the words. The count itself and its reasons are
``vmcore.read_failures``'s; what a command does about missing memory is its own.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import drgn

from btfdbg.program.session import Session
from btfdbg.program.watched import watch
from btfdbg.vmcore.read_failures import unread


@contextlib.contextmanager
def counted(session: Session, word: str) -> Iterator[None]:
    """
    Run a command; where memory could not be read, say so on stderr when it ends.

    Of commands that run others, each says its own.

    :param word: Its name, which begins the line.
    """
    watch(session)
    count = unread(session.prog)
    if not count.running:
        count.forget()
    count.running += 1
    try:
        yield
    finally:
        count.running -= 1
        _say(session, word)


def count_error(session: Session, error: BaseException) -> None:
    """Count an error that reaches the user if it, or what it comes from, is a failed read."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, drgn.FaultError):
            unread(session.prog).note_fault(cause)
            return
        cause = cause.__cause__ or cause.__context__


def told_with(session: Session, error: BaseException) -> str:
    """
    Why the read failed that ends a command; "" if it was another error.

    Where it is all that could not be read, the line at the command's end would say the same
    once more, and is not printed.
    """
    if not isinstance(error, drgn.FaultError):
        return ""
    count = unread(session.prog)
    found = count.take_only(session.prog, session.dump, error)
    if found is None:
        why = count.explain(session.prog, session.dump, error)
    else:
        from btfdbg.commands.state import state_of

        why, reads = found
        state_of(session.prog).faults += reads
    at = f"{why.address:#x}"
    text = str(why)
    rest = text.removeprefix(at)
    if rest == text:  # a physical address, which the text calls so
        return f"cannot read memory: {text}"
    return f"cannot read memory at {at}: {rest[2:] if rest.startswith(': ') else f'it{rest}'}"


def _say(session: Session, word: str) -> None:
    count = unread(session.prog)
    said = list(count.remarks())
    found = count.summary(session.prog, session.dump)
    if found is None and not said:
        return
    # Not before there is something to say: ``-e`` prints nothing in colour.
    from btfdbg.commands.output import print_error
    from btfdbg.commands.state import state_of
    from btfdbg.commands.text import one_line

    state = state_of(session.prog)
    if found is not None:
        state.faults += found.reads
        said.append(str(found))
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    for text in said:
        print_error(state, one_line(f"{word or 'btfdbg'}: {text}"))
