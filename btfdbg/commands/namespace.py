"""Find and run a command line of the prompt.

Commands are looked up in this order: btfdbg's own, drgn's (``sh``, ``py``,
``source``), drgn's crash mode under its crash spelling (``bt``, ``ps``, …).
"""

from __future__ import annotations

import sys
from typing import Any

import drgn
from drgn.commands import (
    DEFAULT_COMMAND_NAMESPACE,
    CommandError,
    CommandNamespace,
    CommandNotFoundError,
    run_command,
)

from btfdbg.debuginfo.session import Session

# Imported for their effect: they register drgn's commands, which is what drgn
# does with them as plugins.
_DRGN_COMMAND_MODULES = ("drgn.commands._builtin", "drgn.commands._crash")

NAMESPACE = CommandNamespace(func_name_prefix="_cmd_")


def load_drgn_commands() -> None:
    """Make drgn's own commands known; cheap after the first call."""
    from importlib import import_module

    for name in _DRGN_COMMAND_MODULES:
        import_module(name)


def run(session: Session, line: str, globals_: dict[str, Any]) -> bool:
    """
    Run one command line; print what goes wrong in one line.

    :return: Whether it succeeded.
    """
    load_drgn_commands()
    line = line.strip().removeprefix("%").lstrip()
    if not line:
        return True
    word = line.split(None, 1)[0]
    try:
        if _known(NAMESPACE, session.prog, word):
            NAMESPACE.run(session.prog, line, globals=globals_)
        elif _known(DEFAULT_COMMAND_NAMESPACE, session.prog, word):
            run_command(session.prog, line, globals=globals_)
        else:
            run_command(session.prog, f"crash {line}", globals=globals_)
    except CommandNotFoundError as e:
        print(f"btfdbg: {e}", file=sys.stderr)
    except (CommandError, SyntaxError, LookupError, ValueError, drgn.FaultError) as e:
        print(f"{word}: {_one_line(e)}", file=sys.stderr)
    else:
        return True
    return False


def is_command(prog: drgn.Program, word: str) -> bool:
    """Whether a word names a command of btfdbg, drgn or drgn's crash mode."""
    from drgn.commands._crash.common import CRASH_COMMAND_NAMESPACE

    spaces = (NAMESPACE, DEFAULT_COMMAND_NAMESPACE, CRASH_COMMAND_NAMESPACE)
    return any(_known(space, prog, word) for space in spaces)


def _known(namespace: CommandNamespace, prog: drgn.Program, name: str) -> bool:
    try:
        namespace.lookup(prog, name)
    except CommandNotFoundError:
        return False
    return True


def _one_line(e: Exception) -> str:
    if isinstance(e, KeyError) and e.args:
        return f"{e.args[0]!r} was not found in this dump"
    return str(e) or type(e).__name__
