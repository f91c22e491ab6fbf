"""Files of command lines: ``-i FILE``, ``--crashrc``, and ``< FILE`` at the prompt.

Owns which files are read, and that none is read by itself: ``~/.crashrc`` only with its flag,
one of the current directory never.

Facts: crash's ``help input``; crash(8), "-i file", ".crashrc".
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from btfdbg.errors import DebugInfoError
from btfdbg.program.extensions import own_file

_MAX_SIZE = 1 << 24


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
