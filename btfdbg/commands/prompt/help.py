"""``help``: the commands, or one of them; ``?``."""

from __future__ import annotations

import argparse
import textwrap

from drgn.commands import Command, CommandError, argument

from btfdbg.commands import equivalents, namespace, output, text
from btfdbg.commands.define import drgns_command, own, prompt_command
from btfdbg.commands.markup import fragments
from btfdbg.program.session import Session

_RULES = """\
A line that starts with a command's name is a command; anything else is Python
with `prog` and drgn's helpers. %NAME forces the command, a leading space or `py`
forces Python; NAME(…), NAME.x and NAME = … are Python, and so is a name you assigned.

Commands take | and > as in a shell, !CMD runs the shell's. EXPR? tells what EXPR is.

$3 or _3 is result 3, $ or _ the last one, $NAME a bookmark (see `mark`).

p/x EXPR prints in a format, x/8gx ADDR examines memory, tb shows the last traceback.

Tab completes, Ctrl-R searches history, F1 shows the keys, Ctrl-D leaves."""


FIRST = (
    ("an oops, a panic, a BUG", "report, then ctx; dis -r and frame N around where it happened"),
    ("a hang, tasks that do not move", "report -s blocked, then foreach UN bt, log"),
    ("out of memory", "report -s memory, then kmem -i, kmem -s, ps -S"),
    ("a lockup, a stall", "report, then bt -a, runq, timer"),
    ("something else", "report; what you know from elsewhere: help crash, gdb or drgn"),
)
"""What one does not know yet, and what to type then."""


@prompt_command(
    name="help",
    description="list the commands, or explain some of them",
    long_description="""
    Without arguments, list all commands with the rule by which a line is taken
    as a command or as Python. With names, explain those.
    """,
    arguments=(
        argument("command", nargs="*", help="command, ``all``, ``crash``, ``gdb`` or ``drgn``"),
        *(
            argument(
                f"-{letter}",
                dest="internals",
                action="append_const",
                const=letter,
                help=argparse.SUPPRESS,
            )
            for letter in equivalents.INTERNALS
        ),
    ),
    examples=(
        ("help", "all commands"),
        ("help tele bt", "two of them"),
        ("help crash", "every command of crash, and what it is here; help gdb, help drgn"),
    ),
    complete=("command",),
)
def help_(session: Session, args: argparse.Namespace) -> None:
    """Run the command."""
    if args.internals:
        letter = args.internals[0]
        raise CommandError(
            f"-{letter} shows crash's own tables; here: {equivalents.INTERNALS[letter]}"
        )
    known = namespace.commands(session.prog)
    if not args.command:
        _overview(session, known)
        return
    names = list(known) if "all" in args.command else args.command
    for i, name in enumerate(names):
        if i:
            output.emit("")
        if name in equivalents.TABLES and (len(names) == 1 or name != "crash"):
            _elsewhere(session, name)
        else:
            explain(session, name)


def _elsewhere(session: Session, name: str) -> None:
    """What people type elsewhere, and what that is here."""
    rows = equivalents.TABLES[name]
    left = max(len(row.there) for row in rows)
    right = max(len(row.here) for row in rows)
    output.emit(("heading", f"{name:<{left}}  here"))
    for row in rows:
        here = f"{row.here or '-':<{right}}  " if row.note else row.here
        output.emit(("name", f"{row.there:<{left}}"), "  ", here, ("dim", row.note))
    if name == "crash":
        output.emit("")
        output.emit("help NAME lists the options; where drgn has a command, it is drgn's.")
        explain(session, "crash")
    elif name == "gdb":
        output.emit("")
        explain(session, "gdb")


def _overview(session: Session, known: dict[str, Command[object]]) -> None:
    output.emit(("heading", "what happened?"))
    for case, line in FIRST:
        for number, part in enumerate(textwrap.wrap(line, 80 - 34)):
            output.emit(f"  {'' if number else case:<32}", ("name", part))
    output.emit("")
    ours = [name for name in known if own(session.prog, name) is not None]
    drgns = [name for name in known if own(session.prog, name) is None]
    width = max(map(len, known))
    for title, names in (("btfdbg", ours), ("drgn (crash compatible)", drgns)):
        output.emit(("heading", title))
        for name in names:
            line = f"  {name:<{width}}  {known[name].description()}"
            output.emit(line)
    output.emit("")
    output.emit(text.fold(_RULES).replace("\n\n", "\n"))


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
    output.emit(*fragments(command.format_help(indent="  ")))
    defined = own(session.prog, name)
    if defined is not None and defined.shared:
        drgns = drgns_command(session.prog, name)
        if drgns is not None:
            output.emit("")
            output.emit(("heading", f"{name} as crash's"), f" - {drgns.description()}")
            output.emit("")
            output.emit("usage: ", drgns.format_usage())
            output.emit("")
            output.emit(*fragments(drgns.format_help(indent="  ")))
    if defined is None:
        output.emit("")
        output.emit(("dim", "  From drgn. --drgn shows the code behind it, --json its tables."))
