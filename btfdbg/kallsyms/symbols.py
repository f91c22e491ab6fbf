"""drgn's side of symbols: a symbol finder over a ``SymbolTable``.

Owns the conversion to ``drgn.Symbol`` and nothing about where symbols are.

Why a Python finder and no ``SymbolIndex``: building the index means expanding
every name and making every ``drgn.Symbol`` (0.3 s for 155,000) before the first
answer. A lookup through the finder costs a few microseconds more, which is a
tenth of what unwinding the frame costs that asked for it.

Facts: drgn 0.3.0, ``Program.register_symbol_finder()``; letters to binding and
kind as its own kallsyms helper does it.
"""

from __future__ import annotations

from collections.abc import Callable

from drgn import Program, Symbol, SymbolBinding, SymbolKind

from btfdbg.kallsyms.model import Sym, SymbolTable

SymbolFinder = Callable[[Program, str | None, int | None, bool], list[Symbol]]

_CACHED_ADDRESSES = 1 << 16
_CACHED_NAMES = 1 << 14

_OBJECT = frozenset("bcdgrv")


def binding_of(letter: str) -> SymbolBinding:
    """What nm(1)'s letter says of the binding; a lower case letter is *usually* local."""
    if letter == "u":
        return SymbolBinding.UNIQUE
    if letter in "vVwW":
        return SymbolBinding.WEAK
    return SymbolBinding.GLOBAL if letter.isupper() else SymbolBinding.UNKNOWN


def kind_of(letter: str) -> SymbolKind:
    """What nm(1)'s letter says of the kind."""
    lower = letter.lower()
    if lower == "t":
        return SymbolKind.FUNC
    return SymbolKind.OBJECT if lower in _OBJECT else SymbolKind.UNKNOWN


def to_drgn(sym: Sym, other: SymbolBinding = SymbolBinding.UNKNOWN) -> Symbol:
    """
    The same symbol as drgn has it; its size is our extent.

    :param other: Binding of a symbol that is not global, weak or unique.
    """
    letter = sym.type_letter
    binding = binding_of(letter)
    if binding is SymbolBinding.UNKNOWN:
        binding = other
    return Symbol(sym.name, sym.address, sym.size, binding, kind_of(letter))


def finder(table: SymbolTable) -> SymbolFinder:
    """
    Make a symbol finder for ``Program.register_symbol_finder()``.

    Absolute per-CPU symbols (x86 before Linux 6.15) are found by name only: by
    address they would make names out of NULL and small integers.
    """
    by_address: dict[int, list[Symbol]] = {}
    by_name: dict[tuple[str, bool], list[Symbol]] = {}

    def named(name: str, address: int | None, one: bool) -> list[Symbol]:
        syms = table.by_name(name)
        if address is not None:
            syms = tuple(sym for sym in syms if _holds(sym, address))
        if one and len(syms) > 1:
            syms = (_best(syms),)
        return [to_drgn(sym) for sym in syms]

    def find(prog: Program, name: str | None, address: int | None, one: bool) -> list[Symbol]:
        if name is not None:
            if address is not None:
                return named(name, address, one)
            known = by_name.get((name, one))
            if known is None:
                known = named(name, None, one)
                if len(by_name) >= _CACHED_NAMES:
                    by_name.clear()
                by_name[name, one] = known
            return known
        if address is None:
            return [to_drgn(sym) for sym in table]
        found = by_address.get(address)
        if found is None:
            sym = table.by_address(address)
            found = [] if sym is None else [to_drgn(sym)]
            if len(by_address) >= _CACHED_ADDRESSES:
                by_address.clear()
            by_address[address] = found
        return found

    return find


def _holds(sym: Sym, address: int) -> bool:
    return sym.address == address or sym.address <= address < sym.address + sym.size


def _best(syms: tuple[Sym, ...]) -> Sym:
    """A global one if there is one, else the first by address."""
    return next((sym for sym in syms if sym.type_letter.isupper()), syms[0])
