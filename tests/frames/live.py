"""Arguments of every task's stack against what DWARF says, for one dump.

``python -m tests.frames.live DUMP VMLINUX [MODULES] [--btf FILE] [--entry] [-v]``

Truth is drgn with the kernel's debug files: the value that DWARF gives for a parameter where
the frame is now. Ours is the value at the function's entry, so a parameter that the code
changes may differ rightly. Why each differing one does is told by what does not depend on us, in
this order:

* the caller's call site, by DWARF, passed ours: it is the value at the entry;
* it passed DWARF's value, or a third one: OURS IS WRONG;
* no call site says it: in the place that DWARF names for the parameter the code has something else
  by now (``tests.frames.made_up``);
* none of these: NOT EXPLAINED.

``--entry`` holds all that we give, what DWARF's locals lack included, against the callers' call
sites. With ``--btf`` the BTF is another encoder's than the dump's (``pahole
--btf_encode_detached`` of VMLINUX).
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

import drgn

import btfdbg
from btfdbg.frames.arguments import Argument, objects_of, recovery, walk
from btfdbg.frames.recover import Recovery
from btfdbg.frames.walked import Found, Walked
from btfdbg.program.attach import Options
from btfdbg.program.session import Session
from btfdbg.vmcore.open import open_core
from tests.frames.dwarf import Dwarf, NotTold, Trace
from tests.frames.made_up import MadeUp
from tests.frames.truth import bits_of, tasks, with_dwarf

WRONG = "OURS IS WRONG"
NOT_EXPLAINED = "NOT EXPLAINED"


def theirs(frame: drgn.StackFrame, argument: Argument) -> bytes | None:
    """What DWARF gives for a parameter."""
    try:
        if argument.name not in frame.locals():
            return None
        value = bits_of(frame[argument.name])
    except Exception:  # drgn's for a DWARF operation that it does not know is bare
        return None
    if value is None:
        return None
    size = drgn.sizeof(argument.type)
    return value if len(value) == size else None


def place_of(frame: drgn.StackFrame) -> str:
    """Function and offset of a frame."""
    try:
        return f"{frame.name}+{frame.pc - frame.symbol().address:#x}"
    except LookupError:
        return f"{frame.pc:#x}"


class Comparison:
    """
    Counts of one dump.

    :ivar differ: Each differing pair with its values and why.
    :ivar whys: Why pairs differ.
    :ivar wrong: Pairs that only we give whose call site says another value.
    """

    def __init__(self, made: Recovery, truth: drgn.Program, vmlinux: Path, entry: bool) -> None:
        self.made = made
        self.dwarf = Dwarf(truth, vmlinux)
        self.world = MadeUp(truth, made)
        self.entry = entry
        self.counts: Counter[str] = Counter()
        self.differ: Counter[str] = Counter()
        self.whys: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        self.neither: Counter[str] = Counter()
        self.without: Counter[str] = Counter()
        self.seconds = 0.0

    def frame(
        self,
        own: drgn.StackFrame,
        theirs_: tuple[Trace, int] | None,
        args: tuple[Argument, ...],
        walked: Walked | None,
    ) -> None:
        """
        Compare one frame.

        :param theirs_: DWARF's frames and which of them it is.
        """
        self.counts["frames"] += 1
        if not args:
            self.without[own.name or "?"] += 1
        for number, argument in enumerate(args):
            ours = None if argument.value is None else bits_of(argument.value)
            frame = None if theirs_ is None else theirs_[0][theirs_[1]]
            dwarf = None if frame is None else theirs(frame, argument)
            self.counts["pairs"] += 1
            self.counts["dwarf"] += dwarf is not None
            self.counts["ours"] += ours is not None
            where = f"{place_of(own)} {argument.name}"
            found = None if walked is None else walked.params[number]
            if ours is not None and self.entry and theirs_ is not None and found is not None:
                self.at_entry(where, theirs_, found, ours, argument.source)
            if ours is not None and dwarf is not None:
                same = ours == dwarf
                self.counts["agree" if same else "DIFFER"] += 1
                if not same:
                    why = self.why(theirs_, walked, found, ours, dwarf)
                    self.whys[why.split(" (DWARF")[0]] += 1
                    said = f"{where}: ours {ours[::-1].hex()} ({argument.source})"
                    self.differ[f"{said}, DWARF {dwarf[::-1].hex()}: {why}"] += 1
            elif dwarf is not None:
                self.missed[f"{where}: {argument.why}"] += 1
            elif ours is None:
                self.neither[f"{where}: {argument.why}"] += 1
            else:
                self.counts["ours only"] += 1

    def passed(self, theirs_: tuple[Trace, int], found: Found) -> bytes | None:
        """What the caller's call site passed, by DWARF; None if it does not say it."""
        param = found.param
        if len(param.registers) != 1 or param.size > 8:
            return None
        try:
            number = self.dwarf.passed(*theirs_, param.registers[0])
        except NotTold:
            return None
        return number.to_bytes(8, "little")[: param.size]

    def at_entry(
        self, where: str, theirs_: tuple[Trace, int], found: Found, ours: bytes, source: str
    ) -> None:
        """Hold a value of ours against the caller's call site."""
        passed = self.passed(theirs_, found)
        if passed is None:
            return
        self.counts["call sites"] += 1
        if passed != ours:
            self.counts["call sites DIFFER"] += 1
            said = f"{where}: ours {ours[::-1].hex()} ({source})"
            self.wrong[f"{said}, call site {passed[::-1].hex()}"] += 1

    def why(
        self,
        theirs_: tuple[Trace, int] | None,
        walked: Walked | None,
        found: Found | None,
        ours: bytes,
        dwarf: bytes,
    ) -> str:
        """Why a pair differs."""
        if theirs_ is None or walked is None or found is None:
            return NOT_EXPLAINED
        passed = self.passed(theirs_, found)
        if passed is not None:
            if passed == ours:
                return "its caller's call site passed ours"
            return f"{WRONG}: its caller's call site passed {passed[::-1].hex()}"
        flow = walked.flow
        at = walked.raw.pc if walked.call is None else walked.call.address
        state = None if flow is None else flow.before(at)
        if state is None:
            return NOT_EXPLAINED
        asked = walked.raw.pc if walked.raw.interrupted else walked.raw.pc - 1
        why = self.world.why(asked, state, found.param) or NOT_EXPLAINED
        places = self.dwarf.places(asked, found.param.name)
        return why if places is None else f"{why} (DWARF: {places[1]}; at the entry {places[0]})"

    def task(self, session: Session, own: drgn.Object, truth: drgn.Object) -> None:
        """Compare one task's stack."""
        try:
            trace = session.prog.stack_trace(own)
            dwarf = [f for f in truth.prog_.stack_trace(truth) if not f.is_inline]
            whole = tuple(dwarf)
        except (ValueError, drgn.FaultError):
            return
        start = time.process_time()
        walked = walk(recovery(session), trace)
        every = [objects_of(session, frame) for frame in walked]
        self.seconds += time.process_time() - start
        self.counts["stacks"] += 1
        ahead = 0  # frames that only DWARF has, up to here
        for number, (frame, args) in enumerate(zip(trace, every, strict=True)):
            there = [f.pc for f in dwarf[number + ahead : number + ahead + 2]]
            if len(there) == 2 and there[0] != frame.pc == there[1]:
                # arm64: the caller of a leaf, which frame pointers do not tell.
                inner = walked[number - 1] if number else None
                caller = None if inner is None else inner.left_out
                there_ = number + ahead
                args_ = objects_of(session, caller)
                self.frame(dwarf[there_], (whole, there_), args_, caller)
                self.counts["of these ours"] += caller is not None
                ahead += 1
                there = there[1:]
                self.counts["frames that only DWARF has"] += 1
            other = (whole, number + ahead) if there else None
            if there and there[0] != frame.pc:
                dwarf = []
                other = None
                self.counts["stacks that differ"] += 1
            self.frame(frame, other, args, walked[number])


def compare(
    dump: Path,
    vmlinux: Path,
    modules: Path | None,
    btf: Path | None = None,
    entry: bool = False,
) -> Comparison:
    """Compare all tasks of a dump."""
    truth = with_dwarf(dump, vmlinux, modules)
    prog, info = open_core(dump)
    session = btfdbg.attach(prog, Options(btf=btf), info)
    found = Comparison(recovery(session), truth, vmlinux, entry)
    for task in tasks(prog):
        there = drgn.Object(truth, "struct task_struct *", task.value_())
        found.task(session, task, there)
    return found


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dump", type=Path)
    parser.add_argument("vmlinux", type=Path)
    parser.add_argument("modules", type=Path, nargs="?")
    parser.add_argument("--btf", type=Path, help="take the kernel's BTF from here")
    parser.add_argument("--entry", action="store_true", help="ask the call sites of all values")
    parser.add_argument("-v", "--verbose", action="store_true")
    args = parser.parse_args()
    found = compare(args.dump, args.vmlinux, args.modules, args.btf, args.entry)
    c = found.counts
    print(*(f"{name}: {count}" for name, count in sorted(c.items())), sep="  ")
    print(
        f"given: {c['ours'] / max(c['pairs'], 1):.1%} of the parameters,"
        f" {c['agree'] / max(c['dwarf'], 1):.1%} of what DWARF gives;"
        f" {found.seconds * 1e3 / max(c['stacks'], 1):.1f} ms a stack, {found.seconds:.2f} s"
    )
    for why, count in found.whys.most_common():
        print(f"why: {count} x {why}")
    for title, counts in (
        ("differ", found.differ),
        ("entry", found.wrong),
        ("DWARF only", found.missed),
    ):
        for text, count in counts.most_common(None if args.verbose else 20):
            print(f"{title}: {count} x {text}")
    if args.verbose:
        for title, counts in (("neither", found.neither), ("no prototype", found.without)):
            for text, count in counts.most_common(40):
                print(f"{title}: {count} x {text}")


if __name__ == "__main__":
    main()
