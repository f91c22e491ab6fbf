"""A last word when the dump becomes shorter while it is open.

libkdumpfile maps kdump files into memory, and a mapping of what is no longer in the file
is no error that can be caught: the kernel sends SIGBUS, which kills without a word. Here
it says what happened, gives the terminal back and ends with the status for input that
cannot be used. ELF, LiME and raw dumps are read, not mapped, and need none of this.

Why ctypes: Python runs its own signal handlers between two instructions of its own, and
to one that faults it never comes back. The handler here is called by the C library, in
the thread that reads the dump and so holds the interpreter.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from typing import Any

_STATUS = 2
# What the C library calls must not be collected.
_handlers: list[Any] = []


def end_with_a_message(path: str | os.PathLike[str]) -> None:
    """
    From now on, let a bus error end the process with a message.

    For the command line only: who imports btfdbg keeps their own signal handlers.

    :param path: The dump, for the message.
    """
    if faulthandler.is_enabled():
        return  # somebody wants the traceback
    import ctypes

    message = (
        f"btfdbg: {os.fspath(path)!r} became shorter, or could not be read, while it was open;"
        " is it still being copied?\n"
    ).encode(errors="backslashreplace")
    terminal = _terminal()

    def handler(_number: int) -> None:
        if terminal is not None:
            import termios

            termios.tcsetattr(0, termios.TCSANOW, terminal)
        os.write(2, message)
        os._exit(_STATUS)

    called = ctypes.CFUNCTYPE(None, ctypes.c_int)(handler)
    _handlers.append(called)
    ctypes.CDLL(None).signal(ctypes.c_int(signal.SIGBUS), called)


def _terminal() -> list[Any] | None:
    """The terminal's settings as they are now, before any prompt changes them."""
    import termios

    try:
        return termios.tcgetattr(0)
    except termios.error:
        return None
