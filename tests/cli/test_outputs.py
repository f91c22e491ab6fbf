"""An output that is one of the inputs is refused before anything is written; ``-`` is stdout."""

from __future__ import annotations

import json
import os
import shutil
from argparse import Namespace
from pathlib import Path

import pytest

from btfdbg.cli.main import main
from btfdbg.cli.outputs import spare_inputs
from btfdbg.errors import DebugInfoError


@pytest.mark.parametrize(
    "line",
    [
        "info CORE --save-vmcoreinfo CORE",
        "info CORE --save-vmcoreinfo LINK",
        "info LINK --save-vmcoreinfo HARD",
        "export-vmlinux CORE -o CORE",
        "isf CORE -o CORE",
        "report CORE -o CORE",
        "triage CORE -o CORE",
        "report --log LOG -o LOG",
        "info CORE --vmcoreinfo LOG --save-vmcoreinfo LOG",
    ],
)
def test_no_input_is_written_over(
    line: str, x86_core: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    core, log = tmp_path / "CORE", tmp_path / "LOG"
    shutil.copyfile(x86_core, core)
    log.write_text("[    1.0] Linux version 6.12.0\n")
    (tmp_path / "LINK").symlink_to(core)
    os.link(core, tmp_path / "HARD")
    words = [str(tmp_path / word) if word.isupper() else word for word in line.split()]
    assert main(words) == 2
    assert "is one of the inputs" in capsys.readouterr().err
    assert core.read_bytes() == x86_core.read_bytes()
    assert log.read_text().endswith("6.12.0\n")


def test_what_is_no_regular_file_or_not_there_may_be_written(tmp_path: Path) -> None:
    core = tmp_path / "core"
    core.touch()
    spare_inputs(Namespace(core=str(core), out=str(tmp_path / "new")))
    spare_inputs(Namespace(core="/dev/null", output="/dev/null"))
    spare_inputs(Namespace(core=None, output=None))
    with pytest.raises(DebugInfoError, match="one of the inputs"):
        spare_inputs(Namespace(output=str(core), paths=[str(core)]))
    with pytest.raises(DebugInfoError, match="one of the inputs"):
        spare_inputs(Namespace(output=str(core), symbols=["vmlinux", str(core)]))


@pytest.mark.parametrize(
    "line", ["info CORE --save-vmcoreinfo -", "info CORE --json --save-vmcoreinfo -"]
)
def test_vmcoreinfo_on_stdout_is_alone_there(
    line: str,
    x86_core: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([str(x86_core) if w == "CORE" else w for w in line.split()]) == 0
    out = capfdbinary.readouterr().out
    assert out.startswith(b"OSRELEASE=6.1.")
    assert out.endswith(b"\n")
    assert all(b"=" in each for each in out.splitlines())
    assert list(tmp_path.iterdir()) == []


def test_a_symbol_table_on_stdout_is_alone_there(
    x86_core: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["isf", str(x86_core), "-o", "-"]) == 0
    out, err = capfdbinary.readouterr()
    assert "init_task" in json.loads(out)["symbols"]
    assert b"variables with a type" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("line", ["report --log LOG", "triage --results KEPT LOG"])
def test_a_report_on_stdout_is_as_without_an_output(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "LOG").write_text("[    1.0] Kernel panic - not syncing: sysrq triggered crash\n")
    (tmp_path / "empty").mkdir()
    words = [str(tmp_path / word) if word.isupper() else word for word in line.split()]
    assert main(words) == 0
    usual = capsys.readouterr().out
    monkeypatch.chdir(tmp_path / "empty")
    assert main([*words, "-o", "-"]) == 0
    assert capsys.readouterr().out == usual != ""
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.parametrize("line", ["export-vmlinux CORE -o -", "trim CORE -"])
def test_what_is_written_out_of_order_takes_no_stdout(
    line: str,
    x86_core: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([str(x86_core) if w == "CORE" else w for w in line.split()]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        "btfdbg: this cannot be written to stdout; name a file; ./- is one of that name\n"
    )
    assert list(tmp_path.iterdir()) == []
