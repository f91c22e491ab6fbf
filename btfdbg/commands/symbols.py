"""Symbols of the kernel and of its loaded modules, asked together.

Owns the order: the kernel's own first. What a symbol is and how a table is searched is
``kallsyms``'s.
"""

from __future__ import annotations

from collections.abc import Iterator

from btfdbg.kallsyms.model import Sym
from btfdbg.kallsyms.modules import ModuleSymbols
from btfdbg.program.session import Session


def of_modules(session: Session) -> ModuleSymbols | None:
    """The symbols of all loaded modules; ``None`` for a Program that was opened without them."""
    session.ensure_modules()
    return session.module_symbols


def named(session: Session, name: str) -> Iterator[Sym]:
    """All symbols of a name."""
    yield from session.lookup_symbols(name)
    modules = of_modules(session)
    if modules is not None:
        yield from modules.by_name(name)


def containing(session: Session, part: str) -> Iterator[Sym]:
    """Symbols with a text in their names; making all of them to look takes half a second."""
    names = session.all_names()
    if names is not None:
        yield from names.containing(part)
    modules = of_modules(session)
    if modules is not None:
        yield from modules.containing(part)


def holding(session: Session, address: int) -> Sym | None:
    """The symbol that an address lies in, by its extent; ``None`` if it is in none."""
    found = session.symbols.by_address(address) if session.symbols is not None else None
    if found is None or not _holds(found, address):
        modules = of_modules(session)
        found = modules.by_address(address) if modules is not None else None
    return found if found is not None and _holds(found, address) else None


def _holds(sym: Sym, address: int) -> bool:
    return sym.address <= address < sym.address + max(sym.size, 1)
