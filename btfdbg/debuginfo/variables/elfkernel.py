"""A kernel's vmlinux as if it were a dump: symbols, memory and BTF out of the file.

Owns the measuring of lookups without a dump: the same symbols that kallsyms would have,
so the same extents; the initial contents of data; the BTF section. Knows nothing of
what is measured.

Facts: scripts/kallsyms.c and scripts/mksysmap of the kernel (which symbols are left out).
"""

from __future__ import annotations

import itertools
import struct
from pathlib import Path

from drgn import Program

from btfdbg.btf import Btf
from btfdbg.debuginfo.variables.elfsyms import open_elf
from btfdbg.debuginfo.variables.extract import load_file
from btfdbg.errors import DebugInfoError, ImageError
from btfdbg.record import dataclass

# Names that kallsyms leaves out.
_LEFT_OUT = ("$", ".L", "__crc_", "__kstrtab", "__efistub_", "__pi_$", "__kvm_nvhe_$")
_STT_SECTION, _STT_FILE = 3, 4
_SHF_WRITE, _SHF_ALLOC, _SHF_EXECINSTR = 1, 2, 4


@dataclass(frozen=True, slots=True)
class ElfSymbol:
    """A symbol as kallsyms would have it; ``size`` is the distance to the next one."""

    name: str
    address: int
    size: int
    type_letter: str


class ElfKernel:
    """
    One vmlinux with DWARF.

    :ivar prog: has its DWARF, and its contents as memory.
    :raises ImageError: not an ELF file with symbols.
    :raises DebugInfoError: no DWARF.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.prog: Program = load_file(path)
        self._symbols: dict[str, list[ElfSymbol]] = {}
        self._btf = b""
        with open_elf(path) as elf:
            if elf.elfclass != 64:
                raise ImageError(f"{path}: only 64-bit kernels can be measured")
            sections = list(elf.iter_sections())
            symtab = elf.get_section_by_name(".symtab")
            if symtab is None:
                raise ImageError(f"{path}: no .symtab")
            names = elf.get_section(symtab["sh_link"]).data()
            code = {
                index
                for index, section in enumerate(sections)
                if section["sh_flags"] & (_SHF_EXECINSTR | _SHF_WRITE) == _SHF_EXECINSTR
            }
            entry = struct.Struct(("<" if elf.little_endian else ">") + "IBBHQQ")
            self._read_symbols(entry, symtab.data(), names, code)
            for section in sections:
                if section.name == ".BTF" and section["sh_type"] != "SHT_NOBITS":
                    self._btf = section.data()
                if section["sh_flags"] & _SHF_ALLOC and section["sh_type"] == "SHT_PROGBITS":
                    self._add_memory(section["sh_addr"], section.data())

    def btf(self) -> Btf:
        """
        Return the BTF in the file.

        :raises DebugInfoError: it has none.
        """
        if not self._btf:
            raise DebugInfoError(f"{self.path}: no .BTF section with contents", step="btf")
        return Btf.parse(self._btf)

    @property
    def machine(self) -> str:
        """Architecture as ``uname -m`` names it."""
        return machine_of(self.prog)

    def by_name(self, name: str) -> list[ElfSymbol]:
        """All symbols of a name."""
        return self._symbols.get(name, [])

    def _add_memory(self, address: int, data: bytes) -> None:
        if not address:
            return

        def read(_: int, count: int, offset: int, physical: bool) -> bytes:
            return data[offset : offset + count]

        self.prog.add_memory_segment(address, len(data), read)

    def _read_symbols(
        self, entry: struct.Struct, table: bytes, names: bytes, code: set[int]
    ) -> None:
        rows = []
        usable = len(table) - len(table) % entry.size
        for name_off, info, _, shndx, value, _size in entry.iter_unpack(table[:usable]):
            if info & 0xF in (_STT_SECTION, _STT_FILE) or not shndx or not name_off:
                continue
            name = names[name_off : names.find(b"\0", name_off)].decode("utf-8", "replace")
            if name.startswith(_LEFT_OUT):
                continue
            letter = "t" if shndx in code else "d"
            rows.append((value, name, letter.upper() if info >> 4 else letter))
        addresses = sorted({row[0] for row in rows})
        following = dict(itertools.pairwise(addresses))
        for value, name, letter in rows:
            size = following.get(value, value) - value
            self._symbols.setdefault(name, []).append(ElfSymbol(name, value, size, letter))


def machine_of(prog: Program) -> str:
    """Return a program's architecture as ``uname -m`` names it, as far as drgn's name is it."""
    platform = prog.platform
    return "" if platform is None else platform.arch.name.lower()
