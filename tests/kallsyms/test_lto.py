"""Static symbols that ThinLTO renamed are found by the names that they have in C."""

from __future__ import annotations

from collections.abc import Iterator

from btfdbg.kallsyms import Sym
from btfdbg.kallsyms.lto import PromotedSymbols, c_name
from tests.program.support import Table

TABLE = Table(
    Sym("plain", 0x1000, 8, "d"),
    Sym("moved.llvm.123456", 0x2000, 8, "D"),
    Sym("twice.llvm.1", 0x4000, 8, "D"),
    Sym("twice.llvm.22", 0x3000, 8, "D"),
    Sym("local.0", 0x5000, 4, "d"),
)


class _Counting:
    """How often all names are looked at."""

    source, problems, count = "a list", (), 5

    def __init__(self) -> None:
        self.passes = 0

    def __getattr__(self, name: str) -> object:
        return getattr(TABLE, name)

    def names(self) -> Iterator[str]:
        self.passes += 1
        return TABLE.names()


def test_a_name_without_its_suffix_is_the_c_name() -> None:
    assert c_name("moved.llvm.123456") == "moved"
    assert c_name("local.0") == "local.0"  # a variable of a function, another one's name too


def test_a_promoted_symbol_is_found_by_its_c_name() -> None:
    (found,) = PromotedSymbols(TABLE).by_name("moved")
    assert (found.name, found.address, found.type_letter) == ("moved", 0x2000, "D")


def test_two_promoted_symbols_of_a_name_stay_two() -> None:
    found = PromotedSymbols(TABLE).by_name("twice")
    assert [s.address for s in found] == [0x3000, 0x4000]


def test_names_that_were_not_promoted_are_the_tables_own() -> None:
    promoted = PromotedSymbols(TABLE)
    assert promoted.by_name("plain") == promoted.by_name("local") == promoted.by_name("x") == ()


def test_all_names_are_looked_at_once() -> None:
    table = _Counting()
    promoted = PromotedSymbols(table)  # type: ignore[arg-type]
    for name in ("moved", "x", "y"):
        promoted.by_name(name)
    assert table.passes == 1
