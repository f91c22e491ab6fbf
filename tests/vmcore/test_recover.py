"""Which VMCOREINFO is believed: decoys, leftovers of another boot, notes that lie."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from btfdbg.errors import DebugInfoError
from btfdbg.vmcore import open_core

from . import tiny
from .tiny import X86_64, Kernel

FREE = 3 << 20  # where a kernel of tiny.py has nothing


def source(path: Path) -> str:
    return open_core(path)[1].vmcoreinfo_source


def at(kernel: Kernel, what: str = "note") -> str:
    return f"{what} in memory at physical {kernel.note + 24:#x}"


def test_copy_in_the_middle_of_a_page_is_not_taken(tmp_path: Path) -> None:
    kernel = Kernel(X86_64)
    note = kernel.elf_note()
    kernel.memory[FREE + 100 : FREE + 100 + len(note)] = note
    kernel.memory[0x10064 : 0x10064 + len(note)] = note
    assert source(tiny.elf_of(tmp_path / "core", kernel)) == at(kernel)


def test_format_string_is_not_taken(tmp_path: Path) -> None:
    kernel = Kernel(X86_64)
    kernel.memory[0x10000:0x10020] = b"OSRELEASE=%s\nPAGESIZE=%ld\n".ljust(32, b"\0")
    assert source(tiny.elf_of(tmp_path / "core", kernel)) == at(kernel)


def test_note_of_a_kernel_that_is_not_there_is_not_taken(tmp_path: Path) -> None:
    kernel = Kernel(X86_64)
    stale = Kernel(X86_64, kaslr=0x12000000, extra={"KERNELOFFSET": "12000000"}).elf_note()
    kernel.memory[0x10000 : 0x10000 + len(stale)] = stale
    assert source(tiny.elf_of(tmp_path / "core", kernel)) == at(kernel)


def test_note_of_another_release_in_page_cache_is_not_taken(tmp_path: Path) -> None:
    kernel = Kernel(X86_64)
    other = kernel.elf_note().replace(tiny.RELEASE.encode(), b"5.10.0-tiny")
    kernel.memory[0x10000 : 0x10000 + len(other)] = other
    assert source(tiny.elf_of(tmp_path / "core", kernel)) == at(kernel)


def test_note_without_the_lines_that_matter_is_passed_over(tmp_path: Path) -> None:
    kernel = Kernel(X86_64)
    for i, junk in enumerate(
        (
            b"OSRELEASE=6.1.0\n",
            b"OSRELEASE=\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)=\n",
            b"OSRELEASE=6.1\nPAGESIZE=7\nSYMBOL(swapper_pg_dir)=ffffffffffffffffff\n",
            b"OSRELEASE=" + b"x" * 4000,
        )
    ):
        kernel.memory[0x20000 + i * 4096 : 0x20000 + i * 4096 + len(junk)] = junk
    assert source(tiny.elf_of(tmp_path / "core", kernel)) == at(kernel)


def both(first: Kernel, second: Kernel) -> Kernel:
    """Two kernels side by side in one memory, the second above the first."""
    start = second.base
    first.memory[start : start + (2 << 20)] = second.memory[start : start + (2 << 20)]
    return first


def two_boots() -> tuple[Kernel, Kernel]:
    old = Kernel(X86_64, size=8 << 20)
    new = Kernel(
        X86_64, size=8 << 20, base=4 << 20, kaslr=0x2000000, extra={"KERNELOFFSET": "2000000"}
    )
    return old, new


def test_two_kernels_that_both_work_are_refused(tmp_path: Path) -> None:
    old, new = two_boots()
    with pytest.raises(DebugInfoError, match="2 kernels are in this memory") as e:
        open_core(tiny.elf_of(tmp_path / "core", both(old, new)))
    assert "--vmcoreinfo" in e.value.hint
    assert f"{old.note + 24:#x}" in str(e.value)
    assert f"{new.note + 24:#x}" in str(e.value)


def cpu_state(kernel: Kernel) -> bytes:
    """QEMU's note of one x86_64 CPU that runs on a kernel's page tables."""
    state = bytearray(440)
    struct.pack_into("<Q", state, 416, kernel.physical | 0x1000)
    return tiny.note(b"QEMU", 0, bytes(state))


def test_page_tables_in_use_choose_between_two_boots(tmp_path: Path) -> None:
    old, new = two_boots()
    # CR3 has flags in its low bits; the roots of tiny.py are 64 KiB apart.
    memory = both(old, new)
    for kernel in (old, new):
        path = tiny.elf_of(tmp_path / "core", memory, cpu_state(kernel))
        assert source(path) == at(kernel)


def test_program_counter_chooses_between_two_boots(tmp_path: Path) -> None:
    old, new = two_boots()
    memory = both(old, new)
    for kernel in (old, new):
        status = bytearray(336)
        struct.pack_into("<Q", status, 112 + 16 * 8, kernel.virtual + 0x1234)
        notes = tiny.note(b"CORE", 1, bytes(status))
        path = tiny.elf_of(tmp_path / "core", memory, notes)
        assert source(path) == at(kernel)


def test_boot_whose_page_tables_were_overwritten_loses(tmp_path: Path) -> None:
    old, new = two_boots()
    # A table of the old boot, not on the way to its name, was given to somebody else.
    old.link(old.virtual + (64 << 20), 1, 0x30000)
    old.memory[0x30000:0x31000] = b"\xff" * 4096
    old.link(old.virtual + (66 << 20), 1, 0x7FFFFFFF000)
    assert source(tiny.elf_of(tmp_path / "core", both(old, new))) == at(new)


def test_copies_of_one_boot_are_one(tmp_path: Path) -> None:
    kernel = Kernel(X86_64)
    text = kernel.text()
    kernel.memory[0x10000 : 0x10000 + len(text)] = text
    crashed = Kernel(X86_64, extra={"CRASHTIME": "1700000000"}).elf_note()
    kernel.memory[kernel.note : kernel.note + len(crashed)] = crashed
    prog, info = open_core(tiny.elf_of(tmp_path / "core", kernel))
    assert info.vmcoreinfo_source == at(kernel)
    assert b"CRASHTIME=1700000000" in prog["VMCOREINFO"].string_()


def test_note_in_the_file_that_is_of_another_boot_gives_way_to_memory(tmp_path: Path) -> None:
    kernel = Kernel(X86_64)
    stale = Kernel(X86_64, kaslr=0x12000000, extra={"KERNELOFFSET": "12000000"})
    prog, info = open_core(tiny.elf_of(tmp_path / "core", kernel, stale.elf_note()))
    assert info.vmcoreinfo_source == at(kernel)
    assert prog.read(kernel.mark, len(tiny.MARK)) == tiny.MARK
    assert "not of the kernel in its memory" in info.remarks[0][0]


def test_note_in_the_file_stays_where_memory_has_none(tmp_path: Path) -> None:
    kernel = Kernel(X86_64, with_note=False)
    # The page of init_uts_ns is lost.
    kernel.put(kernel.uts, bytes(512))
    _, info = open_core(tiny.elf_of(tmp_path / "core", kernel, kernel.elf_note()))
    assert info.vmcoreinfo_source == "note in the dump"
    assert "do not lead to this kernel's name" in info.remarks[0][0]


def test_kdump_whose_text_is_of_another_boot_gives_way_to_memory(tmp_path: Path) -> None:
    kernel = Kernel(X86_64)
    note = kernel.elf_note()
    kernel.extra = {"KERNELOFFSET": "12000000", "NUMBER(phys_base)": "0x7000000"}
    path = tiny.kdump(tmp_path / "core", kernel)
    assert note in kernel.memory
    _, info = open_core(path)
    assert info.vmcoreinfo_source == at(kernel)


def test_release_with_a_reference_count_before_it_is_found(tmp_path: Path) -> None:
    kernel = Kernel(X86_64, with_note=False)
    kernel.put(kernel.uts, b"\3\0\0\0" + kernel.uts_name())
    text = kernel.text().replace(b"OFFSET(uts_namespace.name)=0\n", b"")
    head = struct.pack("<III", 11, len(text), 0) + b"VMCOREINFO\0\0"
    kernel.memory[kernel.note : kernel.note + 24 + len(text)] = head + text
    assert source(tiny.elf_of(tmp_path / "core", kernel)) == at(kernel)


def test_a_wrong_architecture_by_hand_is_told_from_the_right_one(tmp_path: Path) -> None:
    path = tiny.raw(tmp_path / "core", Kernel(X86_64))
    with pytest.raises(DebugInfoError, match=r"is of x86_64, not of aarch64$"):
        open_core(path, architecture="arm64")


def test_memory_without_a_kernel_says_so(tmp_path: Path) -> None:
    kernel = Kernel(X86_64, with_note=False)
    with pytest.raises(DebugInfoError, match="no Linux kernel's VMCOREINFO was found"):
        open_core(tiny.raw(tmp_path / "raw", kernel))
    for path in (
        tiny.elf_of(tmp_path / "elf", kernel),
        tiny.lime(tmp_path / "lime", kernel),
        tiny.kdump(tmp_path / "kdump", kernel, vmcoreinfo=False),
    ):
        with pytest.raises(DebugInfoError, match="none was found in its memory") as e:
            open_core(path)
        assert e.value.hint == "give it with --vmcoreinfo FILE"
