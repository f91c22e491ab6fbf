"""Where code reaches into a variable: at which offset, how many bytes, and by which index.

Owns reading that off instructions. Knows nothing of types.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from btfdbg.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

    from btfdbg.frames.flow import FunctionFlow
    from btfdbg.frames.function import Function
    from btfdbg.frames.ir import Insn, Mem
    from btfdbg.frames.recover import Recovery
    from btfdbg.frames.state import State

_M64 = (1 << 64) - 1
_WORD = 8
# Mnemonics that say of a loaded number whether it has a sign.
_SIGNED = ("movsx", "movsxd", "ldrsb", "ldrsh", "ldrsw", "ldursb", "ldursh", "ldursw")
_UNSIGNED = ("movzx",)


@dataclass(frozen=True, slots=True)
class Touch:
    """
    An access to a variable.

    :ivar offset: Bytes from its start; with an index, of what the index is added to.
    :ivar size: Bytes.
    :ivar step: Bytes by which an index counts; 0 if that is not known, None without an index.
    :ivar signed: Whether the number that is loaded has a sign; None if the code does not say.
    """

    offset: int
    size: int
    step: int | None
    signed: bool | None


def touches(
    made: Recovery, functions: Iterable[Function], start: int, size: int
) -> list[Touch] | None:
    """
    All accesses to a variable of ``size`` bytes whose address is in the instruction or known.

    :return: None if a function that may name the variable cannot be analysed.
    """
    found: dict[Touch, None] = {}
    for function in functions:
        flow = made.flow(function)
        if flow.problem:
            return None
        for insn, state in flow.states():
            if insn.text[0].startswith("rep"):
                continue  # any number of bytes
            for mem, width in made.arch.memory(*insn.text):
                if mem.segment or width > _WORD:
                    continue
                place = _place(flow, state, insn, mem, start, size)
                if place is not None:
                    offset, step = place
                    found[Touch(offset, width, step, _sign(insn))] = None
    return list(found)


def _place(
    flow: FunctionFlow, state: State, insn: Insn, mem: Mem, start: int, size: int
) -> tuple[int, int | None] | None:
    """Offset and step of a memory operand that lies in the variable."""
    where = flow.address_of(state, mem, insn.end)
    if where is not None:
        base, address, _ = where
        if not start <= address < start + size:
            return None
        return address - start, None if base is None else 0
    if mem.index_by is None or mem.base == "pc":
        return None
    fixed = mem.disp
    if mem.base is not None:
        base, k, bits = state.regs[mem.base]
        if base is not None or bits < 64:
            return None
        fixed += k
    fixed &= _M64
    return (fixed - start, mem.scale) if start <= fixed < start + size else None


def _sign(insn: Insn) -> bool | None:
    name = insn.text[0]
    return True if name in _SIGNED else False if name in _UNSIGNED else None
