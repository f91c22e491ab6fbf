"""What the analysis of a function asks: of an architecture, and of the function's code.

Owns the two protocols and the bound on a function's size. ``x86_64`` and ``arm64`` answer the
first, ``function`` answers the second out of a dump. Knows neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from btfdbg.frames.ir import Insn, JumpTable, Meaning, Mem
from btfdbg.lazy_dataclass import dataclass

MAX_BYTES = 64 << 10
"""A larger function is not looked at: its symbol is bogus, or it would take seconds."""


class Arch(Protocol):
    """The facts of an architecture; ``x86_64`` and ``arm64`` are modules of this shape."""

    SP: str
    CALLEE_SAVED: tuple[str, ...]
    CALLER_SAVED: tuple[str, ...]
    REGISTERS: tuple[str, ...]
    ARGUMENTS: tuple[str, ...]
    RETURN: str
    RETURN_ADDRESS_ON_STACK: bool
    VENEER_BYTES: int
    NOT_ABOVE: tuple[str, ...]
    """Branches that are taken if an unsigned number is not above another."""

    def veneer(self, code: bytes, address: int) -> int:
        """Where code leads that only jumps on, as a call too far away goes through; else 0."""

    def translate(self, mnemonic: str, operands: str) -> Meaning: ...

    def direct(self, mnemonic: str, operands: str) -> tuple[int, int] | None: ...

    def split(self, operands: str) -> Sequence[Any]:
        """Operands: a register with ``name`` and ``bits``, a place with ``mem``, a number."""

    def memory(self, mnemonic: str, operands: str) -> list[tuple[Mem, int]]: ...

    def extended(self, operands: str, index: int) -> int | None:
        """Bytes that a memory operand's index of fewer than 64 bits adds; None if not known."""

    def halves(self, mnemonic: str, operands: str) -> str:
        """The register whose lower 32 bits an instruction writes, clearing the others; or ""."""

    def jump_table(self, before: Sequence[Insn]) -> JumpTable | None:
        """The table that an indirect jump goes through, by the instructions up to it."""


@dataclass(frozen=True, slots=True)
class Fixup:
    """
    An entry of the exception table: if the instruction faults, it goes on elsewhere.

    :ivar target: Where.
    :ivar registers: What the handler may write.
    """

    target: int
    registers: tuple[str, ...]


class Code(Protocol):
    """What the analysis asks about one function."""

    start: int
    end: int

    def read(self, address: int, end: int) -> bytes: ...

    def read_table(self, address: int, size: int) -> bytes:
        """Constants of the code that are not in it."""

    def extent(self, target: int) -> tuple[int, int] | None:
        """Start and end of code outside of the function that belongs to it (``.cold``)."""

    def is_function(self, target: int) -> bool:
        """Whether a symbol of the text starts there."""

    def is_tracer(self, address: int, target: int) -> bool:
        """Whether the call at an address is ftrace's, which preserves every register."""

    def is_current(self, segment: str, address: int) -> bool:
        """Whether a load from ``segment:address`` gives the running task."""

    def returns(self, target: int) -> bool:
        """Whether a call of it can come back."""

    def stack_words(self, target: int) -> int | None:
        """Words of arguments on the stack that a call of it takes; None if not known."""

    def fixups(self, start: int, end: int) -> Mapping[int, Fixup]: ...

    def branches(self, start: int, end: int) -> Mapping[int, int]:
        """Static branches: instruction to the target of its other form."""
