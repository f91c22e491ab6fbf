"""Extra BTF: shapes found in the base, and the proof that a file belongs to it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from btfdbg.btf import Btf, Builder, Kind
from btfdbg.cdecl import parse_type
from btfdbg.errors import BtfError, DebugInfoError, ImageError
from btfdbg.varextract.elfsyms import (
    DataSymbol,
    ElfSymbols,
    Section,
    read_symbols,
)
from btfdbg.varextract.encode import Encoded, encode, sections_of
from btfdbg.varextract.extract import Image, Row, extract, module_name
from btfdbg.variables.extra import ExtraBtf, base_tag, find_file
from btfdbg.variables.structural_index import StructuralIndex

from .kernels import make_btf

DATA = Section(".data", 0x1000, 0x100, True, False)


def _encode(base: Btf, *rows: Row, profile: str = "all", **more: object) -> Encoded:
    symbols = tuple(DataSymbol(row.name, row.address, row.size, 0, False, "", True) for row in rows)
    missing = more.get("missing", ())
    assert isinstance(missing, tuple)
    for name, address, size in missing:
        symbols += (DataSymbol(name, address, size, 0, False, "", True),)
    image = Image("", "x86_64", rows, tuple(name for name, _, _ in missing))
    return encode(image, ElfSymbols(False, "EM_X86_64", (DATA,), symbols), base, profile=profile)


def _row(name: str, type_: str, size: int, address: int) -> Row:
    return Row(name, type_, size, address, ".data", "", False)


@pytest.mark.parametrize(
    ("type_", "exists"),
    [
        ("struct foo *[3]", True),
        ("struct foo *[4]", False),
        ("const struct foo *", True),
        ("struct foo * const", False),
        ("int [6]", True),
        ("int [2][3]", True),
        ("struct { int x; int y; }", True),
        ("struct { int x; int z; }", False),
        ("struct bar *", False),
        ("void", True),
    ],
)
def test_a_shape_exists_only_if_the_btf_has_it(type_: str, exists: bool) -> None:
    assert StructuralIndex(make_btf()).exists(parse_type(type_)) is exists


def test_a_flattened_array_is_no_exact_shape() -> None:
    assert not StructuralIndex(make_btf(), flattened=False).exists(parse_type("int [2][3]"))


def test_lengths_of_an_elements_arrays_are_known() -> None:
    shapes = StructuralIndex(make_btf())
    assert shapes.lengths(parse_type("struct foo *")) == {3, 5}
    assert shapes.lengths(parse_type("int [3]")) == {2}
    assert shapes.lengths(parse_type("struct foo")) == set()


def test_encoded_variables_have_the_bases_own_types() -> None:
    base = make_btf()
    done = _encode(base, _row("v", "struct foo *[3]", 24, 0x1010), _row("w", "int", 4, 0x1004))
    extra = ExtraBtf.parse(done.btf, base, "x")
    assert (done.variables, done.added_types, done.skipped) == (2, 0, ())
    type_id = extra.type_of("v", 0, lambda name: [])
    assert type_id is not None
    assert type_id < base.type_cnt
    assert base.kind_of(type_id) == Kind.ARRAY
    assert sections_of(extra.btf) == {".data": 2}


def test_a_missing_shape_is_added_and_a_missing_name_is_skipped() -> None:
    done = _encode(
        make_btf(), _row("v", "struct foo *[9]", 72, 0x1010), _row("w", "struct bar", 4, 0x1000)
    )
    assert (done.variables, done.added_types, done.skipped) == (1, 1, ("w",))


def test_the_debug_profile_leaves_out_macro_noise() -> None:
    rows = (_row("v", "int", 4, 0x1000), _row("__SCK__x", "int", 4, 0x1004))
    assert _encode(make_btf(), *rows, profile="all").variables == 2
    assert _encode(make_btf(), *rows, profile="debug").variables == 1


def test_the_debug_profile_leaves_out_what_trace_events_are_made_of() -> None:
    base = Builder.like(make_btf())
    call = base.add_struct("trace_event_call", 8, [])
    base.add_ptr(call)
    rows = (
        _row("event_sys_enter", "struct trace_event_call", 8, 0x1000),
        _row("current_event", "struct trace_event_call *", 8, 0x1008),
    )
    done = _encode(base.to_btf(), *rows, profile="debug")
    extra = ExtraBtf.parse(done.btf, base.to_btf(), "x")
    assert extra.find("event_sys_enter", 0, lambda name: []) is None
    assert extra.find("current_event", 0, lambda name: []) is not None


def test_a_local_symbol_without_size_is_no_alias() -> None:
    # An empty lock_class_key: the next variable may lie at the same address.
    base = make_btf()
    row = _row("v", "int", 4, 0x1000)
    symbols = (
        DataSymbol("v", 0x1000, 4, 0, False, "", True),
        DataSymbol("__key.1", 0x1000, 0, 0, True, "core.c", True),
    )
    image = Image("", "x86_64", (row,), ("__key.1",))
    done = encode(image, ElfSymbols(False, "EM_X86_64", (DATA,), symbols), base, profile="all")
    assert (done.variables, done.aliases) == (1, 0)


def test_a_second_name_of_a_variable_is_an_alias() -> None:
    base = make_btf()
    done = _encode(base, _row("v", "int", 4, 0x1000), missing=(("second", 0x1000, 0),))
    assert done.aliases == 1
    extra = ExtraBtf.parse(done.btf, base, "x")
    assert extra.type_of("second", 0, lambda name: []) == extra.type_of("v", 0, lambda name: [])


def test_a_base_that_lacks_most_types_is_refused() -> None:
    rows = [_row(f"v{i}", "struct bar", 4, 0x1000 + 4 * i) for i in range(40)]
    with pytest.raises(BtfError, match="not this kernel's"):
        _encode(make_btf(), *rows)


def _other_base() -> Btf:
    builder = Builder.like(make_btf())
    builder.add_int("long int", 8, 1)
    return builder.to_btf()


def test_extra_btf_of_another_base_is_refused() -> None:
    done = _encode(make_btf(), _row("v", "int", 4, 0x1000))
    with pytest.raises(DebugInfoError):
        ExtraBtf.parse(done.btf, _other_base(), "x.btf")


def test_extra_btf_whose_base_has_other_bytes_is_refused() -> None:
    base = make_btf()
    changed = bytearray(base.raw)
    changed[changed.index(b"foo\0")] = ord("g")
    done = _encode(base, _row("v", "int", 4, 0x1000))
    with pytest.raises(DebugInfoError, match="another kernel"):
        ExtraBtf.parse(done.btf, Btf.parse(bytes(changed)), "x.btf")


def test_btf_without_a_proof_is_refused() -> None:
    base = make_btf()
    builder = Builder(base)
    builder.add_var("v", 1, base.find_by_name_kind("int", Kind.INT))
    with pytest.raises(DebugInfoError, match="which kernel"):
        ExtraBtf.parse(builder.build(), base, "x.btf")


def test_truncated_extra_btf_is_refused() -> None:
    base = make_btf()
    data = _encode(base, _row("v", "int", 4, 0x1000)).btf
    for end in range(len(data)):
        with pytest.raises(DebugInfoError):
            ExtraBtf.parse(data[:end], base, "x.btf")


def test_extra_btf_of_another_version_is_refused() -> None:
    base = make_btf()
    data = bytearray(_encode(base, _row("v", "int", 4, 0x1000)).btf)
    data[2] = 7
    with pytest.raises(DebugInfoError, match="version"):
        ExtraBtf.parse(bytes(data), base, "x.btf")


def test_damaged_extra_btf_is_refused_or_says_what_is_there() -> None:
    base = make_btf()
    data = _encode(base, _row("v", "int", 4, 0x1000), _row("w", "struct foo *", 8, 0x1010)).btf
    for at in range(len(data)):
        for value in (0, 0x7F, 0xFF):
            broken = bytearray(data)
            broken[at] = value
            try:
                extra = ExtraBtf.parse(bytes(broken), base, "x.btf")
                extra.type_of("v", 0x1000, lambda name: [0x1000])
                extra.stated(1)
            except (DebugInfoError, BtfError):
                continue


def test_variables_of_one_name_are_told_apart_by_address() -> None:
    base = make_btf()
    rows = (
        _row("v", "int", 4, 0x1000),
        _row("v", "struct foo *", 8, 0x1008),
        _row("anchor", "int", 4, 0x1020),
    )
    extra = ExtraBtf.parse(_encode(base, *rows).btf, base, "x")
    slide = 0x55000
    symbols = {"anchor": [0x1020 + slide], "v": [0x1000 + slide, 0x1008 + slide]}
    found = [extra.type_of("v", a, lambda n: symbols.get(n, [])) for a in symbols["v"]]
    assert [base.kind_of(i) for i in found if i is not None] == [Kind.INT, Kind.PTR]
    assert extra.type_of("v", 0x9999, lambda n: symbols.get(n, [])) is None


def test_a_third_level_goes_on_top_of_a_modules_btf() -> None:
    base = make_btf()
    module = Builder(base)
    module.add_struct("mod", 4, [])
    module_btf = module.to_btf()
    done = _encode(module_btf, _row("v", "struct mod", 4, 0x1000))
    assert ExtraBtf.parse(done.btf, module_btf, "x").type_of("v", 0, lambda n: []) is not None
    assert base_tag(module_btf) != base_tag(base)


def test_a_file_is_found_by_build_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path / "none"))
    folder = tmp_path / "btfdbg" / "btf-extra"
    folder.mkdir(parents=True)
    (folder / "00112233445566778899.btf").write_bytes(b"")
    assert find_file("00112233445566778899") == folder / "00112233445566778899.btf"
    assert find_file("ff112233445566778899") is None
    assert find_file("../../etc/passwd") is None


SOURCE = """
struct foo { int a; struct foo *next; };
struct foo first = { 1 };
static const char *names[3] = { "x", "y" };
static struct { int x; long y; } anonymous = { 1, 2 };
int (*hooks[2])(struct foo *, ...);
const char *user(int i) { hooks[0] = 0; return names[i] + anonymous.x + first.a; }
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_variables_are_read_out_of_dwarf(tmp_path: Path) -> None:
    source = tmp_path / "v-1.c"
    source.write_text(SOURCE)
    out = tmp_path / "v-1.ko"
    subprocess.run(["gcc", "-g", "-O0", "-c", str(source), "-o", str(out)], check=True)
    image = extract(out, module=module_name(out))
    assert image.module == "v_1"
    assert {row.name: row.type for row in image.rows} == {
        "first": "struct foo",
        "names": "const char *[3]",
        "anonymous": "struct { int x; long y; }",
        "hooks": "int (*[2])(struct foo *, ...)",
    }


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_a_file_without_dwarf_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "v.c"
    source.write_text(SOURCE)
    out = tmp_path / "v.o"
    subprocess.run(["gcc", "-g0", "-c", str(source), "-o", str(out)], check=True)
    with pytest.raises(DebugInfoError, match="DWARF"):
        extract(out)


def test_what_is_no_elf_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"not ELF")
    with pytest.raises(ImageError, match="ELF"):
        read_symbols(path)


@pytest.mark.parametrize(
    ("gcc", "clang", "asked"),
    [
        ("long unsigned int", "unsigned long", "unsigned long *[3]"),
        ("long int", "long", "long *[3]"),
        ("short unsigned int", "unsigned short", "unsigned short *[3]"),
        ("long long unsigned int", "unsigned long long", "unsigned long long *[3]"),
    ],
)
def test_integers_are_found_as_gcc_and_as_clang_spells_them(
    gcc: str, clang: str, asked: str
) -> None:
    for names in ((gcc,), (clang,), (clang, gcc)):
        builder = Builder()
        index = builder.add_int("int", 4)
        for name in names:
            element = builder.add_ptr(builder.add_int(name, 8))
        builder.add_array(index, element, 3)
        assert StructuralIndex(builder.to_btf()).exists(parse_type(asked)), names
