"""Padding aligns nothing to more than it was, on arm64 either; what else takes members' room."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from btfdbg import images
from btfdbg.btf.cheader.header import dump_c
from btfdbg.btf.cheader.padding import unnamed_bit_fields
from btfdbg.btf.cheader.text import Texts
from btfdbg.btf.text import assemble

from .random_structs import source
from .test_c_adapt import compile_everywhere

_BASE = """\
[1] INT 'long' size=8 bits_offset=0 nr_bits=64 encoding=SIGNED
[2] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[3] STRUCT 'gap' size=24 vlen=2
\t'a' type_id=2 bits_offset=0
\t'b' type_id=2 bits_offset=128
"""
# What holds struct gap, whose padding would make it one of 8 bytes' alignment on arm64.
HELD = {
    "between multiples of 8": """\
[4] STRUCT 'holder' size=32 vlen=2
\t'before' type_id=2 bits_offset=0
\t'gap' type_id=3 bits_offset=32
""",
    "by what is no multiple of 8": """\
[4] STRUCT 'holder' size=28 vlen=2
\t'gap' type_id=3 bits_offset=0
\t'after' type_id=2 bits_offset=192
""",
    "as an array of another name": """\
[4] ARRAY '(anon)' type_id=3 index_type_id=2 nr_elems=2
[5] TYPEDEF 'gaps' type_id=4
[6] CONST '(anon)' type_id=5
[7] STRUCT 'holder' size=56 vlen=2
\t'before' type_id=2 bits_offset=0
\t'gaps' type_id=6 bits_offset=32
""",
    "by what is held so": """\
[4] UNION '(anon)' size=24 vlen=2
\t'gap' type_id=3 bits_offset=0
\t'number' type_id=2 bits_offset=0
[5] STRUCT 'middle' size=24 vlen=1
\t'(anon)' type_id=4 bits_offset=0
[6] STRUCT 'holder' size=28 vlen=2
\t'before' type_id=2 bits_offset=0
\t'middle' type_id=5 bits_offset=32
""",
    "with bit-fields before it": """\
[4] STRUCT 'holder' size=28 vlen=2
\t'bits' type_id=2 bits_offset=0 bitfield_size=3
\t'gap' type_id=3 bits_offset=32 bitfield_size=0
""",
}
NOT_HELD = {
    "by nobody": "",
    "at a multiple of 8": """\
[4] STRUCT 'holder' size=32 vlen=2
\t'before' type_id=1 bits_offset=0
\t'gap' type_id=3 bits_offset=64
""",
    "by what is packed": """\
[4] STRUCT 'holder' size=26 vlen=3
\t'before' type_id=2 bits_offset=0
\t'gap' type_id=3 bits_offset=16
\t'after' type_id=2 bits_offset=176
""",
    "by a pointer": """\
[4] PTR '(anon)' type_id=3
[5] STRUCT 'holder' size=12 vlen=2
\t'before' type_id=2 bits_offset=0
\t'gap' type_id=4 bits_offset=32
""",
}
ROOM = {
    "two unions of unknown members in one scope": """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] UNION '(anon)' size=16 vlen=1
\t'a' type_id=1 bits_offset=0
[3] UNION '(anon)' size=32 vlen=2
\t'(anon)' type_id=2 bits_offset=0
\t'b' type_id=1 bits_offset=0
[4] UNION '(anon)' size=8 vlen=1
\t'c' type_id=1 bits_offset=0
[5] STRUCT 'outer' size=56 vlen=3
\t'(anon)' type_id=3 bits_offset=0
\t'(anon)' type_id=4 bits_offset=256
\t'own' type_id=2 bits_offset=320
""",
    "values that do not fit into their enum": """\
[1] ENUM 'byte' encoding=UNSIGNED size=1 vlen=3
\t'A' val=1
\t'B' val=300
\t'C' val=255
[2] ENUM 'half' encoding=SIGNED size=2 vlen=3
\t'D' val=-1
\t'E' val=70000
\t'F' val=-32768
[3] ENUM64 'none' encoding=UNSIGNED size=4 vlen=1
\t'G' val=4294967296
[4] STRUCT 'holder' size=8 vlen=3
\t'none' type_id=3 bits_offset=0
\t'half' type_id=2 bits_offset=32
\t'byte' type_id=1 bits_offset=48
""",
    "a gap of 256 MiB": """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] STRUCT 'far' size=268435464 vlen=3
\t'a' type_id=1 bits_offset=0
\t'b' type_id=1 bits_offset=2147483648
\t'c' type_id=1 bits_offset=2147483680
""",
}


def _header(case: str, *, assertions: bool = False) -> str:
    return "".join(dump_c(assemble.parse(case), assertions=assertions))


@pytest.mark.parametrize("case", [*HELD.values(), *NOT_HELD.values()], ids=[*HELD, *NOT_HELD])
def test_what_holds_a_padded_struct_has_it_where_it_was(case: str, tmp_path: Path) -> None:
    compile_everywhere(_header(_BASE + case, assertions=True), tmp_path)


@pytest.mark.parametrize("case", HELD.values(), ids=HELD)
def test_a_struct_that_must_stay_unaligned_is_padded_with_ints(case: str) -> None:
    text = _header(_BASE + case)
    gap = "\tint a;\n\tint: 32;\n\tint: 32;\n\tint: 32;\n\tint b;\n\tint: 32;\n"
    assert f"struct gap {{\n{gap}}};" in text


@pytest.mark.parametrize("case", NOT_HELD.values(), ids=NOT_HELD)
def test_any_other_is_padded_as_libbpf_does(case: str) -> None:
    text = _header(_BASE + case)
    assert "struct gap {\n\tint a;\n\tlong: 64;\n\tint b;\n\tlong: 0;\n};" in text


@pytest.mark.parametrize("case", ROOM.values(), ids=ROOM)
def test_what_takes_room_compiles(case: str, tmp_path: Path) -> None:
    compile_everywhere(_header(case, assertions=True), tmp_path)


def test_what_takes_room_has_a_name_of_its_own_in_its_scope() -> None:
    text = _header(ROOM["two unions of unknown members in one scope"])
    names = [line.split()[2] for line in text.splitlines() if "__size" in line]
    assert names == ["__size[16];", "__size___2[32];", "__size___3[8];", "__size[16];"]


def test_values_that_do_not_fit_are_comments_and_are_told() -> None:
    remarks: list[str] = []
    case = ROOM["values that do not fit into their enum"]
    text = "".join(dump_c(assemble.parse(case), remarks=remarks))
    assert "\t/* B = 300 does not fit into 1 bytes */\n\tA = 1,\n\tC = 255,\n" in text
    assert "\t/* E = 70000 does not fit into 2 bytes */\n\tD = -1,\n\tF = -32768,\n" in text
    assert "\t/* G = 4294967296 does not fit into 4 bytes */\n\t__none = 0ULL,\n" in text
    assert remarks == [
        "left out in C: byte: B = 300 does not fit into 1 bytes and 2 more, see the comments"
    ]


def test_a_gap_of_many_lines_is_one_member() -> None:
    text = _header(ROOM["a gap of 256 MiB"])
    assert "\tint a;\n\tunsigned char __size[268435452];\n\tint b;\n\tint c;\n" in text


def test_a_declaration_is_told_as_unknown_twice_if_a_name_does_not_exist() -> None:
    texts = Texts(
        assemble.parse(
            "[1] ENUM @0x1000000 encoding=UNSIGNED size=4 vlen=0\n"
            "[2] STRUCT 'c' size=8 vlen=1\n\t'y' type_id=3 bits_offset=0\n"
            "[3] FWD 'a' fwd_kind=union\n"
        )
    )
    assert [texts.type(3), texts.type(3)] == ["<type 3>", "<type 3>"]


@pytest.mark.parametrize("at", range(0, 70, 3))
@pytest.mark.parametrize("largest", [1, 2, 4, 8])
@pytest.mark.parametrize("packed", [False, True])
def test_padding_ends_where_the_next_member_begins(at: int, largest: int, packed: bool) -> None:
    for end in range(at + 1, 200):
        here = at
        for _, width, number in unnamed_bit_fields(
            at, end, 1, largest, 8, packed=packed, between=packed
        ):
            assert 0 <= width <= 64
            here += width * number
        # What is left a compiler closes by itself.
        assert here == end or (not packed and end - here < 64)


@pytest.mark.parametrize("compiler", ["gcc", "aarch64-linux-gnu-gcc"])
@pytest.mark.parametrize("seed", range(12))
def test_random_structs_are_laid_out_as_they_were(compiler: str, seed: int, tmp_path: Path) -> None:
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler} here")
    first, made, second = (tmp_path / name for name in ("a.c", "a.o", "b.c"))
    first.write_text(source(seed))
    run = subprocess.run(
        [compiler, "-gbtf", "-c", "-o", made, first], capture_output=True, text=True
    )
    if "unrecognized" in run.stderr:
        pytest.skip(f"{compiler} writes no BTF")
    assert run.returncode == 0, run.stderr
    second.write_text("".join(dump_c(images.load_btf(made), assertions=True)))
    run = subprocess.run([compiler, "-fsyntax-only", "-w", second], capture_output=True, text=True)
    assert run.returncode == 0, f"{run.stderr}\n{first.read_text()}"
