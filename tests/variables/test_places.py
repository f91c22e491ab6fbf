"""Which VAR a symbol is; types that only a tag can spell; extra BTF of a real dump's module."""

from __future__ import annotations

from pathlib import Path

import pytest

import btfdbg
from btfdbg.btf import Btf, Builder, Kind, kinds
from btfdbg.btf.format import TypeId
from btfdbg.errors import DebugInfoError
from btfdbg.program.convert import TypeConverter
from btfdbg.vardb.database import Database
from btfdbg.varextract.elfsyms import DataSymbol, ElfSymbols, Section
from btfdbg.varextract.encode import encode
from btfdbg.varextract.extract import Image, Row
from btfdbg.variables.evidence import DumpEvidence
from btfdbg.variables.extra import ExtraBtf, ExtraFiles, base_tag
from btfdbg.variables.lookup import VariableTypes
from btfdbg.variables.provenance import Source
from btfdbg.variables.var_offsets import VarOffsets

from .kernels import BASE, RELEASE, Sym, Symbols, make_btf, make_program

SLIDE = 0x7000


def _with_vars(*places: tuple[str, int, str]) -> Btf:
    """Own VARs: name, offset in .data, and the kind of their type (int or struct)."""
    builder = Builder.like(make_btf())
    base = make_btf()
    types = {
        "int": base.find_by_name_kind("int", Kind.INT),
        "struct": base.find_by_name_kind("foo", Kind.STRUCT),
    }
    infos = []
    for name, offset, type_ in places:
        var = builder.add_var(name, 0, types[type_])
        infos.append(kinds.VarSecinfo(TypeId(var), offset, 4))
    builder.add_datasec(".data", 0x100, infos)
    return builder.to_btf()


def _kind(btf: Btf, var_id: TypeId | None) -> str | None:
    if var_id is None:
        return None
    var = btf.type_by_id(var_id)
    assert isinstance(var, kinds.Var)
    return Kind(btf.kind_of(var.type)).name


def test_vars_of_one_name_are_told_apart_by_a_neighbour() -> None:
    btf = _with_vars(("v", 0, "int"), ("v", 16, "struct"), ("anchor", 32, "int"))
    addresses = {"v": [SLIDE, SLIDE + 16], "anchor": [SLIDE + 32]}
    places = VarOffsets(btf)
    found = [
        _kind(btf, places.find("v", a, lambda n: addresses.get(n, []))) for a in addresses["v"]
    ]
    assert found == ["INT", "STRUCT"]


def test_a_symbol_that_is_nowhere_in_the_btf_is_no_var() -> None:
    btf = _with_vars(("v", 0, "int"), ("anchor", 32, "int"))
    addresses = {"v": [SLIDE, SLIDE + 16], "anchor": [SLIDE + 32]}
    places = VarOffsets(btf)
    # The BTF left one of two variables out: the other symbol must not get its type.
    assert places.find("v", SLIDE + 16, lambda n: addresses.get(n, [])) is None
    assert places.find("v", SLIDE, lambda n: addresses.get(n, [])) is not None


def test_without_a_neighbour_only_vars_of_one_type_are_known() -> None:
    two = _with_vars(("v", 0, "int"), ("v", 16, "struct"))
    same = _with_vars(("v", 0, "int"), ("v", 16, "int"))
    addresses = {"v": [SLIDE, SLIDE + 16]}
    assert VarOffsets(two).find("v", SLIDE, lambda n: addresses.get(n, [])) is None
    assert VarOffsets(same).find("v", SLIDE, lambda n: addresses.get(n, [])) is not None


def _encode(base: Btf, *rows: Row, module: str = "") -> bytes:
    symbols = tuple(DataSymbol(r.name, r.address, r.size, 0, False, "", True) for r in rows)
    elf = ElfSymbols(False, "EM_X86_64", (Section(".data", BASE, 0x1000, True, False),), symbols)
    return encode(Image(module, "x86_64", rows, ()), elf, base, profile="all").btf


def test_an_array_without_elements_is_not_an_array_without_a_length() -> None:
    base = make_btf()
    rows = (
        Row("none", "int (*)[0]", 8, BASE, ".data", "", False),
        Row("open", "int (*)[]", 8, BASE + 8, ".data", "", False),
    )
    extra = ExtraBtf.parse(_encode(base, *rows), base, "x")
    prog = make_program(base)
    converter = TypeConverter(prog, extra.btf, TypeConverter(prog, base))
    variables = VariableTypes(
        prog,
        DumpEvidence(
            Symbols(Sym("none", 0, 8), Sym("open", 8, 8)),
            release=RELEASE,
            architecture="x86_64",
            extra=lambda: extra,
            convert=lambda btf, type_id: converter.convert(type_id),
        ),
        database=lambda: Database.build((), {}, {}),
    )
    found = {name: variables.find(name) for name in ("none", "open")}
    types = {n: v.type.type.type_name() for n, v in found.items() if v is not None}
    assert types == {"none": "int [0]", "open": "int []"}
    assert all(v is not None and v.source is Source.EXTRA_BTF for v in found.values())


def test_files_say_whose_variables_they_have(tmp_path: Path) -> None:
    base = make_btf()
    row = Row("v", "int", 4, BASE, ".data", "", False)
    for name, module in (("kernel", ""), ("ours", "cf_fault")):
        (tmp_path / name).write_bytes(_encode(base, row, module=module))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "0011223344.btf").write_bytes(b"")
    files = ExtraFiles([tmp_path / "ours", tmp_path / "kernel", folder])
    assert files.file_for("", "") == tmp_path / "kernel"
    assert files.file_for("cf_fault", "") == tmp_path / "ours"
    assert files.file_for("other", "0011223344") == folder / "0011223344.btf"
    assert files.file_for("other", "ff11223344") is None


def test_a_missing_file_and_a_second_one_for_the_kernel_are_told(tmp_path: Path) -> None:
    base = make_btf()
    data = _encode(base, Row("v", "int", 4, BASE, ".data", "", False))
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(data)
    with pytest.raises(DebugInfoError, match=r"two.*one was given for the kernel"):
        ExtraFiles([tmp_path / "one", tmp_path / "two"]).file_for("", "")
    files = ExtraFiles([tmp_path / "none"])
    with pytest.raises(DebugInfoError, match="none: no such file"):
        files.file_for("", "")
    assert files.file_for("ext4", "") is None


def _module_extra(base: Btf) -> bytes:
    rows = (Row("cf_victim", "struct cf_widget *", 8, 0, ".bss", "", False),)
    symbols = tuple(DataSymbol(r.name, r.address, r.size, 0, False, "", True) for r in rows)
    elf = ElfSymbols(True, "EM_X86_64", (Section(".bss", 0, 64, True, False),), symbols)
    return encode(Image("cf_fault", "x86_64", rows, ()), elf, base, profile="all").btf


def test_a_modules_extra_btf_types_its_variables_in_a_real_dump(
    oops_core: Path, tmp_path: Path
) -> None:
    prog = btfdbg.program_from_core_dump(oops_core)
    with pytest.raises(LookupError):
        prog.variable("cf_victim")
    path = tmp_path / "cf_fault.btf"
    path.write_bytes(_module_extra(btfdbg.session(prog).modules["cf_fault"]))
    prog = btfdbg.program_from_core_dump(oops_core, btf_extra=path)
    session = btfdbg.session(prog)
    assert prog.variable("cf_victim", "cf_fault").type_.type_name() == "struct cf_widget *"
    assert prog["cf_victim"].value_() == 0
    assert session.variable_source("cf_victim") == str(Source.EXTRA_BTF)
    assert not [note for note in session.notes if "extra" in note.step]


def test_a_modules_extra_btf_is_found_by_the_modules_build_id(
    oops_core: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prog = btfdbg.program_from_core_dump(oops_core)
    build_ids = {m.name: m.build_id for m in prog.modules()}
    build_id = build_ids["cf_fault"]
    assert build_id is not None
    folder = tmp_path / "btfdbg" / "btf-extra"
    folder.mkdir(parents=True)
    extra = _module_extra(btfdbg.session(prog).modules["cf_fault"])
    (folder / f"{build_id.hex()}.btf").write_bytes(extra)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    prog = btfdbg.program_from_core_dump(oops_core)
    assert prog["cf_victim"].type_.type_name() == "struct cf_widget *"


def test_extra_btf_of_another_modules_types_is_refused_with_a_note(
    oops_core: Path, tmp_path: Path
) -> None:
    session = btfdbg.session(btfdbg.program_from_core_dump(oops_core))
    # Right kernel, but made on top of another module's BTF.
    other = session.modules["xfs"]
    builder = Builder(other)
    pointer = builder.add_ptr(other.find_by_name_kind("task_struct", Kind.STRUCT))
    var = builder.add_var("cf_victim", 1, pointer)
    builder.add_decl_tag(base_tag(other, "", "cf_fault"), var, -1)
    path = tmp_path / "wrong.btf"
    path.write_bytes(builder.build())
    prog = btfdbg.program_from_core_dump(oops_core, btf_extra=[path])
    with pytest.raises(LookupError):
        prog.variable("cf_victim", "cf_fault")
    notes = [str(n) for n in btfdbg.session(prog).notes if n.step == "btf-extra"]
    assert len(notes) == 1
    assert "module cf_fault" in notes[0]
    assert "extra BTF of this kernel" in notes[0] or "another kernel" in notes[0]
