"""One report while its lines are read: :class:`Builder`, which becomes an ``Event``.

Owns what is taken from each line of a report, and which of a report's stacks decides.
Where a report begins and ends is text.py's matter.

Facts: show_regs() and show_trace_log_lvl() of the architectures; lib/kobject.c,
lib/refcount.c, lib/debugobjects.c, mm/usercopy.c (the files that name a kind);
include/linux/poison.h.
"""

from __future__ import annotations

import re

from btfdbg.report.blame.choice import NOTHING_ELSE, choose
from btfdbg.report.blame.signature import title_of
from btfdbg.report.event import Event, Frame, access_class
from btfdbg.report.kinds import CORRECTED, FAULT, FIRST, HANG, KINDS, NOBODY, STALL
from btfdbg.report.logs.deciding import RESUMED, deciding, is_held, noticed
from btfdbg.report.logs.details import StuckPool, corrected
from btfdbg.report.logs.expression import Expression
from btfdbg.report.logs.headers import FOLLOWS, NAMES, STARTS
from btfdbg.report.logs.lines import printable
from btfdbg.report.logs.mixing import Once
from btfdbg.report.logs.panics import kind_of, may_end
from btfdbg.report.logs.registers import Dump
from btfdbg.report.logs.sections import FRAMES, Budget, Section
from btfdbg.report.logs.stacklines import (
    FUNCTION,
    arm_frames,
    frame,
    heading,
    program_counter,
    return_address,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from btfdbg.report.logs.headers import Header
    from btfdbg.report.logs.lines import Line

_SECTIONS = 64  # of one report that are kept
_BESIDE = 14  # lines between a message that names a defect and its BUG or WARNING
_PANIC_AFTER = 120.0  # seconds
_FOLLOWS_WITHIN = 60.0  # from a report's last line to a header that belongs to it
_BURST = 5.0  # between hardware's lines of one event, and between what one OOM kills
_KILLED_AFTER = 1.0  # from an oops to the end of its task
_FIRST_PAGE = 4096
_STALLS = ("soft-lockup", "hard-lockup", "rcu-stall")
_WITH_REGISTERS = ("null-dereference", "bad-access", "general-protection-fault")
_WITH_OOPS = ("null-dereference", "bad-access")  # say what and where, then "Oops: ... [#1]"

_CPU = Expression(
    r"\s*CPU: (?P<cpu>\d+) (?:UID: \d+ )?PID: (?P<pid>\d+) Comm: (?P<comm>.{1,40}?) "
    r"(?:Kdump: loaded )?(?:Not tainted|Tainted: \S.*?) +(?P<release>\d+\.\d+\S*|\S+) #"
)
_HARDWARE = Expression(r"\s*Hardware name: (?P<model>.*?)(?:, BIOS .*|/\S+, BIOS .*)?$")
_ACCESS = Expression(r"\s*(Read|Write) of size \d+ (?:at|by)")
_AT = Expression(rf".*\bat: +(?:\[<[^>]*>\] *)?(?P<bare>.*?){FUNCTION}")
_UNLOCK = Expression(rf"\s*\[<[^>]*>\] {FUNCTION}(?: \S+:\d+)?\s*$")
_ACQUIRES_WITHIN = 8  # lines from "is trying to acquire" to the lock's place
_ACQUIRES = Expression(r".*(?:trying to (?:acquire|release|contend)|\] takes:)")
# sched_show_task() of kernel/sched/core.c, since 5.12 with the names of its figures.
_TASK_LINE = Expression(r"\s*task:(?P<comm>\S.{0,40}?)\s+state:\S.*?\bpid:(?P<pid>\d+)")
_LAST_FUNCTION = Expression(r"\s*(?:last function: |preempt=.* workfn=)(?P<fn>[\w.]+)")
_ERROR_CODE = Expression(r"\s*#PF: error_code\((0x[0-9a-f]{4})\)")
_PF_MAPPED, _PF_WRITE, _PF_FETCH = 1, 2, 16  # arch/x86/include/asm/trap_pf.h
_FAILING = Expression(r"\s*Failing address: (?P<address>[0-9a-f]+)")
_CONSTRAINT = Expression(r"\s*oom-kill:constraint=(\w+)")
_STACK_IN = Expression(rf"stack-protector: .*? in: ?{FUNCTION}")

# print_oops_end_marker() of kernel/panic.c: zeros in newer kernels, a number in older
_NUMBER = Expression(r".*?(?:(\[#\d+\])|end trace (?!0{16})([0-9a-f]{16}) )")

_FORTIFY = "lib/string_helpers.c"
# The file of a BUG or WARNING, where it tells more than the message: kind, detail.
_FILES = {
    "lib/refcount.c": ("refcount", ""),
    "lib/debugobjects.c": ("odebug", ""),
    "lib/kobject.c": ("kobject", ""),
    "lib/list_debug.c": ("list-corruption", ""),
    "kernel/locking/lockdep.c": ("lockdep", "locking bug"),
    "kernel/lockdep.c": ("lockdep", "locking bug"),
    "mm/usercopy.c": ("usercopy", ""),
    _FORTIFY: ("fortify", ""),
}


class Builder:
    """A report whose lines are being read."""

    def __init__(
        self, row: Header, match: re.Match[str], line: Line, frames: Budget | None = None
    ) -> None:
        groups = match.groupdict()
        self.row = row
        self.kind = KINDS[row.kind]
        self.line = self.last_line = line.number
        self.seconds = self.last_seconds = line.seconds
        self.caller = line.caller
        self.message = line.text.strip()
        self.said = ""
        self.detail = ""
        self.file = (groups.get("file") or "").rpartition(":")[0]
        self.cpu = int(groups["cpu"]) if groups.get("cpu") else None
        self.pid = int(groups["pid"]) if groups.get("pid") else None
        self.comm = (groups.get("comm") or "").strip()
        self.release = ""
        self.hardware = ""
        self.host = line.host
        self.address = groups.get("address") or ""
        self.named: Frame | None = None  # the function that the header names
        if groups.get("fn"):
            self.named = Frame(groups["fn"], groups.get("mod") or "", True, "pc")
        self.at: Frame | None = None  # where lockdep's lock is taken
        self.sections: list[Section] = []
        self.pc: Frame | None = None
        self.bad_pc = False
        self.panicked = False
        self.done = False
        self.cut = False
        self.boot = 0  # how many boots began before it in the log
        self.numbers: set[str] = set()  # what the kernel counts reports by
        self._count(line.text)
        self._broken_off = False  # the log ends inside its stack
        self.repeats = 0
        self.guessed = False  # its stacks are what the unwinder found, not what it vouches for
        self._budget = frames or Budget(_SECTIONS * FRAMES)
        self._section: Section | None = None
        self._context = "trace"
        self._part = "task"
        self._dump = Dump()
        self._pending_pc: Frame | None = None
        self._pending_lr: Frame | None = None
        self._skip = False
        self._acquires = 0  # lines in which a lock's place may still come
        self._joined = False
        self._oopsed = False  # the line after the first was seen
        self._error_code = 0  # of an x86 page fault
        self._killed = row.kind == "out-of-memory" and row.role == FOLLOWS
        self._warned = False  # a WARNING came from inside this report
        self.holder: Frame | None = None
        self.inside = False  # another report began or ended in the middle of this one
        self.within_stack = False  # another's stack went on after it
        self._inner: Builder | None = None  # the one in the middle of this one's stack
        self._mixed = False
        self._torn = False  # another's lines came in the middle of its stack
        self._once = Once()
        self._pool = StuckPool(self.message)
        self.detail = row.detail.format_map({k: v or "" for k, v in groups.items()})
        self._corrected: bool | None = None  # of a hardware error, if its lines say
        if self.kind.id == "hardware":
            self._corrected = corrected(self.message)
        if row.kind == "panic":
            self._refine_panic(groups.get("detail") or "")

    # ---- headers inside a report ------------------------------------------------------------

    @property
    def fresh(self) -> bool:
        """Whether no stack was seen yet."""
        return not any(section.sure for section in self.sections)

    @property
    def unfinished(self) -> bool:
        """Whether more of it is to come: its stack has not begun, or has not ended."""
        return self.kind.choice != NOBODY and (self.fresh or self._section is not None)

    def absorbs(self, row: Header, match: re.Match[str], line: Line) -> bool:
        """Say whether a header's line belongs to this report, and take it if so."""
        if not self._belongs(row, match, line):
            return False
        self._count(line.text)
        groups = match.groupdict()
        if groups.get("fn") and self.named is None:
            self.named = Frame(groups["fn"], groups.get("mod") or "", True, "pc")
        if groups.get("file") and not self.file:
            self.file = groups["file"].rpartition(":")[0]
        if self.kind.id == "hardware" and self._corrected is not False:
            said = corrected(line.text)
            self._corrected = self._corrected if said is None else said
        self.address = self.address or groups.get("address") or ""
        self._oopsed = self._oopsed or row.role == FOLLOWS
        self._killed = self._killed or row.kind == "out-of-memory"
        if row.kind == "stack-overflow" and self.kind.id != "stack-overflow":
            self.kind = KINDS["stack-overflow"]
        self._touch(line)
        return True

    def _belongs(self, row: Header, match: re.Match[str], line: Line) -> bool:
        if row.kind == "panic" or line.number - self.line > 4000:
            return False
        pause = self._pause_before(line)
        if row.kind == "out-of-memory":
            # Each OOM has one head, and a kill (of memory.oom.group: several at once) after what
            # may be a long table of tasks. The head is rate limited, so kills come without it.
            mine = self.kind.id == row.kind and row.role == FOLLOWS
            return mine and (not self._killed or pause <= _BURST)
        if row.kind == self.kind.id == "hardware":
            return pause <= _BURST
        if pause > _FOLLOWS_WITHIN:
            return False
        if row is self.row and "[inline]" in self.message and not self.sections:
            self.message = line.text.strip()  # decode_stacktrace.sh: of inlined callees first
            return True
        if self.kind.id in _WITH_OOPS and row.kind in ("invalid-opcode", "divide-error", "bug"):
            return False  # the Oops line of a bad access is another one
        if self.kind.id == "sysrq":
            return row.kind in ("null-dereference", "bad-access")
        to_execute = "tried to execute" in self.message or "unable to execute" in self.message
        if to_execute and self.fresh and not self.address and row is not self.row:
            if row.kind not in ("bad-access", "null-dereference"):
                return False
            self.message = line.text.strip()  # it has the address
            return True
        beside = line.number - self.line <= _BESIDE or not self.sections
        if row.kind in ("bug", "warning", "invalid-opcode"):
            names = self.row.role == NAMES or self.kind.id == "busy-inodes"
            if names and self.fresh and beside and not self._joined:
                self._joined = row.kind != "invalid-opcode"
                return True
        if self.kind.choice == STALL and row.kind == "warning":  # the report warned itself
            pid = match.groupdict().get("pid")
            another = pid and self.pid not in (None, int(pid)) and not line.caller
            self._warned = self.fresh and line.number - self.line <= _BESIDE and not another
            # Whose it is nothing tells yet: a second CPU's lines will.
            self.inside = self.inside or (self._warned and self.pid is None and not line.caller)
            return self._warned
        if row.role == FOLLOWS:
            if row.kind == "rcu-stall":
                return row.kind == self.kind.id
            return self.fresh and (
                self.kind.choice in (FAULT, "first") or self.kind.id == "stack-overflow"
            )
        return row.kind == "trap" and self.kind.id == "double-fault" and self.fresh

    def _pause_before(self, line: Line) -> float:
        """Return the seconds since this report's last line; after a new boot, many."""
        if line.seconds is None or self.last_seconds is None:
            return 0.0
        return abs(line.seconds - self.last_seconds)

    @property
    def awaits_oops(self) -> bool:
        """Whether this is the first line of a bad access whose ``Oops:`` line is yet to come."""
        if self.row.role != STARTS or self.kind.id not in _WITH_OOPS or self._oopsed:
            return False
        return self.fresh and "[#" not in self.message

    def may_be_named(self, message: Builder) -> bool:
        """Say whether a message tells what this BUG or WARNING is about."""
        return self.kind.id in ("bug", "warning") and self.fresh

    def named_by(self, message: Builder) -> None:
        """Become what the message says."""
        self.kind = message.kind
        self.detail = message.detail
        self.message = message.message

    def _refine_panic(self, message: str) -> None:
        found_kind = kind_of(message)
        if found_kind is not None:
            self.kind, self.detail = KINDS[found_kind[0]], found_kind[1]
        found = _STACK_IN.match(message)
        if found and found["fn"]:
            self.named = Frame(found["fn"], found["mod"] or "", True, "pc")
        self.panicked = True

    def _count(self, text: str) -> None:
        """Take the number that the kernel gives to an oops, or to the end of a report."""
        found = _NUMBER.match(text) if "[#" in text or "end trace" in text else None
        if found:
            self.numbers.update(filter(None, found.groups()))

    # ---- lines --------------------------------------------------------------------------------

    def _touch(self, line: Line) -> None:
        self.last_line = line.number
        if line.seconds is not None:
            self.last_seconds = line.seconds

    def take(self, line: Line) -> bool:
        """Take what a line says; return False if it says nothing of this report."""
        text = line.text
        if not text or text.isspace():
            return False
        if self._skip:
            self._skip = False
            self._touch(line)
            return True
        if self.kind.id == "lockdep" and self._lock(text):
            self._touch(line)
            return True
        if self.kind.id in _WITH_REGISTERS:
            self._dump.take(text)
        self._once.take(text)
        taken = (
            self._frame(text) or self._heading(text) or self._register(text) or self._other(text)
        )
        if taken:
            self._touch(line)
        return taken

    def _append(self, one: Frame) -> None:
        section = self._section
        if self._inner is not None:
            self._inner.within_stack = True
        if section is None:
            if len(self.sections) >= _SECTIONS:
                return
            section = self._section = Section(self._context)
            self.sections.append(section)
            if self._pending_pc is not None:
                section.frames.append(self._pending_pc)
                section.leaf = self._pending_lr
            elif self._pending_lr is not None and self.bad_pc:
                section.frames.append(self._pending_lr)
            self._pending_pc = self._pending_lr = None
        if section.leaf is not None and one.sure and one.name != section.frames[0].name:
            if section.leaf.name not in (section.frames[0].name, one.name):
                section.frames.append(section.leaf)
            section.leaf = None
        if self._budget.room(section, len(self.sections)):
            section.frames.append(one)

    def _frame(self, text: str) -> bool:
        if " from " in text:
            pair = arm_frames(text, self._part)
            if pair is not None:
                section = self._section
                if section is None or not section.frames or section.frames[-1].name != pair[0].name:
                    self._append(pair[0])
                caller = pair[1]
                if "+0x0/" in text:  # as below: the next line has the right name
                    caller = Frame(caller.name, caller.module, False, caller.part)
                self._append(caller)
                return True
        if "+0x" not in text and ".c:" not in text and ".h:" not in text and ".S:" not in text:
            return False
        one = frame(text, self._part)
        if one is None:
            return False
        if one.sure:
            self._once.frame()
        if text.find("+0x0/") >= 0 and one.sure and self._section is not None:
            # the return address of a call that never returns: the next function's start
            one = Frame(one.name, one.module, False, one.part)
        self._append(one)
        return True

    def _heading(self, text: str) -> bool:
        name = heading(text)
        if not name:
            return False
        self._once.heading(name)
        if name == "stop":
            self._count(text)
        if name in ("irq", "nmi", "task"):
            self._part = name
        elif name == "trace":
            self._dump.close(user=False)
            self._section, self._part = None, "task"
            if self._context in ("chain", "usage", "alloc", "free", "origin", "owner"):
                self._context = "stack"
        elif name == "held":
            pass
        elif name in ("kthread", "cpu", "taskline", "locks"):
            self._section = None
            if name != "taskline" or self._context not in ("kthread", "cpu"):
                self._context = "trace" if name == "taskline" else name
                if name == "taskline" and self.kind.id == "rcu-stall" and self.pid is None:
                    self._is_about(text)
        elif name == "again":
            self._section, self._context = None, "stack"
        elif name == "regs":
            self._skip = "Last Breaking" in text or "disabled at" in text
        elif name == "stop":
            self.done = not self.fresh and self.kind.choice not in (HANG, STALL)
        elif name == "end":
            self._section = None
        else:  # alloc, free, owner, origin, chain, usage, sharp: their frames follow at once
            self._section, self._context = None, name
        return True

    def _is_about(self, text: str) -> None:
        """Take the task that RCU waits for, from the line above its stack."""
        task = _TASK_LINE.match(text)
        if task:
            self.pid, self.comm = int(task["pid"]), task["comm"]

    def _register(self, text: str) -> bool:
        found = program_counter(text)
        if found is not None:
            one, user = found
            if user:
                self._dump.close(user=True)
                if self._section is not None and self._section.frames:
                    self._section = None
                return True
            inside = self._section is not None and self._section.frames
            if not inside:
                self._once.program_counter("" if one is None else one.name)
            if one is None:
                self.bad_pc = self.bad_pc or not inside
            elif inside:
                self._append(one)
            else:
                self._pending_pc = one
                if self.pc is None:
                    self.pc = one
            return True
        back = return_address(text)
        if back is not None:
            self._pending_lr = back
            return True
        return False

    def _other(self, text: str) -> bool:
        match = _CPU.match(text)
        if match:
            self._once.process(int(match["pid"]), self.pid if self.kind.choice != STALL else None)
            if self._section is not None and self._section.frames:
                self._section = None
            if self._context not in ("kthread", "cpu", "stack", "panic"):
                self._context = "trace"
            if self._noticed(int(match["pid"])):
                pass  # the task that noticed is not the one that it is about
            elif self.pid is None or self.pid == int(match["pid"]):
                self.cpu = int(match["cpu"])
                self.pid = int(match["pid"])
                self.comm = match["comm"]
            self.release = self.release or match["release"]
            return True
        if not self.hardware and "Hardware name: " in text:
            model = _HARDWARE.match(text)
            self.hardware = model["model"].strip() if model else ""
            return True
        if self.kind.id == "kasan":
            access = _ACCESS.match(text)
            if access and not self.detail.endswith((" read", " write")):
                self.detail += f" {access[1].lower()}"
                return True
        if self.kind.id == "bad-access":
            code = _ERROR_CODE.match(text)
            if code:
                self._error_code = int(code[1], 16)
                return True
            failing = _FAILING.match(text)
            if failing:
                self.address = failing["address"]
                return True
        if self.kind.id == "workqueue-stall":
            return self._pool.take(text)
        if self.kind.id == "out-of-memory":
            constraint = _CONSTRAINT.match(text)
            if constraint:
                self.detail = constraint[1].removeprefix("CONSTRAINT_").lower()
                return True
        return False

    def _noticed(self, pid: int) -> bool:
        """Whether a panic's task only noticed that others stall: as the choice of the stack."""
        return self._context == "panic" and noticed(self, idle=pid == 0)

    def _lock(self, text: str) -> bool:
        if self.at is not None:
            held = _AT.match(text) if self.holder is None and self.fresh else None
            if held:
                self.holder = Frame(held["fn"], held["mod"] or "", True, "pc")
            return held is not None
        last = _LAST_FUNCTION.match(text)
        if last:
            self.at = Frame(last["fn"], "", True, "pc")
            return True
        if _ACQUIRES.match(text) or (is_held(self.detail) and heading(text) == "held"):
            self._acquires = _ACQUIRES_WITHIN
        elif not self._acquires:
            return False
        elif heading(text) in ("trace", "again"):  # without the place: a tool rewrote the line
            self._acquires = 0
            return False
        else:
            self._acquires -= 1
        match = _AT.match(text) or _UNLOCK.match(text)
        if match:
            self.at = Frame(match["fn"], match["mod"] or "", True, "pc")
            self._acquires = 0
        return True

    def may_panic(self, cause: str, line: Line) -> bool:
        """Say whether a panic for a cause (panics.py's names) is this report's end."""
        if self.panicked and cause != "hung":
            return False
        later = (line.seconds or 0.0) - (self.last_seconds or line.seconds or 0.0)
        if later < -_BURST:  # another boot's
            return False
        if later > (_KILLED_AFTER if cause == "killed" else _PANIC_AFTER):
            return False
        return may_end(self.kind.id, cause) or (cause == "warn" and self._warned)

    def panic(self, line: Line) -> None:
        """Take the panic that this report ended in; the lines after it are its stack."""
        self.panicked = True
        if "Not continuing" in line.text and "unknown reason" in self.message:
            self.kind, self.detail = KINDS["sysrq"], "NMI"  # sent by a person or a hypervisor
        self._touch(line)
        self._once.heading("panic")
        self._section, self._context, self._part = None, "panic", "task"
        self._pending_pc = None
        self.done = False

    # ---- a kernel whose unwinder only guesses ----------------------------------------------------

    @property
    def has_sure_frames(self) -> bool:
        """Whether the unwinder vouches for any frame of any of its stacks."""
        return any(section.sure for section in self.sections)

    def trust_guesses(self, last: int) -> None:
        """
        Take the frames that the unwinder only found on the stack for the stack.

        For a log in which it vouches for none: kernels without frame pointers and ORC mark
        all of them. Not where the log ends inside the stack: the sure ones would follow.

        :param last: The log's last line.
        """
        if self.last_line >= last:
            return
        for section in self.sections:
            if len(section.frames) > 1:
                section.frames = [
                    Frame(one.name, one.module, True, one.part) for one in section.frames
                ]
                self.guessed = True

    @property
    def _has_guesses(self) -> bool:
        """Whether a stall's own stack is there, none of whose frames is sure."""
        return self.kind.choice == STALL and any(
            one.frames and not one.sure and one.name not in ("kthread", "locks")
            for one in self.sections
        )

    @property
    def in_stack(self) -> bool:
        """Whether frames of a stack were seen whose end was not."""
        return self._section is not None and bool(self._section.frames)

    @property
    def mixed(self) -> bool:
        """Whether lines of it are another report's for sure."""
        return self._mixed or (self.inside and self._once.twice)

    def resume(self, inner: Builder) -> None:
        """
        Go on after another report's lines.

        Where that one had lines of two, they were this one's, which lacks them.

        In the middle of a stack nobody can tell whose frames come first now: the other one may
        have ended with this one's. They decide nothing.
        """
        self.inside = True
        self._mixed = self._mixed or inner.mixed
        if self.in_stack:
            self._torn = True
            self._inner = inner
            self._section, self._context = None, RESUMED

    def ends_log(self, last: int) -> None:
        """Know that the log ends while this report is read; ``last`` is its last line."""
        self.cut = True
        self._broken_off = self._section is not None and self.last_line >= last - 1

    def _rests_on_what_follows(self, frames: tuple[Frame, ...]) -> bool:
        """Whether more of the stack may name another function than what there is of it."""
        choice = choose(self.kind.id, frames)
        rule = choice.reasons[-1].rule if choice.frame is not None else ""
        if rule == NOTHING_ELSE:
            return self.kind.choice != FAULT  # what faulted is something to go by
        return rule == FIRST and self.kind.id in _STALLS

    def _is_told(self, frames: tuple[Frame, ...]) -> bool:
        """Whether the function to blame is the one that a line of its own names."""
        function = choose(self.kind.id, frames).frame
        return function is not None and function in (self.named, self.pc, self.at)

    # ---- the event ------------------------------------------------------------------------------

    def _classify(self) -> None:
        if self.kind.id not in ("bug", "warning"):
            return
        for name, (kind, detail) in _FILES.items():
            if name == _FORTIFY and self.kind.id == "warning":
                continue  # the BUG comes after it, and is what ends the task
            if self.file.endswith(name):
                self.kind = KINDS[kind]
                self.detail = detail or self.detail
                return

    def _near_null(self) -> bool:
        """Whether the address is in the first page: MIPS and LoongArch do not say so in words."""
        return bool(re.fullmatch(r"(?:0x)?[0-9a-f]{8,16}", self.address)) and (
            int(self.address, 16) < _FIRST_PAGE
        )

    def _access(self, detail: str) -> str:
        """Return the class of a bad access, the same for all architectures."""
        if detail in ("general protection fault", "non-canonical address") and not self.address:
            return "non-canonical address"
        try:
            address = int(self.address, 16) if len(self.address) > 8 else None
        except ValueError:
            address = None  # (efault), (null)
        fetch = "execute" in detail or bool(self._error_code & _PF_FETCH)
        mapped_write = self._error_code & (_PF_MAPPED | _PF_WRITE) == _PF_MAPPED | _PF_WRITE
        return access_class(address, fetch=fetch, read_only=mapped_write or "read-only" in detail)

    def event(self) -> Event:
        """Return what was read."""
        self._classify()
        if self.kind.id == "workqueue-stall" and not self.has_sure_frames:
            self.named = self._pool.work()
        mixed = self.mixed
        frames = () if mixed else tuple(deciding(self))
        broken_off = self._broken_off and self._rests_on_what_follows(frames)
        if self._torn and self._rests_on_what_follows(frames):
            mixed = True
        if self.within_stack and frames and not self._is_told(frames):
            mixed = True
        frames = () if broken_off or mixed else frames
        detail = self.detail.strip()
        if self.kind.id == "bad-access" and self._near_null():
            self.kind, detail = KINDS["null-dereference"], ""
        if self.kind.id == "bad-access":
            detail = self._access(detail)
        if self._corrected and not self.panicked:
            detail = CORRECTED
        title, function, module = title_of(self.kind.id, frames, detail)
        reason = ""
        if self.kind.choice != NOBODY:
            if not any(one.sure and one.part != "pc" for one in frames):
                reason = "the log ends before its stack" if self.cut else "no stack belongs to it"
                reason = "the unwinder only guessed its stack" if self._has_guesses else reason
                reason = "its lines and another report's are mixed" if mixed else reason
                reason = "the log ends inside its stack" if broken_off else reason
            elif self.guessed:
                reason = "the unwinder only guessed the stack"
            elif function is None:
                reason = "every function of its stack is machinery"
        return Event(
            kind=self.kind.id,
            title=title,
            function=function,
            module=module,
            detail=printable(detail),
            corrupted=bool(reason),
            line=self.line,
            reason=reason,
            last_line=self.last_line,
            seconds=self.seconds,
            caller=self.caller,
            cpu=self.cpu,
            pid=self.pid,
            comm=printable(self.comm),
            release=printable(self.release),
            hardware=printable(self.hardware),
            host=printable(self.host),
            message=printable(self.message),
            said=printable(self.said) if self.kind.id == "warning" else "",
            frames=frames,
            panicked=self.panicked,
            repeats=self.repeats,
            registers=tuple(self._dump.values.items()),
            code=self._dump.code,
        )
