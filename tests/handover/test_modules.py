"""``export-vmlinux --modules``: files of loaded modules, read by others' eyes."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import ClassVar

import drgn
import pytest
from elftools.dwarf.die import DIE
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import NoteSection, SymbolTableSection

import btfdbg
from btfdbg.btf import Btf, Builder
from btfdbg.errors import BtfError
from btfdbg.handover.vmlinux.closure import alone
from btfdbg.handover.vmlinux.modules import export_modules
from btfdbg.program.session import Session, session

NAME = "tun"


@pytest.fixture(scope="module")
def arm(arm_core: Path) -> Session:
    return session(btfdbg.program_from_core_dump(arm_core))


@pytest.fixture(scope="module", params=["x86_core", "arm_core"])
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Session, ELFFile]:
    """One module's file, and the session that it is of."""
    s = session(btfdbg.program_from_core_dump(request.getfixturevalue(request.param)))
    s.ensure_modules()
    s.loaded = [module for module in s.loaded if module.name == NAME]
    folder = tmp_path_factory.mktemp("modules")
    (done,) = export_modules(s, str(folder))
    assert done.why == ""
    assert done.functions > 50
    return s, ELFFile(io.BytesIO((folder / f"{NAME}.ko").read_bytes()))


def starts_of(s: Session) -> dict[str, int]:
    (module,) = (m for m in s.loaded if m.name == NAME)
    assert isinstance(module, drgn.RelocatableModule)
    return dict(module.section_addresses)


def test_symbols_are_where_the_kernel_has_them(made: tuple[Session, ELFFile]) -> None:
    s, elf = made
    starts = starts_of(s)
    table = elf.get_section_by_name(".symtab")
    assert isinstance(table, SymbolTableSection)
    found = {
        symbol.name: starts[elf.get_section(symbol["st_shndx"]).name] + symbol["st_value"]
        for symbol in table.iter_symbols()
        if symbol.name and isinstance(symbol["st_shndx"], int)
    }
    assert elf["e_type"] == "ET_REL"
    assert s.module_symbols is not None
    for name in ("tun_chr_open", "tun_chr_ioctl", "tun_net_xmit"):
        (sym,) = s.module_symbols.by_name(name)
        assert found[name] == sym.address


def dies(elf: ELFFile) -> list[DIE]:
    (unit,) = elf.get_dwarf_info().iter_CUs()
    return list(unit.iter_DIEs())


def test_dwarf_has_the_modules_types_whole_and_the_kernels_by_name(
    made: tuple[Session, ELFFile],
) -> None:
    s, elf = made
    all_ = dies(elf)
    structs = {
        d.attributes["DW_AT_name"].value: d
        for d in all_
        if d.tag == "DW_TAG_structure_type" and "DW_AT_name" in d.attributes
    }
    own = s.prog.type("struct tun_struct", NAME)
    die = structs[b"tun_struct"]
    assert die.attributes["DW_AT_byte_size"].value == drgn.sizeof(own)
    assert [m.name.encode() for m in own.members or () if m.name] == [
        m.attributes["DW_AT_name"].value
        for m in die.iter_children()
        if "DW_AT_name" in m.attributes
    ]
    # A pointer leads to it: vmlinux has it.
    assert "DW_AT_declaration" in structs[b"task_struct"].attributes
    assert len(all_) < 60_000


def test_addresses_in_dwarf_are_relocated_with_their_sections(
    made: tuple[Session, ELFFile],
) -> None:
    s, elf = made
    rela, table = (elf.get_section_by_name(n) for n in (".rela.debug_info", ".symtab"))
    assert isinstance(rela, RelocationSection)
    assert isinstance(table, SymbolTableSection)
    functions = {
        d.attributes["DW_AT_low_pc"].offset: d.attributes["DW_AT_name"].value.decode()
        for d in dies(elf)
        if d.tag == "DW_TAG_subprogram"
    }
    starts, checked = starts_of(s), 0
    assert rela["sh_info"] == elf.get_section_index(".debug_info")
    assert s.module_symbols is not None
    for row in rela.iter_relocations():
        section = elf.get_section(table.get_symbol(row["r_info_sym"])["st_shndx"])
        name = functions.get(row["r_offset"])
        if name is None:
            continue
        address = starts[section.name] + row["r_addend"]
        assert address in {sym.address for sym in s.module_symbols.by_name(name)}
        checked += 1
    assert checked == len(functions) > 50


def test_a_section_that_is_not_in_the_dump_has_no_contents_and_is_named(
    made: tuple[Session, ELFFile],
) -> None:
    _, elf = made
    note = elf.get_section_by_name(".note.btfdbg")
    assert isinstance(note, NoteSection)
    (said,) = (json.loads(n["n_descdata"]) for n in note.iter_notes() if n["n_name"] == "btfdbg")
    lost = {m["section"] for m in said["missing"]}
    assert ".text" in lost  # bundled dumps are trimmed
    for section in elf.iter_sections():
        if section.name in lost:
            assert section["sh_type"] == "SHT_NOBITS"


def test_a_module_without_section_addresses_has_no_file_and_says_why(
    arm: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm.ensure_modules()
    module = next(m for m in arm.loaded if m.name == NAME)

    class Bare:
        name = NAME
        address_ranges = module.address_ranges
        section_addresses: ClassVar[dict[str, int]] = {}

    monkeypatch.setattr(arm, "loaded", [Bare()])
    monkeypatch.setattr(drgn, "RelocatableModule", Bare)
    (done,) = export_modules(arm, str(tmp_path))
    assert "where its sections are" in done.why
    assert not list(tmp_path.iterdir())


def _base() -> Builder:
    base = Builder()
    base.add_int("int", 4, 1)
    base.add_struct("far", 8)
    base.add_struct("near", 4)
    return base


def test_what_lies_inside_is_copied_and_what_is_pointed_to_is_declared() -> None:
    base = _base().to_btf()
    split = Builder(base)
    pointer = split.add_ptr(2)
    own = split.add_struct("own", 16)
    split.add_field("p", pointer, 0)
    split.add_field("n", 3, 64)
    btf, ids = alone(split.to_btf(), base.type_cnt)
    assert btf.base is None
    kinds = {btf.name_of(i): type(btf.type_by_id(i)).__name__ for i in btf.ids() if btf.name_of(i)}
    assert kinds == {"far": "Fwd", "near": "Struct", "own": "Struct"}
    assert btf.name_of(ids[own]) == "own"


def test_a_type_that_refers_to_none_is_an_error() -> None:
    base = _base().to_btf()
    split = Builder(base)
    split.add_ptr(77)
    with pytest.raises(BtfError, match="77"):
        alone(Btf.parse(split.build(), base), base.type_cnt)
