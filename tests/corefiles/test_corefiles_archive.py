"""Unpacked trees are read as if they were the root of a machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from corefiles import initramfs
from corefiles.archive import Archive, inside
from corefiles.run import BuildError
from corefiles.sources import Mirror


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "usr" / "lib").mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    (root / "usr" / "lib" / "real.so").write_text("x")
    (root / "usr" / "lib" / "absolute.so").symlink_to("/lib/real.so")
    (root / "usr" / "lib" / "relative.so").symlink_to("../lib/./real.so")
    (root / "usr" / "lib" / "outside.so").symlink_to("/../../../../etc/hostname")
    (root / "usr" / "lib" / "circle").symlink_to("circle")
    return root


@pytest.mark.parametrize("name", ["real.so", "absolute.so", "relative.so"])
def test_links_are_followed_inside_the_tree(tree: Path, name: str) -> None:
    assert inside(tree, f"lib/{name}") == tree / "usr" / "lib" / "real.so"


@pytest.mark.parametrize("name", ["lib/none.so", "lib/outside.so", "lib/circle"])
def test_what_is_not_in_the_tree_is_not_found(tree: Path, name: str) -> None:
    assert inside(tree, name) is None


class NothingToFetch(Archive):
    """An archive whose packages are unpacked already."""

    def closure(self, *packages: str) -> list[Path]:
        return []


def test_a_program_comes_with_its_loader_and_libraries(tmp_path: Path) -> None:
    libraries = Path("/usr/lib/x86_64-linux-gnu")
    loader = Path("/lib64/ld-linux-x86-64.so.2")
    if not (loader.exists() and (libraries / "libc.so.6").exists() and shutil.which("readelf")):
        pytest.skip("needs a Debian amd64 machine with binutils to take a program from")
    tree = tmp_path / "tools" / "demo-sid-amd64"
    place = tree / "usr" / "lib" / "x86_64-linux-gnu"
    place.mkdir(parents=True)
    (tree / "usr" / "lib64").mkdir()
    (tree / "usr" / "bin").mkdir()
    shutil.copy("/usr/bin/true", tree / "usr" / "bin" / "true")
    shutil.copy(loader.resolve(), place / "ld.so")
    # As on Debian: an absolute link, right only once the tree is the root.
    (tree / "usr" / "lib64" / loader.name).symlink_to("/usr/lib/x86_64-linux-gnu/ld.so")
    archive = NothingToFetch("sid", "amd64", tmp_path, Mirror("", None, ""))
    with pytest.raises(BuildError, match=r"needs libc\.so\.6"):
        initramfs.program(archive, "demo", ["usr/bin/true"])
    shutil.copy(libraries / "libc.so.6", place / "libc.so.6")
    files = initramfs.program(archive, "demo", ["usr/bin/true"]).files
    # The names are those that the program asks for, the files are the real ones.
    assert files[f"usr/lib64/{loader.name}"] == place / "ld.so"
    assert files["usr/lib/x86_64-linux-gnu/libc.so.6"] == place / "libc.so.6"
