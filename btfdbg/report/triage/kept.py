"""Results of earlier runs of triage, so that a grown folder costs only what is new.

Owns the file: JSON lines, one per dump or log, keyed by what the file is known by wherever it
lies (see :func:`~btfdbg.report.triage.finding.fingerprint`), and by the version of the rules:
a folder that was moved is not read again. A line that is not of this form is passed over; the
file may be deleted at any time. It holds titles, hosts and kernels: only the user may
read it.
"""

from __future__ import annotations

import json
import os
from errno import ENOSPC

from btfdbg.lazy_dataclass import replace
from btfdbg.program.extensions import state_dir
from btfdbg.report.blame.signature import VERSION
from btfdbg.report.triage.crash_of import from_json, to_json
from btfdbg.report.triage.finding import fingerprint
from btfdbg.report.triage.groups import facts_of_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from btfdbg.report.triage.crash import Crash
    from btfdbg.report.triage.finding import Found

FORM = 6  # of the lines; raised when what is read from a dump changes
_MAX_FILE = 256 << 20


def default_path() -> str:
    """Return ``triage.jsonl`` in the folder of the user's state."""
    return str(state_dir() / "triage.jsonl")


class Kept:
    """
    The results of earlier runs.

    :param path: The file; None keeps and finds nothing.

    Nothing here raises: ``problem`` says what could not be read or written.
    """

    def __init__(self, path: str | None) -> None:
        self.path = path
        self.problem = ""
        self._rows: dict[str, Crash] = {}
        self._keys: dict[Found, str] = {}
        self._out: int | None = None
        if path is not None:
            self._load(path)

    def _key(self, found: Found) -> str:
        if found not in self._keys:  # before the file is read, not after
            self._keys[found] = fingerprint(found)
        return self._keys[found]

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
                self._rows[str(row["file"])] = from_json(row["crash"])
        except (ValueError, KeyError, TypeError, RecursionError):
            pass  # cut by a full disk, or of another version

    def get(self, found: Found) -> Crash | None:
        """Return what an earlier run read from a file that has not changed since."""
        if self.path is None:
            return None
        crash = self._rows.get(self._key(found))
        if crash is None:
            return None
        # It may have been named in another way, or have been moved to where a folder tells more.
        host, when = facts_of_path(found.path)
        return replace(
            crash,
            path=found.path,
            host=crash.host or host,
            when=when if crash.when is None else crash.when,
        )

    def add(self, found: Found, crash: Crash) -> None:
        """Keep a result at once, so that nothing done is lost."""
        key = "" if self.path is None else self._key(found)
        if self.path is None or not key:
            return
        row = {"form": FORM, "rules": VERSION, "file": key, "crash": to_json(crash)}
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
