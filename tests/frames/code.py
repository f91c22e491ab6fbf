"""Machine code of our own for tests: bytes at an address, and a ``flow.Code`` around them."""

from __future__ import annotations

from collections.abc import Mapping

from btfdbg.frames import x86_64
from btfdbg.frames.code import Fixup
from btfdbg.frames.disasm import open_disassembler
from btfdbg.frames.flow import FunctionFlow

BASE = 0xFFFF_FFFF_8100_0000
OTHER = BASE + 0x10000  # another function
STOPS = BASE + 0x20000  # one that does not return
COLD = BASE + 0x30000
CURRENT = 0x1FBC0  # offset of the pointer to the running task in a CPU's area


class Bytes:
    """One function made of bytes, and perhaps a part of it elsewhere."""

    def __init__(
        self,
        code: bytes,
        cold: bytes = b"",
        fixups: Mapping[int, Fixup] | None = None,
        branches: Mapping[int, int] | None = None,
        words: int | None = 0,
    ) -> None:
        self.start = BASE
        self.end = BASE + len(code)
        self._code = code
        self._cold = cold
        self._fixups = fixups or {}
        self._branches = branches or {}
        self._words = words

    def read(self, address: int, end: int) -> bytes:
        if address >= COLD:
            return self._cold[address - COLD : end - COLD]
        return self._code[address - BASE : end - BASE]

    def read_table(self, address: int, size: int) -> bytes:
        return self._code[address - BASE : address - BASE + size]

    def extent(self, target: int) -> tuple[int, int] | None:
        return (COLD, COLD + len(self._cold)) if self._cold and target >= COLD else None

    def is_function(self, target: int) -> bool:
        return target in (OTHER, STOPS)

    def is_tracer(self, address: int, target: int) -> bool:
        return False

    def is_current(self, segment: str, address: int) -> bool:
        return (segment, address) == ("gs", CURRENT)

    def returns(self, target: int) -> bool:
        return target != STOPS

    def stack_words(self, target: int) -> int | None:
        return self._words

    def fixups(self, start: int, end: int) -> Mapping[int, Fixup]:
        return {a: f for a, f in self._fixups.items() if start <= a < end}

    def branches(self, start: int, end: int) -> Mapping[int, int]:
        return {a: t for a, t in self._branches.items() if start <= a < end}


def to(target: int, behind: int) -> bytes:
    """A relative target of four bytes, from the address behind the instruction."""
    return (target - behind).to_bytes(4, "little", signed=True)


def x86(*parts: bytes | tuple[bytes, int]) -> bytes:
    """Join code; ``(opcode, target)`` is an instruction with a relative target of 4 bytes."""
    code = b""
    for part in parts:
        if isinstance(part, tuple):
            opcode, target = part
            code += opcode + to(target, BASE + len(code) + len(opcode) + 4)
        else:
            code += part
    return code


def adrp(register: int, page: int, at: int) -> int:
    """arm64's instruction, at an address, that makes the address of a page."""
    distance = (page >> 12) - (at >> 12) & 0x1F_FFFF
    return 0x9000_0000 | (distance & 3) << 29 | (distance >> 2) << 5 | register


def analyse(code: Bytes, stack_arguments: int = 0) -> FunctionFlow:
    """Analyse x86-64 code."""
    return FunctionFlow(code, x86_64, open_disassembler("x86_64"), stack_arguments)
