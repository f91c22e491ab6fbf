"""Whether what an instruction reads is a pointer or a number, by what becomes of it.

Owns the choice among members of a union that begin and end together, one a number and one a
pointer. C converts one into the other only where a cast says so: what is passed, returned or
looked through as it was read, was read as that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drgn import TypeKind

from btfdbg.frames.ir import CALL, LOAD, STOP
from btfdbg.frames.layout import underlying

if TYPE_CHECKING:
    from collections.abc import Iterator

    import drgn

    from btfdbg.frames.flow import FunctionFlow
    from btfdbg.frames.ir import Insn
    from btfdbg.frames.prototypes import Prototype
    from btfdbg.frames.recover import Recovery
    from btfdbg.frames.state import State, Value

_WORD = 8
_NUMBERS = (TypeKind.INT, TypeKind.ENUM)


def is_pointer(made: Recovery, flow: FunctionFlow, insn: Insn) -> bool | None:
    """
    Whether the eight bytes that an instruction reads are a pointer.

    :return: None if nothing is done with them that says so, or some say this and some that.
    """
    loads = [op for op in insn.ops if op[0] == LOAD and op[3] == _WORD]
    state = flow.before(insn.address)
    if len(loads) != 1 or state is None:
        return None
    flow.execute(state, insn)
    value = state.regs[loads[0][1]]
    if value[0] is None or value[0][:2] != ("load", insn.address):
        return None
    said = set(_said(made, flow, value))
    return said.pop() if len(said) == 1 else None


def _said(made: Recovery, flow: FunctionFlow, value: Value) -> Iterator[bool]:
    own = made.text.prototype_at(flow.code.start)
    for insn, state in flow.states():
        if insn.kind == CALL:
            prototype = made.text.prototype_at(insn.target)
            if not isinstance(prototype, str):
                given = prototype.words(state.regs)
                yield from _kinds(prototype, [p.type_id for p, v in given if v == value])
        elif insn.kind == STOP and not isinstance(own, str) and not own.signature.problem:
            returned = state.regs.get(flow.arch.RETURN) == value
            yield from _kinds(own, [own.result] if returned else [])
        if _is_base(flow, insn, state, value):
            yield True


def _kinds(prototype: Prototype, type_ids: list[int]) -> Iterator[bool]:
    for type_id in type_ids:
        type_: drgn.Type | None = prototype.type_of(type_id)
        kind = None if type_ is None else underlying(type_).kind
        if kind is TypeKind.POINTER or kind in _NUMBERS:
            yield kind is TypeKind.POINTER


def _is_base(flow: FunctionFlow, insn: Insn, state: State, value: Value) -> bool:
    return any(
        mem.base is not None and mem.base != "pc" and state.regs.get(mem.base) == value
        for mem, _ in flow.arch.memory(*insn.text)
    )
