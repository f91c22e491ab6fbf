"""What kind of file is this? Decided from its first bytes, before anything opens it.

Owns ``DumpInfo`` and the words of the messages about files that are no dump or
that nobody here reads. Reads the header and nothing else.

To add a format: a ``Format`` member, and a row in ``_MAGICS`` or a probe in
``identify()``; a reader goes beside this file.

Facts: ELF gABI; makedumpfile ``diskdump_mod.h`` and ``makedumpfile.h``
(``MAKEDUMPFILE_SIGNATURE``); LiME ``doc/README`` (header magic ``EMiL``).
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import drgn

from btfdbg.errors import DebugInfoError

_HEADER_SIZE = 8192
# A flattened file carries blocks of (offset, size, data) after its own header
# of 4096 bytes; the first block is the dump header.
_FLATTENED_HEADER_SIZE = 4096
_UTSNAME_OFFSET = 12
_UTSNAME_FIELD = 65
_UTSNAME_MACHINE = 4


class Format(Enum):
    """Format of a dump, as shown by ``btfdbg info``."""

    ELF = "ELF core"
    KDUMP = "kdump-compressed"
    KDUMP_FLATTENED = "kdump-compressed, flattened"
    LIME = "LiME"
    RAW = "raw memory image"
    KCORE = "/proc/kcore"
    QEMU = "QEMU guest"


@dataclass(frozen=True, slots=True)
class DumpInfo:
    """
    What the first bytes of a file say.

    :ivar path: The file.
    :ivar format: Its format.
    :ivar architecture: Machine named in the header, if it names one.
    :ivar is_64_bit: For ELF, the class.
    :ivar little_endian: Byte order named in the header.
    :ivar machine: The header's own word for the machine.
    """

    path: Path
    format: Format
    architecture: drgn.Architecture | None
    is_64_bit: bool = True
    little_endian: bool = True
    machine: str = ""

    @property
    def platform(self) -> drgn.Platform | None:
        """drgn's platform for the header's machine, ``None`` where it names none."""
        if self.architecture is None:
            return None
        flags = drgn.PlatformFlags(0)
        if self.is_64_bit:
            flags |= drgn.PlatformFlags.IS_64_BIT
        if self.little_endian:
            flags |= drgn.PlatformFlags.IS_LITTLE_ENDIAN
        return drgn.Platform(self.architecture, flags)


# e_machine and utsname.machine of the architectures whose kernels have BTF.
_ELF_MACHINES = {
    62: drgn.Architecture.X86_64,
    183: drgn.Architecture.AARCH64,
    22: drgn.Architecture.S390X,
    21: drgn.Architecture.PPC64,
    243: drgn.Architecture.RISCV64,
    3: drgn.Architecture.I386,
    40: drgn.Architecture.ARM,
}
_UTS_MACHINES = {
    "x86_64": (drgn.Architecture.X86_64, True),
    "aarch64": (drgn.Architecture.AARCH64, True),
    "s390x": (drgn.Architecture.S390X, False),
    "ppc64le": (drgn.Architecture.PPC64, True),
    "ppc64": (drgn.Architecture.PPC64, False),
    "riscv64": (drgn.Architecture.RISCV64, True),
}

_ET_CORE = 4

# What people hand to a debugger by mistake, and what to do then.
_MAGICS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "is gzip-compressed", "gunzip it first"),
    (b"\xfd7zXZ\0", "is xz-compressed", "unxz it first"),
    (b"\x28\xb5\x2f\xfd", "is zstd-compressed", "unzstd it first"),
    (b"BZh", "is bzip2-compressed", "bunzip2 it first"),
    (b"\x04\x22\x4d\x18", "is lz4-compressed", "unlz4 it first"),
    (b"PK\x03\x04", "is a zip archive", "unzip it first"),
    (b"ustar", "is a tar archive", "unpack it first"),
    (b"\xd2\xbe\xd2\xbe", "is a VMware snapshot (.vmss/.vmsn)", "convert it with vmss2core"),
    (b"\xd1\xbe\xd2\xbe", "is a VMware snapshot (.vmss/.vmsn)", "convert it with vmss2core"),
    (b"PAGEDU", "is a Windows crash dump", "btfdbg reads Linux kernels only"),
    (b"QEVM", "is a QEMU migration stream", "take a dump with dump-guest-memory instead"),
    (b"LibvirtQemudSave", "is a libvirt saved domain", "use virsh dump --memory-only instead"),
    (b"QFI\xfb", "is a qcow2 disk image", "kernel dumps are taken with virsh dump --memory-only"),
    (b"#!", "is a script", "the dump comes first: btfdbg CORE SCRIPT"),
)


def identify(path: str | os.PathLike[str]) -> DumpInfo:
    """
    Tell the format of a dump.

    :raises DebugInfoError: it is no dump that can be read; the message says
        what it is and the hint what to do.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise DebugInfoError(f"{path} is a directory", step="open", hint="name the dump in it")
        with path.open("rb") as f:
            head = f.read(_HEADER_SIZE)
            size = f.seek(0, os.SEEK_END)
    except OSError as e:
        raise DebugInfoError(f"{path}: {e.strerror or e}", step="open") from e
    if not head:
        raise DebugInfoError(
            f"{path} is empty", step="open", hint="was there space left when it was written?"
        )
    return identify_header(path, head, size)


def identify_header(path: Path, head: bytes, size: int) -> DumpInfo:
    """
    :func:`identify` for bytes already read.

    :param head: The first bytes of the file.
    :param size: The whole file's size in bytes.
    """
    if head.startswith(b"\x7fELF"):
        return _elf(path, head)
    if head.startswith(b"KDUMP   "):
        return _kdump(path, head, Format.KDUMP)
    if head.startswith(b"makedumpfile\0\0\0\0"):
        return _kdump(path, head[_FLATTENED_HEADER_SIZE + 16 :], Format.KDUMP_FLATTENED)
    if head.startswith(b"EMiL"):
        return DumpInfo(path, Format.LIME, None)
    if head.startswith(b"DISKDUMP"):
        raise DebugInfoError(
            f"{path} is an old diskdump file", step="open", hint="convert it with makedumpfile"
        )
    for magic, what, hint in _MAGICS:
        if head.startswith(magic) or (magic == b"ustar" and head[257:262] == magic):
            raise DebugInfoError(f"{path} {what}, not a dump", step="open", hint=hint)
    if not any(head) or size % 4096 == 0:
        return DumpInfo(path, Format.RAW, None)
    raise DebugInfoError(
        f"{path} is not a dump: it starts with {head[:8].hex(' ')}",
        step="open",
        hint="expected an ELF core, a kdump file, LiME or a raw memory image",
    )


def _elf(path: Path, head: bytes) -> DumpInfo:
    if len(head) < 64:
        raise DebugInfoError(
            f"{path} is truncated: its ELF header has {len(head)} of 64 bytes", step="open"
        )
    is_64, little = head[4] == 2, head[5] == 1
    e_type, e_machine = struct.unpack_from("<HH" if little else ">HH", head, 16)
    if e_type != _ET_CORE:
        raise DebugInfoError(
            f"{path} is an ELF file, but not a core dump (e_type {e_type}, expected {_ET_CORE})",
            step="open",
            hint="a vmlinux with DWARF goes with -s: btfdbg -s vmlinux CORE",
        )
    return DumpInfo(
        path, Format.ELF, _ELF_MACHINES.get(e_machine), is_64, little, f"e_machine {e_machine}"
    )


def _kdump(path: Path, header: bytes, format_: Format) -> DumpInfo:
    start = _UTSNAME_OFFSET + _UTSNAME_MACHINE * _UTSNAME_FIELD
    if len(header) < start + _UTSNAME_FIELD or not header.startswith(b"KDUMP   "):
        raise DebugInfoError(f"{path} is truncated inside its kdump header", step="open")
    machine = header[start : start + _UTSNAME_FIELD].split(b"\0")[0].decode("ascii", "replace")
    known = _UTS_MACHINES.get(machine)
    if known is None:
        return DumpInfo(path, format_, None, machine=machine)
    architecture, little = known
    return DumpInfo(path, format_, architecture, True, little, machine)
