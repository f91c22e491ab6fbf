"""``export-vmlinux --modules``: a file for each loaded module, for crash's ``mod -S``.

Owns what is in such a file and which modules get one. It is relocatable as a real .ko is, so
that debuggers put its sections where the dump's kernel had them; their contents are those of
memory, in which the kernel has applied relocations. A section that cannot be read has none.

Facts: kernel/module/sysfs.c (``module_sect_attrs``); the gABI's chapter on relocation; the
x86-64 and AArch64 psABI for the number of "64 bits of an address".
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import drgn

from btfdbg.btf import Btf, Kind
from btfdbg.btf.fields import NAME_OFF, SIZE_OR_TYPE
from btfdbg.errors import BtfError, DebugInfoError
from btfdbg.handover.types import TypeIds
from btfdbg.handover.vmlinux import elf
from btfdbg.handover.vmlinux.about import add_note, producer
from btfdbg.handover.vmlinux.closure import alone
from btfdbg.handover.vmlinux.dwarf import Dwarf, Function, Variable, Writer
from btfdbg.handover.vmlinux.sections import Index, Missing
from btfdbg.handover.vmlinux.symtab import Symtab, kind_of
from btfdbg.kallsyms.choice import is_text
from btfdbg.kallsyms.model import Sym, try_read
from btfdbg.lazy_dataclass import dataclass
from btfdbg.vmcore.platforms import machine_of, row_of

if TYPE_CHECKING:
    from btfdbg.arch import Arch
    from btfdbg.kallsyms.modules import ModuleTable
    from btfdbg.program.session import Session

# The kernel keeps these for itself, elsewhere than where it says (kernel/module/main.c).
_NOT_KEPT = frozenset((".symtab", ".strtab"))
_PERCPU = ".data..percpu"
_TEXT = ".text"
# Of sections without symbols; the others' letters tell.
_CODE = (".plt", ".altinstr_replacement")
_WRITABLE = ("__bug_table", ".gnu.linkonce.this_module", "__jump_table")
_MAX_SECTION = 64 << 20
# R_X86_64_64, R_AARCH64_ABS64
_ADDRESS = {"x86_64": 1, "aarch64": 257}


@dataclass(frozen=True, slots=True)
class ExportedModule:
    """
    What became of a module.

    :ivar why: Why it has no file; "" if it has one.
    :ivar missing: Sections without contents.
    """

    name: str
    why: str = ""
    symbols: int = 0
    functions: int = 0
    variables: int = 0
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True, slots=True)
class _Section:
    name: str
    start: int
    size: int


def export_modules(session: Session, folder: str) -> list[ExportedModule]:
    """
    Write FOLDER/NAME.ko for every loaded module that the dump has enough of.

    :raises DebugInfoError: a file cannot be written, or files for this machine are not known.
    """
    row = row_of(session.prog.platform)
    if row is None or row.name not in _ADDRESS:
        raise DebugInfoError(
            f"module files are made for {' and '.join(_ADDRESS)},"
            f" not for {machine_of(session.prog.platform)}",
            step="export-vmlinux",
        )
    session.ensure_modules()
    done = []
    reads_code, session.reads_code = session.reads_code, False
    try:
        os.makedirs(folder, exist_ok=True)
        tables = _tables(session)
        for module in session.loaded:
            if isinstance(module, drgn.RelocatableModule):
                done.append(_export(session, row, module, tables.get(module.name), Path(folder)))
    except OSError as e:
        raise DebugInfoError(f"{folder}: {e.strerror or e}", step="export-vmlinux") from e
    finally:
        session.reads_code = reads_code
    return done


def _tables(session: Session) -> dict[str, ModuleTable | None]:
    symbols = session.module_symbols
    if symbols is None:
        return {}
    return {module.name: symbols.table_of(module) for module in symbols.modules()}


def _export(
    session: Session,
    row: Arch,
    module: drgn.RelocatableModule,
    table: ModuleTable | None,
    folder: Path,
) -> ExportedModule:
    name = module.name
    if name in (".", "..") or "/" in name or "\0" in name:
        return ExportedModule(name, "its name is none of a file")
    if table is None:
        return ExportedModule(name, "its symbols are not in the dump")
    symbols = list(table)
    sections = _sections(module, symbols)
    if not any(section.name == _TEXT for section in sections):
        return ExportedModule(name, "where its sections are is not in the dump")
    path = folder / f"{name}.ko"
    temporary = folder / f"{name}.ko.part"
    try:
        with open(temporary, "wb") as file:
            out = elf.Writer(file, row.e_machine, row.little_endian)
            made = _Module(session, name, symbols, sections, out, _ADDRESS[row.name]).write()
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return made


def _sections(module: drgn.RelocatableModule, symbols: list[Sym]) -> list[_Section]:
    """Sections that are still there, by address; each ends where the next one begins."""
    addresses = module.section_addresses
    ranges = module.address_ranges or ()
    found = []
    for low, high in ranges:
        inside = sorted(
            (address, name)
            for name, address in addresses.items()
            if low <= address < high and name not in _NOT_KEPT
        )
        for (start, name), (end, _) in pairwise([*inside, (high, "")]):
            if end - start <= _MAX_SECTION:
                found.append(_Section(name, start, end - start))
    percpu = addresses.get(_PERCPU)
    ends = [sym.address + sym.size for sym in symbols if sym.percpu]
    if percpu is not None and ends and percpu < max(ends) <= percpu + _MAX_SECTION:
        found.append(_Section(_PERCPU, percpu, max(ends) - percpu))
    return found


class _Module:
    def __init__(
        self,
        session: Session,
        name: str,
        symbols: list[Sym],
        sections: list[_Section],
        out: elf.Writer,
        relocation: int,
    ) -> None:
        self._session = session
        self._name = name
        self._symbols = symbols
        self._sections = sections
        self._elf = out
        self._relocation = relocation
        self._missing: list[Missing] = []

    def write(self) -> ExportedModule:
        places = Index(
            [
                (section.start, section.start + section.size, self._add(section))
                for section in self._sections
            ]
        )
        # Freed after boot, or of a section that is not known: nowhere in this file.
        symbols = [s for s in self._symbols if places.at(s.address)]
        dwarf = self._dwarf(symbols)
        info = self._elf.add(".debug_info", dwarf.info)
        self._elf.add(".debug_abbrev", dwarf.abbrev)
        self._elf.add(".debug_str", dwarf.strings)
        starts = {number: section.start for number, section in enumerate(self._sections, 1)}
        table = Symtab(self._elf)
        for sym in symbols:
            number = places.at(sym.address)
            kind = kind_of(sym.name, sym.type_letter)
            table.add(
                sym.name, sym.type_letter, kind, number, sym.address - starts[number], sym.size
            )
        link = table.write()
        self._elf.add(
            ".rela.debug_info", self._relocations(dwarf, places, starts), type_=elf.Type.RELA,
            flags=elf.Flag.INFO_LINK, link=link, info=info, align=8, entsize=elf.RELA,
        )  # fmt: skip
        add_note(self._elf, self._session, tuple(self._missing), {"module": self._name})
        self._elf.finish(relocatable=True)
        return ExportedModule(
            self._name, "", len(symbols), dwarf.functions, dwarf.variables, tuple(self._missing)
        )

    def _add(self, section: _Section) -> int:
        name = section.name
        flags = elf.Flag.ALLOC
        letters = {
            s.type_letter.lower()
            for s in self._symbols
            if section.start <= s.address < section.start + section.size
        }
        if _TEXT in name or name in _CODE or "t" in letters:
            flags |= elf.Flag.EXECINSTR
        elif name in _WRITABLE or ".data" in name or not letters.isdisjoint("db"):
            flags |= elf.Flag.WRITE
        data = None
        if name not in (".bss", _PERCPU):
            data = try_read(self._session.prog.read, section.start, section.size)
            if data is None:
                why = "not in the dump"
                self._missing.append(Missing(name, section.start, section.size, why))
        if data is None:
            return self._elf.add(name, type_=elf.Type.NOBITS, flags=flags, size=section.size)
        type_ = elf.Type.NOTE if name.startswith(".note") else elf.Type.PROGBITS
        align = 4 if type_ == elf.Type.NOTE else 16
        return self._elf.add(name, data, type_=type_, flags=flags, align=align)

    # Types.

    def _dwarf(self, symbols: list[Sym]) -> Dwarf:
        session = self._session
        btfs, objects = session.module_btfs, session.module_objects
        converter = (btfs.converter(self._name) if btfs is not None else None) or session.converter
        assert converter is not None  # there is BTF
        ids = TypeIds(converter.btf, converter.convert)
        types: list[tuple[Sym, int]] = []
        for sym in symbols:
            if not is_text(sym) and objects is not None:
                type_ = objects.type_of(sym)
                type_id = None if type_ is None else ids.id_of(type_)
                if type_id is not None:
                    types.append((sym, type_id))
        start = session.vmlinux.type_cnt
        wanted = [type_id for _, type_id in types]
        try:
            btf, new = alone(ids.btf(), start, wanted)
        except BtfError as e:
            session.note("export-vmlinux", f"module {self._name}: its BTF is damaged: {e}")
            btf, new = alone(session.vmlinux, start)
            types = []
        text = next((s.start, s.size) for s in self._sections if s.name == _TEXT)
        writer = Writer(btf, producer(session), text)
        variables = (
            Variable(sym.name, new[type_id], sym.address, sym.type_letter.isupper())
            for sym, type_id in types
        )
        return writer.write(_functions(btf, symbols), variables, keep_places=True)

    def _relocations(self, dwarf: Dwarf, places: Index, starts: dict[int, int]) -> bytes:
        """Where .debug_info has an address: which section's, and how far in it."""
        prefix = self._elf.prefix
        word, pack = struct.Struct(prefix + "Q"), struct.Struct(prefix + "QQq").pack
        out = bytearray()
        for place in dwarf.places:
            (address,) = word.unpack_from(dwarf.info, place)
            number = places.at(address)
            # The first symbols are those of the sections, in their order.
            out += pack(place, number << 32 | self._relocation, address - starts[number])
        return bytes(out)


def _functions(btf: Btf, symbols: list[Sym]) -> Iterator[Function]:
    protos: dict[str, set[tuple[int, int]]] = {}
    for _, at in btf.own_of_kind(Kind.FUNC):
        place, proto = btf.words[at + NAME_OFF], btf.words[at + SIZE_OR_TYPE]
        if btf.kind_of(proto) == Kind.FUNC_PROTO:
            protos.setdefault(btf.string(place), set()).add((place, proto))
    for sym in symbols:
        found = protos.get(sym.name) if is_text(sym) else None
        if found is not None and len(found) == 1:
            ((place, proto),) = found
            yield Function(place, proto, sym.address, max(sym.size, 1), sym.type_letter.isupper())
