"""Headers of types that C has no words for: they compile, everywhere, or say what they lack."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from btfdbg.btf import Btf, TypeId, kinds
from btfdbg.btf.builder import Builder
from btfdbg.btf.cheader.adapt import adapt
from btfdbg.btf.cheader.c_names import c_name
from btfdbg.btf.cheader.columns import Columns
from btfdbg.btf.cheader.header import dump_c
from btfdbg.btf.format import IntEncoding
from btfdbg.btf.text import assemble
from btfdbg.cli.main import main

INT = "[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n"
BOOL = "[1] INT '_Bool' size=1 bits_offset=0 nr_bits=8 encoding=BOOL\n"

CASES = {
    "names of rust and c++": """
[1] INT 'u8' size=1 bits_offset=0 nr_bits=8 encoding=(none)
[2] STRUCT 'Vec<u8, Global>' size=2 vlen=2
\t'0' type_id=1 bits_offset=0
\t'_0' type_id=1 bits_offset=8
[3] UNION 'Vec<u8, Global>' size=2 vlen=1
\t'value' type_id=2 bits_offset=0
[4] TYPEDEF 'core::Vec' type_id=3
[5] ENUM 'Ordering::Kind' encoding=SIGNED size=1 vlen=3
\t'Ordering::Less' val=-1
\t'type' val=1
\t'int' val=2
[6] STRUCT 'operator==' size=2 vlen=1
\t'register' type_id=4 bits_offset=0
[7] FWD '{closure#0}' fwd_kind=struct
[8] PTR '(anon)' type_id=7
[9] STRUCT 'holder' size=8 vlen=1
\t'fn' type_id=8 bits_offset=0
""",
    "keywords of c23": BOOL
    + """
[2] ENUM '(anon)' encoding=UNSIGNED size=4 vlen=2
\t'false' val=0
\t'true' val=1
[3] TYPEDEF 'bool' type_id=1
[4] STRUCT 'constexpr' size=3 vlen=3
\t'nullptr' type_id=3 bits_offset=0
\t'thread_local' type_id=3 bits_offset=8
\t'b' type_id=3 bits_offset=16
[5] ENUM 'answer' encoding=UNSIGNED size=4 vlen=3
\t'false' val=0
\t'true' val=1
\t'perhaps' val=2
[6] TYPEDEF 'alignas' type_id=5
""",
    "integers of other languages": """
[1] INT 'usize' size=8 bits_offset=0 nr_bits=64 encoding=(none)
[2] INT 'i128' size=16 bits_offset=0 nr_bits=128 encoding=SIGNED
[3] FLOAT 'f64' size=8
[4] FLOAT '_Float16' size=2
[5] INT 'bool' size=1 bits_offset=0 nr_bits=8 encoding=BOOL
[6] INT '__SANITIZED_FAKE_INT__' size=12 bits_offset=0 nr_bits=96 encoding=(none)
[7] STRUCT 'all' size=64 vlen=6
\t'a' type_id=1 bits_offset=0
\t'b' type_id=2 bits_offset=128
\t'c' type_id=3 bits_offset=256
\t'd' type_id=4 bits_offset=320
\t'e' type_id=5 bits_offset=336
\t'f' type_id=6 bits_offset=352
""",
    "enums without values by value": INT
    + """
[2] ENUM 'e8' encoding=UNSIGNED size=8 vlen=0
[3] TYPEDEF 'e8_t' type_id=2
[4] ENUM 'e1' encoding=UNSIGNED size=1 vlen=0
[5] STRUCT 's' size=24 vlen=3
\t'a' type_id=3 bits_offset=0
\t'b' type_id=2 bits_offset=64 bitfield_size=41
\t'c' type_id=4 bits_offset=128
[6] ENUM 'pointed_to' encoding=UNSIGNED size=4 vlen=0
[7] PTR '(anon)' type_id=6
[8] STRUCT 'p' size=8 vlen=1
\t'e' type_id=7 bits_offset=0
""",
    "va_list by value": INT
    + """
[2] STRUCT '__va_list_tag' size=24 vlen=1
\t'gp_offset' type_id=1 bits_offset=0
[3] ARRAY '(anon)' type_id=2 index_type_id=1 nr_elems=1
[4] TYPEDEF '__builtin_va_list' type_id=3
[5] TYPEDEF 'va_list' type_id=4
[6] STRUCT 'warn_args' size=32 vlen=2
\t'fmt' type_id=1 bits_offset=0
\t'args' type_id=5 bits_offset=64
[7] STRUCT 'holds_it' size=32 vlen=1
\t'w' type_id=6 bits_offset=0
""",
    "long double": INT
    + """
[2] FLOAT 'long double' size=16
[3] STRUCT 's' size=16 vlen=1
\t'x' type_id=2 bits_offset=0
""",
    "members in another order than in memory, as rustc describes them": INT
    + """
[2] INT 'long long' size=8 bits_offset=0 nr_bits=64 encoding=SIGNED
[3] STRUCT 'back' size=16 vlen=3
\t'a' type_id=1 bits_offset=64
\t'b' type_id=2 bits_offset=0
\t'c' type_id=1 bits_offset=96
[4] STRUCT '(anon)' size=8 vlen=2
\t'y' type_id=1 bits_offset=32
\t'z' type_id=1 bits_offset=0
[5] STRUCT 'holds' size=24 vlen=2
\t'b' type_id=3 bits_offset=0
\t'(anon)' type_id=4 bits_offset=128
[6] STRUCT 'bits' size=8 vlen=3
\t'a' type_id=1 bits_offset=32 bitfield_size=3
\t'b' type_id=1 bits_offset=0 bitfield_size=7
\t'c' type_id=1 bits_offset=7 bitfield_size=20
""",
    "members that overlap, or are larger than their type": INT
    + """
[2] INT 'long long' size=8 bits_offset=0 nr_bits=64 encoding=SIGNED
[3] STRUCT 'over' size=8 vlen=2
\t'a' type_id=2 bits_offset=0
\t'b' type_id=1 bits_offset=32
[4] STRUCT 'odd' size=3 vlen=1
\t'a' type_id=1 bits_offset=0
[5] UNION 'odd_too' size=3 vlen=1
\t'a' type_id=1 bits_offset=0
[6] STRUCT 'holds' size=24 vlen=4
\t'i' type_id=1 bits_offset=0
\t'o' type_id=3 bits_offset=64
\t'd' type_id=4 bits_offset=128
\t'u' type_id=5 bits_offset=152
""",
    "a struct and a union of one name that are declared only": INT
    + """
[2] FWD 'f' fwd_kind=struct
[3] FWD 'f' fwd_kind=union
[4] PTR '(anon)' type_id=2
[5] PTR '(anon)' type_id=3
[6] STRUCT 's' size=16 vlen=2
\t'a' type_id=4 bits_offset=0
\t'b' type_id=5 bits_offset=64
[7] FWD 's' fwd_kind=union
[8] PTR '(anon)' type_id=7
[9] STRUCT 't' size=8 vlen=1
\t'a' type_id=8 bits_offset=0
[10] UNION 't' size=4 vlen=1
\t'a' type_id=1 bits_offset=0
[11] FWD 't' fwd_kind=union
[12] PTR '(anon)' type_id=11
[13] STRUCT 'u' size=8 vlen=1
\t'a' type_id=12 bits_offset=0
""",
    "names that compilers have of themselves": INT
    + """
[2] STRUCT 'linux' size=12 vlen=3
\t'unix' type_id=1 bits_offset=0
\t'__func__' type_id=1 bits_offset=32
\t'__alignof__' type_id=1 bits_offset=64
[3] ENUM 'kind' encoding=UNSIGNED size=4 vlen=2
\t'_Accum' val=0
\t'__builtin_choose_expr' val=1
[4] TYPEDEF '__real__' type_id=2
[5] FUNC_PROTO '(anon)' ret_type_id=1 vlen=3
\t'register' type_id=1
\t'nullptr' type_id=4
\t'unix' type_id=3
[6] PTR '(anon)' type_id=5
[7] STRUCT 'ops' size=8 vlen=1
\t'call' type_id=6 bits_offset=0
""",
    "gaps that must not align what they are in, as on arm64": """
[1] INT 'unsigned char' size=1 bits_offset=0 nr_bits=8 encoding=(none)
[2] INT 'unsigned int' size=4 bits_offset=0 nr_bits=32 encoding=(none)
[3] INT 'unsigned long' size=8 bits_offset=0 nr_bits=64 encoding=(none)
[4] STRUCT 'in' size=12 vlen=2
\t'a' type_id=3 bits_offset=0
\t'b' type_id=2 bits_offset=64
[5] STRUCT 'out' size=28 vlen=4
\t'c' type_id=2 bits_offset=0
\t'd' type_id=1 bits_offset=32
\t'x' type_id=4 bits_offset=64
\t'y' type_id=2 bits_offset=192
[6] STRUCT 'tail' size=12 vlen=2
\t'a' type_id=2 bits_offset=0
\t'b' type_id=1 bits_offset=32
[7] STRUCT 'has' size=20 vlen=3
\t'a' type_id=2 bits_offset=0
\t't' type_id=6 bits_offset=32
\t'z' type_id=2 bits_offset=128
[8] STRUCT 'odd' size=9 vlen=3
\t'a' type_id=1 bits_offset=0
\t'b' type_id=2 bits_offset=8
\t'c' type_id=1 bits_offset=64
[9] STRUCT 'has_odd' size=12 vlen=3
\t'a' type_id=1 bits_offset=0
\t't' type_id=8 bits_offset=8
\t'z' type_id=1 bits_offset=88
""",
    "a bit-field in the next unit though there is room in this": """
[1] INT 'unsigned char' size=1 bits_offset=0 nr_bits=8 encoding=(none)
[2] INT 'long' size=8 bits_offset=0 nr_bits=64 encoding=SIGNED
[3] STRUCT 's' size=24 vlen=3
\t'a' type_id=1 bits_offset=0
\t'b' type_id=2 bits_offset=64 bitfield_size=47
\t'c' type_id=2 bits_offset=128
[4] STRUCT 't' size=24 vlen=3
\t'a' type_id=1 bits_offset=0 bitfield_size=3
\t'b' type_id=1 bits_offset=64
\t'c' type_id=2 bits_offset=128 bitfield_size=3
""",
    "rust's char, of four bytes": INT
    + """
[2] INT 'char' size=4 bits_offset=0 nr_bits=32 encoding=(none)
[3] INT 'short' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[4] INT 'long long' size=16 bits_offset=0 nr_bits=128 encoding=SIGNED
[5] INT 'long unsigned int' size=8 bits_offset=0 nr_bits=64 encoding=(none)
[6] STRUCT 'Token' size=48 vlen=5
\t'c' type_id=2 bits_offset=0
\t'kind' type_id=2 bits_offset=32
\t's' type_id=3 bits_offset=64
\t'l' type_id=4 bits_offset=128
\t'u' type_id=5 bits_offset=256
""",
    "enums that are declared only": INT
    + """
[2] ENUM 'later' encoding=UNSIGNED size=4 vlen=0
[3] TYPEDEF 'later_t' type_id=2
[4] CONST '(anon)' type_id=3
[5] PTR '(anon)' type_id=4
[6] STRUCT 's' size=8 vlen=1
\t'p' type_id=5 bits_offset=0
[7] ENUM '(anon)' encoding=UNSIGNED size=4 vlen=0
""",
    "members of what has no value": INT
    + """
[2] FUNC_PROTO '(anon)' ret_type_id=0 vlen=0
[3] FWD 'opaque' fwd_kind=struct
[4] CONST '(anon)' type_id=0
[5] STRUCT 'unit' size=8 vlen=2
\t'u' type_id=0 bits_offset=0
\t'i' type_id=1 bits_offset=32
[6] STRUCT 'function' size=8 vlen=1
\t'f' type_id=2 bits_offset=0
[7] UNION 'declared' size=16 vlen=2
\t'f' type_id=3 bits_offset=0
\t'i' type_id=1 bits_offset=0
[8] STRUCT 'twice' size=24 vlen=2
\t'd' type_id=7 bits_offset=0
\t'c' type_id=4 bits_offset=128
[9] TYPEDEF 'alias' type_id=8
[10] PTR '(anon)' type_id=9
[11] STRUCT 'fine' size=32 vlen=2
\t'p' type_id=10 bits_offset=0
\t't' type_id=9 bits_offset=64
""",
    "arrays and functions of what C has none of": INT
    + """
[2] ARRAY '(anon)' type_id=0 index_type_id=1 nr_elems=4
[3] PTR '(anon)' type_id=2
[4] FUNC_PROTO '(anon)' ret_type_id=0 vlen=0
[5] ARRAY '(anon)' type_id=4 index_type_id=1 nr_elems=2
[6] TYPEDEF 'functions' type_id=5
[7] STRUCT 'points' size=8 vlen=1
\t'p' type_id=3 bits_offset=0
[8] STRUCT 'holds' size=8 vlen=1
\t's' type_id=7 bits_offset=0
[9] ARRAY '(anon)' type_id=1 index_type_id=1 nr_elems=2
[10] FUNC_PROTO '(anon)' ret_type_id=9 vlen=0
[11] PTR '(anon)' type_id=10
[12] STRUCT 'returns' size=8 vlen=1
\t'p' type_id=11 bits_offset=0
[13] STRUCT 'fine' size=4 vlen=1
\t'i' type_id=1 bits_offset=0
""",
    "names that a compiler for some target makes numbers of": INT
    + """
[2] STRUCT 'mips' size=32 vlen=8
\t'__SIZEOF_INT__' type_id=1 bits_offset=0
\t'__linux__' type_id=1 bits_offset=32
\t'mips' type_id=1 bits_offset=64
\t'_LP64' type_id=1 bits_offset=96
\t'linux' type_id=1 bits_offset=128
\t'__x86_64' type_id=1 bits_offset=160
\t'__VMLINUX_H__' type_id=1 bits_offset=192
\t'__clang__' type_id=1 bits_offset=224
[3] ENUM 'sparc' encoding=UNSIGNED size=4 vlen=4
\t'__GNUC__' val=1
\t'mc68000' val=2
\t'__aarch64__' val=3
\t'unix' val=4
[4] TYPEDEF '__SIZE_TYPE__' type_id=2
[5] TYPEDEF 'i386' type_id=3
[6] STRUCT '__x86_64__' size=36 vlen=2
\t'__bpf__' type_id=4 bits_offset=0
\t'__ELF__' type_id=1 bits_offset=256
""",
    "signs that were lost": INT
    + """
[2] ENUM 'perf_event_state' encoding=UNSIGNED size=4 vlen=1
\t'PERF_EVENT_STATE_ERROR' val=4294967294
[3] ENUM 'pfn' encoding=UNSIGNED size=8 vlen=1
\t'PFN_ERROR' val=0
""",
}


def compilers() -> list[list[str]]:
    """All that are installed, each for the host, clang for BPF and arm64, in old C and new."""
    out = []
    names = ("gcc", "gcc-13", "gcc-14", "aarch64-linux-gnu-gcc", "clang")
    others: list[list[str]] = [["-target", "bpf"], ["-target", "aarch64-linux-gnu"]]
    for name in (*names, *(f"clang-{v}" for v in range(14, 24))):
        if not shutil.which(name):
            continue
        for target in [[], *others] if name.startswith("clang") else [[]]:
            for std in ("gnu11", "gnu17", "gnu2x"):
                out.append([name, *target, f"-std={std}"])
    return out


def compile_everywhere(text: str, tmp_path: Path) -> None:
    """Hold C against all compilers that are installed; skip the test where there is none."""
    if not (found := compilers()):
        pytest.skip("no C compiler is installed")
    header = tmp_path / "a.h"
    header.write_text(text)
    for compiler in found:
        command = [*compiler, "-fsyntax-only", "-w", "-x", "c", str(header)]
        run = subprocess.run(command, capture_output=True, text=True)
        assert run.returncode == 0, f"{compiler}: {run.stderr[:500]}\n{text}"


@pytest.mark.parametrize("case", CASES)
def test_the_header_compiles_everywhere(case: str, tmp_path: Path) -> None:
    text = "".join(dump_c(assemble.parse(CASES[case].lstrip()), assertions=True))
    compile_everywhere(text, tmp_path)


def test_names_of_macros_stay_what_core_finds_them_by(tmp_path: Path) -> None:
    case = CASES["names that a compiler for some target makes numbers of"]
    remarks: list[str] = []
    header = "".join(dump_c(assemble.parse(case.lstrip()), remarks=remarks))
    assert "struct mips {\n\tint __SIZEOF_INT__;\n\tint __linux__;\n\tint mips;" in header
    assert remarks == []
    # What no compiler has with -std=c11 can be named; what headers ask for is there again.
    compile_everywhere(
        "#if defined(__ELF__) && defined(__SIZEOF_INT__)\n#define HAD 1\n#endif\n"
        f"{header}"
        "#if defined(HAD) && (!defined(__ELF__) || !defined(__SIZEOF_INT__))\n#error lost\n#endif\n"
        "int of(struct mips *s) { return s->linux + s->mips + unix + mc68000; }\n",
        tmp_path,
    )


def test_what_was_changed_is_said_in_comments_and_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in", tmp_path / "out.h"
    source.write_bytes(assemble.parse(CASES["names of rust and c++"].lstrip()).raw)
    assert main(["btf", "dump", str(source), "-f", "c", "-o", str(out)]) == 0
    text = out.read_text()
    assert "/* struct Vec<u8, Global> is Vec_u8__Global_ here */" in text
    assert "\tu8 _0___2;\n\tu8 _0;" in text
    err = capfd.readouterr().err
    assert err.count("\n") == 1
    assert "and 5 more" in err


def test_a_sign_that_is_known_goes_into_the_header_and_a_doubt_into_a_comment() -> None:
    text = "".join(dump_c(assemble.parse(CASES["signs that were lost"].lstrip())))
    assert "PERF_EVENT_STATE_ERROR = -2," in text
    assert "/* enum pfn: the encoder cut the values" in text


def test_what_c_can_say_is_not_touched() -> None:
    b = Builder()
    b.add_int("int", 4, IntEncoding.SIGNED)
    b.add_int("long long unsigned int", 8, IntEncoding.NONE)
    b.add_float("double", 8)
    b.add(kinds.Datasec(".data..percpu", 4, ()))
    b.add(kinds.DeclTag("a b", TypeId(1), -1))
    b.add(kinds.Func("f.isra.0", b.add(kinds.FuncProto(TypeId(0), ())), 0))
    b.add(kinds.Struct("naïve", 4, (kinds.Member("höhe", TypeId(1), 0),)))
    btf = Btf.parse(b.build())
    assert [adapt(Columns(btf)).changes, c_name("höhe")] == [[], "höhe"]
    plain = Btf.parse(Builder.like(btf).build())
    assert "".join(dump_c(plain)).count("struct naïve {\n\tint höhe;\n};") == 1


@pytest.mark.parametrize(
    ("name", "c"),
    [("0", "_0"), ("a-b", "a_b"), ("int", "int_"), ("", ""), ("*mut T", "_mut_T"), ("ok", "ok")],
)
def test_any_name_becomes_one_of_c(name: str, c: str) -> None:
    assert c_name(name) == c


def test_a_split_btf_is_adapted_with_its_base() -> None:
    base = assemble.parse("[1] INT 'u8' size=1 bits_offset=0 nr_bits=8 encoding=(none)\n")
    text = "[2] STRUCT 'a::b' size=1 vlen=1\n\t'x' type_id=1 bits_offset=0\n"
    header = "".join(dump_c(assemble.parse(text, base)))
    assert "typedef unsigned char u8;" in header
    assert "struct a__b {\n\tu8 x;\n};" in header


def test_members_without_a_layout_in_c_are_bytes_and_are_named() -> None:
    case = CASES["members that overlap, or are larger than their type"]
    remarks: list[str] = []
    text = "".join(dump_c(assemble.parse(case.lstrip()), remarks=remarks))
    assert "struct over {\n\t/* its members overlap */\n\tunsigned char __size[8] " in text
    assert remarks == [
        "bytes only in C: struct over: its members overlap and 2 more, see the comments"
    ]


def test_what_has_no_value_is_bytes_or_left_out_and_is_named() -> None:
    remarks: list[str] = []
    case = CASES["members of what has no value"]
    text = "".join(dump_c(assemble.parse(case.lstrip()), remarks=remarks))
    assert "struct fine {\n\talias *p;\n\talias t;\n};" in text
    assert remarks == [
        "bytes only in C: struct unit: a member is void, a function, or of a type that is "
        "declared only and 3 more, see the comments"
    ]
    case = CASES["arrays and functions of what C has none of"]
    text = "".join(dump_c(assemble.parse(case.lstrip())))
    assert re.findall(r"/\* type \d+ (\w+): (.*), not defined \*/", text) == [
        ("functions", "an array of what has no size"),
        ("points", "an array of what has no size"),
        ("holds", "an array of what has no size"),
        ("returns", "a function returns an array, or a function"),
    ]
    assert "struct fine {" in text


def test_members_are_written_in_the_order_of_memory() -> None:
    case = CASES["members in another order than in memory, as rustc describes them"]
    remarks: list[str] = []
    text = "".join(dump_c(assemble.parse(case.lstrip()), remarks=remarks))
    assert "struct back {\n\tlong long b;\n\tint a;\n\tint c;\n};" in text
    assert remarks == []


def test_a_declared_union_has_the_name_of_the_union_and_not_of_the_struct() -> None:
    case = CASES["a struct and a union of one name that are declared only"]
    text = "".join(dump_c(assemble.parse(case.lstrip())))
    assert "\tstruct f *a;\n\tunion f___union *b;" in text
    union = re.search(r"union (t\w*) \{", text)
    assert union is not None
    assert f"struct u {{\n\tunion {union[1]} *a;" in text
