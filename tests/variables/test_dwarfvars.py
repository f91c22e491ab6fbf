"""Variables that no name finds: statics of functions, of files that share a name, of assembly."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from btfdbg.btf import Btf, Builder, Kind
from btfdbg.errors import DebugInfoError
from btfdbg.varextract.dies import Dies, sleb, uleb
from btfdbg.varextract.dwarfvars import more_rows
from btfdbg.varextract.elfsyms import read_symbols
from btfdbg.varextract.encode import encode
from btfdbg.varextract.extract import Image, Row, extract, module_name
from btfdbg.variables.extra import ExtraBtf

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")

# Two files of one name, each with a static of the same name.
FIRST = """
struct foo { int a; struct foo *next; };
static struct foo same = { 7 };
struct foo *first(void) { return &same; }
extern unsigned long table[3];
extern char __start_area[], __undeclared_here;
extern int second_name;
int defined_once = 4;
__asm__(".pushsection .data\\n.globl table\\ntable: .quad 1,2,3\\n"
        ".globl __start_area\\n__start_area:\\n.globl unheard_of\\nunheard_of:\\n"
        ".globl second_name\\n.set second_name, defined_once\\n.popsection");
unsigned long use(int i) {
    static long count;
    count += table[i] + (long)__start_area + second_name;
    if (i) {
        static struct { short x; unsigned int low : 3, high : 5; int (*call)(int, ...); } deep;
        deep.x++;
        deep.high = i;
        return (long)&deep + count;
    }
    return count;
}
int main(void) { return (long)first() + use(1); }
"""
SECOND = """
static const char *same[2] = { "a", "b" };
const char *second(int i) {
    static unsigned char count;
    count++;
    same[0]++;
    return same[i & count];
}
"""


def _build(tmp_path: Path, *, linked: bool, dwarf: str = "-gdwarf-5") -> Path:
    objects = []
    for folder, text in (("a", FIRST), ("b", SECOND)):
        (tmp_path / folder).mkdir(exist_ok=True)
        source = tmp_path / folder / "core.c"
        source.write_text(text)
        objects.append(tmp_path / folder / "core.o")
        command = ["gcc", dwarf, "-O0", "-fno-pic", "-mcmodel=large", "-c", str(source)]
        subprocess.run([*command, "-o", str(objects[-1])], check=True)
    if linked:
        out = tmp_path / "program"
        command = ["gcc", "-no-pie", "-nostdlib", "-Wl,-e,main", *map(str, objects)]
    else:
        out = tmp_path / "mod-x.ko"
        command = ["ld", "-r", *map(str, objects)]
    subprocess.run([*command, "-o", str(out)], check=True)
    return out


def _more(path: Path, *, statics: bool) -> tuple[Image, list[Row]]:
    image, symbols = extract(path, module=module_name(path)), read_symbols(path)
    return image, more_rows(path, image, symbols, statics=statics)


@needs_gcc
@pytest.mark.parametrize("dwarf", ["-gdwarf-4", "-gdwarf-5"])
@pytest.mark.parametrize("linked", [True, False])
def test_statics_of_functions_are_found_by_their_place(
    tmp_path: Path, linked: bool, dwarf: str
) -> None:
    _, rows = _more(_build(tmp_path, linked=linked, dwarf=dwarf), statics=True)
    types = {(row.name.partition(".")[0], row.type, row.size) for row in rows}
    assert ("count", "long", 8) in types
    assert ("count", "unsigned char", 1) in types
    deep = "struct { short x; unsigned int low : 3; unsigned int high : 5; int (*call)(int, ...); }"
    assert ("deep", deep, 16) in types
    assert all("." in row.name for row in rows if row.name.startswith(("count", "deep")))


@needs_gcc
@pytest.mark.parametrize("linked", [True, False])
def test_statics_of_two_files_of_one_name_are_both_known(tmp_path: Path, linked: bool) -> None:
    image, rows = _more(_build(tmp_path, linked=linked), statics=False)
    same = {row.type for row in (*image.rows, *rows) if row.name == "same"}
    assert same == {"struct foo", "const char *[2]"}
    assert not any(row.name.startswith("count") for row in rows)


@needs_gcc
@pytest.mark.parametrize("linked", [True, False])
def test_what_assembly_defines_has_the_type_that_c_declares(tmp_path: Path, linked: bool) -> None:
    _, rows = _more(_build(tmp_path, linked=linked), statics=False)
    found = {row.name: (row.type, row.size) for row in rows}
    assert found["table"] == ("unsigned long [3]", 24)
    assert found["__start_area"] == ("char []", 0)
    assert found["second_name"] == ("int", 4)
    assert "unheard_of" not in found


def _base() -> Btf:
    builder = Builder()
    int_ = builder.add_int("int", 4, 1)
    char = builder.add_int("char", 1, 1)
    ulong = builder.add_int("long unsigned int", 8)
    builder.add_int("long int", 8, 1)
    builder.add_int("unsigned char", 1)
    builder.add_struct("foo", 16, [])
    builder.add_field("a", int_, 0)
    builder.add_array(int_, ulong, 3)
    builder.add_array(int_, builder.add_ptr(builder.add_const(char)), 2)
    return builder.to_btf()


@needs_gcc
def test_encoded_variables_are_told_apart_by_their_place(tmp_path: Path) -> None:
    path = _build(tmp_path, linked=True)
    image, rows = _more(path, statics=True)
    base = _base()
    symbols = read_symbols(path)
    done = encode(image, symbols, base, profile="all", more=rows, build_id="00ff")
    extra = ExtraBtf.parse(done.btf, base, "x")
    slide = 0x4000
    addresses: dict[str, list[int]] = {}
    for symbol in symbols.symbols:
        addresses.setdefault(symbol.name, []).append(symbol.value + slide)
    assert len(addresses["same"]) == 2
    names = set()
    for address in addresses["same"]:
        type_id = extra.type_of("same", address, lambda name: addresses.get(name, []))
        assert type_id is not None
        names.add(Kind(extra.btf.kind_of(type_id)).name)
    assert names == {"STRUCT", "ARRAY"}
    # A label has no size: a VAR, but no room in a section.
    assert extra.type_of("__start_area", 0, lambda name: []) is not None
    assert done.skipped == (next(r.name for r in rows if r.name.startswith("deep")),)


@needs_gcc
def test_damaged_dwarf_gives_no_symbol_that_is_not_there_and_no_other_error(tmp_path: Path) -> None:
    path = _build(tmp_path, linked=True)
    image, symbols = extract(path), read_symbols(path)
    whole = {(r.name, r.address): r.type for r in more_rows(path, image, symbols, statics=True)}
    data = path.read_bytes()
    start = data.index(Dies(path).info)
    size = len(Dies(path).info)
    for offset in range(0, size, 37):
        broken = bytearray(data)
        broken[start + offset : start + offset + 8] = bytes(8)
        path.write_bytes(broken)
        try:
            rows = more_rows(path, image, symbols, statics=True)
        except DebugInfoError:
            continue
        assert {(r.name, r.address) for r in rows} <= set(whole)


def test_numbers_of_variable_length_end_within_the_data() -> None:
    assert uleb(b"\xe5\x8e\x26", 0) == (624485, 3)
    assert sleb(b"\x7f", 0) == (-1, 1)
    assert sleb(b"\x80\x01", 0) == (128, 2)
    with pytest.raises(DebugInfoError, match="does not end"):
        uleb(b"\x80\x80", 0)
    with pytest.raises(DebugInfoError, match="does not end"):
        uleb(b"\x80" * 64, 0)


def test_a_file_without_dwarf_has_no_entries(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, *[0] * 10)
    path.write_bytes(header)
    with pytest.raises(DebugInfoError, match="debug_info"):
        Dies(path)
