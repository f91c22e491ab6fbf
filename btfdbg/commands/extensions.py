"""A user's own commands: files in the configuration folder, and installed packages.

Owns where they may come from: ``$XDG_CONFIG_HOME/btfdbg/commands/*.py`` and the
entry point group ``btfdbg.commands`` (each entry point is a module). Never the
current directory, never a folder beside the dump. A command that fails to load
is a warning, not the end of the prompt.
"""

from __future__ import annotations

import logging
import os
import runpy
import sys
from pathlib import Path

from btfdbg.program.plugins import installed

logger = logging.getLogger("btfdbg")

GROUP = "btfdbg.commands"


def config_dir() -> Path:
    """``$XDG_CONFIG_HOME/btfdbg``, whether it exists or not."""
    return _xdg("XDG_CONFIG_HOME", ".config")


def state_dir() -> Path:
    """``$XDG_STATE_HOME/btfdbg``, whether it exists or not."""
    return _xdg("XDG_STATE_HOME", ".local/state")


def _xdg(variable: str, default: str) -> Path:
    value = os.environ.get(variable, "")
    # The XDG base directory specification: a relative path is to be ignored.
    if value and os.path.isabs(value):
        return Path(value) / "btfdbg"
    return Path(os.path.expanduser("~")) / default / "btfdbg"


def own_file(path: Path) -> bool:
    """Whether a file belongs to us or to root and nobody else may write to it."""
    try:
        status = path.stat()
    except OSError:
        return False
    return status.st_uid in (os.getuid(), 0) and not status.st_mode & 0o002


_loaded: list[str] = []


def loaded() -> tuple[str, ...]:
    """The files and entry points whose commands were loaded."""
    return tuple(_loaded)


def are_there() -> bool:
    """Whether there is anything to load, which may have a name of one of our commands."""
    return bool(_files()) or installed(sys.path, GROUP.encode()) != set()


def _files() -> list[Path]:
    try:
        return sorted((config_dir() / "commands").glob("*.py"))
    except OSError:
        return []


def load() -> list[str]:
    """Load the user's commands; return the names of what was loaded."""
    loaded = []
    for file in _files():
        if not own_file(file):
            logger.warning("%s: not loaded: others may write to it", file)
            continue
        try:
            runpy.run_path(str(file), run_name=f"btfdbg_user_command_{file.stem}")
        # Someone else's code; whatever it raises must not cost us the prompt.
        except Exception as e:
            logger.warning("%s: not loaded: %s: %s", file, type(e).__name__, e)
        else:
            loaded.append(str(file))
    loaded += _load_entry_points()
    _loaded[:] = loaded
    return loaded


def _load_entry_points() -> list[str]:
    # importlib.metadata takes as long as opening a dump, and nearly nobody has any.
    if installed(sys.path, GROUP.encode()) == set():
        return []
    from importlib.metadata import entry_points

    loaded = []
    for entry in entry_points(group=GROUP):
        try:
            entry.load()
        # As above: an installed package that is broken is the package's matter.
        except Exception as e:
            logger.warning("commands of %s: not loaded: %s: %s", entry.name, type(e).__name__, e)
        else:
            loaded.append(entry.name)
    return loaded
