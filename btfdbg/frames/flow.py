"""What registers and stack slots of a function still hold, at every instruction.

Owns a forward must-analysis over a function's control flow: at each instruction a register
holds a *value*, which names where it came from: the register of that name at entry, the stack
pointer at entry, a constant, a load, a call's result, or just "what that instruction made".
Two places that hold equal values hold equal bits on every path to the instruction. What is
not the same on all paths gets a name of its own at the place where the paths meet.

Must not know: an architecture (``arch`` gives its registers and translates), drgn, names.

Why an older execution of an instruction in a loop is never mistaken for the latest one: the
state before an instruction is what holds on *every* path to it, and on the path that arrives
for the first time nothing holds the value that it is about to make.

Memory of the function's own frame is followed as long as it can be nobody else's business:
once an address in the frame has been given away, every call and every store through an unknown
pointer forgets slots; see ``_forget``.

Facts: Documentation/livepatch/reliable-stacktrace.rst (what rewrites code at run time);
``include/linux/jump_label.h`` (either way of a static branch may have been taken).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from btfdbg.frames.disasm import Disassembler
from btfdbg.frames.ir import (
    ADD,
    ADDREG,
    ADDRESS,
    BRANCH,
    BREAK,
    CALL,
    CALL_REGISTER,
    CONST,
    CURRENT,
    DEF,
    FILL,
    JUMP,
    JUMP_REGISTER,
    LOAD,
    MOVE,
    SELECT,
    STOP,
    STORE,
    SWAP,
    Insn,
    JumpTable,
    Meaning,
    Mem,
    Refusal,
)
from btfdbg.lazy_dataclass import dataclass

Base = tuple[object, ...]
Value = tuple["Base | None", int, int]
"""``(base, k, bits)``: base plus k, of which the low ``bits`` are right. No base: a number.

Bases: ``("entry", register)``, ``("stack", offset)`` (an argument on the stack, at an offset
from the stack pointer at entry), ``("sp",)``, ``("current",)``, ``("load", pc, register,
address or None, size)``, ``("call", pc, register, target)``, ``("def", pc, register)``,
``("phi", block, register or offset of a slot)``."""

MAX_BYTES = 64 << 10
"""A larger function is not looked at: its symbol is bogus, or it would take seconds."""
MAX_STEPS = 60_000
"""Instructions interpreted for one function; the kernel's longest need some 30,000."""
_MAX_SLOTS = 256
_MAX_DEPTH = 4
_MAX_TABLE_CODE = 32  # instructions before a jump among which its table is named
_WORD = 8

_M64 = (1 << 64) - 1
_SP: Base = ("sp",)
# The lowest address in the frame that was given away: none, or any.
NOTHING = 1 << 62
_ALL = -NOTHING
CURRENT_TASK: Base = ("current",)


class Arch(Protocol):
    """The facts of an architecture; ``x86_64`` and ``arm64`` are modules of this shape."""

    SP: str
    CALLEE_SAVED: tuple[str, ...]
    CALLER_SAVED: tuple[str, ...]
    REGISTERS: tuple[str, ...]
    ARGUMENTS: tuple[str, ...]
    RETURN: str
    RETURN_ADDRESS_ON_STACK: bool
    VENEER_BYTES: int

    def veneer(self, code: bytes, address: int) -> int:
        """Where code leads that only jumps on, as a call too far away goes through; else 0."""

    def translate(self, mnemonic: str, operands: str) -> Meaning: ...

    def direct(self, mnemonic: str, operands: str) -> tuple[int, int] | None: ...

    def memory(self, mnemonic: str, operands: str) -> list[tuple[Mem, int]]: ...

    def extended(self, operands: str, index: int) -> int | None:
        """Bytes that a memory operand's index of fewer than 64 bits adds; None if not known."""

    def jump_table(self, before: Sequence[Insn]) -> JumpTable | None:
        """The table that an indirect jump goes through, by the instructions up to it."""


@dataclass(frozen=True, slots=True)
class Fixup:
    """
    An entry of the exception table: if the instruction faults, it goes on elsewhere.

    :ivar target: Where.
    :ivar registers: What the handler may write.
    """

    target: int
    registers: tuple[str, ...]


class Code(Protocol):
    """What the analysis asks about one function."""

    start: int
    end: int

    def read(self, address: int, end: int) -> bytes: ...

    def read_table(self, address: int, size: int) -> bytes:
        """Constants of the code that are not in it."""

    def extent(self, target: int) -> tuple[int, int] | None:
        """Start and end of code outside of the function that belongs to it (``.cold``)."""

    def is_function(self, target: int) -> bool:
        """Whether a symbol of the text starts there."""

    def is_tracer(self, address: int, target: int) -> bool:
        """Whether the call at an address is ftrace's, which preserves every register."""

    def is_current(self, segment: str, address: int) -> bool:
        """Whether a load from ``segment:address`` gives the running task."""

    def returns(self, target: int) -> bool:
        """Whether a call of it can come back."""

    def stack_words(self, target: int) -> int | None:
        """Words of arguments on the stack that a call of it takes; None if not known."""

    def fixups(self, start: int, end: int) -> Mapping[int, Fixup]: ...

    def branches(self, start: int, end: int) -> Mapping[int, int]:
        """Static branches: instruction to the target of its other form."""


class State:
    """Values before an instruction: by register, and by offset from the stack at entry."""

    __slots__ = ("escaped", "regs", "slots")

    def __init__(
        self, regs: dict[str, Value], slots: dict[int, tuple[int, Value, bool]], escaped: int
    ) -> None:
        self.regs = regs
        self.slots = slots
        self.escaped = escaped

    def copy(self) -> State:
        """A state of its own."""
        return State(dict(self.regs), dict(self.slots), self.escaped)


class FunctionFlow:
    """
    The analysis of one function.

    :ivar problem: Why nothing is said, or "".
    :ivar insns: Instructions that can be reached from the entry, by address.
    :ivar tables: Indirect jump to the targets in its jump table.
    :ivar blocks: Address of each block's first instruction to the state before it.
    """

    def __init__(
        self,
        code: Code,
        arch: Arch,
        disassemble: Disassembler,
        stack_arguments: int = 0,
    ) -> None:
        """
        :param stack_arguments: Words of arguments on the stack that the function takes.
        """
        self.code = code
        self.arch = arch
        self.problem = ""
        self.insns: dict[int, Insn] = {}
        self.tables: dict[int, list[int]] = {}
        self.blocks: dict[int, State] = {}
        self._before: dict[int, set[int]] | None = None
        self._disassemble = disassemble
        self._leaders: set[int] = set()
        self._bytes: dict[int, bytes] = {}
        self._after: dict[int, int] = {}
        self._fixups: dict[int, Fixup] = {}
        self._branches: dict[int, int] = {}
        self._parts: list[tuple[int, int]] = [(code.start, code.end)]
        self._saved = frozenset(arch.CALLEE_SAVED) | frozenset(
            () if arch.RETURN_ADDRESS_ON_STACK else ("x30",)
        )
        try:
            if code.end - code.start > MAX_BYTES:
                raise Refusal(f"the function is larger than {MAX_BYTES >> 10} KiB")
            self._decode()
            self._solve(stack_arguments)
        except Refusal as e:
            self.problem = str(e)

    # Decoding

    def _decode(self) -> None:
        code = self.code
        self._part(code.start, code.end)
        todo = [code.start]
        self._leaders.add(code.start)
        while todo:
            at = todo.pop()
            while at not in self.insns:
                at, targets = self._straight(at)
                for target in targets:
                    self._leaders.add(target)
                    todo.append(target)
                if at == 0:
                    break

    def _part(self, start: int, end: int) -> None:
        self._fixups.update(self.code.fixups(start, end))
        self._branches.update(self.code.branches(start, end))

    def _inside(self, address: int) -> tuple[int, int] | None:
        for start, end in self._parts:
            if start <= address < end:
                return start, end
        return None

    def _straight(self, at: int) -> tuple[int, list[int]]:
        """Decode up to the end of a straight run: where it goes on (0: nowhere), and targets."""
        part = self._inside(at)
        if part is None:
            return 0, []
        data = self._bytes.get(part[0])
        if data is None:
            data = self._bytes[part[0]] = self.code.read(*part)
        start = part[0]
        insns, direct, translate = self.insns, self.arch.direct, _meanings(self.arch)
        last: Insn | None = None
        veneers = self.arch.VENEER_BYTES
        here = at
        for address, size, mnemonic, operands in self._disassemble(data, at, at - start):
            if address in insns:
                self._leaders.add(address)
                return address, []
            here = address + size
            found = direct(mnemonic, operands)
            if found is None:
                kind, through, ops = translate(mnemonic, operands)
                target = 0
            else:
                (kind, target), through, ops = found, None, ()
                if veneers and kind in (CALL, JUMP) and self._inside(target) is None:
                    target = self._behind_veneer(target)
            insn = Insn(address, size, kind, target, through, ops, (mnemonic, operands))
            insns[address] = insn
            targets = self._targets(insn)
            if kind == JUMP and address in self._branches:
                return here, [*targets, here]
            if kind == JUMP_REGISTER:
                return 0, [*targets, *self._table(insn)]
            if kind in (JUMP, STOP):
                return 0, targets
            if kind == BREAK:
                self._padding(insn, last, data[here - start :])
                return 0, []
            if kind == CALL and not self.code.returns(target):
                return 0, targets
            if targets and (kind == BRANCH or address in self._branches):
                return here, [*targets, here]
            if targets:  # of the exception table
                return here, targets
            last = insn
        if here < part[1] and not self._is_end(data[here - start :]):
            raise Refusal(f"the bytes at {here:#x} are no instruction")
        return 0, []

    def _behind_veneer(self, target: int) -> int:
        """What a call or jump leads to; a module's goes through a veneer if it is far away."""
        if self.code.is_function(target):
            return target
        try:
            code = self.code.read_table(target, self.arch.VENEER_BYTES)
        except Refusal:
            return target
        return self.arch.veneer(code, target) or target

    def _table(self, insn: Insn) -> list[int]:
        """Targets of a jump through a table; none if it is another kind of jump."""
        before = [insn]
        at = insn.address
        while len(before) < _MAX_TABLE_CODE and (last := self.insns.get(at - insn.size)):
            if last.end != at:
                break
            before.insert(0, last)
            at = last.address
        table = self.arch.jump_table(before)
        if table is None:
            return []
        data = self.code.read_table(table.address, table.size * table.entries)
        targets = {
            table.base + (int.from_bytes(data[n : n + table.size], "little", signed=True) << 2)
            for n in range(0, len(data), table.size)
        }
        if any(self._inside(t) is None for t in targets):
            raise Refusal(f"the table of the jump at {insn.address:#x} leads elsewhere")
        self.tables[insn.address] = sorted(targets)
        return self.tables[insn.address]

    def _is_end(self, rest: bytes) -> bool:
        return not rest.strip(b"\x00\xcc\x90")

    def _padding(self, insn: Insn, last: Insn | None, rest: bytes) -> None:
        """
        A breakpoint's byte is padding behind a call that does not return, else a probe.

        clang ends a function with ``ud2`` and fills up to the next one.

        :param rest: The bytes behind it, up to the end of the part.
        """
        after_call = last is not None and last.kind in (CALL, CALL_REGISTER)
        after_trap = last is not None and last.text[0] in ("ud1", "ud2")
        if after_trap and not rest.strip(b"\xcc"):
            return
        at_end = self._inside(insn.end) is None or rest[:1] in (b"\xcc", b"\x90", b"\x66", b"\x0f")
        if not (after_call and at_end):
            raise Refusal(f"a breakpoint at {insn.address:#x}: the code is probed")

    def _targets(self, insn: Insn) -> list[int]:
        targets = []
        other = self._branches.get(insn.address)
        if other is not None:
            targets.append(self._own(other))
        if insn.kind in (BRANCH, JUMP):
            targets.append(self._own(insn.target))
        elif insn.kind == CALL and self.code.start < insn.target < self.code.end:
            raise Refusal("the function calls into itself")
        fixup = self._fixups.get(insn.address)
        if fixup is not None:
            targets.append(self._own(fixup.target))
        return [t for t in targets if t]

    def _own(self, target: int) -> int:
        """A jump's target if it is this function's code, 0 if it is another function."""
        if self._inside(target) is not None:
            return target
        part = self.code.extent(target)
        if part is not None:
            if sum(e - s for s, e in self._parts) + part[1] - part[0] > 2 * MAX_BYTES:
                raise Refusal("its parts are too large")
            self._parts.append(part)
            self._part(*part)
            return target
        if self.code.is_function(target):
            return 0
        raise Refusal(f"it jumps to {target:#x}, which is no function: the code was patched")

    # The fixpoint

    def entry_state(self, stack_arguments: int) -> State:
        """What holds at the entry."""
        regs: dict[str, Value] = {r: (("entry", r), 0, 64) for r in self.arch.REGISTERS}
        regs[self.arch.SP] = (_SP, 0, 64)
        first = 8 if self.arch.RETURN_ADDRESS_ON_STACK else 0
        offsets = range(first, first + 8 * stack_arguments, 8)
        slots: dict[int, tuple[int, Value, bool]] = {
            o: (8, (("stack", o), 0, 64), False) for o in offsets
        }
        return State(regs, slots, NOTHING)

    def _solve(self, stack_arguments: int) -> None:
        entry = self.code.start
        self.blocks[entry] = self.entry_state(stack_arguments)
        queue, waiting = [entry], {entry}
        steps = 0
        while queue:
            block = heapq.heappop(queue)
            waiting.discard(block)
            count, edges = self._edges(block)
            steps += count
            if steps > MAX_STEPS:
                raise Refusal("it takes too many steps")
            for target, made in edges:
                if target in self.insns and self._join(target, made) and target not in waiting:
                    waiting.add(target)
                    heapq.heappush(queue, target)

    def _edges(self, block: int) -> tuple[int, list[tuple[int, State]]]:
        """Instructions from a block's first on, and where it goes on in which states."""
        state = self.blocks[block].copy()
        at, steps = block, 0
        edges: list[tuple[int, State]] = []
        while True:
            insn = self.insns.get(at)
            if insn is None:
                break
            steps += 1
            fixup = self._fixups.get(at)
            if fixup is not None:
                edges.append((fixup.target, self._faulted(state, insn, fixup)))
            other = self._branches.get(at)
            if other is not None:
                edges.append((other, state.copy()))
            self.execute(state, insn)
            if insn.kind in (BRANCH, JUMP):
                edges.append((insn.target, state.copy()))
            if insn.kind in (STOP, BREAK, JUMP, JUMP_REGISTER):
                if at in self.tables:
                    edges += [(target, state.copy()) for target in self.tables[at]]
                elif insn.kind == JUMP_REGISTER:
                    self._leaves(state, insn)
                if other is not None and insn.kind == JUMP:
                    edges.append((insn.end, state.copy()))
                break
            if insn.kind == CALL and not self.code.returns(insn.target):
                break
            at = insn.end
            if at in self._leaders:
                edges.append((at, state))
                break
        return steps, edges

    def brought(self, base: Base) -> list[Value | None] | None:
        """
        What each path brings for a value that differs by the path.

        :return: As :meth:`incoming`; None if the value does not differ so.
        """
        if base[0] != "phi":
            return None
        block, place = base[1], base[2]
        if not isinstance(block, int) or not isinstance(place, str | int):
            return None
        return self.incoming(block, place)

    def incoming(self, block: int, place: str | int) -> list[Value | None]:
        """
        What each path brings that meets at a block.

        :param place: A register, or the offset of a slot from the stack pointer at entry.
        :return: One value a path, None where it is not known.
        """
        if self._before is None:
            self._before = {}
            for start in self.blocks:
                for target, _ in self._edges(start)[1]:
                    self._before.setdefault(target, set()).add(start)
        # Made anew: the states of every edge of a large function would be a lot of memory.
        states = [
            state
            for start in sorted(self._before.get(block, ()))
            for target, state in self._edges(start)[1]
            if target == block
        ]
        if block == self.code.start:
            states = [*states, self.entry_state(0)]
        if isinstance(place, str):
            return [state.regs.get(place) for state in states]
        slots = [state.slots.get(place) for state in states]
        return [None if slot is None else slot[1] for slot in slots]

    def _faulted(self, before: State, insn: Insn, fixup: Fixup) -> State:
        state = before.copy()
        self.execute(state, insn)
        for register, value in before.regs.items():
            if state.regs[register] != value:
                state.regs[register] = (("def", insn.address, "fault", register), 0, 64)
        for register in fixup.registers:
            state.regs[register] = (("def", insn.address, "fault", register), 0, 64)
        state.slots = {o: s for o, s in state.slots.items() if before.slots.get(o) == s}
        return state

    def _leaves(self, state: State, insn: Insn) -> None:
        """An indirect jump must leave the function: where a jump table leads is not known."""
        regs, arch = state.regs, self.arch
        restored = regs[arch.SP] == (_SP, 0, 64) and all(
            regs[r] == (("entry", r), 0, 64) for r in arch.CALLEE_SAVED
        )
        value: Value | None = None
        if isinstance(insn.through, str):
            value = regs.get(insn.through)
        elif isinstance(insn.through, Mem) and insn.through.index_by is None:
            return
        named = value is not None and (
            value[0] is None
            or value[0][0] in ("entry", "call")
            or (value[0][0] == "load" and value[0][3] is not None)
        )
        if not restored or not named:
            raise Refusal(f"the jump at {insn.address:#x} goes through a table")

    def _join(self, block: int, new: State) -> bool:
        """Keep what holds in both; whether the block's state changed."""
        old = self.blocks.get(block)
        if old is None:
            self.blocks[block] = new.copy()
            return True
        changed = False
        regs = old.regs
        for register, value in new.regs.items():
            was = regs[register]
            if was != value:
                if was[0] == value[0] and was[1] == value[1]:
                    if value[2] >= was[2]:
                        continue
                    regs[register] = value
                else:
                    phi = _meet(block, register, was, value)
                    if was == phi:
                        continue
                    for lost in (was, value):
                        if _of_stack(lost):
                            new.escaped = min(new.escaped, signed(lost[1]))
                    regs[register] = phi
                changed = True
        slots = old.slots
        if slots != new.slots:
            changed |= _join_slots(block, slots, new.slots)
        if new.escaped < old.escaped:
            old.escaped = new.escaped
            changed = True
        return changed

    # One instruction

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
            return None, (end + mem.disp) & _M64, 64
        else:
            base, k, bits = state.regs[mem.base]
            k += mem.disp
        if mem.index_by is not None:
            number, factor, width = state.regs[mem.index_by]
            if number is not None or width < 64 or not mem.scale:
                if base is None and mem.scale == 1 and width == 64:
                    return number, (factor + k) & _M64, 64
                return None
            k += factor * mem.scale
        return (base, k & _M64, 64) if bits == 64 else None

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
                regs[op[1]] = (base, (k + op[3]) & _M64, bits if bits < op[4] else op[4])
            elif code == ADDRESS:
                found = self.address_of(state, op[2], insn.end)
                if found is None:
                    self._define(state, insn, (op[1],), _names(op[2]))
                else:
                    base, k, bits = found
                    regs[op[1]] = (base, k, bits if bits < op[3] else op[3])
            elif code == CONST:
                regs[op[1]] = (None, op[2] & _M64, 64)
            elif code == DEF:
                self._define(state, insn, op[1], op[2])
            elif code == ADDREG:
                self._add(state, insn, *op[1:])
            elif code == SELECT:
                one, other = regs[op[2]], regs[op[3]]
                if one[:2] == other[:2]:
                    regs[op[1]] = (one[0], one[1], min(one[2], other[2], op[4]))
                else:
                    self._define(state, insn, (op[1],), (op[2], op[3]))
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
            if _of_stack(regs[register]):
                state.escaped = _ALL
        for register in registers:
            if register == self.arch.SP:
                state.escaped = _ALL
            regs[register] = (("def", insn.address, register), 0, 64)

    def _add(
        self, state: State, insn: Insn, dst: str, left: str, right: str, sign: int, bits: int
    ) -> None:
        one, other = state.regs[left], state.regs[right]
        if other[0] is None and other[2] == 64:
            state.regs[dst] = (one[0], (one[1] + sign * other[1]) & _M64, min(one[2], bits))
        elif one[0] is None and one[2] == 64 and sign > 0:
            state.regs[dst] = (other[0], (other[1] + one[1]) & _M64, min(other[2], bits))
        else:
            self._define(state, insn, (dst,), (left, right))

    def _load(self, state: State, insn: Insn, dst: str, mem: Mem, size: int) -> None:
        where = self.address_of(state, mem, insn.end)
        if where is not None and where[0] == _SP:
            offset = signed(where[1])
            slot = state.slots.get(offset)
            if slot is not None and slot[0] >= size:
                base, k, bits = slot[1]
                state.regs[dst] = (base, k, min(bits, 8 * size))
                return
            value: Value = (("load", insn.address, dst, where, size), 0, 64)
            if size <= 8 and len(state.slots) < _MAX_SLOTS and not _overlaps(state, offset, size):
                state.slots[offset] = (size, (value[0], 0, 8 * size), False)
            state.regs[dst] = value
            return
        if where is not None and _depth(where) >= _MAX_DEPTH:
            where = None
        if mem.segment and size == 8 and mem.base in (None, "pc") and mem.index_by is None:
            place = (mem.disp + (insn.end if mem.base else 0)) & _M64
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
            value = (None, what & _M64, 64)
        elif what is not None:
            value = state.regs[what]
            if _of_stack(value):
                state.escaped = min(state.escaped, signed(value[1]))
        where = self.address_of(state, mem, insn.end)
        if where is None or where[0] != _SP:
            names = _names(mem)
            if any(_of_stack(state.regs[r]) for r in names):
                state.escaped = _ALL  # an element of an array in the frame
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

    def _fill(self, state: State, register: str) -> None:
        value = state.regs[register]
        if _of_stack(value):
            state.escaped = min(state.escaped, signed(value[1]))
        self._forget(state)

    def _is_save(self, slot: tuple[int, Value, bool]) -> bool:
        base, k, bits = slot[1]
        return (
            base is not None
            and base[0] == "entry"
            and k == 0
            and bits == 64
            and base[1] in self._saved
        )

    def _is_spill(self, slot: tuple[int, Value, bool]) -> bool:
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
            if _of_stack(value):
                state.escaped = min(state.escaped, signed(value[1]))
        if insn.kind == CALL and self.code.is_tracer(insn.address, insn.target):
            return
        self._forget(state)
        if state.slots:
            self._forget_below(state)
            self._forget_arguments(state, insn)
        target = insn.target if insn.kind == CALL else None
        for register in arch.CALLER_SAVED:
            regs[register] = (("call", insn.address, register, target), 0, 64)

    def _forget_below(self, state: State) -> None:
        """What is below the stack pointer is anybody's."""
        base, k, bits = state.regs[self.arch.SP]
        if base != _SP or bits < 64:
            return
        bottom = signed(k)
        for offset in [o for o in state.slots if o < bottom]:
            del state.slots[offset]

    def _forget_arguments(self, state: State, insn: Insn) -> None:
        """A function may write to the arguments that it was given on the stack."""
        base, k, bits = state.regs[self.arch.SP]
        if base != _SP or bits < 64:
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

    # Asking

    def before(self, address: int) -> State | None:
        """What holds before an instruction; None if no path leads there."""
        if self.problem or address not in self.insns:
            return None
        start = self._block_of(address)
        if start is None:
            return None
        state = self.blocks[start].copy()
        at = start
        while at != address:
            insn = self.insns.get(at)
            if insn is None:
                return None
            self.execute(state, insn)
            at = insn.end
        self._forget_below(state)
        return state

    def states(self) -> Iterator[tuple[Insn, State]]:
        """
        Each instruction that can be reached, by blocks, with what holds before it.

        The state becomes the next instruction's: who wants to keep one copies it.
        """
        if self.problem:
            return
        for leader in sorted(self.blocks):
            state = self.blocks[leader].copy()
            at = leader
            while (insn := self.insns.get(at)) is not None:
                yield insn, state
                if insn.kind in (JUMP, STOP, BREAK, JUMP_REGISTER):
                    break
                if insn.kind == CALL and not self.code.returns(insn.target):
                    break
                at = insn.end
                if at in self.blocks:
                    break
                self.execute(state, insn)

    def call_before(self, address: int) -> Insn | None:
        """The call that returns to an address."""
        if not self._after:
            self._after = {
                i.end: i.address for i in self.insns.values() if i.kind in (CALL, CALL_REGISTER)
            }
        at = self._after.get(address)
        return None if at is None else self.insns[at]

    def _block_of(self, address: int) -> int | None:
        """The block that an instruction is in: the nearest leader that runs into it."""
        best = None
        for leader in self.blocks:
            if leader <= address and (best is None or leader > best):
                best = leader
        at = best
        while at is not None and at < address:
            insn = self.insns.get(at)
            if insn is None or insn.kind in (JUMP, STOP, BREAK, JUMP_REGISTER):
                return None
            at = insn.end
        return best if at == address else None


def _meanings(arch: Arch) -> Callable[[str, str], Meaning]:
    """``arch.translate``, remembering: a kernel uses the same instructions all the time."""
    known = _TRANSLATED.setdefault(id(arch), {})
    if len(known) > _MAX_TRANSLATED:
        known.clear()
    translate = arch.translate

    def look_up(mnemonic: str, operands: str) -> Meaning:
        key = (mnemonic, operands)
        found = known.get(key)
        if found is None:
            found = known[key] = translate(mnemonic, operands)
        return found

    return look_up


_TRANSLATED: dict[int, dict[tuple[str, str], Meaning]] = {}
_MAX_TRANSLATED = 1 << 17


def _meet(block: int, register: str, one: Value, other: Value) -> Value:
    """What a register holds where two paths meet on which it holds different values."""
    left = one[0]
    if left is not None and left[0] == "load" and left[3] is not None and _same_place(one, other):
        # Another value on each path, but both loaded from the same place.
        return ("load", block, register, *left[3:]), one[1], min(one[2], other[2])
    return ("phi", block, register), 0, 64


def _same_place(one: Value, other: Value) -> bool:
    """Whether two values are loads through equal chains of pointers."""
    left, right = one[0], other[0]
    if one[1] != other[1] or left is None or right is None:
        return one[:2] == other[:2]
    if left[0] != "load" or right[0] != "load":
        return left == right
    if left[4:] != right[4:] or left[3] is None or right[3] is None:
        return False
    return _same_place(left[3], right[3])  # type: ignore[arg-type]


def _join_slots(
    block: int,
    slots: dict[int, tuple[int, Value, bool]],
    others: dict[int, tuple[int, Value, bool]],
) -> bool:
    """Keep the slots that both have; whether anything changed."""
    changed = False
    for offset, slot in list(slots.items()):
        other = others.get(offset)
        if other == slot:
            continue
        size, (base, k, bits), pushed = slot
        if other is None or other[0] != size:
            del slots[offset]
            changed = True
            continue
        if other[1][:2] == (base, k):
            merged = (size, (base, k, min(bits, other[1][2])), pushed or other[2])
        else:
            # What is in it differs by the path; that it is one value stays true.
            merged = (size, (("phi", block, offset), 0, 8 * size), pushed or other[2])
        if merged != slot:
            slots[offset] = merged
            changed = True
    return changed


def _names(mem: Mem) -> tuple[str, ...]:
    return tuple(r for r in (mem.base, mem.index_by) if r is not None and r != "pc")


def _of_stack(value: Value) -> bool:
    return value[0] == _SP


def signed(value: int) -> int:
    """A number of 64 bits as C's ``long`` has it."""
    value %= 1 << 64
    return value - (1 << 64) if value >> 63 else value


def _overlaps(state: State, offset: int, size: int) -> bool:
    return any(o < offset + size and offset < o + s[0] for o, s in state.slots.items())


def _depth(value: Value) -> int:
    depth = 0
    base = value[0]
    while base is not None and base[0] == "load" and depth <= _MAX_DEPTH:
        depth += 1
        inner = base[3]
        if not isinstance(inner, tuple):
            break
        base = inner[0]
    return depth
