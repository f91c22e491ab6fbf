"""The analysis of single functions against DWARF, without any stack.

``python -m tests.frames.static DUMP VMLINUX [-n FUNCTIONS] [--seed N] [-v]``

drgn, with debug files, is given made-up registers at every call of a random function: each
register holds a number of its own, each word of a made-up stack another. What DWARF computes
from those for a parameter, for the canonical frame address and for the saved registers must be
what our state computes from the same. The dump serves for its code, as it runs, only.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import drgn

import btfdbg
from btfdbg.frames.abi import Param
from btfdbg.frames.arguments import recovery
from btfdbg.frames.flow import FunctionFlow
from btfdbg.frames.ir import CALL, CALL_REGISTER
from btfdbg.frames.recover import Recovery
from btfdbg.frames.state import State, Value
from btfdbg.program.session import Session
from tests.frames.live import bits_of, with_dwarf

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
    return "number" if value[0] is None else str(value[0][0])


def _near(number: int, other: int, bits: int) -> bool:
    half = 1 << (bits - 1)
    return abs(((number - other + half) & (2 * half - 1)) - half) <= (_NEAR if bits > 16 else 8)


class Static:
    """The comparison for one kernel."""

    def __init__(self, dump: Path, vmlinux: Path) -> None:
        self.truth = with_dwarf(dump, vmlinux, None)
        self.truth.add_memory_segment(_STACK, _STACK_SIZE, stack)
        self.session: Session = btfdbg.session(btfdbg.program_from_core_dump(dump))
        self.made: Recovery = recovery(self.session)
        self.counts: Counter[str] = Counter()
        self.differ: list[str] = []
        self.problems: Counter[str] = Counter()
        self.seconds = 0.0
        arch = self.made.arch
        numbers = random.Random(1)
        self.registers = {r: numbers.getrandbits(64) | 1 << 63 for r in arch.REGISTERS}
        self.registers[arch.SP] = _SP
        frame_pointer = "rbp" if arch.RETURN_ADDRESS_ON_STACK else "x29"
        self.frame_pointer = frame_pointer
        self.saved = arch.CALLEE_SAVED

    def functions(self, count: int, seed: int) -> Iterator[int]:
        """Starts of random functions that have a prototype with parameters."""
        btf = self.session.vmlinux
        ids = [i for i in btf.own_ids() if btf.kind_of(i) == 12]
        random.Random(seed).shuffle(ids)
        given = 0
        for type_id in ids:
            if given >= count:
                return
            symbols = self.made.text.by_name(btf.name_of(type_id), "")
            if len(symbols) != 1 or self.made.text.symbol(symbols[0].address) is None:
                continue
            start = symbols[0].address
            prototype = self.made.text.prototype_at(start)
            if isinstance(prototype, str) or not prototype.signature.params:
                continue
            given += 1
            yield start

    def run(self, count: int, seed: int) -> None:
        """Compare that many functions."""
        for start in self.functions(count, seed):
            function = self.made.text.function(start)
            if isinstance(function, str) or function.start != start:
                continue
            self.counts["functions"] += 1
            began = time.process_time()
            flow = self.made.flow(function)
            self.seconds += time.process_time() - began
            if flow.problem:
                self.problems[flow.problem.split("0x")[0]] += 1
                continue
            self.function(start, flow)

    def function(self, start: int, flow: FunctionFlow) -> None:
        """Compare one function at all of its calls."""
        prototype = self.made.text.prototype_at(start)
        assert not isinstance(prototype, str)
        for insn in list(flow.insns.values()):
            if insn.kind not in (CALL, CALL_REGISTER):
                continue
            state = flow.before(insn.address)
            if state is None:
                continue
            frames = self.frames(insn.address)
            if frames is None:
                continue
            self.counts["sites"] += 1
            frame, outer = frames
            where = f"{prototype.name}+{insn.address - start:#x}"
            self.unwinding(where, state, outer)
            names = frame.locals()
            for param in prototype.signature.params:
                self.parameter(where, state, frame, names, param, insn.end - 1)

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

    def unwinding(self, where: str, state: State, outer: drgn.StackFrame | None) -> None:
        """Compare the frame's end and the saved registers."""
        sp = self.entry_sp(state)
        if outer is None or sp is None:
            return
        theirs = outer.registers()
        moved = 8 if self.made.arch.RETURN_ADDRESS_ON_STACK else 0
        their_sp = theirs.get(self.made.arch.SP)
        if their_sp is not None:
            self.tell("CFA", where, {sp + moved}, their_sp)
        for register in self.saved:
            number = theirs.get(register)
            ours = self.numbers(state, ("entry", register), 64)
            if number is not None and ours:
                self.tell(f"saved {register}", where, ours, number)

    def tell(self, what: str, where: str, ours: set[int], theirs: int) -> None:
        """Count one comparison of the unwinding."""
        kind = "CFA" if what == "CFA" else "saved"
        self.counts[f"{kind} compared"] += 1
        if theirs not in ours:
            self.counts[f"{kind} WRONG"] += 1
            self.differ.append(f"{where} {what}: ours {sorted(map(hex, ours))} DWARF {theirs:#x}")

    def parameter(
        self,
        where: str,
        state: State,
        frame: drgn.StackFrame,
        names: list[str],
        param: Param,
        inside: int,
    ) -> None:
        """
        Compare one parameter.

        :param inside: An address in the midst of the call: where an unwinder asks.
        """
        if param.size > 8 or len(param.registers) + (param.stack is not None) != 1:
            self.counts["wide parameters"] += 1
            return
        base: tuple[object, ...]
        base = ("entry", *param.registers) if param.registers else ("stack", param.stack)
        bits = 8 * param.size
        width = next(w for w in (8, 16, 32, 64) if w >= bits)
        ours = {n & ((1 << bits) - 1) for n in self.numbers(state, base, width)}
        theirs: int | None = None
        sp = self.entry_sp(state)
        if param.name in names:
            found = given(frame, param)
            if found is None:
                return
            theirs, address = found
            # Where the caller put it: the same word, though not in a world of magic.
            if ours and sp is not None and param.stack is not None and address == sp + param.stack:
                self.counts["named by its slot"] += 1
                return
        self.counts["pairs"] += 1
        self.counts["dwarf"] += theirs is not None
        self.counts["ours"] += bool(ours)
        if ours and theirs is not None:
            same = theirs in ours
            self.counts["agree" if same else "differ"] += 1
            if not same:
                why = self.changed(state, base, theirs, bits)
                if why == "":
                    why = self.beside(state, frame, param, inside, ours)
                self.counts[f"differ: {why or 'NOT EXPLAINED'}"] += 1
                self.differ.append(
                    f"{where} {param.name} {base}: ours {sorted(map(hex, ours))} DWARF {theirs:#x}"
                    f" values {[r for r, v in state.regs.items() if v[0] == base]}: {why or '?'}"
                )

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
            is_made = value[0] is None or value[0][0] not in ("entry", "stack", "sp")
            if (number ^ theirs) & mask == 0 and is_made:
                return f"its place holds a {kind_of(value)}"
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


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dump", type=Path)
    parser.add_argument("vmlinux", type=Path)
    parser.add_argument("-n", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-v", "--verbose", action="store_true")
    args = parser.parse_args()
    static = Static(args.dump, args.vmlinux)
    static.run(args.n, args.seed)
    c = static.counts
    print(*(f"{name}: {count}" for name, count in sorted(c.items())), sep="  ")
    print(f"{static.seconds * 1e3 / max(c['functions'], 1):.2f} ms a function")
    for text, count in static.problems.most_common():
        print(f"refused: {count} x {text}")
    for text in static.differ[: None if args.verbose else 40]:
        print(f"differ: {text}")


if __name__ == "__main__":
    main()
