"""What one instruction does to the values of registers and stack slots.

Owns executing ``ir``'s operations on a :class:`~btfdbg.frames.state.State`: moves, loads,
stores, calls; and what memory of the function's own frame a call or a store may have changed.
Must not know: where the instructions are, or which path led to them.

Memory of the function's own frame is followed as long as it can be nobody else's business:
once an address in the frame has been given away, every call and every store through an unknown
pointer forgets slots; see ``_forget``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from btfdbg.frames.code import Arch, Code
from btfdbg.frames.ir import (
    ADD,
    ADDREG,
    ADDRESS,
    CALL,
    CALL_REGISTER,
    CONST,
    CURRENT,
    DEF,
    FILL,
    LOAD,
    MOVE,
    SELECT,
    STORE,
    SWAP,
    Insn,
    Mem,
)
from btfdbg.frames.state import (
    ALL,
    CURRENT_TASK,
    M64,
    MAX_DEPTH,
    NOTHING,
    SP,
    Slot,
    State,
    Value,
    depth,
    of_stack,
    signed,
)

_MAX_SLOTS = 256
_WORD = 8


class Executor:
    """Executes instructions of one function."""

    def __init__(
        self, code: Code, arch: Arch, is_unsigned: Callable[[Insn, str], bool] | None = None
    ) -> None:
        """:param is_unsigned: Whether a register is no negative number before an instruction."""
        self._is_unsigned = is_unsigned
        self.code = code
        self.arch = arch
        self._saved = frozenset(arch.CALLEE_SAVED) | frozenset(
            () if arch.RETURN_ADDRESS_ON_STACK else ("x30",)
        )

    def entry_state(self, stack_arguments: int) -> State:
        """What holds at the entry."""
        regs: dict[str, Value] = {r: (("entry", r), 0, 64) for r in self.arch.REGISTERS}
        regs[self.arch.SP] = (SP, 0, 64)
        first = 8 if self.arch.RETURN_ADDRESS_ON_STACK else 0
        offsets = range(first, first + 8 * stack_arguments, 8)
        slots: dict[int, Slot] = {o: (8, (("stack", o), 0, 64), False) for o in offsets}
        return State(regs, slots, NOTHING)

    def address_of(self, state: State, mem: Mem, end: int) -> Value | None:
        """
        The address of a memory operand; None if it is not a value plus a number.

        :param end: Address behind the instruction.
        """
        if mem.segment:
            return None
        if mem.base is None:
            base, k, bits = None, mem.disp, 64
        elif mem.base == "pc":
            return None, (end + mem.disp) & M64, 64
        else:
            base, k, bits = state.regs[mem.base]
            k += mem.disp
        if mem.index_by is not None:
            number, factor, width = state.regs[mem.index_by]
            if number is not None or width < 64 or not mem.scale:
                if base is None and mem.scale == 1 and width == 64:
                    return number, (factor + k) & M64, 64
                return None
            k += factor * mem.scale
        return (base, k & M64, 64) if bits == 64 else None

    def execute(self, state: State, insn: Insn) -> None:
        """Change a state as an instruction does."""
        regs = state.regs
        for op in insn.ops:
            code = op[0]
            if code == MOVE:
                base, k, bits = regs[op[2]]
                regs[op[1]] = (base, k, bits if bits < op[3] else op[3])
            elif code == LOAD:
                self._load(state, insn, op[1], op[2], op[3])
            elif code == STORE:
                self._store(state, insn, op[1], op[2], op[3], op[4])
            elif code == ADD:
                base, k, bits = regs[op[2]]
                regs[op[1]] = (base, (k + op[3]) & M64, bits if bits < op[4] else op[4])
            elif code == ADDRESS:
                found = self.address_of(state, op[2], insn.end)
                if found is None:
                    names = _names(op[2])
                    if any(of_stack(regs[r]) for r in names):
                        state.escaped = min(state.escaped, self._lowest(state, insn, op[2]))
                    self._define(state, insn, (op[1],), ())
                else:
                    base, k, bits = found
                    regs[op[1]] = (base, k, bits if bits < op[3] else op[3])
            elif code == CONST:
                regs[op[1]] = (None, op[2] & M64, 64)
            elif code == DEF:
                self._define(state, insn, op[1], op[2])
            elif code == ADDREG:
                self._add(state, insn, *op[1:])
            elif code == SELECT and isinstance(op[3], Mem):
                if of_stack(regs[op[2]]):
                    state.escaped = min(state.escaped, signed(regs[op[2]][1]))
                self._define(state, insn, (op[1],), ())
            elif code == SELECT:
                one, other = regs[op[2]], regs[op[3]]
                if one[:2] == other[:2]:
                    regs[op[1]] = (one[0], one[1], min(one[2], other[2], op[4]))
                else:
                    for lost in (one, other):
                        if of_stack(lost):  # as where two paths meet: it is one of them
                            state.escaped = min(state.escaped, signed(lost[1]))
                    self._define(state, insn, (op[1],), ())
            elif code == SWAP:
                left, right = regs[op[1]], regs[op[2]]
                regs[op[1]] = (right[0], right[1], min(right[2], op[3]))
                regs[op[2]] = (left[0], left[1], min(left[2], op[3]))
            elif code == FILL:
                self._fill(state, op[1])
            elif code == CURRENT:
                regs[op[1]] = (CURRENT_TASK, 0, 64)
        if insn.kind == CALL or insn.kind == CALL_REGISTER:
            self._call(state, insn)

    def _define(
        self, state: State, insn: Insn, registers: Sequence[str], reads: Sequence[str]
    ) -> None:
        regs = state.regs
        for register in reads:
            if of_stack(regs[register]):
                state.escaped = ALL
        for register in registers:
            if register == self.arch.SP:
                state.escaped = ALL
            regs[register] = (("def", insn.address, register), 0, 64)

    def _add(
        self, state: State, insn: Insn, dst: str, left: str, right: str, sign: int, bits: int
    ) -> None:
        one, other = state.regs[left], state.regs[right]
        if other[0] is None and other[2] == 64:
            state.regs[dst] = (one[0], (one[1] + sign * other[1]) & M64, min(one[2], bits))
        elif one[0] is None and one[2] == 64 and sign > 0:
            state.regs[dst] = (other[0], (other[1] + one[1]) & M64, min(other[2], bits))
        else:
            self._define(state, insn, (dst,), (left, right))

    def _load(self, state: State, insn: Insn, dst: str, mem: Mem, size: int) -> None:
        where = self.address_of(state, mem, insn.end)
        if where is not None and where[0] == SP:
            offset = signed(where[1])
            slot = state.slots.get(offset)
            if slot is not None and slot[0] >= size:
                base, k, bits = slot[1]
                state.regs[dst] = (base, k, min(bits, 8 * size))
                return
            value: Value = (("load", insn.address, dst, where, size), 0, 64)
            if size <= 8 and len(state.slots) < _MAX_SLOTS and not state.overlaps(offset, size):
                state.slots[offset] = (size, (value[0], 0, 8 * size), False)
            state.regs[dst] = value
            return
        if where is not None and depth(where) >= MAX_DEPTH:
            where = None
        if mem.segment and size == 8 and mem.base in (None, "pc") and mem.index_by is None:
            place = (mem.disp + (insn.end if mem.base else 0)) & M64
            if self.code.is_current(mem.segment, place):
                state.regs[dst] = (CURRENT_TASK, 0, 64)
                return
        state.regs[dst] = (("load", insn.address, dst, where, size), 0, 64)

    def _store(
        self,
        state: State,
        insn: Insn,
        mem: Mem,
        what: str | int | None,
        size: int,
        pushed: bool,
    ) -> None:
        value: Value | None = None
        if isinstance(what, int):
            value = (None, what & M64, 64)
        elif what is not None:
            value = state.regs[what]
            if of_stack(value):
                state.escaped = min(state.escaped, signed(value[1]))
        where = self.address_of(state, mem, insn.end)
        if where is None or where[0] != SP:
            names = _names(mem)
            if any(of_stack(state.regs[r]) for r in names):
                # An element of an array in the frame.
                state.escaped = min(state.escaped, self._lowest(state, insn, mem))
            if not mem.segment:
                self._forget(state)
            return
        if value is None and size <= _WORD:
            value = (("def", insn.address, "memory"), 0, 64)
        offset = signed(where[1])
        slots = state.slots
        end = offset + size
        for other in [o for o, s in slots.items() if o < end and offset < o + s[0]]:
            del slots[other]
        if value is not None and size <= _WORD and len(slots) < _MAX_SLOTS:
            base, k, bits = value
            slots[offset] = (size, (base, k, min(bits, 8 * size)), pushed)

    def _lowest(self, state: State, insn: Insn, mem: Mem) -> int:
        """The lowest offset that an indexed operand may mean, of the stack pointer at entry."""
        base, index = mem.base, mem.index_by
        if base is None or base == "pc" or index is None or not mem.scale:
            return ALL
        if not of_stack(state.regs[base]) or of_stack(state.regs[index]):
            return ALL
        if self._is_unsigned is None or not self._is_unsigned(insn, index):
            return ALL
        return signed(state.regs[base][1] + mem.disp)

    def _fill(self, state: State, register: str) -> None:
        value = state.regs[register]
        if of_stack(value):
            state.escaped = min(state.escaped, signed(value[1]))
        self._forget(state)

    def _is_save(self, slot: Slot) -> bool:
        base, k, bits = slot[1]
        return (
            base is not None
            and base[0] == "entry"
            and k == 0
            and bits == 64
            and base[1] in self._saved
        )

    def _is_spill(self, slot: Slot) -> bool:
        base, k, _ = slot[1]
        return base is not None and k == 0 and base[0] in ("entry", "stack")

    def _forget(self, state: State) -> None:
        """
        Somebody may have written where an address in the frame has been given away.

        What is left: saved registers, which no C code can point to; and arguments as they
        came, if they lie below the lowest such address. An object begins at its address
        or, seldom, before it; only one that begins before it, was filled with an argument
        and is changed through the pointer could be mistaken for such a slot.
        """
        lowest = state.escaped
        if lowest != NOTHING:
            state.slots = {
                o: s
                for o, s in state.slots.items()
                if self._is_save(s) or (o + s[0] <= lowest and self._is_spill(s))
            }

    def _call(self, state: State, insn: Insn) -> None:
        regs, arch = state.regs, self.arch
        for register in arch.CALLER_SAVED:
            value = regs[register]
            if of_stack(value):
                state.escaped = min(state.escaped, signed(value[1]))
        if insn.kind == CALL and self.code.is_tracer(insn.address, insn.target):
            return
        self._forget(state)
        if state.slots:
            self.forget_below(state)
            self._forget_arguments(state, insn)
        target = insn.target if insn.kind == CALL else None
        for register in arch.CALLER_SAVED:
            regs[register] = (("call", insn.address, register, target), 0, 64)

    def forget_below(self, state: State) -> None:
        """What is below the stack pointer is anybody's."""
        base, k, bits = state.regs[self.arch.SP]
        if base != SP or bits < 64:
            return
        bottom = signed(k)
        for offset in [o for o in state.slots if o < bottom]:
            del state.slots[offset]

    def _forget_arguments(self, state: State, insn: Insn) -> None:
        """A function may write to the arguments that it was given on the stack."""
        base, k, bits = state.regs[self.arch.SP]
        if base != SP or bits < 64:
            return
        bottom = signed(k)
        lowest = state.slots.get(bottom)
        if lowest is None or self._is_save(lowest):
            return  # the first argument on the stack would be there
        words = self.code.stack_words(insn.target) if insn.kind == CALL else None
        slots = state.slots
        if words is not None:
            for offset in [o for o in slots if bottom <= o < bottom + 8 * words]:
                del slots[offset]
            return
        only_pushed = self.arch.RETURN_ADDRESS_ON_STACK
        while (slot := slots.get(bottom)) is not None and not self._is_save(slot):
            if only_pushed and not slot[2]:
                return
            del slots[bottom]
            bottom += slot[0]


def _names(mem: Mem) -> tuple[str, ...]:
    return tuple(r for r in (mem.base, mem.index_by) if r is not None and r != "pc")
