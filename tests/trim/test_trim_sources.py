"""A trimmed dump names the source files that its source names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from btfdbg import program_from_core_dump, session
from btfdbg.cli.main import main
from btfdbg.frames.sources.find import Regions
from btfdbg.frames.sources.records import Named


def what_the_dump_says(path: Path) -> dict[str, tuple[list[object], dict[str, Named]]]:
    """Of each region: its bug table's entries, and its other records."""
    s = session(program_from_core_dump(path))
    found = {}
    for region in Regions(s).all():
        bugs = region.bugs
        numbers = range(0 if bugs is None else len(bugs))
        entries: list[object] = [bugs.at(bugs.address(n)) for n in numbers if bugs is not None]
        found[region.module] = (entries, dict(region.records))
    return found


def full_dumps() -> list[Path]:
    """Whole dumps out of the folder in BTFDBG_DUMPS."""
    where = os.environ.get("BTFDBG_DUMPS")
    return sorted(Path(where).glob("*-sysrq-qemu-elf.vmcore")) if where else []


@pytest.mark.matrix
@pytest.mark.parametrize("core", full_dumps(), ids=lambda path: path.stem)
def test_trim_keeps_what_names_files_and_lines(core: Path, tmp_path: Path) -> None:
    out = tmp_path / "trimmed.vmcore"
    assert main(["trim", str(core), str(out), "-q"]) == 0
    before = what_the_dump_says(core)
    assert any(entries for entries, _ in before.values())
    assert what_the_dump_says(out) == before


def test_a_dump_without_the_strings_names_no_file_of_its_own(x86_core: Path) -> None:
    # The bundled dumps were trimmed before these strings were kept.
    for entries, records in what_the_dump_says(x86_core).values():
        assert all(entry is None or getattr(entry, "file", "") for entry in entries)
        assert isinstance(records, dict)
