"""Read some dumps and logs in a process of its own: ``python -m btfdbg.report.triage.read_batch``.

Owns the protocol: files and bounds as one JSON value on standard input, a line of JSON for
each file on standard output. A Dask worker starts it: a process with threads must not fork.
"""

from __future__ import annotations

import json
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


def main() -> int:
    """Read the files that standard input names; return the exit status."""
    wish = json.load(sys.stdin)
    files = [Found(*row) for row in wish["files"]]
    number = {one.path: i for i, one in enumerate(files)}
    seconds, memory, pages = wish["limits"]
    for result in read_all(files, Limits(seconds, memory, 1, pages)):
        row = answer(number[result.found.path], result)
        print(json.dumps(row), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
