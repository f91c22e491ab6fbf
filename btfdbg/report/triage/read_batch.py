"""Read dumps and logs in a process of their own: ``python -m btfdbg.report.triage.read_batch``.

Owns the protocol: a line of JSON on standard input names files and bounds; a line of JSON for
each file, and :data:`DONE` behind them, come on standard output. A Dask worker starts it: a
process with threads must not fork. It stays for the next files, so that what all reading imports
is imported once, and ends with the worker, or when nobody has asked for a minute.
"""

from __future__ import annotations

import json
import os
import select
import sys

from btfdbg.report.triage.crash_of import from_json, to_json
from btfdbg.report.triage.finding import Found
from btfdbg.report.triage.workers import Limits, Result, read_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def request(files: Sequence[Found], limits: Limits) -> str:
    """Return what :func:`main` reads."""
    return json.dumps(
        {
            "files": [[one.path, one.what, one.size, one.modified_ns] for one in files],
            "limits": [limits.seconds, limits.memory, limits.pages],
        }
    )


def answer(number: int, result: Result) -> dict[str, Any]:
    """
    Return a result as JSON values.

    :param number: Of the file in the request, from 0.
    """
    return {
        "number": number,
        "crash": None if result.crash is None else to_json(result.crash),
        "error": result.error,
        "page_error": result.page_error,
    }


def result_of(files: Sequence[Found], row: dict[str, Any]) -> Result:
    """
    Return the result that :func:`answer` made.

    :raises ValueError, KeyError, IndexError, TypeError: it is of another form.
    """
    crash = None if row["crash"] is None else from_json(row["crash"])
    found = files[int(row["number"])]
    return Result(found, crash, str(row["error"]), str(row["page_error"]))


DONE = {"done": True}
"""Behind the answers to one request."""
_IDLE = 60.0  # seconds


def main() -> int:
    """Answer requests until standard input ends or nothing comes; return the exit status."""
    read = os.fdopen(os.dup(0), "r", encoding="utf-8")
    while select.select([read], [], [], _IDLE)[0] and (line := read.readline()):
        wish = json.loads(line)
        files = [Found(*row) for row in wish["files"]]
        number = {one.path: i for i, one in enumerate(files)}
        seconds, memory, pages = wish["limits"]
        for result in read_all(files, Limits(seconds, memory, 1, pages)):
            row = answer(number[result.found.path], result)
            print(json.dumps(row), flush=True)
        print(json.dumps(DONE), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
