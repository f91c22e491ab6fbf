"""Source files of all functions of a kernel, out of its DWARF.

Owns the join of a file's symbols with what DWARF says of where code begins: first its
entries (``declarations``; those without code too, for a function that the compiler folded
into another one), then its line table, through drgn: the file of the outermost frame at the
first instruction. Entries first, because drgn takes a millisecond for each address.
Knows nothing of the table that the rows end up in.

Facts: DWARF 5, 3.3 (subroutines), 6.2 (line table); drgn 0.3,
``Program.source_location()``; a section of a relocatable file has no address, so each is
given one.
"""

from __future__ import annotations

import posixpath
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import drgn
from drgn import Program
from elftools.elf.elffile import ELFFile

from btfdbg.arch import by_elf
from btfdbg.errors import DebugInfoError, ImageError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.varextract.declarations import Declarations
from btfdbg.varextract.elfsyms import open_elf

_STT_NOTYPE, _STT_FUNC = 0, 2
_SHF_ALLOC, _SHF_EXECINSTR = 2, 4
_SHN_LORESERVE = 0xFF00
_MAX_SYMTAB = 1 << 29
_RELOCATABLE_BASE = 1 << 32
_PAGE = 4096
# Padding and trampolines: they have names, and no line of source.
_NO_SOURCE = ("__pfx_", "__cfi_", "__SCT__", "__SCK__")
# A tree that was built elsewhere: up to the folder that its packages name.
_BUILD_FOLDER = re.compile(r"^(?:/|\.\./).*?/linux-[^/]+/")


@dataclass(frozen=True, slots=True)
class FunctionRow:
    """
    One function as its DWARF describes it.

    :ivar address: as linked; in a module, one of no meaning.
    :ivar size: bytes, of the symbol.
    :ivar file: within the kernel's tree, ``fs/ext4/inode.c``.
    :ivar line: of its definition.
    """

    name: str
    address: int
    size: int
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class FunctionImage:
    """
    The functions of one file.

    :ivar module: the module's name with "_" for "-", "" for vmlinux.
    :ivar machine: architecture as ``uname -m`` names it.
    :ivar missing: functions that no line table covers.
    """

    module: str
    machine: str
    rows: tuple[FunctionRow, ...]
    missing: tuple[str, ...]


def extract_functions(path: Path, *, module: str = "") -> FunctionImage:
    """
    Read the functions of a vmlinux or module file with DWARF.

    :raises DebugInfoError: no DWARF.
    :raises ImageError: no symbol table.
    """
    with open_elf(path) as elf:
        known = by_elf(elf["e_machine"])
        machine = elf["e_machine"] if known is None else known.name
        bases = _section_addresses(elf)
        symbols = sorted(_functions(path, elf, bases))
        linked = elf["e_type"] != "ET_REL"
    declarations = Declarations(path)
    entries = declarations.all()
    prog: Program | None = None
    rows: list[FunctionRow] = []
    missing: list[str] = []
    last, place = -1, ("", 0)
    for address, size, name, section, is_function in symbols:
        if address != last:
            last = address
            start = (-1, address) if linked else (section, address - bases[section])
            entry = entries.get(start) or declarations.of_folded(start, name.partition(".")[0])
            if entry is not None and entry.file:
                place = tree_path(entry.file), entry.line
            else:
                prog = prog or _load(path, bases)
                place = _definition(prog, address)
        if not is_function and not place[0].endswith(".S"):
            continue
        if place[0]:
            rows.append(FunctionRow(name, address, size, *place))
        else:
            missing.append(name)
    return FunctionImage(module, machine, tuple(rows), tuple(missing))


def _definition(prog: Program, address: int) -> tuple[str, int]:
    """File and line of the function that begins at an address, ("", 0) without one."""
    try:
        frames = prog.source_location(address)
    except LookupError:
        return "", 0
    outermost = frames[len(frames) - 1]
    return tree_path(outermost.filename), outermost.line


def tree_path(path: str) -> str:
    """
    Return a source file's path within the kernel's tree.

    >>> tree_path("/build/linux-6.1.9/drivers/gpu/drm/amd/amdgpu/../display/dc/dc.c")
    'drivers/gpu/drm/amd/display/dc/dc.c'
    """
    path = _BUILD_FOLDER.sub("", path)
    return posixpath.normpath(path) if path else ""


def _section_addresses(elf: ELFFile) -> list[int]:
    """The address that each section of a relocatable file is given; 0 in a linked one."""
    bases: list[int] = []
    end = _RELOCATABLE_BASE
    for section in elf.iter_sections():
        bases.append(end if elf["e_type"] == "ET_REL" else 0)
        if section["sh_flags"] & _SHF_ALLOC:
            end += -(-section["sh_size"] // _PAGE) * _PAGE
    return bases


def _load(path: Path, bases: list[int]) -> Program:
    """A program with that file's debug information."""
    prog = Program()
    with open_elf(path) as elf:
        kept = [
            (section.name, base or section["sh_addr"], section["sh_size"])
            for section, base in zip(elf.iter_sections(), bases, strict=True)
            if section["sh_flags"] & _SHF_ALLOC and (base or section["sh_addr"])
        ]
        relocatable = elf["e_type"] == "ET_REL"
    if not kept:
        raise DebugInfoError(f"{path}: no section has an address", step="extract")
    start = min(address for _, address, _ in kept)
    end = max(address + size for _, address, size in kept)
    module: drgn.Module
    if relocatable:
        module = loaded = prog.relocatable_module(path.name, start, create=True)
        for name, address, _ in kept:
            loaded.section_addresses[name] = address
    else:
        module = prog.extra_module("btfdbg-extract", create=True)
    module.address_range = (start, max(end, start + 1))
    try:
        module.try_file(str(path), force=True)
    except (OSError, ValueError, drgn.ObjectAbsentError) as e:
        raise DebugInfoError(f"{path}: {e}", step="extract") from e
    return prog


def _functions(
    path: Path, elf: ELFFile, bases: list[int]
) -> Iterator[tuple[int, int, str, int, bool]]:
    """
    Address, size, name and section of each function, aliases included.

    The last item is False for a label, which is code only if it is one of assembly.
    """
    symtab = elf.get_section_by_name(".symtab")
    if symtab is None or symtab["sh_size"] > _MAX_SYMTAB:
        raise ImageError(f"{path}: no .symtab; the file with DWARF is needed, not a stripped one")
    strings = elf.get_section(symtab["sh_link"]).data()
    entry = struct.Struct(
        ("<" if elf.little_endian else ">") + ("IBBHQQ" if elf.elfclass == 64 else "IIIBBH")
    )
    table = symtab.data()
    code = {
        number
        for number, section in enumerate(elf.iter_sections())
        if section["sh_flags"] & _SHF_EXECINSTR and number < _SHN_LORESERVE
    }
    for fields in entry.iter_unpack(table[: len(table) - len(table) % entry.size]):
        if elf.elfclass == 64:
            name_at, info, _, section, value, size = fields
        else:
            name_at, value, size, info, _, section = fields
        kind = info & 0xF
        if section not in code or kind not in (_STT_FUNC, _STT_NOTYPE):
            continue
        name = strings[name_at : strings.find(b"\0", name_at)].decode("utf-8", "replace")
        if name and not name.startswith(_NO_SOURCE) and (kind or name[0] not in "$."):
            yield bases[section] + value, size, name, section, kind == _STT_FUNC
