"""What decides a conditional jump or move: a comparison before it, and its outcome for numbers.

Owns finding the comparison among the instructions before, and computing the outcome. Knows the
names of conditions of both architectures, no state and no dump.

Facts: Intel SDM volume 1, appendix B (condition codes); Arm ARM C1.2.4 (the same for A64).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from btfdbg.frames.ir import Insn, Mem
from btfdbg.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from btfdbg.frames.code import Arch

_MAX_BETWEEN = 12  # instructions between a comparison and what it decides
# x86's names; arm64's are put into these.
_SAME = {
    "z": "e", "nz": "ne", "c": "b", "nae": "b", "nc": "ae", "nb": "ae", "na": "be", "nbe": "a",
    "nge": "l", "nl": "ge", "ng": "le", "nle": "g",
}  # fmt: skip
_A64 = {
    "eq": "e", "ne": "ne", "lo": "b", "cc": "b", "hs": "ae", "cs": "ae", "ls": "be", "hi": "a",
    "lt": "l", "ge": "ge", "le": "le", "gt": "g", "mi": "s", "pl": "ns",
}  # fmt: skip
_TESTS = frozenset(("e", "ne", "b", "ae", "be", "a", "l", "ge", "le", "g", "s", "ns"))
_CARRIES = frozenset(("b", "ae", "be", "a"))
_SUBTRACTS = frozenset(("cmp", "sub", "subs"))
_ANDS = frozenset(("test", "and", "tst", "ands"))
# Neither of these writes flags.
_KEEPS_X86 = frozenset(("mov", "movabs", "lea", "nop", "movzx", "movsx", "movsxd", "push", "pop"))
_KEEPS_A64 = frozenset(
    {"mov", "movz", "movk", "movn", "ldr", "ldrb", "ldrh", "ldrsw", "ldp", "str", "strb", "strh"}
    | {"stp", "add", "sub", "and", "orr", "eor", "lsl", "lsr", "asr", "adr", "adrp", "csel"}
    | {"cset", "sxtw", "uxtb", "uxth", "ubfx", "nop"}
)


@dataclass(frozen=True, slots=True)
class Condition:
    """
    A comparison of two operands and the outcome that is asked for.

    :ivar at: The instruction that compares: its operands are as they were before it.
    :ivar is_and: The bits that both have are looked at, else their difference.
    :ivar left: A register's full name, a number or a place in memory.
    :ivar bits: How many low bits of both.
    :ivar test: ``"e"``, ``"ne"``, ``"b"``, …: x86's name of the condition.
    """

    at: Insn
    is_and: bool
    left: str | int | Mem
    right: str | int | Mem
    bits: int
    test: str

    def holds(self, left: int, right: int) -> bool:
        """Whether the condition holds for numbers."""
        mask, sign = (1 << self.bits) - 1, 1 << (self.bits - 1)
        left, right = left & mask, right & mask
        if self.is_and:
            left, right = left & right, 0
        # With the sign's bit turned, signed numbers are in the order of unsigned ones.
        low, high = left ^ sign, right ^ sign
        outcome = {
            "e": left == right,
            "b": left < right,
            "be": left <= right,
            "l": low < high,
            "le": low <= high,
            "s": bool((left - right) & sign),
        }
        opposite = {"ne": "e", "ae": "b", "a": "be", "ge": "l", "g": "le", "ns": "s"}.get(self.test)
        return outcome[self.test] if opposite is None else not outcome[opposite]


def condition(arch: Arch, before: Sequence[Insn]) -> Condition | None:
    """
    What decides the last of some instructions, which run one after the other.

    :return: None if that is not seen: no comparison of two operands is among those before, or
        something between writes flags.
    """
    if not before:
        return None
    if arch.RETURN_ADDRESS_ON_STACK:
        return _x86(arch, before)
    return _a64(arch, before)


def _x86(arch: Arch, before: Sequence[Insn]) -> Condition | None:
    name = before[-1].text[0]
    test = name[4:] if name.startswith("cmov") else name[1:] if name.startswith("j") else ""
    return _compared(arch, before, _SAME.get(test, test), _KEEPS_X86, ("cmov", "set"))


def _a64(arch: Arch, before: Sequence[Insn]) -> Condition | None:
    last = before[-1]
    name, operands = last.text
    if name in ("cbz", "cbnz", "tbz", "tbnz"):
        parts = arch.split(operands)
        bits = getattr(parts[0], "bits", 0)
        register = getattr(parts[0], "name", "zr")
        if register == "zr" or not bits:
            return None
        if name in ("cbz", "cbnz"):
            return Condition(last, False, register, 0, bits, "ne" if name == "cbnz" else "e")
        if not isinstance(parts[1], int) or not 0 <= parts[1] < bits:
            return None
        return Condition(last, True, register, 1 << parts[1], bits, "ne" if name == "tbnz" else "e")
    word = name[2:] if name.startswith("b.") else ""
    if name == "csel":
        word = operands.rpartition(", ")[2]
    return _compared(arch, before, _A64.get(word, ""), _KEEPS_A64, ())


def _compared(
    arch: Arch,
    before: Sequence[Insn],
    test: str,
    keeps: frozenset[str],
    also: tuple[str, ...],
) -> Condition | None:
    """The comparison whose flags the last instruction takes."""
    if test not in _TESTS:
        return None
    for insn in reversed(before[max(0, len(before) - 1 - _MAX_BETWEEN) : -1]):
        name = insn.text[0]
        is_and = name in _ANDS
        if (is_and or name in _SUBTRACTS) and name not in keeps:
            # What carries is not the same in both architectures behind an "and".
            return None if is_and and test in _CARRIES else _operands(arch, insn, is_and, test)
        if insn.kind or (name not in keeps and not (also and name.startswith(also))):
            return None
    return None


def _operands(arch: Arch, insn: Insn, is_and: bool, test: str) -> Condition | None:
    parts = arch.split(insn.text[1])
    if insn.text[0] in ("ands", "subs"):
        parts = parts[1:]
    if len(parts) != 2:
        return None
    found: list[str | int | Mem] = []
    widths = set()
    for part in parts:
        mem = getattr(part, "mem", None)
        if isinstance(part, int):
            found.append(part)
        elif isinstance(mem, Mem):
            found.append(mem)
            widths.add(8 * getattr(part, "size", 0))
        elif getattr(part, "name", "") == "zr":
            found.append(0)
        elif getattr(part, "bits", 0) and hasattr(part, "name"):
            found.append(part.name)
            widths.add(part.bits)
        else:
            return None
    if len(widths) != 1:
        return None
    bits = widths.pop()
    return Condition(insn, is_and, found[0], found[1], bits, test) if 8 <= bits <= 64 else None
