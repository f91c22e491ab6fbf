"""``gdb`` and ``extend``: crash's ways to more commands, and what takes their place here."""

from __future__ import annotations

import argparse

from drgn.commands import CommandError, argument

from btfdbg.commands import equivalents, extensions, output
from btfdbg.commands.define import prompt_command, text_command
from btfdbg.commands.text import escape
from btfdbg.program.extensions import config_dir
from btfdbg.program.session import Session


@text_command(
    name="gdb",
    description="run the equivalent of a command of gdb's; help gdb lists them",
    usage="**gdb** *COMMAND*",
    long_description="""
    There is no gdb behind this prompt. What has an equivalent is run; ``help gdb`` lists them.
    For gdb itself, ``btfdbg gdbserver CORE`` makes the dump a remote target.
    """,
    examples=(
        ("gdb p init_task.pid", "what has an equivalent here runs"),
        ("gdb info symbol init_task", "the same: sym init_task"),
    ),
    complete=("command",),
)
def gdb(session: Session, line: str) -> None:
    """Run the command."""
    from btfdbg.commands import evaluate

    line = line.strip()
    if not line:
        raise CommandError("there is no gdb behind this prompt; help gdb lists what is here")
    here = equivalents.of_gdb(line)
    if here is None:
        word = line.split(None, 1)[0]
        hint = equivalents.AT_GDB.get(word) or equivalents.INSTEAD.get(word)
        hint = hint or "help gdb lists what is here"
        raise CommandError(f"{word}: {hint}; btfdbg gdbserver CORE serves gdb itself")
    if here != line:
        output.emit(("dim", f"({here})"))
    # What goes wrong has been said under the name of the command that ran.
    evaluate.run_line(session, here)


@prompt_command(
    name="extend",
    description="commands that were added, and how they are",
    long_description="""
    crash loads shared objects that are compiled against crash itself. Here a command is a
    file of Python: every ``*.py`` in the folder that is shown is loaded at the start, and so is
    every module that an installed package names as entry point ``btfdbg.commands``. Without
    arguments say where, and what was loaded.
    """,
    arguments=(
        argument("file", nargs="*", help="as of crash's extend; nothing is loaded"),
        argument("-u", dest="unload", action="store_true", help="as of crash's extend"),
        argument("-s", dest="show", action="store_true", help="as of crash's extend"),
    ),
    examples=(("extend", "where commands of your own are put"),),
)
def extend(session: Session, args: argparse.Namespace) -> None:
    """Run the command."""
    folder = config_dir() / extensions.FOLDER
    for file in args.file:
        word = file.rpartition("/")[2].partition(".")[0]
        hint = equivalents.INSTEAD.get(word, "")
        raise CommandError(
            f"{file}: shared objects of crash are not loaded; "
            + (f"{hint}; " if hint else "")
            + f"a command of your own is a .py file in {folder}"
        )
    if args.unload:
        raise CommandError("-u: what was loaded at the start stays; remove its file")
    output.emit(f"commands of your own: {escape(str(folder))}/*.py")
    found = extensions.loaded()
    for name in found:
        output.emit("  ", ("name", escape(name)))
    if not found:
        output.emit(("dim", "  none loaded; docs/commands.md shows how one is written"))
