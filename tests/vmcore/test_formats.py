"""Every format opens, for every architecture, with and without VMCOREINFO."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import drgn
import pytest

from btfdbg.errors import DebugInfoError
from btfdbg.vmcore import Format, open_core
from corefiles.recompress import snappy

from . import tiny
from .tiny import ARCHES, MARK, X86_64, Arch, Kernel

Writer = Callable[[Path, Kernel], Path]


def opened(path: Path, **options: object) -> tuple[drgn.Program, str]:
    """Open as the session does; return the Program and where VMCOREINFO came from."""
    prog, info = open_core(path, **options)  # type: ignore[arg-type] # passed through
    return prog, info.vmcoreinfo_source


def with_note(path: Path, kernel: Kernel) -> Path:
    return tiny.elf_of(path, kernel, kernel.elf_note())


WRITERS: dict[str, Writer] = {
    "ELF with a note": with_note,
    "ELF without a note": tiny.elf_of,
    "raw": tiny.raw,
    "LiME": tiny.lime,
    "Xen domain": tiny.xen,
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("arch", ARCHES, ids=str)
def test_kernel_memory_reads_through_the_kernels_own_page_tables(
    arch: Arch, writer: str, tmp_path: Path
) -> None:
    kernel = Kernel(arch)
    prog, source = opened(WRITERS[writer](tmp_path / "core", kernel))
    assert prog.platform == arch.platform
    assert prog.read(kernel.mark, len(MARK)) == MARK
    assert source.startswith("note in the dump" if "with a" in writer else "note in memory")


@pytest.mark.parametrize("arch", ARCHES, ids=str)
def test_physical_memory_is_where_the_machine_has_it(arch: Arch, tmp_path: Path) -> None:
    kernel = Kernel(arch)
    for name, writer in WRITERS.items():
        prog, _ = opened(writer(tmp_path / name, kernel))
        at = kernel.physical + 5 * 65536 + 2048
        assert prog.read(at, len(MARK), physical=True) == MARK, name


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("arch", [a for a in ARCHES if a.machine != "s390x"], ids=str)
def test_null_faults(arch: Arch, writer: str, tmp_path: Path) -> None:
    prog, _ = opened(WRITERS[writer](tmp_path / "core", Kernel(arch)))
    for address in (0, 0x10, 0x1000, arch.ram, arch.ram + 4096):
        with pytest.raises(drgn.FaultError):
            prog.read(address, 8)


def test_s390x_keeps_its_low_addresses(tmp_path: Path) -> None:
    arch = next(a for a in ARCHES if a.name == "s390x identity")
    kernel = Kernel(arch)
    prog, _ = opened(tiny.elf_of(tmp_path / "core", kernel))
    assert kernel.mark < 1 << 32
    assert prog.read(kernel.mark, len(MARK)) == MARK


@pytest.mark.parametrize("arch", [a for a in ARCHES if a.machine == "s390x"], ids=str)
def test_what_stands_behind_a_hole_in_memory_is_read(arch: Arch, tmp_path: Path) -> None:
    """Page tables that end at a hole were made to read as longer, over what is behind it."""
    kernel = Kernel(arch)
    hole = kernel.base - 8192
    kernel.memory[hole + 4096 : hole + 4096 + len(MARK)] = MARK
    parts = [(at, at, kernel.memory[at:end]) for at, end in ((0, hole), (hole + 4096, 4 << 20))]
    note = kernel.elf_note()
    prog, _ = opened(tiny.elf(tmp_path / "core", parts, note, order=">", machine=22))
    assert prog.read(kernel.mark, len(MARK)) == MARK
    assert prog.read(hole + 4096, len(MARK), physical=True) == MARK
    with pytest.raises(drgn.FaultError):
        prog.read(hole, 8, physical=True)


@pytest.mark.parametrize("arch", ARCHES, ids=str)
def test_kdump_of_every_architecture_opens(arch: Arch, tmp_path: Path) -> None:
    kernel = Kernel(arch)
    prog, _ = opened(tiny.kdump(tmp_path / "core", kernel, block=arch.page))
    assert prog.platform == arch.platform
    assert prog.read(kernel.mark, len(MARK)) == MARK
    physical = kernel.physical + 5 * 65536 + 2048
    assert prog.read(physical, len(MARK), physical=True) == MARK


PPC64LE = [a for a in ARCHES if a.machine == "ppc64le"]


@pytest.mark.parametrize("flattened", [False, True])
@pytest.mark.parametrize("arch", PPC64LE, ids=str)
def test_a_big_endian_kdump_file_of_a_little_endian_kernel_opens(
    arch: Arch, flattened: bool, tmp_path: Path
) -> None:
    """QEMU's dump-guest-memory -z of a ppc64le guest; newer ones call the machine Unknown."""
    kernel = Kernel(arch)
    path = tiny.kdump(
        tmp_path / "core", kernel, machine="Unknown", block=65536, order=">", flattened=flattened
    )
    prog, _ = opened(path)
    assert prog.platform == arch.platform
    assert prog.read(kernel.mark, len(MARK)) == MARK
    physical = kernel.physical + 5 * 65536 + 2048
    assert prog.read(physical, len(MARK), physical=True) == MARK
    assert prog["UTS_RELEASE"].string_().decode() == tiny.RELEASE


@pytest.mark.parametrize("writer", ["kdump", "kdump without a text", *WRITERS])
@pytest.mark.parametrize("arch", ARCHES, ids=str)
def test_an_architecture_that_is_not_the_kernels_is_refused(
    arch: Arch, writer: str, tmp_path: Path
) -> None:
    """It ended in a traceback, or said that pages were missing."""
    kernel, core = Kernel(arch), tmp_path / "core"
    if writer in WRITERS:
        path = WRITERS[writer](core, kernel)
    else:
        path = tiny.kdump(core, kernel, vmcoreinfo=writer == "kdump", block=arch.page)
    names = {a.machine for a in ARCHES} | {"ppc64"}
    for name in sorted(names - {arch.machine}):
        with pytest.raises(DebugInfoError) as error:
            opened(path, architecture=name)
        said = str(error.value)
        # An ELF header says it first, and not of which byte order.
        assert f" is of {arch.machine}, not of {name}" in said or "by its header, not of" in said
        assert error.value.hint == "leave out --architecture"
    assert opened(path, architecture=arch.machine)[0].platform == arch.platform


@pytest.mark.parametrize("writer", ["kdump", "raw", "LiME"])
def test_a_text_made_of_a_riscv64_image_tells_its_architecture(writer: str, tmp_path: Path) -> None:
    """``kallsyms.image_lines`` makes these two lines of a guest that stopped in early boot."""
    sv48 = next(a for a in ARCHES if a.name == "riscv64 Sv48")

    def note(virtual: int, physical: int) -> dict[str, str]:
        offset = f"0x{virtual - physical:x}"
        return {"NUMBER(VA_BITS)": "48", "NUMBER(va_kernel_pa_offset)": offset}

    kernel, core = Kernel(replace(sv48, note=note), with_note=False), tmp_path / "core"
    if writer == "kdump":
        tiny.kdump(core, kernel, machine="Unknown", vmcoreinfo=False)
    else:
        WRITERS[writer](core, kernel)
    prog, _ = opened(core, vmcoreinfo=kernel.text())
    assert prog.platform == sv48.platform
    assert prog.read(kernel.mark, len(MARK)) == MARK


def test_an_unknown_machine_in_a_kdump_header_is_told_by_vmcoreinfo(tmp_path: Path) -> None:
    prog, _ = opened(tiny.kdump(tmp_path / "core", Kernel(tiny.X86_64), machine="Unknown"))
    assert prog.platform == tiny.X86_64.platform


@pytest.mark.parametrize("arch", [a for a in ARCHES if a.page < 65536], ids=str)
def test_kdump_opens_whose_pages_are_not_the_kernels(arch: Arch, tmp_path: Path) -> None:
    """QEMU writes pages of 64 KiB for arm64, whatever its kernel uses."""
    kernel = Kernel(arch)
    path = tiny.kdump(tmp_path / "core", kernel, block=65536)
    prog, _ = opened(path)
    assert prog.platform == arch.platform
    assert prog.read(kernel.mark, len(MARK)) == MARK
    physical = kernel.physical + 5 * 65536 + 2048
    assert prog.read(physical, len(MARK), physical=True) == MARK


def plain(page: bytes) -> bytes:
    return page


@pytest.mark.parametrize(
    ("compress", "flag"),
    [(zlib.compress, 1), (snappy, 4), (plain, 0)],
    ids=["zlib", "snappy", "no"],
)
def test_vmcoreinfo_is_found_anywhere_in_a_kdump_page_of_64_kib(
    compress: Callable[[bytes], bytes], flag: int, tmp_path: Path
) -> None:
    arm64 = next(a for a in ARCHES if a.name == "arm64 4k")
    kernel = Kernel(arm64)
    # The note one page further on, which is not the beginning of 64 KiB.
    note = kernel.elf_note()
    kernel.memory[kernel.note : kernel.note + len(note)] = bytes(len(note))
    at = kernel.note + 4096
    kernel.memory[at : at + len(note)] = note
    path = tiny.kdump(
        tmp_path / "core", kernel, vmcoreinfo=False, block=65536, compress=compress, flag=flag
    )
    prog, source = opened(path)
    assert source == f"note in memory at physical {arm64.ram + at + 24:#x}"
    assert prog.read(kernel.mark, len(MARK)) == MARK


@pytest.mark.parametrize("flattened", [False, True], ids=["plain", "flattened"])
@pytest.mark.parametrize("vmcoreinfo", [True, False], ids=["with a text", "without"])
def test_kdump_opens(vmcoreinfo: bool, flattened: bool, tmp_path: Path) -> None:
    kernel = Kernel(X86_64)
    path = tiny.kdump(tmp_path / "core", kernel, vmcoreinfo=vmcoreinfo, flattened=flattened)
    prog, source = opened(path)
    assert prog.read(kernel.mark, len(MARK)) == MARK
    found = f"note in memory at physical {kernel.note + 24:#x}"
    assert source == ("note in the dump" if vmcoreinfo else found)
    with pytest.raises(drgn.FaultError):
        prog.read(0, 8)


def test_kdump_of_zstd_pages_opens_without_vmcoreinfo(tmp_path: Path) -> None:
    import zstandard

    kernel = Kernel(X86_64)
    pack = zstandard.ZstdCompressor().compress
    path = tiny.kdump(tmp_path / "core", kernel, vmcoreinfo=False, compress=pack, flag=0x20)
    prog, _ = opened(path)
    assert prog.read(kernel.mark, len(MARK)) == MARK


def test_kdump_of_uncompressed_pages_opens_without_vmcoreinfo(tmp_path: Path) -> None:
    kernel = Kernel(X86_64)
    path = tiny.kdump(tmp_path / "core", kernel, vmcoreinfo=False, compress=bytes)
    prog, _ = opened(path)
    assert prog.read(kernel.mark, len(MARK)) == MARK


def test_kdump_header_that_calls_every_machine_x86_64_is_not_believed(tmp_path: Path) -> None:
    arch = next(a for a in ARCHES if a.name == "arm64 4k")
    kernel = Kernel(arch)
    for vmcoreinfo in (True, False):
        path = tiny.kdump(tmp_path / "core", kernel, machine="x86_64", vmcoreinfo=vmcoreinfo)
        prog, _ = opened(path)
        assert prog.platform == arch.platform
        assert prog.read(kernel.mark, len(MARK)) == MARK


def test_vmcoreinfo_given_by_hand_is_used(tmp_path: Path) -> None:
    kernel = Kernel(X86_64, with_note=False)
    for name, writer in (
        ("elf", tiny.elf_of),
        ("raw", tiny.raw),
        ("lime", tiny.lime),
        ("kdump", lambda p, k: tiny.kdump(p, k, vmcoreinfo=False)),
    ):
        path = writer(tmp_path / name, kernel)
        for text in (kernel.text(), kernel.elf_note()):
            prog, source = opened(path, vmcoreinfo=text)
            assert source == "--vmcoreinfo"
            assert prog.read(kernel.mark, len(MARK)) == MARK


def test_the_page_of_text_serves_when_the_note_is_lost(tmp_path: Path) -> None:
    kernel = Kernel(X86_64, with_note=False)
    text = kernel.text()
    kernel.memory[kernel.note : kernel.note + len(text)] = text
    _, source = opened(tiny.raw(tmp_path / "core", kernel))
    assert source == f"text in memory at file offset {kernel.note:#x}"


@pytest.mark.parametrize("low", [0x80000000, 0xC0000000])
def test_hole_below_4_gib_of_a_raw_image_is_found(low: int, tmp_path: Path) -> None:
    kernel = Kernel(X86_64)
    # A page table beyond 4 GiB, whose place in the file is right after the low part.
    table = (1 << 32) + 0x4000
    virtual = kernel.virtual + (64 << 20)
    kernel.link(virtual, 1, table)
    path = tmp_path / "core"
    with path.open("wb") as f:
        f.write(kernel.memory)
        f.seek(low + 0x4000)
        index = virtual >> 12 & 0x1FF
        page = bytearray(4096)
        struct.pack_into("<Q", page, 8 * index, X86_64.leaf(table + 0x1000))
        f.write(page + MARK)
        f.truncate(low + (1 << 20))
    prog, _ = opened(path)
    assert prog.read(virtual, len(MARK)) == MARK


def test_format_and_architecture_are_told(tmp_path: Path) -> None:
    kernel = Kernel(ARCHES[2])
    for writer, expected in (
        (tiny.raw, Format.RAW),
        (tiny.lime, Format.LIME),
        (tiny.elf_of, Format.ELF),
    ):
        _, info = open_core(writer(tmp_path / "core", kernel))
        assert (info.format, info.architecture) == (expected, kernel.arch.drgn)
