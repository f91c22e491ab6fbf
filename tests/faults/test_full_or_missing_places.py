"""The disk or the home folder is full, read-only or not there."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from btfdbg.repl.history import SharedHistory, decode

from .support import BTFDBG, environment, files_below, run


def no_room() -> None:
    """No file may grow: what a full disk does, without a disk to fill."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def test_standard_output_on_a_full_disk_is_an_error_without_a_traceback(
    oops_core: Path, env: dict[str, str]
) -> None:
    for way in (["-x", "ps"], ["-x", "sym init_task"], ["-e", "print(1)"]):
        with open("/dev/full", "wb") as full:
            result = run(oops_core, *way, env=env, stdout=full)
        assert result.status == 1, way
        # The command's own line, and that of the last flush.
        assert 1 <= len(result.error_lines) <= 2, result.err
        assert "No space left" in result.err
    with open("/dev/full", "wb") as full:
        result = run("info", oops_core, "--json", env=env, stdout=full)
    assert result.status == 1
    assert "No space left" in result.err


def test_a_redirection_to_a_full_disk_is_an_error_in_one_line(
    oops_core: Path, env: dict[str, str]
) -> None:
    result = run(oops_core, "-x", "ps > /dev/full", "-x", "sym init_task", env=env)
    assert result.status == 1
    assert "No space left" in result.err
    assert len(result.error_lines) == 1
    assert "init_task" in result.out


def test_nothing_can_be_written_and_the_session_does_not_care(
    oops_core: Path, env: dict[str, str], home: Path
) -> None:
    expected = run(oops_core, "-x", "ps", env=environment(home / "other"))
    assert expected.status == 0
    result = run(oops_core, "-x", "ps", env=env, before=no_room)
    assert (result.status, result.out, result.err) == (0, expected.out, expected.err)
    left = [name for name in files_below(home) if (home / name).stat().st_size]
    assert all(name.startswith("other/") for name in left)


def test_trim_on_a_full_disk_leaves_no_file(
    oops_core: Path, env: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    out = folder / "small"
    result = run("trim", oops_core, out, "--only", "-x", "ps", env=env, before=no_room)
    assert result.status == 2
    assert len(result.error_lines) == 1, result.err
    assert files_below(folder) == []


@pytest.mark.parametrize("where", ["/dev/null/none", "/proc/none", ""])
def test_there_is_no_home(oops_core: Path, tmp_path: Path, where: str) -> None:
    result = run(oops_core, "-x", "sym init_task", env=environment(tmp_path, HOME=where))
    assert result.status == 0
    assert "init_task" in result.out
    assert result.err == ""


def test_no_variable_says_where_home_is(oops_core: Path, tmp_path: Path) -> None:
    env = environment(tmp_path, HOME=None)
    folders = ("XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
    env.update(dict.fromkeys(folders, "/dev/null/none"))
    result = run(oops_core, "-x", "sym init_task", env=env)
    assert (result.status, result.err) == (0, "")


def test_the_current_folder_is_gone(oops_core: Path, env: dict[str, str], tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    program = ["sh", "-c", 'cd "$1"; rmdir "$1"; shift; exec "$@"', "sh", str(gone)]
    program += BTFDBG
    result = run(oops_core, "-x", "sym init_task", env=env, program=program)
    assert result.status == 0
    assert "init_task" in result.out


def test_a_full_disk_keeps_the_history_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "history"
    SharedHistory(path).store_string("first")
    size = path.stat().st_size
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from btfdbg.repl.history import SharedHistory\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size} + 5,) * 2)\n"
        "SharedHistory(Path(sys.argv[1])).store_string('second, which is too long')\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    SharedHistory(path).store_string("third")
    assert list(decode(path.read_bytes())) == ["first", "third"]
