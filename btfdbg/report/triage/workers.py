"""Read many dumps and logs at once, each within bounds; one bad file stops no other.

Owns the processes: a dump gets one of its own with a limit of time and memory, logs are
read by the dozen. A process is forked from one that has imported what all need, so a small
dump costs no start-up.

Facts: fork(2), setrlimit(2) (RLIMIT_AS bounds what a hostile dump may make us allocate).
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import time

from btfdbg.errors import BtfdbgError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.report.triage.crash_of import crash_of_dump, crash_of_log, from_json, to_json
from btfdbg.report.triage.finding import changed
from btfdbg.report.triage.singles import write_page

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from btfdbg.report.parts import Report
    from btfdbg.report.triage.crash import Crash
    from btfdbg.report.triage.finding import Found

_LOGS_AT_ONCE = 24
_FRESH = 60.0  # seconds after its last change in which a file may be unfinished
_LOG_SECONDS = 60.0  # for one log, of those that are read together


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What reading may take, and what it leaves.

    :ivar seconds: For one dump.
    :ivar memory: Bytes of address space for one dump, beyond what this process has.
    :ivar jobs: Processes at a time.
    :ivar pages: Folder of an index whose ``reports`` get a page for each file.
    """

    seconds: float = 300.0
    memory: int = 8 << 30
    jobs: int = 1
    pages: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """
    What became of a file.

    :ivar crash: What it tells of, or None.
    :ivar error: Why there is none, in one line.
    :ivar page_error: Why its page could not be written.
    """

    found: Found
    crash: Crash | None
    error: str = ""
    page_error: str = ""


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
        return Result(found, from_json(row), page_error=str(row.get("page_error", "")))
    except ValueError as e:
        return Result(found, None, f"reading it gave no result: {e}")


def _child(write: int, files: Sequence[Found], limits: Limits) -> None:
    """Read the files and write the results; never returns."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        # What the parent has mapped is no part of the dump's: a process that is over its bound
        # ends where its stack grows.
        bound = limits.memory + _mapped()
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        with os.fdopen(write, "wb", buffering=0) as out:
            for found in files:
                out.write(json.dumps(read_one(found, limits.pages)).encode() + b"\n")
        status = 0
    finally:
        os._exit(status)


def _mapped() -> int:
    """Bytes of address space that this process has; 0 if the system does not tell (proc(5))."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def read_one(found: Found, pages: str | None) -> dict[str, object]:
    """
    Read a file in this process.

    :param pages: As of :class:`Limits`.
    :return: A crash as JSON values, with ``page_error``; or ``error``.
    """
    failed = ""

    def page(report: Report) -> None:
        nonlocal failed
        assert pages is not None
        try:
            write_page(pages, found, report)
        except OSError as e:
            failed = e.strerror or str(e)

    read = crash_of_dump if found.what == "dump" else crash_of_log
    try:
        row = to_json(read(found.path, None if pages is None else page))
    except BtfdbgError as e:
        return {"error": str(e).removeprefix(f"{found.path}: ") + _fresh(found)}
    except MemoryError:
        return {"error": "it wants more memory than a file may have"}
    except Exception as e:  # one file must not stop the rest
        return {"error": f"{type(e).__name__}: {e}"}
    if found.what == "dump" and changed(found):
        return {"error": "it changed while it was read: still being written"}
    row["page_error"] = failed
    return row


def _fresh(found: Found) -> str:
    """Say of a file that cannot be used whether it may only be unfinished."""
    age = time.time() - found.modified_ns / 1e9
    if changed(found) or 0 <= age < _FRESH:
        return f" (written to {max(age, 0):.0f} s ago: perhaps still being written)"
    return ""


# What reading a dump imports sooner or later.
_FOR_DUMPS = (
    "btfdbg.program.open",
    "btfdbg.report.dump_log",
    "btfdbg.report.happened",
    "btfdbg.report.sentence",
    "btfdbg.frames.access",
    "btfdbg.frames.x86_64",
    "btfdbg.program.sysfs",
    "btfdbg.program.symbol_rules",
    "btfdbg.program.walks",
    "btfdbg.btf.names",
    "btfdbg.btf.sizing",
    "btfdbg.vmcore.paging.x86_64",
    "btfdbg.vmcore.paging.arm64",
    "drgn.helpers.linux",
    "drgn.commands._crash",  # with drgn's plugins; what is private may go away
    "importlib.metadata",
    "hashlib",
    "capstone",
)
_FOR_PAGES = ("btfdbg.report.as_html", "btfdbg.report.logs.log_page", "jinja2")


def warm(files: Sequence[Found], limits: Limits) -> None:
    """
    Import once, before processes fork, what all of them would import.

    For a small dump that is half of the work. What is not there is not missed: whoever
    wants it will say so.
    """
    from importlib import import_module

    wanted = _FOR_DUMPS if any(one.what == "dump" for one in files) else ()
    for name in (*wanted, *(_FOR_PAGES if limits.pages is not None else ())):
        try:
            import_module(name)
        except ImportError:
            continue
    if wanted and limits.pages is not None:
        from btfdbg.report.whole import load_checks

        load_checks()
    gc.freeze()  # a collection in a child would copy the pages it shares with this process


def batches(files: Sequence[Found], dumps: int = 1) -> list[list[Found]]:
    """
    Divide files into what is read by one process.

    :param dumps: How many dumps at most; logs go by the dozen.
    """
    sizes = {"dump": dumps, "log": _LOGS_AT_ONCE}
    out = []
    for what, size in sizes.items():
        # The largest first: then no process is left alone with a large one at the end.
        of_kind = sorted((one for one in files if one.what == what), key=lambda one: -one.size)
        out += [of_kind[i : i + size] for i in range(0, len(of_kind), size)]
    return out


def read_all(
    files: Sequence[Found], limits: Limits, done: Callable[[Result], None] = lambda result: None
) -> Iterator[Result]:
    """
    Read files, as they get ready.

    :param done: Called for each result before it is yielded.

    A file that takes too long, too much memory, or a process with it, gives a result with
    an error. When the iteration is left early (Ctrl-C) the processes are ended.
    """
    waiting = batches(files)
    warm(files, limits)
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
