"""Dumps of Xen domains as ``xl dump-core`` and ``virsh dump`` (libxl) write them.

Owns the sections of that format: an ELF core with sections and no segments.
Domains with hardware virtualisation (HVM, PVH) are read: their frame numbers
are those of a physical machine. Paravirtualised ones have page tables of
machine addresses, which neither drgn nor btfdbg translates.

Facts: Xen ``docs/misc/dump-core-format.txt``; ``tools/libs/ctrl/xc_core.h``
(XC_CORE_INVALID_PFN).
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

from btfdbg.errors import DebugInfoError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.vmcore.elfcore import parse_notes
from btfdbg.vmcore.memory import Extent

_EHDR_SIZE, _SHDR_SIZE = 64, 64
_MAX_SECTIONS = 1 << 12
_MAX_NAMES = 1 << 16
_MAX_NOTES = 1 << 20
_MAX_EXTENTS = 1 << 20
_WINDOW = 1 << 20
_HEADER_NOTE = 0x2000001
_PV, _HVM = 0xF00FEBED, 0xF00FEBEE
_INVALID_PFN = (1 << 64) - 1
_MAX_PFN = 1 << 40


@dataclass(frozen=True, slots=True)
class _Section:
    offset: int
    size: int


def is_xen(head: bytes) -> bool:
    """Whether an ELF core has sections and no segments, as no other writer's."""
    if len(head) < _EHDR_SIZE or head[4] != 2:
        return False
    segments, _, sections = struct.unpack_from("<HHH" if head[5] == 1 else ">HHH", head, 56)
    return bool(segments == 0 and sections > 0)


def read_xen(path: str | os.PathLike[str]) -> tuple[list[Extent], int]:
    """
    Read where which physical memory lies.

    :return: The ranges, and the bytes of them beyond the end of the file.
    :raises DebugInfoError: the file is damaged, or the domain is paravirtualised.
    """
    with open(path, "rb") as f:
        size = f.seek(0, os.SEEK_END)
        order, sections = _sections(path, f, size)
        note, pages = sections.get(".note.Xen"), sections.get(".xen_pages")
        if note is None or pages is None:
            raise DebugInfoError(
                f"{path} holds no memory: it has neither segments nor a section .xen_pages",
                step="open",
            )
        magic, count, page = _header(f, order, note)
        numbers = sections.get(".xen_pfn")
        if magic == _PV or numbers is None:
            raise DebugInfoError(
                f"{path} is a dump of a paravirtualised Xen domain, whose page tables hold the"
                " machine's addresses",
                step="open",
                hint="use kdump in the guest, or crash, which reads such dumps",
            )
        if magic != _HVM or not 4096 <= page <= 1 << 16 or page & (page - 1):
            raise DebugInfoError(
                f"{path}: the Xen header is damaged (magic {magic:#x}, pages of {page} bytes)",
                step="open",
            )
        held = min(numbers.size, size - numbers.offset) // 8
        count = min(count, held, pages.size // page)
        extents = _extents(path, f, order, numbers.offset, count, pages.offset, page)
    end = pages.offset + count * page
    return extents, max(0, min(count * page, end - size))


def _sections(
    path: str | os.PathLike[str], f: BinaryIO, size: int
) -> tuple[str, dict[str, _Section]]:
    """The byte order, and the sections by name; the first of a name counts."""
    f.seek(0)
    head = f.read(_EHDR_SIZE)
    if len(head) < _EHDR_SIZE:
        raise DebugInfoError(f"{path} is truncated inside its ELF header", step="open")
    order = "<" if head[5] == 1 else ">"
    (at,) = struct.unpack_from(order + "Q", head, 40)
    entry, count, names_at = struct.unpack_from(order + "HHH", head, 58)
    if entry != _SHDR_SIZE or count > _MAX_SECTIONS or names_at >= count:
        raise DebugInfoError(
            f"{path}: {count} section headers of {entry} bytes are not believable", step="open"
        )
    # It is written last, so this is what a full disk costs.
    if at + count * entry > size:
        raise DebugInfoError(
            f"{path} is truncated: its {count} section headers at {at:#x} are not all in its"
            f" {size} bytes",
            step="open",
            hint="copy it again, or was the disk full when it was written?",
        )
    f.seek(at)
    raw = f.read(count * entry)
    rows = [
        (name, _Section(offset, length))
        for name, _, _, _, offset, length in struct.iter_unpack(order + "IIQQQQ24x", raw)
    ]
    names = rows[names_at][1]
    f.seek(min(names.offset, size))
    text = f.read(min(names.size, _MAX_NAMES))
    found: dict[str, _Section] = {}
    for name, section in rows:
        word = text[name : name + 32].split(b"\0")[0].decode("ascii", "replace")
        if section.offset <= size:
            found.setdefault(word, section)
    return order, found


def _header(f: BinaryIO, order: str, section: _Section) -> tuple[int, int, int]:
    """Magic, number of pages and bytes of a page; zeros if there is no header."""
    f.seek(section.offset)
    for note in parse_notes(f.read(min(section.size, _MAX_NOTES)), order):
        if note.name == "Xen" and note.type == _HEADER_NOTE and len(note.desc) >= 32:
            magic, _, count, page = struct.unpack_from(order + "QQQQ", note.desc)
            return magic, count, page
    return 0, 0, 0


def _extents(
    path: str | os.PathLike[str],
    f: BinaryIO,
    order: str,
    at: int,
    count: int,
    pages: int,
    page: int,
) -> list[Extent]:
    """Put consecutive frames whose pages follow each other in the file together."""
    found: list[Extent] = []
    first = start = length = 0
    f.seek(at)

    def close() -> None:
        if length:
            size = length * page
            found.append(Extent(first * page, size, pages + start * page, size))
            if len(found) > _MAX_EXTENTS:
                raise DebugInfoError(
                    f"{path}: more than {_MAX_EXTENTS} runs of pages are not believable",
                    step="open",
                )

    done = 0
    while done < count:
        data = f.read(8 * min(_WINDOW, count - done))
        whole = len(data) // 8
        for i, pfn in enumerate(struct.unpack(f"{order}{whole}Q", data[: whole * 8]), done):
            if length and pfn == first + length:
                length += 1
                continue
            close()
            first, start, length = pfn, i, 1
            if pfn == _INVALID_PFN or pfn > _MAX_PFN:
                length = 0
        done += whole
        if not whole:
            break
    close()
    return found
