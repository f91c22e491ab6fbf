"""What ``import btfdbg`` gives, and what it says when it cannot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import btfdbg
from btfdbg.cli.main import main
from btfdbg.errors import DebugInfoError
from btfdbg.vmcore import drgn_version


def test_attach_opens_a_path(x86_core: Path) -> None:
    session = btfdbg.attach(str(x86_core))
    assert session.prog["init_task"].comm.string_() == b"swapper/0"
    assert btfdbg.session(session.prog) is session
    assert btfdbg.attach(session.prog) is session


def test_attach_says_what_is_wrong_with_a_path(tmp_path: Path) -> None:
    with pytest.raises(DebugInfoError, match="nothing: No such file"):
        btfdbg.attach(tmp_path / "nothing")


def test_dir_and_help_show_the_public_names() -> None:
    assert set(btfdbg.__all__) <= set(dir(btfdbg))
    assert not {"TYPE_CHECKING", "annotations"} & set(dir(btfdbg))
    shown = subprocess.run(
        [sys.executable, "-c", "import btfdbg; help(btfdbg)"], capture_output=True, text=True
    ).stdout
    for name in ("attach(", "program_from_core_dump(", "class Session", "session("):
        assert name in shown


def test_a_session_shows_itself_in_one_short_line(x86_core: Path) -> None:
    shown = repr(btfdbg.attach(x86_core))
    assert len(shown) < 120
    assert "6.1" in shown
    assert "\n" not in shown


@pytest.mark.parametrize("version", ["0.0.33", "0.1.0", "0.2.99+1.g1"])
def test_a_drgn_that_is_too_old_is_said_in_one_line(version: str, tmp_path: Path) -> None:
    with pytest.raises(DebugInfoError, match=f"drgn {version.split('+')[0]}"):
        drgn_version.require(version)
    fake = tmp_path / "drgn"
    fake.mkdir()
    (fake / "__init__.py").write_text(f"__version__ = {version!r}\n")
    argv = [sys.executable, "-m", "btfdbg.cli.main", "./CORE"]
    result = subprocess.run(
        argv, capture_output=True, text=True, env={"PYTHONPATH": f"{tmp_path}:{Path.cwd()}"}
    )
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "drgn-tools pins" in result.stderr


@pytest.mark.parametrize(
    "verb",
    ["report", "signature", "trim", "isf -o OUT", "gdbserver", "serve --stdio", "vars check"],
)
def test_every_verb_says_in_one_line_that_drgn_is_too_old(verb: str, tmp_path: Path) -> None:
    (tmp_path / "drgn").mkdir()
    (tmp_path / "drgn" / "__init__.py").write_text("__version__ = '0.1.0'\n")
    core = tmp_path / "CORE"
    core.touch()
    operands = {"serve --stdio": [], "trim": [str(core), "OUT"]}.get(verb, [str(core)])
    result = subprocess.run(
        [sys.executable, "-m", "btfdbg.cli.main", *verb.split(), *operands],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={"PYTHONPATH": f"{tmp_path}:{Path.cwd()}"},
    )
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "drgn 0.1.0 is installed, and btfdbg needs 0.3 or newer" in result.stderr


def test_an_error_of_ours_is_not_taken_for_an_old_drgn(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(args: object) -> int:
        raise AttributeError("broken")

    monkeypatch.setattr("btfdbg.cli.triage.run", broken)
    with pytest.raises(AttributeError, match="broken"):
        main(["triage", "X"])


@pytest.mark.parametrize("version", ["0.3.0", "0.3.1", "0.10.0", "1.0", ""])
def test_newer_drgns_are_used(version: str) -> None:
    drgn_version.require(version)
