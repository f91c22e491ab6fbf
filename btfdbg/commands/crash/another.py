"""Another of drgn's crash commands, run by one of ours.

Apart from ``call``, which those that attach our options need before a command is imported.
"""

from __future__ import annotations

import drgn

from btfdbg.commands import where
from btfdbg.commands.crash.call import private


def run_line(prog: drgn.Program, name: str, words: list[str]) -> None:
    """Run another of drgn's crash commands."""
    from btfdbg.commands.state import state_of

    where.load((name,))
    space = private("CRASH_COMMAND_NAMESPACE")
    space.lookup(prog, name).run(prog, name, words, globals=state_of(prog).globals)
