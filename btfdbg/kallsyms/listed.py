"""A ``SymbolTable`` over a list in memory: for files, export tables, VMCOREINFO.

Owns sorting and lookup of symbols that somebody else has read.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from btfdbg.kallsyms.model import END_MARKERS, STOP, Sym
from btfdbg.lazy_dataclass import replace


class ListedTable:
    """
    Symbols by name and by address.

    :ivar source: Where they are from, in words.
    """

    def __init__(
        self,
        symbols: Iterable[Sym],
        source: str,
        *,
        complete: bool,
        problems: tuple[str, ...] = (),
    ) -> None:
        """
        :param complete: The list has (nearly) every symbol of the image, so the
            distance to the next one is an extent. Otherwise sizes stay 0, and
            an address is found only where a symbol begins.
        """
        self.source = source
        self.problems = problems
        self._symbols = sorted(symbols, key=lambda sym: sym.address)
        self._addresses = [sym.address for sym in self._symbols]
        self._complete = complete
        self._by_name: dict[str, list[int]] | None = None
        # Absolute per-CPU symbols are no addresses of anything.
        self._hidden = 0
        ends = [sym.address for sym in self._symbols[: 1 << 12] if sym.name == "__per_cpu_end"]
        if ends and self._addresses[0] < 4096 and ends[0] < self._addresses[-1]:
            self._hidden = bisect_right(self._addresses, ends[0])

    @property
    def count(self) -> int:
        return len(self._symbols)

    def by_name(self, name: str) -> tuple[Sym, ...]:
        if self._by_name is None:
            found: dict[str, list[int]] = {}
            for index, sym in enumerate(self._symbols):
                found.setdefault(sym.name, []).append(index)
            self._by_name = found
        return tuple(self._sym(index) for index in self._by_name.get(name, ()))

    def by_address(self, address: int) -> Sym | None:
        index = bisect_right(self._addresses, address) - 1
        if index < self._hidden:
            return None
        start = self._addresses[index]
        first = bisect_left(self._addresses, start)
        syms = [self._sym(alias) for alias in range(first, index + 1)]
        sym = next((sym for sym in syms if sym.size), syms[0])
        return sym if address == start or address < start + sym.size else None

    def extent(self, name_or_sym: str | Sym) -> int:
        if isinstance(name_or_sym, Sym):
            return name_or_sym.size
        return max((sym.size for sym in self.by_name(name_or_sym)), default=0)

    def names(self) -> Iterator[str]:
        return (sym.name for sym in self._symbols)

    def __iter__(self) -> Iterator[Sym]:
        return (self._sym(index) for index in range(len(self._symbols)))

    def _sym(self, index: int) -> Sym:
        sym = self._symbols[index]
        if not self._complete or sym.name in END_MARKERS or sym.name.startswith(STOP):
            return sym
        after = bisect_right(self._addresses, sym.address)
        if after == len(self._addresses):
            return sym
        return replace(sym, size=self._addresses[after] - sym.address)
