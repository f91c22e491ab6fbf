"""journald's own formats as lines of a kernel log: ``journalctl -o export`` and ``-o json``.

Owns taking the kernel's messages out of entries. Every line of the input gives one of the
output, so that numbers of lines stay those of the file. Knows no message.

Facts: systemd's JOURNAL_EXPORT_FORMATS (an entry is a field a line and ends with an empty
one, ``__`` fields first; a value with a line break is a length of 8 bytes and raw bytes after
the field's name alone; in JSON a value is a string, a list of bytes, or null if it is long)
and systemd.journal-fields(7) (``_TRANSPORT=kernel``).
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_MAX_LINE = 1 << 16  # characters; what is longer is no message of the kernel
_MAX_LINES = 1 << 10  # of one entry
_STARTS = ("__CURSOR=", "__REALTIME_TIMESTAMP=", "__MONOTONIC_TIMESTAMP=")
_MESSAGE, _TRANSPORT, _NAME = "MESSAGE", "_TRANSPORT", "SYSLOG_IDENTIFIER"
_STAMPS = ("_SOURCE_MONOTONIC_TIMESTAMP", "__MONOTONIC_TIMESTAMP")  # the kernel's own first
_KEPT = frozenset((_MESSAGE, _TRANSPORT, _NAME, *_STAMPS))


def is_export(start: str) -> bool:
    """Whether a text begins as ``journalctl -o export`` does."""
    return start.startswith(_STARTS)


def is_json(start: str) -> bool:
    """Whether a text begins as ``journalctl -o json`` does."""
    return start.startswith("{") and any(f'"{name[:-1]}"' in start[:8192] for name in _STARTS)


def from_export(pieces: Iterable[str]) -> Iterator[str]:
    """
    Turn entries of ``-o export`` into lines.

    >>> "".join(from_export(["__CURSOR=s\\nMESSAGE=BUG: x\\n_TRANSPORT=kernel\\n\\n"]))
    'BUG: x\\n\\n\\n\\n'
    """
    entry: dict[str, str] = {}
    count = 0
    for line in _lines(pieces):
        count += 1
        name, equals, value = line.partition("=")
        if equals and name in _KEPT:
            entry[name] = value
        if not line or count >= _MAX_LINES:
            yield _said(entry) + "\n" * count
            entry, count = {}, 0
    if count:
        yield _said(entry) + "\n" * count


def from_json(pieces: Iterable[str]) -> Iterator[str]:
    """
    Turn objects of ``-o json``, one a line, into lines.

    >>> "".join(from_json(['{"_TRANSPORT": "kernel", "MESSAGE": "BUG: x"}\\n']))
    'BUG: x\\n'
    """
    for line in _lines(pieces):
        try:
            entry = json.loads(line) if line else {}
        except (ValueError, RecursionError):
            entry = {}  # cut, or no entry
        if isinstance(entry, dict):
            yield _said({key: _text(entry[key]) for key in _KEPT if key in entry}) + "\n"
        else:
            yield "\n"


def _text(value: object) -> str:
    """A field of JSON: journald writes what is not UTF-8 as a list of bytes."""
    if isinstance(value, list):
        try:
            return bytes(value).decode("utf-8", "replace")
        except (TypeError, ValueError):
            return ""  # several values of one field
    return value if isinstance(value, str) else ""


def _said(entry: Mapping[str, str]) -> str:
    """The entry's message as the kernel's log has it, "" if it is not the kernel's."""
    message = entry.get(_MESSAGE, "")
    if entry.get(_TRANSPORT, "kernel") != "kernel" or entry.get(_NAME, "kernel") != "kernel":
        return ""
    message = message.replace("\n", " ")[:_MAX_LINE]
    for name in _STAMPS:
        stamp = entry.get(name, "")
        if stamp.isascii() and stamp.isdigit() and len(stamp) <= 18:
            return f"[{int(stamp) // 1_000_000:5}.{int(stamp) % 1_000_000:06}] {message}"
    return message


def _lines(pieces: Iterable[str]) -> Iterator[str]:
    """Whole lines; of those that are too long nothing is kept but that they were there."""
    rest = ""
    skipping = False
    for piece in pieces:
        lines = (rest + piece).split("\n")
        rest = lines.pop()
        for line in lines:
            yield "-" if skipping or len(line) > _MAX_LINE else line
            skipping = False
        if len(rest) > _MAX_LINE:
            rest, skipping = "", True
    if rest or skipping:
        yield "-" if skipping else rest
