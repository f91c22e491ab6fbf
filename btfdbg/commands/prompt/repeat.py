"""``repeat``: a command again and again, for a running kernel."""

from __future__ import annotations

import re
import time

import drgn
from drgn.commands import CommandError

from btfdbg.commands import output
from btfdbg.commands.define import text_command
from btfdbg.program.session import Session

_SECONDS = re.compile(r"\s*-(\d{1,6})(?=\s|$)")


@text_command(
    name="repeat",
    description="repeat a command until Ctrl-C; a dump is shown once",
    usage="**repeat** [**-**\\ *SECONDS*] *COMMAND*",
    long_description="""
    Run a command again and again, with so many seconds between, until Ctrl-C. What is in a dump
    does not change: there the command runs once.
    """,
    examples=(("repeat -1 p jiffies", "once a second on a running kernel"),),
    complete=("command",),
)
def repeat(session: Session, text: str) -> None:
    """Run the command."""
    from btfdbg.commands import evaluate

    seconds = _SECONDS.match(text)
    line = text[seconds.end() :].strip() if seconds else text.strip()
    if not line:
        raise CommandError("what? a command is missing")
    if line.split(None, 1)[0] == "repeat":
        raise CommandError("repeat of a repeat")
    live = bool(session.prog.flags & drgn.ProgramFlags.IS_LIVE)
    while True:
        if not evaluate.run_line(session, line):
            raise CommandError(f"{line.split(None, 1)[0]} failed, and is not repeated")
        if not live:
            output.emit(("dim", "(once: what is in a dump does not change)"))
            return
        time.sleep(int(seconds[1]) if seconds else 0)
