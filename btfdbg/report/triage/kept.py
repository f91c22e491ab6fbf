"""Results of earlier runs of triage, so that a grown folder costs only what is new.

Owns the file: JSON lines, one per dump or log, keyed by the file's path, size and time of
change, and by the version of the rules. A line that is not of this form is passed over; the
file may be deleted at any time. It holds titles, hosts and kernels: only the user may
read it.
"""

from __future__ import annotations

import json
import os
from errno import ENOSPC

from btfdbg.lazy_dataclass import replace
from btfdbg.report.blame.signature import VERSION
from btfdbg.report.triage.crash_of import from_json, to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from btfdbg.report.triage.finding import Found
    from btfdbg.report.triage.groups import Crash

FORM = 3  # of the lines; raised when what is read from a dump changes
_MAX_FILE = 256 << 20


def default_path() -> str:
    """Return ``$XDG_STATE_HOME/btfdbg/triage.jsonl``."""
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(home, "btfdbg", "triage.jsonl")


class Kept:
    """
    The results of earlier runs.

    :param path: The file; None keeps and finds nothing.

    Nothing here raises: ``problem`` says what could not be read or written.
    """

    def __init__(self, path: str | None) -> None:
        self.path = path
        self.problem = ""
        self._rows: dict[tuple[object, ...], Crash] = {}
        self._out: int | None = None
        if path is not None:
            self._load(path)

    @staticmethod
    def _key(found: Found) -> tuple[object, ...]:
        return os.path.realpath(found.path), found.size, found.modified_ns

    def _load(self, path: str) -> None:
        try:
            with open(path, "rb") as f:
                if os.fstat(f.fileno()).st_uid != os.geteuid():
                    self.problem = f"{path}: not read: it is somebody else's"
                    self.path = None
                    return
                for line in f.read(_MAX_FILE).splitlines():
                    self._take(line)
        except FileNotFoundError:
            pass
        except OSError as e:
            self.problem = f"{path}: {e.strerror or e}"

    def _take(self, line: bytes) -> None:
        try:
            row = json.loads(line)
            if row["form"] == FORM and row["rules"] == VERSION:
                key = row["file"], row["size"], row["modified_ns"]
                self._rows[key] = from_json(row["crash"])
        except (ValueError, KeyError, TypeError, RecursionError):
            pass  # cut by a full disk, or of another version

    def get(self, found: Found) -> Crash | None:
        """Return what an earlier run read from a file that has not changed since."""
        crash = self._rows.get(self._key(found))
        # It may have been named in another way, relative to another folder.
        return None if crash is None else replace(crash, path=found.path)

    def add(self, found: Found, crash: Crash) -> None:
        """Keep a result at once, so that nothing done is lost."""
        if self.path is None:
            return
        file, size, modified = self._key(found)
        row = {
            "form": FORM,
            "rules": VERSION,
            "file": file,
            "size": size,
            "modified_ns": modified,
            "crash": to_json(crash),
        }
        try:
            if self._out is None:
                os.makedirs(os.path.dirname(self.path) or ".", mode=0o700, exist_ok=True)
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                self._out = os.open(self.path, flags, 0o600)
            # One write: runs at the same time do not mix their lines. The line begins with an
            # end of line, so that one that a full disk has cut spoils no other.
            line = b"\n" + json.dumps(row).encode() + b"\n"
            if os.write(self._out, line) < len(line):
                raise OSError(ENOSPC, os.strerror(ENOSPC))
        except OSError as e:
            self.problem = f"{self.path}: {e.strerror or e}; results are not kept"
            self.path = None

    def close(self) -> None:
        """Close the file."""
        if self._out is not None:
            os.close(self._out)
            self._out = None
