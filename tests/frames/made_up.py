"""drgn asked about a function in a made-up world: each register and each word of a stack differs.

Owns the numbers of that world, drgn's frame at any pc in it, and what DWARF's value of a
parameter tells there: which place it names, and, by the state of our analysis, what is in that
place by now.
"""

from __future__ import annotations

import random

import drgn

from btfdbg.frames.abi import Param
from btfdbg.frames.recover import Recovery
from btfdbg.frames.state import Base, State, Value
from tests.frames.truth import bits_of

_STACK = 0xFFFF_1100_0000_0000
_STACK_SIZE = 1 << 20
_SP = _STACK + _STACK_SIZE // 2
_M64 = (1 << 64) - 1
_NEAR = 4096


def magic(address: int) -> int:
    """The word at an address of the made-up stack."""
    return (address * 0x9E37_79B9_7F4A_7C15 ^ 0x1234_5678_9ABC_DEF1) & _M64 | 1 << 62


def stack(address: int, count: int, offset: int, physical: bool) -> bytes:
    """The made-up stack as a memory segment."""
    first, last = address & ~7, (address + count + 7) & ~7
    data = b"".join(magic(a).to_bytes(8, "little") for a in range(first, last, 8))
    return data[address - first : address - first + count]


def given(frame: drgn.StackFrame, param: Param) -> tuple[int | None, int | None] | None:
    """DWARF's number and address of a parameter; None if numbers cannot be compared."""
    try:
        value = frame[param.name]
        if value.type_.kind == drgn.TypeKind.BOOL:
            return None
        data, address = bits_of(value), value.address_
    except Exception:  # drgn's for a DWARF operation that it does not know is bare
        return None, None
    if data is None or len(data) != param.size:
        return None, address
    return int.from_bytes(data, "little"), address


def kind_of(value: Value) -> str:
    """What kind of thing a value is."""
    if value[0] is None:
        return "number"
    return "address in the frame" if value[0][0] == "sp" else str(value[0][0])


def _near(number: int, other: int, bits: int) -> bool:
    half = 1 << (bits - 1)
    return abs(((number - other + half) & (2 * half - 1)) - half) <= (_NEAR if bits > 16 else 8)


class MadeUp:
    """
    The made-up world of one kernel.

    :param truth: drgn with debug files; it gets the made-up stack.
    :param made: Our analysis of the same dump.
    """

    def __init__(self, truth: drgn.Program, made: Recovery) -> None:
        self.truth = truth
        self.made = made
        self.truth.add_memory_segment(_STACK, _STACK_SIZE, stack)
        arch = made.arch
        numbers = random.Random(1)
        self.registers = {r: numbers.getrandbits(64) | 1 << 63 for r in arch.REGISTERS}
        self.registers[arch.SP] = _SP
        frame_pointer = "rbp" if arch.RETURN_ADDRESS_ON_STACK else "x29"
        self.frame_pointer = frame_pointer

    def frames(self, pc: int) -> tuple[drgn.StackFrame, drgn.StackFrame | None] | None:
        """drgn's frame of the function, and the next one out."""
        try:
            trace = self.truth.stack_trace(self.pt_regs(pc))
        except Exception:  # drgn's for damaged unwind data is bare
            return None
        for number, frame in enumerate(trace):
            if not frame.is_inline:
                return frame, trace[number + 1] if number + 1 < len(trace) else None
        return None

    def pt_regs(self, pc: int) -> drgn.Object:
        """Registers with their numbers."""
        if self.frame_pointer == "rbp":
            names = {r: self.registers[r] for r in self.made.arch.REGISTERS}
            members = self.truth.type("struct pt_regs").members
            has = {m.name for m in members}
            value = {}
            for register, number in names.items():
                short = register if register in has else register[1:]
                value[short] = number
            value["ip"] = pc
            value["cs"] = 0x10
            value["flags"] = 0x202
            return drgn.Object(self.truth, "struct pt_regs", value)
        size = drgn.sizeof(self.truth.type("struct pt_regs"))
        words = [self.registers.get(f"x{n}", 0) for n in range(31)] + [_SP, pc, 0x5]
        data = b"".join(w.to_bytes(8, "little") for w in words)
        return drgn.Object.from_bytes_(self.truth, "struct pt_regs", data + bytes(size - len(data)))

    def numbers(self, state: State, base: tuple[object, ...], bits: int) -> set[int]:
        """All numbers that the state gives for a base."""
        found = set()
        mask = (1 << bits) - 1
        for register, value in state.regs.items():
            if value[0] == base and value[2] >= bits:
                found.add((self.registers[register] - value[1]) & mask)
        sp = self.entry_sp(state)
        if sp is not None:
            for offset, (size, value, _) in state.slots.items():
                if value[0] == base and value[2] >= bits:
                    word = int.from_bytes(stack(sp + offset, size, 0, False), "little")
                    found.add((word - value[1]) & mask)
        return found

    def entry_sp(self, state: State) -> int | None:
        """The stack pointer at entry."""
        base, k, _ = state.regs[self.made.arch.SP]
        return (_SP - k) & _M64 if base == ("sp",) else None

    def why(self, pc: int, state: State, param: Param) -> str:
        """
        Why DWARF's value of a parameter is not the one at the entry; "" if that is not seen.

        :param pc: Where an unwinder asks.
        :param state: Before the instruction there, or the call that it is in.
        """
        frames, passed = self.frames(pc), self.passed(state, param)
        if frames is None or passed is None:
            return ""
        base, ours = passed
        found = given(frames[0], param)
        if found is None or found[0] is None or found[0] in ours:
            return ""
        return self.changed(state, base, found[0], 8 * param.size) or self.beside(
            state, frames[0], param, pc, ours
        )

    def passed(self, state: State, param: Param) -> tuple[Base, set[int]] | None:
        """
        The place of a parameter at the entry, and all numbers that the state gives for it.

        :return: None if it is not passed in one register or in one word of the stack.
        """
        if param.size > 8 or len(param.registers) + (param.stack is not None) != 1:
            return None
        base: Base = ("entry", *param.registers) if param.registers else ("stack", param.stack)
        bits = 8 * param.size
        width = next(w for w in (8, 16, 32, 64) if w >= bits)
        return base, {n & ((1 << bits) - 1) for n in self.numbers(state, base, width)}

    def beside(
        self, state: State, frame: drgn.StackFrame, param: Param, inside: int, ours: set[int]
    ) -> str:
        """Why the numbers of a parameter cannot be compared; "" if that is not seen."""
        found = given(frame, param)
        sp = self.entry_sp(state)
        if found is not None and found[1] is not None and sp is not None:
            offset = found[1] - sp
            if offset not in state.slots and _SP <= found[1] < sp:
                return "DWARF names a slot that is not followed"
        frames = self.frames(inside)
        if frames is not None and param.name in frames[0].locals():
            found = given(frames[0], param)
            if found is not None and found[0] in ours:
                return "DWARF says the same in the midst of the call"
            if found is not None and found[0] is None:
                return "DWARF does not give it in the midst of the call"
        theirs = given(frame, param)
        mask = (1 << 8 * param.size) - 1
        for register, value in state.regs.items():
            other = value[0] is not None and value[0][0] == "entry" and register in self.registers
            if other and theirs is not None and theirs[0] == self.registers[register] & mask:
                return "its place holds another parameter"
        return ""

    def changed(self, state: State, base: tuple[object, ...], theirs: int, bits: int) -> str:
        """
        Why DWARF's value of a parameter is none that it was called with; "" if that is not seen.

        The register or word of the stack whose number DWARF gives holds something else by now: the
        function has assigned to the parameter, and DWARF gives what it is after that.
        """
        mask = (1 << bits) - 1
        places: list[tuple[int, Value]] = [
            (self.registers[r], value) for r, value in state.regs.items() if r in self.registers
        ]
        sp = self.entry_sp(state)
        if sp is not None:
            places += [
                (int.from_bytes(stack(sp + offset, size, 0, False), "little"), value)
                for offset, (size, value, _) in state.slots.items()
            ]
        for number, value in places:
            is_made = value[0] is None or value[0][0] not in ("entry", "stack")
            if (number ^ theirs) & mask == 0 and is_made:
                kind = kind_of(value)
                return f"its place holds {'an' if kind[0] == 'a' else 'a'} {kind}"
        near = [value for number, value in places if _near(number, theirs, bits)]
        for value in near:
            if value[0] is not None and value[0][0] not in ("sp", "entry", "stack"):
                return f"made from a {kind_of(value)}"
        own = self.numbers(state, base, bits)
        if any(_near(number, theirs, bits) or (number + theirs) & mask == 0 for number in own):
            return "counted up or down, or negated"
        if any(theirs == theirs & number for number in own):
            return "bits of it are cleared"
        if sp is not None:
            for at in range(_SP, sp, 4):
                if at - sp not in state.slots:
                    word = int.from_bytes(stack(at, 8, 0, False), "little")
                    if _near(word, theirs, bits):
                        return "made from a slot that is not followed"
        return "a number" if _near(0, theirs, bits) else ""
