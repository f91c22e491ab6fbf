"""Run the commands over one dump in a forked child, and judge what came of it.

Owns the limits (time per command, memory, where files may be written), what of
a run is kept, and what counts as a defect:

- ``traceback``: an exception that is no ``BtfdbgError`` leaves the command line's code;
- ``internal``: a command fails with an error that only our own mistake explains;
- ``killed``, ``hang``, ``memory``: a signal; more than 10 s of CPU in one
  command; more than 500 MB;
- ``control``: a raw control character on the output;
- ``status``: a failed command that says nothing;
- ``stray``: output past ``sys.stdout``, or a file opened for writing, a process
  or connection started;
- ``wrong``: the output differs although no page that the command reads was changed.

The commands go the way the command line goes: ``cli.open_for()``, then
``execute.run_commands()``.
"""

from __future__ import annotations

import contextlib
import difflib
import faulthandler
import gc
import io
import json
import logging
import os
import re
import resource
import select
import signal
import struct
import sys
import time
import traceback
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import drgn

import btfdbg
from btfdbg.cli import main as cli
from btfdbg.cli.parser import Parser
from btfdbg.commands import execute, info
from btfdbg.commands.state import state_of
from btfdbg.commands.text import escape
from btfdbg.errors import BtfdbgError
from btfdbg.program.session import Session
from tests.patience import Patience

_FAILED_READS = re.compile(r"^[a-z ]+: \d+ reads? (?:of \d+ pages? )?failed.*$", re.MULTILINE)
OPEN, INFO = "open", "info"
COMMANDS = (
    "ps",
    "bt",
    "foreach bt",
    "mod",
    "log",
    "kmem -s",
    "mount",
    "net",
    "dev",
)

CPU_SECONDS = 10
MEMORY = 500 << 20
_LOOK_SECONDS = 2
_IDLE_LOOKS = 60
_KEPT = 4000

# C0 without newline and tab, DEL, C1.
_RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

# What Python raises for a mistake in the code that runs, not in its input.
_MISTAKES = (
    TypeError,
    AttributeError,
    AssertionError,
    IndexError,
    ZeroDivisionError,
    OverflowError,
    UnicodeError,
    UnboundLocalError,
    struct.error,
    NotImplementedError,
    StopIteration,
    RecursionError,
)
_OURS = str(Path(btfdbg.__file__).parent) + os.sep

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_REFUSED_EVENTS = (
    "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.truncate",
    "os.chmod", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect",
    "socket.bind", "shutil.", "ctypes.dlopen",
)  # fmt: skip


@dataclass(slots=True)
class Outcome:
    """
    What came of a run.

    :ivar texts: Phase to what it printed; of mutants only where it is needed.
    :ivar defects: Lines, each beginning with the kind.
    :ivar errors: How often which class of error ended a command, and where.
    :ivar changed: Phases whose output differs from the undamaged dump's.
    :ivar seconds: CPU seconds of each phase.
    :ivar peak: Bytes resident at most.
    """

    texts: dict[str, str] = field(default_factory=dict)
    defects: list[str] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    cpu: float = 0.0
    peak: int = 0


class _Watch:
    """What the audit hook may let pass; the hook itself cannot be taken back."""

    def __init__(self, allowed: Path) -> None:
        self.allowed = str(allowed) + os.sep
        self.found: list[str] = []
        self.elsewhere = ""

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            self._opened(*args)
        elif event.startswith(_REFUSED_EVENTS):
            first = args[0] if args else ""
            path = os.fsdecode(first) if isinstance(first, (str, bytes)) else ""
            if event == "ctypes.dlopen" and os.path.basename(path).startswith("libcapstone"):
                return  # the disassembler: installed along, named by no dump
            if not self._may_write(path, event):
                self.found.append(f"{event} {args!r}"[:200])

    def _opened(self, path: object, mode: object, flags: object) -> None:
        if not isinstance(flags, int) or not isinstance(path, (str, bytes)):
            return
        name = os.fsdecode(path)
        if flags & os.O_DIRECTORY and not (name + os.sep).startswith(self.allowed):
            self.elsewhere = name
        if flags & _WRITING and name != os.devnull and not self._may_write(name, "open"):
            self.found.append(f"open {name!r} {flags:#x}")

    def _may_write(self, path: str, event: str) -> bool:
        """
        Whether a path is in the folder where files may be written.

        A relative one is relative to a directory that was opened, which the
        event does not say; none may have been opened elsewhere. The working
        directory is looked at afterwards.
        """
        if path.startswith(self.allowed):
            return True
        plain = event in ("open", "os.mkdir", "os.rename", "os.remove", "os.link", "os.chmod")
        return plain and bool(path) and not os.path.isabs(path) and not self.elsewhere


class Sandbox:
    """
    Runs mutants of one dump.

    :param path: The dump; its content changes between runs, its path does not.
    :param home: The only folder where files may be written.
    """

    def __init__(self, path: Path, home: Path) -> None:
        self.path = path
        self.home = home
        self.truth: dict[str, str] = {}
        self._trace = os.memfd_create("faulthandler")
        self._stray = os.memfd_create("stray")
        self.nowhere = home.parent / "nowhere"
        self.nowhere.mkdir()
        for name in ("STATE", "CACHE", "CONFIG", "DATA"):
            os.environ[f"XDG_{name}_HOME"] = str(home / name.lower())
        os.environ["HOME"] = str(home)

    def close(self) -> None:
        """Close what the constructor opened."""
        os.close(self._trace)
        os.close(self._stray)

    def learn(self) -> Outcome:
        """Run over the undamaged dump; what it prints is the truth from now on."""
        outcome = self.run(frozenset(), keep=True)
        self.truth = outcome.texts
        return outcome

    def run(
        self,
        same: Collection[str],
        *,
        keep: bool = False,
        opened: Session | None = None,
        skip: Collection[str] = (),
    ) -> Outcome:
        """
        Run everything in a child.

        :param same: Phases that must print what they print for the undamaged dump.
        :param keep: Return all texts.
        :param opened: A Session of this process to go on from instead of opening.
        :param skip: Phases to leave out.
        """
        for fd in (self._trace, self._stray):
            os.ftruncate(fd, 0)
            os.lseek(fd, 0, os.SEEK_SET)
        reader, writer = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            _Child(self, writer, keep, opened).main(same, skip)
        os.close(writer)
        received, timed_out = _receive(reader, pid)
        os.close(reader)
        _, status, usage = os.wait4(pid, 0)
        outcome = Outcome()
        phase = "start"
        for line in received.decode("utf-8", "replace").splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "phase":
                phase = rest
            elif kind == "result":
                outcome = Outcome(**json.loads(rest))
        outcome.cpu = usage.ru_utime + usage.ru_stime
        outcome.peak = usage.ru_maxrss * 1024
        self._judge_end(outcome, phase, status, timed_out)
        return outcome

    def _judge_end(self, outcome: Outcome, phase: str, status: int, timed_out: bool) -> None:
        if status:
            trace = os.pread(self._trace, 6000, 0).decode("utf-8", "replace")
            number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            if timed_out or number == signal.SIGPROF:
                outcome.defects.append(f"hang: {phase}\n{trace}")
            elif number:
                outcome.defects.append(f"killed: {phase}: {signal.Signals(number).name}\n{trace}")
            else:
                outcome.defects.append(f"traceback: {phase}: exit {status >> 8}\n{trace}")
        elif outcome.peak > MEMORY:
            outcome.defects.append(f"memory: {outcome.peak >> 20} MiB")
        stray = os.pread(self._stray, 2000, 0).decode("utf-8", "replace")
        if stray and not status:
            outcome.defects.append(f"stray: {stray}")
        for name in os.listdir(self.nowhere):
            outcome.defects.append(f"stray: {name!r} in the working directory")
            (self.nowhere / name).unlink()


def _receive(reader: int, pid: int) -> tuple[bytes, bool]:
    """All that the child sends, and whether it had to be killed: it waits for nothing."""
    parts: list[bytes] = []
    # The child ends itself when it takes too much CPU; this is for one that takes none.
    patience = Patience(pid, float("inf"), _IDLE_LOOKS)
    while True:
        ready, _, _ = select.select([reader], [], [], _LOOK_SECONDS)
        if not ready:
            if patience.lasts():
                continue
            os.kill(pid, signal.SIGKILL)
            return b"".join(parts), True
        data = os.read(reader, 1 << 20)
        if not data:
            return b"".join(parts), False
        parts.append(data)


class _Child:
    """Everything that happens in the child."""

    def __init__(self, sandbox: Sandbox, pipe: int, keep: bool, opened: Session | None) -> None:
        self.sandbox = sandbox
        self.pipe = pipe
        self.keep = keep
        self.session = opened
        self.watch = _Watch(sandbox.home)
        self.outcome = Outcome()

    def main(self, same: Collection[str], skip: Collection[str]) -> None:
        """Run, report, leave; never returns."""
        status = 3
        try:
            self._limits()
            os.chdir(self.sandbox.nowhere)
            sys.addaudithook(self.watch.hook)
            for phase in (OPEN, INFO, *COMMANDS):
                if phase not in skip and not self._phase(phase, phase in same):
                    break
            signal.setitimer(signal.ITIMER_PROF, 0)
            self.outcome.defects += [f"stray: {w}" for w in self.watch.found]
            self._send("result " + json.dumps(_as_dict(self.outcome)))
            status = 0
        finally:
            os._exit(status)

    def _send(self, line: str) -> None:
        data = (line + "\n").encode("utf-8", "replace")
        while data:
            data = data[os.write(self.pipe, data) :]

    def _limits(self) -> None:
        trace = self.sandbox._trace
        os.dup2(self.sandbox._stray, 1)
        os.dup2(self.sandbox._stray, 2)
        faulthandler.enable(trace)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        faulthandler.register(signal.SIGPROF, trace, all_threads=False, chain=True)
        with open("/proc/self/statm") as f:
            pages, resident, *_ = map(int, f.read().split())
        room = MEMORY - resident * resource.getpagesize()
        limit = pages * resource.getpagesize() + room
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        sys.dont_write_bytecode = True

    def _phase(self, phase: str, must_be_same: bool) -> bool:
        self._send(f"phase {phase}")
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        before = time.process_time()
        go_on, text = True, None
        try:
            with _streams() as streams:
                go_on = self._run(phase)
            text = streams.text()
        except MemoryError:
            self.outcome.defects.append(f"memory: {phase}: MemoryError\n{traceback.format_exc()}")
            go_on = False
        # Whatever leaves the code that the command line calls is a defect.
        except BaseException:
            self.outcome.defects.append(f"traceback: {phase}\n{traceback.format_exc()[-_KEPT:]}")
            go_on = False
        self.outcome.seconds[phase] = round(time.process_time() - before, 4)
        if text is not None:
            self._judge(phase, text, must_be_same)
        return go_on

    def _run(self, phase: str) -> bool:
        """One phase; whether the next one makes sense."""
        if phase == OPEN:
            return self._open()
        assert self.session is not None
        if phase == INFO:
            print(escape(info.as_text(self.session)))
            return True
        state = state_of(self.session.prog)
        state.last_error = None
        status = execute.run_commands(self.session, [phase])
        if status not in (0, 1):
            self.outcome.defects.append(f"status: {phase}: {status}")
        if state.last_error is not None:
            self._error(phase, state.last_error)
        elif status:
            self._count(f"{phase}: failed without an error")
        return True

    def _open(self) -> bool:
        if self.session is None:
            args = Parser().parse_args([])
            try:
                _, self.session = cli.open_for(args, str(self.sandbox.path))
            except BtfdbgError as e:
                self._count("open: unusable")
                cli.unusable(e)
                return False
            self.session.ensure_modules()
        drgn.set_default_prog(self.session.prog)
        print(escape("\n".join(map(str, self.session.notes))))
        return True

    def _count(self, what: str) -> None:
        self.outcome.errors[what] = self.outcome.errors.get(what, 0) + 1

    def _error(self, phase: str, error: BaseException) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        last = frames[-1] if frames else None
        place = "?"
        if last is not None:
            place = f"{'/'.join(last.filename.split(os.sep)[-3:])}:{last.name}"
        self._count(f"{type(error).__name__} in {place}")
        if isinstance(error, MemoryError):
            self.outcome.defects.append(f"memory: {phase}: MemoryError\n{_full(error)}")
        ours = last is not None and last.filename.startswith(_OURS)
        if ours and (isinstance(error, _MISTAKES) or type(error) is KeyError):
            self.outcome.defects.append(f"internal: {phase}\n{_full(error)}")

    def _judge(self, phase: str, text: str, must_be_same: bool) -> None:
        raw = _RAW.search(text)
        if raw:
            around = text[max(0, raw.start() - 40) : raw.end() + 40]
            self.outcome.defects.append(f"control: {phase}: {around!r}")
        truth = self.sandbox.truth.get(phase)
        if truth is not None and text != truth:
            self.outcome.changed.append(phase)
            if must_be_same and _answer(text) != _answer(truth):
                self.outcome.defects.append(f"wrong: {phase}\n{_difference(truth, text)}")
        if self.keep:
            self.outcome.texts[phase] = text


def _answer(text: str) -> str:
    """
    What a command says but for how many reads failed.

    An earlier command may have met the same page first: ``bt`` after a ``ps`` that a changed page
    ended reads what that one did not come to.
    """
    return _FAILED_READS.sub("", text)


def _full(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-_KEPT:]


def _difference(truth: str, text: str) -> str:
    lines = difflib.unified_diff(truth.splitlines(), text.splitlines(), lineterm="", n=0)
    return "\n".join(line for line, _ in zip(lines, range(20), strict=False))[:_KEPT]


def _as_dict(outcome: Outcome) -> Mapping[str, Any]:
    return {
        "texts": outcome.texts,
        "defects": outcome.defects,
        "errors": outcome.errors,
        "changed": outcome.changed,
        "seconds": outcome.seconds,
    }


class _Streams:
    """Standard output and error as a terminal-less process has them."""

    def __init__(self) -> None:
        self.out = io.TextIOWrapper(io.BytesIO(), "utf-8", "strict", write_through=True)
        self.err = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", write_through=True)

    def text(self) -> str:
        """What was printed, errors after output."""
        parts = []
        for stream in (self.out, self.err):
            buffer = stream.buffer
            assert isinstance(buffer, io.BytesIO)
            parts.append(buffer.getvalue().decode("utf-8", "replace"))
        return "\n--- stderr\n".join(parts)


@contextlib.contextmanager
def _streams() -> Iterator[_Streams]:
    streams = _Streams()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = streams.out, streams.err
    root = logging.getLogger()
    for handler in root.handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(streams.err)
    try:
        yield streams
    finally:
        sys.stdout, sys.stderr = before


def warm_up(path: Path) -> None:
    """
    Import and cache in this process what every child needs anyway.

    A child then costs what the dump costs, not what Python's imports cost.
    """
    with _streams():
        args = Parser().parse_args([])
        _, session = cli.open_for(args, str(path))
        session.ensure_modules()
        info.as_text(session)
        execute.run_commands(session, COMMANDS)
    gc.collect()
    gc.freeze()


def open_here(path: Path) -> Session:
    """
    Open a dump in this process, for children to go on from.

    Nothing but opening may have read it: libkdumpfile and our own caches keep
    what was read, and what a mutant changes must be read again.
    """
    with _streams():
        _, session = cli.open_for(Parser().parse_args([]), str(path))
        session.ensure_modules()
        # Types that were looked up stay; what memory holds is read again.
    gc.collect()
    gc.freeze()
    return session
