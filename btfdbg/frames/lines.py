"""The lines that a backtrace shows for a frame's arguments.

Owns the wording; its callers decide where the lines are shown.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import drgn

from btfdbg.cache import blake2b
from btfdbg.frames.arguments import Argument, objects_of, recovery, walk
from btfdbg.frames.describe import plain, words
from btfdbg.frames.recover import MAX_FRAMES
from btfdbg.lazy_dataclass import dataclass
from btfdbg.program.session import Session

UNCONFIRMED = "?"
"""Behind a value that one word of memory alone tells."""
MEANING = f"{UNCONFIRMED} behind a value: one word of memory alone tells it, nothing confirms it"
_CACHE_KEY = "btfdbg.frames.lines"
_DIGEST = 24
# Some 2 KB each.
_MAX_STACKS = 1024


@dataclass(frozen=True, slots=True)
class Lines:
    """
    What a backtrace shows below one frame.

    :ivar arguments: ``name=value`` of each parameter; "" if none has a value.
    :ivar sp: Its stack pointer, None if the code does not tell.
    :ivar via: The function between this frame and its caller that left by a jump, or "".
    :ivar doubtful: Whether a value is among them that nothing confirms.
    :ivar caller: The function that called it, if the unwinder left that out, or ""; with its
        arguments, if any is known.
    """

    arguments: str
    via: str
    sp: int | None = None
    caller: str = ""
    doubtful: bool = False


def lines(session: Session, frames: Iterable[drgn.StackFrame]) -> list[Lines]:
    """
    Give the lines of each frame.

    :raises DebugInfoError: see :func:`btfdbg.frames.arguments`.
    """
    every = list(frames)
    kept = _kept(session.prog)
    key = None if kept is None else kept.key(every)
    if kept is not None and key in kept.lines:
        return list(kept.lines[key])
    found = []
    for frame in walk(recovery(session), every):
        if frame is None:
            found.append(Lines("", ""))
            continue
        caller = frame.caller
        left_out, own = objects_of(session, frame.left_out), objects_of(session, frame)
        passed = text(left_out)
        if passed:
            caller = f"{caller}({passed})"
        doubtful = any(a.value is not None and not a.confirmed for a in (*left_out, *own))
        found.append(Lines(text(own), frame.via, frame.sp, caller, doubtful))
    if kept is not None and key is not None:
        kept.add(key, found)
    return found


class _Kept:
    """
    Lines of stacks that were shown before: a dump does not change.

    They depend on memory and on what the frames are: program counters, registers.
    """

    def __init__(self) -> None:
        self.lines: dict[bytes | None, tuple[Lines, ...]] = {}
        self._names: dict[tuple[str, ...], int] = {}

    def key(self, frames: list[drgn.StackFrame]) -> bytes | None:
        """A digest of what the frames are; ``None`` for more of them than are looked at."""
        if len(frames) > MAX_FRAMES:
            return None
        words = array("Q")
        try:
            for frame in frames:
                registers = frame.registers()
                names = self._names.setdefault(tuple(registers), len(self._names))
                words.extend((names, frame.is_inline << 1 | frame.interrupted, frame.pc))
                words.extend(registers.values())
        except (LookupError, OverflowError):
            return None
        return blake2b(words.tobytes(), digest_size=_DIGEST).digest()

    def add(self, key: bytes, lines: list[Lines]) -> None:
        """Keep the lines of a stack, within bounds."""
        if len(self.lines) >= _MAX_STACKS:
            self.lines.clear()
        self.lines[key] = tuple(lines)


def _kept(prog: drgn.Program) -> _Kept | None:
    """What is kept for a Program; nothing for one whose memory changes."""
    if prog.flags & drgn.ProgramFlags.IS_LIVE:
        return None
    found = prog.cache.get(_CACHE_KEY)
    if not isinstance(found, _Kept):
        found = prog.cache[_CACHE_KEY] = _Kept()
    return found


def text(arguments: Iterable[Argument]) -> str:
    """``name=value, …`` of arguments; "" if none has a value."""
    arguments = tuple(arguments)
    if all(a.value is None for a in arguments):
        return ""
    return ", ".join(map(one, arguments))


def one(argument: Argument) -> str:
    """
    ``name=value (words)`` of an argument; ``?`` for a value that is not known.

    Behind a value that nothing confirms stands :data:`UNCONFIRMED`.
    """
    name = argument.name or "?"
    if argument.value is None:
        return f"{name}=?"
    try:
        shown = plain(argument.value)
    except (drgn.FaultError, ValueError, TypeError):
        return f"{name}=?"
    if not argument.confirmed:
        shown += UNCONFIRMED
    more = words(argument.value)
    if not more:
        return f"{name}={shown}"
    return f"{name}={shown} {more if more.startswith(chr(34)) else f'({more})'}"
