"""What triage says: the groups as text, and all of it as JSON lines.

Owns the words and the order. JSON lines: one object a line, ``type`` is ``crash``,
``error``, ``group`` or ``hint``; ``version`` is raised when a member changes its meaning.
"""

from __future__ import annotations

from btfdbg.report.counts import counted
from btfdbg.report.logs.lines import printable
from btfdbg.report.triage.crash_of import to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from btfdbg.report.triage.groups import Group, Hint
    from btfdbg.report.triage.workers import Result

JSON_VERSION = 1
_SHOWN = 4  # of hosts, kernels and the like in one line


def _day(when: float) -> str:
    from datetime import datetime, timezone

    return datetime.fromtimestamp(when, timezone.utc).strftime("%Y-%m-%d %H:%M")


def _list(rows: Sequence[tuple[str, int]]) -> str:
    words = [f"{name} ({count})" if count > 1 else name for name, count in rows[:_SHOWN]]
    if len(rows) > _SHOWN:
        words.append(f"and {len(rows) - _SHOWN} more")
    return ", ".join(words)


def _group_lines(one: Group) -> Iterator[str]:
    yield f"{one.count:5}  {one.title}"
    if len(one.titles) > 1:
        yield f"       also seen as {'; '.join(one.titles[1:])}"
    if one.first is not None and one.last is not None:
        since = _day(one.first)
        until = "" if one.first == one.last else f" to {_day(one.last)}"
        yield f"       when: {since}{until}"
    for words, rows in (("kernels", one.releases), ("hosts", one.hosts), ("models", one.models)):
        if rows:
            yield f"       {words}: {_list(rows)}"
    if len(one.variants) > 1:
        yield f"       variants: {len(one.variants)} different stacks"
    for row in one.known:
        fix = f" (fix: {row.fix})" if row.fix else ""
        yield f"       known: {row.note}{fix}"
    for crash in one.crashes[:_SHOWN]:
        yield f"       {crash.path}"
    if one.count > _SHOWN:
        yield f"       … and {one.count - _SHOWN} more (--format json has all)"
    if one.duplicates:
        count = len(one.duplicates)
        files = "a further file" if count == 1 else f"{count} further files"
        paths = ", ".join(crash.path for crash in one.duplicates[:_SHOWN])
        more = f" and {count - _SHOWN} more" if count > _SHOWN else ""
        yield f"       {files} of the same crash, not counted: {paths}{more}"


def as_text(groups: Sequence[Group], hints: Sequence[Hint], errors: Sequence[Result]) -> str:
    """Return the groups, the worst first, then the hints, then what could not be read."""
    crashes = sum(one.count for one in groups)
    found = f"{counted(crashes, 'crashes', 'crash')} in {counted(len(groups), 'groups')}"
    out = [found if crashes else "No crash was found."]
    for one in groups:
        out += ["", *_group_lines(one)]
    if hints:
        out += ["", "Taken together:"]
        out += [f"  {hint.points_to}: {hint.words}" for hint in hints]
    if errors:
        out += ["", f"Not read ({len(errors)}):"]
        out += [f"  {one.found.path}: {one.error or one.found.skipped}" for one in errors]
    return "\n".join(printable(line) for line in out)


def rows(
    groups: Sequence[Group], hints: Sequence[Hint], errors: Sequence[Result]
) -> Iterator[dict[str, Any]]:
    """Yield the JSON lines."""
    for number, one in enumerate(groups):
        yield {
            "type": "group",
            "version": JSON_VERSION,
            "group": number,
            "title": one.title,
            "kind": one.kind,
            "severity": one.severity,
            "count": one.count,
            "titles": list(one.titles),
            "variants": dict(one.variants),
            "releases": dict(one.releases),
            "hosts": dict(one.hosts),
            "models": dict(one.models),
            "first": one.first,
            "last": one.last,
            "known": [{"note": row.note, "fix": row.fix} for row in one.known],
        }
        for crash in (*one.crashes, *one.duplicates):
            yield {
                "type": "crash",
                "version": JSON_VERSION,
                "group": number,
                "duplicate": crash in one.duplicates,
                **to_json(crash),
            }
    for hint in hints:
        yield {
            "type": "hint",
            "version": JSON_VERSION,
            "points_to": hint.points_to,
            "subject": hint.subject,
            "words": hint.words,
        }
    for result in errors:
        yield {
            "type": "error",
            "version": JSON_VERSION,
            "path": result.found.path,
            "error": result.error or result.found.skipped,
        }
