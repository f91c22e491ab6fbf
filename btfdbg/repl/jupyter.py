"""btfdbg in Jupyter and IPython: ``%load_ext btfdbg.jupyter``.

Owns how drgn's values look there (as at our prompt: structs with symbols, types
with offsets and holes, memory that is missing shown as such) and ``%btf``,
which runs a line of the prompt and shows its tables as HTML. Needs IPython only when it is
loaded by it.
"""

from __future__ import annotations

import contextlib
import io
from typing import Any, Protocol

import drgn

from btfdbg.commands import display, evaluate
from btfdbg.commands.text import escape
from btfdbg.program.session import Session, find_session

_COLUMNS = 100
_CELL = "text-align:left;font-family:monospace;white-space:pre"


class _Printer(Protocol):
    """IPython's ``PrettyPrinter``, as far as it is used."""

    def text(self, text: str, /) -> None: ...


def pretty(value: Any) -> str:
    """One of drgn's values as text; never raises for memory that is missing."""
    if isinstance(value, drgn.Object):
        try:
            return escape(display.format_object(value, _COLUMNS))
        except (TypeError, ValueError):  # void, absent: no value to print
            return repr(value)
    if isinstance(value, drgn.Type):
        lines = ("".join(text for _, text in line) for line in display.type_lines(value))
        return escape("\n".join(lines))
    return escape(str(value))


def _print(value: Any, printer: _Printer, cycle: bool) -> None:
    printer.text(pretty(value))


def _print_session(value: Session, printer: _Printer, cycle: bool) -> None:
    from btfdbg.commands import info

    printer.text(escape(info.as_text(value)))


def session_in(names: dict[str, Any]) -> Session:
    """
    The Session that a notebook works with: that of ``prog``, or of drgn's default Program.

    :raises LookupError: there is none.
    """
    prog = names.get("prog")
    if not isinstance(prog, drgn.Program):
        try:
            prog = drgn.get_default_prog()
        except drgn.NoDefaultProgramError:
            raise LookupError("bind prog, or call drgn.set_default_prog()") from None
    session = find_session(prog)
    if session is None:
        raise LookupError("btfdbg is not attached; call btfdbg.attach(prog)")
    return session


Shown = tuple[list[str], list[list[str]]]
"""A table: headings and rows."""


def run(session: Session, line: str) -> list[str | Shown]:
    """Run a line of the prompt; give its text and its tables in their order."""
    from btfdbg.commands import output
    from btfdbg.commands.tables import tables_to

    out = io.StringIO()
    parts: list[str | Shown] = []

    def flush() -> None:
        text = out.getvalue()
        out.seek(0)
        out.truncate()
        if text:
            parts.append(text)

    def take(head: list[str], rows: list[list[str]]) -> bool:
        stream = output.current()
        if stream.sink is not out:
            return False  # it goes to a file or a pipe of the user's
        stream.flush()
        flush()
        parts.append((head, rows))
        return True

    with contextlib.redirect_stdout(out), tables_to(take):
        evaluate.run_line(session, line)
    flush()
    return parts


def as_text(head: list[str], rows: list[list[str]]) -> str:
    """A table for a front end without HTML: a terminal."""
    lines = [head, *rows]
    count = max(map(len, lines))
    widths = [max((len(r[i]) for r in lines if i < len(r)), default=0) for i in range(count)]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
        + "\n"
        for row in lines
    )


def as_html(parts: list[str | Shown]) -> str:
    """Text as ``<pre>``, tables as ``<table>``; all that is a dump's is escaped."""
    from html import escape as quoted

    found = []
    for part in parts:
        if isinstance(part, str):
            found.append(f"<pre>{quoted(part)}</pre>")
            continue
        head, rows = part
        cells = "".join(f"<th>{quoted(name)}</th>" for name in head)
        body = []
        for row in rows:
            body.append("".join(f'<td style="{_CELL}">{quoted(cell)}</td>' for cell in row))
        lines = "".join(f"<tr>{row}</tr>" for row in body)
        found.append(f"<table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table>")
    return "\n".join(found)


def load_ipython_extension(shell: Any) -> None:
    """
    Called by IPython's ``%load_ext``.

    :param shell: IPython's ``InteractiveShell``.
    """
    formatter = shell.display_formatter.formatters["text/plain"]
    for cls in (drgn.Object, drgn.Type, drgn.StackTrace, drgn.StackFrame, drgn.SourceLocation):
        formatter.for_type(cls, _print)
    formatter.for_type(Session, _print_session)

    def btf(line: str) -> None:
        """Run a line of btfdbg's prompt: ``%btf ctx``; tables are shown as HTML."""
        parts = run(session_in(shell.user_ns), line)
        if all(isinstance(part, str) for part in parts):
            print("".join(map(str, parts)), end="")
            return
        html = as_html(parts)
        plain = "".join(part if isinstance(part, str) else as_text(*part) for part in parts)
        shell.display_pub.publish(data={"text/html": html, "text/plain": plain})

    shell.register_magic_function(btf, "line", "btf")
