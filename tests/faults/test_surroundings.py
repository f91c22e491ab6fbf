"""No locale, no terminal, closed streams, a reader that leaves."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from .support import BTFDBG, Result, check, environment, run


@pytest.mark.parametrize(
    "variables",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"LC_ALL": None},
        {"LC_ALL": "nowhere_NO.utf8"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"TERM": "dumb"},
        {"TERM": "no-such-terminal"},
        {"COLUMNS": "nonsense", "LINES": "-1"},
    ],
    ids=str,
)
def test_the_output_is_the_same_everywhere(
    oops_core: Path, tmp_path: Path, variables: dict[str, str | None]
) -> None:
    commands = ["-x", "ps", "-x", "mod", "-x", "ctx", "-x", "whatis struct list_head"]
    usual = run(oops_core, *commands, env=environment(tmp_path))
    result = run(oops_core, *commands, env=environment(tmp_path, **variables))
    assert (result.status, result.out, result.err) == (0, usual.out, usual.err)


def test_what_the_encoding_lacks_is_shown_escaped(oops_core: Path, tmp_path: Path) -> None:
    env = environment(tmp_path, PYTHONIOENCODING="ascii")
    result = run(oops_core, "-x", "print('caf\\u00e9')", "-e", "print('\\u20ac')", env=env)
    assert result.status == 0
    assert result.out == "caf\\xe9\n\\u20ac\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_standard_streams_are_closed(oops_core: Path, env: dict[str, str], closed: str) -> None:
    program = ["sh", "-c", f'exec "$@" {closed}', "sh", *BTFDBG]
    result = run(oops_core, "-x", "sym init_task", "-e", "print(1)", env=env, program=program)
    assert result.status in ((0, 1) if ">&-" in closed.split() else (0,))


def test_standard_input_that_is_empty_is_an_empty_script(
    oops_core: Path, env: dict[str, str]
) -> None:
    result = run(oops_core, env=env)
    assert (result.status, result.out, result.err) == (0, "", "")


@pytest.mark.parametrize("way", [("-x", "log"), ("-e", "while True: print('line ' * 9)")])
def test_a_reader_that_leaves_ends_it_quietly(
    oops_core: Path, env: dict[str, str], way: tuple[str, str]
) -> None:
    process = subprocess.Popen(
        [*BTFDBG, str(oops_core), *way],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read().decode()
    process.stderr.close()
    status = process.wait(60)
    check(Result(status, "", err))
    assert (status, err) == (0, "")


# As root without root's powers: what a plain user is to files.
POWERLESS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")


def powerless() -> bool:
    """Whether a process without capabilities can be had here."""
    if os.geteuid() != 0:
        return True
    try:
        return subprocess.run([*POWERLESS, "true"], capture_output=True).returncode == 0
    except OSError:
        return False


def as_user() -> list[str]:
    return [*(POWERLESS if os.geteuid() == 0 else ()), *BTFDBG]


@pytest.mark.skipif(not powerless(), reason="root without setpriv cannot give its powers up")
def test_a_dump_that_may_not_be_read_is_one_line(oops_core: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(oops_core.read_bytes())
    secret.chmod(0)
    for way in (("info", secret), (secret, "-x", "ps"), ("trim", secret, tmp_path / "out")):
        result = run(*way, env=environment(tmp_path), program=as_user())
        assert result.status == 2
        assert result.error_lines == [f"btfdbg: {secret}: Permission denied"]


@pytest.mark.skipif(not powerless(), reason="root without setpriv cannot give its powers up")
def test_a_home_that_may_not_be_written_is_no_error(oops_core: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    result = run(oops_core, "-x", "sym init_task", env=environment(home), program=as_user())
    assert (result.status, result.err) == (0, "")
    assert list(home.iterdir()) == []


@pytest.mark.skipif(not powerless(), reason="root without setpriv cannot give its powers up")
def test_a_folder_that_may_not_be_written_is_one_line(oops_core: Path, tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    out = folder / "out"
    for way in (
        ("trim", oops_core, out, "--only", "-x", "sym init_task"),
        ("info", oops_core, "--save-vmcoreinfo", out),
    ):
        result = run(*way, env=environment(tmp_path), program=as_user())
        assert result.status == 2
        assert len(result.error_lines) == 1
        assert "Permission denied" in result.err
