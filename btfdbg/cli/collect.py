"""``btfdbg collect CORE FOLDER``: what a crash kernel keeps of a crash, in a few MB.

For a kdump hook, with CORE /proc/vmcore: report.json, report.html, signature and
trimmed.vmcore, a dump that btfdbg opens like the whole one; collect.json says what was
written, how long it took, and its peak of memory. Each file is whole or not there.

Owns the order and the bounds. Each step of the work is done by a process of its own, so that
memory is free again after it; one that hangs or wants more than there is costs neither what
was written nor the hook the full dump.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from btfdbg.errors import BtfdbgError, DebugInfoError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import NoReturn

    from btfdbg.program.session import Session

REPORT, PAGE, SIGNATURE, DUMP = "report.json", "report.html", "signature", "trimmed.vmcore"
SUMMARY = "collect.json"
_NAMES = (REPORT, PAGE, SIGNATURE, DUMP, SUMMARY)
_PARTS = tuple(f"{name}.part" for name in _NAMES)
JSON_VERSION = 1

# What people look at first, and what reads little. The report's own reads are in the dump too.
# What each command leaves in memory adds up: they run in two steps.
# Those of ARGUMENTS want the most memory: the stacks alone are recorded before.
ARGUMENTS = ("bt -a", "foreach bt")
COMMANDS = (
    "sys",
    "log",
    "ps",
    "ps -l",
    "mod",
    "mount",
    "dev -d",
    "irq",
    "runq",
    "timer",
    "net",
    "swap",
    "kmem -i",
    "task",
    "files",
    "vm",
)
_MAX_SAID = 64 << 20  # bytes that a step may say: 8 for each page frame
_MEMINFO = "/proc/meminfo"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add CORE, FOLDER and the bounds."""
    parser.add_argument("core", metavar="CORE", help="/proc/vmcore, or any dump")
    parser.add_argument("folder", metavar="FOLDER", help="is made if it is not there")
    parser.add_argument(
        "--no-dump", action="store_true", help="only the report and the signature, no dump"
    )
    parser.add_argument(
        "-x",
        dest="commands",
        metavar="COMMAND",
        action="append",
        default=[],
        help="keep what this command of the prompt reads too; may be repeated",
    )
    parser.add_argument(
        "--seconds", type=float, default=600.0, metavar="N", help="for all of it (default: 600)"
    )
    parser.add_argument(
        "--memory", type=int, metavar="MIB", help="for all of it (default: most of what is free)"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing about success")


def run(args: argparse.Namespace) -> int:
    """
    Collect.

    :return: 0; 1 if something is missing; 2 if nothing could be collected.
    :raises DebugInfoError: FOLDER cannot be used.
    """
    start = time.monotonic()
    try:
        os.makedirs(args.folder, exist_ok=True)
        # An earlier crash's must not be taken for this one's.
        _unlink(args.folder, _NAMES)
        _unlink(args.folder, _PARTS)
    except OSError as e:
        raise DebugInfoError(f"{args.folder}: {e.strerror or e}", step="collect") from e
    work = Steps(args.seconds, args.memory)
    _work(args, work)
    problems = work.problems
    try:
        _unlink(args.folder, _PARTS)  # of a step that was killed while it wrote
    except OSError as e:
        problems.append(f"{args.folder}: {e.strerror or e}")
    sizes = {}
    for name in (REPORT, PAGE, SIGNATURE, DUMP):
        try:
            sizes[name] = os.stat(os.path.join(args.folder, name)).st_size
        except OSError:
            continue
    summary = {
        "format": "btfdbg collect",
        "version": JSON_VERSION,
        "core": args.core,
        "core_bytes": _size(args.core),
        "files": sizes,
        "problems": problems,
        "seconds": round(time.monotonic() - start, 3),
        "peak_kib": work.peak,
        "steps": work.done,
    }
    import json

    try:
        write_whole(os.path.join(args.folder, SUMMARY), json.dumps(summary, indent=2) + "\n")
    except OSError as e:
        problems.append(f"{SUMMARY}: {e.strerror or e}")
    os.sync()  # who called us may reset the machine next
    for problem in problems:
        print(f"btfdbg collect: {problem}", file=sys.stderr)
    if not sizes:
        return 2  # with the reason on stderr, and in collect.json
    if not args.quiet:
        listed = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
        seconds = time.monotonic() - start
        print(f"{args.folder}: {listed} bytes; {seconds:.1f} s, {work.peak // 1024} MiB at most")
    return 1 if problems else 0


def _unlink(folder: str, names: Sequence[str]) -> None:
    for name in names:
        path = os.path.join(folder, name)
        if os.path.lexists(path):
            os.unlink(path)


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:
        return None


class Steps:
    """
    Steps of the work, each in a process of its own: its memory is free again after it.

    :param seconds: For all of them.
    :param memory: MiB for each; None for what is free.
    :ivar problems: What went wrong, a line each.
    :ivar done: Name, seconds and peak of memory (VmHWM, in KiB) of each.
    """

    def __init__(self, seconds: float, memory: int | None) -> None:
        self._seconds = max(1.0, seconds)
        self._end = time.monotonic() + self._seconds
        self._memory = memory
        self.problems: list[str] = []
        self.done: list[dict[str, object]] = []
        self.peak = 0

    def run(self, name: str, work: Callable[[Callable[[str], None]], Collection[int]]) -> set[int]:
        """
        Run a step.

        :param work: Is given what takes a line about a problem, and returns page frames.
        :return: The page frames; none if it failed, which is among the problems then.
        """
        import select
        import signal
        from array import array

        start = time.monotonic()
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(read)
            _child(work, write, self._memory)
        os.close(write)
        said = bytearray()
        why = ""
        try:
            while True:
                left = max(0.0, self._end - time.monotonic())
                ready, _, _ = select.select([read], [], [], left)
                piece = os.read(read, 1 << 16) if ready else b""
                said += piece
                if not ready:
                    why = f"not done after {self._seconds:.0f} s"
                if not piece or len(said) > _MAX_SAID:
                    break
        except KeyboardInterrupt:
            why = "interrupted"
        os.close(read)
        if why:
            os.kill(pid, signal.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
        if not why and os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            why = f"the work was ended by signal {number}"
            if number == signal.SIGKILL:
                why += ": the kernel had too little memory left, perhaps"
        text, _, frames = bytes(said).partition(b"\0")
        lines = [line for line in text.decode("utf-8", "replace").split("\n") if line]
        self.problems += [f"{name}: {line}" for line in (*lines, why) if line]
        self.peak = max(self.peak, usage.ru_maxrss)
        seconds = round(time.monotonic() - start, 3)
        self.done.append({"name": name, "seconds": seconds, "peak_kib": usage.ru_maxrss})
        found = array("Q")
        found.frombytes(frames[: len(frames) // 8 * 8])
        return set(found)


def _child(
    work: Callable[[Callable[[str], None]], Collection[int]], write: int, memory: int | None
) -> NoReturn:
    """Do a step with bounds; write a line for each thing that went wrong, then page frames."""
    status = 1

    def problem(text: str) -> None:
        os.write(
            write, (" ".join(text.replace("\0", "").split()) + "\n").encode("utf-8", "replace")
        )

    try:
        import logging

        # What is said here is lines of ours; drgn's log has tracebacks.
        logging.disable(logging.CRITICAL)
        logging.raiseExceptions = False
        _bound_memory(memory)
        frames = work(problem)
        from array import array

        with os.fdopen(write, "wb", closefd=False) as out:
            out.write(b"\0" + array("Q", frames).tobytes())
        status = 0
    except MemoryError:
        problem("it wants more memory than it may have (--memory)")
    except (BtfdbgError, OSError) as e:
        problem(str(e))
    except Exception as e:  # nobody is there to read a traceback
        problem(f"{type(e).__name__}: {e}")
    finally:
        os._exit(status)


def _bound_memory(mib: int | None) -> None:
    """
    Bound what this process may allocate, and let it be the one that the kernel ends.

    Facts: setrlimit(2), RLIMIT_DATA counts private writable mappings since Linux 4.7;
    proc(5), oom_score_adj.
    """
    import resource

    limit = mib << 20 if mib else free_memory()
    if limit:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        with open("/proc/self/oom_score_adj", "w") as f:
            f.write("1000")
    except OSError:
        pass


def free_memory(path: str = _MEMINFO) -> int:
    """Return MemAvailable in bytes, 0 if it is not told."""
    try:
        with open(path) as f:
            for line in f:
                words = line.split()
                if words[:1] == ["MemAvailable:"]:
                    return int(words[1]) << 10
    except (OSError, ValueError, IndexError):
        pass
    return 0


def _work(args: argparse.Namespace, steps: Steps) -> None:
    """Run the steps; what goes wrong is among their problems."""

    def report(problem: Callable[[str], None]) -> Collection[int]:
        return _reported(args, problem)

    def needed(problem: Callable[[str], None]) -> Collection[int]:
        return _recorded(args, None, problem)

    def commands(
        lines: tuple[str, ...], asked: Sequence[str] = ()
    ) -> Callable[[Callable[[str], None]], Collection[int]]:
        def run_them(problem: Callable[[str], None]) -> Collection[int]:
            from btfdbg.cli.trim import run_all

            failed: list[str] = []
            exercise = run_all((*lines, *asked), failed, set(asked))

            def both(session: Session) -> None:
                if lines[0] == COMMANDS[0]:
                    _unwind(session)
                exercise(session)

            found = _recorded(args, both, problem)
            for line in failed:
                problem(line)
            return found

        return run_them

    frames = steps.run("report", report)  # first: it is worth more than the dump
    if args.no_dump:
        return
    always = steps.run("what any session reads", needed)
    if not always:
        return
    frames |= always
    half = len(COMMANDS) // 2
    frames |= steps.run("stacks and what commands read", commands(COMMANDS[:half]))
    frames |= steps.run("what more commands read", commands(COMMANDS[half:], args.commands))
    frames |= steps.run("arguments of frames", commands(ARGUMENTS))

    def write(problem: Callable[[str], None]) -> Collection[int]:
        from btfdbg.trim import trim

        trim(args.core, os.path.join(args.folder, DUMP), recorded=frames)
        return ()

    steps.run(DUMP, write)


def _reported(args: argparse.Namespace, problem: Callable[[str], None]) -> Collection[int]:
    """Write the report; return the page frames that it read, if there is to be a dump."""
    done = False

    def reports(session: Session) -> None:
        nonlocal done
        done = True
        _report(session, args.folder, problem)

    if not args.no_dump:
        try:
            return _recorded(args, reports, problem)
        except BtfdbgError:
            if done:
                raise
    from btfdbg.cli.sigbus import end_with_a_message
    from btfdbg.program.open import program_from_core_dump
    from btfdbg.program.session import session

    end_with_a_message(args.core)
    reports(session(program_from_core_dump(args.core)))
    return ()


def _unwind(session: Session) -> None:
    """Read every task's stack as far as it can be unwound."""
    from itertools import islice

    from drgn.helpers.linux.pid import for_each_task

    from btfdbg.report.calls import UNREADABLE
    from btfdbg.report.look import MAX_TASKS

    try:
        for task in islice(for_each_task(session.prog), MAX_TASKS):
            try:
                session.prog.stack_trace(task)
            except UNREADABLE:
                continue  # of one task; the others are recorded all the same
    except UNREADABLE:
        return  # the list of tasks ends here


def _recorded(
    args: argparse.Namespace,
    exercise: Callable[[Session], None] | None,
    problem: Callable[[str], None],
) -> Collection[int]:
    from btfdbg.cli.sigbus import end_with_a_message
    from btfdbg.trim import record

    end_with_a_message(args.core)
    frames, problems = record(args.core, exercise)
    for line in problems:
        problem(line)
    return frames


def _report(session: Session, folder: str, problem: Callable[[str], None]) -> None:
    """Write the report in its forms; one that cannot be written costs no other."""
    import json

    from btfdbg.program.watched import watch
    from btfdbg.report.as_json import as_dict
    from btfdbg.report.logs.log_report import printable_lines, title_lines
    from btfdbg.report.whole import report

    watch(session)
    found = report(session)

    def page() -> str:
        from btfdbg.report.as_html import as_html

        return as_html(found)

    forms: dict[str, Callable[[], str]] = {
        SIGNATURE: lambda: printable_lines(title_lines(found.signature)),
        REPORT: lambda: json.dumps(as_dict(found), indent=2, ensure_ascii=False),
        PAGE: page,
    }
    for name, text in forms.items():
        try:
            write_whole(os.path.join(folder, name), text() + "\n")
        except BtfdbgError as e:
            problem(f"{name}: {e}")
        except OSError as e:
            problem(f"{name}: {e.strerror or e}")


def write_whole(path: str, text: str) -> None:
    """
    Write a file beside, to the disk, and put it in its place: the machine may be reset next.

    :raises OSError: It cannot be written.
    """
    part = f"{path}.part"
    try:
        with open(part, "w", encoding="utf-8", errors="backslashreplace") as f:
            f.write(text)
            f.flush()
            os.fsync(f.fileno())
        os.replace(part, path)
    except OSError:
        if os.path.lexists(part):
            os.unlink(part)
        raise
