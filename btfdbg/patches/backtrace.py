"""``bt`` and ``foreach bt`` show what each frame was called with.

Owns putting the line of arguments below each of drgn's lines. The values are ``frames``'; the
lines of drgn's command stay as they are, so that what reads crash's format still can.

drgn's private names here: ``drgn.commands._crash._bt._print_one_task`` and ``_print_frame``.
Without them ``bt`` is drgn's.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import drgn
from drgn.commands._crash import _bt

from btfdbg.errors import DebugInfoError
from btfdbg.program.session import Session, find_session
from btfdbg.vmcore.read_failures import unread

if TYPE_CHECKING:
    from btfdbg.frames.lines import Lines

_TOLD = "btfdbg.frames.told"
_INDENT = " " * 7

_shown: list[Lines] = []


def install() -> None:
    """Put the lines into drgn's command; once, after drgn's commands were imported."""
    one_task = getattr(_bt, "_print_one_task", None)
    frame = getattr(_bt, "_print_frame", None)
    if one_task is None or frame is None:
        return
    _bt._print_one_task = _around_task(one_task)
    _bt._print_frame = _around_frame(frame)


def _around_task(print_one_task: Any) -> Any:
    @functools.wraps(print_one_task)
    def around(trace: Any, *args: Any, **kwargs: Any) -> Any:
        session = find_session(trace.prog)
        problem = ""
        if session is not None and not kwargs.get("drgn_style"):
            problem = _find(session, trace)
        try:
            return print_one_task(trace, *args, **kwargs)
        finally:
            _shown.clear()
            if problem:
                print(problem)

    return around


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


class _WithSp:
    """A frame of drgn's with the stack pointer that the code implies."""

    def __init__(self, frame: drgn.StackFrame, sp: int) -> None:
        self._frame = frame
        self.sp = sp

    def __getattr__(self, name: str) -> Any:
        return getattr(self._frame, name)


def _around_frame(print_frame: Any) -> Any:
    @functools.wraps(print_frame)
    def around(
        prog: drgn.Program,
        index: int,
        sp: int | None,
        frame: Any,
        sp_width: int,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        found = _shown[index] if 0 <= index < len(_shown) else None
        if sp is None and found is not None and found.sp is not None:
            sp, frame = found.sp, _WithSp(frame, found.sp)
        result = print_frame(prog, index, sp, frame, sp_width, *args, **kwargs)
        if found is not None and found.arguments:
            print(f"{_INDENT}{found.arguments}")
        if found is not None and found.via:
            print(f"{_INDENT}via {found.via} (tail call)")
        return result

    return around
