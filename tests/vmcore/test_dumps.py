"""Real dumps: every one in ``$BTFDBG_DUMPS`` opens, as it is and robbed of its VMCOREINFO."""

from __future__ import annotations

import json
import os
import shutil
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import drgn
import pytest

from btfdbg.errors import DebugInfoError
from btfdbg.vmcore import Format, identify, open_core
from btfdbg.vmcore.elfcore import read_elf
from btfdbg.vmcore.kdumpfile import Kdump
from btfdbg.vmcore.kdumppages import KdumpPages
from btfdbg.vmcore.memory import FileMemory
from btfdbg.vmcore.paging import ways_to_translate
from btfdbg.vmcore.recover import believable_paging
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

FOLDER = os.environ.get("BTFDBG_DUMPS", "")
SUFFIXES = (".vmcore", ".raw", ".lime")
DUMPS = sorted(
    p for p in (Path(FOLDER).iterdir() if FOLDER else ()) if p.suffix in SUFFIXES and p.is_file()
)
KDUMPS = (Format.KDUMP, Format.KDUMP_FLATTENED)

pytestmark = [
    pytest.mark.matrix,
    pytest.mark.skipif(not DUMPS, reason="no real dumps: set BTFDBG_DUMPS to a folder of them"),
]

every_dump = pytest.mark.parametrize("path", DUMPS, ids=lambda p: p.name)


def of(*formats: Format) -> list[Path]:
    return [p for p in DUMPS if identify(p).format in formats]


def vmcoreinfo(prog: drgn.Program) -> VmcoreInfo:
    return VmcoreInfo.parse(prog["VMCOREINFO"].string_())


def release(path: Path) -> str | None:
    """What the guest itself said, if the dump has its manifest beside it."""
    manifest = Path(f"{path}.json")
    return str(json.loads(manifest.read_text())["release"]) if manifest.exists() else None


def uts_release(prog: drgn.Program, info: VmcoreInfo) -> str:
    at = info.symbols["init_uts_ns"] + info.offsets.get("uts_namespace.name", 4) + 130
    data: bytes = prog.read(at, 65)
    return data.split(b"\0")[0].decode()


@every_dump
def test_dump_opens_and_is_the_kernel_that_ran(path: Path) -> None:
    prog, info = open_core(path)
    text = vmcoreinfo(prog)
    assert text.release == (release(path) or text.release)
    assert uts_release(prog, text) == text.release
    assert info.remarks == ()


@every_dump
def test_our_walk_agrees_with_drgns(path: Path) -> None:
    prog, info = open_core(path)
    text = vmcoreinfo(prog)
    assert info.architecture is not None

    def physical(address: int, size: int) -> bytes:
        data: bytes = prog.read(address, size, physical=True)
        return data

    paging = believable_paging(text, info.architecture, physical)
    assert paging is not None
    assert list(ways_to_translate(info.architecture, text))
    start = text.symbols["_stext"]
    for address in range(start, start + (16 << 20), 64 << 10):
        try:
            ours: bytes | None = paging.read(physical, address, 64)
        except (LookupError, drgn.FaultError):
            ours = None
        try:
            theirs: bytes | None = prog.read(address, 64)
        except drgn.FaultError:
            theirs = None
        assert ours == theirs, hex(address)


@every_dump
def test_null_faults_but_on_s390x(path: Path) -> None:
    prog, info = open_core(path)
    if info.architecture is drgn.Architecture.S390X:
        assert prog.read(0, 8)
        return
    with pytest.raises(drgn.FaultError):
        prog.read(0, 8)


def without_vmcoreinfo(path: Path, out: Path) -> Path:
    """A copy without its VMCOREINFO; memory has it still."""
    shutil.copyfile(path, out)
    format_ = identify(path).format
    with out.open("r+b") as f:
        if format_ is Format.ELF:
            data = f.read(1 << 20)
            at = data.find(b"VMCOREINFO\0")
            if at >= 0:
                f.seek(at)
                f.write(b"SOMETHING\0\0")
        else:
            kdump = Kdump(out)
            where = kdump.header.block_size + 32
            if kdump.flattened is not None:
                f.seek(0)
                head = f.read(1 << 20)
                # The sub-header is the second page of the dump; find it by its contents.
                needle = kdump.read(kdump.header.block_size, 104)
                where = head.index(needle) + 32
            f.seek(where)
            f.write(bytes(16))
            # The notes have it as well; libkdumpfile takes it from there.
            f.write(bytes(16))
    return out


@pytest.mark.parametrize("path", of(Format.ELF, *KDUMPS), ids=lambda p: p.name)
def test_vmcoreinfo_is_recovered_from_memory(path: Path, tmp_path: Path) -> None:
    expected = vmcoreinfo(open_core(path)[0])
    stripped = without_vmcoreinfo(path, tmp_path / "core")
    begin = time.perf_counter()
    prog, info = open_core(stripped)
    took = time.perf_counter() - begin
    found = vmcoreinfo(prog)
    assert "in memory" in info.vmcoreinfo_source
    # Lines may have been added to the file's copy by whoever dumped it.
    assert found.symbols == expected.symbols
    assert found.numbers == expected.numbers
    memory = info.memory
    assert memory is not None
    print(f"{path.name}: {took:.2f} s, {took / (memory.total / 1e9):.2f} s per GB")
    (tmp_path / "core").unlink()


@pytest.mark.parametrize("path", of(Format.ELF), ids=lambda p: p.name)
def test_elf_turned_into_raw_and_lime_opens(path: Path, tmp_path: Path) -> None:
    core = read_elf(path)
    loads = [s for s in core.loads if s.filesz == s.memsz]
    if len({s.vaddr == s.paddr or s.vaddr == 0 for s in loads}) != 1 or core.writer() != "QEMU":
        pytest.skip("no QEMU dump without paging: its segments overlap or have holes")
    expected = vmcoreinfo(open_core(path)[0])
    memory = FileMemory(path, core.extents())
    largest = max(memory.extents, key=lambda e: e.size)
    with (tmp_path / "raw").open("wb") as raw, (tmp_path / "lime").open("wb") as lime:
        lime.write(
            struct.pack(core.order + "IIQQQ", 0x4C694D45, 1, largest.address, largest.end - 1, 0)
        )
        for at in range(largest.address, largest.end, 1 << 24):
            data = memory.read(at, min(1 << 24, largest.end - at))
            raw.write(data)
            lime.write(data)
    for name in ("raw", "lime"):
        prog, info = open_core(tmp_path / name)
        assert vmcoreinfo(prog).symbols == expected.symbols
        assert uts_release(prog, expected) == expected.release
        assert info.format.name.lower() == name
        (tmp_path / name).unlink()


def sample(pages: KdumpPages, count: int) -> Iterator[int]:
    block = pages.kdump.header.block_size
    step = max(1, pages.count // count) * block
    for start, size in pages.kdump.runs():
        yield from range(start, start + size, step)


@pytest.mark.parametrize("path", of(*KDUMPS), ids=lambda p: p.name)
def test_pages_decompressed_here_equal_libkdumpfiles(path: Path) -> None:
    prog, info = open_core(path)
    pages = info.memory
    assert isinstance(pages, KdumpPages)
    block = pages.kdump.header.block_size
    for address in sample(pages, 1000):
        assert pages.read(address, block) == prog.read(address, block, physical=True)


@pytest.mark.parametrize("path", of(*KDUMPS), ids=lambda p: p.name)
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_truncated_dump_opens_or_says_so(path: Path, share: float, tmp_path: Path) -> None:
    out = tmp_path / "core"
    shutil.copyfile(path, out)
    os.truncate(out, int(out.stat().st_size * share))
    try:
        prog, info = open_core(out)
    except DebugInfoError as e:
        if "truncated" not in str(e):
            raise
        return
    assert any("truncated" in what for what, _ in info.remarks)
    pages = info.memory
    assert isinstance(pages, KdumpPages)
    for address in sample(pages, 500):
        try:
            prog.read(address, 8, physical=True)
        except drgn.FaultError:
            continue
    out.unlink()
