"""Which plugins drgn has to load when a dump is opened.

Owns the decision that there is nothing to load. drgn asks ``importlib.metadata``, whose
import and scan take twice as long as opening a dump; where no plugin but drgn's own and
ours is installed, drgn is told not to ask. Its own ones register commands, and whoever
needs those imports them.

Facts: drgn 0.3 ``_drgn_util/plugins.py`` (entry points of the group ``drgn.plugins``;
``DRGN_DISABLE_PLUGINS=*`` skips them, ``DRGN_PLUGINS`` is honoured all the same); PyPA's
entry points specification.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable

_VARIABLE = "DRGN_DISABLE_PLUGINS"
_GIVEN = "DRGN_PLUGINS"
# drgn's own import all of its commands; ours would attach a second time.
_NOT_NEEDED = ("btfdbg", "builtin_commands", "crash_commands")
_GROUP = b"drgn.plugins"
_MAX_FILE = 1 << 20
_SETTLED = 2_000_000_000  # ns, in which a folder may change twice under one time
# Folders as they were, and the entry points of what was installed there. Each command of a
# prompt asks for several groups, and to list and to read takes some 0.8 ms.
_known: list[tuple[tuple[list[str], list[tuple[int, ...]]], list[bytes]]] = []


def skip_own_plugins() -> None:
    """Let drgn load the user's plugins only, and look for them only if there are any."""
    hidden = os.environ.get(_VARIABLE)
    if hidden == "*":
        return
    names = installed(sys.path)
    if names is not None and names.issubset(_NOT_NEEDED):
        os.environ[_VARIABLE] = "*"
    else:
        os.environ[_VARIABLE] = ",".join(filter(None, (hidden, *_NOT_NEEDED)))


def are_ours_alone() -> bool:
    """Whether drgn was told, or has, to load no plugin of anybody else's."""
    return os.environ.get(_VARIABLE) == "*" and not os.environ.get(_GIVEN)


def installed(path: Iterable[str], group: bytes = _GROUP) -> set[str] | None:
    """
    Return the names of all drgn plugins that are installed.

    :param path: As :data:`sys.path`.
    :param group: Of entry points; another one than drgn's for what extends btfdbg.
    :return: ``None`` if only Python's own machinery can tell.
    """
    if any(
        hasattr(finder, "find_distributions") and getattr(finder, "__name__", "") != "PathFinder"
        for finder in sys.meta_path
    ):
        return None
    folders = [folder or "." for folder in path]
    stamps = _stamps(folders)
    if stamps is not None and _known and _known[0][0] == (folders, stamps):
        texts: list[bytes] | None = _known[0][1]
    else:
        texts = _look(folders)
        if texts is not None and stamps is not None:
            _known[:] = [((folders, stamps), texts)]
    return None if texts is None else {name for text in texts for name in _names(text, group)}


def _stamps(folders: list[str]) -> list[tuple[int, ...]] | None:
    """What tells that nothing was added to folders; ``None`` if something just was."""
    stamps: list[tuple[int, ...]] = []
    settled = time.time_ns() - _SETTLED
    for folder in folders:
        try:
            status = os.stat(folder)
        except OSError:
            stamps.append(())
            continue
        if status.st_mtime_ns > settled:
            return None
        stamps.append((status.st_dev, status.st_ino, status.st_mtime_ns))
    return stamps


def _look(folders: list[str]) -> list[bytes] | None:
    """The files of entry points in folders; ``None`` if only Python's machinery can tell."""
    texts: list[bytes] = []
    for folder in folders:
        try:
            entries = os.listdir(folder)
        except NotADirectoryError:
            return None  # an archive
        except OSError:
            continue
        for entry in entries:
            if entry.endswith((".dist-info", ".egg-info")):
                text = _read(os.path.join(folder, entry, "entry_points.txt"))
                if text is None:
                    return None
                if text:
                    texts.append(text)
            elif entry.endswith(".egg"):
                return None
    return texts


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(_MAX_FILE)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError:
        return None


def _names(text: bytes, wanted: bytes) -> set[str]:
    """The names of one group in a file of entry points."""
    names: set[str] = set()
    if wanted not in text:
        return names
    group = b""
    for line in text.splitlines():
        line = line.strip()
        if line.startswith(b"[") and line.endswith(b"]"):
            group = line[1:-1].strip()
        elif group == wanted and line[:1] not in (b"", b"#", b";"):
            names.add(line.partition(b"=")[0].strip().decode("utf-8", "replace"))
    return names
