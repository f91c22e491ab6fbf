"""Whether a function's code agrees with its prototype about what it is passed.

Owns one question: does it read an argument register that the prototype leaves free? A compiler
never does. Assembly has been given prototypes without parameters, kfuncs have arguments that
BTF does not name (``KF_IMPLICIT_ARGS``), and a BTF may be of another build.
"""

from __future__ import annotations

from collections.abc import Sequence

from btfdbg.frames.flow import FunctionFlow
from btfdbg.frames.ir import ADD, ADDRESS, LOAD, MOVE, STORE, Insn, Mem
from btfdbg.frames.state import State


def read_beyond(flow: FunctionFlow, free: Sequence[str]) -> str:
    """
    An argument register that the code reads as it was at the entry.

    :param free: Registers that the prototype passes nothing in: the last ones for arguments.
    :return: "" if it reads none of them; a push, which may only make room, is no reading.
    """
    known = flow.beyond.get(len(free))
    if known is None:
        known = flow.beyond[len(free)] = _read_beyond(flow, free)
    return known


def _read_beyond(flow: FunctionFlow, free: Sequence[str]) -> str:
    for leader, before in flow.blocks.items():
        if not _unchanged(before, free):
            continue
        state, at = before.copy(), leader
        while (insn := flow.insns.get(at)) is not None:
            left = _unchanged(state, free)
            for register in _reads(insn) if left else ():
                if register in left:
                    return register
            at = insn.end
            if not left or at in flow.blocks:
                break
            flow.execute(state, insn)
    return ""


def _unchanged(state: State, registers: Sequence[str]) -> set[str]:
    return {r for r in registers if state.regs[r][0] == ("entry", r)}


def _reads(insn: Insn) -> list[str]:
    """Registers that an instruction copies or goes through."""
    found: list[str | None] = []
    for op in insn.ops:
        if op[0] in (MOVE, ADD) and op[1] != op[2]:
            found.append(op[2])
        elif op[0] in (LOAD, ADDRESS, STORE):
            mem: Mem = op[1] if op[0] == STORE else op[2]
            found += (mem.base, mem.index_by)
    return [r for r in found if r is not None]
