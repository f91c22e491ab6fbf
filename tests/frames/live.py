"""Arguments of every task's stack against what DWARF says, for one dump.

``python -m tests.frames.live DUMP VMLINUX [MODULES] [--btf FILE] [-v]``

Truth is drgn with the kernel's debug files: the value that DWARF gives for a parameter where
the frame is now. Ours is the value at the function's entry, so a parameter that the code
changes may differ rightly: each difference is printed and wants an explanation. With ``--btf``
the BTF is another encoder's than the dump's (``pahole --btf_encode_detached`` of VMLINUX).
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import drgn
from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.sched import idle_task

import btfdbg
from btfdbg.frames.arguments import Argument, objects_of, recovery, walk
from btfdbg.program.attach import Options
from btfdbg.program.session import Session
from btfdbg.vmcore.open import open_core


def with_dwarf(dump: Path, vmlinux: Path, modules: Path | None) -> drgn.Program:
    """Open a dump with debug files only."""
    prog = drgn.Program()
    try:
        prog.set_core_dump(dump)
    except ValueError:  # it needs a VMCOREINFO note, and we have looked for the text in memory
        prog, _ = open_core(dump)
    try:
        prog.load_debug_info([str(vmlinux)])
    except drgn.MissingDebugInfoError:
        pass
    if modules is not None:
        loaded = {m.name for m, _ in prog.loaded_modules()}
        files = [
            p
            for p in modules.rglob("*.ko*")
            if p.name.split(".")[0].replace("-", "_") in loaded and p.suffix != ".functions"
        ]
        try:
            prog.load_debug_info([str(f) for f in dict.fromkeys(files)])
        except drgn.MissingDebugInfoError:
            pass
    return prog


def tasks(prog: drgn.Program) -> Iterator[drgn.Object]:
    """All tasks, idle ones included."""
    for cpu in for_each_online_cpu(prog):
        yield idle_task(prog, cpu)
    yield from for_each_task(prog)


def bits_of(value: drgn.Object) -> bytes | None:
    """The bytes of a value; None if DWARF does not give it whole."""
    try:
        if value.absent_:
            return None
        return bytes(value.to_bytes_())
    except (drgn.FaultError, drgn.ObjectAbsentError, ValueError, TypeError):
        return None


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
    """Counts of one dump."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.differ: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        self.neither: Counter[str] = Counter()
        self.without: Counter[str] = Counter()
        self.seconds = 0.0

    def frame(
        self, own: drgn.StackFrame, frame: drgn.StackFrame | None, args: tuple[Argument, ...]
    ) -> None:
        """Compare one frame."""
        self.counts["frames"] += 1
        if not args:
            self.without[own.name or "?"] += 1
        for argument in args:
            ours = None if argument.value is None else bits_of(argument.value)
            dwarf = None if frame is None else theirs(frame, argument)
            self.counts["pairs"] += 1
            self.counts["dwarf"] += dwarf is not None
            self.counts["ours"] += ours is not None
            where = f"{place_of(own)} {argument.name}"
            if ours is not None and dwarf is not None:
                same = ours == dwarf
                self.counts["agree" if same else "DIFFER"] += 1
                if not same:
                    said = f"{where}: ours {ours[::-1].hex()} ({argument.source})"
                    self.differ[f"{said}, DWARF {dwarf[::-1].hex()}"] += 1
            elif dwarf is not None:
                self.missed[f"{where}: {argument.why}"] += 1
            elif ours is None:
                self.neither[f"{where}: {argument.why}"] += 1
            else:
                self.counts["ours only"] += 1

    def task(self, session: Session, own: drgn.Object, truth: drgn.Object) -> None:
        """Compare one task's stack."""
        try:
            trace = session.prog.stack_trace(own)
            dwarf = [f for f in truth.prog_.stack_trace(truth) if not f.is_inline]
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
                self.frame(
                    dwarf[number + ahead], dwarf[number + ahead], objects_of(session, caller)
                )
                self.counts["of these ours"] += caller is not None
                ahead += 1
                there = there[1:]
                self.counts["frames that only DWARF has"] += 1
            other = dwarf[number + ahead] if there else None
            if other is not None and other.pc != frame.pc:
                dwarf = []
                other = None
                self.counts["stacks that differ"] += 1
            self.frame(frame, other, args)


def compare(dump: Path, vmlinux: Path, modules: Path | None, btf: Path | None = None) -> Comparison:
    """Compare all tasks of a dump."""
    truth = with_dwarf(dump, vmlinux, modules)
    prog, info = open_core(dump)
    session = btfdbg.attach(prog, Options(btf=btf), info)
    recovery(session)
    found = Comparison()
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
    parser.add_argument("-v", "--verbose", action="store_true")
    args = parser.parse_args()
    found = compare(args.dump, args.vmlinux, args.modules, args.btf)
    c = found.counts
    print(*(f"{name}: {count}" for name, count in sorted(c.items())), sep="  ")
    print(
        f"given: {c['ours'] / max(c['pairs'], 1):.1%} of the parameters,"
        f" {c['agree'] / max(c['dwarf'], 1):.1%} of what DWARF gives;"
        f" {found.seconds * 1e3 / max(c['stacks'], 1):.1f} ms a stack, {found.seconds:.2f} s"
    )
    for title, counts in (("differ", found.differ), ("DWARF only", found.missed)):
        for text, count in counts.most_common(None if args.verbose else 20):
            print(f"{title}: {count} x {text}")
    if args.verbose:
        for title, counts in (("neither", found.neither), ("no prototype", found.without)):
            for text, count in counts.most_common(40):
                print(f"{title}: {count} x {text}")


if __name__ == "__main__":
    main()
