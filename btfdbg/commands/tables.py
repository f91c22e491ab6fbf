"""``--json`` and ``--json-lines`` for the tables of all commands.

drgn's commands print their tables through one function, ``print_table()``, and
give it the values, not the text. While a command runs with ``--json`` that
function is ours. What was printed beside the tables is kept as text, so nothing
is dropped: one table alone is an array of objects, anything else an array of
sections, ``{"text": […], "rows": […]}``. ``--json-lines`` prints an object per row and
per line of text, ``{"text": "…"}``, as soon as it is known. ``table.schema.json`` beside
this file describes both. Our own commands give their rows to ``section()``.

Facts: drgn 0.3 ``helpers/common/format.py``: the first row holds the headings,
a ``CellFormat`` wraps a value with its format.
"""

from __future__ import annotations

import contextlib
import functools
import io
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any

import drgn

from btfdbg.commands.text import Lines, escape
from btfdbg.patches.install import reach


class TablesAsJson(io.StringIO):
    """Takes the place of stdout and of ``print_table`` for one command."""

    def __init__(self, out: IO[str]) -> None:
        super().__init__()
        self.out = out
        self.sections: list[dict[str, Any]] = []
        self._keys: Sequence[str] = ()

    def print_table(self, rows: Sequence[Sequence[Any]], **kwargs: Any) -> None:
        """Stands in for drgn's function of that name."""
        text = self._take_text()
        section: dict[str, Any] = {"text": text, "rows": _objects(rows)}
        self.sections.append(section)
        self._keys = ()

    def print_row(self, row: Sequence[Any], **kwargs: Any) -> None:
        """Stands in for drgn's ``_print_table_row()``, whose first row has the headings."""
        if str(_plain(row[0])).strip() == "PAGE":
            self.begin([str(_plain(cell)).strip() for cell in row])
        elif self._keys:
            self.row(row)

    def begin(self, head: Sequence[Any]) -> None:
        """Begin a table whose rows come one by one."""
        self.sections.append({"text": self._take_text(), "rows": []})
        self._keys = _keys(head)

    def row(self, row: Sequence[Any]) -> None:
        """The next row of the table that was begun."""
        self.sections[-1]["rows"].append(_object(self._keys, row))

    def _take_text(self) -> list[str]:
        text = [escape(line) for line in self.getvalue().splitlines() if line.strip()]
        self.seek(0)
        self.truncate()
        return text

    def finish(self) -> None:
        """Print what the command gave."""
        text = self._take_text()
        if text:
            self.sections.append({"text": text, "rows": []})
        if len(self.sections) == 1 and not self.sections[0]["text"]:
            found: list[dict[str, Any]] = self.sections[0]["rows"]
        else:
            found = self.sections
        import json

        print(json.dumps(found, indent=2, default=str), file=self.out)


class TablesAsLines(TablesAsJson):
    """The same, an object a line, printed as it comes."""

    def __init__(self, out: IO[str]) -> None:
        import json

        super().__init__(out)
        self._lines = Lines()
        self._encode = json.JSONEncoder(default=str).encode

    def print_table(self, rows: Sequence[Sequence[Any]], **kwargs: Any) -> None:
        """Stands in for drgn's function of that name."""
        for row in _objects(rows):
            self._line(row)

    def begin(self, head: Sequence[Any]) -> None:
        """Begin a table whose rows come one by one."""
        self._keys = _keys(head)

    def row(self, row: Sequence[Any]) -> None:
        """Print the next row."""
        self._line(_object(self._keys, row))

    def write(self, text: str, /) -> int:
        for line in self._lines.feed(text):
            self._text(line)
        return len(text)

    def _text(self, line: str) -> None:
        if line.strip():
            self._line({"text": escape(line)})

    def _line(self, found: dict[str, Any]) -> None:
        self.out.write(self._encode(found) + "\n")

    def finish(self) -> None:
        """Print a line that was begun."""
        self._text(self._lines.rest)


Sink = Callable[[list[str], list[list[str]]], bool]
"""Takes a table of which all is text, headings first; whether it did."""

_active: list[TablesAsJson] = []
_sinks: list[Sink] = []


@contextlib.contextmanager
def tables_to(sink: Sink) -> Iterator[None]:
    """Give every table that drgn's commands and ours would print as text to a sink instead."""
    from drgn.helpers.common.format import print_table as show

    def take(rows: Sequence[Sequence[Any]], **kwargs: Any) -> None:
        if not given_away(rows):
            show(rows, **kwargs)

    with _printed_by({"print_table": take}):
        depth = len(_sinks)
        try:
            _sinks.append(sink)
            yield
        finally:
            del _sinks[depth:]


@contextlib.contextmanager
def _printed_by(functions: Mapping[str, Callable[..., Any]]) -> Iterator[None]:
    """Put functions in the place of those that drgn's commands print their tables by."""
    originals: list[tuple[Any, str, Any]] = []
    try:
        for name, module in list(sys.modules.items()):
            if not name.startswith("drgn.commands."):
                continue
            for function, other in functions.items():
                original = getattr(module, function, None)
                if original is not None:
                    originals.append((module, function, original))
                    setattr(module, function, _as_printed(original, other))
        yield
    finally:
        for module, function, original in originals:
            setattr(module, function, original)


def _as_printed(printer: Any, take: Callable[..., Any]) -> Callable[..., Any]:
    """A taker of rows that gets them as a printer that changes them would print them."""
    adjusted = getattr(printer, "adjusted", None)

    def show(rows: Sequence[Any], *args: Any, **kwargs: Any) -> None:
        take(rows if adjusted is None else adjusted(rows), *args, **kwargs)

    # Whoever checks the printer's parameters looks at drgn's.
    show.__wrapped__ = printer  # type: ignore[attr-defined] # as functools.wraps() does
    return show


def are_taken() -> bool:
    """Whether somebody takes tables instead of having them printed."""
    return bool(_sinks)


def given_away(rows: Sequence[Sequence[Any]]) -> bool:
    """Whether somebody takes a table, so that it is not to be printed."""
    if not _sinks or not rows:
        return False
    text = [[escape(str(cell)).strip() for cell in row] for row in rows]
    return _sinks[-1](text[0], text[1:])


def wanted() -> bool:
    """Whether the running command is to give JSON."""
    return bool(_active)


class RowsOfLines(io.TextIOBase):
    """A stream that gives lines of text, ``ADDRESS: VALUE``, as rows of a table."""

    def __init__(self, head: Sequence[str], cells: Callable[[str], Sequence[Any] | None]) -> None:
        self._cells = cells
        self._lines = Lines()
        _active[-1].begin(head)

    def write(self, text: str, /) -> int:
        for line in self._lines.feed(text):
            row = self._cells(line)
            if row is not None:
                _active[-1].row(row)
        return len(text)


def section(rows: Sequence[Sequence[Any]]) -> None:
    """
    Print a table of a command of ours as drgn prints its own, or give it as JSON.

    :param rows: The first has the headings. Numbers are decimal unless ``hexadecimal()``.
    """
    if _active:
        _active[-1].print_table(rows)
        return
    shown = [["-" if cell is None else cell for cell in row] for row in rows]
    if given_away(shown):
        return
    from drgn.helpers.common.format import print_table

    print_table(shown)


def hexadecimal(number: int) -> Any:
    """A number that a table shows in hexadecimal; in JSON it is a number."""
    from drgn.helpers.common.format import CellFormat

    return CellFormat(number, "<x")


# The heading that ps leaves out, over the mark of who runs on a CPU.
_ACTIVE = "active"


def _keys(head: Sequence[Any]) -> list[str]:
    names = [str(_plain(cell)).strip() for cell in head]
    if names[:2] == ["", "PID"]:
        names[0] = _ACTIVE
    return [name or f"column {i + 1}" for i, name in enumerate(names)]


def _object(keys: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
    if keys and keys[0] == _ACTIVE:
        row = [_plain(row[0]) == ">", *row[1:]]
    extra = [f"column {i + 1}" for i in range(len(keys), len(row))]
    return dict(zip([*keys, *extra] if extra else keys, map(_plain, row), strict=False))


def _objects(rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    if not rows:
        return []
    keys = _keys(rows[0])
    # An empty row is an empty line between two tables.
    return [_object(keys, row) for row in rows[1:] if len(row)]


@functools.cache
def _cells_have_values() -> bool:
    # CellFormat has no public way back to its value; asked once, a table has 100,000s of cells.
    return reach("drgn.helpers.common.format", "CellFormat._value") is not None


def _plain(value: Any) -> Any:
    if type(value) is int:
        return value
    if _cells_have_values():
        value = getattr(value, "_value", value)
    if isinstance(value, drgn.Object):
        try:
            value = value.value_()
        except (drgn.FaultError, TypeError, ValueError):
            return escape(str(value))
    if isinstance(value, bytes):
        return escape(value.decode("utf-8", "surrogateescape"))
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, dict):
        return {escape(str(key)): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return escape(str(value))


@contextlib.contextmanager
def tables_as_json(lines: bool = False) -> Iterator[TablesAsJson]:
    """
    Collect what a command prints; print it as JSON at the end.

    :param lines: An object a line, as it comes.
    """
    before = sys.stdout
    taker = TablesAsLines(before) if lines else TablesAsJson(before)
    with _printed_by({"print_table": taker.print_table, "_print_table_row": taker.print_row}):
        depth = len(_active)
        try:
            sys.stdout = taker
            _active.append(taker)
            yield taker
        finally:
            del _active[depth:]
            sys.stdout = before
    taker.finish()
