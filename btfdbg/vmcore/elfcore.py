"""Headers and notes of an ELF core, read with bounds.

Owns the ELF side of a dump: program headers, notes, and which bytes of the file
hold which physical memory. Believes no count, size or offset of the file before
it was held against the file's size. Knows nothing of VMCOREINFO's meaning.

Facts: ELF gABI, "Program Header" and "Note Section"; ``PN_XNUM`` (extended
numbering) for cores with 65,535 segments or more; note names: QEMU
``target/*/arch_dump.c``, VirtualBox ``VBox/vmm/dbgfcorefmt.h``, Xen
``xen/include/public/elfnote.h``.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

from btfdbg.errors import DebugInfoError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.vmcore.memory import Extent

PT_LOAD = 1
PT_NOTE = 4
NT_GNU_BUILD_ID = 3  # of notes named "GNU"
NO_ADDRESS = (1 << 64) - 1
_EHDR_SIZE = 64
_PHDR_SIZE = 56
_PN_XNUM = 0xFFFF
_MAX_SEGMENTS = 1 << 20
# 8192 CPUs with every register set that s390x knows stay below.
_MAX_NOTES = 64 << 20
_MAX_NOTE_COUNT = 1 << 18
_MAX_NAME = 64

# Notes that only the core of a process has.
_NT_PRPSINFO, _NT_AUXV, _NT_FILE, _NT_SIGINFO = 3, 6, 0x46494C45, 0x53494749


@dataclass(frozen=True, slots=True)
class Segment:
    """One program header; all fields in bytes, as in the file."""

    type: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int


@dataclass(frozen=True, slots=True)
class Note:
    """One ELF note."""

    name: str
    type: int
    desc: bytes

    def packed(self, order: str) -> bytes:
        """
        The note as it stands in a file: name and content padded to four bytes each.

        >>> Note("CORE", 1, b"abc").packed("<")[:12].hex()
        '050000000300000001000000'

        :param order: ``<`` or ``>``.
        """
        name = self.name.encode("ascii", "replace") + b"\0"
        head = struct.pack(order + "III", len(name), len(self.desc), self.type)
        return head + _padded(name) + _padded(self.desc)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


@dataclass(frozen=True, slots=True)
class ElfCore:
    """
    The headers of a 64-bit ELF core.

    :ivar size: Of the file.
    :ivar order: ``<`` or ``>``, for ``struct``.
    """

    path: str | os.PathLike[str]
    size: int
    order: str
    segments: tuple[Segment, ...]

    @property
    def loads(self) -> tuple[Segment, ...]:
        """Segments that hold memory."""
        return tuple(s for s in self.segments if s.type == PT_LOAD and s.memsz)

    @property
    def missing(self) -> int:
        """Bytes of memory that the headers promise beyond the end of the file."""
        return sum(max(0, min(s.filesz, s.offset + s.filesz - self.size)) for s in self.loads)

    def extents(self) -> list[Extent]:
        """Physical memory in the file; empty if the headers give no physical address."""
        return [
            Extent(s.paddr, s.memsz, s.offset, min(s.filesz, s.memsz))
            for s in self.loads
            if s.paddr != NO_ADDRESS
        ]

    def notes(self) -> Iterator[Note]:
        """Yield every note that lies wholly in the file."""
        left = _MAX_NOTES
        count = 0
        with open(self.path, "rb") as f:
            for s in self.segments:
                if s.type != PT_NOTE or left <= 0 or s.offset >= self.size:
                    continue
                f.seek(s.offset)
                data = f.read(min(s.filesz, left, self.size - s.offset))
                left -= len(data)
                for note in parse_notes(data, self.order):
                    count += 1
                    if count > _MAX_NOTE_COUNT:
                        return
                    yield note

    def vmcoreinfo(self) -> bytes | None:
        """The text of the VMCOREINFO note, ``None`` without one."""
        for note in self.notes():
            if note.name == "VMCOREINFO" and b"OSRELEASE=" in note.desc:
                return note.desc
        return None

    def writer(self) -> str:
        """
        Who wrote it, by its notes: ``process``, ``QEMU``, ``Xen``, ``VirtualBox`` or ``""``.
        """
        found = ""
        for note in self.notes():
            if note.name == "CORE" and note.type in (
                _NT_PRPSINFO,
                _NT_AUXV,
                _NT_FILE,
                _NT_SIGINFO,
            ):
                return "process"
            if note.name == "Xen" or note.name.startswith(".note.Xen"):
                return "Xen"
            if note.name in ("VBCORE", "VBCPU"):
                found = "VirtualBox"
            elif note.name == "QEMU":
                found = "QEMU"
        return found


def read_elf(path: str | os.PathLike[str]) -> ElfCore:
    """
    Read the headers of a 64-bit ELF file.

    :raises DebugInfoError: they are not believable or lie outside the file.
    """
    with open(path, "rb") as f:
        size = f.seek(0, os.SEEK_END)
        f.seek(0)
        head = f.read(_EHDR_SIZE)
        if len(head) < _EHDR_SIZE or head[:4] != b"\x7fELF" or head[4] != 2:
            raise DebugInfoError(f"{path} is not a 64-bit ELF file", step="open")
        order = "<" if head[5] == 1 else ">"
        phoff, shoff = struct.unpack_from(order + "QQ", head, 32)
        phentsize, phnum = struct.unpack_from(order + "HH", head, 54)
        if phnum == _PN_XNUM:
            section = b""
            if shoff < size:
                f.seek(shoff)
                section = f.read(_EHDR_SIZE)
            if len(section) < _EHDR_SIZE:
                raise DebugInfoError(
                    f"{path} is truncated: its section header at {shoff:#x} is not in the file",
                    step="open",
                )
            phnum = struct.unpack_from(order + "I", section, 44)[0]
        if phnum and (phentsize != _PHDR_SIZE or phnum > _MAX_SEGMENTS):
            raise DebugInfoError(
                f"{path}: {phnum} program headers of {phentsize} bytes are not believable",
                step="open",
            )
        if phoff + phnum * _PHDR_SIZE > size:
            raise DebugInfoError(
                f"{path} is truncated: its {phnum} program headers at {phoff:#x} are not all"
                f" in its {size} bytes",
                step="open",
            )
        f.seek(phoff)
        raw = f.read(phnum * _PHDR_SIZE)
    found = []
    for p_type, _flags, *rest in struct.iter_unpack(order + "IIQQQQQQ", raw):
        segment = Segment(p_type, *rest[:5])
        if p_type == PT_LOAD and segment.offset + segment.filesz >= 1 << 63:
            raise DebugInfoError(
                f"{path}: a segment of {segment.filesz:#x} bytes at {segment.offset:#x} of the"
                " file is not believable",
                step="open",
                hint="the ELF header is damaged",
            )
        if p_type == PT_LOAD and (
            segment.vaddr + segment.memsz > 1 << 64
            or (segment.paddr != NO_ADDRESS and segment.paddr + segment.memsz > 1 << 64)
        ):
            raise DebugInfoError(
                f"{path}: a segment of {segment.memsz:#x} bytes at {segment.vaddr:#x} runs past"
                " the end of the address space",
                step="open",
                hint="the ELF header is damaged",
            )
        found.append(segment)
    return ElfCore(path, size, order, tuple(found))


def parse_notes(data: bytes, order: str) -> Iterator[Note]:
    """Yield the notes of a note segment; stops at the first that does not fit."""
    header = struct.Struct(order + "III")
    at = 0
    while at + header.size <= len(data):
        namesz, descsz, kind = header.unpack_from(data, at)
        at += header.size
        desc = at + (namesz + 3 & ~3)
        if desc + descsz > len(data):
            return
        name = data[at : at + min(namesz, _MAX_NAME)].split(b"\0")[0].decode("ascii", "replace")
        yield Note(name, kind, data[desc : desc + descsz])
        at = desc + (descsz + 3 & ~3)
