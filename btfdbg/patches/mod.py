"""drgn's ``mod`` shows the modules that the session has, without walking their list again.

Owns what ``mod`` iterates over, and what it says of a module's types. drgn enumerates the
kernel's modules in C and allocates whatever sizes stand there; the session has looked at those
before, went around what is damaged and restored what was left out (``program.modules``). The
list of a running kernel is walked again, as it changes.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import drgn

from btfdbg.patches.program_proxy import ProgramProxy, with_proxy
from btfdbg.program.session import Session, find_session


def _known(prog: drgn.Program, args: argparse.Namespace) -> _Known | None:
    session = find_session(prog)
    if session is None or prog.flags & drgn.ProgramFlags.IS_LIVE:
        return None
    session.ensure_modules()
    return _Known(prog, session.loaded) if session.loaded else None


class _Known(ProgramProxy):
    """A Program whose loaded modules are those that the session has."""

    def __init__(self, prog: drgn.Program, loaded: list[drgn.Module]) -> None:
        super().__init__(prog)
        self._loaded = loaded

    def loaded_modules(self) -> Iterator[tuple[drgn.Module, bool]]:
        return ((module, False) for module in self._loaded)


_of = ContextVar[Session | None]("btfdbg.mod", default=None)
_columns = ContextVar[int]("btfdbg.mod.columns", default=0)
_NOT_LOADED = "(not loaded)"
_KALLSYMS = "  [CONFIG_KALLSYMS]"


@contextlib.contextmanager
def fitted(columns: int) -> Iterator[None]:
    """
    Shorten the last column of what ``mod`` prints until it fits a terminal.

    What the other columns say is never shortened; rows that are taken instead of printed
    (``--json``) are not either.

    :param columns: 0 for no limit.
    """
    token = _columns.set(columns)
    try:
        yield
    finally:
        _columns.reset(token)


def mod(original: Callable[..., Any]) -> Callable[..., Any]:
    """``mod``."""
    listed = with_proxy(_known)(original)

    def run(prog: drgn.Program, name: str, args: argparse.Namespace, **kwargs: Any) -> Any:
        token = _of.set(find_session(prog))
        try:
            return listed(prog, name, args, **kwargs)
        finally:
            _of.reset(token)

    return run


def print_table(original: Callable[..., Any]) -> Callable[..., Any]:
    """What ``mod`` prints: a module whose types are known is not said to be without."""

    def adjusted(rows: Sequence[Any]) -> Sequence[Any]:
        session = _of.get()
        return rows if session is None else [_with_types(session, row) for row in rows]

    def run(rows: Sequence[Any], *args: Any, **kwargs: Any) -> Any:
        return original(_narrow(adjusted(rows), _columns.get()), *args, **kwargs)

    # Whoever takes the rows instead of printing them asks for this (``commands.tables``).
    run.adjusted = adjusted  # type: ignore[attr-defined]
    return run


def log_debug(original: Callable[[], Any]) -> Callable[[], Any]:
    """``mod -s`` says what the chosen level of messages lets it say (``--log-level``)."""

    def run() -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    return run


def _with_types(session: Session, row: Any) -> Any:
    """A row of the table; its second column is the module's name, its last the object file."""
    if not isinstance(row, tuple) or not isinstance(row[-1], str):
        return row
    if not row[-1].startswith(_NOT_LOADED) or not isinstance(row[1], str):
        return row
    if session.module_btf_source(row[1]) is None:
        return row
    return (*row[:-1], f"(types known){row[-1].removeprefix(_NOT_LOADED)}")


def _narrow(rows: Sequence[Any], columns: int) -> Sequence[Any]:
    """Rows whose last column says less, as far as the width asks for it."""
    if not columns or _width(rows) <= columns:
        return rows
    return [
        (*row[:-1], row[-1].removesuffix(_KALLSYMS))
        if isinstance(row, tuple) and isinstance(row[-1], str)
        else row
        for row in rows
    ]


def _width(rows: Sequence[Any]) -> int:
    """Columns of a table of drgn's: its widest cells, two spaces between them."""
    widths: dict[int, int] = {}
    for row in rows:
        for i, cell in enumerate(row):
            widths[i] = max(widths.get(i, 0), len(str(cell)))
    return sum(widths.values()) + 2 * (len(widths) - 1)
