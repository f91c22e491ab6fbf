"""One function of the running kernel, as ``flow`` asks for it.

Owns the answers, taken from the dump: its bytes, the parts of it that lie elsewhere, and what
is known of the functions that it calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from btfdbg.frames.code import MAX_BYTES, Fixup

if TYPE_CHECKING:
    from btfdbg.frames.prototypes import Prototypes
    from btfdbg.frames.text_symbols import TextSymbols
    from btfdbg.frames.text_tables import CodeTables

_FIXUP_BYTES = 96
_TRACERS = ("__fentry__", "ftrace_caller", "ftrace_regs_caller", "ftrace_stub")


class Function:
    """
    One function, as ``flow`` asks for it.

    :ivar names: All its names.
    :ivar module: The module's name, "" for the kernel itself.
    """

    def __init__(
        self,
        symbols: TextSymbols,
        prototypes: Prototypes,
        tables: CodeTables,
        extent: tuple[int, int],
        names: tuple[str, ...],
        module: str,
    ) -> None:
        self.start, self.end = extent
        self.names = names
        self.module = module
        self._symbols = symbols
        self._prototypes = prototypes
        self._tables = tables
        self._fixups_outside: set[int] = set()

    def read(self, address: int, end: int) -> bytes:
        """The bytes from an address on, to the end of a part."""
        return self._symbols.read(address, min(end, address + MAX_BYTES) - address)

    def read_table(self, address: int, size: int) -> bytes:
        """A jump table, which is among the constants."""
        return self._symbols.read(address, size)

    def extent(self, target: int) -> tuple[int, int] | None:
        """Start and end of a ``.cold`` part, or of an exception's fix-up code."""
        if target in self._fixups_outside:
            return target, target + _FIXUP_BYTES
        sym = self._symbols.symbol(target)
        if sym is None or sym.size > MAX_BYTES or parent_of(sym.name) not in self.names:
            return None
        if len(self._symbols.by_name(sym.name, self.module)) != 1:
            return None
        return sym.address, sym.address + sym.size

    def is_function(self, target: int) -> bool:
        """Whether a symbol of the text starts there."""
        sym = self._symbols.symbol(target)
        return sym is not None and sym.address == target

    def is_tracer(self, address: int, target: int) -> bool:
        """Whether a call at the entry is ftrace's."""
        if address - self.start > self._symbols.tracer_offset:
            return False
        sym = self._symbols.symbol(target)
        return sym is None or sym.name in _TRACERS

    def is_current(self, segment: str, address: int) -> bool:
        """Whether a per-CPU load gives the running task."""
        return address in self._symbols.current_variables()

    def returns(self, target: int) -> bool:
        """Whether a call can come back."""
        return not self._symbols.is_noreturn(target)

    def stack_words(self, target: int) -> int | None:
        """Words on the stack that a direct call takes; None if not known."""
        found = self._prototypes.at(target)
        if isinstance(found, str) or found.signature.problem or found.signature.variadic:
            return None
        return found.signature.stack_words

    def fixups(self, start: int, end: int) -> Mapping[int, Fixup]:
        """Entries of the exception table."""
        found = self._tables.fixups(self.module, start, end)
        for fixup in found.values():
            if not self.start <= fixup.target < self.end and not self.is_function(fixup.target):
                self._fixups_outside.add(fixup.target)
        return found

    def branches(self, start: int, end: int) -> Mapping[int, int]:
        """Static branches and their other targets."""
        return self._tables.branches(self.module, start, end)


def parent_of(name: str) -> str:
    """The function that a ``.cold`` symbol is part of; "" if it is not one."""
    head, cold, rest = name.rpartition(".cold")
    return head if cold and (not rest or rest[1:].isdigit()) else ""
