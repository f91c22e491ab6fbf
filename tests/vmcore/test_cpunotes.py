"""Registers of QEMU's s390x and ppc64 dumps are put where drgn looks for them."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from btfdbg.vmcore import open_core
from btfdbg.vmcore.cpunotes import needs_repair, notes_only, repaired
from btfdbg.vmcore.elfcore import parse_notes, read_elf
from btfdbg.vmcore.kdumpfile import Kdump

from . import tiny
from .tiny import ARCHES, MARK, X86_64, Kernel

S390X = next(a for a in ARCHES if a.name == "s390x 6.10")
PPC64 = next(a for a in ARCHES if a.name == "ppc64le 64k")


def status(pid: int, first: int, size: int, order: str) -> bytes:
    desc = bytearray(size)
    struct.pack_into(order + "I", desc, 32, pid)
    for i in range((size - 120) // 8):
        struct.pack_into(order + "Q", desc, 112 + 8 * i, first + i)
    return tiny.note(b"CORE", 1, bytes(desc), order)


def qemu(arch: tiny.Arch) -> bytes:
    """Two CPUs, as QEMU 9.1 writes them: see the header of cpunotes.py."""
    if arch is S390X:
        return status(1 << 24, 0x100, 336, ">") + status(2 << 24, 0x200, 336, ">")
    return status(0, 0x100, 504, ">") + status(0, 0x200, 504, ">")


@pytest.mark.parametrize("arch", [S390X, PPC64], ids=str)
def test_each_cpu_gets_its_number_and_its_registers(arch: tiny.Arch, tmp_path: Path) -> None:
    kernel = Kernel(arch)
    path = tiny.elf(
        tmp_path / "core",
        [(0, 0, bytes(kernel.memory))],
        qemu(arch),
        order=">",
        machine=arch.elf_machine,
    )
    core = read_elf(path)
    assert needs_repair(core.notes(), core.order, arch.drgn)
    fd = notes_only(core.notes(), core.order, arch.platform, kernel.text())
    try:
        repaired = read_elf(Path(f"/proc/self/fd/{fd}"))
        assert repaired.order == arch.order
        notes = list(repaired.notes())
    finally:
        os.close(fd)
    assert [n.name for n in notes] == ["CORE", "CORE", "VMCOREINFO"]
    for cpu, note in enumerate(notes[:2]):
        assert struct.unpack_from(arch.order + "I", note.desc, 32) == (cpu + 1,)
        first, second = struct.unpack_from(arch.order + "QQ", note.desc, 112)
        assert (first, second) == (0x100 * (cpu + 1), 0x100 * (cpu + 1) + 1)
    assert notes[2].desc.split(b"\0")[0] == kernel.text()


@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize("arch", [S390X, PPC64], ids=str)
def test_memory_stays_the_files(arch: tiny.Arch, by_hand: bool, tmp_path: Path) -> None:
    kernel = Kernel(arch)
    path = tiny.elf(
        tmp_path / "core",
        [(0, 0, bytes(kernel.memory))],
        qemu(arch),
        order=">",
        machine=arch.elf_machine,
    )
    prog, info = open_core(path, vmcoreinfo=kernel.text() if by_hand else None)
    assert prog.platform == arch.platform
    assert prog.read(kernel.mark, len(MARK)) == MARK
    physical = kernel.physical + 5 * 65536 + 2048
    assert prog.read(physical, len(MARK), physical=True) == MARK
    assert info.architecture is arch.drgn


def test_registers_of_a_kdump_file_that_is_read_here_are_kept(tmp_path: Path) -> None:
    """QEMU's kdump file of s390x has the notes of its ELF file, wrong in the same way."""
    kernel = Kernel(S390X)
    path = tiny.kdump(tmp_path / "core", kernel, block=65536, notes=qemu(S390X))
    notes = Kdump(path).notes()
    assert [n.name for n in notes] == ["CORE", "CORE"]
    assert needs_repair(notes, ">", S390X.drgn)
    prog, _ = open_core(path)
    assert prog.read(kernel.mark, len(MARK)) == MARK


@pytest.mark.parametrize("arch", [S390X, PPC64], ids=str)
def test_registers_that_are_written_out_are_the_repaired_ones(arch: tiny.Arch) -> None:
    given = list(parse_notes(qemu(arch), ">"))
    assert needs_repair(given, ">", arch.drgn)
    written = list(repaired(given, ">", arch.order))
    assert not needs_repair(written, arch.order, arch.drgn)
    for cpu, note in enumerate(written):
        (first,) = struct.unpack_from(arch.order + "Q", note.desc, 112)
        assert first == 0x100 * (cpu + 1)


def test_right_notes_are_left_alone(tmp_path: Path) -> None:
    kernel = Kernel(S390X)
    good = status(1, 0x100, 336, ">") + status(2, 0x200, 336, ">")
    core = read_elf(tiny.elf_of(tmp_path / "s390x", kernel, good))
    assert not needs_repair(core.notes(), core.order, S390X.drgn)
    wrong = status(7, 0x100, 336, "<")
    core = read_elf(tiny.elf_of(tmp_path / "x86", Kernel(X86_64), wrong))
    assert not needs_repair(core.notes(), core.order, X86_64.drgn)
