"""The index of triage as one HTML file: groups, their history, and what could not be read.

Owns what the page shows and in which words; its form is ``triage.html.j2``, its filters
``triage.js`` beside this file. The page needs no network; without script all of it is there
and only the filters are missing. Its Content-Security-Policy allows this one script by its
digest: whatever a dump puts into a name, no other runs.

The folder: ``index.html``, ``triage.jsonl`` (the same as JSON lines) and ``reports/``.
"""

from __future__ import annotations

import os

from btfdbg.errors import DebugInfoError
from btfdbg.report.kinds import KINDS
from btfdbg.report.logs.lines import printable
from btfdbg.report.pages import check_jinja, render, source
from btfdbg.report.triage.history import histories
from btfdbg.report.triage.singles import FOLDER, write_whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from btfdbg.report.triage.crash import Crash
    from btfdbg.report.triage.groups import Group, Hint
    from btfdbg.report.triage.workers import Result

INDEX, LINES = "index.html", "triage.jsonl"
_MAX_ROWS = 5000  # crashes of one group on the page; the JSON lines have all
_BANDS = (
    (84, "memory", "memory corruption"),
    (66, "fault", "fault"),
    (50, "stall", "locks, races and stalls"),
    (30, "report", "other reports"),
    (6, "outside", "shortage, hardware, devices"),
    (0, "none", "no fault of the kernel"),
)


def make_folder(folder: str) -> None:
    """
    Make the folder of an index, before anything is read.

    :raises DebugInfoError: It cannot be made, or Jinja2 is not installed.
    """
    check_jinja()
    try:
        os.makedirs(os.path.join(folder, FOLDER), exist_ok=True)
    except OSError as e:
        raise DebugInfoError(f"{folder}: {e.strerror or e}", step="output") from e


def write_index(
    folder: str,
    groups: Sequence[Group],
    hints: Sequence[Hint],
    errors: Sequence[Result],
    pages: Mapping[str, str],
    lines: str,
) -> str:
    """
    Write the index and the JSON lines beside it.

    :param pages: Path of a dump or log → name of its page; one that is missing has none.
    :param lines: As :func:`btfdbg.report.triage.as_text.rows` has them.
    :return: Path of the index.
    :raises DebugInfoError: It cannot be written; an index of an earlier run is kept.
    """
    path = os.path.join(folder, INDEX)
    try:
        write_whole(os.path.join(folder, LINES), lines)
        write_whole(path, as_html(groups, hints, errors, pages))
    except OSError as e:
        raise DebugInfoError(f"{path}: {e.strerror or e}", step="output") from e
    return path


def as_html(
    groups: Sequence[Group],
    hints: Sequence[Hint],
    errors: Sequence[Result],
    pages: Mapping[str, str],
) -> str:
    """
    Return the page.

    :param pages: As of :func:`write_index`.
    :raises DebugInfoError: Jinja2 is not installed.
    """
    check_jinja()
    from base64 import b64encode
    from hashlib import sha256

    from markupsafe import Markup

    script = source("triage.js")
    drawings, span = histories(groups)
    crashes = [crash for one in groups for crash in (*one.crashes, *one.duplicates)]
    values = {
        "script": Markup(script),  # ours; nothing of a dump is in it
        "script_digest": b64encode(sha256(script.encode()).digest()).decode(),
        "lines": LINES,
        "count": sum(one.count for one in groups),
        "span": span,
        "hosts": _sorted(crash.host for crash in crashes),
        "releases": _sorted(crash.release for crash in crashes),
        "models": _sorted(crash.model for crash in crashes),
        "bands": [row for row in _BANDS if any(_band(one)[0] == row[0] for one in groups)],
        "groups": [
            _group(number, one, drawing, pages)
            for number, (one, drawing) in enumerate(zip(groups, drawings, strict=True), 1)
        ],
        "hints": [_clean(hint.points_to, hint.subject, hint.words) for hint in hints],
        "errors": [_clean(one.found.path, one.error or one.found.skipped) for one in errors],
    }
    return render("triage.html.j2", values)


def _sorted(values: Any) -> list[str]:
    return sorted({printable(value) for value in values if value})


def _clean(*texts: str) -> list[str]:
    return [printable(text) for text in texts]


def _band(one: Group) -> tuple[int, str, str]:
    return next(row for row in _BANDS if one.severity >= row[0])


def _group(
    number: int, one: Group, drawing: dict[str, Any], pages: Mapping[str, str]
) -> dict[str, Any]:
    ordered = (*one.crashes, *one.duplicates)
    verdicts = dict.fromkeys(crash.verdict for crash in one.crashes if crash.verdict)
    band = _band(one)
    return {
        "id": f"g{number}",
        "title": printable(one.title),
        "kind": KINDS[one.kind].words,
        "band": band[1],
        "band_words": band[2],
        "count": one.count,
        "others": [printable(title) for title in one.titles[1:]],
        "verdict": printable(next(iter(verdicts), "")),
        "verdicts": len(verdicts),
        "history": {**drawing, "last": one.last or 0},
        "first": "" if one.first is None else day(one.first),
        "last": "" if one.last is None else day(one.last),
        "facts": [
            (words, [(printable(name), count) for name, count in rows])
            for words, rows in (
                ("Kernels", one.releases),
                ("Hosts", one.hosts),
                ("Models", one.models),
            )
            if rows
        ],
        "variants": len(one.variants),
        "known": [(printable(row.note), printable(row.fix)) for row in one.known],
        "crashes": [_crash(crash, crash in one.duplicates, pages) for crash in ordered[:_MAX_ROWS]],
        "left_out": max(len(ordered) - _MAX_ROWS, 0),
    }


def _crash(crash: Crash, duplicate: bool, pages: Mapping[str, str]) -> dict[str, Any]:
    page = pages.get(crash.path)
    return {
        "when": "" if crash.when is None else day(crash.when),
        "host": printable(crash.host),
        "release": printable(crash.release),
        "path": printable(crash.path),
        "source": crash.source,
        "page": None if page is None else f"{FOLDER}/{page}",
        "duplicate": duplicate,
        "corrupted": crash.corrupted,
    }


def day(when: float) -> str:
    """Return a time in seconds since 1970 as UTC."""
    from datetime import datetime, timezone

    return datetime.fromtimestamp(when, timezone.utc).strftime("%Y-%m-%d %H:%M")
