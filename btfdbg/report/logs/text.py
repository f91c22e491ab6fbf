"""Find the reports in a log: :func:`events`.

Owns the reading: which lines belong to which report. Lines are followed by who printed
them (``[T12]``, ``[C1]``) where the kernel says so, so that CPUs that print at once do
not mix. Which messages begin a report is headers.py's table, what a line says of a stack
stacklines.py's, the function to blame choice.py's.

Between reports whole chunks of text are searched for words that every header has; only
then lines are made. So a log of 100 MB takes time in proportion, and memory for a chunk.

Facts: kernel/printk, Documentation/core-api/printk-basics.rst; the order of lines in
show_regs(), __die(), print_report() and check_hung_task().
"""

from __future__ import annotations

import re

from btfdbg.lazy_dataclass import replace
from btfdbg.report.kinds import KINDS
from btfdbg.report.logs.building import Builder
from btfdbg.report.logs.headers import ALONE, FOLLOWS, NAMES, WORDS, header, next_word
from btfdbg.report.logs.lines import Line, parse_line
from btfdbg.report.logs.panics import cause_of
from btfdbg.report.logs.sections import Budget
from btfdbg.report.logs.stacklines import heading
from btfdbg.report.logs.told import TOLD_WITHIN, told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from btfdbg.report.event import Event
    from btfdbg.report.logs.headers import Header

CHUNK = 1 << 20  # characters read together
_PIECE = 1 << 14  # characters searched together
MAX_FRAMES = 500_000  # of all stacks together; then only the tops of stacks are kept
MAX_EVENTS = 10_000  # what comes after, apart from what panics, is only counted
_IDLE = 120  # lines of one caller without news for its report
_PAUSE = 60.0  # seconds without
_BACK = 10.0  # seconds by which stamps go back at a new boot only
# The first lines of a boot, the kernel's and those that journalctl puts between boots.
_BOOTS = ("Linux version ", "Booting Linux on physical CPU", "-- Boot ", "-- Reboot --")
_SHORTAGE = KINDS["page-allocation-failure"].severity
_RESUMED = 5.0  # seconds after which a report that was interrupted goes on
_CALLERS = 4096  # remembered at a time


class _Caller:
    """What one caller (a task or CPU that prints) is in the middle of."""

    __slots__ = ("idle", "interrupted", "last", "outer", "report")

    def __init__(self) -> None:
        self.report: Builder | None = None  # open: lines belong to it
        self.last: Builder | None = None  # the newest, open or not
        self.interrupted: Builder | None = None  # another CPU's report came between its lines
        self.outer: Builder | None = None  # the same, in the middle of its stack
        self.idle = 0


class Reader:
    """
    Reads a log piece by piece.

    >>> reader = Reader()
    >>> reader.feed("kernel BUG at fs/x.c:1!\\n")
    >>> [event.kind for event in reader.finish()]
    ['bug']
    """

    def __init__(self) -> None:
        self._rest = ""
        self._before = ""  # the end of what was read
        self._endless = False
        self._frames = Budget(MAX_FRAMES)
        self._number = 0
        self._callers: dict[str, _Caller] = {}
        self._reports: list[Builder] = []
        self._open = 0
        self._seen: dict[tuple[float, str, int], Builder] = {}
        self._stalled: Builder | None = None
        self._warned: Builder | None = None  # a WARNING that the line at hand began
        self._boots = 0
        self.left_out = 0  # reports beyond MAX_EVENTS

    def feed(self, text: str) -> None:
        """Read on; pieces may end anywhere."""
        if self._endless:  # what is left of a line that was too long to keep
            start = text.find("\n") + 1
            if not start:
                return
            self._endless = False
            text = text[start:]
        text = self._rest + text if self._rest else text
        end = text.rfind("\n") + 1
        self._rest = text[end:]
        if end:
            self._read(text, end)
        if len(self._rest) > CHUNK:
            rest, self._rest, self._endless = self._rest[:CHUNK], "", True
            self._read(rest + "\n", CHUNK + 1)

    def finish(self) -> list[Event]:
        """Return all events, in the order in which their first lines stand."""
        if self._rest:
            self._rest, rest = "", self._rest + "\n"
            self._read(rest, len(rest))
        for caller in self._callers.values():
            if caller.report is not None:
                caller.report.ends_log(self._number)
        self._reports.sort(key=lambda report: report.line)
        if not any(report.has_sure_frames for report in self._reports):
            for report in self._reports:
                report.trust_guesses(self._number)
        found: list[Event] = []
        for report in self._reports:
            if report.kind.id == "sysrq":
                report.detail += _why_by_hand(report, found)
            found.append(report.event())
        return _printed_once(self._reports, found)

    def _read(self, text: str, end: int) -> None:
        """Read whole lines; between reports, pieces without any header's word are passed over."""
        at = 0
        searched = 0  # up to here there is a header's word somewhere
        while at < end:
            if not self._open:
                if at >= searched:
                    searched = text.find("\n", at + _PIECE, end) + 1 or end
                    if not any(text.find(word, at, searched) >= 0 for word in WORDS):
                        self._pass_over(text, at, searched)
                        at = searched
                        continue
                hit = next_word(text, at, searched)
                start = searched if hit < 0 else text.rfind("\n", at, hit) + 1 or at
                self._pass_over(text, at, start)
                at = start
                if hit < 0:
                    continue
            stop = text.index("\n", at)
            self._number += 1
            line = parse_line(text[at:stop], self._number)
            self._line(line)
            opened = self._warned
            if opened is not None:
                self._warned = None
                opened.said = told(self._before + text[max(at - TOLD_WITHIN, 0) : at], line)
            at = stop + 1
        self._before = (self._before + text[max(end - TOLD_WITHIN, 0) : end])[-TOLD_WITHIN:]

    def _pass_over(self, text: str, at: int, end: int) -> None:
        """Count lines of no report, and whether a boot begins among them."""
        self._number += text.count("\n", at, end)
        if self._reports and any(text.find(word, at, end) >= 0 for word in _BOOTS):
            self._boots += 1

    # ---- lines ---------------------------------------------------------------------------

    def _line(self, line: Line) -> None:
        if line.text.startswith(_BOOTS):
            self._boot()
            return
        caller = self._callers.get(line.caller)
        if caller is None:
            if len(self._callers) >= _CALLERS:
                self._forget()
            caller = self._callers[line.caller] = _Caller()
        found = header(line.text)
        if found is not None and self._header(caller, line, *found):
            return
        report = caller.report
        if report is None:
            if self._stalled is not None and heading(line.text) == "cpu":
                self._guest(caller, line)
            return
        if report.seconds is not None and line.seconds is not None:
            later = line.seconds - (report.last_seconds or report.seconds)
            late = not -_BACK <= later <= _PAUSE
        else:
            late = False
        if late:
            self._close(caller)
            return
        if report.take(line):
            caller.idle = 0
            if report.done:
                self._close(caller)
                self._go_on(caller, report, line)
        else:
            caller.idle += 1
            if caller.idle > _IDLE:
                self._close(caller)

    def _header(self, caller: _Caller, line: Line, row: Header, match: re.Match[str]) -> bool:
        current = caller.report
        if current is not None and current.absorbs(row, match, line):
            caller.idle = 0
            return True
        if row.kind == "panic":
            owner = self._owner_of_panic(caller, match["detail"] or "", line)
            if owner is not None:
                owner.panic(line)
                if caller.report is not owner:
                    self._close(caller)
                    caller.report = caller.last = owner
                    self._open += 1
                return True
        if (
            row.role == FOLLOWS
            and caller.last is not None
            and caller.last.absorbs(row, match, line)
        ):
            return True
        if row.role == FOLLOWS and row.kind == "bad-access" and self._resume(caller, line):
            return caller.report is not None and caller.report.absorbs(row, match, line)
        report = Builder(row, match, line, self._frames)
        if row.kind == "warning":
            self._warned = report
        if row.role == NAMES and current is not None and current.may_be_named(report):
            current.named_by(report)
            return True
        if row.role == ALONE and current is not None:
            self._keep(report)
            return True
        if current is not None and current.panicked and report.kind.severity <= _SHORTAGE:
            # Others run on for a moment, and without callers their lines stand in between.
            self._keep(report)
            return True
        if current is not None and current.awaits_oops:
            caller.interrupted = current
        outer = None
        if current is not None and not line.caller and current.unfinished:
            report.inside = True
            outer = None if current.awaits_oops else current
        self._close(caller)
        self._add(caller, report)
        caller.outer = outer
        return True

    def _resume(self, caller: _Caller, line: Line) -> bool:
        """
        Take up a bad access that another CPU's report came between the first two lines of.

        Every ``Oops:`` line of a bad access has a line before it that says what was accessed:
        without callers it is that of the report that still waits for one.
        """
        report, caller.interrupted = caller.interrupted, None
        if report is None or (line.seconds or 0.0) - (report.seconds or 0.0) > _RESUMED:
            return False
        if caller.report is None:
            self._open += 1
        else:
            report.inside = True
        caller.report = caller.last = report
        caller.idle = 0
        return True

    def _boot(self) -> None:
        """Let nothing of what the boot before was in the middle of go on."""
        self._boots += 1
        for caller in self._callers.values():
            self._close(caller)
            caller.last = caller.interrupted = caller.outer = None
        self._stalled = None

    def _go_on(self, caller: _Caller, inner: Builder, line: Line) -> None:
        """Go on with a report in the middle of which the one began that has just ended."""
        outer, caller.outer = caller.outer, None
        if outer is None or not outer.unfinished:
            return
        if (line.seconds or 0.0) - (outer.last_seconds or 0.0) <= _RESUMED:
            outer.resume(inner)
            caller.report = outer
            caller.idle = 0
            self._open += 1

    def _owner_of_panic(self, caller: _Caller, message: str, line: Line) -> Builder | None:
        """Return the report that a panic is the end of."""
        cause = cause_of(message)
        if not cause:
            return None
        candidates = self._reports[-64:][::-1]
        if caller.last is not None and cause != "hung":
            if cause in ("oops", "killed"):
                candidates = [one for one in candidates if one.caller == line.caller]
            candidates = [caller.last, *candidates]
        owner: Builder | None = None
        for report in candidates:
            if report.may_panic(cause, line):
                owner = report
                if cause != "hung":
                    break  # of tasks that hang the first of the batch
        return owner

    def _guest(self, caller: _Caller, line: Line) -> None:
        """Let a CPU that was asked for its stack add it to the stall's report."""
        stalled = self._stalled
        assert stalled is not None
        if (line.seconds or 0.0) - (stalled.seconds or 0.0) > _PAUSE:
            self._stalled = None
            return
        caller.report = stalled
        caller.idle = 0
        self._open += 1
        stalled.take(line)

    # ---- reports -------------------------------------------------------------------------

    def _add(self, caller: _Caller, report: Builder) -> None:
        self._keep(report)
        report.boot = self._boots
        if caller.report is None:
            self._open += 1
        caller.report = caller.last = report
        caller.idle = 0
        if report.kind.id in ("rcu-stall", "soft-lockup", "hard-lockup"):
            self._stalled = report

    def _keep(self, report: Builder) -> None:
        key = (report.seconds or 0.0, report.caller, hash(report.message))
        if report.seconds and key in self._seen:
            pass  # the console printed its buffer again: read, but not kept
        else:
            if len(self._seen) < 4 * MAX_EVENTS:
                self._seen[key] = report
            if len(self._reports) < MAX_EVENTS:
                self._reports.append(report)
            else:
                self.left_out += 1
                self._reports[-1].repeats += 1

    def _close(self, caller: _Caller) -> None:
        if caller.report is not None:
            self._open -= 1
            caller.report = None

    def _forget(self) -> None:
        for name in [n for n, c in self._callers.items() if c.report is None]:
            del self._callers[name]
        if len(self._callers) >= _CALLERS:
            for name in list(self._callers)[: _CALLERS // 2]:
                self._close(self._callers.pop(name))


def _printed_once(reports: list[Builder], found: list[Event]) -> list[Event]:
    """
    Leave out what stands twice in a log without time stamps: a console's and dmesg's together.

    The kernel numbers what ends a task, ``[#1]``, older ones what has an end mark, and it panics
    once. Two of one boot that have one number and say the same of everything else are one.
    """
    first: dict[object, int] = {}
    kept: list[Event] = []
    for report, event in zip(reports, found, strict=True):
        if event.seconds is None and (report.numbers or event.panicked):
            key = (
                report.boot, frozenset(report.numbers), event.panicked, event.message, event.cpu,
                event.pid, event.comm, event.frames, event.registers, event.code,
            )  # fmt: skip
            at = first.setdefault(key, len(kept))
            if at < len(kept):
                kept[at] = replace(kept[at], repeats=kept[at].repeats + 1)
                continue
        kept.append(event)
    return kept


def _why_by_hand(report: Builder, before: list[Event]) -> str:
    """Return what a panic by hand was probably for: what last did not get on."""
    for event in reversed(before[-_REMEMBERED:]):
        if event.kind in _NO_PROGRESS and event.function is not None:
            if (report.seconds or 0.0) - (event.seconds or 0.0) > _RECENT:
                return ""
            return f", with a {event.title}"
    return ""


_NO_PROGRESS = ("hung-task", "soft-lockup", "hard-lockup", "rcu-stall", "workqueue-stall")
_RECENT = 3600.0  # seconds
_REMEMBERED = 256


def pieces(text: str) -> Iterator[str]:
    """Cut a text into pieces for :meth:`Reader.feed`."""
    for at in range(0, len(text), CHUNK):
        yield text[at : at + CHUNK]


def events(text: str | bytes) -> list[Event]:
    """
    Return what a kernel log reports, in the order of the log.

    :param text: A ``vmcore-dmesg.txt``, a serial console's or pstore's text: with or
        without time stamps, caller ids and levels, with any line ends, cut anywhere.
    :return: An event for each report; see :class:`~btfdbg.report.event.Event`. Past
        10,000 events only their number is kept (``repeats`` of the last).

    Never raises for what the text holds. Time grows with the text's length.

    >>> [event.title for event in events("divide error: 0000 [#1]\\nRIP: 0010:f+0x1/0x2\\n")]
    ['divide error in f']
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    reader = Reader()
    for piece in pieces(text):
        reader.feed(piece)
    return reader.finish()
