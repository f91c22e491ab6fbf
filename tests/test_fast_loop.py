"""The fast loop: which tests it leaves out, and that its two axes are kept."""

from __future__ import annotations

from pathlib import Path

import btfdbg
from tests.slow import choose, slow_tests

TESTS = Path(__file__).parent
PRODUCT = Path(btfdbg.__file__).parent
CAMPAIGNS = {
    "bench", "bundled", "faults", "fuzz", "hostile", "matrix", "oracle", "scaling", "security",
}  # fmt: skip
# What is tested beside the packages: the builder of dumps, and BTF's verbs as one toolkit.
OTHERS = {"corefiles", "btf_tools"}


def test_folders_are_packages_or_campaigns() -> None:
    folders = {p.name for p in TESTS.iterdir() if p.is_dir() and any(p.glob("*.py"))}
    packages = {p.name for p in PRODUCT.iterdir() if p.is_dir()}
    assert folders <= packages | CAMPAIGNS | OTHERS


def test_the_hungriest_are_left_out_first_until_the_rest_fits() -> None:
    times = {"a/t.py::x": 50.0, "a/t.py::y": 1.0, "b/t.py::z": 30.0, "a/t.py::w": 20.0}
    assert choose(times, 60) == ["a/t.py::x"]
    assert choose(times, 40) == ["a/t.py::w", "a/t.py::x"]


def test_one_of_every_folder_stays() -> None:
    assert choose({"a/t.py::x": 50.0, "b/t.py::y": 1.0}, 10) == []


def test_the_list_names_tests_that_exist() -> None:
    for name in slow_tests():
        path, _, rest = name.partition("::")
        text = (TESTS.parent / path).read_text(encoding="utf-8")
        assert f"def {rest.rpartition('::')[2]}(" in text, name
