"""``bt`` and ``foreach bt``: what each frame was called with, and where it is on the stack.

Owns putting the line of arguments below each of drgn's lines, and the frames that drgn's
command is given. The values are found by ``frames``; the lines of drgn's command stay as they
are, so that what reads crash's format still can. Where drgn knows no stack pointer (arm64, by
frame pointers) it is the one that the code implies, else where the frame's record is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import drgn

from btfdbg.errors import DebugInfoError
from btfdbg.patches.stacks import print_user_registers, with_addresses
from btfdbg.program.session import Session, find_session
from btfdbg.vmcore.read_failures import unread

if TYPE_CHECKING:
    from btfdbg.frames.lines import Lines

_TOLD = "btfdbg.frames.told"
_INDENT = " " * 7

_shown: list[Lines] = []
_doubtful = False
_explaining = 0
_offsets: list[str] = []


@contextlib.contextmanager
def names_with_offsets(form: str) -> Iterator[None]:
    """Show each function with the offset in it, formatted so (``d``, ``x``), for a while."""
    depth = len(_offsets)
    try:
        _offsets.append(form)
        yield
    finally:
        del _offsets[depth:]


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Say once, behind all stacks that are shown in it, what the mark of a value means."""
    global _doubtful, _explaining
    _explaining += 1
    try:
        yield
        if _doubtful and _explaining == 1:
            from btfdbg.frames.lines import MEANING

            print(f"({MEANING})")
    finally:
        _explaining -= 1
        if not _explaining:
            _doubtful = False


class _WithOffset:
    """A frame whose name has the offset of its program counter behind it."""

    def __init__(self, prog: drgn.Program, frame: Any, form: str) -> None:
        self._frame = frame
        self.name = frame.name
        try:
            start = prog.symbol(frame.pc - (not frame.interrupted)).address
        except LookupError:
            return
        self.name += f"+{'0x' * (form == 'x')}{frame.pc - start:{form}}"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._frame, name)


def print_one_task(original: Callable[..., Any]) -> Callable[..., Any]:
    """Print a stack whose frames have addresses, with what they were called with."""

    def show(trace: Any, *args: Any, **kwargs: Any) -> Any:
        session = find_session(trace.prog)
        problem = ""
        try:
            if session is not None:
                if not kwargs.get("drgn_style"):
                    problem = _find(session, trace)
                trace = with_addresses(trace, [line.sp for line in _shown])
            result = original(trace, *args, **kwargs)
            if session is not None:
                print_user_registers(trace)
            return result
        finally:
            _shown.clear()
            if problem:
                print(problem)

    return show


def _find(session: Session, trace: Any) -> str:
    """Fill the lines of the frames; say once why there can be none."""
    from btfdbg.frames.lines import lines

    try:
        # What cannot be read costs a value, and the value says so itself.
        with unread(session.prog).silent():
            _shown[:] = lines(session, trace)
    except DebugInfoError as e:
        if session.prog.cache.setdefault(_TOLD, False):
            return ""
        session.prog.cache[_TOLD] = True
        return f"arguments are not shown: {e}{f' ({e.hint})' if e.hint else ''}"
    except (drgn.FaultError, LookupError, ValueError) as e:
        return f"arguments are not shown: {e}"
    return ""


def print_frame(original: Callable[..., Any]) -> Callable[..., Any]:
    """Print a frame, and below it what it was called with."""

    def show(prog: drgn.Program, index: int, *args: Any, **kwargs: Any) -> Any:
        if _offsets and len(args) > 1:
            sp, frame, *more = args
            args = (sp, _WithOffset(prog, frame, _offsets[-1]), *more)
        global _doubtful
        result = original(prog, index, *args, **kwargs)
        found = _shown[index] if 0 <= index < len(_shown) else None
        if found is not None:
            _doubtful = _doubtful or found.doubtful
        if found is not None and found.arguments:
            print(f"{_INDENT}{found.arguments}")
        if found is not None and found.via:
            print(f"{_INDENT}via {found.via} (tail call)")
        if found is not None and found.caller:
            print(f"{_INDENT}called by {found.caller}, which the unwinder leaves out")
        return result

    return show
