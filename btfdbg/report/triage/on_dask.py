"""Read dumps and logs on the workers of a Dask scheduler: past what one machine can.

Owns handing the files out and taking the results in. The scheduler and its workers are
somebody else's; they must have btfdbg installed and see the files under the same paths. A
worker that dies costs the files that it was reading a second try elsewhere.

Facts: distributed's Client, as_completed and KilledWorker (its documentation, "Resilience").
"""

from __future__ import annotations

import time
from importlib.util import find_spec

from btfdbg.errors import DebugInfoError
from btfdbg.report.triage.read_batch import DONE, request, result_of
from btfdbg.report.triage.workers import Result, batches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from btfdbg.report.triage.finding import Found
    from btfdbg.report.triage.workers import Limits

_DUMPS_AT_ONCE = 1  # so that no worker waits for another's last batch
_CONNECT_SECONDS = 20
_SLACK = 60.0  # seconds for starting Python, besides what the files may take


def check_dask() -> None:
    """:raises DebugInfoError: distributed is not installed."""
    if find_spec("distributed") is None:
        raise DebugInfoError(
            "--scheduler needs Dask distributed", step="triage", hint="pip install 'btfdbg[dask]'"
        )


class _Reader:
    """A process that reads for this worker, one batch after the other."""

    def __init__(self) -> None:
        import subprocess
        import sys

        self.process = subprocess.Popen(
            [sys.executable, "-m", "btfdbg.report.triage.read_batch"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )

    def rows(self, wish: str, seconds: float) -> tuple[list[dict[str, Any]], str]:
        """Return what it answers, and why that is not all; then it is of no more use."""
        import json
        import select

        end = time.monotonic() + seconds
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        rows: list[dict[str, Any]] = []
        rest = b""
        try:
            self.process.stdin.write(wish.encode() + b"\n")
        except BrokenPipeError:
            pass  # it has ended: nothing will come
        while True:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                return rows, f"not done after {seconds:.0f} s"
            data = self.process.stdout.read(1 << 16)
            if not data:
                return rows, f"reading it ended with status {self.process.wait()}"
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                try:
                    row = json.loads(line)
                except ValueError:
                    return rows, "reading it gave no result"
                if row == DONE:
                    return rows, ""
                rows.append(row)

    def end(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.communicate()


_idle: list[_Reader] = []  # of this worker; as many as it has threads


def read_batch_here(wish: str, seconds: float) -> tuple[list[dict[str, Any]], str]:
    """
    Read some files in a process of their own; runs on a worker.

    :param wish: See :func:`btfdbg.report.triage.read_batch.request`.
    :param seconds: After which it is enough.
    :return: A row for each file that was read, and why there are no more.
    """
    while True:
        try:
            reader, fresh = _idle.pop(), False
        except IndexError:
            reader, fresh = _Reader(), True
        rows, why = reader.rows(wish, seconds)
        if not why:
            _idle.append(reader)
            return rows, ""
        reader.end()
        # One that was idle may have ended before it was asked.
        if fresh or rows or not why.startswith("reading it ended"):
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
