"""``bt``, ``foreach bt`` and ``sym`` name the source file of what they show.

Owns putting the file at the end of drgn's lines, in parentheses for a frame, as drgn
itself does where DWARF tells; where DWARF is there, the line stays drgn's. Which
file it is, is found by ``frames.sources``.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from typing import Any

import drgn

from btfdbg.errors import BtfdbgError
from btfdbg.program.session import find_session

_NO_ANSWER = (LookupError, ValueError, drgn.FaultError, BtfdbgError)


def file_at(prog: drgn.Program, address: int) -> str:
    """The file of the code at an address, "" if none is known."""
    from btfdbg.frames.sources import source_file

    session = find_session(prog)
    if session is None:
        return ""
    try:
        found = source_file(session, address)
    except _NO_ANSWER:
        return ""
    # Printable by construction: names of files with other characters are no names.
    return "" if found is None else str(found)


def print_frame(original: Callable[..., Any]) -> Callable[..., Any]:
    """Print a frame with its source file."""

    def show(
        prog: drgn.Program,
        index: int,
        sp: int | None,
        frame: drgn.StackFrame,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        file = "" if _has_source(frame) else file_at(prog, _code_address(frame))
        if not file:
            return original(prog, index, sp, frame, *args, **kwargs)
        text = io.StringIO()
        with redirect_stdout(text):
            result = original(prog, index, sp, frame, *args, **kwargs)
        first, newline, rest = text.getvalue().partition("\n")
        print(f"{first} ({file})", end=newline + rest)
        return result

    return show


def _has_source(frame: drgn.StackFrame) -> bool:
    try:
        frame.source()
    except LookupError:
        return False
    return True


def _code_address(frame: drgn.StackFrame) -> int:
    """An address in what the frame was executing: a return address may be behind it."""
    try:
        pc: int = frame.pc
        return pc if frame.interrupted or not pc else pc - 1
    except LookupError:
        return 0


def print_symbols(original: Callable[..., Any]) -> Callable[..., Any]:
    """Print symbols with their source files (``sym -l`` and the like)."""

    def show(
        prog: drgn.Program,
        symbols: Sequence[drgn.Symbol],
        indent: str = "",
        verbose: bool = False,
    ) -> None:
        if not verbose:
            original(prog, symbols, indent, verbose)
            return
        for symbol in symbols:
            text = io.StringIO()
            with redirect_stdout(text):
                original(prog, [symbol], indent, verbose)
            line = text.getvalue().rstrip("\n")
            # drgn adds what DWARF says; ours is for where that says nothing.
            bare = line == f"{indent}{symbol.address:x} {symbol.name}"
            file = file_at(prog, symbol.address) if bare else ""
            print(f"{line} {file}" if file else line)

    return show
