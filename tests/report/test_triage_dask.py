"""Triage on a real Dask scheduler with two workers, of which one dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from btfdbg.cli.main import main
from btfdbg.report.triage import on_dask
from btfdbg.report.triage.finding import find
from btfdbg.report.triage.read_batch import request
from btfdbg.report.triage.workers import Limits
from tests.report.test_events import ARM64, HUNG, NULL, stamped

pytest.importorskip("distributed")
pytestmark = pytest.mark.slow

_MAIN = "import sys; from btfdbg.cli.main import main; sys.exit(main())"
# Of the processes that workers start: says which worker reads, and takes its time.
_SITE = """
import os, sys, time
if "btfdbg.report.triage.read_batch" in sys.orig_argv:
    open(os.path.join({folder!r}, str(os.getppid())), "a").close()
    time.sleep({seconds})
"""


class Cluster:
    """A scheduler and workers as processes of their own."""

    def __init__(self, folder: Path, workers: int, seconds: float) -> None:
        self.reading = folder / "reading"
        self.reading.mkdir()
        site = folder / "site"
        site.mkdir()
        text = _SITE.format(folder=str(self.reading), seconds=seconds)
        (site / "sitecustomize.py").write_text(text)
        self._file = folder / "scheduler.json"
        self._log = (folder / "log").open("wb")
        self._environment = {**os.environ, "PYTHONPATH": str(site)}
        words = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        self.processes = [self._start("dask_scheduler", *words)]
        end = time.monotonic() + 300
        while not self._file.exists() or not self._file.read_text().rstrip().endswith("}"):
            assert time.monotonic() < end
            time.sleep(0.1)
        self.address: str = json.loads(self._file.read_text())["address"]
        for _ in range(workers):
            words = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0"]
            words += ["--local-directory", str(folder), "--host", "127.0.0.1"]
            self.processes.append(self._start("dask_worker", *words))

    def _start(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{name}"]
        command += ["--scheduler-file", str(self._file), *words]
        return subprocess.Popen(command, stdout=self._log, stderr=self._log, env=self._environment)

    def end(self) -> None:
        """End what still runs."""
        for process in reversed(self.processes):
            process.kill()
            process.wait()
        self._log.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Two workers, each of which takes four seconds for what it reads."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    made = Cluster(folder, 2, 4.0)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Sixty logs of three bugs, and one that is none: three rounds for two workers."""
    folder = tmp_path / "crash"
    folder.mkdir()
    for number in range(60):
        log = (NULL, HUNG, ARM64)[number % 3]
        (folder / f"{number:02}.log").write_text(stamped(log, f"[  {number}.123456] "))
    (folder / "vmcore").write_bytes(b"KDUMP   " + bytes(9000))
    return folder


def test_a_worker_that_dies_loses_nothing(cluster: Cluster, logs: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _MAIN, "triage", str(logs), "--format", "json"]
    command += ["--scheduler", cluster.address, "--html", str(tmp_path / "out"), "--afresh", "-q"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + 300
        pids = {worker.pid: worker for worker in cluster.processes[1:]}
        while not (both := [int(p.name) for p in cluster.reading.iterdir()]) or len(both) < 2:
            assert time.monotonic() < end
            assert process.poll() is None
            time.sleep(0.05)
        os.kill(both[0], signal.SIGKILL)
        pids[both[0]].wait()
        out, _ = process.communicate(timeout=600)
    assert process.returncode == 1  # for the damaged dump
    rows = [json.loads(line) for line in out.splitlines()]
    assert sum(row["type"] == "crash" for row in rows) == 60
    assert sorted(row["count"] for row in rows if row["type"] == "group") == [20, 20, 20]
    (error,) = [row for row in rows if row["type"] == "error"]
    assert error["path"].endswith("/vmcore")
    assert "the kdump header is damaged" in error["error"]
    assert len(list((tmp_path / "out" / "reports").iterdir())) == 60


def test_results_are_those_of_this_machine(
    cluster: Cluster, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["triage", str(logs), "--format", "json", "--afresh", "-q"]
    assert main(words) == 1
    here = capsys.readouterr().out
    assert main([*words, "--scheduler", cluster.address]) == 1
    there = capsys.readouterr().out
    assert there.split("written to")[0] == here.split("written to")[0]


def test_no_scheduler_is_one_line(
    logs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_dask, "_CONNECT_SECONDS", 1)
    assert main(["triage", str(logs), "--scheduler", "tcp://127.0.0.1:9", "--afresh"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("btfdbg: --scheduler tcp://127.0.0.1:9: ")
    assert len(said.splitlines()) <= 2


def test_without_dask_it_is_said_what_to_install(
    logs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_dask, "find_spec", lambda name: None)
    assert main(["triage", str(logs), "--scheduler", "x", "--afresh"]) == 2
    assert "pip install 'btfdbg[dask]'" in capsys.readouterr().err


def _wish(logs: Path, number: int) -> str:
    found = find([str(logs / f"{number:02}.log")])
    return request(list(found), Limits())


def test_one_process_reads_one_batch_after_the_other(logs: Path) -> None:
    try:
        for number in range(3):
            rows, why = on_dask.read_batch_here(_wish(logs, number), 300)
            assert (len(rows), why) == (1, "")
            assert rows[0]["crash"]["path"].endswith(f"{number:02}.log")
        (reader,) = on_dask._idle
        # One that has ended in the meantime is not missed.
        reader.process.kill()
        reader.process.wait()
        rows, why = on_dask.read_batch_here(_wish(logs, 3), 300)
        assert (len(rows), why) == (1, "")
        assert on_dask._idle != [reader]
    finally:
        while on_dask._idle:
            on_dask._idle.pop().end()


def test_process_that_takes_too_long_is_ended(logs: Path) -> None:
    assert on_dask.read_batch_here(_wish(logs, 0), 300)[1] == ""
    (reader,) = on_dask._idle
    os.kill(reader.process.pid, signal.SIGSTOP)
    assert on_dask.read_batch_here(_wish(logs, 1), 1) == ([], "not done after 1 s")
    assert not on_dask._idle
    assert reader.process.returncode == -signal.SIGKILL


def test_reader_ends_with_whom_it_reads_for() -> None:
    reader = on_dask._Reader()
    assert reader.process.stdin is not None
    assert reader.process.stdout is not None
    with reader.process.stdout:
        reader.process.stdin.close()
        assert reader.process.wait(300) == 0
