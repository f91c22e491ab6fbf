"""Which of several things of one name is meant, where that can be known."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol, TypeVar

from btfdbg.btf import Btf, TypeId


class _Symbol(Protocol):
    @property
    def address(self) -> int: ...
    @property
    def type_letter(self) -> str: ...


_S = TypeVar("_S", bound=_Symbol)
_TEXT_LETTERS = frozenset("tTwW")


def is_text(sym: _Symbol) -> bool:
    """Whether a symbol is code (a weak symbol counts: nm calls weak objects ``vV``)."""
    return sym.type_letter in _TEXT_LETTERS


def unique_symbol(symbols: Sequence[_S]) -> _S | None:
    """The one symbol that is meant: the only one, or the only global one."""
    if len({s.address for s in symbols}) == 1:
        return symbols[0]
    shared = [s for s in symbols if s.type_letter.isupper()]
    return shared[0] if len({s.address for s in shared}) == 1 else None


def own_ids(btf: Btf, name: str, wanted: Collection[int]) -> list[TypeId]:
    """Types of a name that a BTF itself describes, of some kinds, by id."""
    return list(btf.own_ids_by_name(name, wanted))
