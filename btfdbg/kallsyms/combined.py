"""Several sources of symbols as one, for kernels whose kallsyms has only functions.

Owns the order of trust: the kernel's own kallsyms; its export tables, which name
some thousands of variables; the ``SYMBOL()`` lines of VMCOREINFO. Each ``Sym``
says where it is from. The export tables are searched when a name is asked for
that kallsyms does not have, and no sooner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from btfdbg.kallsyms.listed import ListedTable
from btfdbg.kallsyms.model import Sym, SymbolTable
from btfdbg.kallsyms.tables import KallsymsTable


class CombinedTable:
    """
    A ``SymbolTable`` that asks others in order.

    An answer by name is the first one; by address, the best that any gives.
    """

    def __init__(
        self,
        first: KallsymsTable,
        exports: Callable[[], ListedTable | None],
        last: SymbolTable,
    ) -> None:
        """
        :param first: Believed before all others; its functions have extents.
        :param exports: Finds the export tables; called at most once.
        :param last: Asked at last.
        """
        self._first = first
        self._find_exports = exports
        self._last = last
        self._found: ListedTable | None = None
        self._searched = False

    @property
    def first(self) -> SymbolTable:
        """The table that is believed before all others: the kernel's kallsyms."""
        return self._first

    @property
    def source(self) -> str:
        others = []
        if self._exports is not None:
            others.append(f"{self._exports.count} of the {self._exports.source}")
        others.append(f"{self._last.count} {self._last.source}")
        return f"{self._first.source} (functions only), and {' and '.join(others)}"

    @property
    def image_range(self) -> tuple[int, int]:
        """Lowest and highest address of a function."""
        return self._first.image_range

    @property
    def count(self) -> int:
        return self._first.count

    @property
    def problems(self) -> tuple[str, ...]:
        missing: tuple[str, ...] = ()
        if self._searched and self._found is None:
            missing = (
                "kallsyms has no data symbols (CONFIG_KALLSYMS_ALL=n), and the kernel's export "
                "tables were not found: variables have no address",
            )
        return (*self._first.problems, *missing)

    def by_name(self, name: str) -> tuple[Sym, ...]:
        found = self._first.by_name(name)
        if not found and self._exports is not None:
            found = self._exports.by_name(name)
        return found or self._last.by_name(name)

    def by_address(self, address: int) -> Sym | None:
        sym = self._first.by_address(address)
        if sym is not None and sym.size:
            return sym
        for table in (self._exports, self._last):
            other = None if table is None else table.by_address(address)
            if other is not None:
                return other
        return sym

    def extent(self, name_or_sym: str | Sym) -> int:
        if isinstance(name_or_sym, Sym):
            return name_or_sym.size
        return max((sym.size for sym in self.by_name(name_or_sym)), default=0)

    def names(self) -> Iterator[str]:
        return (sym.name for sym in self)

    def __iter__(self) -> Iterator[Sym]:
        seen = set()
        for table in (self._first, self._exports, self._last):
            if table is None:
                continue
            names = set()
            for sym in table:
                if sym.name not in seen:
                    names.add(sym.name)
                    yield sym
            seen |= names

    @property
    def _exports(self) -> ListedTable | None:
        if not self._searched:
            self._found = self._find_exports()
            self._searched = True
        return self._found
