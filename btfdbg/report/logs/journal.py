"""journald's own formats as lines of a kernel log: ``journalctl -o export`` and ``-o verbose``.

Owns taking the kernel's messages out of entries. Every line of the input gives one of the
output, so that numbers of lines stay those of the file. Knows no message. What is JSON
json_lines.py reads.

Facts: systemd's JOURNAL_EXPORT_FORMATS (an entry is a field a line and ends with an empty
one, ``__`` fields first; a value with a line break is a length of 8 bytes and raw bytes after
the field's name alone), systemd.journal-fields(7) (``_TRANSPORT=kernel``) and
src/shared/logs-show.c (``output_verbose()``: the time and the cursor, then fields with blanks
before them).
"""

from __future__ import annotations

import re

from btfdbg.lazy_pattern import pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MAX_LINE = 1 << 16  # characters; what is longer is no message of the kernel
_MAX_LINES = 1 << 10  # of one entry
_STARTS = ("__CURSOR=", "__REALTIME_TIMESTAMP=", "__MONOTONIC_TIMESTAMP=")
_MESSAGE, _TRANSPORT, _NAME = "MESSAGE", "_TRANSPORT", "SYSLOG_IDENTIFIER"
_STAMPS = ("_SOURCE_MONOTONIC_TIMESTAMP", "__MONOTONIC_TIMESTAMP")  # the kernel's own first
KEPT = frozenset((_MESSAGE, _TRANSPORT, _NAME, *_STAMPS))
_VERBOSE = pattern(
    r"^\w{3} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{1,6} \S{1,9} \[[\w=;]{1,200}\]\n {4}\w+=",
    re.MULTILINE,
)


def is_export(start: str) -> bool:
    """Whether a text begins as ``journalctl -o export`` does."""
    return start.startswith(_STARTS)


def is_verbose(start: str) -> bool:
    """Whether a text begins as ``journalctl -o verbose`` does."""
    return _VERBOSE.search(start) is not None


def from_export(pieces: Iterable[str]) -> Iterator[str]:
    """
    Turn entries of ``-o export`` into lines.

    >>> "".join(from_export(["__CURSOR=s\\nMESSAGE=BUG: x\\n_TRANSPORT=kernel\\n\\n"]))
    'BUG: x\\n\\n\\n\\n'
    """
    entry: dict[str, str] = {}
    count = 0
    for line in lines_of(pieces):
        count += 1
        name, equals, value = line.partition("=")
        if equals and name in KEPT:
            entry[name] = value
        if not line or count >= _MAX_LINES:
            yield said(entry) + "\n" * count
            entry, count = {}, 0
    if count:
        yield said(entry) + "\n" * count


def from_verbose(pieces: Iterable[str]) -> Iterator[str]:
    """
    Turn entries of ``-o verbose`` into lines.

    >>> text = "Mon 2026-11-30 22:01:01.5 UTC [s=1;i=2]\\n    MESSAGE=BUG: x\\n"
    >>> "".join(from_verbose([text]))
    'BUG: x\\n\\n'
    """
    entry: dict[str, str] = {}
    count = 0
    for line in lines_of(pieces):
        if count and (not line.startswith(" ") or count >= _MAX_LINES):
            yield said(entry) + "\n" * count
            entry, count = {}, 0
        count += 1
        name, equals, value = line.strip().partition("=")
        if equals and name in KEPT:
            entry.setdefault(name, value)
    if count:
        yield said(entry) + "\n" * count


def said(entry: Mapping[str, str]) -> str:
    """The entry's message as the kernel's log has it, "" if it is not the kernel's."""
    message = entry.get(_MESSAGE, "")
    if entry.get(_TRANSPORT, "kernel") != "kernel" or entry.get(_NAME, "kernel") != "kernel":
        return ""
    message = message.replace("\n", " ")[:MAX_LINE]
    for name in _STAMPS:
        stamp = entry.get(name, "")
        if stamp.isascii() and stamp.isdigit() and len(stamp) <= 18:
            return f"[{int(stamp) // 1_000_000:5}.{int(stamp) % 1_000_000:06}] {message}"
    return message


def lines_of(pieces: Iterable[str], longest: int = MAX_LINE) -> Iterator[str]:
    """Whole lines; of those that are too long nothing is kept but that they were there."""
    rest = ""
    skipping = False
    for piece in pieces:
        lines = (rest + piece).split("\n")
        rest = lines.pop()
        for line in lines:
            yield "-" if skipping or len(line) > longest else line
            skipping = False
        if len(rest) > longest:
            rest, skipping = "", True
    if rest or skipping:
        yield "-" if skipping else rest
