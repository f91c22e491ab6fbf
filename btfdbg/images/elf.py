"""Sections of ELF files, in and out.

Owns what of ELF the project needs of files: a section's bytes, and putting one into a
copy. Dumps are ELF too, but read by ``vmcore``.

Reading is pyelftools', behind two guards: the section table must lie inside of the
file (its count comes from the file), and no exception of its parsing gets out.

Writing is done here, because pyelftools does not and objcopy may not be there: new
contents are appended to the file and the section's header is pointed at them, so that
every other byte stays where it is. That is right for sections that are not loaded,
as in modules and objects; a loaded section keeps its place, so its size must match.
Facts: System V ABI, chapter 4, "Sections".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from io import BytesIO
from mmap import mmap
from typing import Any, Final, NamedTuple

from btfdbg.btf.loader import ElfFacts
from btfdbg.errors import ImageError
from btfdbg.images.compressed import LIMIT

MAGIC: Final = b"\x7fELF"
ET_REL: Final = 1
ET_CORE: Final = 4
EM_BPF: Final = 247
SHF_ALLOC: Final = 2
SHF_COMPRESSED: Final = 0x800
SHT_PROGBITS: Final = 1
SHT_NOBITS: Final = 8
SHN_XINDEX: Final = 0xFFFF


class _Layout(NamedTuple):
    """Places of the fields of a 32- or 64-bit header."""

    order: str
    word: str  # struct format of an address-sized field
    shoff_at: int
    shentsize_at: int  # shnum and shstrndx follow
    entry: struct.Struct


def _layout(data: bytes | memoryview | mmap) -> _Layout:
    if len(data) < 52 or bytes(data[:4]) != MAGIC:
        raise ImageError("not an ELF file")
    if data[4] not in (1, 2) or data[5] not in (1, 2):
        raise ImageError(f"ELF class {data[4]} and byte order {data[5]} are not known")
    order = "<" if data[5] == 1 else ">"
    if data[4] == 2:
        if len(data) < 64:
            raise ImageError("ELF header is truncated")
        return _Layout(order, "Q", 40, 58, struct.Struct(order + "2I4Q2I2Q"))
    return _Layout(order, "I", 32, 46, struct.Struct(order + "10I"))


class _Table(NamedTuple):
    """The section header table, checked to lie inside of the file."""

    layout: _Layout
    offset: int
    entries: int
    names_index: int


def _table(data: bytes | memoryview | mmap) -> _Table:
    layout = _layout(data)
    order, word, shoff_at, shentsize_at, entry = layout
    (offset,) = struct.unpack_from(order + word, data, shoff_at)
    entry_size, count, names_index = struct.unpack_from(order + "3H", data, shentsize_at)
    if not offset:
        return _Table(layout, 0, 0, 0)
    if entry_size != entry.size:
        raise ImageError(f"ELF section headers of {entry_size} bytes, expected {entry.size}")
    if offset + entry.size > len(data):
        raise ImageError(f"ELF section table at {offset:#x} lies outside of the file")
    first = entry.unpack_from(data, offset)
    if not count:
        count = first[5]
    if names_index == SHN_XINDEX:
        names_index = first[6]
    if offset + count * entry.size > len(data):
        raise ImageError(
            f"ELF section table at {offset:#x} of {count} entries ends outside of the file"
        )
    return _Table(layout, offset, count, names_index)


def is_core(data: bytes | memoryview | mmap) -> bool:
    """Return whether data starts as an ELF core dump does."""
    return _type(data) == ET_CORE


def is_relocatable(data: bytes | memoryview | mmap) -> bool:
    """Return whether data starts as an ELF file that is not linked does, as modules are."""
    return _type(data) == ET_REL


def _type(data: bytes | memoryview | mmap) -> int:
    """The header's ``e_type``; 0 (ET_NONE) of what is no ELF file."""
    if bytes(data[:4]) != MAGIC or len(data) < 18:
        return 0
    return int.from_bytes(data[16:18], "big" if data[5] == 2 else "little")


def open_elf(data: bytes | mmap) -> Any:
    """
    Return a pyelftools ``ELFFile`` over data.

    :raises ImageError: it is no ELF file, or its section table is damaged.
    """
    from elftools.elf.elffile import ELFFile

    _table(data)
    stream: Any = data if isinstance(data, mmap) else BytesIO(data)
    try:
        return ELFFile(stream)
    except Exception as error:  # pyelftools raises whatever its parsing trips over
        raise ImageError(f"damaged ELF file: {error}") from None


def sections(data: bytes | mmap, names: tuple[str, ...]) -> dict[str, bytes]:
    """
    Return the contents of those of the named sections that an ELF file has.

    :raises ImageError: it is no ELF file, or is damaged.
    """
    elf = open_elf(data)
    out: dict[str, bytes] = {}
    try:
        for section in elf.iter_sections():
            if section.name not in names or section.name in out:
                continue
            header = section.header
            if header["sh_type"] == "SHT_NOBITS":
                continue
            start, size = header["sh_offset"], header["sh_size"]
            if start + size > len(data):
                raise ImageError(f"section {section.name} ends outside of the file")
            if header["sh_flags"] & SHF_COMPRESSED:
                if section.data_size > LIMIT:
                    raise ImageError(f"section {section.name} unpacks to over {LIMIT} bytes")
                out[section.name] = section.data()
            else:
                out[section.name] = bytes(data[start : start + size])
    except ImageError:
        raise
    except Exception as error:  # pyelftools raises whatever its parsing trips over
        raise ImageError(f"damaged ELF file: {error}") from None
    return out


def is_bpf_object(data: bytes | memoryview | mmap) -> bool:
    """Return whether data starts as an object file for BPF does: not linked, ``EM_BPF``."""
    if bytes(data[:4]) != MAGIC or len(data) < 20:
        return False
    order = ">" if data[5] == 2 else "<"
    return struct.unpack_from(order + "2H", data, 16) == (ET_REL, EM_BPF)


def facts_of_object(data: bytes) -> ElfFacts:
    """
    Return what of a BPF object its BTF needs.

    :raises ImageError: it is no ELF file, or is damaged.
    """
    elf = open_elf(data)
    sizes: dict[str, int] = {}
    symbols: dict[str, int] = {}
    try:
        for section in elf.iter_sections():
            sizes.setdefault(section.name, section.header["sh_size"] & 0xFFFFFFFF)
            if section.header["sh_type"] != "SHT_SYMTAB":
                continue
            if section.header["sh_offset"] + section.header["sh_size"] > len(data):
                raise ImageError("symbol table ends outside of the file")
            for symbol in section.iter_symbols():
                if symbol["st_info"]["type"] == "STT_OBJECT" and symbol["st_shndx"] != "SHN_UNDEF":
                    symbols[symbol.name] = symbol["st_value"] & 0xFFFFFFFF
    except ImageError:
        raise
    except Exception as error:  # pyelftools raises whatever its parsing trips over
        raise ImageError(f"damaged ELF file: {error}") from None
    return ElfFacts(sizes, symbols)


def replace_sections(data: bytes, contents: Mapping[str, bytes | None]) -> bytes:
    """
    Return a copy of an ELF file with sections replaced, added or, for ``None``, emptied.

    :param data: A module, object or other file whose sections of these names are not
        loaded; of one that is, the size must stay.
    :raises ImageError: damaged file, or a loaded section would change its size.
    """
    table = _table(data)
    order, word, shoff_at, shentsize_at, entry = table.layout
    if not table.entries or table.names_index >= table.entries:
        raise ImageError("ELF file without section names")
    rows = [
        list(entry.unpack_from(data, table.offset + i * entry.size)) for i in range(table.entries)
    ]
    names_row = rows[table.names_index]
    names = bytearray(data[names_row[4] : names_row[4] + names_row[5]])
    out = bytearray(data)

    def place(blob: bytes | bytearray) -> int:
        out.extend(bytes(-len(out) % 8))
        at = len(out)
        out.extend(blob)
        return at

    known: dict[bytes, list[int]] = {}
    for row in rows:
        end = names.find(0, row[0])
        known.setdefault(bytes(names[row[0] : end if end >= 0 else None]), row)
    added = False
    for name, blob in contents.items():
        found = known.get(name.encode())
        if found is None:
            if blob is None:
                continue
            # name, type, flags, address, offset, size, link, info, alignment, entry size
            rows.append([len(names), SHT_PROGBITS, 0, 0, place(blob), len(blob), 0, 0, 8, 0])
            names += name.encode() + b"\0"
            added = True
            continue
        blob = blob or b""
        if found[2] & SHF_ALLOC:
            if len(blob) != found[5] or found[1] == SHT_NOBITS:
                raise ImageError(
                    f"section {name} is loaded: its {found[5]} bytes cannot become {len(blob)}"
                )
            out[found[4] : found[4] + found[5]] = blob
            continue
        found[1] = SHT_PROGBITS
        found[2] &= ~SHF_COMPRESSED
        found[4], found[5] = place(blob), len(blob)
    if added:
        names_row[4], names_row[5] = place(names), len(names)
    at = table.offset
    if added:
        if len(rows) >= 0xFF00:
            raise ImageError("ELF file has too many sections to add one")
        at = place(bytes(len(rows) * entry.size))
        struct.pack_into(order + word, out, shoff_at, at)
        struct.pack_into(order + "H", out, shentsize_at + 2, len(rows))
    for i, row in enumerate(rows):
        entry.pack_into(out, at + i * entry.size, *row)
    return bytes(out)
