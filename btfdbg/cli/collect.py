"""``btfdbg collect CORE FOLDER``: what a crash kernel keeps of a crash, in a few MB.

For a kdump hook, with CORE /proc/vmcore: report.json, report.html, signature.txt and
trimmed.vmcore, a dump that btfdbg opens like the whole one; collect.json says what was
written, how long it took, and its peak of memory. Each file is whole or not there.

Owns the order and the bounds. The work is done by a process of its own: one that hangs or
wants more memory than there is costs neither what it has written nor the hook the full dump.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from btfdbg.errors import BtfdbgError, DebugInfoError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from btfdbg.program.session import Session

REPORT, PAGE, SIGNATURE, DUMP = "report.json", "report.html", "signature.txt", "trimmed.vmcore"
SUMMARY = "collect.json"
JSON_VERSION = 1

# What people look at first, and what reads little. The report's own reads are in the dump too.
COMMANDS = (
    "sys",
    "log",
    "ps",
    "ps -l",
    "bt -a",
    "foreach bt",
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
_LEFT = 0.9  # the part of free memory that the work may take
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
        for name in (REPORT, PAGE, SIGNATURE, DUMP, SUMMARY):
            # An earlier crash's must not be taken for this one's.
            for old in (name, f"{name}.part"):
                if os.path.lexists(os.path.join(args.folder, old)):
                    os.unlink(os.path.join(args.folder, old))
    except OSError as e:
        raise DebugInfoError(f"{args.folder}: {e.strerror or e}", step="collect") from e
    problems, peak = _supervised(args)
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
        "files": sizes,
        "problems": problems,
        "seconds": round(time.monotonic() - start, 3),
        "peak_kib": peak,
        "core_bytes": _size(args.core),
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
        seconds = summary["seconds"]
        print(f"{args.folder}: {listed} bytes; {seconds:.1f} s, {peak // 1024} MiB at most")
    return 1 if problems else 0


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:
        return None


def _supervised(args: argparse.Namespace) -> tuple[list[str], int]:
    """Run :func:`_work` in a child; return what went wrong, and its peak of memory in KiB."""
    import select
    import signal

    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read)
        _child(args, write)
    os.close(write)
    said = b""
    end = time.monotonic() + max(1.0, args.seconds)
    why = ""
    try:
        while True:
            ready, _, _ = select.select([read], [], [], max(0.0, end - time.monotonic()))
            piece = os.read(read, 1 << 16) if ready else b""
            said += piece
            if not ready:
                why = f"not done after {args.seconds:.0f} s"
            if not piece:
                break
    except KeyboardInterrupt:
        why = "interrupted"
    os.close(read)
    if why:
        os.kill(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    problems = [line for line in said.decode("utf-8", "replace").split("\n") if line]
    if not why and os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        why = f"the work was ended by signal {number}"
        if number == signal.SIGKILL:
            why += ": the kernel had too little memory left, perhaps"
    if why:
        problems.append(why)
    return problems, usage.ru_maxrss


def _child(args: argparse.Namespace, write: int) -> NoReturn:
    """Do the work with bounds, and write a line for each thing that went wrong."""
    status = 1

    def problem(text: str) -> None:
        os.write(write, (" ".join(text.split()) + "\n").encode("utf-8", "replace"))

    try:
        _bound_memory(args.memory)
        _work(args, problem)
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

    limit = mib << 20 if mib else int(free_memory() * _LEFT)
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


def _work(args: argparse.Namespace, problem: Callable[[str], None]) -> None:
    from btfdbg.cli.sigbus import end_with_a_message

    end_with_a_message(args.core)
    reported = False

    def reports(session: Session) -> None:
        nonlocal reported
        reported = True
        _report(session, args.folder, problem)

    if not args.no_dump:
        try:
            _trim(args, reports, problem)
        except BtfdbgError as e:
            problem(f"{DUMP}: {e}")
    if not reported:
        from btfdbg.program.open import program_from_core_dump
        from btfdbg.program.session import session

        reports(session(program_from_core_dump(args.core)))


def _trim(
    args: argparse.Namespace,
    reports: Callable[[Session], None],
    problem: Callable[[str], None],
) -> None:
    from btfdbg.cli.trim import run_all
    from btfdbg.trim import trim

    failed: list[str] = []
    commands = run_all((*COMMANDS, *args.commands), failed, set(args.commands))

    def exercise(session: Session) -> None:
        reports(session)  # first: it is worth more than the dump
        commands(session)

    result = trim(args.core, os.path.join(args.folder, DUMP), exercise)
    for line in (*failed, *result.problems):
        problem(f"{DUMP}: {line}")


def _report(session: Session, folder: str, problem: Callable[[str], None]) -> None:
    """Write the report in its forms; one that cannot be written costs no other."""
    import json

    from btfdbg.commands.reads import watch
    from btfdbg.report.as_json import as_dict
    from btfdbg.report.log_report import printable_lines, title_lines
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
