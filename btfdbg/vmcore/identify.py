"""What kind of file is this? Decided from its first bytes, before anything opens it.

Owns ``DumpInfo`` and the words of the messages about files that are no dump or
that nobody here reads. Reads the header and nothing else. Never opens what
would block or what is the running kernel.

To add a format: a ``Format`` member, and a row in ``_MAGICS`` or a probe in
``identify()``; a reader goes beside this file.

Facts: ELF gABI; makedumpfile ``diskdump_mod.h`` and ``makedumpfile.h``
(``MAKEDUMPFILE_SIGNATURE``); LiME ``doc/README.md``; AVML ``README.md``; Linux
``kernel/power/swap.c`` (HIBERNATE_SIG), ``arch/s390`` dump tools' ``dump_s390``
magic; Xen ``tools/libs/saverestore`` (stream format); VMware ``vmss2core``.
"""

from __future__ import annotations

import os
import stat
import struct
from enum import Enum

import drgn

from btfdbg.arch import by_name
from btfdbg.errors import DebugInfoError
from btfdbg.lazy_dataclass import dataclass, field
from btfdbg.lazy_pattern import pattern
from btfdbg.vmcore import lime, xencore
from btfdbg.vmcore.memory import PhysicalMemory
from btfdbg.vmcore.platforms import architecture_of, architecture_of_elf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

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
    XEN = "Xen domain dump"
    KCORE = "/proc/kcore"
    QEMU = "QEMU guest"


@dataclass(frozen=True, slots=True)
class DumpInfo:
    """
    What is known of a dump as a file.

    :ivar file: The file's name.
    :ivar format: Its format.
    :ivar architecture: Machine named in the header, if it names one; once the
        dump is open, the machine it was opened for.
    :ivar is_64_bit: For ELF, the class.
    :ivar little_endian: Byte order named in the header.
    :ivar machine: The header's own word for the machine.
    :ivar vmcoreinfo_source: Where the VMCOREINFO text came from, in words.
    :ivar vmcoreinfo: The text that the dump was opened under, where it did not come from
        drgn: asking drgn for it settles the signedness of ``char`` before BTF is there.
    :ivar remarks: What is wrong with the file, as pairs (what, what to do).
    :ivar memory: Physical memory of the file, where it does not need drgn.
    """

    file: str
    format: Format
    architecture: drgn.Architecture | None
    is_64_bit: bool = True
    little_endian: bool = True
    machine: str = ""
    vmcoreinfo_source: str = "note in the dump"
    vmcoreinfo: bytes | None = field(default=None, compare=False, repr=False)
    remarks: tuple[tuple[str, str], ...] = ()
    memory: PhysicalMemory | None = field(default=None, compare=False, repr=False)

    @property
    def path(self) -> Path:
        """The file."""
        from pathlib import Path  # 17 M of the 480 M instructions of a first object

        return Path(self.file)

    @property
    def is_kdump(self) -> bool:
        """Whether it is kdump-compressed, flattened or not."""
        return self.format in (Format.KDUMP, Format.KDUMP_FLATTENED)

    @property
    def is_mapped(self) -> bool:
        """Whether the file is read through a mapping, which a shorter file breaks."""
        return self.is_kdump

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


_ET_CORE = 4

_MEMORY_ONLY = "take one with virsh dump --memory-only or QEMU's dump-guest-memory"

# What people hand to a debugger by mistake, and what to do then.
_MAGICS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "is gzip-compressed", "gunzip it first"),
    (b"\xfd7zXZ\0", "is xz-compressed", "unxz it first"),
    (b"\x28\xb5\x2f\xfd", "is zstd-compressed", "unzstd it first"),
    (b"BZh", "is bzip2-compressed", "bunzip2 it first"),
    (b"\x04\x22\x4d\x18", "is lz4-compressed", "unlz4 it first"),
    (b"\x89LZO\0\r\n", "is lzop-compressed", "lzop -d it first"),
    (b"LRZI", "is lrzip-compressed", "lrunzip it first"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive", "unpack it first"),
    (b"PK\x03\x04", "is a zip archive", "unzip it first"),
    (b"\xff\x06\0\0sNaPpY", "is snappy-compressed", "uncompress it first"),
    (b"AVML", "is a compressed AVML image", "convert it with avml-convert"),
    (b"\xd0\xbe\xd2\xbe", "is a VMware snapshot (.vmss/.vmsn)", "open the .vmem beside it"),
    (b"\xd1\xba\xd1\xba", "is a VMware snapshot (.vmss/.vmsn)", "open the .vmem beside it"),
    (b"\xd2\xbe\xd2\xbe", "is a VMware snapshot (.vmss/.vmsn)", "open the .vmem beside it"),
    (b"\xd3\xbe\xd3\xbe", "is a VMware snapshot (.vmss/.vmsn)", "open the .vmem beside it"),
    (b"KDMV", "is a VMware disk (.vmdk)", "open the .vmem of a suspended guest"),
    (b"PAGEDU", "is a Windows crash dump", "btfdbg reads Linux kernels only"),
    (b"MDMP", "is a Windows minidump", "btfdbg reads Linux kernels only"),
    (b"QEVM", "is a QEMU migration stream or snapshot", _MEMORY_ONLY),
    (b"LibvirtQemudSave", "is a libvirt saved domain", _MEMORY_ONLY),
    (b"LibvirtQemudPart", "is a half-written libvirt saved domain", _MEMORY_ONLY),
    (b"QFI\xfb", "is a qcow2 disk image", _MEMORY_ONLY),
    (b"vhdxfile", "is a Hyper-V disk", "convert a saved state with vm2dmp"),
    (b"Xen saved domain", "is a saved Xen domain", "take one with xl dump-core or kdump in it"),
    (b"\xff\xff\xff\xff\xff\xff\xff\xffXENF", "is a saved Xen domain", "use kdump in the guest"),
    (b"\xed\x23\x8f\x61\x73\x01\x19\xa8", "is an LKCD dump", "btfdbg needs a kernel with BTF"),
    (
        b"\xa8\x19\x01\x73\x61\x8f\x23\xfd",
        "is an s390 stand-alone dump",
        "convert it with zgetdump -f elf",
    ),
    (
        b"\xa8\x19\x01\x73\x61\x8f\x23\xed",
        "is an s390 LKCD dump",
        "convert it with zgetdump -f elf",
    ),
    (
        b"\xa8\x19\x01\x73\x61\x8f\x23\xfe",
        "is an s390 multi-volume dump",
        "convert it with zgetdump -f elf",
    ),
    (b"DISKDUMP", "is an old diskdump file", "btfdbg needs a kernel with BTF"),
    (b"#!", "is a script", "the dump comes first: btfdbg CORE SCRIPT"),
)

# (magic, offset, what, hint)
_DEEP_MAGICS: tuple[tuple[bytes, int, str, str], ...] = (
    (b"ustar", 257, "is a tar archive", "unpack it first"),
    (b"S1SUSPEND", 4086, "is a hibernation image", "resume it, or take a dump instead"),
    (b"S2SUSPEND", 4086, "is a hibernation image", "resume it, or take a dump instead"),
    (b"ULSUSPEND", 4086, "is a uswsusp hibernation image", "resume it, or take a dump instead"),
    (b"LINHIB0001", 4086, "is a hibernation image", "resume it, or take a dump instead"),
    (b"SWAPSPACE2", 4086, "is a swap area", "no dump was saved from it"),
    (b"sadu", 0, "is a sadump file", "convert it with makedumpfile"),
    (b"HdrS", 0x202, "is a kernel image", "give the dump; the image goes with --btf"),
)

# Lines of printk() with their time.
_LOG = pattern(rb"(?:^|\n)(?:<\d{1,3}>)?\[ *\d+\.\d{6}\]")
# Below this nothing is the memory of a kernel.
_MIN_RAW = 1 << 20


def identify(path: str | os.PathLike[str]) -> DumpInfo:
    """
    Tell the format of a dump.

    A file without a known header is called RAW here; whether it is the memory
    of a kernel shows only when one is found in it.

    :raises DebugInfoError: it is no dump that can be read; the message says
        what it is and the hint what to do.
    """
    path = _plain(os.fspath(path))
    try:
        _refuse_special(path)
        with open(path, "rb") as f:
            head = f.read(_HEADER_SIZE)
            size = f.seek(0, os.SEEK_END)
    except OSError as e:
        raise DebugInfoError(f"{path}: {e.strerror or e}", step="open") from e
    except ValueError as e:  # a NUL byte in the name
        raise DebugInfoError(f"{path!r}: {e}", step="open") from e
    if not head:
        raise DebugInfoError(
            f"{path} is empty", step="open", hint="was there space left when it was written?"
        )
    return identify_header(path, head, size)


def _plain(path: str) -> str:
    """A path as :mod:`pathlib` spells it, which is slow to import."""
    slashes = len(path) - len(path.lstrip("/"))
    root = "/" * (slashes if slashes <= 2 else 1)  # POSIX: two may say something else
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return root + "/".join(parts) or "."


def _refuse_special(path: str) -> None:
    """
    Refuse what would block when it is read, and the running kernel.

    :raises DebugInfoError: it is neither a file nor a disk.
    :raises OSError: it is not there.
    """
    st = os.stat(path)
    if stat.S_ISDIR(st.st_mode):
        raise DebugInfoError(f"{path} is a directory", step="open", hint="name the dump in it")
    if not stat.S_ISREG(st.st_mode) and not stat.S_ISBLK(st.st_mode):
        kinds = {stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device"}
        kind = kinds.get(stat.S_IFMT(st.st_mode), "special file")
        raise DebugInfoError(
            f"{path} is a {kind}, not a file", step="open", hint="save the dump to a file first"
        )
    real = os.path.realpath(path)
    if real.startswith("/proc/") and os.path.basename(real) != "vmcore":
        raise DebugInfoError(
            f"{path} is the running kernel's, not a dump",
            step="open",
            hint="btfdbg -k looks at the running kernel",
        )


def identify_header(path: str, head: bytes, size: int) -> DumpInfo:
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
    if lime.is_lime(head):
        return DumpInfo(path, Format.LIME, None)
    for magic, what, hint in _MAGICS:
        if head.startswith(magic):
            raise DebugInfoError(f"{path} {what}, not a dump", step="open", hint=hint)
    for magic, offset, what, hint in _DEEP_MAGICS:
        if head.startswith(magic, offset):
            raise DebugInfoError(f"{path} {what}, not a dump", step="open", hint=hint)
    if size >= _MIN_RAW:
        return DumpInfo(path, Format.RAW, None)
    if _LOG.search(head):
        raise DebugInfoError(
            f"{path} is a kernel's log, not a dump",
            step="open",
            hint=f"btfdbg report --log {path} reads it",
        )
    raise DebugInfoError(
        f"{path} is not a dump: {_beginning(head)}",
        step="open",
        hint="expected an ELF core, a kdump file, LiME or a raw memory image",
    )


def _beginning(head: bytes) -> str:
    if not any(head):
        return "it begins with zeros"
    return f"it begins with {head[:8].hex(' ')}"


def _elf(path: str, head: bytes) -> DumpInfo:
    if len(head) < 64:
        raise DebugInfoError(
            f"{path} is truncated: its ELF header has {len(head)} of 64 bytes", step="open"
        )
    if head[4] not in (1, 2) or head[5] not in (1, 2):
        raise DebugInfoError(
            f"{path} has a damaged ELF header (class {head[4]}, byte order {head[5]})", step="open"
        )
    is_64, little = head[4] == 2, head[5] == 1
    e_type, e_machine = struct.unpack_from("<HH" if little else ">HH", head, 16)
    if e_type != _ET_CORE:
        raise DebugInfoError(
            f"{path} is an ELF file, but not a core dump (e_type {e_type}, expected {_ET_CORE})",
            step="open",
            hint="a vmlinux with DWARF goes with -s: btfdbg -s vmlinux CORE",
        )
    if not is_64:
        raise DebugInfoError(
            f"{path} is a 32-bit core (e_machine {e_machine}); btfdbg reads 64-bit kernels",
            step="open",
            hint="a process's core is for gdb; makedumpfile -E writes 64-bit ELF",
        )
    format_ = Format.XEN if xencore.is_xen(head) else Format.ELF
    return DumpInfo(
        path, format_, architecture_of_elf(e_machine), is_64, little, f"e_machine {e_machine}"
    )


def _kdump(path: str, header: bytes, format_: Format) -> DumpInfo:
    start = _UTSNAME_OFFSET + _UTSNAME_MACHINE * _UTSNAME_FIELD
    if len(header) < start + _UTSNAME_FIELD or not header.startswith(b"KDUMP   "):
        raise DebugInfoError(f"{path} is truncated inside its kdump header", step="open")
    machine = header[start : start + _UTSNAME_FIELD].split(b"\0")[0].decode("ascii", "replace")
    row = by_name(machine)
    if row is None or row.name != machine:
        return DumpInfo(path, format_, None, machine=machine)
    return DumpInfo(path, format_, architecture_of(row), True, row.little_endian, machine)
