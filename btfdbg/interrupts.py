"""Ctrl-C while something is half done that has to be whole.

Python raises KeyboardInterrupt between any two steps. What is made in several of them and then
taken for granted (functions put in drgn's place, commands imported and registered) must not be
left as it is in the middle: the session goes on after Ctrl-C, and its next answer would be made
with the half.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any


@contextmanager
def held() -> Iterator[None]:
    """
    Let a Ctrl-C wait until the block is done; a second one does not wait.

    For what takes some 10 ms. Outside the main thread, where Python delivers no signals, and
    where somebody's own C handler takes them, it does nothing.

    :raises KeyboardInterrupt: at the end, if the first Ctrl-C came meanwhile.

    >>> with held():
    ...     install_half()
    ...     install_the_other_half()
    """
    before = signal.getsignal(signal.SIGINT)
    if not callable(before):
        yield
        return
    came: list[FrameType | None] = []

    def wait(number: int, frame: FrameType | None) -> None:
        if came:
            before(number, frame)
        came.append(frame)

    try:
        signal.signal(signal.SIGINT, wait)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            before(signal.SIGINT, came[0])


@contextmanager
def not_lost() -> Iterator[None]:
    """
    Let no Ctrl-C be dropped by the block's C code, which prints it and goes on.

    drgn 0.3.0 does so while a Program calls its plugins (``plugins.c``,
    ``drgn_call_plugins_prog()``). Unlike :func:`held`, it makes nothing wait.

    :raises KeyboardInterrupt: at the end, if one came and the block ends as if none had.
    """
    before = signal.getsignal(signal.SIGINT)
    if not callable(before):
        yield
        return
    came: list[FrameType | None] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(frame)
        before(number, frame)

    def show(dropped: Any) -> None:
        if not (came and isinstance(dropped.exc_value, KeyboardInterrupt)):
            shown(dropped)

    shown = sys.unraisablehook
    try:
        signal.signal(signal.SIGINT, note)
    except ValueError:  # not the main thread
        yield
        return
    sys.unraisablehook = show
    try:
        yield
    finally:
        sys.unraisablehook = shown
        signal.signal(signal.SIGINT, before)
    if came:
        before(signal.SIGINT, came[0])


def is_interrupt(error: BaseException) -> bool:
    """
    Whether an error is a Ctrl-C in other clothes.

    drgn 0.3.0 takes what a callback raises for an error of its own: it goes on and leaves the
    exception set, which Python calls a SystemError at the next call (``error.c``,
    ``drgn_error_from_python()``), or it keeps no more of it than the name, in a plain Exception.

    >>> is_interrupt(Exception("couldn't read next module: KeyboardInterrupt"))
    True
    """
    if isinstance(error, SystemError):
        error = error.__cause__ or error
    return isinstance(error, KeyboardInterrupt) or (
        type(error) is Exception and str(error).endswith(KeyboardInterrupt.__name__)
    )


def pass_on(error: BaseException) -> None:
    """
    Raise what the user asked for, where an error is about to be reported or left aside.

    :raises KeyboardInterrupt: see :func:`is_interrupt`.
    """
    if is_interrupt(error):
        raise KeyboardInterrupt from error
