"""ELF notes and the extent of memory, out of the header of any dump.

Owns what a trimmed dump copies from its source's header: NT_PRSTATUS per CPU
(the registers of tasks that were running), VMCOREINFO, and which page frames
the machine had. Reads headers only; pages are read through drgn.

Facts: ELF gABI, "Note Section"; kernel ``fs/proc/vmcore.c``; QEMU
``dump/dump.c`` (a NT_PRSTATUS per CPU whose pid is the CPU's number plus one),
``target/i386/arch_dump.c`` (struct QEMUCPUState).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from btfdbg.lazy_dataclass import dataclass
from btfdbg.vmcore.elfcore import Note, read_elf
from btfdbg.vmcore.identify import DumpInfo, Format
from btfdbg.vmcore.kdumpfile import Kdump, Uts

NT_PRSTATUS = 1
QEMU = "QEMU"
_CPU_STATE_VERSION = 1
_CPU_STATE_SIZES = (432, 440)  # without and with kernel_gs_base
_CR3 = 416
_NOTE_HEADER = 12
# A bitmap of more page frames than this (256 TiB of memory) is not believable.
_MAX_PFN = 1 << 36


@dataclass(frozen=True, slots=True)
class Source:
    """
    What the header of a dump says beside its pages.

    :ivar max_pfn: One past the last page frame; 0 if not known.
    :ivar existing: Bitmap of the page frames that are memory, or ``None``.
    :ivar dump_level: What makedumpfile left out, as its ``-d``; 0 for nothing.
    """

    notes: tuple[Note, ...] = ()
    max_pfn: int = 0
    existing: bytes | None = None
    timestamp: int = 0
    uts: Uts | None = None
    dump_level: int = 0
    order: str = "<"
    """Byte order of the file that the notes are from, ``<`` or ``>``."""


def kernel_qemu_notes(source: Source, root: int | None) -> list[Note]:
    """
    QEMU's notes of an x86-64 machine, their CR3 that of the kernel's own page tables.

    Theirs is that of whatever program ran last. libkdumpfile walks from there, and a trimmed
    dump does not have such tables. The kernel's half is the same in both.

    crash knows by these notes that there are registers of every CPU; without them it takes
    those alone whose note is in memory, which a guest that QEMU dumped has not written.

    :param root: Physical address of the kernel's page table; ``None`` if it is not known.
    :return: None of a form that is not known.
    """
    if root is None:
        return []
    return [_with_cr3(note, root) for note in source.notes if _is_cpu_state(note, source.order)]


def _is_cpu_state(note: Note, order: str) -> bool:
    size = len(note.desc)
    return (
        note.name == QEMU
        and size in _CPU_STATE_SIZES
        and struct.unpack_from(order + "II", note.desc) == (_CPU_STATE_VERSION, size)
    )


def _with_cr3(note: Note, root: int) -> Note:
    # Little-endian, as x86-64 is.
    return Note(
        note.name, note.type, note.desc[:_CR3] + struct.pack("<Q", root) + note.desc[_CR3 + 8 :]
    )


def parse_notes(data: bytes, byteorder: str) -> Iterator[Note]:
    """Yield the notes of a note segment; stops at the first that does not fit."""
    order = "<" if byteorder == "little" else ">"
    at = 0
    while at + _NOTE_HEADER <= len(data):
        name_size, size, kind = struct.unpack_from(order + "III", data, at)
        start = at + _NOTE_HEADER + (name_size + 3) // 4 * 4
        if name_size == 0 or start + size > len(data):
            return
        name = data[at + _NOTE_HEADER : at + _NOTE_HEADER + name_size].split(b"\0")[0]
        yield Note(name.decode("ascii", "replace"), kind, data[start : start + size])
        at = start + (size + 3) // 4 * 4


def read_source(info: DumpInfo, page_size: int) -> Source:
    """
    Read what a trimmed dump takes over from the header of its source.

    :raises DebugInfoError: the header is damaged.
    """
    if info.format is Format.ELF:
        return _elf(info, page_size)
    if info.is_kdump:
        kdump = Kdump(info.path)
        h = kdump.header
        existing: bytes | None = kdump.existing()
        if h.block_size != page_size:
            existing = _in_smaller_pages(kdump.existing(), h.block_size // page_size)
        return Source(
            kdump.notes(),
            -(-h.max_pfn * h.block_size // page_size),
            existing,
            h.timestamp,
            h.uts,
            max(h.dump_level, 0),
            h.order,
        )
    return Source()


def _in_smaller_pages(bitmap: bytes, count: int) -> bytes | None:
    """
    A bitmap for pages of which ``count`` make one of its own; QEMU's are of 64 KiB on arm64.

    :return: ``None`` if the pages are larger than its own.
    """
    if count < 1:
        return None
    table = [
        int("".join(bit * count for bit in f"{byte:08b}"), 2).to_bytes(count, "little")
        for byte in range(256)
    ]
    return b"".join([table[byte] for byte in bitmap])


def _elf(info: DumpInfo, page_size: int) -> Source:
    core = read_elf(info.path)
    notes = tuple(core.notes())
    ranges = [(e.address, e.end) for e in core.extents()]
    end = max((stop for _, stop in ranges), default=0)
    max_pfn = (end + page_size - 1) // page_size
    if max_pfn > _MAX_PFN:
        return Source(notes, order=core.order)
    bitmap = bytearray((max_pfn + 7) // 8)
    for start, stop in ranges:
        _set_bits(bitmap, start // page_size, (stop + page_size - 1) // page_size)
    stamp = int(info.path.stat().st_mtime)
    return Source(notes, max_pfn, bytes(bitmap), stamp, order=core.order)


def _set_bits(bitmap: bytearray, start: int, stop: int) -> None:
    while start < stop and start & 7:
        bitmap[start >> 3] |= 1 << (start & 7)
        start += 1
    whole = (stop - start) // 8
    if whole > 0:
        bitmap[start >> 3 : (start >> 3) + whole] = b"\xff" * whole
        start += whole * 8
    for pfn in range(start, stop):
        bitmap[pfn >> 3] |= 1 << (pfn & 7)
