"""A kdump header with one wrong number is called wrong, and a cut file cut: never the other."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from btfdbg.errors import DebugInfoError
from btfdbg.vmcore.kdumpfile import Kdump
from btfdbg.vmcore.kdumppages import KdumpPages
from corefiles.manifest import BUNDLED

DUMP = BUNDLED.parent / "6.12-amd64-null.vmcore"
BLOCK = 4096
# struct disk_dump_header and struct kdump_sub_header: offset, format
SUB_BLOCKS, BITMAP_BLOCKS = (432, "<i"), (436, "<i")
SPLIT, MAX_PFN = (BLOCK + 12, "<i"), (BLOCK + 96, "<Q")


def opened(path: Path) -> KdumpPages:
    """As far as a dump is opened before libkdumpfile sees it."""
    from btfdbg.vmcore import open_core

    open_core(path)
    return KdumpPages(Kdump(path))


def changed(tmp_path: Path, where: tuple[int, str], value: int) -> Path:
    path = tmp_path / "vmcore"
    shutil.copyfile(DUMP, path)
    with path.open("r+b") as f:
        f.seek(where[0])
        f.write(struct.pack(where[1], value))
    return path


def number(where: tuple[int, str]) -> int:
    with DUMP.open("rb") as f:
        f.seek(where[0])
        return int(struct.unpack(where[1], f.read(struct.calcsize(where[1])))[0])


@pytest.mark.parametrize("field", [SUB_BLOCKS, BITMAP_BLOCKS], ids=["sub-header", "bitmap"])
@pytest.mark.parametrize("wrong", [lambda n: n + 1, lambda n: n - 1, lambda n: 2 * n, lambda _: 0])
def test_wrong_count_of_blocks_is_no_truncated_file(
    field: tuple[int, str], wrong: object, tmp_path: Path
) -> None:
    assert callable(wrong)
    with pytest.raises(DebugInfoError, match="the kdump header is damaged"):
        opened(changed(tmp_path, field, wrong(number(field))))


@pytest.mark.parametrize("wrong", [lambda n: 2 * n, lambda _: 0], ids=["twice", "none"])
def test_wrong_count_of_pages_is_no_truncated_file(wrong: object, tmp_path: Path) -> None:
    assert callable(wrong)
    with pytest.raises(DebugInfoError, match="the kdump header is damaged"):
        opened(changed(tmp_path, MAX_PFN, wrong(number(MAX_PFN))))


@pytest.mark.parametrize("value", [2, -1, 1 << 20])
def test_only_one_number_marks_a_part_of_several(value: int, tmp_path: Path) -> None:
    with pytest.raises(DebugInfoError, match=f"header is damaged: .* is {value}"):
        opened(changed(tmp_path, SPLIT, value))
    with pytest.raises(DebugInfoError, match="one part of a dump"):
        opened(changed(tmp_path, SPLIT, 1))


@pytest.mark.parametrize("share", [0, 1, 24, 24 * 64, 100_000, 1_000_000])
def test_cut_behind_its_header_it_is_called_truncated(share: int, tmp_path: Path) -> None:
    path = tmp_path / "vmcore"
    shutil.copyfile(DUMP, path)
    descriptors = Kdump(DUMP).header.descriptors
    os.truncate(path, descriptors + share)
    pages = KdumpPages(Kdump(path))
    assert pages.missing()
    assert not pages.nonsense()


def test_sound_dump_has_sound_descriptors() -> None:
    for path in BUNDLED.parent.glob("*.vmcore"):
        assert not KdumpPages(Kdump(path)).nonsense()


def said(*words: str | Path) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "btfdbg", *words, "-x", "p 1", "--no-cache"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, done.stderr


def test_commands_on_a_cut_dump_are_told_of_it(tmp_path: Path) -> None:
    path = tmp_path / "vmcore"
    shutil.copyfile(DUMP, path)
    os.truncate(path, DUMP.stat().st_size - BLOCK)
    out, err = said(path)
    assert out == "1 = (int)1\n"
    assert "the file is truncated" in err
    assert said("-q", path) == (out, "")
    assert said(DUMP) == (out, "")
