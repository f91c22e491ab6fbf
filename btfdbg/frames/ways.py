"""Which way a function came to where it is, and what follows for values that differ by the way.

Where paths meet, a register's value gets a name of its own. That name's number is often known,
since a register or a slot of the frame holds it; then ways that bring another number were not
taken, nor those whose branch goes the other way for the numbers that are known. What all ways
that are left agree on, holds: the argument that they bring, or the number that a caller passed.

Owns going back over blocks with such numbers. Only what cannot change while the function runs is
compared: what it was entered with, numbers, its stack pointer. A name made by an instruction may
be of an earlier execution of it, on the way back through a loop: it proves nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from btfdbg.frames.code import Arch
from btfdbg.frames.conditions import condition
from btfdbg.frames.environment import Env
from btfdbg.frames.flow import FunctionFlow
from btfdbg.frames.ir import BRANCH, SELECT, Insn, Mem
from btfdbg.frames.state import SP, Base, State, Value, signed

_MAX_STEPS = 300
"""Blocks that are looked at for one question; a stack has some tens of questions."""
_MAX_SELECTS = 3
_MAX_BEFORE = 8
"""Blocks before the last one with a question, among which a branch may rule the way out."""

Number = tuple[int, int]
"""A number and how many of its low bits are known."""
_Key = TypeVar("_Key")
_Place = tuple[int, "str | int"]
_Facts = dict["Base | None", Number]
"""Of bases at the entry; None is what was asked for."""

_FIXED = frozenset(("entry", "stack", "sp", "current"))


class _TooMany(Exception):
    """The bound on steps: nothing is said."""


class Ways:
    """
    Questions about one frame.

    :param flow: The analysis of its function.
    :param env: Numbers of its values.
    :param loaded: The number of a value from memory that never changes, as a system call's
        arguments in ``struct pt_regs``; None if that is not one.
    """

    def __init__(
        self,
        flow: FunctionFlow,
        arch: Arch,
        env: Env,
        loaded: Callable[[Value], Number | None] | None = None,
    ) -> None:
        self._flow = flow
        self._arch = arch
        self._env = env
        self._loaded = loaded
        self._steps = 0
        self._outcomes: dict[tuple[int, int], bool | None] = {}

    def entry(self, address: int) -> list[tuple[Base, Number]]:
        """
        What the function was entered with, by the numbers that are known at an instruction.

        :return: Bases that the frame's Env does not know yet.
        """
        known: dict[_Place, Number] = {}
        found: _Facts = {}
        for base, number in list(self._env.numbers.items()):
            if base[0] == "def":
                self._selected(base, number, found)
            elif (place := _met(base)) is not None:
                known[place] = number
        block = self._flow.block_of(address) if known else None
        if block is not None:
            self._steps = 0
            try:
                more = self._back(block, known, None, frozenset())
            except _TooMany:
                more = None
            found = {**(more or {}), **found}
        return [(b, n) for b, n in found.items() if b is not None and self._adds(b, n)]

    def number(self, value: Value, address: int) -> Number | None:
        """The number of a value before an instruction; None if it cannot be told."""
        places = ((_met(base), number) for base, number in self._env.numbers.items())
        known = {place: number for place, number in places if place is not None}
        self._steps = 0
        try:
            return self._number(value, address, known, 0)
        except _TooMany:
            return None

    def _adds(self, base: Base, number: Number) -> bool:
        known = self._env.numbers.get(base)
        return known is None or known[1] < number[1]

    def _number(
        self, value: Value, address: int, known: dict[_Place, Number], depth: int
    ) -> Number | None:
        base, k, bits = value
        fixed = self._fixed(value)
        if fixed is not None or base is None:
            return fixed
        if base[0] == "def" and depth < _MAX_SELECTS:
            chosen = self._choice(base)
            if chosen is None:
                return None
            # Of the time when it was chosen: what meets elsewhere may have met again since.
            found = self._number(chosen[0], chosen[1].address, {}, depth + 1)
        else:
            place, block = _met(base), self._flow.block_of(address)
            if place is None or block is None:
                return None
            facts = self._back(block, known, place, frozenset())
            found = None if facts is None else facts.get(None)
        if found is None:
            return None
        bits = min(bits, found[1])
        return (found[0] + k) & ((1 << bits) - 1), bits

    def _fixed(self, value: Value) -> Number | None:
        """The number of a value that does not change while the function runs."""
        base = value[0]
        if base is not None and base[0] not in _FIXED:
            return self._loaded(value) if self._loaded is not None and base[0] == "load" else None
        for bits in (64, 32, 16, 8):
            number = self._env.number(value, bits)
            if number is not None:
                return number, bits
        return None

    # Selections

    def _choice(self, base: Base) -> tuple[Value, Insn] | None:
        """What an instruction chose that chooses one of two registers by a comparison."""
        options = self._options(base)
        if options is None:
            return None
        insn, one, other = options
        if one == other:
            return one, insn
        block = self._flow.block_of(insn.address)
        holds = None if block is None else self._holds(self._flow.run(block, insn.address), block)
        if holds is None:
            return None
        # x86's moves the second one if it holds, arm64's takes the first.
        is_first = holds if not self._arch.RETURN_ADDRESS_ON_STACK else not holds
        return (one if is_first else other), insn

    def _options(self, base: Base) -> tuple[Insn, Value, Value] | None:
        at, register = base[1], base[2]
        insn = self._flow.insns.get(at) if isinstance(at, int) else None
        if insn is None or len(insn.ops) != 1:
            return None
        (op,) = insn.ops
        if op[0] != SELECT or op[1] != register or isinstance(op[3], Mem):
            return None
        state = self._flow.before(insn.address)
        if state is None:
            return None
        one, other = (
            (v[0], v[1], min(v[2], op[4])) for v in (state.regs[op[2]], state.regs[op[3]])
        )
        return insn, one, other

    def _selected(self, base: Base, number: Number, found: _Facts) -> None:
        """What a chosen number says of the two that it was chosen from, if one is another."""
        options = self._options(base)
        if options is None:
            return
        left = []
        for value in options[1:]:
            fixed = self._fixed(value)
            bits = min(number[1], value[2], 64 if fixed is None else fixed[1])
            if fixed is None or not (fixed[0] ^ number[0]) & ((1 << bits) - 1):
                left.append(value)
        if len(left) == 1:
            self._fits(left[0], number, found, {})

    # Branches

    def _holds(self, run: Sequence[Insn], block: int) -> bool | None:
        """Whether the condition of the last of a block's instructions holds; None if unknown."""
        key = block, run[-1].address
        if key not in self._outcomes:
            self._outcomes[key] = self._compared(run, block)
        return self._outcomes[key]

    def _compared(self, run: Sequence[Insn], block: int) -> bool | None:
        decided = condition(self._arch, run)
        if decided is None:
            return None
        state = self._flow.blocks[block].copy()
        for insn in run:
            if insn is decided.at:
                break
            self._flow.execute(state, insn)
        left = self._operand(state, decided.left, decided.at, decided.bits)
        right = self._operand(state, decided.right, decided.at, decided.bits)
        return None if left is None or right is None else decided.holds(left, right)

    def _operand(self, state: State, operand: str | int | Mem, insn: Insn, bits: int) -> int | None:
        if isinstance(operand, int):
            return operand
        if isinstance(operand, str):
            value = state.regs[operand]
        else:
            where = self._flow.address_of(state, operand, insn.end)
            slot = None
            if where is not None and where[0] == SP:
                slot = state.slots.get(signed(where[1]))
            if slot is None or 8 * slot[0] < bits:
                return None
            value = slot[1]
        found = self._fixed(value)
        return None if found is None or found[1] < bits else found[0]

    def _is_taken(self, block: int, target: int, last: Insn | None) -> bool:
        """Whether an edge may have been taken, by its branch."""
        if last is None or last.kind != BRANCH or last.target == last.end:
            return True
        holds = self._holds(self._flow.run(block, last.address), block)
        return holds is None or holds == (target == last.target)

    # Going back

    def _back(
        self,
        block: int,
        known: dict[_Place, Number],
        ask: _Place | None,
        passed: frozenset[int],
    ) -> _Facts | None:
        """
        What all ways to a block agree on.

        :param known: Numbers that places held when their block was last entered.
        :param ask: A place whose number is wanted.
        :param passed: Blocks behind this one on the way; a loop is not gone back through.
        :return: None if there is no way.
        """
        if not (known or ask):
            return {} if self._is_reached(block) else None
        if block in passed:
            return {}
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise _TooMany
        agreed: _Facts | None = None
        edges: list[tuple[int | None, State, Insn | None]] = list(self._flow.into(block))
        if block == self._flow.code.start:
            edges.append((None, self._flow.entry_state(), None))
        for start, state, last in edges:
            if start is not None and not self._is_taken(start, block, last):
                continue
            facts = self._over(block, start, state, known, ask, passed)
            if facts is None:
                continue
            if agreed is None:
                agreed = facts
            else:
                agreed = {b: n for b, n in agreed.items() if facts.get(b) == n}
            if not agreed:
                return {}
        return agreed

    def _is_reached(self, block: int) -> bool:
        """Whether a block may have been reached, as far back as there is one way only."""
        for _ in range(_MAX_BEFORE):
            edges = self._flow.into(block)
            if block == self._flow.code.start or not edges:
                return True
            if not any(self._is_taken(start, block, last) for start, _, last in edges):
                return False
            if len(edges) > 1:
                return True
            block = edges[0][0]
        return True

    def _over(
        self,
        block: int,
        start: int | None,
        state: State,
        known: dict[_Place, Number],
        ask: _Place | None,
        passed: frozenset[int],
    ) -> _Facts | None:
        """What one edge into a block says; None if it was not taken."""
        facts: _Facts = {}
        earlier: dict[_Place, Number] = {p: n for p, n in known.items() if p[0] != block}
        for place, number in known.items():
            if place[0] == block:
                value = _held(state, place[1])
                if value is not None and not self._fits(value, number, facts, earlier):
                    return None
        moved = 0, 64
        if ask is not None and ask[0] == block:
            value = _held(state, ask[1])
            ask = None
            if value is not None:
                base, k, bits = value
                fixed = self._fixed(value)
                if fixed is None and base is not None:
                    fixed = facts.get(base)
                    fixed = None if fixed is None else (fixed[0] + k, min(bits, fixed[1]))
                if fixed is not None:
                    facts[None] = fixed
                else:
                    ask, moved = _met(base), (k, bits)
        if start is None:
            return facts
        more = self._back(start, earlier, ask, passed | {block})
        if more is None:
            return None
        for found, number in more.items():
            if found is None:
                bits = min(moved[1], number[1])
                number = (number[0] + moved[0]) & ((1 << bits) - 1), bits
            if not _note(facts, found, number):
                return None
        return facts

    def _fits(
        self, value: Value, number: Number, facts: _Facts, earlier: dict[_Place, Number]
    ) -> bool:
        """Whether a value may be a number; what follows from that is noted."""
        base, k, width = value
        bits = min(width, number[1])
        solved = (number[0] - k) & ((1 << bits) - 1), bits
        fixed = self._fixed(value)
        if fixed is not None and (fixed[0] ^ number[0]) & ((1 << min(bits, fixed[1])) - 1):
            return False
        if base is None or (fixed is not None and fixed[1] >= bits):
            return True
        if base[0] in _FIXED:
            return _note(facts, base, solved)
        place = _met(base)
        return place is None or _note(earlier, place, solved)


def _met(base: Base | None) -> _Place | None:
    """Block and place of a value that has its name since paths met."""
    if base is None or base[0] != "phi":
        return None
    block, place = base[1], base[2]
    return (block, place) if isinstance(block, int) and isinstance(place, str | int) else None


def _held(state: State, place: str | int) -> Value | None:
    if isinstance(place, str):
        return state.regs.get(place)
    slot = state.slots.get(place)
    return None if slot is None else slot[1]


def _note(known: dict[_Key, Number], key: _Key, number: Number) -> bool:
    """Note a number; False if another one is known."""
    was = known.get(key)
    if was is not None and (was[0] ^ number[0]) & ((1 << min(was[1], number[1])) - 1):
        return False
    if was is None or was[1] < number[1]:
        known[key] = number
    return True
