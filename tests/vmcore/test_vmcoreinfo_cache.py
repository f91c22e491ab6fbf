"""What a search found is remembered, and proved again before it is believed."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from btfdbg.cache import NO_CACHE_VARIABLE, Cache
from btfdbg.vmcore import open_core, vmcoreinfo_cache
from btfdbg.vmcore.memory import FileMemory
from btfdbg.vmcore.recover import Candidate, candidates

from . import tiny
from .tiny import MARK, X86_64, Kernel

WRITERS = {"ELF": tiny.elf_of, "raw": tiny.raw, "LiME": tiny.lime}


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The labels of the searches through memory, in order."""
    monkeypatch.setattr(vmcoreinfo_cache, "_LEAST", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made: list[str] = []

    def counted(memory: FileMemory, label: str) -> list[Candidate]:
        made.append(label)
        return candidates(memory, label)

    monkeypatch.setattr(vmcoreinfo_cache, "candidates", counted)
    return made


def opens(path: Path, kernel: Kernel) -> str:
    prog, info = open_core(path)
    assert prog.read(kernel.mark, len(MARK)) == MARK
    return info.vmcoreinfo_source


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_memory_is_searched_once(
    writer: Callable[[Path, Kernel], Path], searches: list[str], tmp_path: Path
) -> None:
    kernel = Kernel(X86_64)
    path = writer(tmp_path / "core", kernel)
    first = opens(path, kernel)
    again = opens(path.rename(tmp_path / "renamed"), kernel)
    assert again == first
    assert len(searches) == 1


def test_a_cache_that_is_off_keeps_nothing(
    searches: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NO_CACHE_VARIABLE, "1")
    kernel = Kernel(X86_64)
    path = tiny.elf_of(tmp_path / "core", kernel)
    opens(path, kernel)
    opens(path, kernel)
    assert len(searches) == 2
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("place", [0, 8, 1 << 20, (4 << 20) - 8, 1 << 40, (1 << 64) - 1])
def test_a_wrong_place_costs_a_search_and_nothing_else(
    place: int, searches: list[str], tmp_path: Path
) -> None:
    kernel = Kernel(X86_64)
    path = tiny.elf_of(tmp_path / "core", kernel)
    key = vmcoreinfo_cache._key(path)
    right = opens(path, kernel)
    assert Cache.default().store(key, vmcoreinfo_cache._KIND, struct.pack("<Q", place))
    assert opens(path, kernel) == right
    # What was wrong was dropped and what was found kept.
    assert opens(path, kernel) == right
    assert len(searches) == 2


def test_a_note_of_another_boot_is_not_believed_because_it_was_remembered(
    searches: list[str], tmp_path: Path
) -> None:
    kernel = Kernel(X86_64)
    stale = Kernel(X86_64, kaslr=0x12000000, extra={"KERNELOFFSET": "12000000"}).elf_note()
    kernel.memory[0x10000 : 0x10000 + len(stale)] = stale
    path = tiny.elf_of(tmp_path / "core", kernel)
    assert Cache.default().store(
        vmcoreinfo_cache._key(path), vmcoreinfo_cache._KIND, struct.pack("<Q", 0x10000 + 24)
    )
    assert opens(path, kernel) == f"note in memory at physical {kernel.note + 24:#x}"
    assert len(searches) == 1


def test_damaged_entries_are_as_if_there_were_none(searches: list[str], tmp_path: Path) -> None:
    kernel = Kernel(X86_64)
    path = tiny.elf_of(tmp_path / "core", kernel)
    opens(path, kernel)
    (entry,) = (tmp_path / "cache" / "btfdbg").iterdir()
    entry.write_bytes(entry.read_bytes()[:-1] + b"\xff")
    opens(path, kernel)
    Cache.default().store(vmcoreinfo_cache._key(path), vmcoreinfo_cache._KIND, b"short")
    opens(path, kernel)
    assert len(searches) == 3


def test_small_dumps_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kernel = Kernel(X86_64)
    opens(tiny.elf_of(tmp_path / "core", kernel), kernel)
    assert not (tmp_path / "cache").exists()
