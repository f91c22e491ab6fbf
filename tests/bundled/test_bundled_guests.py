"""The bundled dumps against what their guests said of themselves."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from corefiles.manifest import bundled
from tests.conftest import bundled_dumps
from tests.matrix.checks import Row, check

DUMPS = bundled_dumps()
IDS = [entry["file"] for _, entry in DUMPS]
CHECKS = ("open", "tasks", "modules", "mounts", "dmesg", "btf", "kallsyms", "stacks")

_rows: dict[Path, Row] = {}


def row_of(dump: Path, entry: dict[str, Any]) -> Row:
    """Check a dump once for all tests."""
    if dump not in _rows:
        _rows[dump] = check(dump, entry)
    return _rows[dump]


def test_dumps_of_the_two_main_architectures_and_of_two_kernels_are_bundled() -> None:
    assert {e["arch"] for e in bundled()} >= {"amd64", "arm64"}
    series = {".".join(e["release"].split(".")[:2]) for e in bundled() if e["arch"] == "amd64"}
    assert series >= {"6.1", "6.12"}
    assert any(e["how"].startswith("kdump") and e["scenario"] == "null-deref" for e in bundled())


def test_bundled_dumps_are_small() -> None:
    total = 0
    for dump, _ in DUMPS:
        for path in dump.parent.glob(dump.name + "*"):
            total += path.stat().st_size
    assert 0 < total < 40_000_000


@pytest.mark.parametrize(("dump", "entry"), DUMPS, ids=IDS)
def test_a_bundled_dump_is_the_one_of_its_entry(dump: Path, entry: dict[str, Any]) -> None:
    assert hashlib.sha256(dump.read_bytes()).hexdigest() == entry["sha256"]
    assert dump.stat().st_size == entry["size"]


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize(("dump", "entry"), DUMPS, ids=IDS)
def test_a_bundled_dump_says_what_its_guest_said(
    dump: Path, entry: dict[str, Any], name: str
) -> None:
    assert row_of(dump, entry).problems[name] == []


@pytest.mark.parametrize(("dump", "entry"), DUMPS, ids=IDS)
def test_every_task_of_a_bundled_dump_unwinds_to_its_root(
    dump: Path, entry: dict[str, Any]
) -> None:
    row = row_of(dump, entry)
    assert row.tasks > 50
    assert row.unwound == row.tasks


@pytest.mark.parametrize(("dump", "entry"), DUMPS, ids=IDS)
def test_a_bundled_dump_holds_no_user_page_no_cached_page_and_no_free_page(
    dump: Path, entry: dict[str, Any]
) -> None:
    from tests.trim.kdump_reader import KdumpReader

    markers = {name: word.encode() for name, word in entry["markers"].items()}
    assert len(markers) >= 3
    with KdumpReader(dump) as reader:
        for pfn in reader.pfns():
            page = reader.page(pfn)
            found = [name for name, word in markers.items() if word in page]
            assert not found, f"page frame {pfn:#x} holds the word of {found}"
