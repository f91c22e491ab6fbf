"""Where a stack ends because its memory is missing, and what the unwinder gives is made up.

Owns one rule. Where a frame's return address cannot be read, drgn's unwinder goes on by the
frame pointer. A kernel built without frame pointers keeps anything in that register, and what
it happens to point to is shown as frames: their return addresses are no code, or their stack
pointers are on no stack. Only what comes after memory that cannot be read is doubted; a stack
that is whole is never touched.

Facts: drgn ``libdrgn/arch_x86_64.c`` (the fallback for a frame that the unwind tables do not
finish reads where rbp points).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import drgn

from btfdbg.vmcore.read_failures import unread

_KERNEL = 1 << 63
_PAGE = 4096
_LARGEST = 1 << 18  # bytes of a kernel stack
_MAX_FRAMES = 1 << 12

REMARK = "the stack's page is not in the dump: the frames end there"
NO_WAY = "the unwind tables know no way on from there: the frames end there"


def reason(prog: drgn.Program, at: int) -> str:
    """
    Say why a stack's frames end.

    :param at: The address that cannot be read, as of :func:`missing_at`. Behind a task's
        stack, whose size is its alignment as well, lies nothing that a dump could lack.
    """
    try:
        size = int(prog["THREAD_SIZE"])
    except (LookupError, drgn.FaultError):
        return REMARK
    return NO_WAY if size > 0 and at % size == 0 else REMARK


def missing_at(prog: drgn.Program, frames: Iterable[drgn.StackFrame]) -> tuple[int, int] | None:
    """
    Tell which frame of a stack is the first that is made up.

    :param frames: Of one stack, innermost first, inlined ones too.
    :return: Its number, from 1, and the stack's address that cannot be read; ``None`` if
        nothing speaks against the frames.

    >>> missing_at(prog, prog.stack_trace(586))
    (1, 18389210068359313912)
    """
    before: int | None = None
    for number, frame in enumerate(itertools.islice(frames, _MAX_FRAMES)):
        try:
            sp: int | None = int(frame.sp)
        except LookupError:
            sp = None
        if number and sp is not None and before is not None and not frame.interrupted:
            if before < _KERNEL:
                return None  # a program's frames, which are the last
            lost = _lost(prog, frame, before, sp)
            if lost is not None:
                return number, lost
        before = sp
    return None


def known(prog: drgn.Program, trace: drgn.StackTrace) -> tuple[tuple[drgn.StackFrame, ...], str]:
    """
    Tell the frames of a stack that are not made up, and why there are no more.

    :return: The reason is "" if nothing speaks against any of them.
    """
    missing = missing_at(prog, trace)
    if missing is None:
        return tuple(trace), ""
    count, at = missing
    return tuple(trace)[:count], f"{reason(prog, at)} ({at:#x} cannot be read)"


def _lost(prog: drgn.Program, frame: drgn.StackFrame, before: int, sp: int) -> int | None:
    """The address that is missing between a frame and one that cannot be its caller's."""
    jumps = not before <= sp <= before + _LARGEST
    if not _readable(prog, before):
        return before if jumps or not _is_code(prog, frame) else None
    # The return address may lie in the page behind. A stack of a CPU's own ends with a page
    # that nobody has, so that this alone says nothing of a frame that is code.
    behind = (before | (_PAGE - 1)) + 1
    if jumps and not _is_code(prog, frame) and not _readable(prog, behind):
        return behind
    return None


def _is_code(prog: drgn.Program, frame: drgn.StackFrame) -> bool:
    try:
        with unread(prog).silent():
            frame.symbol()
    except LookupError:
        return False
    return True


def _readable(prog: drgn.Program, at: int) -> bool:
    try:
        with unread(prog).silent():
            prog.read(at, 1)
    except (drgn.FaultError, OverflowError):
        return False
    return True
