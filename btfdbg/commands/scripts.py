"""Files of command lines: ``-i FILE``, ``--crashrc``, and ``< FILE`` at the prompt.

Owns which files are read, and that none is read by itself: ``~/.crashrc`` only with its flag,
one of the current directory never.

Facts: crash's ``help input``; crash(8), "-i file", ".crashrc".
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from btfdbg.commands import evaluate
from btfdbg.errors import DebugInfoError
from btfdbg.program.extensions import own_file
from btfdbg.program.session import Session

_MAX_SIZE = 1 << 24
_MAX_DEPTH = 8


def crashrc() -> Path:
    """The user's own ``.crashrc``, whether it exists or not."""
    return Path(os.path.expanduser("~")) / ".crashrc"


def read(path: Path) -> str:
    """
    The text of a file of command lines.

    :raises DebugInfoError: it cannot be read, or is no text.
    """
    try:
        if path.stat().st_size > _MAX_SIZE:
            raise DebugInfoError(f"{path}: larger than {_MAX_SIZE >> 20} MiB, no file of commands")
        text = path.read_text("utf-8")
    except OSError as e:
        raise DebugInfoError(f"{path}: {e.strerror or e}", hint="a file of commands") from None
    except UnicodeDecodeError:
        raise DebugInfoError(f"{path}: no text, so no file of commands") from None
    if "\0" in text:
        raise DebugInfoError(f"{path}: no text, so no file of commands")
    return text


def read_all(given: Sequence[str], with_crashrc: bool) -> list[tuple[str, str]]:
    """
    Name and text of the files that a command line asks for, in the order in which they run.

    :param with_crashrc: Begin with ``~/.crashrc``; it has to be there.
    :raises DebugInfoError: one cannot be read, or others may write to ``~/.crashrc``.
    """
    paths = [Path(name) for name in given]
    if with_crashrc:
        own = crashrc()
        if own.exists() and not own_file(own):
            raise DebugInfoError(f"{own}: not read: others may write to it")
        paths.insert(0, own)
    return [(str(path), read(path)) for path in paths]


def run_file(session: Session, name: str) -> bool:
    """
    Run the lines of a file as if they were typed.

    :return: Whether everything succeeded.
    :raises SystemExit: a line asks to leave.
    """
    from btfdbg.commands import namespace
    from btfdbg.commands.state import state_of

    state = state_of(session.prog)
    if state.depth >= _MAX_DEPTH:
        namespace.print_error(state, f"btfdbg: {name}: files that read files {_MAX_DEPTH} deep")
        return False
    try:
        text = read(Path(os.path.expanduser(name)))
    except DebugInfoError as e:
        namespace.report(session, state, "", e)
        return False
    state.depth += 1
    try:
        return evaluate.run_text(session, text)
    finally:
        state.depth -= 1
