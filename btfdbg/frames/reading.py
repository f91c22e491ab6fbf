"""What one function's code says of a variable that it names.

Owns reading instructions for it: what is passed, returned, stored and accessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import drgn
from drgn import Qualifiers, TypeKind

from btfdbg.frames.bounds import HANDLER, bound_at
from btfdbg.frames.evidence import Evidence
from btfdbg.frames.flow import FunctionFlow
from btfdbg.frames.ir import (
    ADD,
    ADDREG,
    ADDRESS,
    CALL,
    CONST,
    DEF,
    JUMP,
    STOP,
    STORE,
    Insn,
    Mem,
    Op,
)
from btfdbg.frames.layout import pointed_to, size_of, underlying
from btfdbg.frames.state import Base, State, Value
from btfdbg.frames.types import Types

if TYPE_CHECKING:
    from btfdbg.frames.function import Function
    from btfdbg.frames.prototypes import Prototype
    from btfdbg.frames.recover import Recovery
    from btfdbg.program.session import Session

_MAX_SIZE = 1 << 20
_M64 = (1 << 64) - 1
_WORD = 8
_MAX_MET = 16
_RECORDS = (TypeKind.STRUCT, TypeKind.UNION)
# What only atomic_t's functions do (arch/x86/include/asm/atomic.h): a refcount_t's fetch as well.
_ATOMIC = ("lock inc", "lock dec", "lock add", "lock sub")


def collect(session: Session, made: Recovery, function: Function, evidence: Evidence) -> None:
    """Add what a function says to the evidence of a variable that it may name."""
    flow = made.flow(function)
    if flow.problem:
        evidence.unread = True
        return
    prototype = made.text.prototype_at(function.start)
    reader = _Reader(session, made, flow, prototype, evidence)
    for insn, state in flow.states():
        reader.read(insn, state)
    reader.end()


class _Reader:
    """Reads one function's instructions."""

    def __init__(
        self,
        session: Session,
        made: Recovery,
        flow: FunctionFlow,
        prototype: Prototype | str,
        evidence: Evidence,
    ) -> None:
        self._made = made
        self._flow = flow
        self._prototype = prototype
        self._evidence = evidence
        self._types = Types(session, made.text, prototype, flow.insns)
        self._records: list[int] = []
        self._indexed = False
        self._met: set[Base] = set()

    def read(self, insn: Insn, state: State) -> None:
        """Take in one instruction."""
        if insn.kind == CALL or (insn.kind == JUMP and insn.target not in self._flow.insns):
            self._call(insn.target, state)
        elif insn.kind == STOP:
            self._returns(state)
        for mem, size in self._made.arch.memory(*insn.text):
            where = None if mem.segment else self._flow.address_of(state, mem, insn.end)
            if where is not None:
                self._access(where, size)
            self._indexes(mem, state)
        if insn.text[0] == "cmp":
            self._compares(insn, state)
        elif insn.text[0] in _ATOMIC:
            self._counts(insn, state)
        for op in insn.ops:
            if op[0] == STORE:
                self._store(op, insn, state)
            elif op[0] == CONST:
                self._named(op[2] & _M64)
            elif op[0] == ADD:
                self._adds((None, op[3] & _M64, 64), state.regs[op[2]])
            elif op[0] == ADDREG and op[4] > 0:
                self._adds(state.regs[op[2]], state.regs[op[3]])
            elif op[0] == DEF and insn.text[0] == "add" and len(op[2]) == 2:
                self._adds(*(state.regs[register] for register in op[2]))
            elif op[0] == ADDRESS:
                self._indexes(op[2], state)
                found = self._flow.address_of(state, op[2], insn.end)
                if found is not None and found[0] is None:
                    self._named(found[1])

    def _named(self, address: int) -> None:
        evidence = self._evidence
        if evidence.holds(address):
            evidence.named = max(evidence.named, address - evidence.start)

    # Tables

    def _indexes(self, mem: Mem, state: State) -> None:
        """Whether an index is added to the variable's address in a memory operand."""
        if mem.index_by is None or mem.segment or mem.base == "pc":
            return
        base = (None, 0, 64) if mem.base is None else state.regs[mem.base]
        index = state.regs[mem.index_by]
        if base[0] is None and base[2] == 64 and index[0] is not None:
            self._indexed |= self._evidence.holds((base[1] + mem.disp) & _M64)
        elif index[0] is None and index[2] == 64 and base[0] is not None and mem.scale == 1:
            self._indexed |= self._evidence.holds((index[1] + mem.disp) & _M64)

    def _adds(self, one: Value, other: Value) -> None:
        """Whether an index is added to the variable's address."""
        for address, index in ((one, other), (other, one)):
            if address[0] is None and address[2] == 64 and index[0] is not None:
                self._indexed |= self._evidence.holds(address[1])

    def _is_walked(self, base: Base) -> bool:
        """Whether a value begins in the variable, and goes on by some bytes each time."""
        todo, seen, begins, goes_on = [base], {base}, False, False
        while todo:
            for way in self._flow.brought(todo.pop()) or [None]:
                if way is None or way[2] < 64:
                    return False
                if way[0] is None:
                    if not self._evidence.holds(way[1]):
                        return False
                    begins = True
                    continue
                goes_on |= way[1] != 0
                if way[0] not in seen:
                    seen.add(way[0])
                    todo.append(way[0])
            if len(seen) > _MAX_MET:
                return False
        return begins and goes_on

    def end(self) -> None:
        """Take in what the function as a whole says."""
        if not self._records:
            return
        if self._indexed or any(self._is_walked(base) for base in self._met):
            for record in self._records:
                bound = bound_at(record, self._made.text.memory)
                if bound is not None:
                    self._evidence.bounds.append(bound)

    def _compares(self, insn: Insn, state: State) -> None:
        """Whether what the variable begins with is compared with the variable's address."""
        own = first = False
        for part in self._made.arch.split(insn.text[1]):
            mem, register = getattr(part, "mem", None), getattr(part, "name", "")
            if isinstance(part, int):
                own |= part & _M64 == self._evidence.start
            elif mem is not None:
                where = None if mem.segment else self._flow.address_of(state, mem, insn.end)
                first |= where == (None, self._evidence.start, 64) and insn.text[1][:5] == "qword"
            elif register in state.regs and part.bits == 64:
                value = state.regs[register]
                own |= value == (None, self._evidence.start, 64)
                first |= any(self._is_first(one) for one in self._ways(value))
        self._evidence.circular |= own and first

    def _counts(self, insn: Insn, state: State) -> None:
        """Whether the variable begins with what is counted in one piece."""
        for mem, size in self._made.arch.memory(*insn.text):
            where = None if mem.segment else self._flow.address_of(state, mem, insn.end)
            if where == (None, self._evidence.start, 64):
                self._evidence.atomic.append(size)

    def _ways(self, value: Value) -> list[Value]:
        """A value, or what it is on the paths that meet."""
        base = value[0]
        if base is None or base[0] != "phi" or value[1]:
            return [value]
        return [way for way in self._flow.brought(base) or () if way is not None]

    def _is_first(self, value: Value) -> bool:
        base, k, bits = value
        return base is not None and not k and bits == 64 and self._loaded(base) == 0

    # What is passed

    def _call(self, target: int, state: State) -> None:
        prototype = self._made.text.prototype_at(target)
        if isinstance(prototype, str):
            return
        if prototype.name == HANDLER:
            base, record, bits = state.regs[self._made.arch.ARGUMENTS[0]]
            if base is None and bits == 64:
                self._records.append(record)
            return
        for param, value in prototype.words(state.regs):
            if self._is_of_wanted(value):
                self._has(value, prototype.type_of(param.type_id), f"call {prototype.name}")

    def _returns(self, state: State) -> None:
        if isinstance(self._prototype, str) or self._prototype.signature.problem:
            return
        value = state.regs.get(self._made.arch.RETURN)
        if value is None or not self._is_of_wanted(value):
            return
        type_ = self._prototype.type_of(self._prototype.result)
        self._has(value, type_, f"return {self._prototype.name}")

    def _store(self, op: Op, insn: Insn, state: State) -> None:
        _, mem, what, size, _ = op
        if size != _WORD or mem.segment or what is None:
            return
        where = self._flow.address_of(state, mem, insn.end)
        if where is None:
            return
        value: Value = (None, what & _M64, 64) if isinstance(what, int) else state.regs[what]
        if where[0] is None and self._evidence.holds(where[1]):
            self._gets(value, where[1] - self._evidence.start)
        if self._is_of_wanted(value) and where[0] != ("sp",):
            place = self._types.at(where, size)
            if place is not None and place.type is not None:
                self._has(value, place.type, f"store {place.text}")

    def _gets(self, value: Value, offset: int) -> None:
        """The variable gets a value, at an offset."""
        if value[0] is None:
            return  # NULL, or an address that says nothing of what may point there
        typed = self._types.of(value)
        target = None if typed is None else telling(typed.type)
        if target is not None and typed is not None:
            self._evidence.words.append((offset, target, f"store {typed.text}"))
            if offset:
                return
            if Qualifiers.CONST in target.qualifiers:
                self._evidence.constant = True
            self._evidence.values.append((target, f"store {typed.text}"))

    # What is said

    def _is_of_wanted(self, value: Value) -> bool:
        base, k, bits = value
        if bits < 64:
            return False
        if base is None:
            return self._evidence.holds(k)
        return k == 0 and self._loaded(base) is not None

    def _loaded(self, base: tuple[Any, ...]) -> int | None:
        """From which offset of the variable a value's eight bytes are; None if from elsewhere."""
        if base[0] != "load" or base[4] != _WORD or not isinstance(base[3], tuple):
            return None
        inner, address, bits = base[3]
        if inner is not None or bits != 64 or not self._evidence.holds(address):
            return None
        return int(address) - self._evidence.start

    def _has(self, value: Value, type_: drgn.Type | None, why: str) -> None:
        """A value of, or the address of, a variable is of a type."""
        base, k, _ = value
        evidence = self._evidence
        target = telling(type_)
        if target is None:
            word = telling(pointed_to(type_)) if base is None else None
            if word is not None:
                evidence.points_to_word(k - evidence.start, word, why)
            return
        if base is not None:
            offset = self._loaded(base)
            if offset is not None:
                evidence.words.append((offset, target, why))
            if offset == 0:
                evidence.values.append((target, why))
        elif size_of(target):
            # What is empty (struct lock_class_key without lockdep) is where the next one begins.
            if k == evidence.start:
                evidence.objects.append((target, why))
            else:
                evidence.inside.append((k - evidence.start, target, why))

    def _access(self, where: Value, size: int) -> None:
        base, k, _ = where
        evidence = self._evidence
        if base is not None and base[0] == "phi":
            self._met.add(base)
        if size > _WORD:
            return
        if base is None:
            if evidence.holds(k):
                evidence.reach = max(evidence.reach, k + size - evidence.start)
        elif k < _MAX_SIZE and self._loaded(base) == 0:
            evidence.beyond = max(evidence.beyond, k + size)


def telling(type_: drgn.Type | None) -> drgn.Type | None:
    """What a pointer points to, if that is a struct or union with a name."""
    target = pointed_to(type_)
    if target is None:
        return None
    real = underlying(target)
    return target if real.kind in _RECORDS and real.tag is not None else None
