"""The analysis of single functions against DWARF, without any stack.

``python -m tests.frames.static DUMP VMLINUX [-n FUNCTIONS] [--seed N] [--only NAME ...] [-v]``

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
from collections.abc import Iterable, Iterator
from pathlib import Path

import drgn

import btfdbg
from btfdbg.frames.abi import Param
from btfdbg.frames.arguments import recovery
from btfdbg.frames.flow import FunctionFlow
from btfdbg.frames.ir import CALL, CALL_REGISTER
from btfdbg.frames.state import State
from tests.frames.dwarf import Dwarf, computed
from tests.frames.made_up import MadeUp, given
from tests.frames.truth import function_names, named, with_dwarf


class Static:
    """The comparison for one kernel."""

    def __init__(self, dump: Path, vmlinux: Path) -> None:
        self.truth = with_dwarf(dump, vmlinux, None)
        self.made = recovery(btfdbg.session(btfdbg.program_from_core_dump(dump)))
        self.counts: Counter[str] = Counter()
        self.differ: list[str] = []
        self.problems: Counter[str] = Counter()
        self.seconds = 0.0
        self.world = MadeUp(self.truth, self.made)
        self.dwarf = Dwarf(self.truth, vmlinux)
        self.saved = self.made.arch.CALLEE_SAVED

    def functions(self, count: int, seed: int) -> Iterator[int]:
        """Starts of random functions that have a prototype with parameters."""
        given = 0
        for name in function_names(self.made, random.Random(seed)):
            if given >= count:
                return
            symbols = self.made.text.by_name(name, "")
            if len(symbols) != 1 or self.made.text.symbol(symbols[0].address) is None:
                continue
            start = symbols[0].address
            prototype = self.made.text.prototype_at(start)
            if isinstance(prototype, str) or not prototype.signature.params:
                continue
            given += 1
            yield start

    def run(self, starts: Iterable[int]) -> None:
        """Compare functions."""
        for start in starts:
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
            frames = self.world.frames(insn.address)
            if frames is None:
                continue
            self.counts["sites"] += 1
            frame, outer = frames
            where = f"{prototype.name}+{insn.address - start:#x}"
            self.unwinding(where, state, outer)
            names = frame.locals()
            for param in prototype.signature.params:
                self.parameter(where, state, frame, names, param, insn.address, insn.end - 1)

    def unwinding(self, where: str, state: State, outer: drgn.StackFrame | None) -> None:
        """Compare the frame's end and the saved registers."""
        sp = self.world.entry_sp(state)
        if outer is None or sp is None:
            return
        theirs = outer.registers()
        moved = 8 if self.made.arch.RETURN_ADDRESS_ON_STACK else 0
        their_sp = theirs.get(self.made.arch.SP)
        if their_sp is not None:
            self.tell("CFA", where, {sp + moved}, their_sp)
        for register in self.saved:
            number = theirs.get(register)
            ours = self.world.numbers(state, ("entry", register), 64)
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
        pc: int,
        inside: int,
    ) -> None:
        """
        Compare one parameter.

        :param pc: Of the call.
        :param inside: An address in the midst of the call: where an unwinder asks.
        """
        passed = self.world.passed(state, param)
        if passed is None:
            self.counts["wide parameters"] += 1
            return
        base, ours = passed
        theirs: int | None = None
        sp = self.world.entry_sp(state)
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
                why = self.world.changed(state, base, theirs, 8 * param.size)
                why = why or self.world.beside(state, frame, param, inside, ours)
                place = ""
                if not why:
                    place = (self.dwarf.places(pc, param.name) or ("", ""))[1]
                    why = computed(place) and "DWARF computes it"
                self.counts[f"differ: {why or 'NOT EXPLAINED'}"] += 1
                self.differ.append(
                    f"{where} {param.name} {base}: ours {sorted(map(hex, ours))} DWARF {theirs:#x}"
                    f" values {[r for r, v in state.regs.items() if v[0] == base]}: {why or '?'}"
                    f"{f' (DWARF: {place})' if place else ''}"
                )


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dump", type=Path)
    parser.add_argument("vmlinux", type=Path)
    parser.add_argument("-n", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="these functions, to read them")
    parser.add_argument("-v", "--verbose", action="store_true")
    args = parser.parse_args()
    static = Static(args.dump, args.vmlinux)
    only = named(static.made, args.only) if args.only else static.functions(args.n, args.seed)
    static.run(only)
    c = static.counts
    print(*(f"{name}: {count}" for name, count in sorted(c.items())), sep="  ")
    print(f"{static.seconds * 1e3 / max(c['functions'], 1):.2f} ms a function")
    for text, count in static.problems.most_common():
        print(f"refused: {count} x {text}")
    for text in static.differ[: None if args.verbose else 40]:
        print(f"differ: {text}")


if __name__ == "__main__":
    main()
