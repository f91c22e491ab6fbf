"""A user's own Python: files in the configuration folder, and installed packages.

Owns where it may come from: ``$XDG_CONFIG_HOME/btfdbg/FOLDER/*.py`` and an entry point group
(each entry point is a module). Never the current directory, never a folder beside the dump.
What fails to load is a warning, not the end. What it is for is its caller's matter.

Facts: the XDG base directory specification.
"""

from __future__ import annotations

import logging
import os
import runpy
import sys

from btfdbg.program.plugins import installed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger("btfdbg")


def config_dir() -> Path:
    """``$XDG_CONFIG_HOME/btfdbg``, whether it exists or not."""
    return _path(_config())


def state_dir() -> Path:
    """``$XDG_STATE_HOME/btfdbg``, whether it exists or not."""
    return _path(_xdg("XDG_STATE_HOME", ".local/state"))


def _config() -> str:
    return _xdg("XDG_CONFIG_HOME", ".config")


def _path(name: str) -> Path:
    from pathlib import Path  # slow to import, and nearly nobody has files there

    return Path(name)


def _xdg(variable: str, default: str) -> str:
    value = os.environ.get(variable, "")
    # The specification: a relative path is to be ignored.
    if value and os.path.isabs(value):
        return os.path.join(value, "btfdbg")
    return os.path.join(os.path.expanduser("~"), default, "btfdbg")


def own_file(path: Path) -> bool:
    """Whether a file belongs to us or to root and nobody else may write to it."""
    try:
        status = path.stat()
    except OSError:
        return False
    return status.st_uid in (os.getuid(), 0) and not status.st_mode & 0o002


def are_there(folder: str, group: str) -> bool:
    """Whether a folder has files, or packages with modules of a group are installed."""
    return bool(_files(folder)) or installed(sys.path, group.encode()) != set()


def _files(folder: str) -> list[str]:
    """Paths of a folder's files, sorted."""
    path = os.path.join(_config(), folder)
    try:
        return [os.path.join(path, name) for name in sorted(os.listdir(path)) if name[-3:] == ".py"]
    except OSError:
        return []


def load(folder: str, group: str) -> list[str]:
    """
    Run the user's files of a folder, then import the modules of an entry point group.

    :param folder: Below :func:`config_dir`.
    :return: Files and entry points that were loaded.
    """
    loaded = []
    for file in map(_path, _files(folder)):
        if not own_file(file):
            logger.warning("%s: not loaded: others may write to it", file)
            continue
        try:
            runpy.run_path(str(file), run_name=f"btfdbg_user_{folder}_{file.stem}")
        # Someone else's code; whatever it raises must not cost us the prompt or the report.
        except Exception as e:
            logger.warning("%s: not loaded: %s: %s", file, type(e).__name__, e)
        else:
            loaded.append(str(file))
    return loaded + _load_entry_points(group)


def _load_entry_points(group: str) -> list[str]:
    # importlib.metadata takes as long as opening a dump, and nearly nobody has any.
    if installed(sys.path, group.encode()) == set():
        return []
    from importlib.metadata import entry_points

    loaded = []
    for entry in entry_points(group=group):
        try:
            entry.load()
        # As above: an installed package that is broken is the package's matter.
        except Exception as e:
            logger.warning("%s: %s: not loaded: %s: %s", group, entry.name, type(e).__name__, e)
        else:
            loaded.append(entry.name)
    return loaded
