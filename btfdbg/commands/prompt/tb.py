"""``tb``: the traceback of the last error."""

from __future__ import annotations

import argparse

from btfdbg.commands.define import prompt_command
from btfdbg.commands.state import state_of
from btfdbg.program.session import Session


@prompt_command(
    name="tb",
    description="show the traceback of the last error",
    long_description="An error is shown as one line; this shows where it came from.",
    examples=(("tb", "the last error in full"),),
)
def tb(session: Session, args: argparse.Namespace) -> None:
    """Run the command."""
    print(state_of(session.prog).traceback(), end="")
