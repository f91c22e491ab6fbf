"""Find dumps and logs in folders.

Owns what counts as a dump or a log, and the words for what does not. Opens nothing that
could block, follows no link to a folder, and looks at the first bytes only.

Facts: the folders of kdump-tools and kdump-utils (vmcore-incomplete, dump-incomplete);
systemd-pstore(8); the formats' magics as in vmcore/identify.py.
"""

from __future__ import annotations

import os
import re
import stat

from btfdbg.lazy_dataclass import dataclass
from btfdbg.report.logs.files import beginning, is_dump, is_packed, text_at_start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_FILES = 200_000  # looked at; what comes after is named as left out
_DEPTH = 32
_SAMPLE, _SAMPLES = 4096, 8  # bytes of a file that tell it from others, and how often

_LOG_NAME = re.compile(
    r"(?:vmcore-)?dmesg(?:[.-].*)?(?:\.(?:txt|log))?|.*\.(?:log|txt|console|kmsg|dmesg)"
    r"|console(?:[.-].*)?|kern\.log.*|messages.*|dmesg-\w+.*|oops.*",
    re.IGNORECASE,
)
# What kdump and the like call a dump: one that turns out to be nothing is worth a word.
_DUMP_NAME = re.compile(
    r"vmcore(?:[.-].*)?|dump\.\d{8,14}|.*\.(?:vmcore|kdump|lime)", re.IGNORECASE
)
# Two lines with the kernel's time stamps: a log under whatever name.
_LINES = re.compile(r"^(?:<\d+>)?\[ *\d+\.\d{6}\].*\n(?:<\d+>)?\[ *\d+\.\d{6}\]", re.MULTILINE)
_PACKED = re.compile(r"\.(?:gz|xz|zst|zstd|bz2)$")
_UNFINISHED = re.compile(r".*(?:-incomplete|\.incomplete|\.part|\.tmp|\.partial)(?:\.\w+)?")


@dataclass(frozen=True, slots=True)
class Found:
    """A file: ``what`` is ``dump`` or ``log``; ``skipped`` says why it is not looked at."""

    path: str
    what: str
    size: int = 0
    modified_ns: int = 0
    skipped: str = ""


def find(paths: Iterable[str]) -> Iterator[Found]:
    """
    Yield the dumps and logs under some paths, each file once.

    A path that is named and is no dump or log is yielded with the reason; so is a file in
    a folder that looks unfinished, cannot be read, or has a dump's name and is none (an empty
    ``vmcore``). Other files in folders are passed over.
    """
    seen: set[tuple[int, int]] = set()
    looked = 0
    for path in paths:
        for one, named in _walk(path, 0):
            looked += 1
            if looked > MAX_FILES:
                yield Found(path, "", skipped=f"more than {MAX_FILES} files: the rest is left out")
                return
            found = _judge(one, named, seen)
            if found is not None:
                yield found


def changed(found: Found) -> bool:
    """Say whether a file is another one than was found: longer, say, or gone."""
    try:
        status = os.stat(found.path)
    except OSError:
        return True
    return (status.st_size, status.st_mtime_ns) != (found.size, found.modified_ns)


def fingerprint(found: Found) -> str:
    """
    Return what a file is known by wherever it lies and whatever it is called.

    That is its size, when it was last changed, and a hash over its beginning, pieces from its
    middle, and its end. A copy that keeps the time (``cp -p``, ``rsync -t``, ``mv``) has the
    same. Empty if it cannot be read, or is another file than was found.
    """
    from hashlib import sha256

    if changed(found):
        return ""
    digest = sha256(f"{found.what} {found.size} {found.modified_ns}".encode())
    last = max(found.size - _SAMPLE, 0)
    try:
        with open(found.path, "rb") as f:
            for at in sorted({last * i // _SAMPLES for i in range(_SAMPLES + 1)}):
                digest.update(os.pread(f.fileno(), _SAMPLE, at))
    except OSError:
        return ""
    return digest.hexdigest()[:40]


def _walk(path: str, depth: int) -> Iterator[tuple[str, bool]]:
    """Yield files, and whether they were named; links to folders only where they were named."""
    if depth == 0 and not os.path.isdir(path):
        yield path, True
        return
    if depth > _DEPTH:
        return
    try:
        with os.scandir(path) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        yield path, True  # named as what cannot be read
        return
    for entry in ordered:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, depth + 1)
        else:
            yield entry.path, False


def _judge(path: str, named: bool, seen: set[tuple[int, int]]) -> Found | None:
    try:
        status = os.stat(path)
    except OSError as e:
        return Found(path, "", skipped=e.strerror or str(e))
    if not stat.S_ISREG(status.st_mode):
        if stat.S_ISDIR(status.st_mode) and not named:
            return None  # a link to a folder
        words = "cannot be listed" if stat.S_ISDIR(status.st_mode) else "not a file"
        return Found(path, "", skipped=words)
    identity = (status.st_dev, status.st_ino)
    if identity in seen:
        return None
    seen.add(identity)
    name = os.path.basename(path)
    if _UNFINISHED.fullmatch(name):
        return Found(path, "", skipped="still being written, or never finished")
    try:
        start = beginning(path)
    except OSError as e:
        return Found(path, "", skipped=e.strerror or str(e))
    size, modified = status.st_size, status.st_mtime_ns
    if is_dump(start):
        return Found(path, "dump", size, modified)
    telling = named or bool(_DUMP_NAME.fullmatch(_PACKED.sub("", name)))
    if not size:
        return Found(path, "", skipped="empty") if telling else None
    is_log = named or bool(_LOG_NAME.fullmatch(_PACKED.sub("", name)))
    text = text_at_start(start)
    if text is None:
        if is_log and is_packed(start):  # nothing of it can be unpacked: reading it says why
            return Found(path, "log", size, modified)
        return _neither(path, telling)
    if is_log:
        return Found(path, "log", size, modified)
    if _LINES.search(text) or _is_journal(text):
        return Found(path, "log", size, modified)
    return _neither(path, telling)


def _neither(path: str, telling: bool) -> Found | None:
    """What is said of a file that is nothing: only of one that was named, or named as a dump."""
    return Found(path, "", skipped="neither a dump nor a log") if telling else None


def _is_journal(text: str) -> bool:
    """Whether a file is what ``journalctl`` exports, as the reader of logs takes it."""
    from btfdbg.report.logs.journal import is_export, is_verbose
    from btfdbg.report.logs.json_lines import is_exported

    return is_export(text) or is_exported(text) or is_verbose(text)
