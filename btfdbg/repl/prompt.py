"""The prompt: Python with ``prog`` and drgn's helpers, and commands.

A line whose first word is a command runs the command; anything else is Python.
``%name`` forces the command.
"""

from __future__ import annotations

import os
import sys
import traceback
from code import InteractiveInterpreter
from pathlib import Path
from typing import Any

import drgn.cli
from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from btfdbg.commands import execute, info, namespace
from btfdbg.debuginfo.session import Session


def interact(session: Session, *, quiet: bool = False, color: str = "auto") -> int:
    """Run the prompt until end of file; return the exit status."""
    if not quiet:
        print(info.banner(session))
    namespace.load_drgn_commands()
    globals_ = execute.all_globals(session.prog)
    interpreter = InteractiveInterpreter(globals_)
    sys.displayhook = drgn.cli._displayhook
    prompt: PromptSession[str] = PromptSession(history=_history())
    while True:
        try:
            line = prompt.prompt("btfdbg> ")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return 0
        try:
            _evaluate(session, interpreter, prompt, line, globals_)
        except SystemExit:
            return 0
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
        except Exception:
            traceback.print_exc()


def _evaluate(
    session: Session,
    interpreter: InteractiveInterpreter,
    prompt: PromptSession[str],
    line: str,
    globals_: dict[str, Any],
) -> None:
    if not line.strip():
        return
    word = line.split(None, 1)[0]
    if line.startswith("%") or (word not in globals_ and _is_command(session, word)):
        namespace.run(session, line, globals_)
        return
    source = line
    while interpreter.runsource(source, "<prompt>"):
        more = prompt.prompt("   ...> ")
        source += "\n" + more
        if not more:
            interpreter.runsource(source + "\n", "<prompt>")
            return


def _is_command(session: Session, word: str) -> bool:
    return namespace.is_command(session.prog, word)


def _history() -> History:
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    path = state / "btfdbg" / "history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))
