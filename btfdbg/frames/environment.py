"""Numbers of named values, learned one by one from registers and memory.

Owns solving ``base + k = number``, noticing a contradiction, and how many of a number's bits more
than one source tells: a word of a stack may be damaged. Knows no frame and no dump.
"""

from __future__ import annotations

from btfdbg.frames.state import ALIGNED, ALIGNED_SP, SP, Base, Value, is_aligned


class Env:
    """
    Numbers of named values, as equations between those and registers or memory give them.

    :ivar firm: Of how many low bits of a base a damaged word would have been noticed: two sources
        agree, or the one is no memory.
    """

    __slots__ = ("consistent", "firm", "numbers", "sources")

    def __init__(self) -> None:
        self.numbers: dict[Base, tuple[int, int]] = {}
        self.sources: dict[Base, str] = {}
        self.firm: dict[Base, int] = {}
        self.consistent = True

    def learn(self, value: Value, number: int, source: str, firm: bool = False) -> None:
        """
        A value is that number.

        :param firm: The source is no single word of memory.
        """
        base, k, bits = value
        if base == SP and is_aligned(k):
            base, k = ALIGNED_SP, k + ALIGNED
        mask = (1 << bits) - 1
        if base is None:
            if (number ^ k) & mask:
                self.consistent = False
            return
        solved = (number - k) & mask
        known = self.numbers.get(base)
        if known is None:
            self.numbers[base] = (solved, bits)
            self.sources[base] = source
            if firm:
                self.firm[base] = bits
            return
        if (known[0] ^ solved) & mask & ((1 << known[1]) - 1):
            self.consistent = False
            return
        agreed = bits if firm else min(bits, known[1])
        if agreed > self.firm.get(base, 0):
            self.firm[base] = agreed
        if bits > known[1]:
            self.numbers[base] = (solved, bits)
            self.sources[base] = source

    def forget(self, base: Base) -> None:
        """A base's number was not one."""
        self.numbers.pop(base, None)
        self.sources.pop(base, None)
        self.firm.pop(base, None)

    def number(self, value: Value, bits: int = 64) -> int | None:
        """The low bits of a value, None if they are not known."""
        base, k, width = value
        if base == SP and is_aligned(k):
            base, k = ALIGNED_SP, k + ALIGNED
        if width < bits:
            return None
        if base is None:
            return k & ((1 << bits) - 1)
        known = self.numbers.get(base)
        if known is None or known[1] < bits:
            return None
        return (known[0] + k) & ((1 << bits) - 1)

    def is_firm(self, value: Value, bits: int) -> bool:
        """Whether a damaged word of memory would have been noticed in the low bits of a value."""
        base = value[0]
        return base is None or base[0] == "sp" or self.firm.get(base, 0) >= bits

    def entry(self, base: Base, bits: int) -> int | None:
        """The low bits of a base."""
        return self.number((base, 0, 64), bits)
