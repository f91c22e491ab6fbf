"""What happened: the kind, the stack that decides, the sentence, and what it rests on.

Owns the decision. Structure is the first witness (which task panicked, in which functions,
which tasks wait for what), the kernel's log the second; where they disagree the report says
so, and where one is missing the other stands alone.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from btfdbg.lazy_pattern import pattern
from btfdbg.program.watched import watch
from btfdbg.report.blame.signature import Signature, signature_of
from btfdbg.report.calls import UNREADABLE, Call
from btfdbg.report.event import Event, Frame
from btfdbg.report.kinds import FAULT, KINDS
from btfdbg.report.look import Look
from btfdbg.report.severity import main_event
from btfdbg.report.syscall import Syscall, syscall_of
from btfdbg.report.witness import FINER, Witness, witness

if TYPE_CHECKING:
    from btfdbg.frames.access import Access
    from btfdbg.program.session import Session
    from btfdbg.report.blocked import Blockage, Blocked
    from btfdbg.report.stalled import Holder
    from btfdbg.report.trouble import Trouble

_ADDRESS = pattern(
    r"(?:address:?|at(?: virtual address)?|for address)\s+(?:0x)?([0-9a-f]{8,16})\b", re.IGNORECASE
)
# Kinds whose own stack is that of another task than the one that panicked.
_WAITING = ("hung-task", "deadlock")
# An NMI that nobody claimed: the log takes it for the hardware's.
_AGREE = (("sysrq", "hardware"), ("sysrq", "panic"))
# Kinds that the panic's stack cannot show: the log has the stack of the CPU it is about.
_ELSEWHERE = ("rcu-stall", "hard-lockup", "workqueue-stall")


class Happened:
    """The decision about one dump."""

    def __init__(self, look: Look) -> None:
        self.look = look

    @functools.cached_property
    def blockage(self) -> Blockage:
        """Who waits for what; none of it is read before it is asked for."""
        from btfdbg.report.blocked import Blockage

        return Blockage(self.look)

    @functools.cached_property
    def stack(self) -> tuple[Call, ...]:
        """The stack of the task that panicked."""
        task = self.look.panic_task
        return () if task is None else self.look.stack(task)

    @functools.cached_property
    def event(self) -> Event | None:
        """What the log says the crash was about."""
        event = main_event(self.look.events)
        if event is None or self.look.panic_cpu is not None or event.panicked:
            return event
        # The kernel lived on after it.
        return None

    @functools.cached_property
    def witness(self) -> Witness | None:
        """What the panic's stack says."""
        # The innermost frame of all may count as interrupted, by what stopped its CPU.
        trapped = next((call.name for call in self.stack[1:] if call.interrupted), "")
        row = witness([call.name for call in self.stack], trapped)
        if row is not None and row.kind == "no-init":
            task = self.look.panic_task
            if task is None or int(task.tgid) != 1:
                return None
        return row

    @functools.cached_property
    def kind(self) -> str:
        """A key of :data:`btfdbg.report.kinds.KINDS`."""
        look, event, row = self.look, self.event, self.witness
        if look.panic_cpu is None and event is None:
            return "snapshot"
        kind = "panic" if event is None else event.kind
        if row is not None:
            if event is None or (event.kind != row.kind and event.kind not in self._finer(row)):
                kind = row.kind
                if event is not None and (kind, event.kind) not in _AGREE:
                    look.doubts.add(
                        f"the panic's stack says {KINDS[kind].words} ({row.why}), the log"
                        f" {event.title!r}: the stack is believed"
                    )
            if event is None:
                look.doubts.add("the log holds no report of it: this rests on the panic's stack")
        elif event is not None and not self._stack_fits(event):
            look.doubts.add("the panic's stack does not show it: this rests on the kernel's log")
        elif event is None:
            look.doubts.add("neither the panic's stack nor the log says why")
        if kind == "hung-task" and self.blockage.cycles:
            return "deadlock"
        return kind

    @staticmethod
    def _finer(row: Witness) -> frozenset[str]:
        return FINER.get(row.kind, frozenset())

    def _stack_fits(self, event: Event) -> bool:
        """Whether the log's innermost function is on the panic's stack."""
        names = {call.name.partition(".")[0] for call in self.stack}
        return any(frame.name.partition(".")[0] in names for frame in event.frames[:3])

    @functools.cached_property
    def calls(self) -> tuple[Call, ...]:
        """The stack that decides, as far as the dump itself has it."""
        if self.kind in _WAITING:
            waiting = self.waiting
            return waiting.stack if waiting is not None else ()
        if self.culprit is not None and self.culprit.task is not None:
            from btfdbg.report.stalled import own_calls

            return own_calls(self.look, self.culprit.task)
        row, calls = self.witness, self.stack
        if row is None:
            return calls
        at = next((i for i, call in enumerate(calls) if witness([call.name]) is row), 0)
        if not row.cut:
            return calls[at:]  # what it called on the way to panic() tells nothing
        after = next((i for i in range(at + 1, len(calls)) if calls[i].interrupted), None)
        # Where the interrupted frame is no code (a call through a bad pointer), the unwinder
        # ends before it, and what is left is the handler's.
        return () if after is None else calls[after:]

    @functools.cached_property
    def waiting(self) -> Blocked | None:
        """The task that a hang or deadlock is about."""
        blockage = self.blockage
        if blockage.cycles:
            return min(blockage.cycles[0], key=lambda one: one.task.comm)
        if not blockage.groups:
            return None
        by_lock: dict[tuple[object, ...], list[Blocked]] = {}
        for one in blockage.tasks:
            by_lock.setdefault(one.what, []).append(one)
        return max(by_lock.values(), key=lambda m: (len(m), m[0].seconds or 0))[0]

    @functools.cached_property
    def culprit(self) -> Holder | None:
        """Who a stall is about, if another CPU noticed it and panicked."""
        if self.kind not in _ELSEWHERE:
            return None
        from btfdbg.report.stalled import culprit

        return culprit(self)

    @functools.cached_property
    def frames(self) -> tuple[Frame, ...]:
        """The frames that the signature is made from."""
        event = self.event
        told = event if event is not None and event.kind == self.kind in _ELSEWHERE else None
        if told is not None and (told.function is not None or self.culprit is None):
            return told.frames
        frames = [call.frame() for call in self.calls if call.name]
        if frames and self.calls[0].name and KINDS[self.kind].choice == FAULT:
            frames[0] = self.calls[0].frame("pc")
        if not frames and event is not None:
            return event.frames
        return tuple(frames)

    @functools.cached_property
    def signature(self) -> Signature:
        """What the crash is called."""
        return signature_of(self.kind, self.frames, self.detail)

    @property
    def detail(self) -> str:
        """A class of defect for kinds that have some; for a panic by hand how, and why."""
        event = self.event
        if self.kind == "sysrq":
            how = self.witness.detail if self.witness is not None else ""
            logged = event.detail if event is not None and event.kind == "sysrq" else ""
            if self.trouble is not None:
                how = how or logged.partition(", ")[0]
                return f"{how}, with a {self.trouble.title}" if how else self.trouble.title
            return logged or how
        return event.detail if event is not None and event.kind == self.kind else ""

    @functools.cached_property
    def trouble(self) -> Trouble | None:
        """What else was wrong, for a panic by hand."""
        if self.kind != "sysrq":
            return None
        from btfdbg.report.trouble import trouble_of

        return trouble_of(self)

    @functools.cached_property
    def syscall(self) -> Syscall | None:
        """The system call that the panic came in."""
        task = self.look.panic_task
        return None if task is None else syscall_of(self.look, task)

    @functools.cached_property
    def address(self) -> int | None:
        """The address whose access faulted, as the log has it."""
        event = self.event
        if event is None or KINDS[self.kind].choice != FAULT:
            return None
        match = _ADDRESS.search(event.message)
        return int(match[1], 16) if match else None

    @functools.cached_property
    def access(self) -> Access | None:
        """The access that faulted, as the code shows it."""
        task = self.look.panic_task
        if task is None or KINDS[self.kind].choice != FAULT:
            return None
        trace = self.look.trace(task)
        if trace is None:
            return None
        try:
            from btfdbg.frames.access import faulting_access

            return faulting_access(self.look.session, trace, self.address)
        except UNREADABLE as e:
            self.look.doubts.add(f"the faulting instruction cannot be explained: {e}")
            return None


class DecidedLook(Look):
    """
    A look at a dump whose decision is made: what checks are given.

    :ivar happened: The decision.
    """

    happened: Happened

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        watch(session)
