"""Why an address does not read is said, and said right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import drgn
import pytest

from btfdbg.vmcore import DumpInfo, Reason, explain_address, explain_fault, open_core

from . import tiny
from .tiny import ARCHES, PAGE, X86_64, Kernel

POISON = 0xDEAD000000000100


def reason(prog: drgn.Program, info: DumpInfo, address: int) -> Reason:
    """The reason for the fault that reading raises."""
    with pytest.raises(drgn.FaultError) as e:
        prog.read(address, 8)
    found = explain_fault(prog, info, e.value)
    assert "\n" not in str(found)
    assert f"{found.address:#x}" in str(found)
    return found.reason


HIGH = [a for a in ARCHES if a.machine != "s390x"]


@pytest.mark.parametrize("arch", HIGH, ids=str)
def test_pointers_are_told_apart(arch: tiny.Arch, tmp_path: Path) -> None:
    kernel = Kernel(arch)
    prog, info = open_core(tiny.elf_of(tmp_path / "core", kernel))
    assert reason(prog, info, 0) is Reason.NULL
    assert reason(prog, info, 0x18) is Reason.NULL
    assert reason(prog, info, 0x7FFF12345678) is Reason.USER
    assert reason(prog, info, (1 << 64) - 22) is Reason.ERROR
    assert reason(prog, info, POISON) is Reason.POISON
    assert reason(prog, info, kernel.virtual + (8 << 20)) is Reason.CORRUPT


def test_error_value_is_given_as_a_number(tmp_path: Path) -> None:
    prog, info = open_core(tiny.elf_of(tmp_path / "core", Kernel(X86_64)))
    assert "-22" in str(explain_address(prog, info, (1 << 64) - 22))


def mapped_far(kernel: Kernel, physical: int) -> int:
    """Map a physical address; return the virtual one."""
    virtual = kernel.virtual + (16 << 20)
    kernel.map(virtual, physical)
    return virtual


def test_memory_that_was_never_dumped_is_absent(tmp_path: Path) -> None:
    kernel = Kernel(X86_64)
    virtual = mapped_far(kernel, 0xFEE00000)
    for name, writer in (("elf", tiny.elf_of), ("lime", tiny.lime), ("kdump", tiny.kdump)):
        prog, info = open_core(writer(tmp_path / name, kernel))
        assert reason(prog, info, virtual) is Reason.ABSENT, name


def test_page_that_makedumpfile_left_out_is_excluded(tmp_path: Path) -> None:
    kernel = Kernel(X86_64)
    virtual = mapped_far(kernel, 3 << 20)
    path = tiny.kdump(tmp_path / "core", kernel, excluded=[(3 << 20) // PAGE])
    prog, info = open_core(path)
    assert reason(prog, info, virtual) is Reason.EXCLUDED
    assert "dump level 31" in str(explain_address(prog, info, virtual))


def cut(path: Path, size: int) -> Path:
    with path.open("r+b") as f:
        f.truncate(size)
    return path


def test_page_beyond_the_end_of_the_file_is_truncated(tmp_path: Path) -> None:
    kernel = Kernel(X86_64)
    virtual = mapped_far(kernel, (4 << 20) - PAGE)
    kernel.memory[-PAGE:] = bytes(range(256)) * 16
    writers: dict[str, Callable[[Path, Kernel], Path]] = {
        "elf": tiny.elf_of,
        "lime": tiny.lime,
        "kdump": tiny.kdump,
    }
    for name, writer in writers.items():
        path = writer(tmp_path / name, kernel)
        prog, info = open_core(cut(path, path.stat().st_size - 16))
        with pytest.raises(drgn.FaultError) as e:
            prog.read(virtual, PAGE)
        # The part of the page that is there may read; the last byte does not.
        assert explain_address(prog, info, virtual + PAGE - 1).reason is Reason.TRUNCATED, name
        assert e.value.address


def test_page_table_that_is_missing_is_damage(tmp_path: Path) -> None:
    kernel = Kernel(X86_64)
    virtual = kernel.virtual + (16 << 20)
    kernel.link(virtual, 1, 0x7FFFFFF000)
    prog, info = open_core(tiny.elf_of(tmp_path / "core", kernel))
    assert explain_address(prog, info, virtual).reason is Reason.DAMAGED


def test_program_opened_elsewhere_gets_an_answer_too(tmp_path: Path) -> None:
    prog, _ = open_core(tiny.elf_of(tmp_path / "core", Kernel(X86_64)))
    assert explain_address(prog, None, 0).reason is Reason.NULL
    assert explain_address(prog, None, X86_64.kernel + (8 << 20)).reason is Reason.CORRUPT
