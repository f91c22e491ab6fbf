"""C headers: golden text, what C cannot say, and bounded work."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btfdbg.btf import Btf, Builder
from btfdbg.btf import kinds as k
from btfdbg.btf.cheader.c_layout import Types
from btfdbg.btf.cheader.columns import Columns
from btfdbg.btf.cheader.definitions import CDump
from btfdbg.btf.cheader.header import dump_c
from btfdbg.btf.format import TypeId, make_info
from btfdbg.btf.pack import pack
from btfdbg.btf.text import assemble
from btfdbg.errors import BtfFormatError

from .graphs import build, random_types

CASES = Path(__file__).with_name("c_cases")
NAMES = sorted(path.stem for path in CASES.glob("*.raw"))
INT = "[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n"


def body(text: str) -> str:
    """Return a header without its frame."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return "\n".join(lines).strip() + "\n"


def dumped(text: str, base: Btf | None = None) -> str:
    return body("".join(dump_c(assemble.parse(text, base))))


@pytest.mark.parametrize("name", NAMES)
def test_header_equals_the_golden_one(name: str) -> None:
    btf = assemble.parse((CASES / f"{name}.raw").read_text())
    assert "".join(dump_c(btf)) == (CASES / f"{name}.h").read_text()


@pytest.mark.parametrize("compiler", ["gcc", "clang-14", "clang"])
@pytest.mark.parametrize("name", sorted(set(NAMES) - {"names"}))
def test_a_compiler_confirms_every_assertion(name: str, compiler: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler} here")
    btf = assemble.parse((CASES / f"{name}.raw").read_text())
    header = tmp_path / "header.h"
    header.write_text("".join(dump_c(btf, assertions=True)))
    assert "_Static_assert(__builtin_offsetof(" in header.read_text()
    done = subprocess.run(
        [compiler, "-std=gnu11", "-w", "-fsyntax-only", "-x", "c", header],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_types_are_written_once_and_later_names_get_numbers() -> None:
    btf = assemble.parse(
        INT
        + "[2] STRUCT 's' size=4 vlen=1\n\t'a' type_id=1 bits_offset=0\n"
        + "[3] STRUCT 's' size=8 vlen=1\n\t'p' type_id=4 bits_offset=0\n"
        + "[4] PTR '(anon)' type_id=2\n"
        + "[5] STRUCT 's' size=4 vlen=0\n"
    )
    dump = CDump(Types(Columns(btf)))
    assert dump.dump(2) == "struct s {\n\tint a;\n};\n\n"
    assert dump.dump(2) == ""
    assert dump.dump(3) == "struct s___2 {\n\tstruct s *p;\n};\n\n"
    assert dump.dump(5).startswith("struct s___3 {")


def test_only_what_a_root_needs_is_written() -> None:
    btf = assemble.parse(
        INT
        + "[2] STRUCT 'other' size=4 vlen=0\n"
        + "[3] STRUCT 'inner' size=4 vlen=1\n\t'a' type_id=1 bits_offset=0\n"
        + "[4] PTR '(anon)' type_id=2\n"
        + "[5] STRUCT 'outer' size=16 vlen=2\n"
        + "\t'i' type_id=3 bits_offset=0\n\t'o' type_id=4 bits_offset=64\n"
    )
    assert body("".join(dump_c(btf, roots=[5]))) == (
        "struct inner {\n\tint a;\n};\n\nstruct other;\n\n"
        "struct outer {\n\tstruct inner i;\n\tstruct other *o;\n};\n"
    )


def test_a_splits_types_come_after_those_of_its_base() -> None:
    base = assemble.parse(INT + "[2] STRUCT 's1' size=4 vlen=1\n\t'f' type_id=1 bits_offset=0\n")
    text = dumped("[3] STRUCT 's2' size=4 vlen=1\n\t'm' type_id=2 bits_offset=0\n", base)
    assert text == "struct s1 {\n\tint f;\n};\n\nstruct s2 {\n\tstruct s1 m;\n};\n"


def test_members_without_names_need_no_compiler_extension() -> None:
    text = (
        INT
        + "[2] STRUCT 'head' size=8 vlen=1\n\t'a' type_id=1 bits_offset=0\n"
        + "[3] STRUCT 'whole' size=16 vlen=2\n"
        + "\t'(anon)' type_id=2 bits_offset=0\n\t'b' type_id=1 bits_offset=64\n"
    )
    assert dumped(text).endswith(
        "struct whole {\n\tstruct {\n\t\tint a;\n\t\tlong: 0;\n\t} /* struct head */;\n"
        "\tint b;\n\tlong: 0;\n};\n"
    ) or "/* struct head */;" in dumped(text)
    assert "\tstruct head;\n" in body("".join(dump_c(assemble.parse(text), ms_extensions=True)))


def test_a_union_whose_members_are_not_known_keeps_its_size() -> None:
    assert dumped("[1] UNION 'u' size=8 vlen=0\n") == "union u {\n\tunsigned char __size[8];\n};\n"


def test_a_bit_field_across_its_types_boundary_needs_a_packed_struct() -> None:
    text = dumped(
        INT
        + "[2] STRUCT 's' size=8 vlen=2\n"
        + "\t'a' type_id=1 bits_offset=0 bitfield_size=20\n"
        + "\t'b' type_id=1 bits_offset=20 bitfield_size=20\n"
    )
    assert "__attribute__((packed))" in text


def test_what_gcc_knows_by_itself_is_not_declared() -> None:
    text = (
        "[1] TYPEDEF '__builtin_va_list' type_id=0\n[2] TYPEDEF 'va_list' type_id=1\n"
        "[3] TYPEDEF '__gnuc_va_list' type_id=0\n"
        "[4] INT '__Poly8_t' size=1 bits_offset=0 nr_bits=8 encoding=(none)\n"
        "[5] TYPEDEF 'poly' type_id=4\n"
    )
    assert dumped(text) == (
        "typedef __builtin_va_list va_list;\n\n"
        "typedef __builtin_va_list __gnuc_va_list;\n\n"
        "typedef unsigned char __Poly8_t;\n\ntypedef __Poly8_t poly;\n"
    )


CYCLES = {
    "a struct that contains itself": "[1] STRUCT 's' size=8 vlen=1\n"
    "\t'm' type_id=1 bits_offset=0\n",
    "structs that contain each other": "[1] STRUCT 'a' size=8 vlen=1\n"
    "\t'm' type_id=2 bits_offset=0\n"
    "[2] STRUCT 'b' size=8 vlen=1\n\t'm' type_id=1 bits_offset=0\n",
    "an anonymous struct that points to itself": "[1] STRUCT '(anon)' size=8 vlen=1\n"
    "\t'm' type_id=2 bits_offset=0\n[2] PTR '(anon)' type_id=1\n"
    "[3] STRUCT 's' size=8 vlen=1\n\t'm' type_id=1 bits_offset=0\n",
    "typedefs in a circle": "[1] TYPEDEF 'a' type_id=2\n[2] TYPEDEF 'b' type_id=1\n",
    "pointers in a circle": "[1] PTR '(anon)' type_id=2\n[2] CONST '(anon)' type_id=1\n"
    "[3] STRUCT 's' size=8 vlen=1\n\t'm' type_id=1 bits_offset=0\n",
    "arrays in a circle": "[1] ARRAY '(anon)' type_id=1 index_type_id=1 nr_elems=4294967295\n"
    "[2] STRUCT 's' size=8 vlen=1\n\t'm' type_id=1 bits_offset=0\n",
    "a function that returns itself": "[1] TYPEDEF 'f' type_id=2\n"
    "[2] FUNC_PROTO '(anon)' ret_type_id=1 vlen=0\n",
    "a prototype that is its own parameter": "[1] FUNC_PROTO '(anon)' ret_type_id=0 vlen=1\n"
    "\t'p' type_id=1\n[2] STRUCT 's' size=8 vlen=1\n\t'm' type_id=1 bits_offset=0\n",
    "a variable as a member": "[1] VAR 'v' type_id=0, linkage=static\n"
    "[2] STRUCT 's' size=8 vlen=1\n\t'm' type_id=1 bits_offset=0\n",
}


@pytest.mark.parametrize("text", CYCLES.values(), ids=CYCLES)
def test_what_c_cannot_say_is_left_out_with_a_comment(text: str) -> None:
    good = len(assemble.parse(text).offsets) + 1
    out = dumped(text + f"[{good}] STRUCT 'good' size=4 vlen=0\n")
    assert "/* type " in out
    assert "struct good {" in out


@given(st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_any_graph_is_dumped(seed: int) -> None:
    rng = random.Random(seed)
    btf = build(random_types(rng, rng.randrange(1, 40), 1))
    text = "".join(dump_c(btf, assertions=True))
    assert text.endswith("#endif /* __VMLINUX_H__ */\n")


def test_prototypes_that_double_at_each_level_take_bounded_work() -> None:
    builder = Builder()
    last = builder.add_int("int", 4, 1)
    for _ in range(55):
        proto = builder.add_func_proto(0, (k.Param("a", last), k.Param("b", last)))
        last = builder.add_ptr(proto)
    builder.add_struct("s", 8, (k.Member("m", last, 0),))
    with pytest.raises(BtfFormatError, match="too much larger"):
        "".join(dump_c(builder.to_btf()))


LONG = b"\0int\0" + b"x" * 1_000_000 + b"\0"
MANY = 4000
NAMING: dict[str, Callable[[list[int]], list[int]]] = {
    "members": lambda at: [1, make_info(4, MANY), 4, *(w for n in at for w in (n, 1, 0))],
    "enumerators": lambda at: [0, make_info(6, MANY), 4, *(w for n in at for w in (n, 0))],
    "parameters": lambda at: [0, make_info(13, MANY), 0, *(w for n in at for w in (n, 1))],
    "typedefs": lambda at: [w for n in at for w in (n, make_info(8), 1)],
    "declarations": lambda at: [w for n in at for w in (n, make_info(7), 0)],
    "structs": lambda at: [w for n in at for w in (n, make_info(4), 0)],
}


@pytest.mark.parametrize("what", NAMING)
@pytest.mark.parametrize("step", [0, 1], ids=["one name", "tails of one name"])
def test_long_names_used_often_take_bounded_memory(what: str, step: int) -> None:
    offsets = [5 + step * i for i in range(MANY)]
    record = NAMING[what](offsets)
    words = [1, make_info(1), 4, 0x01000020, *record]
    if what == "parameters":
        words += [5, make_info(8), 2]
    btf = Btf.parse(pack(words, LONG))
    with pytest.raises(BtfFormatError, match="too much larger"):
        for _ in dump_c(btf):
            pass


def test_names_above_a_base_and_names_of_any_bytes_are_written() -> None:
    base = assemble.parse(INT + "[2] STRUCT 'b' size=4 vlen=1\n\t'low' type_id=1 bits_offset=0\n")
    text = "[3] STRUCT '\xe4' size=8 vlen=2\n\t'low' type_id=1 bits_offset=0\n"
    text += "\t'h\xf6h' type_id=2 bits_offset=32\n"
    split = assemble.parse(text, base)
    assert "struct \xe4 {\n\tint low;\n\tstruct b h\xf6h;\n};" in "".join(dump_c(split))


def test_a_chain_of_100000_pointers_is_no_problem() -> None:
    builder = Builder()
    for i in range(100_000):
        builder.add_ptr(i)
    builder.add_struct("s", 8, (k.Member("m", TypeId(100_000), 0),))
    assert "/* type 100001" in "".join(dump_c(builder.to_btf()))


def test_a_reference_to_nothing_is_an_error() -> None:
    builder = Builder()
    builder.add_ptr(7)
    with pytest.raises(BtfFormatError, match=r"type 1 \(PTR\)"):
        "".join(dump_c(builder.to_btf()))


def test_padding_between_bit_fields_aligns_nothing_by_itself(tmp_path: Path) -> None:
    # Linux' struct kbd_struct; an unnamed int of one bit makes it 8 bytes large on arm64.
    text = (
        "[1] INT 'unsigned char' size=1 bits_offset=0 nr_bits=8 encoding=(none)\n"
        "[2] STRUCT 's' size=2 vlen=2\n\t'a' type_id=1 bits_offset=0 bitfield_size=7\n"
        "\t'b' type_id=1 bits_offset=8 bitfield_size=5\n"
    )
    c = dumped(text)
    assert "\tunsigned char a: 7;\n\tchar: 1;\n\tunsigned char b: 5;\n" in c
    if shutil.which("clang"):
        (tmp_path / "s.h").write_text(c + '_Static_assert(sizeof(struct s) == 2, "");\n')
        argv = ["clang", "-target", "aarch64-linux-gnu", "-w", "-fsyntax-only", "-x", "c"]
        assert subprocess.run([*argv, tmp_path / "s.h"], check=False).returncode == 0


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_gaps_in_packed_structs_are_closed_in_words(compiler: str, tmp_path: Path) -> None:
    # Packed, and aligned all the same, of which BTF says nothing: bpftool loses the bytes
    # between the last member and where a long would begin.
    text = INT + (
        "[2] INT 'char' size=1 bits_offset=0 nr_bits=8 encoding=(none)\n"
        "[3] STRUCT 'end' size=64 vlen=2\n\t'c' type_id=2 bits_offset=0\n"
        "\t'i' type_id=1 bits_offset=8\n"
        "[4] STRUCT 'middle' size=40 vlen=3\n\t'c' type_id=2 bits_offset=0\n"
        "\t'i' type_id=1 bits_offset=8\n\t'd' type_id=2 bits_offset=256\n"
        "[5] STRUCT 'bits' size=16 vlen=3\n\t'a' type_id=1 bits_offset=0 bitfield_size=3\n"
        "\t'i' type_id=1 bits_offset=8\n\t'c' type_id=2 bits_offset=72\n"
    )
    c = "".join(dump_c(assemble.parse(text), assertions=True))
    assert "\tint a: 3;\n\tint i;\n" in c  # the rest of a byte closes by itself
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler} here")
    (tmp_path / "h.h").write_text(c)
    argv = [compiler, "-std=gnu11", "-w", "-fsyntax-only", "-x", "c", str(tmp_path / "h.h")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_small_enum_with_too_large_a_value_is_signed() -> None:
    # Clang 14 leaves kind_flag unset.
    assert "\tA = -1,\n\tB = 2,\n} __attribute__((mode(byte)));" in dumped(
        "[1] ENUM 'e' encoding=UNSIGNED size=1 vlen=2\n\t'A' val=4294967295\n\t'B' val=2\n"
    )
    assert "\tA = 4294967295,\n};" in dumped(
        "[1] ENUM 'e' encoding=UNSIGNED size=4 vlen=1\n\t'A' val=4294967295\n"
    )
