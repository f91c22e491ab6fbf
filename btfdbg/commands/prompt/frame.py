"""``frame``: one frame of a stack with its arguments, which become Python names."""

from __future__ import annotations

import argparse

import drgn
from drgn.commands import CommandError, argument

from btfdbg.commands import output
from btfdbg.commands.define import prompt_command
from btfdbg.commands.prompt.ctx import _task
from btfdbg.commands.state import state_of
from btfdbg.commands.text import Fragment
from btfdbg.program.session import Argument, Session

_UNCONFIRMED = "; nothing confirms it"


def _is_read(prog: drgn.Program) -> bool:
    """Whether the machine code of this architecture is."""
    platform = prog.platform
    read = (drgn.Architecture.X86_64, drgn.Architecture.AARCH64)
    return platform is not None and platform.arch in read


def _code(session: Session, args: argparse.Namespace) -> str:
    task = "prog.crashed_thread().object" if args.task is None else f"find_task(prog, {args.task})"
    return (
        "import btfdbg\n"
        "from drgn.helpers.linux.pid import find_task\n\n"
        f"trace = prog.stack_trace({task})\n"
        f"print(trace[{args.number}])\n"
        f"for argument in btfdbg.session(prog).arguments(trace)[{args.number}]:\n"
        "    print(argument.name, argument.type.type_name(), argument.value, argument.source)"
    )


@prompt_command(
    name="frame",
    description="show one frame with its arguments, and bind them as Python names",
    long_description="""
    Show what a frame's function was called with: the value at its entry, with its type
    and where it was found, or why there is none. "Nothing confirms it" is said of a value
    that one word of memory alone tells: if that word is damaged, so is the value. Each that is
    known becomes a Python name: after ``frame 7``, ``file.f_path`` is that frame's. Needs
    capstone.
    """,
    arguments=(
        argument("number", nargs="?", type=int, default=0, help="of ``bt`` (default: 0)"),
        argument("-t", "--task", help="pid or address (default: the task that crashed)"),
    ),
    examples=(
        ("frame", "the innermost frame"),
        ("frame 1 -t 1", "of another task"),
    ),
    drgn_code=_code,
    enabled=_is_read,
)
def frame(session: Session, args: argparse.Namespace) -> None:
    """Run the command."""
    task = _task(session, args.task)
    if task is None:
        raise CommandError("the crashed task cannot be told; name one: frame N -t PID")
    trace = session.prog.stack_trace(task)
    from btfdbg.frames import stack_end
    from btfdbg.frames.arguments import arguments

    known, why_no_more = stack_end.known(session.prog, trace)
    if not 0 <= args.number < len(known):
        why = f"; {why_no_more}" if why_no_more else ""
        raise CommandError(f"the stack has the frames 0 to {len(known) - 1}{why}")
    one = known[args.number]
    output.emit(("dim", f"#{args.number} "), ("symbol", one.name or "???"), _offset(one))
    found = arguments(session, known)[args.number]
    if not found:
        output.emit("  ", ("dim", _why(session, known, args.number)))
    for argument_ in found:
        output.emit("  ", *_line(argument_))
    _bind(session, found)


def _offset(one: drgn.StackFrame) -> Fragment:
    try:
        return "dim", f"+{one.pc - one.symbol().address:#x} at {one.pc:#x}"
    except LookupError:
        return "dim", f" at {one.pc:#x}"


def _why(session: Session, trace: tuple[drgn.StackFrame, ...], number: int) -> str:
    """Why a frame has no arguments to show."""
    from btfdbg.frames.arguments import recovery, walk

    walked = walk(recovery(session), trace)[number]
    if walked is None:
        return "the function is inlined"
    if isinstance(walked.prototype, str):
        return walked.prototype
    return "its function has no parameters"


def _line(argument_: Argument) -> list[Fragment]:
    from btfdbg.frames.describe import plain, words

    name = argument_.name or "?"
    line: list[Fragment] = [("type", argument_.type.type_name()), ("", " "), ("name", name)]
    if argument_.value is None:
        return [*line, ("dim", f" = ? ({argument_.why})")]
    more = words(argument_.value)
    return [
        *line,
        ("", " = "),
        ("address", plain(argument_.value)),
        ("symbol", f"  {more}" if more else ""),
        ("dim", f"  [{argument_.source}{'' if argument_.confirmed else _UNCONFIRMED}]"),
    ]


def _bind(session: Session, found: tuple[Argument, ...]) -> None:
    """Make the values Python names, where the prompt has no other use for a name."""
    state = state_of(session.prog)
    taken = []
    for argument_ in found:
        if argument_.value is None or not argument_.name.isidentifier():
            continue
        if argument_.name in state.given:
            taken.append(argument_.name)
            continue
        state.globals[argument_.name] = argument_.value
    if taken:
        output.emit(("dim", f"not bound, as the names are taken: {', '.join(taken)}"))
