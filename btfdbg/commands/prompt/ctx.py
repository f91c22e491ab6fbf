"""
``ctx``: the crash on one screen: the report's verdict, and the place where it happened.

Owns what fits a screen. What happened, to whom and where is the report's to find; another
task is shown as it stands.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import drgn
from drgn.commands import argument

from btfdbg.commands import output
from btfdbg.commands.define import prompt_command
from btfdbg.commands.text import Fragment
from btfdbg.errors import BtfdbgError
from btfdbg.lazy_pattern import pattern
from btfdbg.program import annotate
from btfdbg.program.session import Session

if TYPE_CHECKING:
    from btfdbg.report.happened import Happened

_NO_ANSWER = (
    drgn.FaultError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    NotImplementedError,  # drgn unwinds no stack of this architecture
    BtfdbgError,
)
_MAX_FRAMES = 64
_MAX_GROUPS = 4
_LINES = 20
SECTIONS = ("verdict", "panic", "task", "registers", "stack", "waiting", "log")
"""The parts that ctx may be asked for."""
_OF_A_CRASH = ("verdict", "panic", "task", "registers", "stack", "log")
_OF_A_HANG = ("verdict", "panic", "waiting", "task", "stack", "log")
_OF_A_TASK = ("panic", "task", "registers", "stack", "log")


def _code(session: Session, args: argparse.Namespace) -> str:
    if args.task is None or args.task in SECTIONS:
        return (
            "import btfdbg\n"
            "from btfdbg.report.as_text import as_text\n"
            "from btfdbg.report.whole import report\n\n\n"
            "print(as_text(report(btfdbg.session(prog), ('crash', 'blocked', 'log'))))"
        )
    return (
        "from drgn.helpers.linux.panic import panic_message\n"
        "from drgn.helpers.linux.pid import find_task\n"
        "from drgn.helpers.linux.printk import get_dmesg\n\n\n"
        "print(panic_message(prog))\n"
        f"task = find_task(prog, {args.task})\n"
        "trace = prog.stack_trace(task)\n"
        "print(trace[0].registers())\n"
        "print(trace)\n"
        f"print(*get_dmesg(prog).splitlines()[-{args.lines}:], sep='\\n')"
    )


@prompt_command(
    name="ctx",
    description="show the crash: verdict, task, registers and stack where it happened, log",
    long_description="""
    Show the crash on one screen: what happened in one sentence and what that rests
    on, the task, its registers where it happened (those of the exception, not
    panic's) with what each points to, its stack from there on, and the kernel log
    from the first report on. For a hang or a deadlock the tasks that wait, and the
    stack of one of them. Of another task show its registers, its stack and the last
    lines of the log. A part that this dump cannot give says why and does not cost
    the others.
    """,
    arguments=(
        argument(
            "task",
            nargs="?",
            help="pid or address of a task (default: the one it is about); or a part, as -s",
        ),
        argument(
            "-n", "--lines", type=int, default=_LINES, help=f"lines of the log (default: {_LINES})"
        ),
        argument("-s", "--section", choices=SECTIONS, action="append", help="only this part"),
    ),
    examples=(
        ("ctx", "the crash on one screen"),
        ("ctx -s verdict -s stack", "only two parts of it"),
        ("ctx 1 -n 3", "another task"),
    ),
    drgn_code=_code,
    complete=("part", "pid"),
)
def ctx(session: Session, args: argparse.Namespace) -> None:
    """Run the command."""
    from btfdbg.report.happened import Happened
    from btfdbg.report.look import Look
    from btfdbg.report.place import WAITING, frame_of, task_of

    if args.task in SECTIONS:
        args.section, args.task = [*(args.section or ()), args.task], None
    happened = Happened(Look(session))
    frame: int | None = 0
    usual: tuple[str, ...]
    if args.task is not None:
        task, usual = _task(session, args.task), _OF_A_TASK
    else:
        task, frame = task_of(happened), frame_of(happened)
        usual = _OF_A_HANG if happened.kind in WAITING else _OF_A_CRASH
    parts: dict[str, Callable[[], Iterator[list[Fragment]]]] = {
        "verdict": lambda: _verdict(happened),
        "panic": lambda: _panic(session, causes=args.task is not None),
        "task": lambda: _task_lines(session, task),
        "registers": lambda: _registers(session, task, frame),
        "stack": lambda: _stack(session, task, frame or 0, stopped=happened.culprit is not None),
        "waiting": lambda: _waiting(happened),
        "log": lambda: (
            _log(session, args.lines) if args.task is not None else _told(happened, args.lines)
        ),
    }
    for name in args.section or usual:
        output.emit(("heading", f"{name.upper()}"))
        try:
            for line in parts[name]():
                output.emit("  ", *line)
        except _NO_ANSWER as e:
            from btfdbg.commands.failure import describe

            output.emit("  ", ("error", describe(e)))


def _verdict(happened: Happened) -> Iterator[list[Fragment]]:
    from btfdbg.report.sentence import evidence, verdict

    yield [("bad", verdict(happened))]
    for sentence in evidence(happened):
        yield [("", f"- {sentence}")]
    for doubt in happened.look.doubts.said:
        yield [("error", f"! {doubt}")]


def _waiting(happened: Happened) -> Iterator[list[Fragment]]:
    from btfdbg.report.checks.blocked import group_items
    from btfdbg.report.parts import Line

    blockage = happened.blockage
    if not blockage.groups:
        yield [("dim", blockage.none)]
    for group in blockage.groups[:_MAX_GROUPS]:
        indent = ""
        for item in group_items(blockage, group):
            if isinstance(item, Line):
                yield [("bad" if item.level == "bad" else "", f"{indent}{item.text}")]
                indent = "  "
    left_out = len(blockage.groups) - _MAX_GROUPS
    if left_out > 0:
        yield [("dim", f"… {left_out} more group{'s' * (left_out > 1)}: report -s blocked")]


def _told(happened: Happened, lines: int) -> Iterator[list[Fragment]]:
    from btfdbg.report.place import log_of_the_crash

    told = log_of_the_crash(happened, lines)
    if told.before:
        yield [("dim", f"reported before: {', '.join(told.before)}")]
    for line in told.lines:
        yield [("", line)]


def _task(session: Session, text: str | None) -> drgn.Object | None:
    if text is None:
        try:
            return session.prog.crashed_thread().object
        except _NO_ANSWER:
            return None
    if text.isdecimal():
        return session.prog.thread(int(text)).object
    from btfdbg.commands import values

    found = values.value(session, text)
    if isinstance(found, drgn.Object) and found.type_.kind is drgn.TypeKind.POINTER:
        return found
    address = found if isinstance(found, int) else values.address_of(found)
    return drgn.Object(session.prog, "struct task_struct *", address)


def _panic(session: Session, *, causes: bool) -> Iterator[list[Fragment]]:
    from btfdbg.report.dump_log import panic_message
    from btfdbg.report.taints import tainted

    message = panic_message(session.prog)
    lines = _text(message).splitlines() if message else []
    for line in dict.fromkeys([*(_causes(session) if causes else ()), *lines]):
        yield [("bad", line)]
    if not lines:
        yield [("dim", "no panic message in the log")]
    yield [("", f"Linux {session.release}")]
    try:
        taints = tainted(session.prog)
    except _NO_ANSWER:
        return
    if taints:
        yield [("", f"tainted: {taints}")]


# What the kernel prints when it finds the fault, before it panics because of it.
_CAUSE = pattern(
    rb"(?:BUG: |Unable to handle |[Kk]ernel BUG at |general protection fault|Internal error: "
    rb"|watchdog: BUG|INFO: task .* blocked|double fault|Unexpected kernel BRK|Oops: |Oops \[#).*"
)
_MAX_CAUSES = 3


def _causes(session: Session) -> list[str]:
    """The first lines of the log that name a fault; the panic's own line often does not."""
    from btfdbg.program.log_records import log_records

    lines = (line for _, _, text in log_records(session.prog) for line in text.split(b"\n"))
    matches = filter(None, map(_CAUSE.match, lines))
    return [_text(match.group()) for match in itertools.islice(matches, _MAX_CAUSES)]


def _task_lines(session: Session, task: drgn.Object | None) -> Iterator[list[Fragment]]:
    if task is None:
        raise LookupError("no task panicked, or it cannot be told; name one: ctx PID")
    from drgn.helpers.linux.sched import get_task_state, task_cpu

    yield [
        ("name", _text(task.comm.string_())),
        ("", f"  pid {task.pid.value_()}  tgid {task.tgid.value_()}  cpu {task_cpu(task)}  "),
        ("address", f"{task.value_():#x}"),
        ("", f"  {get_task_state(task)}"),
    ]
    if not task.mm:
        yield [("dim", "kernel thread or exiting (no mm)")]


def _registers(
    session: Session, task: drgn.Object | None, number: int | None
) -> Iterator[list[Fragment]]:
    from btfdbg.frames.exception import registers_at

    if task is None:
        raise LookupError("no task")
    trace = session.prog.stack_trace(task)
    if not len(trace):
        raise LookupError("the stack cannot be unwound")
    if number is None:
        raise LookupError("the stack does not reach the place where it happened")
    cache: dict[Any, Any] = {}
    columns = output.current().columns or 80
    per_line = max((columns - 4) // 27, 1)
    plain: list[Fragment] = []
    values = registers_at(session.prog, trace, number) or trace[number].registers()
    for name, value in values.items():
        what = annotate.short(session, value, cache)
        line: list[Fragment] = [("", f"{name:>7} "), ("address", f"{value:016x}")]
        if what:
            yield [*line, ("symbol", f"  {what}")]
        else:
            plain += [*line, ("", "  ")]
    # Those that point to nothing known share lines: all of it is to fit a screen.
    for i in range(0, len(plain), 3 * per_line):
        yield plain[i : i + 3 * per_line]


def _stack(
    session: Session, task: drgn.Object | None, first: int, *, stopped: bool = False
) -> Iterator[list[Fragment]]:
    if task is None:
        raise LookupError("no task")
    try:
        trace = session.prog.stack_trace(task)
    except NotImplementedError:
        yield from _stack_riscv64(session, task)
        return
    if not len(trace):
        raise LookupError("the stack cannot be unwound")
    if first:
        how = "its CPU was stopped" if stopped else "it came to the panic"
        yield [("dim", f"#0 to #{first - 1} are how {how}: bt")]
    from btfdbg.frames import stack_end

    frames, why_no_more = stack_end.known(session.prog, trace)
    for i, frame in enumerate(frames):
        if i < first:
            continue
        if i >= first + _MAX_FRAMES:
            yield [("dim", f"… {len(frames) - i} more frames")]
            return
        name = frame.name or "???"
        offset = ""
        try:
            symbol = frame.symbol()
        except LookupError:
            pass
        else:
            offset = f"+{frame.pc - symbol.address:#x}"
        module = _module(session.prog, frame.pc)
        yield [
            ("dim", f"#{i:<2} "),
            ("symbol", name),
            ("dim", offset),
            ("type", f" [{module}]" if module else ""),
            ("dim", " (interrupted)" if frame.interrupted and i else ""),
            ("comment", _file(session, frame)),
        ]
    if why_no_more:
        yield [("dim", why_no_more)]


def _file(session: Session, frame: drgn.StackFrame) -> str:
    from btfdbg.frames.sources import source_file

    try:
        found = source_file(session, frame.pc - (0 if frame.interrupted else 1))
    except _NO_ANSWER:
        return ""
    return "" if found is None else f"  {found}"


def _stack_riscv64(session: Session, task: drgn.Object) -> Iterator[list[Fragment]]:
    from btfdbg.program.unwind_riscv64 import stack

    cache: dict[Any, Any] = {}
    for i, frame in enumerate(stack(task)):
        if i >= _MAX_FRAMES:
            return
        what = annotate.short(session, frame.pc, cache).removeprefix("text ")
        yield [("dim", f"#{i:<2} "), ("symbol", what or f"{frame.pc:#x}")]


def _module(prog: drgn.Program, pc: int) -> str:
    try:
        module = prog.module(pc)
    except LookupError:
        return ""
    return "" if isinstance(module, drgn.MainModule) else module.name


def _log(session: Session, lines: int) -> Iterator[list[Fragment]]:
    from drgn.helpers.linux.printk import get_dmesg

    text = get_dmesg(session.prog).rstrip(b"\n")
    kept = text.split(b"\n")[-max(lines, 0) :] if lines > 0 else []
    for line in kept:
        yield [("", _text(line))]


def _text(data: bytes | str) -> str:
    return data if isinstance(data, str) else data.decode("utf-8", "backslashreplace")
