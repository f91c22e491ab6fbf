"""A home folder, and the bundled dump in other formats."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from btfdbg.vmcore.kdumpfile import Kdump
from btfdbg.vmcore.kdumppages import KdumpPages
from tests.vmcore import tiny

from .support import environment


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def env(home: Path) -> dict[str, str]:
    return environment(home)


@pytest.fixture(scope="session")
def elf_core(oops_core: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled kdump file as an ELF core: the same pages, as they are."""
    kdump = Kdump(oops_core)
    pages = KdumpPages(kdump)
    text = kdump.vmcoreinfo()
    assert text is not None
    note = tiny.note(b"VMCOREINFO", 0, text.split(b"\0")[0])
    runs = list(kdump.runs())
    at = 64 + 56 * (len(runs) + 1)
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, len(runs) + 1, 0, 0, 0)
    header += struct.pack("<IIQQQQQQ", 4, 0, at, 0, 0, len(note), len(note), 0)
    at = (at + len(note) + 4095) & ~4095
    path = tmp_path_factory.mktemp("elf") / "core"
    with path.open("wb") as file:
        file.seek(at)
        for start, size in runs:
            # As QEMU writes it without paging: physical addresses only.
            header += struct.pack("<IIQQQQQQ", 1, 7, at, 0, start, size, size, 0)
            for address in range(start, start + size, 4096):
                file.write(pages.read(address, 4096))
            at += size
        file.seek(0)
        file.write(header + note)
    return path
