"""The instructions of a function that can be reached from its entry, and where blocks begin.

Owns following the control flow through the bytes: direct jumps, jump tables, static branches,
fix-ups of faults, parts that lie elsewhere (``.cold``); and refusing code that is not what the
compiler made. Must not know what an instruction does to registers.

Facts: Documentation/livepatch/reliable-stacktrace.rst (what rewrites code at run time);
``include/linux/jump_label.h`` (either way of a static branch may have been taken).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from btfdbg.frames.code import MAX_BYTES, Arch, Code, Fixup
from btfdbg.frames.disasm import Disassembler
from btfdbg.frames.ir import (
    ADD,
    BRANCH,
    BREAK,
    CALL,
    CALL_REGISTER,
    DEF,
    FALL,
    FILL,
    JUMP,
    JUMP_REGISTER,
    LOAD,
    STOP,
    STORE,
    SWAP,
    Insn,
    Meaning,
    Mem,
    Op,
    Refusal,
)

_WORD = 8
_MAX_KEPT = 16  # instructions between those that keep a register and take it back
_MAX_SEEN = 128  # instructions among which an index is given its value
_MAX_TABLE_CODE = 32  # instructions before a jump among which its table is named


class Blocks:
    """
    One function's code, decoded.

    :ivar insns: Instructions that can be reached from the entry, by address.
    :ivar tables: Indirect jump to the targets in its jump table.
    :ivar leaders: Addresses at which a block begins.
    :ivar fixups: Instruction that may fault to where it goes on then.
    :ivar branches: Static branch to the target of its other form.
    """

    def __init__(self, code: Code, arch: Arch, disassemble: Disassembler) -> None:
        self.code = code
        self.arch = arch
        self._decoded: dict[int, Insn] = {}
        self.insns: Mapping[int, Insn] = self._decoded
        self.tables: dict[int, list[int]] = {}
        self.leaders: set[int] = set()
        self.fixups: dict[int, Fixup] = {}
        self.branches: dict[int, int] = {}
        self._disassemble = disassemble
        self._bytes: dict[int, bytes] = {}
        self._parts: list[tuple[int, int]] = [(code.start, code.end)]
        self._sources: dict[int, list[Insn]] | None = None

    def decode(self) -> None:
        """
        Decode all that can be reached from the entry.

        :raises Refusal: it is not what a compiler made, or not all of it is in the dump.
        """
        code = self.code
        self._part(code.start, code.end)
        todo = [code.start]
        self.leaders.add(code.start)
        while todo:
            at = todo.pop()
            while at not in self.insns:
                at, targets = self._straight(at)
                for target in targets:
                    self.leaders.add(target)
                    todo.append(target)
                if at == 0:
                    break

    def is_unsigned(self, insn: Insn, register: str) -> bool:
        """
        Whether a register is no negative number before an instruction.

        Half a register that is written clears the other half. That must be seen on every way to
        the instruction; what is added since then only counts up.
        """
        todo, seen = [(insn, register)], {(insn.address, register)}
        while todo:
            at, name = todo.pop()
            before = self._before(at.address)
            if not before or len(seen) > _MAX_SEEN:
                return False
            for last in before:
                written = any(_writes(op, name) for op in last.ops)
                if written and self.arch.halves(*last.text) == name:
                    continue
                found = self._from(last, name)
                if found is None:
                    return False
                if (found[0].address, found[1]) not in seen:
                    seen.add((found[0].address, found[1]))
                    todo.append(found)
        return True

    def _from(self, last: Insn, register: str) -> tuple[Insn, str] | None:
        """The register that holds a register's value before an instruction; None if unknown."""
        if last.kind == CALL and register not in self.arch.CALLER_SAVED:
            return last, register
        if last.kind not in (FALL, BRANCH, JUMP) or last.address in self.fixups:
            return None
        writes = [op for op in last.ops if _writes(op, register)]
        if not writes or all(_counts_up(op, register) for op in writes):
            return last, register
        if len(writes) == 1 and writes[0][0] == LOAD and writes[0][3] == _WORD:
            return self._spilled(last, writes[0][2])
        return None

    def _spilled(self, load: Insn, mem: Mem) -> tuple[Insn, str] | None:
        """The instruction that kept a register in the frame, and the register."""
        at = load
        for _ in range(_MAX_KEPT if mem.base == self.arch.SP and mem.index_by is None else 0):
            before = self._before(at.address)
            if len(before) != 1 or any(_writes(op, self.arch.SP) for op in before[0].ops):
                return None
            at = before[0]
            for op in at.ops:
                if op[0] == STORE and op[1] == mem:
                    return (at, op[2]) if isinstance(op[2], str) and op[3] == _WORD else None
        return None

    def _before(self, address: int) -> list[Insn]:
        """The instructions from which one is reached; none if not all of them are known."""
        if self._sources is None:
            sources: dict[int, list[Insn]] = {}
            for last in self.insns.values():
                if last.kind in (BRANCH, JUMP):
                    sources.setdefault(last.target, []).append(last)
                ends = last.kind == CALL and not self.code.returns(last.target)
                if last.kind not in (JUMP, STOP, BREAK, JUMP_REGISTER) and not ends:
                    sources.setdefault(last.end, []).append(last)
            odd = {f.target for f in self.fixups.values()} | set(self.branches.values())
            for target in odd.union(*self.tables.values()) | {self.code.start}:
                sources[target] = []
            self._sources = sources
        return self._sources.get(address, [])

    def _part(self, start: int, end: int) -> None:
        self.fixups.update(self.code.fixups(start, end))
        self.branches.update(self.code.branches(start, end))

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
        insns, direct, translate = self._decoded, self.arch.direct, meanings(self.arch)
        last: Insn | None = None
        veneers = self.arch.VENEER_BYTES
        here = at
        for address, size, mnemonic, operands in self._disassemble(data, at, at - start):
            if address in insns:
                self.leaders.add(address)
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
            if kind == JUMP and address in self.branches:
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
            if targets and (kind == BRANCH or address in self.branches):
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
        while len(before) < _MAX_TABLE_CODE:
            last = self._only_before(before[0])
            if last is None:
                break
            before.insert(0, last)
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

    def _only_before(self, insn: Insn) -> Insn | None:
        """
        The instruction before one, by address; for the target of one jump the jump itself.

        Of the branches only those count that a bound on a table's index takes: the index is not
        above it.
        """
        last = self.insns.get(insn.address - insn.size)
        if last is not None and last.end == insn.address and last.kind in (FALL, BRANCH, CALL):
            return last
        jumps = [i for i in self.insns.values() if i.target == insn.address]
        if len(jumps) == 1 and jumps[0].text[0] in self.arch.NOT_ABOVE:
            return jumps[0]
        return last if last is not None and last.end == insn.address else None

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
        other = self.branches.get(insn.address)
        if other is not None:
            targets.append(self._own(other))
        if insn.kind in (BRANCH, JUMP):
            targets.append(self._own(insn.target))
        elif insn.kind == CALL and self.code.start < insn.target < self.code.end:
            raise Refusal("the function calls into itself")
        fixup = self.fixups.get(insn.address)
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


def _writes(op: Op, register: str) -> bool:
    if op[0] in (STORE, FILL):
        return False
    if op[0] == DEF:
        return register in op[1]
    return bool(op[1] == register or (op[0] == SWAP and op[2] == register))


def _counts_up(op: Op, register: str) -> bool:
    return op[:3] == (ADD, register, register) and 0 < op[3] < 1 << 31 and op[4] == 64


def meanings(arch: Arch) -> Callable[[str, str], Meaning]:
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
