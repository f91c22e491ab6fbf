"""Lines that are wider than the terminal, broken between words rather than within them.

Owns where a line is broken, and how far what follows is indented. Only what goes to a
terminal is broken: files, pipes and scripts get each line whole, and so does a caller who
asked for JSON or code, which a break would change.

Facts: ECMA-48 (SGR takes no column).
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import IO

from btfdbg.commands.output import Output
from btfdbg.commands.text import escape, terminal_columns, width_of
from btfdbg.lazy_pattern import pattern

_SGR = pattern(r"\x1b\[[0-9;]*m")
# What stays at the left of the first line only: a bullet, a label, a frame's number and address,
# the time of a log line.
_HEAD = pattern(
    r" *(?:[-!…] |(?<= )[A-Z][A-Z ]*: |#\d+ +(?:\[[0-9a-f]+\] )?"
    r"|\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ?)"
)
_CELL = pattern(r"(?<=\S) {2,}(?=\S)")
# What is named by the word before it is not parted from it: RCX: 0000000000000005.
_WORD = pattern(r"\S{1,12}: \S{1,20}(?!\S)|\S+")
_ARGUMENTS = pattern(r" +[\w.]+=")
_ARGUMENT = pattern(r"\S(?:\S| (?! *[\w.]+=))*")


def wrap(line: str, columns: int) -> str:
    """
    A line as lines of at most ``columns`` columns; what follows is indented below its text.

    A word that is wider than that stays whole, and one that is too wide to stand there stands
    further left. Between arguments (``name=value, …``) rather
    than within one.

    >>> print(wrap(" #6 [ff47] kernfs_fop_write_iter at ff9f (fs/kernfs/file.c)", 46))
     #6 [ff47] kernfs_fop_write_iter at ff9f
               (fs/kernfs/file.c)

    :param line: Without its newline; may hold SGR sequences.
    """
    if len(line) <= columns and line.isascii():
        return line
    shown = _SGR.sub("", line) if "\x1b" in line else line
    if width_of(shown) <= columns:
        return line
    hang = _hang(shown, columns)
    left = len(shown) - len(shown.lstrip()) + 2
    widest = max((w for w in map(width_of, shown[hang:].split()) if left + w <= columns), default=0)
    if hang > columns * 2 // 3 or hang + widest > columns:
        hang = min(hang, left)
    gaps = _gaps(shown, columns, hang)
    return _broken(line, shown, gaps, hang) if gaps else line


def _hang(shown: str, columns: int) -> int:
    """Where the text begins that is broken: behind a head, or the cell that is too wide."""
    head = _HEAD.match(shown)
    if head is not None:
        return head.end()
    cells = [gap.end() for gap in _CELL.finditer(shown) if gap.end() < columns]
    return cells[-1] if cells else len(shown) - len(shown.lstrip())


def _gaps(shown: str, columns: int, hang: int) -> list[tuple[int, int]]:
    """Where a line is broken: the spaces that go, as start and end."""
    words = list(_WORD.finditer(shown, hang))
    if _ARGUMENTS.match(shown):
        arguments = list(_ARGUMENT.finditer(shown, hang))
        if all(hang + width_of(a.group()) <= columns for a in arguments):
            words = arguments
    gaps: list[tuple[int, int]] = []
    start, indent, before = 0, 0, 0
    for word in words:
        too_wide = indent + width_of(shown[start : word.end()]) > columns
        if too_wide and before and hang + width_of(word.group()) <= columns:
            gaps.append((before, word.start()))
            start, indent = word.start(), hang
        before = word.end()
    return gaps


def _broken(line: str, shown: str, gaps: list[tuple[int, int]], hang: int) -> str:
    """A line without the gaps of its shown text; its SGR sequences stay, in their order."""
    places = _places(line) if line != shown else range(len(line))
    pieces: list[str] = []
    begin = 0
    for gap_start, gap_end in gaps:
        end = places[gap_start - 1] + 1
        start = places[gap_end]
        pieces.append(line[begin:end] + "".join(_SGR.findall(line[end:start])))
        begin = start
    pieces.append(line[begin:])
    return ("\n" + " " * hang).join(pieces)


def _places(line: str) -> list[int]:
    """Where each shown character stands in a line with SGR sequences."""
    places: list[int] = []
    begin = 0
    for sequence in _SGR.finditer(line):
        places.extend(range(begin, sequence.start()))
        begin = sequence.end()
    places.extend(range(begin, len(line)))
    return places


class _Wrapped(Output):
    """What a command prints, each line broken to the terminal's width when it is whole."""

    def __init__(self, out: Output) -> None:
        super().__init__(out.sink, color=out.color, columns=out.columns)
        self._held: list[str] = []  # of a line that has no end yet

    def write(self, text: str, /) -> int:
        # Tables come cell by cell: a kernel's pages are a million.
        if text.isascii() and text.isprintable():
            self._held.append(text)
        else:
            self.raw(escape(text))
        return len(text)

    def raw(self, text: str) -> None:
        first, *more = text.split("\n")
        self._held.append(first)
        for begun in more:
            super().raw(wrap("".join(self._held), self.columns) + "\n")
            self._held = [begun]

    def flush(self) -> None:
        """What has no end yet is shown as it is."""
        rest, self._held = "".join(self._held), []
        super().raw(rest)
        super().flush()


@contextlib.contextmanager
def wrapped() -> Iterator[None]:
    """Break what is printed to the terminal's width; nothing where stdout is no terminal."""
    out = sys.stdout
    if not isinstance(out, Output) or not out.columns or isinstance(out, _Wrapped):
        yield
        return
    broken = _Wrapped(out)
    sys.stdout = broken
    try:
        yield
    finally:
        sys.stdout = out
        broken.flush()  # what a command had begun to print when it failed as well


def for_stream(text: str, stream: IO[str] | None = None) -> str:
    """Text as it is printed to a stream: its lines broken if that is a terminal."""
    columns = terminal_columns(stream)
    return "\n".join(wrap(line, columns) for line in text.split("\n")) if columns else text
