"""A module's file with DWARF is taken from the command line and at the prompt."""

from __future__ import annotations

from pathlib import Path

import pytest

import btfdbg
from btfdbg.cli.main import main
from btfdbg.handover.vmlinux.modules import export_modules
from btfdbg.program.session import session

NAME = "tun"


@pytest.fixture(scope="module")
def file(x86_core: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module's file, as we make it of the dump: DWARF and its build ID."""
    s = session(btfdbg.program_from_core_dump(x86_core))
    s.ensure_modules()
    s.loaded = [module for module in s.loaded if module.name == NAME]
    folder = tmp_path_factory.mktemp("modules")
    export_modules(s, str(folder))
    return folder / f"{NAME}.ko"


def _row(out: str) -> str:
    return next(line for line in out.splitlines() if f" {NAME} " in line)


def test_it_is_taken(x86_core: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(x86_core), "-q", "-x", "mod"]) == 0
    assert str(file) not in _row(capsys.readouterr().out)
    assert main([str(x86_core), "-q", "-s", str(file), "-x", "mod"]) == 0
    assert str(file) in _row(capsys.readouterr().out)
    assert main([str(x86_core), "-q", "-x", f"mod -s {NAME} {file}"]) == 0
    assert str(file) in _row(capsys.readouterr().out)


def test_that_of_another_module_is_refused_and_changes_nothing(
    x86_core: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = file.read_bytes()
    s = session(btfdbg.program_from_core_dump(x86_core))
    s.ensure_modules()
    (module,) = (m for m in s.loaded if m.name == NAME)
    assert module.build_id
    assert data.count(module.build_id) == 1
    other = tmp_path / f"{NAME}.ko"
    other.write_bytes(data.replace(module.build_id, module.build_id[::-1]))
    assert main([str(x86_core), "-q", "-x", f"mod -s {NAME} {other}"]) == 1
    assert "not taken" in capsys.readouterr().err
    assert main([str(x86_core), "-q", "-s", str(other), "-x", "mod"]) == 0
    assert str(other) not in _row(capsys.readouterr().out)
