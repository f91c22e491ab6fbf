"""Unpacked trees are read as if they were the root of a machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from corefiles.archive import inside


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
