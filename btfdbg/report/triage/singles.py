"""The pages that the rows of triage's index open: one report per dump or log.

Owns their names and the writing, whole or not at all. A page that an earlier run wrote for
the same file and the same rules is taken as it is.
"""

from __future__ import annotations

import os
import re

from btfdbg.report.blame.signature import VERSION as RULES_VERSION
from btfdbg.report.parts import VERSION as REPORT_VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from btfdbg.report.parts import Report
    from btfdbg.report.triage.finding import Found

FOLDER = "reports"
"""Beside the index."""
_FORM = 2  # of the page; raised when what it shows changes
_READABLE = 48  # characters of the path that a name keeps
_OTHERS = re.compile(r"[^A-Za-z0-9.]+")


def page_name(found: Found) -> str:
    """
    Return the name of a file's page: the last of its path, then hexadecimal digits.

    The digits tell files of one name apart; they are others when the file, the rules or the
    report have changed. Of the path only letters, digits and dots are kept, whatever the file
    is called: ``h1-2026-11-01-21-00-36-vmcore-5dab98a4ba0105ff.html``.
    """
    from hashlib import sha256

    key = (
        os.path.realpath(found.path), found.size, found.modified_ns,
        REPORT_VERSION, RULES_VERSION, _FORM,
    )  # fmt: skip
    digits = sha256(repr(key).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    last = "-".join(os.path.abspath(found.path).split(os.sep)[-2:])
    readable = _OTHERS.sub("-", last)[-_READABLE:].strip("-.")
    return f"{readable}-{digits}.html".lstrip("-")


def has_page(folder: str, found: Found) -> bool:
    """Say whether a file's page is there."""
    return os.path.isfile(os.path.join(folder, FOLDER, page_name(found)))


def write_page(folder: str, found: Found, report: Report) -> None:
    """
    Write a file's page.

    :param folder: Of the index; its folder for the pages is there.
    :raises OSError: It cannot be written; then there is none.
    """
    from btfdbg.report.as_html import as_html

    write_whole(os.path.join(folder, FOLDER, page_name(found)), as_html(report) + "\n")


def write_whole(path: str, text: str) -> None:
    """
    Write a file beside and put it in its place when it is whole.

    :raises OSError: It cannot be written; one that was there is kept.
    """
    part = f"{path}.{os.getpid()}.part"
    try:
        with open(part, "w", encoding="utf-8", errors="backslashreplace") as f:
            f.write(text)
        os.replace(part, path)
    except BaseException:
        try:
            os.unlink(part)
        except OSError:
            pass
        raise
