"""The analysis of single functions against their execution: no DWARF, no truth but the CPU.

``python -m tests.frames.executed DUMP [-n FUNCTIONS] [--runs N] [--seed N] [--only NAME ...]``

Random functions of a dump's kernel run in an emulator (``pip install unicorn``), from the entry
with a number of its own in each register and each word of the stack, in memory made of random
words and pointers. Branches are taken as they come or, half of the time, as chance has it: the
analysis holds on every path. Calls are left out: they change the registers that they may, and the
first byte of what they are given the address of. At each call all that the state before it says
must be so: what holds a value from the entry, a number, an address in the stack; and two places of
one value hold the same.

Memory is not what the code expects, so a loop may run over the end of an array in the frame, onto
saved registers: a slot that a store not at a place in the frame has overwritten is counted apart.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import btfdbg
from btfdbg.frames.arguments import recovery
from btfdbg.frames.flow import FunctionFlow
from btfdbg.frames.ir import BRANCH, BREAK, CALL, CALL_REGISTER, STORE, Insn
from btfdbg.frames.recover import Recovery
from btfdbg.frames.state import SP, Base, State, Value, is_aligned
from tests.frames.truth import function_names, named

_M64 = (1 << 64) - 1
_PAGE = 1 << 12
_STACK = 0xFFFF_C900_0001_0000
_STACK_SIZE = 1 << 16
_OBJECTS = 0xFFFF_8880_0000_0000
_PER_CPU = 0xFFFF_8881_0000_0000
_PHYSICAL = (1 << 52) - 1  # what the emulator has of an address on x86-64
_CONSTANTS = 32 << 20  # behind the text: jump tables and others
_MAX_STEPS = 3000
_MAX_PAGES = 4000


class Machine:
    """An emulated CPU with the dump's text, and whatever else is asked for made up."""

    def __init__(self, made: Recovery, chance: random.Random) -> None:
        # By name: it is nobody's dependency.
        unicorn: Any = import_module("unicorn")
        x86_const: Any = import_module("unicorn.x86_const")
        arm64_const: Any = import_module("unicorn.arm64_const")
        self.made = made
        self.chance = chance
        self.error = unicorn.UcError
        arch = made.arch
        is_x86 = arch.RETURN_ADDRESS_ON_STACK
        if is_x86:
            self.uc: Any = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
            self.ids = {r: getattr(x86_const, "UC_X86_REG_" + r.upper()) for r in arch.REGISTERS}
            self.pc = x86_const.UC_X86_REG_RIP
            self.uc.reg_write(x86_const.UC_X86_REG_GS_BASE, _PER_CPU)
        else:
            self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
            self.ids = {
                r: getattr(arm64_const, "UC_ARM64_REG_" + r.upper()) for r in arch.REGISTERS
            }
            self.pc = arm64_const.UC_ARM64_REG_PC
        self.pages: set[int] = set()
        start, end = made.text.kernel_range()
        self.image = range(start & -_PAGE, end + _CONSTANTS)
        self.uc.hook_add(unicorn.UC_HOOK_MEM_UNMAPPED, self._unmapped)
        self.uc.hook_add(unicorn.UC_HOOK_CODE, lambda uc, at, size, _: self.step(at))
        stack = _STACK & (_PHYSICAL if is_x86 else _M64)
        for first in {stack, _STACK}:
            self.uc.hook_add(
                unicorn.UC_HOOK_MEM_WRITE, self._stored, begin=first, end=first + _STACK_SIZE
            )
        self.stored: dict[int, int] = {}
        self.physical = _PHYSICAL if is_x86 else _M64
        self.uc.mem_map(_STACK & self.physical, _STACK_SIZE)
        self.step: Callable[[int], None] = lambda at: None

    def word(self) -> int:
        """A word of made-up memory: a pointer, a small number, or any."""
        kind = self.chance.randrange(10)
        if kind < 5:
            return _OBJECTS + (self.chance.getrandbits(20) << 6)
        return self.chance.randrange(16) if kind < 8 else self.chance.getrandbits(64)

    def _unmapped(self, uc: Any, access: int, address: int, size: int, value: int, _: Any) -> bool:
        for page in {address & -_PAGE, (address + size - 1) & -_PAGE & _M64}:
            if page in self.pages:
                continue
            if len(self.pages) >= _MAX_PAGES:
                return False
            self.pages.add(page)
            whole = page | _M64 ^ _PHYSICAL if page >> 51 & 1 else page
            data = self.made.text.memory(whole, _PAGE) if whole in self.image else None
            if data is None:
                words = [self.word() for _ in range(64)] * (_PAGE // 512)
                data = b"".join(w.to_bytes(8, "little") for w in words)
            try:
                uc.mem_map(page, _PAGE)
                uc.mem_write(page, data)
            except self.error:
                return False
        return True

    def _stored(self, uc: Any, access: int, address: int, size: int, value: int, _: Any) -> None:
        writer = int(uc.reg_read(self.pc)) & _M64
        for at in range(address, address + size):
            self.stored[at & self.physical] = writer

    def read(self, register: str) -> int:
        """A register's number."""
        return int(self.uc.reg_read(self.ids[register])) & _M64

    def write(self, register: str, number: int) -> None:
        """Give a register a number."""
        self.uc.reg_write(self.ids[register], number)

    def go(self, address: int) -> None:
        """Go on elsewhere."""
        self.uc.reg_write(self.pc, address)


class Executed:
    """Counts of one kernel."""

    def __init__(self, dump: Path, seed: int) -> None:
        self.made = recovery(btfdbg.session(btfdbg.program_from_core_dump(dump)))
        self.chance = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()

    def functions(self, count: int) -> Iterator[int]:
        """Starts of random functions that BTF has."""
        every = (self.made.text.by_name(n, "") for n in function_names(self.made, self.chance))
        yield from islice((found[0].address for found in every if len(found) == 1), count)

    def run(self, starts: Iterator[int], runs: int) -> None:
        """Run functions, each so many times."""
        for start in starts:
            function = self.made.text.function(start)
            if isinstance(function, str) or function.start != start:
                continue
            flow = self.made.flow(function)
            if flow.problem:
                continue
            self.counts["functions"] += 1
            machine = Machine(self.made, self.chance)
            for _ in range(runs):
                Run(self, machine, flow, function.names[0]).go()


class Run:
    """One way through a function."""

    def __init__(self, all_: Executed, machine: Machine, flow: FunctionFlow, name: str) -> None:
        self.all = all_
        self.machine = machine
        self.flow = flow
        self.name = name
        self.steps = 0
        self.end = ""
        self.follow = all_.chance.random() < 0.5
        self.sp = _STACK + _STACK_SIZE * 3 // 4 - 8
        self.entry: dict[str, int] = {}
        self.words: dict[int, int] = {}

    def go(self) -> None:
        """Run it to its end."""
        machine, arch = self.machine, self.all.made.arch
        words = [machine.word() for _ in range(_STACK_SIZE // 8)]
        machine.uc.mem_write(
            _STACK & machine.physical, b"".join(w.to_bytes(8, "little") for w in words)
        )
        self.words = {_STACK + 8 * n: word for n, word in enumerate(words)}
        for register in arch.REGISTERS:
            number = self.sp if register == arch.SP else machine.word() | 1 << 40
            if register == "x29":
                number = _STACK + _STACK_SIZE - 64
            self.entry[register] = number
            machine.write(register, number)
        machine.step = self.step
        machine.stored.clear()
        try:
            machine.uc.emu_start(self.flow.code.start, 0, timeout=2_000_000)
        except machine.error as e:
            self.end = self.end or f"emulator: {e}"
        self.all.ends[self.end or "time"] += 1
        self.all.counts["steps"] += self.steps

    def stop(self, why: str) -> None:
        """End the run."""
        self.end = self.end or why
        self.machine.uc.emu_stop()

    def step(self, at: int) -> None:
        """Before each instruction."""
        self.steps += 1
        insn = self.flow.insns.get(at)
        if self.end or insn is None or self.steps > _MAX_STEPS:
            self.stop("left" if insn is None else "steps")
        elif insn.kind in (CALL, CALL_REGISTER):
            self.call(insn)
        elif insn.kind == BREAK or insn.text[0].startswith("rep"):
            self.stop("a repeated instruction" if insn.kind != BREAK else "a break")
        elif insn.kind == BRANCH and not self.follow and self.all.chance.random() < 0.5:
            there = insn.target if self.all.chance.random() < 0.5 else insn.end
            if there in self.flow.insns:
                self.machine.go(there)

    def call(self, insn: Insn) -> None:
        """Check the state before a call, and do what a call does."""
        state = self.flow.before(insn.address)
        if state is None:
            self.all.wrong[f"{self.name}: no path to {insn.address - self.flow.code.start:#x}"] += 1
            self.stop("no state")
            return
        self.check(insn, state)
        machine, arch, chance = self.machine, self.all.made.arch, self.all.chance
        if insn.kind == CALL and not self.flow.code.returns(insn.target):
            self.stop("no return")
            return
        low = machine.read(arch.SP)
        for register in arch.ARGUMENTS:
            address = machine.read(register)
            if low <= address < self.sp:
                machine.uc.mem_write(address & machine.physical, bytes([chance.getrandbits(8)]))
        for register in arch.CALLER_SAVED:
            machine.write(register, machine.word())
        machine.go(insn.end)

    def check(self, insn: Insn, state: State) -> None:
        """Hold all that a state says against the machine."""
        machine, arch = self.machine, self.all.made.arch
        self.all.counts["calls"] += 1
        known: dict[Base, tuple[int, int, str]] = {}
        for register, value in state.regs.items():
            self.one(insn, register, machine.read(register), value, known)
        for offset, (size, value, _) in state.slots.items():
            if is_aligned(offset):
                continue
            data = bytes(machine.uc.mem_read((self.sp + offset) & machine.physical, size))
            place = f"slot {offset:#x}"
            self.one(insn, place, int.from_bytes(data, "little"), value, known, size)
        assert arch.SP in state.regs

    def one(
        self,
        insn: Insn,
        place: str,
        number: int,
        value: Value,
        known: dict[Base, tuple[int, int, str]],
        size: int = 0,
    ) -> None:
        """
        Hold one value against the number in its place.

        :param size: Of a slot, in bytes.
        """
        base, k, bits = value
        mask = (1 << bits) - 1
        solved = (number - k) & mask
        kind = "number" if base is None else str(base[0])
        expected: int | None = None
        if base is None:
            expected = 0
        elif kind == "entry":
            expected = self.entry.get(str(base[1]))
        elif kind == "stack" and isinstance(base[1], int):
            expected = self.words.get(self.sp + base[1])
        elif kind == "sp":
            expected = None if is_aligned(k) or len(base) > 1 else self.sp
        if expected is None:
            if base is None or kind in ("sp", "stack", "entry"):
                return
            before = known.setdefault(base, (solved, bits, place))
            if before[2] == place:
                return
            mask &= (1 << before[1]) - 1
            expected, kind = before[0], "the same"
        self.all.counts[f"checked {kind}"] += 1
        if (expected ^ solved) & mask:
            # Of a register: it may have been restored from such a slot.
            places = [(int(place[5:], 16), size)] if size else self.saved()
            if any(self.is_overrun(self.sp + offset, size) for offset, size in places):
                self.all.counts["overrun"] += 1
                self.stop("overrun")
                return
            self.all.counts[f"WRONG {kind}"] += 1
            where = f"{self.name}+{insn.address - self.flow.code.start:#x} {place}"
            self.all.wrong[f"{where}: {value}"] += 1

    def saved(self) -> set[tuple[int, int]]:
        """Offset and size of slots with what the registers held at the entry."""
        return {
            (offset, slot[0])
            for state in self.flow.blocks.values()
            for offset, slot in state.slots.items()
            if slot[1][0] is not None and slot[1][0][0] == "entry" and not is_aligned(offset)
        }

    def is_overrun(self, address: int, size: int) -> bool:
        """Whether a store that does not name a place in the frame wrote to a slot last."""
        machine, flow = self.machine, self.flow
        for at in range(address, address + size):
            insn = flow.insns.get(machine.stored.get(at & machine.physical, 0))
            state = None if insn is None else flow.before(insn.address)
            if insn is None or state is None:
                continue
            places = [flow.address_of(state, op[1], insn.end) for op in insn.ops if op[0] == STORE]
            if any(p is None or p[0] != SP for p in places):
                return True
        return False


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dump", type=Path)
    parser.add_argument("-n", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="these functions, to read them")
    parser.add_argument("-v", "--verbose", action="store_true")
    args = parser.parse_args()
    executed = Executed(args.dump, args.seed)
    began = time.process_time()
    only = named(executed.made, args.only) if args.only else executed.functions(args.n)
    executed.run(only, args.runs)
    print(*(f"{name}: {count}" for name, count in sorted(executed.counts.items())), sep="  ")
    print(f"{time.process_time() - began:.0f} s;", dict(executed.ends.most_common(12)))
    for text, count in executed.wrong.most_common(None if args.verbose else 40):
        print(f"wrong: {count} x {text}")


if __name__ == "__main__":
    main()
