"""Static symbols that clang's ThinLTO made global under another name.

ThinLTO moves functions between files, and what a moved function refers to becomes global:
the static ``foo`` is then called ``foo.llvm.1234567890``. In C it is still ``foo``.

Owns finding such symbols by their C name. Facts: kernel/kallsyms.c,
``cleanup_symbol_name()`` (what the kernel itself cuts off when it looks a name up); LLVM
``ModuleSummaryIndex::getGlobalNameForLocal()``.
"""

from __future__ import annotations

from btfdbg.kallsyms.model import Sym, SymbolTable
from btfdbg.lazy_dataclass import replace

SUFFIX = ".llvm."


def c_name(name: str) -> str:
    """
    What a symbol is called in C.

    >>> c_name("swap_attrs.llvm.2938462")
    'swap_attrs'
    """
    return name.partition(SUFFIX)[0]


class PromotedSymbols:
    """
    The symbols of a table that ThinLTO renamed, by their C names.

    All names are looked at when one is first asked for: a fraction of a second, so nobody
    should ask where the kernel was not made by clang.
    """

    def __init__(self, table: SymbolTable) -> None:
        self._table = table
        self._names: dict[str, set[str]] | None = None

    def by_name(self, name: str) -> tuple[Sym, ...]:
        """All symbols of a C name, by address, as if they were called so."""
        if self._names is None:
            names: dict[str, set[str]] = {}
            for full in self._table.names():
                if SUFFIX in full:
                    names.setdefault(c_name(full), set()).add(full)
            self._names = names
        found = [s for full in self._names.get(name, ()) for s in self._table.by_name(full)]
        return tuple(replace(s, name=name) for s in sorted(found, key=lambda s: s.address))
