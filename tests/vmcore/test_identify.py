"""What a file is called that is no dump, and what the user is told to do."""

from __future__ import annotations

import os
import random
import socket
import struct
from pathlib import Path, PurePosixPath

import pytest

from btfdbg.errors import DebugInfoError
from btfdbg.vmcore import Format, identify, open_core
from btfdbg.vmcore.identify import _plain

from . import tiny
from .tiny import ARCHES, X86_64, Kernel

SWAP = 4086

MAGICS = {
    "gzip": (0, b"\x1f\x8b\x08", "gzip-compressed", "gunzip"),
    "xz": (0, b"\xfd7zXZ\0", "xz-compressed", "unxz"),
    "zstd": (0, b"\x28\xb5\x2f\xfd", "zstd-compressed", "unzstd"),
    "bzip2": (0, b"BZh9", "bzip2-compressed", "bunzip2"),
    "lz4": (0, b"\x04\x22\x4d\x18", "lz4-compressed", "unlz4"),
    "zip": (0, b"PK\x03\x04", "zip archive", "unzip"),
    "tar": (257, b"ustar", "tar archive", "unpack"),
    "AVML": (0, b"AVML", "AVML", "avml-convert"),
    "VMware": (0, b"\xd2\xbe\xd2\xbe", "VMware snapshot", ".vmem"),
    "libvirt": (0, b"LibvirtQemudSave", "libvirt saved domain", "virsh dump --memory-only"),
    "QEMU": (0, b"QEVM", "QEMU migration stream", "dump-guest-memory"),
    "qcow2": (0, b"QFI\xfb", "qcow2", "virsh dump --memory-only"),
    "Windows": (0, b"PAGEDU64", "Windows crash dump", "Linux"),
    "Xen": (0, b"\xff" * 8 + b"XENF", "saved Xen domain", "kdump"),
    "s390": (0, b"\xa8\x19\x01\x73\x61\x8f\x23\xfd", "s390 stand-alone dump", "zgetdump"),
    "LKCD": (0, b"\xed\x23\x8f\x61\x73\x01\x19\xa8", "LKCD", "BTF"),
    "hibernation": (SWAP, b"S1SUSPEND", "hibernation image", "resume"),
    "compressed hibernation": (SWAP, b"LINHIB0001", "hibernation image", "resume"),
    "swap": (SWAP, b"SWAPSPACE2", "swap area", "no dump"),
    "kernel": (0x202, b"HdrS", "kernel image", "--btf"),
    "script": (0, b"#!/usr/bin/drgn", "script", "CORE SCRIPT"),
    "diskdump": (0, b"DISKDUMP", "diskdump", "BTF"),
}


@pytest.mark.parametrize("name", MAGICS)
def test_other_formats_are_named_with_what_to_do(name: str, tmp_path: Path) -> None:
    offset, magic, what, hint = MAGICS[name]
    path = tmp_path / "core"
    path.write_bytes((bytes(offset) + magic).ljust(2 << 20, b"\0"))
    with pytest.raises(DebugInfoError) as e:
        open_core(path)
    assert what in str(e.value)
    assert "not a dump" in str(e.value)
    assert hint in e.value.hint
    assert "\n" not in str(e.value) + e.value.hint


def test_missing_empty_and_directory_are_said_so(tmp_path: Path) -> None:
    with pytest.raises(DebugInfoError, match="No such file"):
        identify(tmp_path / "nothing")
    (tmp_path / "empty").touch()
    with pytest.raises(DebugInfoError, match="is empty"):
        identify(tmp_path / "empty")
    with pytest.raises(DebugInfoError, match="is a directory"):
        identify(tmp_path)
    with pytest.raises(DebugInfoError, match="Not a directory"):
        identify(tmp_path / "empty" / "core")
    with pytest.raises(DebugInfoError, match="null"):
        identify("a\0b")


def test_what_would_block_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(DebugInfoError, match="is a pipe"):
        identify(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as s:
        here = os.getcwd()
        os.chdir(tmp_path)  # socket paths are short
        try:
            s.bind("socket")
        finally:
            os.chdir(here)
        with pytest.raises(DebugInfoError, match="is a socket"):
            identify(tmp_path / "socket")
    with pytest.raises(DebugInfoError, match="is a device"):
        identify("/dev/zero")


def test_the_running_kernel_is_never_taken_for_a_dump(tmp_path: Path) -> None:
    link = tmp_path / "core"
    for name in ("/proc/version", "/proc/kcore"):
        if not os.path.exists(name):
            continue
        link.unlink(missing_ok=True)
        link.symlink_to(name)
        for path in (Path(name), link):
            with pytest.raises(DebugInfoError, match="running kernel") as e:
                open_core(path)
            assert "-k" in e.value.hint


def test_small_unknown_file_is_no_memory_image(tmp_path: Path) -> None:
    path = tmp_path / "core"
    path.write_bytes(b"hello\n" * 100)
    with pytest.raises(DebugInfoError, match="not a dump: it begins with 68 65 6c") as e:
        identify(path)
    assert "ELF core" in e.value.hint
    path.write_bytes(bytes(4096))
    with pytest.raises(DebugInfoError, match="it begins with zeros"):
        identify(path)


def test_large_unknown_file_is_raw_only_with_a_kernel_in_it(tmp_path: Path) -> None:
    path = tmp_path / "core"
    path.write_bytes(b"hello\n" * (1 << 19))
    assert identify(path).format is Format.RAW
    with pytest.raises(DebugInfoError, match="has no known header, and no Linux kernel"):
        open_core(path)
    # A size that is no multiple of a page speaks neither for nor against it.
    tiny.raw(path, Kernel(X86_64))
    with path.open("ab") as f:
        f.write(b"tail")
    assert open_core(path)[1].format is Format.RAW


def elf_header(**fields: int) -> bytes:
    values = {"class": 2, "data": 1, "type": 4, "machine": 62} | fields
    ident = b"\x7fELF" + bytes((values["class"], values["data"], 1)) + bytes(9)
    return ident + struct.pack("<HHI", values["type"], values["machine"], 1) + bytes(64)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (elf_header(type=2), "an ELF file, but not a core dump"),
        (elf_header(**{"class": 1}), "32-bit core"),
        (elf_header(**{"class": 9}), "damaged ELF header"),
        (elf_header(data=0), "damaged ELF header"),
        (b"\x7fELF\x02\x01", "truncated"),
        (elf_header(), "holds no memory"),
        (b"KDUMP   ", "truncated inside its kdump header"),
        (b"makedumpfile\0\0\0\0", "truncated inside its kdump header"),
    ],
)
def test_headers_that_lead_nowhere(header: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "core"
    path.write_bytes(header)
    with pytest.raises(DebugInfoError, match=message):
        open_core(path)


def test_process_core_is_said_to_be_one(tmp_path: Path) -> None:
    notes = tiny.note(b"CORE", 1, bytes(336)) + tiny.note(b"CORE", 3, bytes(136))
    path = tiny.elf(tmp_path / "core", [(0x400000, 0, bytes(8192))], notes)
    with pytest.raises(DebugInfoError, match="core dump of a process") as e:
        open_core(path)
    assert "gdb" in e.value.hint


def test_xen_dump_without_a_kernel_names_xen(tmp_path: Path) -> None:
    notes = tiny.note(b"Xen", 0x2000000, bytes(8))
    path = tiny.elf(tmp_path / "core", [(0, 0x1000, bytes(8192))], notes)
    with pytest.raises(DebugInfoError, match="Xen domain") as e:
        open_core(path)
    assert "kdump in the guest" in e.value.hint


def test_paravirtualised_xen_domain_is_named_with_what_to_do(tmp_path: Path) -> None:
    kernel = Kernel(X86_64)
    for magic, numbers in ((0xF00FEBED, ".xen_p2m"), (0xF00FEBEE, ".xen_p2m")):
        path = tiny.xen(tmp_path / "core", kernel, magic=magic, numbers=numbers)
        with pytest.raises(DebugInfoError, match="paravirtualised Xen domain") as e:
            open_core(path)
        assert "kdump in the guest" in e.value.hint


def test_cut_off_xen_domain_dump_is_said_to_be_truncated(tmp_path: Path) -> None:
    path = tiny.xen(tmp_path / "core", Kernel(X86_64))
    whole = path.read_bytes()
    for size in (64, 1 << 20, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(DebugInfoError, match="truncated"):
            open_core(path)


def test_damaged_xen_domain_dump_gives_an_error_and_no_other_exception(tmp_path: Path) -> None:
    path = tiny.xen(tmp_path / "core", Kernel(X86_64))
    whole = path.read_bytes()
    table = len(whole) - 6 * 64
    rng = random.Random(4)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            # Headers, notes and section table; page contents are not this reader's.
            at = rng.choice((rng.randrange(16, 260), rng.randrange(table, len(whole))))
            damaged[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        path.write_bytes(damaged)
        try:
            open_core(path)
        except DebugInfoError:
            refused += 1
    assert 20 < refused < 150


def test_virtualbox_core_opens_as_any_elf_without_a_note(tmp_path: Path) -> None:
    kernel = Kernel(X86_64)
    path = tiny.elf_of(tmp_path / "core", kernel, tiny.note(b"VBCORE", 0xB00, bytes(8)))
    assert "in memory" in open_core(path)[1].vmcoreinfo_source


def test_one_part_of_a_split_dump_is_said_to_be_one(tmp_path: Path) -> None:
    path = tiny.kdump(tmp_path / "core", Kernel(X86_64), split=1)
    with pytest.raises(DebugInfoError, match="--split") as e:
        open_core(path)
    assert "--reassemble" in e.value.hint


def test_incomplete_kdump_opens_with_a_remark(tmp_path: Path) -> None:
    path = tiny.kdump(tmp_path / "core", Kernel(X86_64), status=0x1 | 0x8)
    assert "incomplete" in open_core(path)[1].remarks[0][0]


def test_architecture_by_hand_is_checked(tmp_path: Path) -> None:
    path = tiny.elf_of(tmp_path / "core", Kernel(X86_64))
    with pytest.raises(DebugInfoError, match="unknown architecture 'vax'") as e:
        open_core(path, architecture="vax")
    assert "riscv64" in e.value.hint
    with pytest.raises(DebugInfoError, match="is of x86_64 by its header, not of aarch64"):
        open_core(path, architecture="arm64")
    for name in ("x86_64", "X86_64", "amd64"):
        assert open_core(path, architecture=name)[0].platform == X86_64.platform


@pytest.mark.parametrize("arch", ARCHES, ids=str)
def test_architecture_by_hand_is_accepted_by_the_kernels_name(arch: tiny.Arch) -> None:
    from btfdbg.vmcore.platforms import platform_named

    assert platform_named(arch.machine) == arch.platform


def test_vmcoreinfo_by_hand_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tiny.elf_of(tmp_path / "core", Kernel(X86_64))
    for text in (b"", b"hello", b"OSRELEASE=6.1\n", b"OSRELEASE=" + b"x" * (1 << 20)):
        with pytest.raises(DebugInfoError, match="--vmcoreinfo"):
            open_core(path, vmcoreinfo=text)


def test_path_is_spelled_as_pathlib_does() -> None:
    for path in ("a", "./a", "a//b/./c/", "/a/", "//a", "///a", "/", "//", "", ".", "..", "a/../b"):
        assert _plain(path) == str(PurePosixPath(path))
