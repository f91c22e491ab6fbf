"""Distil and relocate: what goes where, what matches what, and that errors say so."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btfdbg.btf import Btf, Builder
from btfdbg.btf import kinds as k
from btfdbg.btf.dedup.dedup import dedup
from btfdbg.btf.distill import distill_base
from btfdbg.btf.merge import Rebase, merge, rebase
from btfdbg.btf.pack import with_byteorder
from btfdbg.btf.relocate import relocate
from btfdbg.btf.text import assemble, rawtext
from btfdbg.errors import BtfError, BtfRelocateError

from .graphs import build, random_types

INT = "[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n"

# What distilling leaves: name, base, split, distilled base, split on top of that.
DISTILLED = (
    (
        "X01: names stay in the base, all else moves",
        INT
        + "[2] PTR '(anon)' type_id=1\n"
        + "[3] STRUCT 's1' size=8 vlen=1\n\t'f1' type_id=2 bits_offset=0\n"
        + "[4] UNION 'u1' size=12 vlen=1\n\t'f1' type_id=2 bits_offset=0\n"
        + "[5] ENUM 'e1' encoding=SIGNED size=4 vlen=1\n\t'v1' val=1\n"
        + "[6] ENUM64 'e641' encoding=SIGNED size=8 vlen=1\n\t'v1' val=1024LL\n"
        + "[7] ENUM '(anon)' encoding=UNSIGNED size=4 vlen=1\n\t'av1' val=1\n"
        + "[8] STRUCT '(anon)' size=8 vlen=1\n\t'f2' type_id=3 bits_offset=0\n"
        + "[9] FUNC_PROTO '(anon)' ret_type_id=0 vlen=1\n\t'p' type_id=10\n"
        + "[10] STRUCT 'from_proto' size=4 vlen=0\n"
        + "[11] STRUCT 'unneeded' size=4 vlen=0\n"
        + "[12] ARRAY '(anon)' type_id=13 index_type_id=1 nr_elems=3\n"
        + "[13] STRUCT 'embedded' size=4 vlen=0\n"
        + "[14] FWD 'f' fwd_kind=union\n"
        + "[15] FLOAT 'double' size=8\n",
        "[16] PTR '(anon)' type_id=3\n"
        + "[17] PTR '(anon)' type_id=4\n"
        + "[18] CONST '(anon)' type_id=5\n"
        + "[19] VOLATILE '(anon)' type_id=6\n"
        + "[20] PTR '(anon)' type_id=7\n"
        + "[21] STRUCT 'own' size=12 vlen=1\n\t'a' type_id=12 bits_offset=0\n"
        + "[22] PTR '(anon)' type_id=8\n"
        + "[23] PTR '(anon)' type_id=9\n"
        + "[24] PTR '(anon)' type_id=14\n"
        + "[25] PTR '(anon)' type_id=15\n",
        INT
        + "[2] STRUCT 's1' size=8 vlen=0\n"
        + "[3] UNION 'u1' size=12 vlen=0\n"
        + "[4] ENUM 'e1' encoding=UNSIGNED size=4 vlen=0\n"
        + "[5] ENUM 'e641' encoding=UNSIGNED size=8 vlen=0\n"
        + "[6] STRUCT 'from_proto' size=4 vlen=0\n"
        + "[7] STRUCT 'embedded' size=4 vlen=0\n"
        + "[8] FWD 'f' fwd_kind=union\n"
        + "[9] FLOAT 'double' size=8\n",
        "[10] PTR '(anon)' type_id=2\n"
        + "[11] PTR '(anon)' type_id=3\n"
        + "[12] CONST '(anon)' type_id=4\n"
        + "[13] VOLATILE '(anon)' type_id=5\n"
        + "[14] PTR '(anon)' type_id=20\n"
        + "[15] STRUCT 'own' size=12 vlen=1\n\t'a' type_id=23 bits_offset=0\n"
        + "[16] PTR '(anon)' type_id=21\n"
        + "[17] PTR '(anon)' type_id=22\n"
        + "[18] PTR '(anon)' type_id=8\n"
        + "[19] PTR '(anon)' type_id=9\n"
        + "[20] ENUM '(anon)' encoding=UNSIGNED size=4 vlen=1\n\t'av1' val=1\n"
        + "[21] STRUCT '(anon)' size=8 vlen=1\n\t'f2' type_id=2 bits_offset=0\n"
        + "[22] FUNC_PROTO '(anon)' ret_type_id=0 vlen=1\n\t'p' type_id=6\n"
        + "[23] ARRAY '(anon)' type_id=7 index_type_id=1 nr_elems=3\n",
    ),
    (
        "X04: a typedef and a pointer to it need only the integer",
        INT + "[2] STRUCT 'big' size=4096 vlen=0\n",
        "[3] TYPEDEF 'myint' type_id=1\n[4] PTR '(anon)' type_id=3\n",
        INT,
        "[2] TYPEDEF 'myint' type_id=1\n[3] PTR '(anon)' type_id=2\n",
    ),
    (
        "X08: locations and prototypes move",
        INT
        + "[2] LOC_PARAM '(anon)' size=4 flags=REG vlen=1\n\tvalue=5\n"
        + "[3] LOC_PROTO '(anon)' vlen=1\n\ttype_id=2\n"
        + "[4] FUNC_PROTO '(anon)' ret_type_id=1 vlen=0\n",
        "[5] FUNC 'f' type_id=4 linkage=static\n"
        + "[6] LOCSEC 'inline.text' vlen=1\n\tfunc=5 loc_proto=3 offset=16\n",
        INT,
        "[2] FUNC 'f' type_id=6 linkage=static\n"
        + "[3] LOCSEC 'inline.text' vlen=1\n\tfunc=2 loc_proto=5 offset=16\n"
        + "[4] LOC_PARAM '(anon)' size=4 flags=REG vlen=1\n\tvalue=5\n"
        + "[5] LOC_PROTO '(anon)' vlen=1\n\ttype_id=4\n"
        + "[6] FUNC_PROTO '(anon)' ret_type_id=1 vlen=0\n",
    ),
)


@pytest.mark.parametrize(
    ("name", "base", "split", "new_base", "new_split"), DISTILLED, ids=[r[0] for r in DISTILLED]
)
def test_distilling_divides_types_as_the_row_says(
    name: str, base: str, split: str, new_base: str, new_split: str
) -> None:
    own = assemble.parse(split, assemble.parse(base))
    small, moved = distill_base(own)
    assert rawtext.dumps(small) == new_base
    assert rawtext.dumps(moved) == new_split


def test_distilling_keeps_the_byte_order() -> None:
    big = Btf.parse(with_byteorder(assemble.parse(INT), "big"))
    split = Builder(big)
    split.add_ptr(1)
    small, moved = distill_base(split.to_btf())
    assert small.byteorder == moved.byteorder == "big"
    again = Btf.parse(bytes(moved.raw), Btf.parse(bytes(small.raw)))
    assert rawtext.dumps(again) == rawtext.dumps(moved)


def test_only_split_btf_can_be_distilled() -> None:
    with pytest.raises(BtfError, match="not split"):
        distill_base(assemble.parse(INT))


@pytest.mark.parametrize(
    "line",
    [
        "[2] FUNC_PROTO '(anon)' ret_type_id=0 vlen=0\n[3] FUNC 'f' type_id=2 linkage=static\n",
        "[2] TYPEDEF 't' type_id=1\n[3] VAR 'v' type_id=1, linkage=static\n",
    ],
)
def test_functions_and_variables_of_the_base_cannot_be_distilled(line: str) -> None:
    base = assemble.parse(INT + line)
    split = assemble.parse("[4] DECL_TAG 'tag' type_id=3 component_idx=-1\n", base)
    with pytest.raises(BtfError, match=r"cannot distill: type 4 .* refers to the base's type 3"):
        distill_base(split)


# Matching. Each row: name, distilled base, split, target, strict result, libbpf's result.
# A result is the target's type that the distilled type 1 becomes, or None for an error.
POINTER = "[2] PTR '(anon)' type_id=1\n"
EMBEDS = "[2] STRUCT 'holder' size=64 vlen=1\n\t'm' type_id=1 bits_offset=0\n"
S4, S8 = "STRUCT 'foo' size=4 vlen=0", "STRUCT 'foo' size=8 vlen=0"
U4, FWD, FWD_U = (
    "UNION 'foo' size=4 vlen=0",
    "FWD 'foo' fwd_kind=struct",
    "FWD 'foo' fwd_kind=union",
)
BITS = "STRUCT 'foo' size=4 vlen=1\n\t'b' type_id={int} bits_offset=0 bitfield_size=1"
ENUM4 = "ENUM 'foo' encoding=UNSIGNED size=4 vlen=0"
ENUM4_FULL = "ENUM 'foo' encoding=UNSIGNED size=4 vlen=1\n\t'v' val=1"
ENUM64_4 = "ENUM64 'foo' encoding=UNSIGNED size=4 vlen=0"
ENUM64_8 = "ENUM64 'foo' encoding=UNSIGNED size=8 vlen=0"
UINT = "INT 'foo' size=4 bits_offset=0 nr_bits=32 encoding=(none)"
SINT = "INT 'foo' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED"
UINT8 = "INT 'foo' size=8 bits_offset=0 nr_bits=64 encoding=(none)"
UINT31 = "INT 'foo' size=4 bits_offset=0 nr_bits=31 encoding=(none)"
FLOAT4, FLOAT8 = "FLOAT 'foo' size=4", "FLOAT 'foo' size=8"

MATCHES: tuple[tuple[str, str, str, tuple[str, ...], int | None, int | None], ...] = (
    ("R01 missing", UINT, POINTER, (), None, None),
    ("R02 twice", UINT, POINTER, (UINT, UINT), None, None),
    ("R04 embedded and of another size", S4, EMBEDS, (S8,), None, None),
    ("embedded and of the same size", S4, EMBEDS, (S4,), 1, 1),
    ("R05 pointed to and of another size", S4, POINTER, (S8,), 1, 1),
    ("R06 one of several by its size", S4, POINTER, (S4, S8), 1, 1),
    ("several, none of the size", S4, POINTER, (S8, S8), None, None),
    ("several of the size", S4, POINTER, (S4, S4), None, None),
    ("R08 an ENUM64 of another size", ENUM4, POINTER, (ENUM64_8,), None, None),
    ("R08 an ENUM64 of the size", ENUM4, POINTER, (ENUM64_4,), 1, 1),
    ("an ENUM with values", ENUM4, POINTER, (ENUM4_FULL,), 1, 1),
    ("R09 another sign", UINT, POINTER, (SINT,), None, None),
    ("INT of another size", UINT, POINTER, (UINT8,), None, None),
    ("INT of other bits", UINT, POINTER, (UINT31,), 1, 1),
    ("INT of other bits beside the same", UINT, POINTER, (UINT31, UINT), 2, None),
    ("FLOAT", FLOAT4, POINTER, (FLOAT4,), 1, 1),
    ("FLOAT of another size", FLOAT4, POINTER, (FLOAT8,), None, None),
    ("INT for a FLOAT", FLOAT4, POINTER, (UINT,), None, None),
    ("R10 FWD", FWD, POINTER, (FWD,), 1, 1),
    ("R10 FWD and plain struct", FWD, POINTER, (S4,), 1, 1),
    ("RX1 FWD and struct with bit-fields", FWD, POINTER, (BITS,), 1, None),
    ("RX2 FWD and union", FWD_U, POINTER, (U4,), 1, None),
    ("FWD struct and union", FWD, POINTER, (U4,), None, None),
    ("FWD union and struct", FWD_U, POINTER, (S4,), None, 1),
    ("RX4 struct and union", S4, POINTER, (U4,), None, 1),
    ("RX5 struct and enum", S4, POINTER, (ENUM4,), None, 1),
    ("RX6 struct and FWD", S4, POINTER, (FWD,), 1, 1),
    ("embedded struct and FWD", S4, EMBEDS, (FWD,), None, None),
    ("embedded struct, FWD after it", S4, EMBEDS, (S4, FWD), 1, None),
    ("embedded struct, FWD before it", S4, EMBEDS, (FWD, S4), 2, 2),
    ("RX8 struct and enum both there", S4, POINTER, (S4, ENUM4), 1, None),
    ("FWD beside its definition, for a struct", S4, POINTER, (FWD, S8), 2, None),
    ("FWD beside its definition, for a FWD", FWD, POINTER, (S8, FWD), 2, None),
    ("struct and union both there", S4, POINTER, (U4, S8), 2, 1),
)


def _target(lines: tuple[str, ...]) -> Btf:
    """Return a base with these types, and an int after them."""
    text = ""
    for number, line in enumerate(lines, 1):
        text += f"[{number}] {line.format(int=len(lines) + 1)}\n"
    text += f"[{len(lines) + 1}] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n"
    return assemble.parse(text)


@pytest.mark.parametrize(
    ("name", "base", "split", "target", "strict", "libbpf"), MATCHES, ids=[r[0] for r in MATCHES]
)
def test_a_distilled_type_matches_as_the_row_says(
    name: str,
    base: str,
    split: str,
    target: tuple[str, ...],
    strict: int | None,
    libbpf: int | None,
) -> None:
    distilled = assemble.parse(f"[1] {base}\n")
    own = assemble.parse(split, distilled)
    onto = _target(target)
    for compat, wanted in (("strict", strict), ("libbpf", libbpf)):
        if wanted is None:
            with pytest.raises(BtfRelocateError) as caught:
                relocate(own, onto, compat=compat)  # type: ignore[arg-type] # one of the two
            assert caught.value.name == "foo"
            assert len(caught.value.mismatches) == 1
        else:
            moved = relocate(own, onto, compat=compat)  # type: ignore[arg-type] # as above
            assert moved.base is onto
            assert moved.iter_type_refs(onto.type_cnt) == [wanted]


def test_the_error_lists_every_mismatch_and_the_candidates() -> None:
    distilled = assemble.parse(
        "[1] STRUCT 'a' size=4 vlen=0\n"
        "[2] INT 'b' size=4 bits_offset=0 nr_bits=32 encoding=(none)\n"
        "[3] STRUCT 'c' size=4 vlen=0\n"
    )
    split = assemble.parse(
        "[4] STRUCT 'h' size=12 vlen=3\n\t'a' type_id=1 bits_offset=0\n"
        "\t'b' type_id=2 bits_offset=32\n\t'c' type_id=3 bits_offset=64\n",
        distilled,
    )
    target = assemble.parse("[1] STRUCT 'a' size=8 vlen=0\n[2] UNION 'c' size=4 vlen=0\n")
    with pytest.raises(BtfRelocateError) as caught:
        relocate(split, target)
    error = caught.value
    assert error.name == "a"
    assert error.candidates == ("STRUCT of 8 bytes (type 1)",)
    assert [m.partition(":")[0] for m in error.mismatches] == ["a", "b", "c"]
    assert "another size, and it is embedded" in error.mismatches[0]
    assert "missing" in error.mismatches[1]
    assert "another kind" in error.mismatches[2]
    assert "UNION of 4 bytes (type 2)" in error.mismatches[2]
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    "base",
    [
        "[1] STRUCT '(anon)' size=4 vlen=0\n",
        "[1] PTR '(anon)' type_id=0\n",
        "[1] TYPEDEF 'foo' type_id=0\n",
        "[1] ENUM64 'foo' encoding=UNSIGNED size=8 vlen=0\n",
    ],
)
def test_a_base_that_no_distilling_makes_is_refused(base: str) -> None:
    split = assemble.parse(POINTER, assemble.parse(base))
    with pytest.raises(BtfError, match="which no distilled base holds"):
        relocate(split, assemble.parse(INT))


def test_relocating_onto_its_own_base_is_refused() -> None:
    base = assemble.parse(INT)
    with pytest.raises(BtfError, match="already"):
        relocate(assemble.parse(POINTER, base), base)
    with pytest.raises(BtfError, match="not split"):
        relocate(base, base)


def test_a_member_that_shares_its_name_with_a_base_type_keeps_it() -> None:
    distilled = assemble.parse("[1] STRUCT 'foo' size=4 vlen=0\n")
    split = assemble.parse(
        "[2] STRUCT 's' size=8 vlen=1\n\t'foo' type_id=3 bits_offset=0\n"
        "[3] PTR '(anon)' type_id=1\n",
        distilled,
    )
    target = assemble.parse(
        INT + "[2] STRUCT 'other' size=4 vlen=0\n[3] STRUCT 'foo' size=4 vlen=0\n"
    )
    moved = relocate(split, target)
    struct = moved.type_by_id(4)
    assert isinstance(struct, k.Struct)
    assert struct.members[0].name == "foo"
    assert moved.record(4)[3] < moved.start_str_off


def test_the_target_may_be_split_itself() -> None:
    bottom = assemble.parse(INT)
    target = assemble.parse("[2] STRUCT 'foo' size=4 vlen=0\n", bottom)
    split = assemble.parse(
        "[3] STRUCT 's' size=8 vlen=2\n\t'x' type_id=1 bits_offset=0\n"
        "\t'foo' type_id=2 bits_offset=32\n",
        assemble.parse(INT + "[2] STRUCT 'foo' size=4 vlen=0\n"),
    )
    moved = relocate(split, target)
    assert moved.start_id == 3
    struct = moved.type_by_id(3)
    assert isinstance(struct, k.Struct)
    assert [(m.name, m.type) for m in struct.members] == [("x", 1), ("foo", 2)]


def test_a_failed_relocation_changes_nothing() -> None:
    distilled = assemble.parse("[1] STRUCT 'foo' size=4 vlen=0\n")
    split = assemble.parse(POINTER, distilled)
    before = bytes(split.raw)
    with pytest.raises(BtfRelocateError):
        relocate(split, assemble.parse(INT))
    assert bytes(split.raw) == before
    assert split.base is distilled


@given(st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_relocating_what_was_distilled_onto_its_base_gives_it_back(seed: int) -> None:
    rng = random.Random(seed)
    base = dedup(build(random_types(rng, rng.randrange(1, 20), 1)))
    split = dedup(build(random_types(rng, rng.randrange(1, 20), base.type_cnt), base))
    try:
        small, moved = distill_base(split)
    except BtfError:
        return  # it refers to functions of the base
    assert {small.kind_of(t) for t in small.ids()} <= {1, 4, 5, 6, 7}
    try:
        back = relocate(moved, base)
    except BtfRelocateError:
        return  # the base has two of one name and size
    if any(len(base.types_by_name(small.name_of(t))) > 1 for t in small.ids()):
        return  # by name and size alone another was as good
    assert rawtext.dumps(dedup(back)) == rawtext.dumps(split)


# Trees.


def test_rebase_moves_every_level_once() -> None:
    old = assemble.parse(INT + "[2] STRUCT 'foo' size=4 vlen=0\n[3] PTR '(anon)' type_id=2\n")
    module = assemble.parse("[4] STRUCT 'm' size=8 vlen=1\n\t'p' type_id=3 bits_offset=0\n", old)
    one = assemble.parse("[5] PTR '(anon)' type_id=4\n[6] CONST '(anon)' type_id=3\n", module)
    two = assemble.parse("[5] ARRAY '(anon)' type_id=4 index_type_id=1 nr_elems=2\n", module)
    new = assemble.parse("[1] STRUCT 'foo' size=16 vlen=0\n" + INT.replace("[1]", "[2]"))
    mover = Rebase(old, new)
    a, b = mover.move(one), mover.move(two)
    assert a.base is b.base
    assert a.base is not None
    assert a.base.base is new
    assert rawtext.dumps(a.base) == (
        "[3] STRUCT 'm' size=8 vlen=1\n\t'p' type_id=4 bits_offset=0\n[4] PTR '(anon)' type_id=1\n"
    )
    assert rawtext.dumps(a) == "[5] PTR '(anon)' type_id=3\n[6] CONST '(anon)' type_id=4\n"
    assert rawtext.dumps(b) == "[5] ARRAY '(anon)' type_id=3 index_type_id=2 nr_elems=2\n"


def test_rebase_lists_what_the_new_base_lacks() -> None:
    old = assemble.parse("[1] STRUCT 'foo' size=4 vlen=0\n[2] FWD 'bar' fwd_kind=struct\n")
    split = assemble.parse("[3] PTR '(anon)' type_id=1\n[4] PTR '(anon)' type_id=2\n", old)
    with pytest.raises(BtfRelocateError) as caught:
        rebase(split, assemble.parse(INT))
    assert len(caught.value.mismatches) == 2


def test_merging_modules_keeps_shared_types_once_and_different_ones_apart() -> None:
    base = assemble.parse(INT)
    same = "[2] STRUCT 's' size=4 vlen=1\n\t'x' type_id=1 bits_offset=0\n"
    one = assemble.parse(same + "[3] PTR '(anon)' type_id=2\n", base)
    two = assemble.parse(same + "[3] STRUCT 't' size=4 vlen=0\n", base)
    three = assemble.parse("[2] STRUCT 's' size=8 vlen=1\n\t'x' type_id=1 bits_offset=32\n", base)
    merged = merge([one, two, three])
    assert rawtext.dumps(merged) == (
        same
        + "[3] PTR '(anon)' type_id=2\n[4] STRUCT 't' size=4 vlen=0\n"
        + "[5] STRUCT 's' size=8 vlen=1\n\t'x' type_id=1 bits_offset=32\n"
    )


def test_only_parts_of_one_base_are_merged() -> None:
    split = assemble.parse("[2] PTR '(anon)' type_id=1\n", assemble.parse(INT))
    with pytest.raises(BtfError, match="same base"):
        merge([split, assemble.parse(INT)])
    with pytest.raises(BtfError, match="nothing"):
        merge([])


def test_a_distilled_base_may_be_empty() -> None:
    # libbpf then takes the split for the base, and leaves references to nothing.
    base = assemble.parse(
        INT + "[2] PTR '(anon)' type_id=0\n[3] ENUM '(anon)' encoding=UNSIGNED "
        "size=4 vlen=1\n\t'A' val=1\n"
    )
    text = "[4] CONST '(anon)' type_id=2\n[5] TYPEDEF 't' type_id=3\n"
    small, split = distill_base(assemble.parse(text, base))
    assert not small.offsets
    assert rawtext.dumps(split) == (
        "[1] CONST '(anon)' type_id=3\n[2] TYPEDEF 't' type_id=4\n[3] PTR '(anon)' type_id=0\n"
        "[4] ENUM '(anon)' encoding=UNSIGNED size=4 vlen=1\n\t'A' val=1\n"
    )
    assert rawtext.dumps(relocate(split, base)).startswith("[4] CONST '(anon)' type_id=6\n")
