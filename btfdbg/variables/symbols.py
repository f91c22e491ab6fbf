"""What a lookup asks of a kernel's symbols.

Owns the protocols only; symbol tables are in :mod:`btfdbg.kallsyms`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Symbol(Protocol):
    """What a lookup needs to know of a symbol; btfdbg.kallsyms.Sym has it."""

    @property
    def name(self) -> str: ...
    @property
    def address(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def type_letter(self) -> str: ...


class Symbols(Protocol):
    """What a lookup asks of a symbol table."""

    def by_name(self, name: str) -> Sequence[Symbol]: ...
