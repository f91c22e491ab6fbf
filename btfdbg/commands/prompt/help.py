"""``help``: the commands, or one of them; ``?``."""

from __future__ import annotations

import argparse

from drgn.commands import Command, argument

from btfdbg.commands import namespace, output, text
from btfdbg.commands.define import own, prompt_command
from btfdbg.program.session import Session

_RULES = """\
A line that starts with a command's name is a command; anything else is Python with
`prog` and drgn's helpers. %NAME forces the command, a leading space or `py` forces
Python; NAME(…), NAME.x and NAME = … are Python, and so is a name you assigned.
Commands take | and > as in a shell, !CMD runs the shell's. EXPR? tells what EXPR is.
$3 or _3 is result 3, $ or _ the last one, $NAME a bookmark (see `mark`).
p/x EXPR prints in a format, x/8gx ADDR examines memory, tb shows the last traceback.
Tab completes, Ctrl-R searches history, F1 shows the keys, Ctrl-D leaves."""


@prompt_command(
    name="help",
    description="list the commands, or explain some of them",
    long_description="""
    Without arguments, list all commands with the rule by which a line is taken
    as a command or as Python. With names, explain those.
    """,
    arguments=(argument("command", nargs="*", help="command, or ``all``"),),
    examples=(
        ("help", "all commands"),
        ("help tele bt", "two of them"),
    ),
    complete=("command",),
)
def help_(session: Session, args: argparse.Namespace) -> None:
    """Run the command."""
    known = namespace.commands(session.prog)
    if not args.command:
        _overview(session, known)
        return
    names = list(known) if "all" in args.command else args.command
    for i, name in enumerate(names):
        if i:
            output.emit("")
        explain(session, name)


def _overview(session: Session, known: dict[str, Command[object]]) -> None:
    ours = [name for name in known if own(session.prog, name) is not None]
    drgns = [name for name in known if own(session.prog, name) is None]
    width = max(map(len, known))
    columns = output.current().columns
    for title, names in (("btfdbg", ours), ("drgn (crash compatible)", drgns)):
        output.emit(("heading", title))
        for name in names:
            line = f"  {name:<{width}}  {known[name].description()}"
            output.emit(text.cut(line, columns) if columns else line)
    output.emit("")
    output.emit(_RULES)


def explain(session: Session, name: str) -> None:
    """
    Print the help of one command.

    :raises CommandNotFoundError: there is none of that name.
    """
    command = namespace.lookup(session.prog, name)
    output.emit(("heading", name), f" - {command.description()}")
    output.emit("")
    output.emit("usage: ", command.format_usage())
    output.emit("")
    print(command.format_help(indent="  "))
    if own(session.prog, name) is None:
        output.emit("")
        output.emit(("dim", "  From drgn. --drgn shows the code behind it, --json its tables."))
