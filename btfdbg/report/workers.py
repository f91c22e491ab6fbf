"""Read many dumps and logs at once, each within bounds; one bad file stops no other.

Owns the processes: a dump gets one of its own with a limit of time and memory, logs are
read by the dozen. A process is forked from one that has imported what all need, so a small
dump costs no start-up.

Facts: fork(2), setrlimit(2) (RLIMIT_AS bounds what a hostile dump may make us allocate).
"""

from __future__ import annotations

import json
import os
import select
import signal
import time

from btfdbg.errors import BtfdbgError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.report.crash_of import crash_of_dump, crash_of_log, from_json, to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from btfdbg.report.finding import Found
    from btfdbg.report.triage import Crash

_LOGS_AT_ONCE = 24
_LOG_SECONDS = 60.0  # for one log, of those that are read together


@dataclass(frozen=True, slots=True)
class Limits:
    """``seconds`` and ``memory`` bytes that one dump may take, and processes at a time."""

    seconds: float = 300.0
    memory: int = 8 << 30
    jobs: int = 1


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a file: a crash, or ``error`` in one line."""

    found: Found
    crash: Crash | None
    error: str = ""


class _Process:
    """A child that reads some files and writes a line of JSON for each."""

    def __init__(self, files: Sequence[Found], limits: Limits) -> None:
        self.files = list(files)
        seconds = limits.seconds if files[0].what == "dump" else _LOG_SECONDS * len(files)
        self.deadline = time.monotonic() + seconds
        self.seconds = seconds
        self._rest = b""
        self.fd, write = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(self.fd)
            _child(write, self.files, limits)
        os.close(write)

    def read(self) -> tuple[list[Result], bool]:
        """Return what has come, and whether there is an end."""
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:
            data = b""
        *lines, self._rest = (self._rest + data).split(b"\n")
        results = []
        for line in lines:
            found = self.files.pop(0)
            results.append(_result(found, line))
        return results, not data

    def end(self, why: str = "") -> list[Result]:
        """Reap the child; what it has not done is an error."""
        os.close(self.fd)
        if why:
            os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        if not self.files:
            return []
        if not why:
            why = "reading it ended with status " + str(os.waitstatus_to_exitcode(status))
            if os.WIFSIGNALED(status):
                why = f"reading it was ended by signal {os.WTERMSIG(status)}"
        return [Result(self.files[0], None, why)]


def _result(found: Found, line: bytes) -> Result:
    try:
        row = json.loads(line)
        if "error" in row:
            return Result(found, None, str(row["error"]))
        return Result(found, from_json(row))
    except ValueError as e:
        return Result(found, None, f"reading it gave no result: {e}")


def _child(write: int, files: Sequence[Found], limits: Limits) -> None:
    """Read the files and write the results; never returns."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        bound = limits.memory if hard == resource.RLIM_INFINITY else min(limits.memory, hard)
        resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        with os.fdopen(write, "wb", buffering=0) as out:
            for found in files:
                out.write(json.dumps(_read(found)).encode() + b"\n")
        status = 0
    finally:
        os._exit(status)


def _read(found: Found) -> dict[str, object]:
    try:
        crash = crash_of_dump(found.path) if found.what == "dump" else crash_of_log(found.path)
        return to_json(crash)
    except BtfdbgError as e:
        return {"error": str(e)}
    except MemoryError:
        return {"error": "it wants more memory than a file may have"}
    except Exception as e:  # one file must not stop the rest
        return {"error": f"{type(e).__name__}: {e}"}


def _batches(files: Sequence[Found]) -> list[list[Found]]:
    dumps = [[one] for one in files if one.what == "dump"]
    logs = [one for one in files if one.what == "log"]
    return dumps + [logs[i : i + _LOGS_AT_ONCE] for i in range(0, len(logs), _LOGS_AT_ONCE)]


def read_all(
    files: Sequence[Found], limits: Limits, done: Callable[[Result], None] = lambda result: None
) -> Iterator[Result]:
    """
    Read files, as they get ready.

    :param done: Called for each result before it is yielded.

    A file that takes too long, too much memory, or a process with it, gives a result with
    an error. When the iteration is left early (Ctrl-C) the processes are ended.
    """
    waiting = _batches(files)
    if any(one.what == "dump" for one in files):
        import btfdbg.program.open  # once, before the processes fork
        import btfdbg.report.dump_log
        import btfdbg.report.happened
        import btfdbg.report.sentence  # noqa: F401
    running: dict[int, _Process] = {}
    try:
        while waiting or running:
            while waiting and len(running) < max(1, limits.jobs):
                process = _Process(waiting.pop(0), limits)
                running[process.fd] = process
            ready, _, _ = select.select(list(running), [], [], 0.5)
            for fd in list(running):
                process = running[fd]
                results, ended = process.read() if fd in ready else ([], False)
                if not ended and time.monotonic() > process.deadline:
                    results += process.end(f"not done after {process.seconds:.0f} s")
                    ended = True
                elif ended:
                    results += process.end()
                if ended:
                    del running[fd]
                    rest = process.files[1:]  # the first is named in its result
                    if rest:
                        waiting.append(rest)
                for result in results:
                    done(result)
                    yield result
    finally:
        for process in running.values():
            process.end("interrupted")
