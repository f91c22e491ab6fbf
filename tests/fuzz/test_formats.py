"""The fuzzer changes in a file of any format what it means to change, and takes it back."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.dumpfile import Applied, Edit, copy_sparse, data_ranges
from tests.fuzz.formats import open_dump
from tests.fuzz.smalldump import elf_of, flatten, lime_of, own_of, raw_of
from tests.trim.kdump_reader import KdumpReader


def as_it_is(kdump: Path, out: Path) -> None:
    shutil.copy(kdump, out)


def flat(kdump: Path, out: Path) -> None:
    as_it_is(kdump, out)
    flatten(out)


def of_some_pages(kdump: Path, out: Path) -> None:
    own_of(kdump, open_dump(kdump).frames, out)


FORMS: dict[str, Callable[[Path, Path], None]] = {
    "kdump": as_it_is,
    "own": of_some_pages,
    "flattened": flat,
    "ELF": elf_of,
    "LiME": lime_of,
    "raw": raw_of,
}


def content(path: Path) -> tuple[int, bytes]:
    """Size and digest of all that is not zero; a raw image has gigabytes of holes."""
    digest = hashlib.sha256()
    with path.open("rb") as f:
        size = path.stat().st_size
        for start, end in data_ranges(f.fileno(), size):
            for at in range(start, end, 4096):
                block = os.pread(f.fileno(), min(4096, end - at), at)
                if any(block):
                    digest.update(at.to_bytes(8, "little") + block)
    return size, digest.digest()


@pytest.fixture(params=FORMS)
def dump(request: pytest.FixtureRequest, x86_core: Path, tmp_path: Path) -> Path:
    path = tmp_path / "dump"
    FORMS[request.param](x86_core, path)
    return path


def test_pages_are_where_they_are_said_to_be(dump: Path, x86_core: Path) -> None:
    found = open_dump(dump)
    with KdumpReader(x86_core) as reader:
        frames = reader.pfns()
        assert set(found.frames) >= set(frames)
        for pfn in frames[::50]:
            assert found.page(pfn) == reader.page(pfn)


def test_a_page_gets_another_content_and_its_own_back(dump: Path) -> None:
    found = open_dump(dump)
    rng = random.Random(1)
    before = content(dump)
    pages = {pfn: rng.randbytes(4096) for pfn in found.frames[5:500:100]}
    pages[found.frames[7]] = b"shrinks" + bytes(4089)
    others = found.frames[8:500:100]
    kept = [found.page(pfn) for pfn in others]
    applied = Applied(dump, Edit("", tuple(found.put(pages))))
    now = open_dump(dump)
    assert {pfn: now.page(pfn) for pfn in pages} == pages
    assert [now.page(pfn) for pfn in others] == kept
    applied.undo()
    assert content(dump) == before


def test_a_cut_file_becomes_whole_again_with_its_holes(dump: Path) -> None:
    before = content(dump)
    applied = Applied(dump, Edit("", ((9, b"other"),), before[0] // 3))
    assert dump.stat().st_size == before[0] // 3
    applied.undo()
    assert content(dump) == before


def test_what_is_lost_is_in_the_file_and_comes_back(dump: Path) -> None:
    found = open_dump(dump)
    before = content(dump)
    frames_in_use = [pfn for pfn in found.frames[:60] if any(found.page(pfn))]
    for number, pfn in enumerate(frames_in_use[:6]):
        patches, frames = found.lose(pfn, random.Random(number))
        assert patches
        assert frames is None or pfn in frames
        applied = Applied(dump, Edit("", tuple(patches)))
        assert content(dump) != before
        applied.undo()
        assert content(dump) == before


def test_a_copy_of_a_file_with_holes_has_them(x86_core: Path, tmp_path: Path) -> None:
    raw, copy = tmp_path / "raw", tmp_path / "copy"
    raw_of(x86_core, raw)
    copy_sparse(raw, copy)
    assert content(copy) == content(raw)
    assert copy.stat().st_blocks <= raw.stat().st_blocks < raw.stat().st_size // 512
