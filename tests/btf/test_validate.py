"""Rows V001 to V174, and the verifier's further rules: what is wrong, as the kernel says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from btfdbg.btf import Btf
from btfdbg.btf.strings import decode_name
from btfdbg.btf.text.assemble import assemble, parse
from btfdbg.btf.validate.problem import Problem
from btfdbg.btf.validate.validate import check, check_types
from tests.btf.samples import EVERY_KIND, INT, INT_STRINGS, INT_TYPES, SPLIT, header


def read_cases(name: str) -> dict[str, tuple[str, bool, str]]:
    """Return row -> (what the verifier says, whether libbpf accepts, types)."""
    out = {}
    text = (Path(__file__).parent / name).read_text()
    for part in text.split("\n== ")[1:]:
        row, verifier, libbpf, *types = part.split("\n")
        out[row] = (
            verifier.removeprefix("verifier: "),
            libbpf == "libbpf: ok",
            "\n".join(types),
        )
    return out


CASES = read_cases("validator_cases.txt")


@pytest.mark.parametrize("row", CASES)
def test_first_problem_is_the_verifiers(row: str) -> None:
    verifier, _, text = CASES[row]
    problems = list(check(assemble(text)))
    if verifier == "ok":
        assert problems == []
    else:
        assert f"type {problems[0].type_id}: {problems[0].rule}".startswith(verifier), problems


@pytest.mark.parametrize("row", CASES)
def test_basic_refuses_what_libbpf_refuses(row: str) -> None:
    _, accepts, text = CASES[row]
    assert (list(check(assemble(text), level="basic")) == []) == accepts


SECTIONS = {
    "V044": ("Invalid string section", header(16, 4) + INT_TYPES + b"\0int"),
    "V045": ("Invalid string section", header(16, 0) + INT_TYPES),
    "V046": ("No type found", header(0, 5) + INT_STRINGS),
    "V048": ("Unsupported section found", header(16, 5, type_off=4) + INT_TYPES + INT_STRINGS),
    "V049": ("Unsupported section found", header(16, 5, str_off=20) + INT_TYPES + INT_STRINGS),
    "V050": ("Section overlap found", header(16, 5, str_off=12) + INT_TYPES + INT_STRINGS),
    "V052": ("Total section length too long", header(16, 9) + INT_TYPES + INT_STRINGS),
}


@pytest.mark.parametrize("row", SECTIONS)
def test_sections_out_of_place_are_named(row: str) -> None:
    rule, data = SECTIONS[row]
    assert next(check(data)).rule == rule


FURTHER = {
    "nr_bits exceeds type_size": "[2] INT 'i' size=1 nr_bits=9",
    "nr_bits exceeds 128": "[2] INT 'i' size=17 nr_bits=136",
    "Unsupported encoding": "[2] INT 'i' size=4 encoding=UNKN int_data=0x3000020",
    "Invalid int_data": "[2] INT 'i' size=4 int_data=0x10000020",
    "Invalid name_offset": "[2] TYPEDEF @0x999 type_id=1",
    "Invalid member name_offset": "[2] STRUCT 's' size=4\n @0x999 type_id=1 bits_offset=0",
    "Invalid member bits_offset": "[2] STRUCT 's' size=8\n"
    " 'a' type_id=1 bits_offset=32\n 'b' type_id=1 bits_offset=0",
    "Member bits_offset exceeds its struct size": "[2] STRUCT 's' size=4\n"
    " 'a' type_id=1 bits_offset=40",
    "Unexpected size": "[2] ENUM 'e' size=3\n 'a' val=0",
    "Linkage not supported": "[2] VAR 'v' type_id=1, linkage=extern",
    "size == 0": "[2] DATASEC 'd' size=0",
    "Invalid offset+size": "[2] VAR 'v' type_id=1, linkage=static\n"
    "[3] DATASEC 'd' size=8\n type_id=2 offset=6 size=4",
    "Invalid type_size": "[2] FLOAT 'f' size=3",
    "Array size overflows U32_MAX": "[2] ARRAY '(anon)' type_id=1"
    " index_type_id=1 nr_elems=1073741824",
    "Member is not byte aligned": "[2] PTR '(anon)' type_id=1\n"
    "[3] STRUCT 's' size=16\n 'a' type_id=2 bits_offset=4",
    "Invalid member bitfield_size": "[2] STRUCT 's' size=8\n"
    " 'a' type_id=1 bits_offset=0 bitfield_size=33",
    "Max chain length or cycle detected": "[2] TYPE_TAG 'a' type_id=3\n[3] TYPE_TAG 'a' type_id=2",
    "Invalid component_idx": "[2] STRUCT 's' size=0\n[3] DECL_TAG 't' type_id=2 component_idx=-2",
    "Invalid type_id": "[2] LOC_PROTO '(anon)'\n type_id=1",
    "Invalid btf_info size": "[2] VAR 'v' type_id=1, linkage=static\n"
    "[3] DATASEC 'd' size=6\n type_id=2 offset=0 size=4\n type_id=2 offset=2 size=4",
}


@pytest.mark.parametrize("rule", FURTHER)
def test_rule_is_named(rule: str) -> None:
    assert rule in [p.rule for p in check(assemble(INT + FURTHER[rule]))]


def test_all_problems_are_listed_not_only_the_first() -> None:
    text = INT + (
        "[2] PTR 'named' type_id=1 vlen=1 kflag=1\n"
        "[3] TYPEDEF '(anon)' type_id=1\n"
        "[4] ARRAY '(anon)' type_id=4 index_type_id=1 nr_elems=2\n"
        "[5] STRUCT 's' size=4 vlen=2\n"
        "\t'a!' type_id=1 bits_offset=0\n\t'b!' type_id=1 bits_offset=64\n"
    )
    assert [(p.type_id, p.rule) for p in check(assemble(text))] == [
        (2, "vlen != 0"),
        (2, "Invalid btf_info kind_flag"),
        (2, "Invalid name"),
        (3, "Invalid name"),
        (5, "Invalid name"),
        (5, "Invalid name"),
        (5, "Member bits_offset exceeds its struct size"),
        (4, "Loop detected"),
    ]


def test_problem_says_type_kind_place_and_rule() -> None:
    (problem,) = check(assemble(INT + "[2] FLOAT 'f' size=3\n"))
    assert problem == Problem("Invalid type_size", "3", 2, 24 + 16, 16)
    assert str(problem) == "type 2 (FLOAT) at 0x28: Invalid type_size: 3"


def test_what_contains_a_broken_type_is_not_blamed() -> None:
    text = INT + (
        "[2] FLOAT 'f' size=3\n"
        "[3] STRUCT 's' size=4 vlen=1\n\t'f' type_id=2 bits_offset=0\n"
        "[4] TYPEDEF 't' type_id=3\n"
        "[5] FUNC_PROTO '(anon)' ret_type_id=4 vlen=0\n"
    )
    assert [p.type_id for p in check(assemble(text))] == [2]


def test_nesting_over_32_is_too_deep_and_32_is_not() -> None:
    def nest(depth: int) -> bytes:
        lines = [f"[{i}] CONST '(anon)' type_id={i + 1}" for i in range(1, depth)]
        return assemble("\n".join([*lines, f"[{depth}] INT 'int' size=4"]))

    assert list(check(nest(33))) == []
    rules = [p.rule for p in check(nest(35))]
    assert "Exceeded max resolving depth" in rules


def test_kernel_level_leaves_out_what_needs_several_types() -> None:
    data = assemble(INT + "[2] ARRAY '(anon)' type_id=2 index_type_id=1 nr_elems=2\n")
    assert [p.rule for p in check(data)] == ["Loop detected"]
    assert list(check(data, level="kernel")) == []


def test_split_is_checked_on_top_of_its_base() -> None:
    base = parse(EVERY_KIND)
    data = assemble(SPLIT, base)
    for level in ("basic", "strict", "kernel"):
        assert list(check(data, base, level)) == []
    bad = assemble("[34] STRUCT 's' size=4 vlen=1\n\t'a' type_id=11 bits_offset=0\n", base)
    assert [p.rule for p in check(bad, base)] == ["Invalid member"]


def test_every_problem_of_every_kind_in_bulk_ends() -> None:
    # Thousands of types, each broken and each referring to the next.
    lines = [f"[{i}] STRUCT 's' size=0 vlen=1\n\t'!' type_id={i % 3000 + 1} bits_offset=8"
             for i in range(1, 3001)]  # fmt: skip
    problems = list(check_types(Btf.parse(assemble("\n".join(lines)))))
    assert len(problems) == 6000


@pytest.mark.parametrize(
    ("name", "fine"),
    [
        (b"na\xefve", True),
        (b"\xc0", True),
        (b"a\xd7b", False),  # the multiplication sign
        (b"a\xbfb", False),
        (b"a\x80", False),
    ],
)
def test_letters_are_those_of_latin_1(name: bytes, fine: bool) -> None:
    # Measured with BPF_BTF_LOAD on 6.12 and 7.2.
    text = f"[1] STRUCT '{decode_name(name)}' size=4 vlen=0\n"
    problems = [p.rule for p in check(assemble(text))]
    assert problems == ([] if fine else ["Invalid name"])


def test_a_section_may_be_named_with_anything_that_can_be_printed() -> None:
    text = INT + "[2] VAR 'v' type_id=1, linkage=static\n[3] DATASEC '{}' size=4 vlen=1\n"
    text += "\ttype_id=2 offset=0 size=4 (VAR 'v')\n"
    good, bad = decode_name(b".d (x)\xa0\xff"), decode_name(b".d\x9f")
    assert list(check(assemble(text.format(good)))) == []
    assert [p.rule for p in check(assemble(text.format(bad)))] == ["Invalid name"]


def test_an_ints_size_does_not_matter_to_an_array_of_it() -> None:
    # Measured as above: only its bits are looked at.
    text = (
        "[1] INT 'i' size=31 bits_offset=0 nr_bits=32 encoding=SIGNED\n"
        "[2] ARRAY '(anon)' type_id=1 index_type_id=1 nr_elems=8\n"
    )
    assert list(check(assemble(text))) == []
    odd = text.replace("nr_bits=32", "nr_bits=24")
    assert [p.rule for p in check(assemble(odd))] == ["Invalid index"]
