"""Lines that are wider than the terminal, broken between words rather than within them.

Owns where a line is broken, and how far what follows is indented. Only what goes to a
terminal is broken: files, pipes and scripts get each line whole, and so does a caller who
asked for JSON or for Python, which a break would change. C stays what it is, and is broken
where a person would.

Facts: ECMA-48 (SGR takes no column).
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import IO

from btfdbg.commands.output import Output
from btfdbg.commands.text import COMMENT_COLUMN, escape, terminal_columns, width_of
from btfdbg.lazy_pattern import pattern

_SGR = pattern(r"\x1b\[[0-9;]*m")
# What stays at the left of the first line only: a bullet, a label, a frame's number and address,
# the time of a log line.
_HEAD = pattern(
    r" *(?:[-!…] |(?<= )[A-Z][A-Z ]*: |#\d+ +(?:\[[0-9a-f]+\] )?"
    r"|\[(?: *\d+\.\d+|\w{3} \w{3} [ \d]\d [\d:]{8} \w+ \d{4})\](?: ?\[ *[TC]\d+\])? ?)"
)
_CELL = pattern(r"(?<=\S) {2,}(?=\S)")
_CELLS = pattern(r"\S+(?: \S+)*")
# What is named by the word before it is not parted from it: RCX: 0000000000000005.
_WORD = pattern(r"\S{1,12}: \S{1,20}(?!\S)|\S+")
_ARGUMENTS = pattern(r" +[\w.]+=")
_ARGUMENT = pattern(r"\S(?:\S| (?! *[\w.]+=))*")
# Of C: a comment, a string with what sticks to it, a word.
_STRING = r'"(?:[^"\\]|\\.)*"?'
_ATOM = pattern(rf"/\*.*?\*/|(?:[^\s\"]|{_STRING})+")
_COMMENT = pattern(r"(?<=\S) +/\*.*\*/$")
_CODE_HANG = 4
_END = pattern(r" +((?:\x1b\[[0-9;]*m)*)$")
_TAB = 8  # columns, a terminal's own

Span = tuple[int, int]
"""Start and end of a piece of a line that stays whole."""


def wrap(line: str, columns: int, *, code: bool = False) -> str:
    """
    A line as lines of at most ``columns`` columns; what follows is indented below its text.

    A word that is wider than that stays whole, and one that is too wide to stand there stands
    further left. Between arguments (``name=value, …``) rather
    than within one.

    >>> print(wrap(" #6 [ff47] kernfs_fop_write_iter at ff9f (fs/kernfs/file.c)", 46))
     #6 [ff47] kernfs_fop_write_iter at ff9f
               (fs/kernfs/file.c)

    :param line: Without its newline; may hold SGR sequences.
    :param code: It is C, broken behind commas and before ``=`` and comments if that will do;
        not within a string that fits a line.
    """
    if len(line) <= columns and line.isascii() and "\t" not in line:
        return line
    shown = _SGR.sub("", line) if "\x1b" in line else line
    if width_of(shown.expandtabs(_TAB)) <= columns:
        return line
    if shown[-1] == " ":  # it would begin a line of its own
        line = _END.sub(r"\1", line)
        return wrap(line, columns, code=code)
    if "\t" in line:
        line = _untabbed(line)
        shown = _SGR.sub("", line)
    if code:
        comment = _COMMENT.search(shown)
        if comment is not None:
            return _with_comment(line, shown, comment.start(), columns)
        hang = len(shown) - len(shown.lstrip()) + _CODE_HANG
        if hang + max(map(width_of, shown.split()), default=0) > columns:
            hang = min(hang, _CODE_HANG)
        gaps = _gaps(_code_pieces(shown, columns - hang), shown, columns, hang)
    else:
        gaps, hang = _placed(shown, columns)
    return _broken(line, shown, gaps, hang) if gaps else line


def _with_comment(line: str, shown: str, code_end: int, columns: int) -> str:
    """A line of C whose comment keeps its column, below what is too wide for it."""
    end = _places(line)[code_end - 1] + 1
    rest = wrap(line[:end], columns, code=True)
    used = width_of(_SGR.sub("", rest.rpartition("\n")[2]))
    comment = line[end:].lstrip(" ")
    width = width_of(shown[code_end:].lstrip())
    indent = len(shown) - len(shown.lstrip()) + _CODE_HANG
    column = COMMENT_COLUMN if COMMENT_COLUMN + width <= columns else indent
    if used < column or used + 1 + width <= columns:
        return rest + " " * max(column - used, 1) + comment
    return f"{rest}\n{' ' * column}{comment}"


def _untabbed(line: str) -> str:
    """A line with spaces for tabs; its SGR sequences take no column."""
    parts: list[str] = []
    column = 0
    begin = 0
    for sequence in (*_SGR.finditer(line), None):
        end = len(line) if sequence is None else sequence.start()
        text = (" " * (column % _TAB) + line[begin:end]).expandtabs(_TAB)[column % _TAB :]
        column += width_of(text)
        parts.append(text)
        if sequence is not None:
            parts.append(sequence.group())
            begin = sequence.end()
    return "".join(parts)


def _placed(shown: str, columns: int) -> tuple[list[Span], int]:
    """Where a line that is no code is broken, and how far what follows is indented."""
    starts = _starts(shown, columns)
    below: list[tuple[int, int, list[Span]]] = []
    for i, hang in enumerate(starts):
        widest = max((width_of(w) for w in shown[hang:].split()), default=0)
        if hang > columns * 2 // 3 or hang + widest > columns:
            continue
        gaps = _gaps(_pieces(shown, columns, hang, cells=True), shown, columns, hang)
        if gaps and not i:
            return gaps, hang
        if gaps:
            below.append((len(gaps), -hang, gaps))
    if below:
        _, indent, gaps = min(below)
        return gaps, -indent
    hang = min(starts[0], len(shown) - len(shown.lstrip()) + 2)
    return _gaps(_pieces(shown, columns, hang), shown, columns, hang), hang


def _starts(shown: str, columns: int) -> list[int]:
    """Where what follows could begin: behind a head; in the last cell, then below those before."""
    head = _HEAD.match(shown)
    if head is not None:
        return [head.end()]
    cells = [gap.end() for gap in _CELL.finditer(shown) if gap.end() < columns]
    return cells[::-1] if cells else [len(shown) - len(shown.lstrip())]


def _pieces(shown: str, columns: int, hang: int, *, cells: bool = False) -> list[Span]:
    """
    What of a line that is no code stays whole: an argument if it fits, else a word.

    :param cells: And a cell, if it fits.
    """
    if _ARGUMENTS.match(shown):
        arguments = list(_ARGUMENT.finditer(shown, hang))
        if all(hang + width_of(a.group()) <= columns for a in arguments):
            return [a.span() for a in arguments]
    spans: list[Span] = []
    for cell in _CELLS.finditer(shown, hang) if cells and not _HEAD.match(shown) else ():
        fits = hang + width_of(cell.group()) <= columns
        words = () if fits else _WORD.finditer(shown, cell.start(), cell.end())
        spans += [cell.span()] if fits else [word.span() for word in words]
    return spans or [word.span() for word in _WORD.finditer(shown, hang)]


def _code_pieces(shown: str, room: int) -> list[Span]:
    """What of a line of C stays whole: up to a comma, an ``=`` or a comment, if it has room."""
    pieces: list[list[Span]] = []
    for match in _ATOM.finditer(shown):
        before = shown[pieces[-1][-1][1] - 1] if pieces else ""
        if before in ("", ",", "{", ";") or match.group() == "=" or match.group()[:2] == "/*":
            pieces.append([])
        pieces[-1].append(match.span())
    spans: list[Span] = []
    for atoms in pieces:
        start, end = atoms[0][0], atoms[-1][1]
        if width_of(shown[start:end]) <= room:
            spans.append((start, end))
            continue
        for start, end in atoms:
            fits = width_of(shown[start:end]) <= room
            words = [] if fits else [w.span() for w in _WORD.finditer(shown, start, end)]
            spans += words or [(start, end)]
    return spans


def _gaps(pieces: list[Span], shown: str, columns: int, hang: int) -> list[Span]:
    """Where a line is broken: the spaces that go, as start and end."""
    gaps: list[Span] = []
    start, indent, before = 0, 0, 0
    for begin, end in pieces:
        too_wide = indent + width_of(shown[start:end]) > columns
        if too_wide and before and hang + width_of(shown[begin:end]) <= columns:
            gaps.append((before, begin))
            start, indent = begin, hang
        before = end
    return gaps


def _broken(line: str, shown: str, gaps: list[Span], hang: int) -> str:
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

    def __init__(self, out: Output, code: bool) -> None:
        super().__init__(out.sink, color=out.color, columns=out.columns)
        self._code = code
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
            super().raw(wrap("".join(self._held), self.columns, code=self._code) + "\n")
            self._held = [begun]

    def flush(self) -> None:
        """What has no end yet is shown as it is."""
        rest, self._held = "".join(self._held), []
        super().raw(rest)
        super().flush()


@contextlib.contextmanager
def wrapped(*, code: bool = False) -> Iterator[None]:
    """
    Break what is printed to the terminal's width; nothing where stdout is no terminal.

    :param code: As of :func:`wrap`.
    """
    out = sys.stdout
    if not isinstance(out, Output) or not out.columns or isinstance(out, _Wrapped):
        yield
        return
    broken = _Wrapped(out, code)
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
