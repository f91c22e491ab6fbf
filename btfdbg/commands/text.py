"""Text that is safe and fits: escaping, widths, tables, colours.

Owns what may reach a terminal. A dump is another machine's memory: a task may
call itself ``\\e[2J`` and a dmesg line may set the window's title, so every
control character that did not come from us is shown escaped. Knows no drgn.

Facts: ECMA-48 (C0 and C1 control functions, SGR); Unicode's bidirectional
controls, which can make a line read differently from what it says.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO

from btfdbg.lazy_dataclass import dataclass, field
from btfdbg.lazy_pattern import pattern

Fragment = tuple[str, str]
"""(style name, text); the style is a key of ``SGR`` or empty."""

# Everything that moves the cursor, changes the terminal or the reading order,
# and lone surrogates, which cannot be encoded at all.
_UNSAFE = pattern(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)

SGR: dict[str, str] = {
    "type": "36",
    "member": "",
    "keyword": "35",
    "number": "33",
    "string": "32",
    "comment": "2",
    "symbol": "32",
    "address": "33",
    "heading": "1",
    "dim": "2",
    "error": "31",
    "good": "32",
    "bad": "31;1",
    "name": "1",
}
"""Style name to SGR parameters; the sixteen colours follow the user's own palette."""

COMMENT_COLUMN = 56
"""Where the comment of a member of a struct stands."""


def escape(text: str) -> str:
    """
    Show control characters as ``\\xNN``/``\\uNNNN``; newline and tab stay.

    Applied to whatever a dump may have had a say in, last thing before writing.
    """
    # None of them is printable; the pattern takes half a millisecond to compile.
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return _UNSAFE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def quoted(data: bytes) -> str:
    """
    Bytes of a string as C writes them, on one line whatever they hold.

    >>> print(quoted(b'say "hi"\\n'))
    "say \\"hi\\"\\n"
    """
    text = data.decode("utf-8", "surrogateescape").replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escape(text.replace("\n", "\\n").replace("\t", "\\t")) + '"'


def one_line(text: str, limit: int = 400) -> str:
    """Text as one safe line of at most ``limit`` characters."""
    text = escape(" ".join(text.split()))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def char_width(char: str) -> int:
    """Columns of one character."""
    import unicodedata

    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def width_of(text: str) -> int:
    """Columns of a text without control characters."""
    return len(text) if text.isascii() else sum(map(char_width, text))


def cut(text: str, columns: int) -> str:
    """Text cut to a number of columns, with an ellipsis if something is missing."""
    if columns <= 0:
        return ""
    if width_of(text) <= columns:
        return text
    kept, used = [], 0
    for char in text:
        used += char_width(char)
        if used > columns - 1:
            break
        kept.append(char)
    return "".join(kept) + "…"


# A word or more, and what it means in a column behind it.
_ROW = pattern(r"\S+(?: \S+)* {2,}(?=\S)")


def fold(text: str, columns: int = 80) -> str:
    """
    Text whose paragraphs, and rows of a word and what it means, are broken at a width.

    Lines that begin with a space and belong to no row stay as they are.

    >>> print(fold("raw   one two three", 12))
    raw   one
          two
          three
    """
    import textwrap

    rows: list[tuple[str, str]] = []  # what stays, and what is broken beside it
    indent = -1  # of the row or paragraph that is open; -1 if none is
    for line in text.split("\n"):
        words = line.lstrip()
        row = _ROW.match(line)
        if row is not None:
            indent = row.end()
            rows.append((row.group(), line[indent:]))
        elif words and len(line) - len(words) == indent:
            head, before = rows[-1]
            rows[-1] = head, f"{before} {words.rstrip()}"
        else:
            indent = 0 if words and line[0] != " " else -1
            rows.append(("", line))
    folded: list[str] = []
    for head, words in rows:
        line = head + words
        if line[:1] in ("", " ") or len(line) <= columns:
            folded.append(line)
            continue
        folded += textwrap.wrap(
            words,
            columns,
            initial_indent=head,
            subsequent_indent=" " * len(head),
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(folded)


def terminal_columns(stream: IO[str] | None = None) -> int:
    """Width to format for: the terminal's, or 0 (no limit) if the output is not one."""
    stream = sys.stdout if stream is None else stream
    try:
        if not stream.isatty():
            return 0
    except ValueError:  # closed
        return 0
    import shutil

    return max(shutil.get_terminal_size((80, 24)).columns, 10)


def wants_color(mode: str, stream: IO[str] | None = None) -> bool:
    """
    Whether to colour.

    :param mode: ``auto``, ``always`` or ``never``. ``auto`` is a terminal that
        is not ``dumb``, unless ``NO_COLOR`` is set to anything (no-color.org).
    """
    if mode != "auto":
        return mode == "always"
    stream = sys.stdout if stream is None else stream
    try:
        terminal = stream.isatty()
    except ValueError:
        terminal = False
    return terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(fragments: Iterable[Fragment | str], color: bool) -> str:
    """Fragments as safe text, with SGR sequences if ``color``."""
    parts = []
    for fragment in fragments:
        style, text = ("", fragment) if isinstance(fragment, str) else fragment
        text = escape(text)
        code = SGR.get(style, "") if color else ""
        parts.append(f"\x1b[{code}m{text}\x1b[0m" if code and text else text)
    return "".join(parts)


class Lines:
    """
    Whole lines of text that comes in pieces.

    >>> lines = Lines()
    >>> lines.feed("a\\nb"), lines.rest
    (['a'], 'b')

    :ivar rest: What the next line begins with.
    """

    def __init__(self) -> None:
        self.rest = ""

    def feed(self, text: str) -> list[str]:
        """The lines that a piece ends, without their newlines."""
        *lines, self.rest = (self.rest + text).split("\n")
        return lines


@dataclass(slots=True)
class Table:
    """
    Rows under headings; what a command with ``--json`` gives.

    :ivar keys: Names of the columns, as in JSON.
    :ivar rows: One value per column: str, int, None, or whatever JSON takes.
    :ivar formats: Column to a format for its int in text (``"#x"``).
    :ivar headings: Column to what stands above it, if that is not the key in capitals.
    :ivar styles: Column to a style.
    :ivar none: What is said instead of the headings where there is no row.
    """

    keys: Sequence[str]
    rows: list[Sequence[object]] = field(default_factory=list)
    formats: Mapping[str, str] = field(default_factory=dict)
    headings: Mapping[str, str] = field(default_factory=dict)
    styles: Mapping[str, str] = field(default_factory=dict)
    none: str = ""

    def as_json(self) -> str:
        """A JSON array with one object per row."""
        rows = [dict(zip(self.keys, row, strict=True)) for row in self.rows]
        import json

        return json.dumps(rows, indent=2, default=str)

    def as_json_lines(self) -> Iterator[str]:
        """A JSON object per row."""
        import json

        for row in self.rows:
            yield json.dumps(dict(zip(self.keys, row, strict=True)), default=str)

    def cells(self) -> list[list[str]]:
        """Headings and rows as text."""
        head = [self.headings.get(key, key.upper().replace("_", " ")) for key in self.keys]
        body = [
            [self._cell(key, value) for key, value in zip(self.keys, row, strict=True)]
            for row in self.rows
        ]
        return [head, *body]

    def lines(self) -> list[list[Fragment]]:
        """Lines of fragments, columns aligned; numbers right, text left."""
        head, *body = self.cells()
        right = [
            any(isinstance(row[i], int) for row in self.rows)
            and not any(isinstance(row[i], str) for row in self.rows)
            for i in range(len(self.keys))
        ]
        widths = [max(width_of(line[i]) for line in [head, *body]) for i in range(len(self.keys))]
        styles = [self.styles.get(key, "") for key in self.keys]
        lines = [_row(head, widths, right, ["heading"] * len(head))]
        lines += [_row(line, widths, right, styles) for line in body]
        return lines

    def _cell(self, key: str, value: object) -> str:
        if value is None:
            return "-"
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, int):
            return format(value, self.formats.get(key, "d"))
        # A newline within a cell would break the table.
        return escape(str(value)).replace("\n", "\\n").replace("\t", "\\t")


def _row(
    cells: Sequence[str],
    widths: Sequence[int],
    right: Sequence[bool],
    styles: Sequence[str],
) -> list[Fragment]:
    line: list[Fragment] = []
    for i, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        last = i == len(cells) - 1
        gap = "  " if i else ""
        pad = " " * (width - width_of(cell))
        text = pad + cell if right[i] else cell if last else cell + pad
        if gap and text:
            line.append(("", gap))
        line.append((styles[i], text))
    return line
