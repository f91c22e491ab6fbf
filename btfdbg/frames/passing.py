"""What a calling frame passed: the arguments of a proven call, carried inwards.

Owns telling which function a call called (direct, through a pointer that is still the same, by
a system call's number, or through functions that left by a jump), and what the argument
registers and the stack held there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from btfdbg.frames.code import Arch
from btfdbg.frames.environment import Env
from btfdbg.frames.flow import FunctionFlow
from btfdbg.frames.function import Function
from btfdbg.frames.ir import BRANCH, CALL, JUMP, JUMP_REGISTER, Insn, Mem
from btfdbg.frames.placing import EXCEPTION_BEHIND, LAST_FRAME
from btfdbg.frames.prototypes import CHANGED
from btfdbg.frames.state import M64, SP, Base, State, Value, signed
from btfdbg.frames.text import Text
from btfdbg.frames.walked import Walked
from btfdbg.frames.ways import Ways

_MAX_VIAS = 4
_MAX_LEAVING = 8
_MAX_STACK_ARGUMENTS = 256
# Functions that call the one that the system call's number says.
_DISPATCHERS = frozenset(("do_syscall_64", "x64_sys_call", "invoke_syscall"))
_NUMBERS = ("nr", "scno")
_TABLES = ("syscall_table",)
_PT_REGS = "struct pt_regs"
_THUNK = "__x86_indirect_thunk_"

Passed = tuple[int, int, str, bool]
"""Number, valid bits, source, and whether a damaged word of memory would have been noticed."""
Arguments = dict[str, Passed]
"""By register."""


class Given:
    """What is known at a call: the state, the numbers, and a system call's pt_regs."""

    def __init__(self, state: State, env: Env, source: str) -> None:
        self.state = state
        self.env = env
        self.source = source
        self.registers = (0, 0)


class Passing:
    """
    Carries arguments inwards.

    :param flow_of: The analysis of a function.
    """

    def __init__(self, text: Text, arch: Arch, flow_of: Callable[[Function], FunctionFlow]) -> None:
        self.text = text
        self.arch = arch
        self.flow_of = flow_of

    def pass_in(self, outer: Walked, inner: Walked) -> None:
        """Arguments that the calling frame passed."""
        self._learn_own_number(inner)
        inner.is_kept = self._is_by_assembly(outer, inner)
        if outer.problem in (LAST_FRAME, EXCEPTION_BEHIND):
            self._pass_by_place(outer, inner)
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
            inner.is_kept = inner.is_kept or self._is_indirect(outer.call)
            given = Given(before, outer.env, f"call in {outer.function.names[0]}")
            given.registers = self._registers(outer, outer.function)
            self._learn_arguments(inner, before.regs.get, given)
            self._learn_stack(inner, before, given)
            self._learn_by_way(outer, inner, before)
        elif not self._pass_through(outer, before, target, inner):
            inner.call_site = "its caller called another function, which left it by a jump"
            if number is not None:
                self._forget_number(outer)
            return
        if number is not None:
            self._learn_number(outer, number, True)

    def _is_by_assembly(self, outer: Walked, inner: Walked) -> bool:
        if inner.prototype != CHANGED or not inner.linked or outer.call is None:
            return False
        if isinstance(inner.function, str) or isinstance(outer.function, str):
            return False
        is_called = outer.call.kind == CALL and outer.call.target == inner.function.start
        return is_called and self.text.is_foreign(outer.function.start)

    def _pass_by_place(self, outer: Walked, inner: Walked) -> None:
        """
        What the outermost frame passed of its own place: an exception's entry, ``struct pt_regs``.

        Where that frame ends nothing says, but where the frame that it called begins.
        """
        if not inner.linked or isinstance(inner.function, str) or isinstance(outer.function, str):
            return
        before = None
        if outer.flow is not None and outer.call is not None:
            before = outer.flow.before(outer.call.address)
        sp = inner.env.entry(SP, 64)
        if before is None or sp is None or outer.call is None:
            return
        if outer.call.target != inner.function.start or before.regs[self.arch.SP][0] != SP:
            return
        env = Env()
        moved = 8 if self.arch.RETURN_ADDRESS_ON_STACK else 0
        env.learn(before.regs[self.arch.SP], sp + moved, "the stack pointer")
        given = Given(before, env, f"call in {outer.function.names[0]}")
        self._learn_arguments(inner, before.regs.get, given)

    def loaded(self, frame: Walked) -> Callable[[Value], tuple[int, int] | None] | None:
        """Numbers of a system call's arguments, where a frame is its entry."""
        if frame.state is None or isinstance(frame.function, str):
            return None
        given = Given(frame.state, frame.env, "")
        given.registers = self._registers(frame, frame.function)
        if given.registers == (0, 0):
            return None

        def number(value: Value) -> tuple[int, int] | None:
            found = self._given(value, given)
            return None if found is None else found[:2]

        return number

    def _registers(self, frame: Walked, function: Function) -> tuple[int, int]:
        """Where a system call's struct pt_regs is, from and to, if this is its entry."""
        if not self.text.reads_registers(function):
            return 0, 0
        regs = frame.env.entry(("entry", self.arch.ARGUMENTS[0]), 64)
        return (0, 0) if regs is None else (regs, regs + self.text.registers_size())

    def _learn_arguments(
        self, inner: Walked, value_of: Callable[[str], Value | None], given: Given
    ) -> None:
        for register in self.arch.ARGUMENTS:
            value = value_of(register)
            if value is None:
                continue
            found = self._given(value, given)
            if found is not None:
                number, bits, source, firm = found
                inner.env.learn((("entry", register), 0, bits), number, source, firm)

    def _given(self, value: Value, given: Given) -> Passed | None:
        """What is known of a value at a call."""
        base, k, bits = value
        env = given.env
        if base is None or base == SP or base in env.numbers:  # else none of the widths is known
            for width in (64, 32, 16, 8):
                number = env.number(value, width)
                if number is not None:
                    return number, width, given.source, env.is_firm(value, width)
        # A system call's arguments: the registers of the task, which wait for its end.
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
        number = (int.from_bytes(data, "little") + k) & ((1 << bits) - 1)
        return number, bits, _PT_REGS, False

    def _learn_stack(self, inner: Walked, before: State, given: Given) -> None:
        base, k, width = before.regs[self.arch.SP]
        if base != SP or width < 64:
            return
        bottom = signed(k)
        moved = 8 if self.arch.RETURN_ADDRESS_ON_STACK else 0
        for offset, (size, value, _) in before.slots.items():
            if size == 8 and 0 <= offset - bottom < _MAX_STACK_ARGUMENTS:
                found = self._given(value, given)
                if found is not None:
                    place: Base = ("stack", offset - bottom + moved)
                    number, bits, source, firm = found
                    inner.env.learn((place, 0, bits), number, source, firm)

    def _learn_by_way(self, outer: Walked, inner: Walked, before: State) -> None:
        """Arguments that differ by the way to the call, or that were chosen of two values."""
        if isinstance(inner.prototype, str) or outer.flow is None or outer.call is None:
            return
        ways = None
        for param in inner.prototype.signature.params:
            for number, register in enumerate(param.registers):
                needed = min(64, 8 * (param.size - 8 * number))
                base = before.regs[register][0]
                if base is None or base[0] not in ("phi", "def"):
                    continue
                if inner.env.numbers.get(("entry", register), (0, 0))[1] >= needed:
                    continue
                ways = ways or Ways(outer.flow, self.arch, outer.env, self.loaded(outer))
                found = ways.number(before.regs[register], outer.call.address)
                if found is not None:
                    place: Base = ("entry", register)
                    inner.env.learn((place, 0, found[1]), found[0], f"call in {outer.name}")

    def _called(
        self, outer: Walked, function: Function, before: State
    ) -> tuple[int | None, int | None]:
        """The function that a call called, None if unknown; and a system call's number."""
        target = self._target(outer, before)
        if target is None or "x64_sys_call" in self.text.names_at(target):
            if not _is_dispatcher(function):
                return target, None
            regs = outer.env.number(before.regs[self.arch.ARGUMENTS[0]])
            places = self._places_of(outer, _TABLES)
            table = next((outer.env.entry(place, 64) for place in places), None)
            found = None if regs is None else self.text.system_call(regs, table)
            if found is not None:
                return found[1], found[0]
        return target, None

    def _places_of(self, frame: Walked, names: tuple[str, ...]) -> Iterator[Base]:
        """The registers at the entry that parameters of these names are passed in, one each."""
        if isinstance(frame.prototype, str):
            return
        for param in frame.prototype.signature.params:
            if param.name in names and len(param.registers) == 1:
                yield "entry", param.registers[0]

    def _learn_own_number(self, frame: Walked) -> None:
        """
        The number that a dispatcher was given, where it is not in the call of the table any more.

        On its way out ``struct pt_regs`` still has it; after a return from a signal's handler it
        has -1, which counts as not known.
        """
        if isinstance(frame.function, str) or frame.problem or frame.call is None:
            return
        if not _is_dispatcher(frame.function):
            return
        regs = frame.env.entry(("entry", self.arch.ARGUMENTS[0]), 64)
        found = None if regs is None else self.text.system_call(regs)
        if found is not None:
            self._learn_number(frame, found[0], False)

    def _learn_number(self, outer: Walked, number: int, firm: bool) -> None:
        """
        The system call's number that the dispatcher was given.

        :param firm: Its function is the one that was called.
        """
        for place in self._places_of(outer, _NUMBERS):
            if outer.env.entry(place, 32) in (None, number):
                outer.env.learn((place, 0, 32), number, _PT_REGS, firm)

    def _forget_number(self, outer: Walked) -> None:
        """The number in ``struct pt_regs`` is of another system call than the one on the stack."""
        for place in self._places_of(outer, _NUMBERS):
            if outer.env.sources.get(place) == _PT_REGS:
                outer.env.forget(place)
                outer.call_site = "struct pt_regs has another system call's number"

    def _target(self, outer: Walked, before: State) -> int | None:
        """What a call called: its direct target, or a pointer that is still the same."""
        call = outer.call
        assert call is not None
        through: str | Mem | None = call.through
        if call.kind == CALL:
            through = self._thunk(call)
            if through is None:
                return call.target
        return self._through(outer.flow, call, through, before, outer.env)

    def _thunk(self, insn: Insn) -> str | None:
        """The register that a call or jump to a thunk of the kernel goes through; else None."""
        names = self.text.names_at(insn.target)
        thunks = (n.removeprefix(_THUNK) for n in names if n.startswith(_THUNK))
        return next((r for r in thunks if r in self.arch.REGISTERS), None)

    def _is_indirect(self, call: Insn) -> bool:
        return call.kind != CALL or self._thunk(call) is not None

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
        return None if found is None else (found + k) & M64

    def _pass_through(self, outer: Walked, before: State, target: int, inner: Walked) -> bool:
        """Whether the caller called a function that left by jumps for this one, only for it."""
        assert not isinstance(inner.function, str)
        given = {}
        for register in self.arch.ARGUMENTS:
            found = self._given(before.regs[register], Given(before, outer.env, ""))
            if found is not None:
                given[register] = found
        arrivals = self._arrivals(target, inner.function.start, given, ())
        if not arrivals:
            return False
        vias = {via for via, _ in arrivals}
        if len(vias) == 1:
            inner.via = ", ".join(vias.pop())
        first = arrivals[0][1]
        for register, (number, bits, source, firm) in first.items():
            if all(a.get(register, ())[:2] == (number, bits) for _, a in arrivals):
                source = source or f"call in {outer.name}, via {inner.via or 'tail calls'}"
                inner.env.learn((("entry", register), 0, bits), number, source, firm)
        return True

    def _arrivals(
        self, target: int, goal: int, given: Arguments, vias: tuple[str, ...]
    ) -> list[tuple[tuple[str, ...], Arguments]] | None:
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
        flow = self.flow_of(function)
        if flow.problem:
            return None
        leaving = [i for i in flow.insns.values() if _leaves(flow, i)]
        if len(leaving) > _MAX_LEAVING:
            return None
        env = Env()
        for register, (number, bits, _, firm) in given.items():
            env.learn((("entry", register), 0, bits), number, "", firm)
        found: list[tuple[tuple[str, ...], Arguments]] = []
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

    def _arguments_at(self, state: State, env: Env, function: Function) -> Arguments:
        """Values of the argument registers where a function is left."""
        given = Given(state, env, "")
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
            through = self._thunk(insn)
            if through is None:
                return insn.target
        return self._through(flow, insn, through, state, env)


def _is_dispatcher(function: Function) -> bool:
    """Whether a function calls what the system call's number says, specialised or not."""
    return any(n.partition(".")[0] in _DISPATCHERS for n in function.names)


def _leaves(flow: FunctionFlow, insn: Insn) -> bool:
    """Whether an instruction may jump out of the function."""
    if insn.kind in (BRANCH, JUMP):
        return insn.target not in flow.insns
    return insn.kind == JUMP_REGISTER and insn.address not in flow.tables
