"""The dump becomes shorter, or goes away, while it is open."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .support import files_below, run

CHANGE = """\
import os, sys
path, size = sys.argv[1], int(sys.argv[2])
print(prog["init_task"].comm.string_().decode(), flush=True)
if size < 0:
    os.unlink(path)
else:
    os.truncate(path, size)
failed = 0
from drgn.helpers.linux.pid import for_each_task
print("tasks", sum(1 for t in for_each_task(prog) if t.comm.string_() is not None))
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "change.py"
    path.write_text(CHANGE)
    return path


@pytest.fixture(params=["kdump", "elf"])
def core(request: pytest.FixtureRequest, oops_core: Path, elf_core: Path, tmp_path: Path) -> Path:
    copy = tmp_path / f"core.{request.param}"
    shutil.copy(oops_core if request.param == "kdump" else elf_core, copy)
    return copy


def test_a_dump_that_is_deleted_stays_readable(
    core: Path, script: Path, env: dict[str, str]
) -> None:
    result = run(core, script, core, "-1", env=env)
    assert result.status == 0
    assert result.out.startswith("swapper/0\ntasks ")
    assert not core.exists()


@pytest.mark.parametrize("size", [0, 300_000])
def test_a_mapped_dump_that_shrinks_ends_with_one_line(
    oops_core: Path, script: Path, env: dict[str, str], tmp_path: Path, size: int
) -> None:
    core = tmp_path / "core"
    shutil.copy(oops_core, core)
    result = run(core, script, core, str(size), env=env)
    assert result.status == 2
    assert result.out == "swapper/0\n"
    assert len(result.error_lines) == 1
    assert "became shorter" in result.err


@pytest.mark.parametrize("size", [0, 300_000])
def test_an_elf_dump_that_shrinks_has_memory_that_cannot_be_read(
    elf_core: Path, env: dict[str, str], tmp_path: Path, size: int
) -> None:
    core = tmp_path / "core"
    shutil.copy(elf_core, core)
    shrink = f"__import__('os').truncate({str(core)!r}, {size})"
    commands = ["-x", "sym init_task", "-x", shrink, "-x", "ps", "-x", "bt 1"]
    result = run(core, *commands, env=env)
    assert result.status == 1
    assert "init_task" in result.out
    assert 0 < len(result.error_lines) < 20
    assert result.error_lines[0].startswith("ps: ")


def test_trimming_a_dump_that_shrinks_leaves_no_file(
    oops_core: Path, env: dict[str, str], tmp_path: Path
) -> None:
    core, folder = tmp_path / "core", tmp_path / "out"
    shutil.copy(oops_core, core)
    folder.mkdir()
    shrink = f"sh truncate -s 300000 {core}"
    result = run("trim", core, folder / "small", "--only", "-x", shrink, "-x", "ps", env=env)
    assert result.status == 2
    assert "became shorter" in result.err
    assert files_below(folder) == []
