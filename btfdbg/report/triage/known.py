"""Local knowledge of crashes: ``known.toml``.

Owns the file's form and its checks. A row says which crashes it is about, and a note::

    [[known]]
    title = "NULL dereference in nvme_timeout [nvme]"   # or any alternative key
    note = "fixed in the next kernel"
    fix = "1c5837c2a4e7"

    [[known]]
    kind = "hung-task"
    function = "xfs_*"          # shell patterns over function, module, release, host, model
    release = "6.1.*"
    note = "storage maintenance of the 12th"

All conditions of a row must hold. A row without a condition, or with a word that is not
known, is an error that names its line.
"""

from __future__ import annotations

from btfdbg.errors import DebugInfoError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.report.kinds import KINDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from btfdbg.report.triage.crash import Crash

_MAX_ROWS = 10_000
_CONDITIONS = ("title", "kind", "function", "module", "release", "host", "model", "stack")
_WORDS = (*_CONDITIONS, "note", "fix")


@dataclass(frozen=True, slots=True)
class Known:
    """One row: its conditions as (word, pattern) pairs, a note, the commit of a fix."""

    conditions: tuple[tuple[str, str], ...]
    note: str
    fix: str = ""

    def covers(self, crash: Crash) -> bool:
        """Say whether all conditions hold for a crash."""
        from fnmatch import fnmatchcase

        found = crash.signature
        values = {
            "kind": crash.kind,
            "function": found.function or "",
            "module": found.module or "",
            "release": crash.release,
            "host": crash.host,
            "model": crash.model,
            "stack": found.stack_hash,
        }
        for word, pattern in self.conditions:
            if word == "title":
                if pattern != found.title and pattern not in found.alternatives:
                    return False
            elif not fnmatchcase(values[word], pattern):
                return False
        return True


def parse_known(text: str, name: str = "known.toml") -> tuple[Known, ...]:
    """
    Read a file's text.

    :param name: For messages.
    :raises DebugInfoError: The text is no TOML, or a row is not of the form.

    >>> parse_known('[[known]]\\nkind = "hung-task"\\nnote = "storage"')[0].note
    'storage'
    """
    import sys

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as e:
        raise DebugInfoError(f"{name}: {e}", step="known") from e
    rows = data.pop("known", [])
    if data:
        raise DebugInfoError(f"{name}: {next(iter(data))!r} is not known; rows are [[known]]")
    if not isinstance(rows, list) or len(rows) > _MAX_ROWS:
        raise DebugInfoError(f"{name}: rows are [[known]], at most {_MAX_ROWS}")
    return tuple(_row(row, f"{name}: row {i}") for i, row in enumerate(rows, 1))


def _row(row: Any, where: str) -> Known:
    if not isinstance(row, dict):
        raise DebugInfoError(f"{where}: not a table; rows are [[known]]")
    for word, value in row.items():
        if word not in _WORDS:
            raise DebugInfoError(f"{where}: {word!r} is not known; there are {', '.join(_WORDS)}")
        if not isinstance(value, str):
            raise DebugInfoError(f"{where}: {word} wants a string")
    conditions = tuple((word, row[word]) for word in _CONDITIONS if word in row)
    if not conditions:
        raise DebugInfoError(f"{where}: no condition, it would cover every crash")
    if row.get("kind", "bug") not in KINDS:
        raise DebugInfoError(f"{where}: there is no kind {row['kind']!r}")
    if not row.get("note") and not row.get("fix"):
        raise DebugInfoError(f"{where}: neither a note nor a fix")
    return Known(conditions, row.get("note", ""), row.get("fix", ""))
