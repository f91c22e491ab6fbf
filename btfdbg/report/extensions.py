"""Checks of the user's own: files in the configuration folder, and installed packages.

Owns where they may come from: ``$XDG_CONFIG_HOME/btfdbg/checks/*.py`` and the entry point
group ``btfdbg.checks`` (each a module). Never the current directory, never a folder beside
the dump. One that does not load is a warning, not the end of the report.
"""

from __future__ import annotations

import logging
import os
import runpy
from importlib.metadata import entry_points
from pathlib import Path

logger = logging.getLogger("btfdbg")

GROUP = "btfdbg.checks"


def folder() -> Path:
    """Where a user's checks lie."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    # The XDG base directory specification: a relative path is to be ignored.
    if not os.path.isabs(base):
        base = os.path.expanduser("~/.config")
    return Path(base) / "btfdbg" / "checks"


def _own_file(path: Path) -> bool:
    """Whether a file belongs to us or to root and nobody else may write to it."""
    try:
        status = path.stat()
    except OSError:
        return False
    return status.st_uid in (os.getuid(), 0) and not status.st_mode & 0o002


def load() -> None:
    """Import them all."""
    for path in sorted(folder().glob("*.py")) if folder().is_dir() else ():
        if not _own_file(path):
            logger.warning("%s: not loaded: others may write to it", path)
            continue
        try:
            runpy.run_path(str(path))
        except Exception as e:  # whatever a user's file does, the report goes on
            logger.warning("%s: %s: %s", path, type(e).__name__, e)
    for entry in entry_points(group=GROUP):
        try:
            entry.load()
        except Exception as e:  # as above
            logger.warning("%s: %s: %s", entry.value, type(e).__name__, e)
