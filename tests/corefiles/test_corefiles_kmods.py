"""Modules load after what they need."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corefiles.kmods import load_order, module_name, parse_dep, read_module
from corefiles.run import BuildError

DEP = """\
net/nft-chain-nat.ko.xz: net/nf_nat.ko.xz net/nf_tables.ko.xz net/nl.ko.xz
net/nf_nat.ko.xz:
net/nf_tables.ko.xz: net/nl.ko.xz
net/nl.ko.xz:
fs/xfs.ko.xz:
"""


def test_dependencies_load_first_and_once() -> None:
    order = load_order(parse_dep(DEP), ["nft_chain_nat", "nf-tables", "ghost"])
    names = [module_name(path) for path in order.paths]
    assert names == ["nl", "nf_tables", "nf_nat", "nft_chain_nat"]
    assert order.missing == ("ghost",)


def test_a_circle_is_an_error_and_no_hang() -> None:
    with pytest.raises(BuildError, match="depends on itself"):
        load_order(parse_dep("a.ko: b.ko\nb.ko: a.ko\n"), ["a"])


@given(st.dictionaries(st.integers(0, 12), st.sets(st.integers(0, 12), max_size=4)))
def test_every_module_comes_after_all_that_it_needs(graph: dict[int, set[int]]) -> None:
    # Only needs with a smaller number: that is what makes it free of circles.
    dep = {
        f"m{n}.ko": tuple(f"m{d}.ko" for d in sorted(graph.get(n, ())) if d < n) for n in range(13)
    }
    paths = load_order(dep, [f"m{n}" for n in reversed(range(13))]).paths
    assert sorted(paths) == sorted(dep)
    for index, path in enumerate(paths):
        assert set(dep[path]) <= set(paths[:index])


_IMAGE = b"\x7fELF and more"


@pytest.mark.parametrize(
    ("suffix", "packed"),
    [("", _IMAGE), (".xz", lzma.compress(_IMAGE)), (".gz", gzip.compress(_IMAGE, mtime=0))],
)
def test_modules_are_read_in_plain(tmp_path: Path, suffix: str, packed: bytes) -> None:
    path = tmp_path / f"m.ko{suffix}"
    path.write_bytes(packed)
    assert read_module(path) == _IMAGE


def test_what_is_no_module_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.ko"
    path.write_bytes(b"text")
    with pytest.raises(BuildError, match="not an ELF file"):
        read_module(path)
