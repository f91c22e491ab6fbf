"""A report's view of a dump: tasks, stacks and the log, each read once.

Owns reading what several checks share, and what may go wrong with it. Judges nothing.

Facts: ``kernel/panic.c`` (panic_cpu, PANIC_CPU_INVALID is -1), ``include/linux/sched.h``
(states), drgn 0.3 stack traces: ``StackFrame.interrupted`` marks the frame that an
exception or interrupt came in.
"""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING

import drgn

from btfdbg.patches.install import follow_imports
from btfdbg.program.thread_size import stack_freed
from btfdbg.report.calls import (
    MAX_FRAMES,
    UNREADABLE,
    Call,
    Who,
    stack_pointers,
    thread_size,
)
from btfdbg.report.parts import Doubts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from btfdbg.program.session import Session
    from btfdbg.report.alike import Alike
    from btfdbg.report.event import Event
    from btfdbg.report.locks import LocksRead


MAX_TASKS = 1 << 20
_CALL = 7  # bytes that a call has at most, in front of where it returns to
_PANIC_CPU_INVALID = (-1, 0xFFFFFFFF)
_LONGEST = 1e9  # seconds


class Look:
    """
    One look at one dump; see the module.

    :ivar passed_over: How many things could not be told so far.
    """

    passed_over = 0

    def __init__(self, session: Session) -> None:
        self.session = session
        self.prog = session.prog
        self.doubts = Doubts()
        self._stacks: dict[int, tuple[Call, ...]] = {}
        self._traces: dict[int, drgn.StackTrace] = {}
        self._unwound: list[tuple[int, tuple[Call, ...], drgn.StackTrace]] = []
        self._clocks: dict[int, int] = {}
        self._anew = False  # a stack is being unwound from its middle
        # The prompt's helpers walk around damage and know which CPUs panic() stopped: every
        # door to a report asks the same ones.
        follow_imports()
        session.ensure_modules()

    def pass_over(self) -> None:
        """Remember that something that was asked for could not be told, and was left out."""
        self.passed_over += 1

    @functools.cached_property
    def machine(self) -> str:
        """The architecture as ``uname -m`` prints it."""
        from btfdbg.vmcore.platforms import machine_of

        return machine_of(self.prog.platform)

    @functools.cached_property
    def panic_cpu(self) -> int | None:
        """The CPU that panicked, ``None`` if none did or that cannot be told."""
        try:
            return panic_cpu(self.prog)
        except LookupError:
            self.doubts.add(
                "panic_cpu cannot be read: whether the kernel panicked rests on its log"
            )
            return None

    @functools.cached_property
    def panic_is_told(self) -> bool:
        """Whether the dump tells if a CPU panicked, and which."""
        try:
            panic_cpu(self.prog)
        except LookupError:
            return False
        return True

    @functools.cached_property
    def panic_task(self) -> drgn.Object | None:
        """``struct task_struct *`` of the task that panicked, if one did."""
        if self.panic_cpu is None:
            return None
        try:
            return self.prog.crashed_thread().object
        except UNREADABLE as e:
            self.doubts.add(f"the task that panicked cannot be told: {e}")
            return None

    @functools.cached_property
    def tasks(self) -> tuple[drgn.Object, ...]:
        """Every task but the idle ones, ``struct task_struct *``; drgn knows their states."""
        from drgn.helpers.linux.pid import for_each_task

        from btfdbg.patches.task_letters import know_letters

        found: list[drgn.Object] = []
        try:
            found.extend(itertools.islice(for_each_task(self.prog), MAX_TASKS))
        except UNREADABLE as e:
            self.doubts.add(f"the list of tasks ends after {len(found):,}: {e}")
        if found:
            know_letters(found[0])
        return tuple(found)

    @functools.cached_property
    def task_addresses(self) -> frozenset[int]:
        """Addresses of all tasks, those of the idle ones too."""
        known = {task.value_() for task in self.tasks}
        try:
            from drgn.helpers.linux.cpumask import for_each_possible_cpu
            from drgn.helpers.linux.sched import idle_task

            known.update(
                idle_task(self.prog, cpu).value_() for cpu in for_each_possible_cpu(self.prog)
            )
        except UNREADABLE:
            pass
        return frozenset(known)

    def who(self, task: drgn.Object) -> Who:
        """Name a task; what cannot be read of it is a question mark."""
        try:
            at, size = self._comm
            name = self.prog.read(task.value_() + at, size)
            comm = name.partition(b"\0")[0].decode("utf-8", "backslashreplace")
        except UNREADABLE:
            comm = "?"
        try:
            pid = int(task.pid)
        except UNREADABLE:
            pid = -1
        return Who(comm, pid, task.value_())

    @functools.cached_property
    def _comm(self) -> tuple[int, int]:
        """Where a task's name stands in it, and its length."""
        member = self.prog.type("struct task_struct").member("comm")
        return member.offset, drgn.sizeof(member.type)

    def waited(self, task: drgn.Object) -> float | None:
        """
        Seconds since a task last ran.

        :return: ``None`` if the kernel keeps no such count, or it is no time that can be.
        """
        try:
            from drgn.helpers.linux.sched import cpu_rq, task_cpu

            cpu = int(task_cpu(task))
            if cpu not in self._clocks:
                self._clocks[cpu] = int(cpu_rq(self.prog, cpu).clock)
            seconds = (self._clocks[cpu] - int(task.sched_info.last_arrival)) / 1e9
        except UNREADABLE:
            return None
        return seconds if 0 <= seconds < _LONGEST else None

    def trace(self, task: drgn.Object) -> drgn.StackTrace | None:
        """drgn's stack trace of a task, ``None`` if it has none here."""
        at = task.value_()
        found = self._traces.get(at)
        if found is None:
            try:
                if stack_freed(task):
                    return None
                found = self._traces[at] = self.prog.stack_trace(task)
            except UNREADABLE:
                return None
        return found

    def stack(self, task: drgn.Object) -> tuple[Call, ...]:
        """The kernel's frames of a task, innermost first; none if they cannot be unwound."""
        at = task.value_()
        calls = self._stacks.get(at)
        if calls is None:
            calls = self._calls_alike(at) if self._stacks else None
            if calls is None:
                trace = self.trace(task)
                calls = tuple(self._own_calls(task) if trace is None else self._calls(trace))
                if trace is not None:
                    self._unwound.append((at, calls, trace))
            self._stacks[at] = calls
        return calls

    def _calls_alike(self, task: int) -> tuple[Call, ...] | None:
        """The calls of a stack that is like one before, which is looked into for it only now."""
        while self._unwound:
            at, calls, trace = self._unwound.pop()
            self.alike.learn(at, calls, stack_pointers(trace))
        return self.alike.find(task)

    @functools.cached_property
    def thread_size(self) -> int:
        """
        Bytes of a kernel stack.

        :raises LookupError: nothing tells, or it is no such size.
        """
        return thread_size(self.prog)

    @functools.cached_property
    def pt_regs(self) -> drgn.Type:
        """``struct pt_regs``."""
        return self.prog.type("struct pt_regs")

    @functools.cached_property
    def locks(self) -> LocksRead:
        """What was found out about locks."""
        from btfdbg.report.locks import LocksRead

        return LocksRead()

    @functools.cached_property
    def alike(self) -> Alike:
        """Stacks that were unwound, to know others like them by."""
        from btfdbg.report.alike import Alike

        return Alike(self.prog)

    def _calls(self, trace: drgn.StackTrace) -> list[Call]:
        from btfdbg.frames.stack_end import NO_WAY, missing_at, reason

        found: list[Call] = []
        leaf: Call | None = None  # who called the frame before, if no frame is his
        missing = missing_at(self.prog, trace)
        end = MAX_FRAMES if missing is None else min(missing[0], MAX_FRAMES)
        for number, frame in enumerate(trace):
            if number >= end:
                # What the unwinder gives behind a page that is missing is made up.
                if missing is not None and reason(self.prog, missing[1]) == NO_WAY:
                    self.doubts.add("stacks that the unwind tables know no way on from end there")
                elif missing is not None:
                    self.doubts.add("stacks whose next page is not in the dump end there")
                break
            try:
                pc = frame.pc
            except LookupError:
                break
            try:
                symbol = frame.symbol()
            except LookupError:
                if found and (not frame.interrupted or self._is_user_space(frame)):
                    break  # user space, or garbage behind the end
                found.append(Call("", "", pc, 0, frame.interrupted))
                callers = self._caller(frame)
                if callers and callers[0].pc == _pc_of(trace, number + 1):
                    continue  # the unwinder knows him, and who called him
                found.extend(callers)
                found.extend(self._callers_of(frame, callers))
                break
            interrupted = self._is_interrupted(trace, number)
            call = Call(symbol.name, self.module(pc), pc, pc - symbol.address, interrupted)
            if leaf is not None and leaf.name not in (found[-1].name, call.name):
                found.append(leaf)
            found.append(call)
            leaf = self._called_leaf(trace, number) if interrupted else None
        return found

    def _own_calls(self, task: drgn.Object) -> list[Call]:
        """The kernel's frames where drgn has no unwinder and we have one: riscv64."""
        if self.machine != "riscv64":
            return []
        from btfdbg.program.unwind_riscv64 import stack

        found: list[Call] = []
        try:
            frames = stack(task)[:MAX_FRAMES]
        except UNREADABLE:
            return []
        for frame in frames:
            try:
                # A return address may be the first byte of the next function.
                symbol = self.prog.symbol(frame.pc - (not frame.interrupted))
            except LookupError:
                break  # user space, or garbage behind the end
            offset = frame.pc - symbol.address
            interrupted = frame.interrupted and bool(found)
            found.append(Call(symbol.name, self.module(frame.pc), frame.pc, offset, interrupted))
        return found

    def _called_leaf(self, trace: drgn.StackTrace, number: int) -> Call | None:
        """
        Who x30 says called an interrupted function.

        A function that calls nothing makes no frame on arm64, and frames are all that the
        unwinder goes by: it passes over who called it. In a function that did call, x30 lies
        in the function itself.
        """
        if self.machine != "aarch64":
            return None
        from btfdbg.frames.exception import registers_at

        try:
            if trace[number].interrupted:
                back = int(trace[number].register("x30"))
            else:
                back = (registers_at(self.prog, trace, number) or {})["x30"]
            symbol = self.prog.symbol(back - 4)
            code = self.prog.read_u32(back - 4)
        except UNREADABLE:
            return None
        calls = code & 0xFC000000 == 0x94000000 or code & 0xFFFFFC1F == 0xD63F0000  # BL, BLR
        if symbol.kind is not drgn.SymbolKind.FUNC or not calls:
            return None
        return Call(
            symbol.name, self.module(back), back, back - symbol.address, False, left_out=True
        )

    def _is_interrupted(self, trace: drgn.StackTrace, number: int) -> bool:
        """Whether an exception came in there; on arm64 drgn does not see all of them."""
        from btfdbg.frames.exception import registers_at

        if trace[number].interrupted:
            return True
        return self.machine == "aarch64" and registers_at(self.prog, trace, number) is not None

    def _is_user_space(self, frame: drgn.StackFrame) -> bool:
        """Whether a frame's registers are a program's: what the kernel was entered from."""
        try:
            if self.machine == "x86_64":
                return int(frame.register("cs")) & 3 == 3  # the privilege of user space
            if self.machine == "aarch64":
                return int(frame.register("pstate")) & 0xF == 0  # EL0t
        except UNREADABLE:
            pass
        return False

    def _caller(self, frame: drgn.StackFrame) -> list[Call]:
        """
        Who called what is no code: no unwind table tells, but the return address is there.

        Before the first instruction it is at the stack pointer (x86-64) or in x30 (arm64).
        """
        try:
            if self.machine == "x86_64":
                back = self.prog.read_u64(frame.sp)
            elif self.machine == "aarch64":
                back = int(frame.register("x30"))
            else:
                return []
            symbol = self.prog.symbol(back - 1)
        except UNREADABLE:
            return []
        if symbol.kind is not drgn.SymbolKind.FUNC:
            return []
        offset = back - symbol.address
        return [Call(symbol.name, self.module(back), back, offset, False)]

    def _callers_of(self, frame: drgn.StackFrame, callers: Sequence[Call]) -> list[Call]:
        """
        Who called the caller of what is no code, unwound from there.

        The instruction that faulted changed no register but the stack pointer.
        """
        if not callers or self.machine != "x86_64" or self._anew:
            return []
        try:
            if not is_behind_a_call(self.prog.read(callers[0].pc - _CALL, _CALL)):
                return []
            values = {"ip": callers[0].pc, "sp": frame.sp + 8, "cs": int(frame.register("cs"))}
            values["bp"] = int(frame.register("rbp"))
            regs = drgn.Object(self.prog, self.pt_regs, value=values)
            self._anew = True
            return self._calls(self.prog.stack_trace(regs))[1:]
        except UNREADABLE:
            return []
        finally:
            self._anew = False

    def module(self, pc: int) -> str:
        """Name of the module that an address lies in, ``""`` for the kernel itself."""
        try:
            module = self.prog.module(pc)
        except LookupError:
            return ""
        return "" if isinstance(module, drgn.MainModule) else module.name

    def symbol(self, address: int) -> str:
        """Name of the symbol that begins at or covers an address, ``""`` if none does."""
        try:
            symbol = self.prog.symbol(address)
        except LookupError:
            return ""
        offset = address - symbol.address
        return f"{symbol.name}+{offset:#x}" if offset else str(symbol.name)

    @functools.cached_property
    def events(self) -> Sequence[Event]:
        """What the kernel's log reports, in its order."""
        from btfdbg.report.dump_log import log_of_dump

        try:
            return log_of_dump(self.prog).events
        except UNREADABLE as e:
            self.doubts.add(f"the kernel's log cannot be read: {e}")
            return ()

    def has(self, need: str) -> bool:
        """Whether a type or symbol that a check needs is known."""
        try:
            if " " in need:
                self.prog.type(need)
            else:
                self.prog[need]
        except UNREADABLE:
            return False
        return True


def is_behind_a_call(code: bytes) -> bool:
    """
    Whether x86-64 code ends with a call: to an address (e8), or to what a pointer says (ff /2).

    >>> is_behind_a_call(bytes.fromhex("90909090ffd0"))
    True
    """
    if code[-5:-4] == b"\xe8":
        return True
    starts = (code[-length:] for length in (2, 3, 4, 6, 7))
    calls = ((one[1:] if one[0] & 0xF0 == 0x40 else one) for one in starts)
    return any(one[0] == 0xFF and one[1] >> 3 & 7 == 2 for one in calls if len(one) > 1)


def _pc_of(trace: drgn.StackTrace, number: int) -> int | None:
    try:
        return int(trace[number].pc)
    except (IndexError, LookupError):
        return None


def panic_cpu(prog: drgn.Program) -> int | None:
    """
    Return the number of the CPU that panicked, ``None`` if none did.

    :raises LookupError: the kernel has no such variable, or it cannot be read.
    """
    for name in ("panic_cpu", "crashing_cpu"):
        try:
            value = prog[name]
            number = int(value.counter if hasattr(value, "counter") else value)
        except UNREADABLE:
            continue
        return None if number in _PANIC_CPU_INVALID else number
    raise LookupError("panic_cpu cannot be read")
