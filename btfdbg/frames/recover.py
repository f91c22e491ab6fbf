"""The walk over the frames of a stack: which number each named value is.

Owns joining ``flow``'s states with the registers and the memory of a dump, frame by frame:
callee-saved registers carried outwards, arguments of proven calls carried inwards, and the
checks without which neither is believed. Knows no instruction set beyond its register names.

In five files: ``environment`` (numbers of named values), ``walked`` (a frame before and after),
``placing`` (is the frame where the unwinder has it), ``passing`` (what its caller passed); here
the frames are gone through in order.

A frame counts only if its place agrees with the unwinder's. Where that fails, everything that
was carried is dropped.

Facts: drgn 0.3 ``StackFrame`` (``sp`` of a caller is the value after the call returned);
``include/asm/kexec.h`` ``crash_setup_regs()`` (registers that a function stores of itself are
not those at the pc that it stores).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from btfdbg.frames.abi import Param
from btfdbg.frames.agreement import read_beyond
from btfdbg.frames.code import Arch
from btfdbg.frames.disasm import Disassembler
from btfdbg.frames.environment import Env
from btfdbg.frames.flow import FunctionFlow
from btfdbg.frames.function import Function
from btfdbg.frames.ir import ADDRESS, CONST, DEF, STORE, Insn
from btfdbg.frames.passing import Passing
from btfdbg.frames.placing import STACK, Placing
from btfdbg.frames.prototypes import CHANGED, Prototype
from btfdbg.frames.state import CURRENT_TASK, M64, SP, Base, is_aligned
from btfdbg.frames.text import Text
from btfdbg.frames.walked import ADDRESS_BITS, FRAME_POINTER, Found, RawFrame, Walked
from btfdbg.frames.ways import Ways

if TYPE_CHECKING:
    from btfdbg.frames.kept_flows import KeptFlows
    from btfdbg.program.session import Session

_MAX_FLOWS = 1024
# Analyses in memory that were not made before; one takes 0.2 MB, some ten times as much.
_MAX_MADE = 32
MAX_FRAMES = 256
# Of such numbers two that are the same mean nothing.
_SMALL = 1 << 16


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
        kept: KeptFlows | None = None,
    ) -> None:
        """:param kept: Analyses of earlier runs."""
        self.session = session
        self.text = text
        self.arch = arch
        self.disassemble = disassemble
        self._kept = kept
        self._flows: dict[int, FunctionFlow] = {}
        self._made: list[int] = []
        self._placing = Placing(text, arch)
        self._passing = Passing(text, arch, self.flow)

    def flow(self, function: Function) -> FunctionFlow:
        """The analysis of a function."""
        found = self._flows.get(function.start)
        if found is None:
            if len(self._flows) >= _MAX_FLOWS:
                self._flows.clear()
            prototype = self.text.prototype_at(function.start)
            words = 0 if isinstance(prototype, str) else prototype.signature.stack_words
            found = self._flows[function.start] = self._analysed(function, words)
        return found

    def _analysed(self, function: Function, words: int) -> FunctionFlow:
        what = function, self.arch, self.disassemble, words
        if self._kept is None:
            return FunctionFlow(*what)
        found = self._kept.take(*what)
        if found is not None:
            return found
        if len(self._made) >= _MAX_MADE:
            # As they are kept they take a tenth: who asks again takes them from there.
            self._kept.pack_made()
            for start in self._made:
                self._flows.pop(start, None)
            self._made.clear()
        self._made.append(function.start)
        return self._kept.make(*what)

    def walk(self, frames: Sequence[RawFrame]) -> list[Walked]:
        """Find what is known of each frame, innermost first."""
        walked: list[Walked] = []
        known: dict[str, int] = {}
        firm: frozenset[str] = frozenset()
        for number, raw in enumerate(frames[:MAX_FRAMES]):
            following = frames[number + 1] if number + 1 < len(frames) else None
            if raw.interrupted or number == 0:
                known = dict(raw.registers)
                # A sleeping task's are words of its stack.
                firm = frozenset(known) if raw.interrupted else frozenset()
            for register in self.arch.CALLEE_SAVED:
                if register in raw.registers:
                    known.setdefault(register, raw.registers[register])
            frame = self._walk_one(raw, following, known, firm, number == 0)
            walked.append(frame)
            caller = self._caller_left_out(frame, following)
            if caller is not None:
                walked.append(caller)
                frame = caller
            known, firm = self._carried(frame, following)
        if walked and len(walked) < MAX_FRAMES:
            self._name_beginning(walked[-1])
        self._share_current(walked)
        for outer, inner in zip(reversed(walked[1:]), reversed(walked[:-1]), strict=True):
            self._learn_by_way(outer)
            self._passing.pass_in(outer, inner)
            if inner.is_kept and inner.prototype == CHANGED:
                self._take_prototype(inner)
        for frame in walked[:1]:
            self._learn_by_way(frame)
        # Of an exception: what a wild pointer was, a register may have still.
        seen = {n for raw in frames if raw.interrupted for n in raw.registers.values()}
        for frame in walked:
            frame.params = tuple(self._params(frame, seen))
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
        if state is None or state.regs[FRAME_POINTER] != (("entry", FRAME_POINTER), 0, 64):
            return None
        back, sp = env.entry(("entry", "x30"), 64), env.entry(SP, 64)
        record = env.entry(("entry", FRAME_POINTER), 64)
        if back is None or sp is None or record is None or not back >> 63:
            return None
        pc = back | M64 ^ ADDRESS_BITS
        raw = RawFrame(pc, sp, False, {FRAME_POINTER: record})
        frame.linked = True
        caller = self._walk_one(raw, following, *self._carried(frame, raw), False)
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
        frame.caller, frame.left_out = caller.function.names[0], caller
        return caller

    def _name_beginning(self, frame: Walked) -> None:
        """
        The function that the last frame returns to, where the unwinder ends before it.

        A kernel thread of arm64 begins with x29 of 0 (copy_thread() in
        ``arch/arm64/kernel/process.c``, before v5.14): drgn takes a record that says so for the
        stack's end, though its return address is in ret_from_fork.
        """
        record = frame.raw.registers.get(FRAME_POINTER)
        if self.arch.RETURN_ADDRESS_ON_STACK or frame.raw.interrupted or not record:
            return
        if frame.caller or self.text.word(record) != 0:
            return
        back = self.text.word(record + 8) or 0
        pc = back | M64 ^ ADDRESS_BITS
        function = self.text.function(pc - 1) if back >> 63 else ""
        if isinstance(function, str):
            return
        flow = self.flow(function)
        if not flow.problem and flow.call_before(pc) is not None:
            frame.caller = function.names[0]

    def _walk_one(
        self,
        raw: RawFrame,
        following: RawFrame | None,
        known: dict[str, int],
        firm: frozenset[str],
        first: bool,
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
        frame.prototype = self._agreed(frame.prototype, flow)
        if raw.interrupted:
            state = flow.before(raw.pc)
        else:
            frame.call = flow.call_before(raw.pc)
            state = None if frame.call is None else flow.behind(frame.call)
        if state is None:
            frame.problem = "no path through the function leads to the pc"
            return frame
        frame.state = state
        own = first and raw.interrupted and _stores_own_pc(flow, raw.pc)
        if raw.interrupted:
            midst = _changed_in_its_midst(flow.insns.get(raw.pc))
            known = {r: n for r, n in known.items() if r not in midst}
        frame.problem = self._placing.solve(frame, state, following, {} if own else known, firm)
        return frame

    def _take_prototype(self, frame: Walked) -> None:
        """The prototype of a function of which its call has shown that clang did not change it."""
        if isinstance(frame.function, str) or frame.flow is None:
            return
        prototype = self.text.prototype_at_call(frame.function.start)
        frame.prototype = self._agreed(prototype, frame.flow)

    def _agreed(self, prototype: Prototype | str, flow: FunctionFlow) -> Prototype | str:
        """A prototype, or why the function's code says that it is another's."""
        if isinstance(prototype, str) or prototype.signature.variadic:
            return prototype
        free = self.arch.ARGUMENTS[prototype.signature.taken :]
        read = read_beyond(flow, free) if free else ""
        return f"its code reads {read}, which its prototype does not pass" if read else prototype

    def _carried(
        self, frame: Walked, following: RawFrame | None
    ) -> tuple[dict[str, int], frozenset[str]]:
        """Callee-saved registers of the calling frame, and which of them are firm."""
        nothing: tuple[dict[str, int], frozenset[str]] = {}, frozenset()
        if frame.problem or following is None or not frame.linked:
            return nothing
        found = {}
        for register in self.arch.CALLEE_SAVED:
            number = frame.env.entry(("entry", register), 64)
            if number is not None:
                found[register] = number
                theirs = following.registers.get(register)
                if theirs is not None and theirs != number:
                    return nothing
        firm = frame.env.firm
        return found, frozenset(r for r in found if firm.get(("entry", r), 0) == 64)

    def _share_current(self, walked: Sequence[Walked]) -> None:
        """A stack is one task's: where one frame knows the running task, all do."""
        every = [f.env.entry(CURRENT_TASK, 64) for f in walked]
        known = set(every) - {None}
        if len(known) == 1:
            (number,) = known
            firm = every.count(number) > 1
            for frame, here in zip(walked, every, strict=True):
                if number is not None and not frame.problem and (firm or here is None):
                    frame.env.learn((CURRENT_TASK, 0, 64), number, "the running task", firm)

    def _learn_by_way(self, frame: Walked) -> None:
        """Arguments that follow from which way the function came to where it is."""
        if frame.problem or frame.flow is None or not frame.env.consistent:
            return
        if isinstance(frame.prototype, str):
            return
        wanted = {r for p in frame.prototype.signature.params for r in p.registers}
        if all(frame.env.numbers.get(("entry", r), (0, 0))[1] == 64 for r in wanted):
            return
        at = frame.raw.pc if frame.call is None else frame.call.address
        ways = Ways(frame.flow, self.arch, frame.env, self._passing.loaded(frame))
        for base, (number, bits) in ways.entry(at):
            if base[0] in ("entry", "stack"):
                frame.env.learn((base, 0, bits), number, "the way that it came")

    # Parameters

    def _params(self, frame: Walked, seen: set[int]) -> Iterable[Found]:
        prototype = frame.prototype
        if isinstance(prototype, str):
            return
        for param in prototype.signature.params:
            yield self._param(frame, prototype, param, seen)

    def _param(self, frame: Walked, prototype: Prototype, param: Param, seen: set[int]) -> Found:
        if prototype.signature.problem:
            return Found(param, None, why=prototype.signature.problem)
        if not frame.env.consistent:
            return Found(param, None, why="the frame and its caller's call say different values")
        if param.by_reference:
            return Found(param, None, why="it is passed by reference, and may have changed")
        places: list[Base] = [("entry", r) for r in param.registers]
        if param.stack is not None:
            places = [("stack", param.stack + 8 * n) for n in range(-(-param.size // 8))]
        words, sources, confirmed = [], [], True
        for number, place in enumerate(places):
            bits = min(64, 8 * (param.size - 8 * number))
            width = next(w for w in (8, 16, 32, 64) if w >= bits)
            word = frame.env.entry(place, width)
            if word is None:
                return Found(param, None, why=self._why(frame))
            words.append(word)
            sources.append(self._source(frame, place))
            firm = frame.env.is_firm((place, 0, 64), width) or (word > _SMALL and word in seen)
            confirmed = confirmed and firm
        told = " and ".join(dict.fromkeys(sources))
        return Found(param, tuple(words), told, confirmed=confirmed)

    def _source(self, frame: Walked, place: Base) -> str:
        """Where a number was found; of a word of the stack, its address."""
        source = frame.env.sources[place]
        top = frame.env.entry(SP, 64)
        if source == STACK and top is not None and frame.state is not None:
            for offset, (_, value, _) in frame.state.slots.items():
                if value[0] == place and not is_aligned(offset):
                    return f"{source} at {(top + offset) & M64:#x}"
        return source

    def _why(self, frame: Walked) -> str:
        own = frame.problem or "the function keeps it nowhere"
        caller = frame.call_site or "its caller's code does not tell what it passed"
        return "; ".join(dict.fromkeys((own, caller)))


def _changed_in_its_midst(insn: Insn | None) -> frozenset[str]:
    """
    Registers that are neither what they were before an instruction nor what they are behind it.

    x86's repeated ones (``rep stos``) count as they go, and can be interrupted after any element.
    """
    if insn is None or not insn.text[0].startswith("rep"):
        return frozenset()
    return frozenset(r for op in insn.ops if op[0] == DEF for r in op[1])


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
