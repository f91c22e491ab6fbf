"""What a memory operand of an instruction is: the pointer in it, and what lies there.

Owns telling the pointer from an index, the bytes that an index adds, and the member that the
operand means by the pointer's type, through arrays and earlier additions. What a pointer's type
is, is ``types``'; which of several members is meant is ``members``'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from btfdbg.frames.ir import ADDREG, ADDRESS, DEF, Insn, Mem, Op
from btfdbg.frames.layout import pointed_to
from btfdbg.frames.meant import is_pointer
from btfdbg.frames.members import path_at, used_bits
from btfdbg.frames.state import signed
from btfdbg.frames.uses import taken_for
from btfdbg.lazy_dataclass import dataclass

if TYPE_CHECKING:
    import drgn

    from btfdbg.frames.code import Arch
    from btfdbg.frames.flow import FunctionFlow
    from btfdbg.frames.recover import Recovery
    from btfdbg.frames.state import State, Value
    from btfdbg.frames.types import Types
    from btfdbg.frames.walked import Walked

_M64 = (1 << 64) - 1
_INDEX_BITS = 32
_MAX_LESS = 2  # what is taken off an index: words[i - 2]


@dataclass(frozen=True, slots=True)
class Operand:
    """
    A memory operand at one moment.

    :ivar register: The register that holds the pointer, "" if the address is fixed.
    :ivar value: The register's value, None if not known.
    :ivar displacement: Bytes from the pointer, without the index.
    :ivar index: Bytes that an index in another register adds, None if not known.
    :ivar address: What is accessed, None if a register of it is not known.
    :ivar pointer: Where the pointer came from, None if the address is fixed.
    :ivar type: What it points to, or what the place lies in; None if not known.
    :ivar member: The path in that type, "" if not known.
    :ivar evidence: What says the type, where it is not the pointer's own: ``cf_note takes it as
        struct cf_node *``; or "".
    """

    register: str
    value: int | None
    displacement: int
    index: int | None
    address: int | None
    pointer: Value | None
    type: drgn.Type | None
    member: str
    evidence: str = ""


def operand(
    made: Recovery, flow: FunctionFlow, frame: Walked, types: Types, insn: Insn, mem: Mem, size: int
) -> Operand:
    """
    Explain a memory operand of the instruction that a frame is at.

    :param size: Bytes of the access.
    """
    state = flow.before(insn.address)
    registers = frame.raw.registers
    if state is not None and mem.scale == 1 and mem.base and mem.index_by:
        mem = _pointer_first(types, state, mem)
    index = _index(made.arch, insn, mem, registers)
    if mem.base in (None, "pc"):
        fixed = mem.disp + (insn.end if mem.base else 0)
        address = None if index is None else (fixed + index) & _M64
        return Operand("", None, mem.disp, index, address, None, None, "")
    assert mem.base is not None
    value = registers.get(mem.base)
    address = None if value is None or index is None else (value + mem.disp + index) & _M64
    pointer = None if state is None else state.regs.get(mem.base)
    if pointer is not None and value is not None:
        pointer = _on_this_path(flow, frame, pointer, value)
    target, member, evidence = None, "", ""
    if pointer is not None and state is not None and index is not None:
        fixed = _constant_of(state, mem)
        used = used_bits(flow.insns, insn, mem, size)
        place = (mem.disp + fixed, size, index - fixed)
        target, member = _member(types, pointer, place, used)
        if "{" in member:
            meant = is_pointer(made, flow, insn)
            target, member = _member(types, pointer, place, used, meant)
        if fixed and not member:
            # Of words[i - 1] the constant is the index's, and not the array's place.
            places = [(mem.disp, size, index)]
            less = [n * mem.scale for n in range(1, _MAX_LESS + 1) if mem.index_by and mem.scale]
            places += [(mem.disp + fixed + n, size, index - fixed - n) for n in less]
            for other in places:
                found = _member(types, pointer, other, used)
                if found[1]:
                    place, (target, member) = other, found
                    break
        if target is None and value is not None:
            target, member = _moved(flow, frame, types, pointer, value, place)
        if not member:
            target, member, evidence = entry(made, flow, pointer, place, target)
    return Operand(mem.base, value, mem.disp, index, address, pointer, target, member, evidence)


def _pointer_first(types: Types, state: State, mem: Mem) -> Mem:
    """``[index + pointer]`` the other way round, where only the second is known as a pointer."""
    for register in filter(None, (mem.base, mem.index_by)):
        value = state.regs.get(register)
        typed = None if value is None else types.of(value)
        if typed is not None and pointed_to(typed.type) is not None:
            other = mem.index_by if register == mem.base else mem.base
            return mem._replace(base=register, index_by=other)
    return mem


def _index(arch: Arch, insn: Insn, mem: Mem, registers: dict[str, int]) -> int | None:
    """Bytes that an index in a register adds; None if not known."""
    if mem.index_by is None:
        return 0
    value = registers.get(mem.index_by)
    if value is None:
        return None
    if not mem.scale:
        return arch.extended(insn.text[1], value)
    return signed(value) * mem.scale


def _constant_of(state: State, mem: Mem) -> int:
    """Bytes of an index that are a constant: that of ``[base + (i + 36) * 4]`` is 144."""
    value = None if mem.index_by is None else state.regs.get(mem.index_by)
    if value is None or value[0] is None or value[2] < _INDEX_BITS:
        return 0
    constant = value[1] % (1 << value[2])
    return (constant - (1 << value[2]) if constant >> (value[2] - 1) else constant) * mem.scale


def _on_this_path(flow: FunctionFlow, frame: Walked, pointer: Value, value: int) -> Value:
    """What a pointer is that differs by the path, if the numbers rule out all paths but one."""
    base, k, bits = pointer
    every = None if base is None or bits < 64 else flow.brought(base)
    brought: set[Value] = set()
    for one in every or ():
        if one is None or one[2] < 64:
            return pointer
        number = frame.env.number(one)
        if number is None or number == (value - k) % (1 << 64):
            brought.add(one)
    if len(brought) != 1:
        return pointer
    base, moved, bits = brought.pop()
    return base, (moved + k) % (1 << 64), bits


def _moved(
    flow: FunctionFlow,
    frame: Walked,
    types: Types,
    pointer: Value,
    value: int,
    place: tuple[int, int, int],
) -> tuple[drgn.Type | None, str]:
    """The member, where an earlier instruction has added an index to the pointer."""
    base, k, bits = pointer
    insn = flow.insns.get(base[1]) if base is not None and isinstance(base[1], int) else None
    if base is None or base[0] != "def" or insn is None or bits < 64:
        return None, ""
    before = flow.before(insn.address)
    if before is None or insn.text[0] not in ("add", "lea"):
        return None, ""
    offset, size, index = place
    for op in insn.ops:
        names, extra = _added(op)
        for name in names:
            inner = before.regs.get(name)
            number = None if inner is None else frame.env.number(inner)
            if inner is None or number is None:
                continue
            added = signed(value - k - number - extra)
            shifted = (offset + signed(k) + extra, size, index + added)
            found = _member(types, inner, shifted, None)
            if found[1]:
                return found
    return None, ""


def entry(
    made: Recovery,
    flow: FunctionFlow,
    pointer: Value,
    place: tuple[int, int, int],
    target: drgn.Type | None,
) -> tuple[drgn.Type | None, str, str]:
    """The member of what the pointer's target is in, by what is done with the pointer elsewhere."""
    base, k, bits = pointer
    if base is None or bits < 64:
        return target, "", ""
    offset, size, index = place
    start = signed(k) + offset
    found = taken_for(made, flow, base, start + index, size)
    path = "" if found is None else path_at(found.type, start - found.offset, size, index)
    if found is None or not path:
        return target, "", ""
    said = str(found)
    if found.offset != signed(k):
        said = said.replace(" takes it as ", " takes what it is in as ")
    return found.type, path, said


def _added(op: Op) -> tuple[tuple[str, ...], int]:
    """The registers that an operation adds up, and the number it adds to them."""
    if op[0] == ADDRESS:
        return tuple(r for r in (op[2].base, op[2].index_by) if r), op[2].disp
    if op[0] == ADDREG:
        return (op[2], op[3]), 0
    return (tuple(op[2]) if op[0] == DEF else ()), 0


def _member(
    types: Types,
    pointer: Value,
    place: tuple[int, int, int],
    used: int | None,
    meant: bool | None = None,
) -> tuple[drgn.Type | None, str]:
    """
    The struct behind the pointer and the member's path in it.

    :param place: Bytes from the pointer, of the access, and of an index.
    :param used: See :func:`btfdbg.frames.members.path_at`; ``meant`` is its ``pointer``.
    """
    base, k, bits = pointer
    offset, size, index = place
    # The pointer may be one into a struct to which another points: that one says more.
    starts = [((base, 0, bits), signed(k) + offset)] if k and base is not None else []
    for start, at in (*starts, (pointer, offset)):
        typed = types.looked_through(start)
        target = None if typed is None else pointed_to(typed.type)
        if target is None:
            continue
        path = path_at(target, at, size, index, used, meant)
        if path or start == pointer:
            return target, path
    return None, ""
