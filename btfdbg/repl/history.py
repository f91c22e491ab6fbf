"""The history of the prompt, shared between sessions.

Owns ``$XDG_STATE_HOME/btfdbg/history``: one JSON string per line, only what was
typed, never what was printed. A damaged line is skipped, a file that cannot be
written is not written, one that grew is cut when it is next opened.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from prompt_toolkit.history import History

from btfdbg.program.extensions import state_dir

_MAX_READ = 1 << 20  # bytes from the end of the file
_MAX_FILE = 4 << 20
_MAX_ENTRY = 4096  # what is longer was pasted


def encode(entry: str) -> bytes | None:
    """
    One entry as a line of the file; ``None`` if it is not to be kept.

    Not kept: what starts with two spaces, pastes, and text with control
    characters, which nobody typed.
    """
    if not entry.strip() or entry.startswith("  ") or len(entry) > _MAX_ENTRY:
        return None
    if any(ord(char) < 32 and char not in "\n\t" for char in entry):
        return None
    return json.dumps(entry).encode("ascii") + b"\n"


def decode(data: bytes) -> Iterator[str]:
    """Entries of a file in its order; damaged lines are left out."""
    for line in data.splitlines():
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, str) and encode(entry) is not None:
            yield entry


class SharedHistory(History):
    """History in a file that several sessions append to."""

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        self.path = state_dir() / "history" if path is None else path

    def load_history_strings(self) -> Iterable[str]:
        """Entries, newest first."""
        try:
            with open(self.path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(size - _MAX_READ, 0))
                data = file.read(_MAX_READ)
        except OSError:
            return []
        if size > _MAX_READ:
            data = data.partition(b"\n")[2]
        if size > _MAX_FILE:
            self._rewrite(data)
        return list(decode(data))[::-1]

    def store_string(self, string: str) -> None:
        """Append an entry; a place that cannot be written is no error."""
        line = encode(string)
        if line is None:
            return
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            fd = os.open(self.path, flags, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                size = os.fstat(fd).st_size
                if os.write(fd, line) < len(line):
                    # The disk is full: half a line would spoil the next one too.
                    os.ftruncate(fd, size)
            finally:
                os.close(fd)
        except OSError:
            pass

    def _rewrite(self, data: bytes) -> None:
        temporary = self.path.with_name(f".history.{os.getpid()}")
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(fd, "wb") as file:
                file.write(data)
            os.replace(temporary, self.path)
        except OSError:
            pass
