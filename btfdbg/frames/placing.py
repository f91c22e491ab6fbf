"""Whether a frame's place is where the unwinder has it, and the numbers that follow from it.

Owns the check without which nothing is believed: the canonical frame address that the code
implies is the unwinder's, and the return address read there is the next frame's pc (or, on
arm64, the frame record that the code has made is the one that the unwinder followed).
"""

from __future__ import annotations

from btfdbg.frames.code import Arch
from btfdbg.frames.environment import Env
from btfdbg.frames.state import (
    ALIGNED,
    ALIGNED_SP,
    M64,
    MAX_ALIGNMENT,
    SP,
    Slot,
    State,
    is_aligned,
)
from btfdbg.frames.text import Text
from btfdbg.frames.walked import ADDRESS_BITS, FRAME_POINTER, RawFrame, Walked

_MAX_FRAME_BYTES = 1 << 14
STACK = "stack"
LAST_FRAME = "it is the last frame: nothing says where it ends"
EXCEPTION_BEHIND = "an exception's entry lies behind it"


class Placing:
    """Holds the frames of one dump against the unwinder's."""

    def __init__(self, text: Text, arch: Arch) -> None:
        self.text = text
        self.arch = arch

    def solve(
        self,
        frame: Walked,
        state: State,
        following: RawFrame | None,
        known: dict[str, int],
        firm: frozenset[str],
    ) -> str:
        """
        Fill a frame's Env; why it cannot be believed, or "".

        :param firm: Registers that are known from more than one word of memory.
        """
        env, raw, arch = frame.env, frame.raw, self.arch
        for register, value in state.regs.items():
            number = known.get(register)
            if number is not None and register != arch.SP:
                env.learn(value, number, f"register {register}", register in firm)
        value = state.regs[arch.SP]
        if raw.sp is not None and value[0] == SP:
            env.learn(value, raw.sp, "the stack pointer")
        problem = self._place(frame, state, following)
        if problem:
            env.numbers.clear()
            return problem
        entry_sp = env.numbers[SP][0]
        problem = self._read_both(env, state.slots, entry_sp)
        if problem:
            env.numbers.clear()
            return problem
        if not env.consistent:
            env.numbers.clear()
            return "registers and stack contradict the code"
        return ""

    def _place(self, frame: Walked, state: State, following: RawFrame | None) -> str:
        """Hold the frame's place against the unwinder's; why it cannot be, or ""."""
        if not frame.env.consistent:
            return "registers and stack contradict the code"
        if following is None:
            return LAST_FRAME
        if following.interrupted:
            return EXCEPTION_BEHIND
        if self.arch.RETURN_ADDRESS_ON_STACK:
            return self._place_by_cfa(frame, following)
        return self._place_by_record(frame, state, following)

    def _place_by_cfa(self, frame: Walked, following: RawFrame) -> str:
        """The canonical frame address is the unwinder's, and the return address is there."""
        env = frame.env
        known = env.numbers.get(SP)
        if following.sp is None:
            return "where the frame ends is not known"
        cfa = following.sp
        if known is None or known[1] < 64:
            env.learn((SP, 0, 64), cfa - 8, "the unwinder")
        elif known[0] + 8 != cfa:
            return "the code and the unwinder disagree about the frame"
        back = self.text.word(cfa - 8)
        if back is None:
            return "its stack is not in the dump"
        frame.linked = back == following.pc
        return "" if frame.linked else "its return address is another"

    def _place_by_record(self, frame: Walked, state: State, following: RawFrame) -> str:
        """The frame record that the code has made is the one that the unwinder followed."""
        env = frame.env
        entry = env.numbers.get(SP)
        if entry is None or entry[1] < 64:
            return "where the frame begins is not known"
        base, k, bits = state.regs[FRAME_POINTER]
        if base != SP or bits < 64:
            # It has made none yet, or makes none: the caller is not in the trace.
            return "" if frame.raw.interrupted else "it has no frame record"
        record = (entry[0] + k) & M64
        outer, back = self.text.word(record), self.text.word(record + 8)
        if outer is None or back is None:
            return "its stack is not in the dump"
        same = (back ^ following.pc) & ADDRESS_BITS == 0
        if not same or following.registers.get(FRAME_POINTER, outer) != outer:
            return "its frame record says another caller"
        frame.linked = True
        return ""

    def _read_both(self, env: Env, slots: dict[int, Slot], entry_sp: int) -> str:
        """Read the slots before and behind an alignment's gap; why they cannot be, or ""."""
        behind = {o + ALIGNED: slot for o, slot in slots.items() if is_aligned(o)}
        aligned_sp = env.numbers.get(ALIGNED_SP, (entry_sp, 0))[0]
        if not 0 <= entry_sp - aligned_sp < MAX_ALIGNMENT:
            return "the code and the unwinder disagree about the frame"
        if behind:
            if ALIGNED_SP not in env.numbers:
                return "how its stack is aligned is not known"
            slots = {o: slot for o, slot in slots.items() if not is_aligned(o)}
        if self._read_slots(env, slots, entry_sp) and self._read_slots(env, behind, aligned_sp):
            return ""
        return "its stack is not in the dump"

    def _read_slots(self, env: Env, slots: dict[int, Slot], entry_sp: int) -> bool:
        if not slots:
            return True
        low = min(slots)
        high = max(o + s[0] for o, s in slots.items())
        if high - low > _MAX_FRAME_BYTES:
            return False
        data = self.text.memory((entry_sp + low) & M64, high - low)
        if data is None:
            return False
        for offset, (size, value, _) in slots.items():
            at = offset - low
            number = int.from_bytes(data[at : at + size], "little")
            env.learn(value, number, STACK)
        return True
