"""Triage on a terminal: the table while it reads, Ctrl-C, and a disk that is full."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.report.test_events import ARM64, HUNG, NULL, stamped

# Reads files called slow for a long time; with PLAIN there is no rich.
_RUN = """
import os, resource, sys, time
from btfdbg.cli.main import main
from btfdbg.report.triage import workers
from btfdbg.cli import live_table
# Drawn each time: on a busy machine the first drawing alone may take longer than the logs.
live_table._PAUSE = live_table._SHARE = 0
if os.environ.get("PLAIN"):
    live_table.find_spec = lambda name: None
if limit := int(os.environ.get("BYTES", 0)):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
really = workers.crash_of_log
def slowly(path, page):
    if "slow" in path:
        time.sleep(600)
    return really(path, page)
workers.crash_of_log = slowly
workers._LOGS_AT_ONCE = 1
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three logs of three kinds; the name of one tries to be markup and to move the cursor."""
    out = tmp_path / "crash"
    out.mkdir()
    for name, log in (("a", NULL), ("b", HUNG), ("c", ARM64.replace("drop_entry", "[red]x"))):
        (out / f"{name}.log").write_text(stamped(log, "[  7.123456] "))
    return out


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    """Of a run whose kept results are the test's own."""
    return {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "TERM": "xterm", **more}


def on_terminal(folder: Path, **more: str) -> tuple[str, str]:
    """Return what a run prints, and what it shows on a terminal meanwhile."""
    master, slave = pty.openpty()
    command = [sys.executable, "-c", _RUN, "triage", str(folder)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=slave, text=True,
        env=environment(folder.parent, COLUMNS="100", **more),
    ) as process:  # fmt: skip
        os.close(slave)
        shown = b""
        while True:
            try:
                piece = os.read(master, 1 << 16)
            except OSError:
                break  # nobody has it open any more
            shown += piece
        assert process.stdout is not None
        printed = process.stdout.read()
    os.close(master)
    assert process.returncode == 0
    return printed, shown.decode()


def test_groups_are_shown_while_it_reads(folder: Path) -> None:
    printed, shown = on_terminal(folder)
    assert printed.startswith("3 crashes in 3 groups\n")
    assert " of 3 read" in shown
    assert "crashes" in shown
    assert any(title in shown for title in ("in leaf [demo]", "mnt_want_write", "[red]x"))


def test_without_rich_there_is_a_counter(folder: Path) -> None:
    printed, shown = on_terminal(folder, PLAIN="1")
    assert printed.startswith("3 crashes in 3 groups\n")
    assert "\r1/3" in shown
    assert shown.endswith("\r\x1b[K")


def test_nothing_is_shown_where_there_is_no_terminal(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _RUN, "triage", str(folder)],
        capture_output=True, text=True, check=True, env=environment(folder.parent),
    )  # fmt: skip
    assert done.stderr == ""


def test_ctrl_c_keeps_what_was_read(folder: Path, tmp_path: Path) -> None:
    (folder / "d-slow.log").write_text(stamped(NULL, "[  9.123456] "))
    command = [sys.executable, "-c", _RUN, "triage", str(folder), "-j", "2"]
    with subprocess.Popen(
        [*command, "--html", str(tmp_path / "out")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(tmp_path), start_new_session=True,
    ) as process:  # fmt: skip
        kept = tmp_path / "state" / "btfdbg" / "triage.jsonl"
        end = time.monotonic() + 300
        while not kept.exists() or kept.read_text().count('"form"') < 3:
            assert time.monotonic() < end
            assert process.poll() is None
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        printed, said = process.communicate(timeout=300)
    assert process.returncode == 130
    assert printed.startswith("3 crashes in 3 groups\n")
    assert "interrupted; what was read is above, and kept" in said
    assert "Traceback" not in said
    assert "3 crashes in 3 groups" in (tmp_path / "out" / "index.html").read_text()
    again = [*command, "--format", "json"]
    (folder / "d-slow.log").unlink()
    done = subprocess.run(
        again, capture_output=True, text=True, check=True, env=environment(tmp_path)
    )
    assert sum(json.loads(row)["type"] == "crash" for row in done.stdout.splitlines()) == 3


def test_full_disk_is_said_and_what_was_read_is_printed(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", _RUN, "triage", str(folder), "--html", str(out)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False,
        env=environment(tmp_path, BYTES="1500"),
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout.startswith("3 crashes in 3 groups\n")
    assert "Traceback" not in done.stderr
    assert f"{out / 'index.html'}: File too large" in done.stderr
    assert "results are not kept" in done.stderr
    assert done.stderr.count("no page for ") == 3
    assert list(out.rglob("*.part")) == []
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment(tmp_path)
    )
    assert done.returncode == 0
    assert len(list((out / "reports").iterdir())) == 3
