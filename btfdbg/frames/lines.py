"""The lines that a backtrace shows for a frame's arguments.

Owns the wording; its callers decide where the lines are shown.
"""

from __future__ import annotations

from collections.abc import Iterable

import drgn

from btfdbg.frames.arguments import Argument, objects_of, recovery, walk
from btfdbg.frames.describe import plain, words
from btfdbg.lazy_dataclass import dataclass
from btfdbg.program.session import Session


@dataclass(frozen=True, slots=True)
class Lines:
    """
    What a backtrace shows below one frame.

    :ivar arguments: ``name=value`` of each parameter; "" if none has a value.
    :ivar sp: Its stack pointer, None if the code does not tell.
    :ivar via: The function between this frame and its caller that left by a jump, or "".
    :ivar caller: The function that called it, if the unwinder left that out, or "".
    """

    arguments: str
    via: str
    sp: int | None = None
    caller: str = ""


def lines(session: Session, frames: Iterable[drgn.StackFrame]) -> list[Lines]:
    """
    Give the lines of each frame.

    :raises DebugInfoError: see :func:`btfdbg.frames.arguments`.
    """
    found = []
    for frame in walk(recovery(session), frames):
        if frame is None:
            found.append(Lines("", ""))
            continue
        found.append(Lines(text(objects_of(session, frame)), frame.via, frame.sp, frame.caller))
    return found


def text(arguments: Iterable[Argument]) -> str:
    """``name=value, …`` of arguments; "" if none has a value."""
    arguments = tuple(arguments)
    if all(a.value is None for a in arguments):
        return ""
    return ", ".join(map(one, arguments))


def one(argument: Argument) -> str:
    """``name=value (words)`` of an argument; ``?`` for a value that is not known."""
    name = argument.name or "?"
    if argument.value is None:
        return f"{name}=?"
    try:
        shown = plain(argument.value)
    except (drgn.FaultError, ValueError, TypeError):
        return f"{name}=?"
    more = words(argument.value)
    if not more:
        return f"{name}={shown}"
    return f"{name}={shown} {more if more.startswith(chr(34)) else f'({more})'}"
