"""Read dumps and logs on the workers of a Dask scheduler: past what one machine can.

Owns handing the files out and taking the results in. The scheduler and its workers are
somebody else's; they must have btfdbg installed and see the files under the same paths. A
worker that dies costs the files that it was reading a second try elsewhere.

Facts: distributed's Client, as_completed and KilledWorker (its documentation, "Resilience").
"""

from __future__ import annotations

from importlib.util import find_spec

from btfdbg.errors import DebugInfoError
from btfdbg.report.triage.read_batch import request, result_of
from btfdbg.report.triage.workers import Result, batches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from btfdbg.report.triage.finding import Found
    from btfdbg.report.triage.workers import Limits

_DUMPS_AT_ONCE = 4  # by one process of a worker, one after the other
_CONNECT_SECONDS = 20
_SLACK = 60.0  # seconds for starting Python, besides what the files may take


def check_dask() -> None:
    """:raises DebugInfoError: distributed is not installed."""
    if find_spec("distributed") is None:
        raise DebugInfoError(
            "--scheduler needs Dask distributed", step="triage", hint="pip install 'btfdbg[dask]'"
        )


def read_batch_here(wish: str, seconds: float) -> tuple[list[dict[str, Any]], str]:
    """
    Read some files in a process of their own; runs on a worker.

    :param wish: See :func:`btfdbg.report.triage.read_batch.request`.
    :param seconds: After which it is enough.
    :return: A row for each file that was read, and why there are no more.
    """
    import json
    import subprocess
    import sys

    command = [sys.executable, "-m", "btfdbg.report.triage.read_batch"]
    why = ""
    try:
        done = subprocess.run(
            command, input=wish, capture_output=True, text=True, timeout=seconds, check=False
        )
        text = done.stdout
        if done.returncode:
            why = f"reading it ended with status {done.returncode}"
    except subprocess.TimeoutExpired as e:
        text = e.stdout.decode() if isinstance(e.stdout, bytes) else e.stdout or ""
        why = f"not done after {seconds:.0f} s"
    rows = []
    for line in text.splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows, why


def read_on_dask(files: Sequence[Found], limits: Limits, address: str) -> Iterator[Result]:
    """
    Read files, as they get ready.

    :param address: Of the scheduler, ``tcp://10.0.0.1:8786``.
    :raises DebugInfoError: distributed is not installed, or the scheduler does not answer.

    When the iteration is left early (Ctrl-C) what waits is taken back.
    """
    check_dask()
    if not files:
        return
    from distributed import Client, as_completed

    try:
        client = Client(address, timeout=_CONNECT_SECONDS)
    except Exception as e:  # OSError, TimeoutError, ValueError by version and address
        what = " ".join(str(e).split()) or type(e).__name__
        raise DebugInfoError(f"--scheduler {address}: {what}", step="triage") from e
    try:
        waiting = {}
        for number, batch in enumerate(batches(files, _DUMPS_AT_ONCE)):
            seconds = _SLACK + limits.seconds * len(batch)
            future = client.submit(
                read_batch_here, request(batch, limits), seconds,
                pure=False, key=f"btfdbg-triage-{id(files)}-{number}",
            )  # fmt: skip
            waiting[future] = batch
        for future in as_completed(list(waiting)):
            yield from _results(waiting.pop(future), future)
            future.release()
    finally:
        try:
            client.cancel(list(waiting))
        finally:
            client.close()


def _results(batch: Sequence[Found], future: Any) -> Iterator[Result]:
    why = ""
    rows: list[dict[str, Any]] = []
    try:
        rows, why = future.result()
    except Exception as e:  # KilledWorker, or what a worker without btfdbg raises
        why = f"{type(e).__name__}: {' '.join(str(e).split())}"
        if isinstance(e, ImportError):
            why = f"the workers need btfdbg as well: {e}"
    missing = list(batch)
    for row in rows:
        try:
            result = result_of(batch, row)
        except (ValueError, KeyError, IndexError, TypeError) as e:
            why = f"the workers have another btfdbg: {e}"
            break
        missing.remove(result.found)
        yield result
    for found in missing:
        yield Result(found, None, why or "the worker gave no result")
