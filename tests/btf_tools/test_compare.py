"""Looking at types and comparing them: diff, find, holes, fingerprints, ISF."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btfdbg.btf import Btf
from btfdbg.btf.cheader.text import Texts
from btfdbg.btf.dedup.dedup import dedup
from btfdbg.btf.diff import diff
from btfdbg.btf.find import find
from btfdbg.btf.fingerprint import Fingerprints
from btfdbg.btf.format import Kind
from btfdbg.btf.holes import as_text, holes
from btfdbg.btf.text import assemble
from btfdbg.btf.text.isf import spellings, to_isf
from btfdbg.errors import BtfError, BtfFormatError

from .graphs import build, permuted, random_types

INT = "[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n"
CHAR = "[2] INT 'char' size=1 bits_offset=0 nr_bits=8 encoding=(none)\n"
STRUCT = (
    "[3] STRUCT 's' size=24 vlen=3\n\t'a' type_id=1 bits_offset=0\n"
    "\t'b' type_id=4 bits_offset=64\n\t'c' type_id=2 bits_offset=128\n"
)
POINTER = "[4] PTR '(anon)' type_id=3\n"
PLAIN = INT + CHAR + STRUCT + POINTER

seeds = st.integers(0, 2**32)


def changes(a: str, b: str) -> list[tuple[str, str, bool, list[str]]]:
    return [
        (
            change.status,
            f"{change.kind} {change.name}",
            change.breaking,
            list(map(str, change.details)),
        )
        for change in diff(assemble.parse(a), assemble.parse(b))
    ]


def replaced(old: str, new: str) -> str:
    assert old in PLAIN
    return PLAIN.replace(old, new)


@pytest.mark.parametrize(
    ("changed", "breaking", "details"),
    [
        (replaced("'c' type_id=2 bits_offset=128", "'c' type_id=2 bits_offset=160"), True,
         ["member moved c: 16 -> 20"]),
        (replaced("'c' type_id=2", "'c' type_id=1"), True, ["member type c: char -> int"]),
        (replaced("'c' type_id=2", "'d' type_id=2"), False, ["member renamed: c -> d"]),
        (replaced("size=24", "size=32"), True, ["size: 24 -> 32"]),
        (replaced("vlen=3", "vlen=2").replace("\t'c' type_id=2 bits_offset=128\n", ""), True,
         ["member removed c: char at 16"]),
        (replaced("vlen=3", "vlen=4").replace(
            "offset=128\n", "offset=128\n\t'd' type_id=2 bits_offset=136\n"), False,
         ["member added d: char at 17"]),
        (replaced("'c' type_id=2 bits_offset=128", "'c' type_id=1 bits_offset=128 bitfield_size=3"),
         True, ["bit-field width c: 0 -> 3", "member type c: char -> int"]),
    ],
    ids=["moved", "retyped", "renamed", "resized", "removed", "added", "bit-field"],
)  # fmt: skip
def test_a_changed_struct_says_how(changed: str, breaking: bool, details: list[str]) -> None:
    assert changes(PLAIN, changed) == [("changed", "struct s", breaking, details)]
    back = changes(changed, PLAIN)
    assert len(back) == 1
    assert back[0][0] == "changed"


def test_equal_types_in_another_order_are_no_change() -> None:
    btf = assemble.parse(PLAIN)
    assert diff(btf, permuted(btf, [4, 3, 2, 1])) == []


def test_types_that_come_and_go() -> None:
    more = (
        PLAIN
        + "[5] FUNC_PROTO '(anon)' ret_type_id=0 vlen=0\n[6] FUNC 'f' type_id=5 linkage=static\n"
    )
    assert changes(PLAIN, more) == [("added", "func f", False, [])]
    assert changes(more, PLAIN) == [("removed", "func f", True, [])]


def test_enums_and_functions_and_variables() -> None:
    def text(value: int, ret: int, kind: str, target: int) -> str:
        return (
            INT
            + CHAR
            + f"[3] ENUM 'e' encoding=UNSIGNED size=4 vlen=2\n\t'A' val=0\n\t'B' val={value}\n"
            f"[4] FUNC_PROTO '(anon)' ret_type_id={ret} vlen=1\n\t'p' type_id=1\n"
            f"[5] FUNC 'f' type_id=4 linkage=static\n[6] {kind} type_id={target}"
            + (", linkage=static\n" if kind.startswith("VAR") else "\n")
        )

    assert changes(text(1, 0, "VAR 'v'", 1), text(2, 1, "VAR 'v'", 2)) == [
        ("changed", "enum e", True, ["enumerator value B: 1 -> 2"]),
        ("changed", "func f", True, ["type: void(int p) -> int(int p)"]),
        ("changed", "var v", True, ["type: int -> char"]),
    ]
    assert changes(text(1, 0, "TYPEDEF 't'", 1), text(1, 0, "TYPEDEF 't'", 2)) == [
        ("changed", "typedef t", False, ["type: int -> char"])
    ]


def test_members_of_anonymous_members_are_the_outer_types() -> None:
    flat = INT + "[2] STRUCT 's' size=4 vlen=1\n\t'x' type_id=1 bits_offset=0\n"
    nested = INT + (
        "[2] STRUCT 's' size=4 vlen=1\n\t'(anon)' type_id=3 bits_offset=0\n"
        "[3] UNION '(anon)' size=4 vlen=1\n\t'x' type_id=1 bits_offset=0\n"
    )
    assert changes(flat, nested) == []


def test_a_pattern_limits_what_is_compared() -> None:
    a = assemble.parse("[1] STRUCT 'one' size=4 vlen=0\n[2] STRUCT 'two' size=4 vlen=0\n")
    b = assemble.parse("[1] STRUCT 'one' size=8 vlen=0\n[2] STRUCT 'two' size=8 vlen=0\n")
    assert [c.name for c in diff(a, b, names="t*")] == ["two"]


@given(seeds)
@settings(max_examples=60, deadline=None)
def test_nothing_differs_from_itself(seed: int) -> None:
    rng = random.Random(seed)
    btf = build(random_types(rng, rng.randrange(1, 30), 1))
    assert diff(btf, btf) == []


# Find.


def test_find_by_name_pattern_kind_and_member() -> None:
    btf = assemble.parse(
        PLAIN
        + "[5] TYPEDEF 's' type_id=3\n[6] STRUCT 'st' size=8 vlen=1\n"
        + "\t'(anon)' type_id=7 bits_offset=32\n"
        + "[7] STRUCT '(anon)' size=4 vlen=1\n\t'inner_c' type_id=2 bits_offset=8\n"
    )
    assert [f.type_id for f in find(btf, "s")] == [3, 5]
    assert [f.type_id for f in find(btf, "s*")] == [3, 5, 6]
    assert [f.type_id for f in find(btf, "s*", kinds=[Kind.STRUCT])] == [3, 6]
    assert [(f.type_id, f.members) for f in find(btf, member="*c")] == [
        (3, (("c", 128),)),
        (6, (("inner_c", 40),)),
        (7, (("inner_c", 8),)),
    ]
    assert find(btf, "none") == []


# Holes.


def layout(text: str, type_id: int = 3) -> str:
    return "\n".join(as_text(holes(Texts(assemble.parse(text)), type_id)))


def test_holes_and_padding_are_counted() -> None:
    assert layout(PLAIN) == (
        "struct s {\n"
        "\tint a;       /*        0     4 */\n"
        "\n\t/* XXX 4 bytes hole, try to pack */\n\n"
        "\tstruct s *b; /*        8     8 */\n"
        "\tchar c;      /*       16     1 */\n"
        "\n"
        "\t/* size: 24, cachelines: 1, members: 3 */\n"
        "\t/* sum members: 13, holes: 1, sum holes: 4 */\n"
        "\t/* padding: 7 */\n"
        "\t/* last cacheline: 24 bytes */\n"
        "};"
    )


def test_bit_holes_reach_to_the_end_of_the_bit_fields_type() -> None:
    text = layout(
        INT
        + CHAR
        + "[3] STRUCT 's' size=12 vlen=3\n\t'a' type_id=1 bits_offset=0 bitfield_size=3\n"
        "\t'b' type_id=1 bits_offset=5 bitfield_size=3\n\t'c' type_id=1 bits_offset=64\n"
    )
    assert "/* XXX 2 bits hole" in text
    assert "/* XXX 24 bits hole" in text
    assert "/* XXX 4 bytes hole" in text
    assert "sum bitfield members: 6 bits, bit holes: 2, sum bit holes: 26 bits" in text


def test_cache_lines_are_marked() -> None:
    text = layout(
        INT + CHAR + "[3] STRUCT 's' size=72 vlen=3\n\t'a' type_id=4 bits_offset=0\n"
        "\t'b' type_id=1 bits_offset=512\n\t'c' type_id=1 bits_offset=544\n"
        "[4] ARRAY '(anon)' type_id=2 index_type_id=1 nr_elems=64\n"
    )
    assert "/* --- cacheline 1 boundary (64 bytes) --- */\n\tint b;" in text
    assert "cachelines: 2" in text
    assert "last cacheline: 8 bytes" in text


def test_types_defined_in_place_are_shown_in_place() -> None:
    text = layout(
        INT + CHAR + "[3] STRUCT 's' size=8 vlen=2\n\t'(anon)' type_id=4 bits_offset=0\n"
        "\t'named' type_id=4 bits_offset=32\n"
        "[4] UNION '(anon)' size=4 vlen=2\n\t'x' type_id=1 bits_offset=0\n"
        "\t'y' type_id=2 bits_offset=0\n"
    )
    assert text.startswith("struct s {\n\tunion {\n\t\tint x;  /*        0     4 */\n")
    assert "\t} named;" in text
    assert "\t\tint x;  /*        4     4 */" in text


# Fingerprints.


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_fingerprints_do_not_depend_on_ids(seed: int) -> None:
    rng = random.Random(seed)
    btf = build(random_types(rng, rng.randrange(1, 20), 1))
    order = list(btf.own_ids())
    rng.shuffle(order)
    other = permuted(btf, order)
    mine, theirs = Fingerprints(btf), Fingerprints(other)
    for new, old in enumerate(order, 1):
        assert mine.deep(old) == theirs.deep(new)
        a, b = _layout(mine, old), _layout(theirs, new)
        assert a == b or not a or not b  # an error may come from either end of a circle


def _layout(prints: Fingerprints, type_id: int) -> bytes:
    try:
        return prints.layout(type_id)
    except BtfFormatError:
        return b""


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_what_dedup_keeps_apart_has_different_deep_fingerprints(seed: int) -> None:
    rng = random.Random(seed)
    btf = dedup(build(random_types(rng, rng.randrange(1, 20), 1)))
    prints = Fingerprints(btf)
    deep = [
        prints.deep(t) for t in btf.own_ids() if btf.kind_of(t) not in (Kind.VAR, Kind.DECL_TAG)
    ]
    assert len(set(deep)) == len(deep)


def test_a_layout_fingerprint_looks_into_what_is_embedded_and_not_behind_pointers() -> None:
    def prints(inner_size: int) -> tuple[bytes, bytes]:
        btf = assemble.parse(
            f"[1] STRUCT 'inner' size={inner_size} vlen=0\n[2] PTR '(anon)' type_id=3\n"
            "[3] CONST '(anon)' type_id=1\n"
            "[4] STRUCT 'points' size=8 vlen=1\n\t'p' type_id=2 bits_offset=0\n"
            "[5] STRUCT 'embeds' size=8 vlen=1\n\t'i' type_id=1 bits_offset=0\n"
        )
        both = Fingerprints(btf)
        assert both.deep(4) != both.deep(5)
        return both.layout(4), both.layout(5)

    (points, embeds), (points_8, embeds_8) = prints(4), prints(8)
    assert points == points_8
    assert embeds != embeds_8


def test_a_fingerprint_is_the_same_as_ever() -> None:
    # Stored ones must stay comparable: a new form of them is a new VERSION.
    prints = Fingerprints(assemble.parse(PLAIN))
    assert prints.layout(3).hex() == "ff3492f64ffaac35bc0d85dfaa75841f"
    assert prints.deep(3).hex() == "41f9ed7d769498735f74f089918247f5"


def test_a_struct_that_contains_itself_has_no_layout_fingerprint() -> None:
    btf = assemble.parse("[1] STRUCT 's' size=8 vlen=1\n\t'm' type_id=1 bits_offset=0\n")
    with pytest.raises(BtfFormatError, match="contains itself"):
        Fingerprints(btf).layout(1)
    assert len(Fingerprints(btf).deep(1)) == 16


# ISF.


def test_isf_describes_types_symbols_and_variables() -> None:
    btf = assemble.parse(
        PLAIN
        + "[5] ARRAY '(anon)' type_id=4 index_type_id=1 nr_elems=2\n"
        + "[6] ENUM 'e' encoding=SIGNED size=4 vlen=1\n\t'M' val=-1\n"
        + "[7] UNION '(anon)' size=4 vlen=1\n\t'bits' type_id=1 bits_offset=3 bitfield_size=5\n"
        + "[8] STRUCT 's' size=16 vlen=3\n\t'list' type_id=5 bits_offset=0\n"
        + "\t'(anon)' type_id=7 bits_offset=32\n\t'kind' type_id=6 bits_offset=64\n"
        + "[9] VAR 'v' type_id=4, linkage=global\n"
    )
    table = to_isf(btf, {"v": 4096, "f": 8192, "w": 1}, {"f": 1}, banner=b"Linux\n\0")
    assert table["metadata"]["format"] == "6.2.0"
    assert table["base_types"]["char"] == {
        "size": 1, "signed": False, "kind": "char", "endian": "little",
    }  # fmt: skip
    assert table["user_types"]["s"]["fields"]["b"] == {
        "type": {"kind": "pointer", "subtype": {"kind": "struct", "name": "s"}},
        "offset": 8,
    }
    second = table["user_types"]["s___2"]["fields"]
    assert second["list"]["type"]["count"] == 2
    assert second["kind"]["type"] == {"kind": "enum", "name": "e"}
    assert second["unnamed_field_1"]["anonymous"] is True
    assert table["user_types"]["unnamed_7"]["fields"]["bits"]["type"] == {
        "kind": "bitfield", "bit_position": 3, "bit_length": 5,
        "type": {"kind": "base", "name": "int"},
    }  # fmt: skip
    assert table["enums"]["e"]["constants"] == {"M": -1}
    assert table["base_types"][table["enums"]["e"]["base"]]["signed"] is True
    assert table["symbols"]["v"]["type"]["kind"] == "pointer"
    assert table["symbols"]["f"] == {"address": 8192, "type": {"kind": "base", "name": "int"}}
    assert table["symbols"]["w"] == {"address": 1, "type": {"kind": "base", "name": "void"}}
    assert table["metadata"]["linux"]["symbols"] == [{"kind": "symtab", "name": "vmlinux"}]
    assert table["symbols"]["linux_banner"]["constant_data"] == "TGludXgKAA=="


def test_isf_knows_an_integer_by_all_its_spellings() -> None:
    btf = assemble.parse(
        "[1] INT 'long long int' size=8 bits_offset=0 nr_bits=64 encoding=SIGNED\n"
    )
    base = to_isf(btf)["base_types"]
    assert base["long long"] == base["long long int"] == base["signed long long"]
    assert spellings("unsigned int") == ("unsigned int", "unsigned")
    assert set(spellings("unsigned long")) == {
        "unsigned long", "long unsigned int", "unsigned long int",
    }  # fmt: skip
    assert spellings("_Bool") == ("_Bool",)


def test_isf_names_a_type_without_a_tag_as_its_typedef() -> None:
    btf = assemble.parse(
        "[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n"
        "[2] STRUCT '(anon)' size=4 vlen=1\n\t'val' type_id=1 bits_offset=0\n"
        "[3] TYPEDEF 'kernel_cap_t' type_id=2\n"
        "[4] STRUCT 'taken' size=0 vlen=0\n[5] STRUCT '(anon)' size=8 vlen=0\n"
        "[6] TYPEDEF 'taken' type_id=5\n"
    )
    users = to_isf(btf)["user_types"]
    assert users["kernel_cap_t"]["fields"].keys() == {"val"}
    assert users["taken"]["size"] == 0
    assert users["unnamed_5"]["size"] == 8


def test_every_name_that_isf_refers_to_is_described() -> None:
    btf = assemble.parse(
        PLAIN
        + "[5] FWD 'later' fwd_kind=struct\n[6] PTR '(anon)' type_id=5\n"
        + "[7] STRUCT 'u' size=8 vlen=1\n\t'l' type_id=6 bits_offset=0\n"
    )
    table = to_isf(btf)
    names = set(table["user_types"])
    for user in table["user_types"].values():
        for member in user["fields"].values():
            described = member["type"]
            while "subtype" in described:
                described = described["subtype"]
            if described["kind"] in ("struct", "union"):
                assert described["name"] in names


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_any_graph_is_looked_at_or_refused(seed: int) -> None:
    rng = random.Random(seed)
    btf = build(random_types(rng, rng.randrange(1, 30), 1))
    texts = Texts(btf)
    for type_id in btf.own_ids():
        if btf.kind_of(type_id) in (Kind.STRUCT, Kind.UNION):
            try:
                found = holes(texts, type_id)
            except BtfFormatError:
                continue  # types within types that double at each level
            assert "\n".join(as_text(found)).endswith("};")
    for job in (lambda b: find(b, member="*"), to_isf):
        _or_error(job, btf)


def _or_error(job: object, btf: Btf) -> None:
    assert callable(job)
    try:
        job(btf)
    except BtfError:
        pass


def test_isf_has_the_signs_that_an_old_encoder_lost() -> None:
    btf = assemble.parse(
        "[1] INT 'signed char' size=1 bits_offset=0 nr_bits=8 encoding=(none)\n"
        "[2] ENUM 'perf_event_state' encoding=UNSIGNED size=4 vlen=1\n"
        "\t'PERF_EVENT_STATE_ERROR' val=4294967294\n"
        "[3] STRUCT 's' size=1 vlen=1\n\t'c' type_id=1 bits_offset=0\n"
        "[4] ENUM 'pfn' encoding=UNSIGNED size=8 vlen=1\n\t'PFN_ERROR' val=0\n"
    )
    isf = to_isf(btf)
    assert isf["base_types"]["signed char"]["signed"]
    assert isf["enums"]["perf_event_state"]["constants"] == {"PERF_EVENT_STATE_ERROR": -2}
    assert isf["enums"]["pfn"]["constants"] == {}


def test_a_damaged_type_costs_isf_itself_only() -> None:
    btf = assemble.parse(
        "[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n"
        "[2] STRUCT 'bad' size=4 vlen=1\n\t'a' type_id=1 bits_offset=0\n"
        "[3] TYPEDEF 'bad_t' type_id=2\n"
        "[4] STRUCT 'good' size=16 vlen=3\n\t'a' type_id=1 bits_offset=0\n"
        "\t'b' type_id=2 bits_offset=32\n\t'c' type_id=5 bits_offset=64\n"
        "[5] PTR '(anon)' type_id=3\n[6] ENUM 'e' encoding=UNSIGNED size=4 vlen=1\n\t'M' val=1\n"
    )
    data = bytearray(btf.raw)

    def spoil(type_id: int, word: int) -> None:
        at = btf.type_section_offset + 4 * (btf.offsets[type_id - 1] - btf.offsets[0] + word)
        data[at : at + 4] = b"\xff\xff\0\0"

    spoil(2, 4)  # the type of its member
    spoil(6, 3)  # the name of its constant
    damaged = Btf.parse(bytes(data))
    with pytest.raises(BtfFormatError):
        to_isf(damaged)
    lost: set[int] = set()
    table = to_isf(damaged, {"v": 1, "w": 2}, {"v": 5, "w": 6}, damaged=lost)
    assert lost == {2, 6}
    assert table["user_types"]["bad"] == {"size": 0, "fields": {}, "kind": "struct"}
    assert table["user_types"]["good"]["fields"]["b"]["type"]["name"] == "bad"
    assert table["symbols"]["v"]["type"]["subtype"]["name"] == "bad"
    assert "e" not in table["enums"]
    assert table["symbols"]["w"]["type"] == {"kind": "base", "name": "void"}
    # Whole, it is as without the set.
    assert to_isf(btf, damaged=lost) == to_isf(btf)


def test_isf_knows_a_struct_by_its_typedefs_too() -> None:
    btf = assemble.parse(
        "[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n"
        "[2] STRUCT 'elf64_hdr' size=4 vlen=1\n\t'e' type_id=1 bits_offset=0\n"
        "[3] TYPEDEF 'Elf64_Ehdr' type_id=2\n[4] TYPEDEF 'again' type_id=3\n"
        "[5] ENUM 'tag' encoding=UNSIGNED size=4 vlen=1\n\t'M' val=1\n"
        "[6] TYPEDEF 'tag_t' type_id=5\n"
        "[7] STRUCT 'taken' size=0 vlen=0\n[8] TYPEDEF 'taken' type_id=2\n"
        "[9] TYPEDEF 'number' type_id=1\n[10] PTR '(anon)' type_id=2\n[11] TYPEDEF 'p' type_id=10\n"
    )
    table = to_isf(btf)
    users = table["user_types"]
    assert users["Elf64_Ehdr"] == users["again"] == users["elf64_hdr"]
    assert users["taken"]["size"] == 0
    assert table["enums"]["tag_t"] == table["enums"]["tag"]
    assert users.keys() == {"elf64_hdr", "Elf64_Ehdr", "again", "taken"}
