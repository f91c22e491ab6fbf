"""A process that ran none of the user's code ends at once, and loses nothing by it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import bundled_dumps
from tests.patience import limited

DUMP = next(str(path) for path, _ in bundled_dumps() if "6.12-amd64" in path.name)
_PROCESS = """
import atexit, sys
from btfdbg.cli.main import main
atexit.register(print, "at exit")
status = main()
print("taken apart")
sys.exit(status)
"""


def _run(cache: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _PROCESS, DUMP, *words],
        capture_output=True, text=True, check=False, preexec_fn=limited(),
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "status"),
    [(["-x", "ps"], 0), (["-x", "ps -Z"], 1), (["-x", "nosuch", "-x", "sys"], 1)],
    ids=lambda words: str(words),
)
def test_what_is_due_in_the_end_is_done(tmp_path: Path, words: list[str], status: int) -> None:
    result = _run(tmp_path, *words)
    assert result.returncode == status
    assert result.stdout.endswith("at exit\n")
    # What is no command of ours made the others known, which may be anybody's.
    assert ("taken apart" in result.stdout) is ("nosuch" in words)


def test_names_that_were_asked_for_are_kept(tmp_path: Path) -> None:
    kept = tmp_path / "btfdbg"
    result = _run(tmp_path, "-x", "ps")
    assert "taken apart" not in result.stdout
    names = {path.name: path.stat().st_size for path in kept.iterdir()}
    again = _run(tmp_path, "-x", "ps")
    assert again.stdout == result.stdout
    assert {path.name for path in kept.iterdir()} == set(names)
    _run(tmp_path, "-x", "kmem -s")
    grown = {path.name: path.stat().st_size for path in kept.iterdir()}
    assert any(size > names[name] for name, size in grown.items() if name in names)


@pytest.mark.parametrize("words", [["-x", "ps"], []])
def test_objects_of_the_users_code_do_their_last_thing(tmp_path: Path, words: list[str]) -> None:
    code = "class A:\n  def __del__(self): print('gone')\na = A()"
    result = _run(tmp_path, *words, "-e", code)
    assert result.stdout.endswith("taken apart\nat exit\ngone\n")


def test_output_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "btfdbg", DUMP, "-x", "ps"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False, preexec_fn=limited(),
            env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
        )  # fmt: skip
    assert result.returncode == 1
    assert "No space left" in result.stderr


@pytest.mark.parametrize("words", [[DUMP, "-x", "sys"], ["info", DUMP], [DUMP, "-e", "prog"]])
def test_file_that_a_plugin_of_drgns_left_open_is_written(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "left_open.py").write_text("left = open('left', 'w')\nleft.write('done')\n")
    subprocess.run(
        [sys.executable, "-m", "btfdbg", *words],
        capture_output=True, check=True, preexec_fn=limited(), cwd=tmp_path,
        env={**os.environ, "DRGN_PLUGINS": "other=left_open", "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert (tmp_path / "left").read_text() == "done"
