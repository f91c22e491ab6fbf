"""btfdbg in Jupyter and IPython: ``%load_ext btfdbg.repl.jupyter``.

Owns how drgn's values look there (as at our prompt: structs with symbols, types
with offsets and holes, memory that is missing shown as such) and ``%btf``,
which runs a line of the prompt. Needs IPython only when it is loaded by it.
"""

from __future__ import annotations

from typing import Any, Protocol

import drgn

from btfdbg.commands import display, evaluate
from btfdbg.commands.text import escape
from btfdbg.program.session import Session, find_session

_COLUMNS = 100


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
        """Run a line of btfdbg's prompt: ``%btf ctx``."""
        evaluate.run_line(session_in(shell.user_ns), line)

    shell.register_magic_function(btf, "line", "btf")
