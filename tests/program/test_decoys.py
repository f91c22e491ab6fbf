"""Another kernel's tables in the memory of a real dump are told from its own."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from btfdbg.errors import DebugInfoError
from btfdbg.kallsyms import KallsymsTable, load
from btfdbg.program.attach import Options, attach
from btfdbg.program.btf_evidence import contradiction
from btfdbg.program.find_btf import _from_image_scan, vmlinux_btf
from btfdbg.vmcore import open_core
from btfdbg.vmcore.kdumpfile import Kdump
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

from .damaged import Dump

# Of the kernel's text that no test here executes or unwinds.
OVER_TEXT = 0x10_0000


@pytest.fixture
def dump(oops_core: Path) -> Dump:
    return Dump(oops_core)


@pytest.fixture
def other(x86_core: Path) -> Dump:
    found = Dump(x86_core)
    assert found.twin.release.startswith("6.1.")
    return found


def pointers_removed(info: VmcoreInfo) -> VmcoreInfo:
    """VMCOREINFO as before v6.0, which does not say where kallsyms is."""
    lines = [line for line in info.raw.splitlines() if b"SYMBOL(kallsyms_" not in line]
    return VmcoreInfo.parse(b"\n".join(lines) + b"\n")


def span(table: KallsymsTable) -> tuple[int, int]:
    """Addresses around all tables, as they lie in memory up to 6.3."""
    layout = table.layout
    return layout.addresses & ~0xFFF, layout.token_table + 0x4000


# BTF


def test_own_btf_agrees_with_vmcoreinfo_and_anothers_does_not(dump: Dump, other: Dump) -> None:
    for one, two in ((dump.twin, other.twin), (other.twin, dump.twin)):
        assert contradiction(one.vmlinux, one.vmcoreinfo) == ""
        assert "by VMCOREINFO" in contradiction(two.vmlinux, one.vmcoreinfo)


def test_btf_of_another_kernel_within_the_image_is_passed_over(dump: Dump, other: Dump) -> None:
    """It stands before the kernel's own, and nothing but its content tells."""
    start = dump.twin.vmcoreinfo.symbols["_stext"]
    dump.put(start + OVER_TEXT, bytes(other.twin.vmlinux.raw))
    session = dump.attach()
    assert _from_image_scan(session) == bytes(dump.twin.vmlinux.raw)
    assert any("is not this kernel's" in n.what for n in session.notes)


def test_a_second_copy_of_the_kernels_btf_is_the_same(dump: Dump) -> None:
    start = dump.twin.vmcoreinfo.symbols["_stext"]
    dump.put(start + OVER_TEXT, bytes(dump.twin.vmlinux.raw))
    assert _from_image_scan(dump.attach()) == bytes(dump.twin.vmlinux.raw)


def test_btf_found_by_symbols_needs_no_search(dump: Dump) -> None:
    start = dump.twin.vmcoreinfo.symbols["_stext"]
    # Not at the address of any symbol that matters.
    dump.put(start + OVER_TEXT, bytes(dump.twin.vmlinux.raw)[: 1 << 20])
    session = dump.attach()
    data, source = vmlinux_btf(session)
    assert data == bytes(dump.twin.vmlinux.raw)
    assert "symbols" in source


def test_a_btf_file_of_another_kernel_is_refused(dump: Dump, other: Dump, tmp_path: Path) -> None:
    path = tmp_path / "vmlinux.btf"
    path.write_bytes(bytes(other.twin.vmlinux.raw))
    session = attach(dump.prog, Options(btf=path), dump.info)
    assert not session.has_btf
    (said,) = [n for n in session.notes if "is of another kernel" in n.what]
    assert dump.twin.release in said.hint


# kallsyms


def test_kallsyms_of_another_kernel_within_the_image_are_passed_over(
    dump: Dump, other: Dump
) -> None:
    theirs = other.twin.symbols
    assert isinstance(theirs, KallsymsTable)
    start, end = span(theirs)
    stext = dump.twin.vmcoreinfo.symbols["_stext"]
    dump.put(stext + OVER_TEXT, other.twin.prog.read(start, end - start))
    found = load(dump.prog.read, pointers_removed(dump.twin.vmcoreinfo), "little")
    ours = dump.twin.symbols
    assert isinstance(ours, KallsymsTable)
    assert isinstance(found, KallsymsTable)
    assert found.layout.token_table == ours.layout.token_table
    assert found.count == ours.count
    assert found.by_name("init_task") == ours.by_name("init_task")


def test_only_kallsyms_of_another_kernel_are_none(dump: Dump, other: Dump) -> None:
    theirs, ours = other.twin.symbols, dump.twin.symbols
    assert isinstance(theirs, KallsymsTable)
    assert isinstance(ours, KallsymsTable)
    start, end = span(theirs)
    stext = dump.twin.vmcoreinfo.symbols["_stext"]
    dump.put(stext + OVER_TEXT, other.twin.prog.read(start, end - start))
    dump.put(ours.layout.token_table, bytes(4096))
    with pytest.raises(DebugInfoError, match="none with tables around it that fit this kernel"):
        load(dump.prog.read, pointers_removed(dump.twin.vmcoreinfo), "little")


# VMCOREINFO


def as_elf(path: Path, dump: Dump, decoys: dict[int, bytes]) -> Path:
    """The pages of a kdump file as an ELF core without a note, with pages of ours in holes.

    A trimmed dump has its VMCOREINFO in the header only, so its page is one of ours too.
    """
    kdump = Kdump(dump.info.path)
    runs = [*kdump.runs(), *((at, 4096) for at in decoys)]
    head = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 4, 62, 1, 0, 64, 0, 0, 64, 56, len(runs), 0, 0, 0
    )
    offset = len(head) + 56 * len(runs)
    for at, size in runs:
        head += struct.pack("<IIQQQQQQ", 1, 7, offset, 0, at, size, size, 0)
        offset += size
    with path.open("wb") as file:
        file.write(head)
        for at, size in runs:
            data = decoys.get(at)
            page = dump.twin.prog.read(at, size, physical=True) if data is None else data
            file.write(page.ljust(size, b"\0"))
    return path


def note(text: bytes) -> bytes:
    return struct.pack("<III12s", 11, len(text), 0, b"VMCOREINFO\0") + text


def test_vmcoreinfo_of_other_boots_in_a_real_dump_are_passed_over(
    dump: Dump, other: Dump, tmp_path: Path
) -> None:
    own = dump.twin.vmcoreinfo
    # The same kernel as it was placed before a reboot, and another release.
    assert own.kernel_offset is not None
    shifted = own.raw.replace(
        f"KERNELOFFSET={own.kernel_offset:x}".encode(),
        f"KERNELOFFSET={own.kernel_offset ^ 0x2000000:x}".encode(),
    )
    moved = b"\n".join(
        line[:-16] + b"%016x" % (int(line[-16:], 16) ^ 0x2000000)
        if line.startswith(b"SYMBOL(") and line[-16:].startswith(b"ffffffff")
        else line
        for line in shifted.splitlines()
    )
    assert moved != own.raw
    held = list(Kdump(dump.info.path).runs())
    holes = [a + size for a, size in held[:40]]
    holes = [at for at in holes if all(not s <= at < s + n for s, n in held)]
    decoys = {
        holes[0]: note(other.twin.vmcoreinfo.raw)[:4096],
        holes[1]: note(moved + b"\n")[:4096],
        holes[2]: (b"\0" * 100 + own.raw)[:4096],
        holes[3]: note(own.raw),
    }
    path = as_elf(tmp_path / "core", dump, decoys)
    prog, info = open_core(path)
    text = prog["VMCOREINFO"].string_()
    assert VmcoreInfo.parse(text).symbols == own.symbols
    assert info.vmcoreinfo_source == f"note in memory at physical {holes[3] + 24:#x}"
    session = attach(prog, None, info)
    assert session.release == own.release
    assert prog["init_task"].comm.string_() == b"swapper/0"
