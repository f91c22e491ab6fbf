"""``bt`` and ``foreach bt``: what each frame was called with, and where it is on the stack.

Owns putting the line of arguments below each of drgn's lines, and the frames that drgn's
command is given. The values are found by ``frames``; the lines of drgn's command stay as they
are, so that what reads crash's format still can. Where drgn knows no stack pointer (arm64, by
frame pointers) it is the one that the code implies, else where the frame's record is.

drgn ends a stack's part at an interrupted frame, so that the entry code which has changed from
the task's stack to an interrupt's (``asm_sysvec_…``, ``el1h_64_irq``) stood above the line
``--- <IRQ stack> ---``, though its words are on the task's; crash has it below.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
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
_leaves: dict[int, str] = {}
"""Number of a frame that is the first outside a special stack, and that stack's name."""
_marks = False
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
                if _marks:
                    trace = _marked(trace)
            result = original(trace, *args, **kwargs)
            if session is not None:
                print_user_registers(trace)
            return result
        finally:
            _shown.clear()
            _leaves.clear()
            if problem:
                print(problem)

    return show


def _marked(trace: Any) -> Any:
    """A stack without the lines of drgn's that stand too low; frames are printed with them."""
    from drgn.helpers.linux.stack import LinuxKernelStack, StackKind, StackSegment

    segments = []
    first = 0
    # Of a task that gave its stack back there is no segment.
    for segment, after in zip_longest(trace.segments, trace.segments[1:]):
        kind = segment.kind
        if after is not None and kind not in (StackKind.USER, StackKind.TASK, StackKind.UNKNOWN):
            inside = len(segment.frames) - _below(trace.prog, segment.frames, after.frames[0])
            if 0 < inside < len(segment.frames):
                _leaves[first + inside] = kind.name
                kind = StackKind.UNKNOWN
        segments.append(StackSegment(kind, segment.frames))
        first += len(segment.frames)
    return LinuxKernelStack(trace.prog, segments)


def _below(prog: drgn.Program, frames: Sequence[Any], interrupted: Any) -> int:
    """How many of the last frames are on the stack of the frame that they interrupted."""
    count = 0
    try:
        size = prog["THREAD_SIZE"].value_()
        end = interrupted.sp
        for frame in reversed(frames):
            if not 0 <= end - frame.sp < size:
                break
            count += 1
    except (LookupError, drgn.FaultError):
        pass
    return count


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
    global _marks
    _marks = True

    def show(prog: drgn.Program, index: int, *args: Any, **kwargs: Any) -> Any:
        if _offsets and len(args) > 1:
            sp, frame, *more = args
            args = (sp, _WithOffset(prog, frame, _offsets[-1]), *more)
        global _doubtful
        if index in _leaves:
            print(f"--- <{_leaves[index]} stack> ---")
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
