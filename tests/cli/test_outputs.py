"""An output that is one of the inputs is refused before anything is written."""

from __future__ import annotations

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
