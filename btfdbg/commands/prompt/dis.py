"""``dis``: instructions and what they mean: members, arguments, globals, the fault."""

from __future__ import annotations

import argparse
import re
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from drgn import FaultError
from drgn.commands import CommandError, argument

from btfdbg.commands import output, symbols
from btfdbg.commands.define import prompt_command
from btfdbg.commands.state import state_of
from btfdbg.commands.text import Fragment
from btfdbg.commands.values import address as address_of_text
from btfdbg.errors import DebugInfoError
from btfdbg.frames.ir import Refusal
from btfdbg.kallsyms.choice import is_text
from btfdbg.program import untyped
from btfdbg.program.session import Session

if TYPE_CHECKING:
    from btfdbg.frames.function import Function
    from btfdbg.frames.listing import Line, Listing
    from btfdbg.kallsyms import Sym

_MODULE = re.compile(r"\[\w+\]")
_COUNT = re.compile(r"\d{1,6}|0x[0-9a-f]{1,5}")
_NAME = re.compile(r"[A-Za-z_.][\w.$]*")
_LONGEST = 16  # bytes of an instruction
_MAX_COUNT = 100_000
_MAX_SAME = 16
_COMMENT_AT = 56
_BEFORE, _BEHIND = 10, 5  # instructions around where it happened


@prompt_command(
    name="dis",
    description="disassemble, with the members, arguments and globals that the code is about",
    long_description="""
    Disassemble a function of the kernel or of a module, or COUNT instructions from an
    address on (one, if neither a function's name nor COUNT is given); without a place, those
    around the one where it happened, in the task that ``ctx`` shows. Behind each
    instruction stands what is proven of it: the member that it accesses, what a call is
    called with, the global behind an address; values of parameters are those at the
    function's entry. ``=>`` marks where the crashed task was interrupted, ``->`` a call that
    has not returned. Needs capstone.
    """,
    arguments=(
        argument("-r", dest="reverse", action="store_true", help="from its function's start on"),
        argument("-f", dest="forward", action="store_true", help="to its function's end"),
        argument("-x", dest="hex", action="store_true", help="hexadecimal offsets (the default)"),
        argument("-d", dest="decimal", action="store_true", help="decimal offsets"),
        argument("-l", dest="lines", action="store_true", help="source lines that the dump knows"),
        argument("-s", dest="source", action="store_true", help="the source text, as ``list``"),
        argument("-u", dest="user", action="store_true", help="a user's address, of --task"),
        argument(
            "-b",
            dest="bug_bytes",
            type=int,
            default=0,
            metavar="N",
            help="bytes to skip behind each ud2 (default: 0)",
        ),
        argument("-t", "--task", help="pid or address, for -u (default: the crashed one)"),
        argument(
            "place",
            nargs="*",
            metavar="place [COUNT]",
            help="address, symbol, symbol+offset or (expression); default: where it happened",
        ),
    ),
    examples=(
        ("dis vfs_read", "a whole function"),
        ("dis vfs_read+0x10 5", "five instructions from there on"),
        ("dis -r vfs_read+0x20", "from the function's start up to there"),
        ("dis -f (prog.symbol('vfs_read').address + 32)", "any expression; to the end"),
    ),
    complete=("symbol",),
)
def dis(session: Session, args: argparse.Namespace) -> None:
    """Run the command."""
    from btfdbg.frames.listing import Listing

    around = not args.place and not args.reverse and not args.forward
    if args.place:
        place, count = _split(args.place)
    elif args.user:
        raise CommandError("required with -u: an address of the user's")
    else:
        place, count = _where_it_happened(session), None
    if args.user:
        _user(session, Listing(session), args, place, count)
        return
    whole = count is None and _NAME.fullmatch(place) is not None and not args.forward
    address = _address(session, place)
    if args.source:
        _source(session, args, place, address)
        return
    try:
        _kernel(session, args, address, count, whole or around, around=around)
    except Refusal as e:
        raise CommandError(
            f"{place}: {e}; a trimmed dump keeps the code that -x 'dis ...' reads"
        ) from None


def _split(words: list[str]) -> tuple[str, int | None]:
    """Place and count; the last of several words is a count if it is a number."""
    count = None
    # As the kernel's log has it: cf_level3+0x1a/0x40 [cf_fault].
    words = words[:1] + [word for word in words[1:] if not _MODULE.fullmatch(word)]
    if len(words) > 1 and _COUNT.fullmatch(words[-1]):
        count = min(int(words[-1], 0), _MAX_COUNT)
        words = words[:-1]
        if not count:
            raise CommandError("a count of 0 instructions")
    return " ".join(words), count


def _address(session: Session, place: str) -> int:
    if _NAME.fullmatch(place):
        found = {s.address: s for s in symbols.named(session, place) if is_text(s)}
        if len(found) > 1:
            raise CommandError(_several(place, list(found.values())))
        if not found:
            # crash cuts the ending off a name: what its bt shows is typed without it.
            changed = untyped.copies(session, place)
            found = {s.address: s for n in changed for s in symbols.named(session, n)}
            if len(found) > 1:
                raise CommandError(
                    f"{place} is there only as the compiler changed it: {', '.join(changed)}"
                )
        if found:
            return next(iter(found))
    return address_of_text(session, place)


def _several(name: str, found: list[Sym]) -> str:
    shown = [
        f"  {s.address:#x}" + (f" [{s.module}]" if s.module else "")
        for s in sorted(found, key=lambda s: s.address)[:_MAX_SAME]
    ]
    if len(found) > _MAX_SAME:
        shown.append(f"  and {len(found) - _MAX_SAME} more")
    return "\n".join(
        [f"{len(found)} functions are named {name}; say which by its address:", *shown]
    )


def _where_it_happened(session: Session) -> str:
    """The address of the instruction that the crash or hang is about; says whose it is."""
    from btfdbg.report.blame.names import canonical
    from btfdbg.report.happened import Happened
    from btfdbg.report.look import Look
    from btfdbg.report.place import WAITING, frame_of, task_of

    happened = Happened(Look(session))
    task, number = task_of(happened), frame_of(happened)
    if task is None:
        raise CommandError("no task panicked, or it cannot be told which; name a place")
    trace = happened.look.trace(task)
    did = "was"
    if happened.kind in WAITING:
        # What waits is in the scheduler: who called is what it is about.
        did = "waits"
        function = happened.signature.function
        names = [canonical(frame.name or "") for frame in trace or ()]
        number = names.index(function) if function in names else number
    if number is None or trace is None:
        raise CommandError("the stack does not reach where it happened; name a place")
    frame = trace[number]
    try:
        # Of a call that never returns, the address behind it may be in another function.
        symbol = frame.symbol()
        where = f"{symbol.name}+{frame.pc - symbol.address:#x}"
    except LookupError:
        where = f"{frame.pc:#x}"
    who = happened.look.who(task)
    output.emit(f"{who} {did} in ", ("symbol", where), ("dim", f" (frame #{number})"))
    # A call is before the address that it returns to.
    return f"{frame.pc - (0 if frame.interrupted else 1):#x}"


def _kernel(
    session: Session,
    args: argparse.Namespace,
    address: int,
    count: int | None,
    whole: bool,
    *,
    around: bool,
) -> None:
    from btfdbg.frames.listing import Listing, marks

    listing = Listing(session)
    function = listing.function(address)
    if function is None:
        if args.reverse or args.forward or whole:
            raise CommandError(f"{address:#x} is in no function of the kernel or of a module")
        lines = list(_plain(listing, address, count or 1))
    else:
        lines = _of_function(session, listing, function, args, (address, count, whole))
        _head(session, listing, function, address)
    if not lines:
        raise CommandError(f"{address:#x}: no instruction begins there")
    marked = marks(session, lines)
    if around:
        at = next((i for i, line in enumerate(lines) if line.address + line.size > address), 0)
        # Of a task that waits, and did not crash, nothing is marked yet.
        marked.setdefault(lines[at].address, "->")
        lines = lines[max(at - _BEFORE, 0) : at + _BEHIND + 1]
    _show(session, args, lines, marked, {} if function is None else _fault(session))


def _of_function(
    session: Session,
    listing: Listing,
    function: Function,
    args: argparse.Namespace,
    wanted: tuple[int, int | None, bool],
) -> list[Line]:
    address, count, whole = wanted
    try:
        return list(_chosen(args, listing.part(function, address), address, count, whole))
    except Refusal:
        # Some of it may be in the dump, even if not enough to follow what registers hold.
        if args.reverse or args.forward or whole or listing.is_missing(address):
            raise
        return list(_plain(listing, address, count or 1))


def _chosen(
    args: argparse.Namespace,
    lines: Iterable[Line],
    address: int,
    count: int | None,
    whole: bool,
) -> Iterable[Line]:
    lines = _without_bug_bytes(lines, args.bug_bytes)
    if args.reverse:
        # The instruction that the address is in is the last.
        before = (line for line in lines if line.address <= address)
        return deque(before, maxlen=count)
    if whole:
        return lines
    behind = (line for line in lines if line.address + line.size > address)
    return islice(behind, count if args.forward else count or 1)


def _without_bug_bytes(lines: Iterable[Line], skipped: int) -> Iterator[Line]:
    until = 0
    for line in lines:
        if line.address < until:
            continue
        yield line
        if skipped > 0 and line.text == "ud2":
            until = line.address + line.size + skipped


def _plain(listing: Listing, address: int, count: int) -> Iterator[Line]:
    """Code of no function: bpf programs, trampolines, what was freed after boot."""
    data = listing.read(address, min(count * _LONGEST, 1 << 20))
    if not data:
        raise CommandError(f"{address:#x}: not in the dump")
    return islice(listing.plain(data, address), count)


def _head(session: Session, listing: Listing, function: Function, address: int) -> None:
    from btfdbg.frames.sources import source_file

    file = source_file(session, address)
    module = f" [{function.module}]" if function.module else ""
    shown: list[Fragment] = [("symbol", f"{function.names[0]}{module}")]
    if file is not None:
        shown += [("name", f"  {file.file}"), ("dim", f"  ({file.evidence})")]
    output.emit(*shown)
    problem = listing.missing(function)
    if problem:
        output.emit(("dim", f"no members are named: {problem}"))


def _fault(session: Session) -> dict[int, str]:
    """The instruction that faulted, with the sentence about it."""
    from btfdbg.frames.access import faulting_access

    try:
        found = faulting_access(session, session.prog.crashed_thread().stack_trace())
    except (LookupError, ValueError, FaultError, DebugInfoError):
        return {}
    return {} if found is None else {found.pc: str(found).partition(" ")[2]}


def _show(
    session: Session,
    args: argparse.Namespace,
    lines: list[Line],
    marked: dict[int, str],
    faults: dict[int, str],
) -> None:
    width = 0
    shown = []
    for line in lines:
        where = _where(session, line.address, args.decimal)
        width = max(width, len(where))
        shown.append((line, where))
    for line, where in shown:
        if args.lines:
            _line(session, line.address)
        mark = marked.get(line.address, "")
        target = f" <{line.target}>" if line.target else ""
        room = max(_COMMENT_AT - len(line.text) - len(target), 1)
        fault = faults.get(line.address, "") if mark == "=>" else ""
        output.emit(
            ("bad", f"{mark:2}"),
            ("address", f"{line.address:#x}"),
            ("dim", f" {where + ':':{width + 1}}  "),
            line.text,
            ("symbol", target),
            ("comment", f"{' ' * room}; {line.comment}" if line.comment else ""),
        )
        if fault:
            output.emit(("bad", f"    {fault}"))


def _where(session: Session, address: int, decimal: bool) -> str:
    try:
        symbol = session.prog.symbol(address)
    except LookupError:
        return ""
    offset = address - symbol.address
    if not offset:
        return f"<{symbol.name}>"
    return f"<{symbol.name}+{offset if decimal else hex(offset)}>"


def _line(session: Session, address: int) -> None:
    from btfdbg.frames.sources import source_file

    found = source_file(session, address)
    if found is not None and found.line is not None:
        output.emit(("name", f"{found.file}: {found.line}"))


def _source(session: Session, args: argparse.Namespace, place: str, address: int) -> None:
    from btfdbg.commands.prompt.list import list_

    folder = state_of(session.prog).source
    if folder and not Path(folder).is_dir():
        raise CommandError(f"{folder} is no folder")
    list_(session, argparse.Namespace(place=[f"{address:#x}"], lines=400))


def _user(
    session: Session, listing: Listing, args: argparse.Namespace, place: str, count: int | None
) -> None:
    """Code of a process, which has no symbols here."""
    from drgn.helpers.linux.mm import access_remote_vm

    from btfdbg.commands.prompt.ctx import _task

    task = _task(session, args.task)
    if task is None:
        raise CommandError("the crashed task cannot be told; name one: dis -u -t PID ADDRESS")
    address = address_of_text(session, place)
    if not task.mm:
        raise CommandError("the task has no user memory: it is a kernel thread")
    wanted = count or 1
    data = b""
    try:
        while len(data) < wanted * _LONGEST:
            step = 4096 - (address + len(data)) % 4096
            data += access_remote_vm(task.mm, address + len(data), step)
    except (FaultError, OverflowError):
        if not data:
            raise CommandError(
                f"{address:#x}: the task's memory there is not in the dump"
            ) from None
    lines = list(islice(listing.plain(data, address), wanted))
    if not lines:
        raise CommandError(f"{address:#x}: no instruction begins there")
    _show(session, args, lines, {}, {})
