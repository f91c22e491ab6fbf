"""The walk over the frames of a stack: which number each named value is.

Owns joining ``flow``'s states with the registers and the memory of a dump, frame by frame:
callee-saved registers carried outwards, arguments of proven calls carried inwards, and the
checks without which neither is believed. Knows no instruction set beyond its register names.

A frame counts only if its place agrees with the unwinder's: the canonical frame address that
the code implies is the one by ORC, and the return address read there is the next frame's pc.
Where that fails, everything that was carried is dropped.

Facts: drgn 0.3 ``StackFrame`` (``sp`` of a caller is the value after the call returned);
``include/asm/kexec.h`` ``crash_setup_regs()`` (registers that a function stores of itself are
not those at the pc that it stores).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from btfdbg.frames.abi import Param
from btfdbg.frames.disasm import Disassembler
from btfdbg.frames.flow import CURRENT_TASK, Arch, Base, FunctionFlow, State, Value, signed
from btfdbg.frames.ir import (
    ADDRESS,
    BRANCH,
    CALL,
    CONST,
    JUMP,
    JUMP_REGISTER,
    STORE,
    Insn,
    Mem,
)
from btfdbg.frames.text import Function, Prototype, Text
from btfdbg.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from btfdbg.program.session import Session

_M64 = (1 << 64) - 1
_SP: Base = ("sp",)
_MAX_FRAME_BYTES = 1 << 14
_MAX_FLOWS = 1024
MAX_FRAMES = 256
_FRAME_POINTER = "x29"
# A return address may be signed: its upper bits are then a code.
_ADDRESS_BITS = (1 << 48) - 1
_MAX_VIAS = 4
_MAX_LEAVING = 8
_MAX_STACK_ARGUMENTS = 256
# Functions that call the one that the system call's number says.
_DISPATCHERS = frozenset(("do_syscall_64", "x64_sys_call", "invoke_syscall"))
_THUNK = "__x86_indirect_thunk_"


@dataclass(frozen=True, slots=True)
class RawFrame:
    """
    A frame as the unwinder gives it.

    :ivar sp: Stack pointer, None if not known.
    :ivar interrupted: The pc is that of the next instruction, not behind a call.
    :ivar registers: All that the unwinder knows, by full name.
    """

    pc: int
    sp: int | None
    interrupted: bool
    registers: dict[str, int]


@dataclass(frozen=True, slots=True)
class Found:
    """
    What is known of one parameter at the function's entry.

    :ivar words: Its bytes as words of the machine, None if not known.
    :ivar source: Where they were.
    :ivar why: Why there are none.
    """

    param: Param
    words: tuple[int, ...] | None
    source: str = ""
    why: str = ""


class Env:
    """Numbers of named values, as equations between those and registers or memory give them."""

    __slots__ = ("consistent", "numbers", "sources")

    def __init__(self) -> None:
        self.numbers: dict[Base, tuple[int, int]] = {}
        self.sources: dict[Base, str] = {}
        self.consistent = True

    def learn(self, value: Value, number: int, source: str) -> None:
        """A value is that number."""
        base, k, bits = value
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
            return
        if (known[0] ^ solved) & mask & ((1 << known[1]) - 1):
            self.consistent = False
        elif bits > known[1]:
            self.numbers[base] = (solved, bits)
            self.sources[base] = source

    def number(self, value: Value, bits: int = 64) -> int | None:
        """The low bits of a value, None if they are not known."""
        base, k, width = value
        if width < bits:
            return None
        if base is None:
            return k & ((1 << bits) - 1)
        known = self.numbers.get(base)
        if known is None or known[1] < bits:
            return None
        return (known[0] + k) & ((1 << bits) - 1)

    def entry(self, base: Base, bits: int) -> int | None:
        """The low bits of a base."""
        return self.number((base, 0, 64), bits)


@dataclass(slots=True)
class Walked:
    """
    A frame after the walk.

    :ivar function: Or why none is known.
    :ivar prototype: Or why none is known.
    :ivar state: Behind the call, or before the interrupted instruction; None if unknown.
    :ivar call: The call that it is in; None if interrupted.
    :ivar problem: Why nothing is known of the frame.
    :ivar linked: The next frame out is proven to be its caller.
    :ivar call_site: Why the caller's call says nothing.
    :ivar via: The function that its caller called and that left by a jump to this one.
    :ivar caller: The function that called it, if the unwinder left that out.
    :ivar is_left_out: The unwinder does not have it.
    """

    raw: RawFrame
    function: Function | str
    prototype: Prototype | str
    env: Env
    flow: FunctionFlow | None = None
    state: State | None = None
    call: Insn | None = None
    problem: str = ""
    linked: bool = False
    call_site: str = ""
    via: str = ""
    caller: str = ""
    is_left_out: bool = False
    params: tuple[Found, ...] = ()

    @property
    def sp(self) -> int | None:
        """The stack pointer in this frame, None if it is not known."""
        if self.state is None:
            return None
        name = next((r for r in ("rsp", "sp") if r in self.state.regs), "")
        return self.env.number(self.state.regs[name]) if name else None


_Arguments = dict[str, tuple[int, int, str]]
"""Register to number, valid bits and source."""


class _Given:
    """What is known at a call: the state, the numbers, and a system call's pt_regs."""

    def __init__(self, state: State, env: Env, source: str) -> None:
        self.state = state
        self.env = env
        self.source = source
        self.registers = (0, 0)


class Recovery:
    """
    Recovers arguments in the dump of one Session; keeps the analysis of each function.

    :ivar text: The functions.
    :ivar arch: The facts of the architecture.
    :ivar disassemble: Bytes into instructions.
    """

    def __init__(
        self,
        session: Session,
        text: Text,
        arch: Arch,
        disassemble: Disassembler,
    ) -> None:
        self.session = session
        self.text = text
        self.arch = arch
        self.disassemble = disassemble
        self._flows: dict[int, FunctionFlow] = {}

    def flow(self, function: Function) -> FunctionFlow:
        """The analysis of a function."""
        found = self._flows.get(function.start)
        if found is None:
            if len(self._flows) >= _MAX_FLOWS:
                self._flows.clear()
            prototype = self.text.prototype_at(function.start)
            words = 0 if isinstance(prototype, str) else prototype.signature.stack_words
            found = FunctionFlow(function, self.arch, self.disassemble, words)
            self._flows[function.start] = found
        return found

    def walk(self, frames: Sequence[RawFrame]) -> list[Walked]:
        """Find what is known of each frame, innermost first."""
        walked: list[Walked] = []
        known: dict[str, int] = {}
        for number, raw in enumerate(frames[:MAX_FRAMES]):
            following = frames[number + 1] if number + 1 < len(frames) else None
            if raw.interrupted or number == 0:
                known = dict(raw.registers)
            for register in self.arch.CALLEE_SAVED:
                if register in raw.registers:
                    known.setdefault(register, raw.registers[register])
            frame = self._walk_one(raw, following, known, number == 0)
            walked.append(frame)
            caller = self._caller_left_out(frame, following)
            if caller is not None:
                walked.append(caller)
                frame = caller
            known = self._carried(frame, following)
        self._share_current(walked)
        for outer, inner in zip(reversed(walked[1:]), reversed(walked[:-1]), strict=True):
            self._pass_in(outer, inner)
        for frame in walked:
            frame.params = tuple(self._params(frame))
        return [frame for frame in walked if not frame.is_left_out]

    def _caller_left_out(self, frame: Walked, following: RawFrame | None) -> Walked | None:
        """
        The caller of an interrupted function that has made no frame record (yet).

        Its return address is in x30, and x29 is still the caller's: an unwinder that follows
        x29 goes on with the caller's caller. It counts if that is what its own record says.
        """
        if self.arch.RETURN_ADDRESS_ON_STACK or not frame.raw.interrupted or frame.problem:
            return None
        state, env = frame.state, frame.env
        if state is None or state.regs[_FRAME_POINTER] != (("entry", _FRAME_POINTER), 0, 64):
            return None
        back, sp = env.entry(("entry", "x30"), 64), env.entry(_SP, 64)
        record = env.entry(("entry", _FRAME_POINTER), 64)
        if back is None or sp is None or record is None or not back >> 63:
            return None
        pc = back | _M64 ^ _ADDRESS_BITS
        raw = RawFrame(pc, sp, False, {_FRAME_POINTER: record})
        frame.linked = True
        caller = self._walk_one(raw, following, self._carried(frame, raw), False)
        call = caller.call
        if (
            caller.problem
            or not caller.linked
            or isinstance(caller.function, str)
            or isinstance(frame.function, str)
            or call is None
            or (call.target and call.target != frame.function.start)
        ):
            frame.linked = False
            return None
        caller.is_left_out = True
        frame.caller = caller.function.names[0]
        return caller

    def _walk_one(
        self, raw: RawFrame, following: RawFrame | None, known: dict[str, int], first: bool
    ) -> Walked:
        at = raw.pc if raw.interrupted else raw.pc - 1
        function = self.text.function(at)
        if isinstance(function, str):
            return Walked(raw, function, function, Env(), problem=function)
        frame = Walked(raw, function, self.text.prototype_at(function.start), Env())
        flow = frame.flow = self.flow(function)
        if flow.problem:
            frame.problem = flow.problem
            return frame
        if raw.interrupted:
            state = flow.before(raw.pc)
        else:
            frame.call = flow.call_before(raw.pc)
            state = None if frame.call is None else flow.before(frame.call.address)
            if state is not None and frame.call is not None:
                flow.execute(state, frame.call)
        if state is None:
            frame.problem = "no path through the function leads to the pc"
            return frame
        frame.state = state
        own = first and raw.interrupted and _stores_own_pc(flow, raw.pc)
        frame.problem = self._solve(frame, state, following, {} if own else known)
        return frame

    def _solve(
        self, frame: Walked, state: State, following: RawFrame | None, known: dict[str, int]
    ) -> str:
        """Fill a frame's Env; why it cannot be believed, or ""."""
        env, raw, arch = frame.env, frame.raw, self.arch
        for register, value in state.regs.items():
            number = known.get(register)
            if number is not None and register != arch.SP:
                env.learn(value, number, f"register {register}")
        value = state.regs[arch.SP]
        if raw.sp is not None and value[0] == _SP:
            env.learn(value, raw.sp, "the stack pointer")
        problem = self._place(frame, state, following)
        if problem:
            env.numbers.clear()
            return problem
        entry_sp = env.numbers[_SP][0]
        if not self._read_slots(env, state, entry_sp):
            env.numbers.clear()
            return "its stack is not in the dump"
        if not env.consistent:
            env.numbers.clear()
            return "registers and stack contradict the code"
        return ""

    def _place(self, frame: Walked, state: State, following: RawFrame | None) -> str:
        """Hold the frame's place against the unwinder's; why it cannot be, or ""."""
        if not frame.env.consistent:
            return "registers and stack contradict the code"
        if following is None:
            return "it is the last frame: nothing says where it ends"
        if following.interrupted:
            return "an exception's entry lies behind it"
        if self.arch.RETURN_ADDRESS_ON_STACK:
            return self._place_by_cfa(frame, following)
        return self._place_by_record(frame, state, following)

    def _place_by_cfa(self, frame: Walked, following: RawFrame) -> str:
        """The canonical frame address is the unwinder's, and the return address is there."""
        env = frame.env
        known = env.numbers.get(_SP)
        if following.sp is None:
            return "where the frame ends is not known"
        cfa = following.sp
        if known is None or known[1] < 64:
            env.learn((_SP, 0, 64), cfa - 8, "the unwinder")
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
        entry = env.numbers.get(_SP)
        if entry is None or entry[1] < 64:
            return "where the frame begins is not known"
        base, k, bits = state.regs[_FRAME_POINTER]
        if base != _SP or bits < 64:
            # It has made none yet, or makes none: the caller is not in the trace.
            return "" if frame.raw.interrupted else "it has no frame record"
        record = (entry[0] + k) & _M64
        outer, back = self.text.word(record), self.text.word(record + 8)
        if outer is None or back is None:
            return "its stack is not in the dump"
        same = (back ^ following.pc) & _ADDRESS_BITS == 0
        if not same or following.registers.get(_FRAME_POINTER, outer) != outer:
            return "its frame record says another caller"
        frame.linked = True
        return ""

    def _read_slots(self, env: Env, state: State, entry_sp: int) -> bool:
        slots = state.slots
        if not slots:
            return True
        low = min(slots)
        high = max(o + s[0] for o, s in slots.items())
        if high - low > _MAX_FRAME_BYTES:
            return False
        data = self.text.memory((entry_sp + low) & _M64, high - low)
        if data is None:
            return False
        for offset, (size, value, _) in slots.items():
            at = offset - low
            number = int.from_bytes(data[at : at + size], "little")
            env.learn(value, number, "stack")
        return True

    def _carried(self, frame: Walked, following: RawFrame | None) -> dict[str, int]:
        """Callee-saved registers of the calling frame."""
        if frame.problem or following is None or not frame.linked:
            return {}
        found = {}
        for register in self.arch.CALLEE_SAVED:
            number = frame.env.entry(("entry", register), 64)
            if number is not None:
                found[register] = number
                theirs = following.registers.get(register)
                if theirs is not None and theirs != number:
                    return {}
        return found

    def _share_current(self, walked: Sequence[Walked]) -> None:
        """A stack is one task's: where one frame knows the running task, all do."""
        known = {f.env.entry(CURRENT_TASK, 64) for f in walked} - {None}
        if len(known) == 1:
            (number,) = known
            for frame in walked:
                if number is not None and not frame.problem:
                    frame.env.learn((CURRENT_TASK, 0, 64), number, "the running task")

    # Arguments of calls

    def _pass_in(self, outer: Walked, inner: Walked) -> None:
        """Arguments that the calling frame passed."""
        if isinstance(inner.function, str) or outer.problem or outer.call is None:
            inner.call_site = outer.problem or "its caller was interrupted"
            return
        if not inner.linked:
            inner.call_site = "which frame called it is not proven"
            return
        flow = outer.flow
        before = None if flow is None else flow.before(outer.call.address)
        if before is None or isinstance(outer.function, str):
            return
        target, number = self._called(outer, outer.function, before)
        if target is None:
            inner.call_site = "its caller's call is indirect"
            return
        if target == inner.function.start:
            given = _Given(before, outer.env, f"call in {outer.function.names[0]}")
            given.registers = self._registers(outer, outer.function)
            self._learn_arguments(inner, before.regs.get, given)
            self._learn_stack(inner, before, given)
        elif not self._pass_through(outer, before, target, inner):
            inner.call_site = "its caller called another function, which left it by a jump"
            return
        if number is not None:
            self._learn_number(outer, number)

    def _registers(self, frame: Walked, function: Function) -> tuple[int, int]:
        """Where a system call's struct pt_regs is, from and to, if this is its entry."""
        if not self.text.reads_registers(function):
            return 0, 0
        regs = frame.env.entry(("entry", self.arch.ARGUMENTS[0]), 64)
        return (0, 0) if regs is None else (regs, regs + self.text.registers_size())

    def _learn_arguments(
        self, inner: Walked, value_of: Callable[[str], Value | None], given: _Given
    ) -> None:
        for register in self.arch.ARGUMENTS:
            value = value_of(register)
            if value is None:
                continue
            found = self._given(value, given)
            if found is not None:
                number, bits, source = found
                inner.env.learn((("entry", register), 0, bits), number, source)

    def _given(self, value: Value, given: _Given) -> tuple[int, int, str] | None:
        """Number, valid bits and source of a value at a call."""
        for bits in (64, 32, 16, 8):
            number = given.env.number(value, bits)
            if number is not None:
                return number, bits, given.source
        # A system call's arguments: the registers of the task, which wait for its end.
        base, k, bits = value
        if base is None or base[0] != "load" or not isinstance(base[3], tuple):
            return None
        address, size = given.env.number(base[3]), base[4]
        start, end = given.registers
        if address is None or not isinstance(size, int) or not start <= address <= end - size:
            return None
        data = self.text.memory(address, size)
        if data is None:
            return None
        bits = min(bits, 8 * size)
        return (int.from_bytes(data, "little") + k) & ((1 << bits) - 1), bits, "struct pt_regs"

    def _learn_stack(self, inner: Walked, before: State, given: _Given) -> None:
        base, k, bits = before.regs[self.arch.SP]
        if base != _SP or bits < 64:
            return
        bottom = signed(k)
        moved = 8 if self.arch.RETURN_ADDRESS_ON_STACK else 0
        for offset, (size, value, _) in before.slots.items():
            if size == 8 and 0 <= offset - bottom < _MAX_STACK_ARGUMENTS:
                found = self._given(value, given)
                if found is not None:
                    place: Base = ("stack", offset - bottom + moved)
                    inner.env.learn((place, 0, found[1]), found[0], found[2])

    def _called(
        self, outer: Walked, function: Function, before: State
    ) -> tuple[int | None, int | None]:
        """The function that a call called, None if unknown; and a system call's number."""
        target = self._target(outer, before)
        if target is None or "x64_sys_call" in self.text.names_at(target):
            if _DISPATCHERS.isdisjoint(function.names):
                return target, None
            regs = outer.env.number(before.regs[self.arch.ARGUMENTS[0]])
            table = self._entry_of(outer, "syscall_table")
            found = None if regs is None else self.text.system_call(regs, table)
            if found is not None:
                return found[1], found[0]
        return target, None

    def _entry_of(self, frame: Walked, name: str) -> int | None:
        """A parameter's value, by its name."""
        if isinstance(frame.prototype, str):
            return None
        for param in frame.prototype.signature.params:
            if param.name == name and len(param.registers) == 1:
                return frame.env.entry(("entry", param.registers[0]), 64)
        return None

    def _learn_number(self, outer: Walked, number: int) -> None:
        """The system call's number that the dispatcher was given."""
        if isinstance(outer.prototype, str):
            return
        for param in outer.prototype.signature.params:
            if param.name in ("nr", "scno") and len(param.registers) == 1:
                place: Base = ("entry", param.registers[0])
                if outer.env.entry(place, 32) is None:
                    outer.env.learn((place, 0, 32), number, "struct pt_regs")

    def _target(self, outer: Walked, before: State) -> int | None:
        """What a call called: its direct target, or a pointer that is still the same."""
        call = outer.call
        assert call is not None
        through: str | Mem | None = call.through
        if call.kind == CALL:
            names = self.text.names_at(call.target)
            thunks = (n.removeprefix(_THUNK) for n in names if n.startswith(_THUNK))
            through = next((r for r in thunks if r in self.arch.REGISTERS), None)
            if through is None:
                return call.target
        return self._through(outer.flow, call, through, before, outer.env)

    def _through(
        self,
        flow: FunctionFlow | None,
        insn: Insn,
        through: str | Mem | None,
        state: State,
        env: Env,
    ) -> int | None:
        """The function that an indirect call or jump leads to, if its pointer can be told."""
        value: Value | None = None
        if isinstance(through, str):
            value = state.regs.get(through)
        elif through is not None and flow is not None:
            where = flow.address_of(state, through, insn.end)
            value = None if where is None else (("load", 0, "", where, 8), 0, 64)
        return None if value is None else self._pointer_now(env, value)

    def _pointer_now(self, env: Env, value: Value, depth: int = 0) -> int | None:
        """A pointer's number; read again from where it was loaded if need be."""
        number = env.number(value)
        if number is not None:
            return number
        base, k, bits = value
        if base is None or base[0] != "load" or bits < 64 or depth > 4 or base[4] != 8:
            return None
        where = base[3]
        if not isinstance(where, tuple):
            return None
        address = self._pointer_now(env, where, depth + 1)
        if address is None:
            return None
        found = self.text.word(address)
        return None if found is None else (found + k) & _M64

    def _pass_through(self, outer: Walked, before: State, target: int, inner: Walked) -> bool:
        """Whether the caller called a function that left by jumps for this one, only for it."""
        assert not isinstance(inner.function, str)
        given = {}
        for register in self.arch.ARGUMENTS:
            found = self._given(before.regs[register], _Given(before, outer.env, ""))
            if found is not None:
                given[register] = found
        arrivals = self._arrivals(target, inner.function.start, given, ())
        if not arrivals:
            return False
        vias = {via for via, _ in arrivals}
        if len(vias) == 1:
            inner.via = ", ".join(vias.pop())
        first = arrivals[0][1]
        for register, (number, bits, source) in first.items():
            if all(a.get(register, ())[:2] == (number, bits) for _, a in arrivals):
                source = source or f"call in {_name(outer)}, via {inner.via or 'tail calls'}"
                inner.env.learn((("entry", register), 0, bits), number, source)
        return True

    def _arrivals(
        self, target: int, goal: int, given: _Arguments, vias: tuple[str, ...]
    ) -> list[tuple[tuple[str, ...], _Arguments]] | None:
        """
        How a function leaves by jumps for another one.

        :param given: What it was called with.
        :param vias: Functions that left before.
        :return: For each way the functions passed and the arguments; empty if there is none;
            None if that is not known.
        """
        function = self.text.function(target)
        if isinstance(function, str) or function.start != target or len(vias) >= _MAX_VIAS:
            return None
        flow = self.flow(function)
        if flow.problem:
            return None
        leaving = [i for i in flow.insns.values() if _leaves(flow, i)]
        if len(leaving) > _MAX_LEAVING:
            return None
        env = Env()
        for register, (number, bits, _) in given.items():
            env.learn((("entry", register), 0, bits), number, "")
        found: list[tuple[tuple[str, ...], _Arguments]] = []
        passed = (*vias, function.names[0])
        for insn in leaving:
            state = flow.before(insn.address)
            there = None if state is None else self._left_for(flow, insn, state, env)
            if state is None or there is None:
                return None
            if isinstance(self.text.function(there), str):
                continue  # a pointer to no function was not jumped through
            arguments = self._arguments_at(state, env, function)
            if there == goal:
                found.append((passed, arguments))
                continue
            more = self._arrivals(there, goal, arguments, passed)
            if more is None:
                return None
            found += more
        return found

    def _arguments_at(self, state: State, env: Env, function: Function) -> _Arguments:
        """Values of the argument registers where a function is left."""
        given = _Given(state, env, "")
        if self.text.reads_registers(function):
            regs = env.entry(("entry", self.arch.ARGUMENTS[0]), 64)
            if regs is not None:
                given.registers = regs, regs + self.text.registers_size()
        found = {}
        for register in self.arch.ARGUMENTS:
            value = self._given(state.regs[register], given)
            if value is not None:
                found[register] = value
        return found

    def _left_for(self, flow: FunctionFlow, insn: Insn, state: State, env: Env) -> int | None:
        """Where a jump out of a function leads; None if it is not known."""
        through = insn.through
        if insn.kind != JUMP_REGISTER:
            names = self.text.names_at(insn.target)
            thunks = (n.removeprefix(_THUNK) for n in names if n.startswith(_THUNK))
            through = next((r for r in thunks if r in self.arch.REGISTERS), None)
            if through is None:
                return insn.target
        return self._through(flow, insn, through, state, env)

    # Parameters

    def _params(self, frame: Walked) -> Iterable[Found]:
        prototype = frame.prototype
        if isinstance(prototype, str):
            return
        for param in prototype.signature.params:
            yield self._param(frame, prototype, param)

    def _param(self, frame: Walked, prototype: Prototype, param: Param) -> Found:
        if prototype.signature.problem:
            return Found(param, None, why=prototype.signature.problem)
        if not frame.env.consistent:
            return Found(param, None, why="the frame and its caller's call say different values")
        if param.by_reference:
            return Found(param, None, why="it is passed by reference, and may have changed")
        places: list[Base] = [("entry", r) for r in param.registers]
        if param.stack is not None:
            places = [("stack", param.stack + 8 * n) for n in range(-(-param.size // 8))]
        words, sources = [], []
        for number, place in enumerate(places):
            bits = min(64, 8 * (param.size - 8 * number))
            width = next(w for w in (8, 16, 32, 64) if w >= bits)
            word = frame.env.entry(place, width)
            if word is None:
                return Found(param, None, why=self._why(frame))
            words.append(word)
            sources.append(frame.env.sources[place])
        return Found(param, tuple(words), " and ".join(dict.fromkeys(sources)))

    def _why(self, frame: Walked) -> str:
        own = frame.problem or "the function keeps it nowhere"
        caller = frame.call_site or "its caller's code does not tell what it passed"
        return f"{own}; {caller}"


def _leaves(flow: FunctionFlow, insn: Insn) -> bool:
    """Whether an instruction may jump out of the function."""
    if insn.kind in (BRANCH, JUMP):
        return insn.target not in flow.insns
    return insn.kind == JUMP_REGISTER and insn.address not in flow.tables


def _name(frame: Walked) -> str:
    return frame.function if isinstance(frame.function, str) else frame.function.names[0]


def _stores_own_pc(flow: FunctionFlow, pc: int) -> bool:
    """Whether the function took that very address itself, as crash_setup_regs() does."""
    for insn in flow.insns.values():
        for op in insn.ops:
            if op[0] == ADDRESS and op[2].base == "pc":
                if insn.end + op[2].disp == pc:
                    return True
            elif (op[0] == CONST and op[2] == pc) or (op[0] == STORE and op[2] == pc):
                return True
    return False
