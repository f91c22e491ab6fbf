"""What registers and stack slots of a function still hold, at every instruction.

Owns a forward must-analysis over a function's control flow: at each instruction a register
holds a *value*, which names where it came from: the register of that name at entry, the stack
pointer at entry, a constant, a load, a call's result, or just "what that instruction made".
Two places that hold equal values hold equal bits on every path to the instruction. What is
not the same on all paths gets a name of its own at the place where the paths meet.

In four files: ``code`` (what is asked), ``blocks`` (bytes into instructions and blocks),
``state`` (values, and what is left of them where paths meet), ``execute`` (what an instruction
does to them); here they are brought to their fixpoint.

Must not know: an architecture (``arch`` gives its registers and translates), drgn, names.

Why an older execution of an instruction in a loop is never mistaken for the latest one: the
state before an instruction is what holds on *every* path to it, and on the path that arrives
for the first time nothing holds the value that it is about to make.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from btfdbg.frames.blocks import Blocks
from btfdbg.frames.code import MAX_BYTES, Arch, Code, Fixup
from btfdbg.frames.disasm import Disassembler
from btfdbg.frames.execute import Executor
from btfdbg.frames.ir import (
    BRANCH,
    BREAK,
    CALL,
    CALL_REGISTER,
    JUMP,
    JUMP_REGISTER,
    STOP,
    Insn,
    Mem,
    Refusal,
)
from btfdbg.frames.state import SP, Base, State, Value

if TYPE_CHECKING:
    from btfdbg.frames.packed_flow import Parts

MAX_STEPS = 60_000
"""Instructions interpreted for one function; the kernel's longest need some 30,000."""
_MAX_INTO = 64  # blocks whose edges are kept with their states
_MAX_BEFORE = 64  # instructions before which the state is kept
_LONGEST = 15  # bytes of one instruction of x86


class FunctionFlow:
    """
    The analysis of one function.

    :ivar problem: Why nothing is said, or "".
    :ivar insns: Instructions that can be reached from the entry, by address.
    :ivar tables: Indirect jump to the targets in its jump table.
    :ivar leaders: Addresses at which a block begins.
    :ivar blocks: Address of each block's first instruction to the state before it.
    :ivar beyond: What ``agreement`` found, by the number of registers that it asked about.
    :ivar execute: Changes a state as an instruction does.
    :ivar address_of: The address of a memory operand in a state, before the address behind the
        instruction; None if it is not a value plus a number.
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
        decoded = Blocks(code, arch, disassemble)
        self._begin(code, arch, decoded)
        try:
            if code.end - code.start > MAX_BYTES:
                raise Refusal(f"the function is larger than {MAX_BYTES >> 10} KiB")
            decoded.decode()
            self._solve(stack_arguments)
        except Refusal as e:
            self.problem = str(e)

    @classmethod
    def known(
        cls,
        code: Code,
        arch: Arch,
        disassemble: Disassembler,
        parts: Parts,
        tables: Iterable[Mapping[int, Any]],
    ) -> FunctionFlow:
        """
        An analysis that was made before.

        :param parts: What it found.
        :param tables: What the function said of faults and static branches.
        """
        flow = cls.__new__(cls)
        decoded = Blocks(code, arch, disassemble)
        decoded.insns, decoded.tables, decoded.leaders = parts.insns, parts.tables, parts.leaders
        for table in tables:
            for address, row in table.items():
                if isinstance(row, Fixup):
                    decoded.fixups[address] = row
                else:
                    decoded.branches[address] = row
        flow._begin(code, arch, decoded)
        flow.blocks, flow.beyond, flow._known_before = parts.blocks, parts.beyond, parts.before
        return flow

    def _begin(self, code: Code, arch: Arch, decoded: Blocks) -> None:
        self.code = code
        self.arch = arch
        self.problem = ""
        self.blocks: Mapping[int, State] = {}
        self.beyond: dict[int, str] = {}
        self._sources: dict[int, list[int]] | None = None
        self._into: dict[int, list[tuple[int, State, Insn | None]]] = {}
        self._before: dict[int, State] = {}
        self._known_before: Mapping[int, State] = {}
        self._behind: dict[int, State] = {}
        self._calls: dict[int, Insn | None] = {}
        self._decoded = decoded
        self.insns: Mapping[int, Insn] = decoded.insns
        self.tables = decoded.tables
        self.leaders = decoded.leaders
        self._executor = Executor(code, arch, decoded.is_unsigned)
        # Called for every instruction: the executor's own, not a method around it.
        self.execute = self._executor.execute
        self.address_of = self._executor.address_of

    def ask(self, code: Code) -> None:
        """From now on ask another one, which says the same, about the function."""
        self.code = self._decoded.code = self._executor.code = code

    def _solve(self, stack_arguments: int) -> None:
        from heapq import heappop, heappush  # not for an analysis that was kept

        entry = self.code.start
        blocks: dict[int, State] = {}
        self.blocks = blocks
        blocks[entry] = self._executor.entry_state(stack_arguments)
        queue, waiting = [entry], {entry}
        steps = 0
        while queue:
            block = heappop(queue)
            waiting.discard(block)
            count, edges = self.edges(block)
            steps += count
            if steps > MAX_STEPS:
                raise Refusal("it takes too many steps")
            for target, made, _ in edges:
                if target not in self.insns:
                    continue
                old = blocks.get(target)
                if old is None:
                    blocks[target] = made.copy()
                elif not old.join(target, made):
                    continue
                if target not in waiting:
                    waiting.add(target)
                    heappush(queue, target)

    def edges(self, block: int) -> tuple[int, list[tuple[int, State, Insn | None]]]:
        """
        Where a block goes on, and in which states.

        :return: The number of its instructions; for each edge the target, the state, and the last
            instruction if the edge is the ordinary way on from it or its jump.
        """
        state = self.blocks[block].copy()
        at, steps = block, 0
        edges: list[tuple[int, State, Insn | None]] = []
        while True:
            insn = self.insns.get(at)
            if insn is None:
                break
            steps += 1
            fixup = self._decoded.fixups.get(at)
            if fixup is not None:
                edges.append((fixup.target, self._faulted(state, insn, fixup), None))
            other = self._decoded.branches.get(at)
            if other is not None:
                edges.append((other, state.copy(), None))
            self.execute(state, insn)
            if insn.kind in (BRANCH, JUMP):
                edges.append((insn.target, state.copy(), insn))
            if insn.kind in (STOP, BREAK, JUMP, JUMP_REGISTER):
                if at in self.tables:
                    edges += [(target, state.copy(), None) for target in self.tables[at]]
                elif insn.kind == JUMP_REGISTER:
                    self._leaves(state, insn)
                if other is not None and insn.kind == JUMP:
                    edges.append((insn.end, state.copy(), None))
                break
            if insn.kind == CALL and not self.code.returns(insn.target):
                break
            at = insn.end
            if at in self._decoded.leaders:
                edges.append((at, state, None if other is not None else insn))
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
        # Made anew: the states of every edge of a large function would be a lot of memory.
        states = [
            state
            for start in self._from(block)
            for target, state, _ in self.edges(start)[1]
            if target == block
        ]
        if block == self.code.start:
            states = [*states, self.entry_state()]
        if isinstance(place, str):
            return [state.regs.get(place) for state in states]
        slots = [state.slots.get(place) for state in states]
        return [None if slot is None else slot[1] for slot in slots]

    def entry_state(self) -> State:
        """What holds at the entry, arguments on the stack left out."""
        return self._executor.entry_state(0)

    def leads(self, block: int) -> list[int]:
        """Where a block goes on, without the states: cheaper than :meth:`edges`."""
        found, at = [], block
        decoded = self._decoded
        while (insn := self.insns.get(at)) is not None:
            fixup, other = decoded.fixups.get(at), decoded.branches.get(at)
            if fixup is not None:
                found.append(fixup.target)
            if other is not None:
                found.append(other)
            if insn.kind in (BRANCH, JUMP):
                found.append(insn.target)
            if insn.kind in (STOP, BREAK, JUMP, JUMP_REGISTER):
                found += self.tables.get(at, ())
                if other is not None and insn.kind == JUMP:
                    found.append(insn.end)
                break
            if insn.kind == CALL and not self.code.returns(insn.target):
                break
            at = insn.end
            if at in decoded.leaders:
                found.append(at)
                break
        return found

    def into(self, block: int) -> list[tuple[int, State, Insn | None]]:
        """
        The edges into a block; the states are not to be changed.

        :return: For each the block that it comes from, and the rest as :meth:`edges` has it.
        """
        found = self._into.get(block)
        if found is None:
            if len(self._into) >= _MAX_INTO:
                self._into.clear()
            found = self._into[block] = [
                (start, state, last)
                for start in self._from(block)
                for target, state, last in self.edges(start)[1]
                if target == block
            ]
        return found

    def _from(self, block: int) -> list[int]:
        """The blocks that lead to one."""
        if self._sources is None:
            sources: dict[int, set[int]] = {}
            for start in self.blocks:
                for target in self.leads(start):
                    sources.setdefault(target, set()).add(start)
            self._sources = {target: sorted(starts) for target, starts in sources.items()}
        return self._sources.get(block, [])

    def run(self, block: int, end: int) -> list[Insn]:
        """The instructions from a block's first one up to an address, that one included."""
        found, at = [], block
        while (insn := self.insns.get(at)) is not None:
            found.append(insn)
            if at == end or insn.kind in (STOP, BREAK, JUMP, JUMP_REGISTER):
                break
            at = insn.end
        return found

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
        restored = regs[arch.SP] == (SP, 0, 64) and all(
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

    # Asking

    def before(self, address: int) -> State | None:
        """What holds before an instruction, to be changed at will; None if no path leads there."""
        known = self._before.get(address)
        if known is None:
            known = self._known_before.get(address) or self._find_before(address)
            if known is None:
                return None
            # Many tasks sleep at one place.
            if len(self._before) >= _MAX_BEFORE:
                self._before.clear()
            self._before[address] = known
        return known.copy()

    @property
    def asked(self) -> Mapping[int, State]:
        """Instructions that :meth:`before` was asked about last, to what it found."""
        return self._before

    def _find_before(self, address: int) -> State | None:
        if self.problem or address not in self.insns:
            return None
        start = self.block_of(address)
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
        self._executor.forget_below(state)
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
        try:
            return self._calls[address]
        except KeyError:
            if len(self._calls) >= _MAX_BEFORE:
                self._calls.clear()
            found = self._calls[address] = self._find_call(address)
            return found

    def _find_call(self, address: int) -> Insn | None:
        # Not by a table of all calls: of a kept analysis that would make every instruction.
        near = (self.insns.get(address - size) for size in range(1, _LONGEST + 1))
        found = [i for i in near if i and i.end == address and i.kind in (CALL, CALL_REGISTER)]
        if len(found) > 1:  # they lie over each other: the one that was reached last
            order = list(self.insns)
            found.sort(key=lambda insn: order.index(insn.address))
        return found[-1] if found else None

    def behind(self, call: Insn) -> State | None:
        """As :meth:`before`, of what holds when a call has come back."""
        known = self._behind.get(call.address)
        if known is None:
            known = self.before(call.address)
            if known is None:
                return None
            self.execute(known, call)
            if len(self._behind) >= _MAX_BEFORE:
                self._behind.clear()
            self._behind[call.address] = known
        return known.copy()

    def block_of(self, address: int) -> int | None:
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
