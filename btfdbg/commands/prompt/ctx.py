"""``ctx``: everything about the place where the kernel stopped, on one screen."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from typing import Any

import drgn
from drgn.commands import argument

from btfdbg.commands import annotate, output, values
from btfdbg.commands.define import prompt_command
from btfdbg.commands.text import Fragment
from btfdbg.errors import BtfdbgError
from btfdbg.program.session import Session

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
_SECTIONS = ("panic", "task", "registers", "stack", "log")


def _code(session: Session, args: argparse.Namespace) -> str:
    task = "prog.crashed_thread().object" if args.task is None else f"find_task(prog, {args.task})"
    return (
        "from drgn.helpers.linux.panic import panic_message\n"
        "from drgn.helpers.linux.pid import find_task\n"
        "from drgn.helpers.linux.printk import get_dmesg\n\n\n"
        "print(panic_message(prog))\n"
        f"task = {task}\n"
        "trace = prog.stack_trace(task)\n"
        "print(trace[0].registers())\n"
        "print(trace)\n"
        f"print(*get_dmesg(prog).splitlines()[-{args.lines}:], sep='\\n')"
    )


@prompt_command(
    name="ctx",
    description="show the crash: panic, task, registers, stack, last messages",
    long_description="""
    Show the context of the crash, or of another task: the panic message, the
    task, its registers with what each points to, its stack, and the last lines
    of the kernel log. A part that this dump cannot give says why and does not
    cost the others.
    """,
    arguments=(
        argument(
            "task", nargs="?", help="pid or address of a task (default: the one that crashed)"
        ),
        argument("-n", "--lines", type=int, default=10, help="lines of the log (default: 10)"),
        argument("-s", "--section", choices=_SECTIONS, action="append", help="only this part"),
    ),
    examples=(
        ("ctx", "the crash on one screen"),
        ("ctx -s panic -s stack", "only two parts of it"),
        ("ctx 1 -n 3", "another task"),
    ),
    drgn_code=_code,
    complete=("pid",),
)
def ctx(session: Session, args: argparse.Namespace) -> None:
    """Run the command."""
    task = _task(session, args.task)
    parts: dict[str, Callable[[], Iterator[list[Fragment]]]] = {
        "panic": lambda: _panic(session),
        "task": lambda: _task_lines(session, task),
        "registers": lambda: _registers(session, task),
        "stack": lambda: _stack(session, task),
        "log": lambda: _log(session, args.lines),
    }
    for name in args.section or _SECTIONS:
        output.emit(("heading", f"{name.upper()}"))
        try:
            for line in parts[name]():
                output.emit("  ", *line)
        except _NO_ANSWER as e:
            from btfdbg.commands.failure import describe

            output.emit("  ", ("error", describe(e)))


def _task(session: Session, text: str | None) -> drgn.Object | None:
    if text is None:
        try:
            return session.prog.crashed_thread().object
        except _NO_ANSWER:
            return None
    if text.isdecimal():
        return session.prog.thread(int(text)).object
    found = values.value(session, text)
    if isinstance(found, drgn.Object) and found.type_.kind is drgn.TypeKind.POINTER:
        return found
    address = found if isinstance(found, int) else values.address_of(found)
    return drgn.Object(session.prog, "struct task_struct *", address)


def _panic(session: Session) -> Iterator[list[Fragment]]:
    from drgn.helpers.linux.panic import panic_message, tainted

    message = panic_message(session.prog)
    lines = _text(message).splitlines() if message else []
    for line in dict.fromkeys([*_causes(session), *lines]):
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
_CAUSE = re.compile(
    rb"(?:BUG: |Unable to handle |[Kk]ernel BUG at |general protection fault|Internal error: "
    rb"|watchdog: BUG|INFO: task .* blocked|double fault|Unexpected kernel BRK|Oops: |Oops \[#).*"
)
_MAX_CAUSES = 3


def _causes(session: Session) -> list[str]:
    """The first lines of the log that name a fault; the panic's own line often does not."""
    from drgn.helpers.linux.printk import get_dmesg

    found = []
    for line in get_dmesg(session.prog, timestamps=False).split(b"\n"):
        match = _CAUSE.match(line)
        if match:
            found.append(_text(match.group()))
            if len(found) >= _MAX_CAUSES:
                break
    return found


def _task_lines(session: Session, task: drgn.Object | None) -> Iterator[list[Fragment]]:
    if task is None:
        raise LookupError("the crashed task cannot be told; name one: ctx PID")
    from drgn.helpers.linux.sched import get_task_state, task_cpu

    yield [
        ("name", _text(task.comm.string_())),
        ("", f"  pid {task.pid.value_()}  tgid {task.tgid.value_()}  cpu {task_cpu(task)}  "),
        ("address", f"{task.value_():#x}"),
        ("", f"  {get_task_state(task)}"),
    ]
    if not task.mm:
        yield [("dim", "kernel thread or exiting (no mm)")]


def _registers(session: Session, task: drgn.Object | None) -> Iterator[list[Fragment]]:
    if task is None:
        raise LookupError("no task")
    trace = session.prog.stack_trace(task)
    if not len(trace):
        raise LookupError("the stack cannot be unwound")
    cache: dict[Any, Any] = {}
    columns = output.current().columns or 80
    per_line = max((columns - 4) // 27, 1)
    plain: list[Fragment] = []
    for name, value in trace[0].registers().items():
        what = annotate.short(session, value, cache)
        line: list[Fragment] = [("", f"{name:>7} "), ("address", f"{value:016x}")]
        if what:
            yield [*line, ("symbol", f"  {what}")]
        else:
            plain += [*line, ("", "  ")]
    # Those that point to nothing known share lines: all of it is to fit a screen.
    for i in range(0, len(plain), 3 * per_line):
        yield plain[i : i + 3 * per_line]


def _stack(session: Session, task: drgn.Object | None) -> Iterator[list[Fragment]]:
    if task is None:
        raise LookupError("no task")
    try:
        trace = session.prog.stack_trace(task)
    except NotImplementedError:
        yield from _stack_riscv64(session, task)
        return
    if not len(trace):
        raise LookupError("the stack cannot be unwound")
    for i, frame in enumerate(trace):
        if i >= _MAX_FRAMES:
            yield [("dim", f"… {len(trace) - i} more frames")]
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
