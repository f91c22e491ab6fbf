"""A module's extra BTF is named after what the module calls itself, not after its file."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from btfdbg.errors import DebugInfoError
from btfdbg.images.elf import replace_sections
from btfdbg.varextract.extract import own_module_name

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")


@pytest.fixture
def module(tmp_path: Path) -> bytes:
    (tmp_path / "a.c").write_text("int x;")
    subprocess.run(["gcc", "-c", "a.c", "-o", "a.o"], cwd=tmp_path, check=True)
    return (tmp_path / "a.o").read_bytes()


@pytest.mark.parametrize("file", ["renamed-copy.ko", "copy of it.ko", "0.ko.debug"])
def test_modinfo_says_the_name_whatever_the_file_is_called(
    file: str, module: bytes, tmp_path: Path
) -> None:
    path = tmp_path / file
    path.write_bytes(replace_sections(module, {".modinfo": b"license=GPL\0name=cf_fault\0"}))
    assert own_module_name(path) == "cf_fault"


def test_without_modinfo_it_is_the_file_s_if_that_can_be_one(module: bytes, tmp_path: Path) -> None:
    path = tmp_path / "nf-nat.ko"
    path.write_bytes(replace_sections(module, {".modinfo": b"surname=no\0"}))
    assert own_module_name(path) == "nf_nat"
    path = tmp_path / "copy of it.ko"
    path.write_bytes(module)
    with pytest.raises(DebugInfoError, match="no module's name"):
        own_module_name(path)
