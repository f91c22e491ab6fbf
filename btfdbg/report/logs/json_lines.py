"""JSON that carries a kernel's log, as lines: journald's, dmesg's, and what collectors keep.

Owns taking messages out of objects, one a line or one over many lines. Every line of the
input gives one of the output, so that numbers of lines stay those of the file; but a text of
many lines within one string gives as many as it has. Knows no message.

Facts: systemd's JOURNAL_EXPORT_FORMATS (a value is a string, a list of bytes, or null if it is
long; ``-o json-seq`` puts a record separator before each object, ``json-sse`` ``data:``);
util-linux' sys-utils/dmesg.c (``dmesg -J``: ``pri``, ``time``, ``msg``, in seconds); Docker's
json-file driver (``log``, with its line break); ``message`` is what most collectors call it.
"""

from __future__ import annotations

import json

from btfdbg.lazy_pattern import pattern
from btfdbg.report.logs.journal import KEPT, MAX_LINE, lines_of, said

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_MESSAGES = ("MESSAGE", "msg", "message", "log")
_JOURNALD = ("__CURSOR", "__REALTIME_TIMESTAMP", "__MONOTONIC_TIMESTAMP")
_BEGINS = pattern(r"[\s\x1e]*(?:data: *)?(?:\[\s*)?\{")
# One of the names, or a string with lines that the kernel stamped.
_HAS = pattern(r'"(?:MESSAGE|msg|message|log)"\s*:\s*["\[]|\\n\[ *\d{1,9}\.\d{6}\] ')
_FIELD = pattern(r'\s*"(?P<name>\w{1,64})"\s*:\s*(?P<value>".*"|[\d. ]{1,32}?)\s*,?\s*$')
_MAX_DOCUMENT = 64 << 20  # characters of one line: a whole log may be one
_MAX_OBJECT = 1 << 12  # lines of one object
_DEPTH = 8  # of objects in objects
_TEXT = 3  # lines of a string that is a log and no message


def is_json(start: str) -> bool:
    """Whether a text begins as JSON with messages in it does."""
    return _BEGINS.match(start) is not None and _HAS.search(start, 0, 8192) is not None


def is_exported(start: str) -> bool:
    """Whether it is certain that they are the kernel's: journald's fields or dmesg's."""
    if _BEGINS.match(start) is None:
        return False
    return any(f'"{name}"' in start[:8192] for name in (*_JOURNALD, "dmesg"))


def from_json(pieces: Iterable[str]) -> Iterator[str]:
    """
    Turn objects into lines.

    >>> "".join(from_json(['{"_TRANSPORT": "kernel", "MESSAGE": "BUG: x"}\\n']))
    'BUG: x\\n'
    >>> "".join(from_json(['{\\n"dmesg": [\\n{\\n"time": 1.5,\\n"msg": "BUG: x"\\n}]}\\n']))
    '[    1.500000] BUG: x\\n\\n\\n\\n\\n\\n'
    """
    entry: dict[str, object] = {}
    count = 0
    for raw in lines_of(pieces, _MAX_DOCUMENT):
        line = raw.strip(" \t\r\x1e").removeprefix("data:").lstrip()
        if not count or line.startswith(('{"', "[{")):
            whole = _parsed(line.rstrip(","))
            if whole is not None:
                if count:
                    yield _message(entry) + "\n" * count
                    entry, count = {}, 0
                yield _all(whole) + "\n"
                continue
        count += 1
        field = _FIELD.match(line)
        if field is not None and len(line) <= MAX_LINE:
            value = _parsed(field["value"].strip())
            if value is not None:
                entry.setdefault(field["name"], value)
        if line.startswith("}") or count >= _MAX_OBJECT:
            yield _message(entry) + "\n" * count
            entry, count = {}, 0
    if count:
        yield _message(entry) + "\n" * count


def _parsed(text: str) -> object:
    """The value, or None if it is cut or none."""
    try:
        found: object = json.loads(text) if text else ""
    except (ValueError, RecursionError):
        return None
    return found


def _all(value: object) -> str:
    """The messages of an object and of those within it, with line breaks between."""
    found: list[str] = []
    todo = [(value, 0)]
    while todo:
        one, depth = todo.pop()
        if isinstance(one, dict):
            message = _message(one)
            if message:
                found.append(message)
                continue
            inner: Iterable[object] = one.values()
        elif isinstance(one, list):
            inner = one
        else:
            if isinstance(one, str) and one.count("\n") >= _TEXT:
                found.append(one.strip("\n"))
            continue
        if depth < _DEPTH:
            todo.extend((each, depth + 1) for each in reversed(list(inner)))
    return "\n".join(found)


def _message(entry: Mapping[str, object]) -> str:
    """What an object says, stamped as the kernel stamps it; "" if nothing or not the kernel."""
    for name in _MESSAGES:
        if name not in entry:
            continue
        text = _text(entry[name])
        if len(text) > MAX_LINE and text.count("\n", 0, MAX_LINE) < _TEXT:
            return ""  # no message of the kernel
        if name == "MESSAGE":
            return said({key: _text(entry[key]) for key in KEPT if key in entry})
        text = text.rstrip("\n")
        if text.count("\n") < _TEXT:
            text = text.replace("\n", " ")
        return _stamp(entry) + text
    return ""


def _stamp(entry: Mapping[str, object]) -> str:
    """The kernel's stamp out of dmesg's or the collector's fields, "" if there is none."""
    seconds, part = entry.get("time", entry.get("sec")), entry.get("usec", 0)
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return ""
    if isinstance(part, int) and "sec" in entry:
        seconds += part / 1e6
    return f"[{seconds:12.6f}] " if 0 <= seconds < 1e9 else ""


def _text(value: object) -> str:
    """A field of JSON: journald writes what is not UTF-8 as a list of bytes."""
    if isinstance(value, list):
        try:
            return bytes(value).decode("utf-8", "replace")
        except (TypeError, ValueError):
            return ""  # several values of one field
    return value if isinstance(value, str) else ""
