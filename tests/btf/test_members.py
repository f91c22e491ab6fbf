"""Members by path and by offset."""

from __future__ import annotations

import pytest

from btfdbg.btf import TypeId, kinds
from btfdbg.btf.text.assemble import parse
from btfdbg.errors import BtfFormatError, BtfNotFoundError
from tests.btf.samples import EVERY_KIND, INT

BTF = parse(
    INT + "[2] STRUCT 'inner' size=8 vlen=2\n"
    "\t'a' type_id=1 bits_offset=0\n"
    "\t'b' type_id=1 bits_offset=32\n"
    "[3] UNION '(anon)' size=8 vlen=2\n"
    "\t'in' type_id=2 bits_offset=0\n"
    "\t'(anon)' type_id=4 bits_offset=0\n"
    "[4] STRUCT '(anon)' size=8 vlen=1\n"
    "\t'deep' type_id=1 bits_offset=32\n"
    "[5] STRUCT 'outer' size=40 vlen=4\n"
    "\t'first' type_id=1 bits_offset=0\n"
    "\t'(anon)' type_id=3 bits_offset=64\n"
    "\t'list' type_id=6 bits_offset=128\n"
    "\t'bits' type_id=1 bits_offset=261 bitfield_size=7\n"
    "[6] ARRAY '(anon)' type_id=7 index_type_id=1 nr_elems=2\n"
    "[7] TYPEDEF 'inner_t' type_id=8\n"
    "[8] CONST '(anon)' type_id=2\n"
    "[9] TYPEDEF 'outer_t' type_id=5\n"
)


@pytest.mark.parametrize(
    ("path", "bits"),
    [
        ("first", 0),
        ("in", 64),
        ("in.b", 96),
        ("deep", 96),
        ("list", 128),
        ("list[1]", 192),
        ("list[1].b", 224),
        ("bits", 261),
    ],
)
def test_offset_of_follows_a_path(path: str, bits: int) -> None:
    assert BTF.offset_of("outer", path) == bits
    assert BTF.offset_of("struct outer", path) == bits
    assert BTF.offset_of("outer_t", path) == bits
    assert BTF.offset_of(5, path) == bits


@pytest.mark.parametrize(
    ("type_", "path"),
    [
        ("outer", "nothing"),
        ("outer", "first.x"),
        ("outer", "first[0]"),
        ("outer", ""),
        ("outer", "a b"),
        ("outer", "list[x]"),
        ("nobody", "first"),
        ("union outer", "first"),
        ("int", "first"),
    ],
)
def test_offset_of_nothing_is_not_found(type_: str, path: str) -> None:
    with pytest.raises(BtfNotFoundError):
        BTF.offset_of(type_, path)


def test_offset_of_agrees_among_types_of_one_name_or_is_refused() -> None:
    text = INT + "".join(
        f"[{i}] STRUCT 's' size=8 vlen=2\n"
        f"\t'same' type_id=1 bits_offset=0\n\t'{name}' type_id=1 bits_offset={bits}\n"
        for i, name, bits in [(2, "x", 32), (3, "x", 64), (4, "y", 32)]
    )
    btf = parse(text)
    assert btf.offset_of("s", "same") == 0
    assert btf.offset_of("s", "y") == 32
    with pytest.raises(BtfNotFoundError, match="ambiguous"):
        btf.offset_of("s", "x")


@pytest.mark.parametrize(
    ("bit", "name", "offset"),
    [(0, "first", 0), (31, "first", 0), (64, "in", 64), (127, "in", 64), (191, "list", 128),
     (261, "bits", 261), (267, "bits", 261)],
)  # fmt: skip
def test_member_at_finds_what_covers_a_bit(bit: int, name: str, offset: int) -> None:
    for type_id in (5, 9):
        member = BTF.member_at(type_id, bit)
        assert (member.name, member.bit_offset) == (name, offset)


@pytest.mark.parametrize("bit", [32, 260, 268, 4000])
def test_member_at_padding_is_not_found(bit: int) -> None:
    with pytest.raises(BtfNotFoundError):
        BTF.member_at(5, bit)


def test_member_at_of_no_struct_is_not_found() -> None:
    with pytest.raises(BtfNotFoundError):
        BTF.member_at(1, 0)


def test_anonymous_members_are_entered_with_their_offset() -> None:
    assert BTF.member_at(5, 100) == kinds.Member("in", TypeId(2), 64)
    btf = parse(EVERY_KIND)
    assert btf.offset_of("node", "text") == 64
    assert btf.offset_of("node", "high") == 131


def test_anonymous_members_that_double_at_every_level_end_in_an_error() -> None:
    lines = [INT.rstrip()]
    lines += [
        f"[{i}] STRUCT '(anon)' size=4 vlen=2\n"
        f"\t'(anon)' type_id={i - 1} bits_offset=0\n\t'(anon)' type_id={i - 1} bits_offset=0"
        for i in range(2, 100)
    ]
    btf = parse("\n".join(lines))
    with pytest.raises(BtfFormatError, match="unfolds"):
        btf.offset_of(99, "x")
    with pytest.raises(BtfFormatError, match="unfolds"):
        btf.member_at(99, 1 << 20)


def test_array_index_of_an_endless_element_is_refused() -> None:
    btf = parse(
        INT
        + "[2] ARRAY '(anon)' type_id=2 index_type_id=1 nr_elems=1\n"
        + "[3] STRUCT 's' size=4 vlen=1\n\t'a' type_id=2 bits_offset=0\n"
    )
    with pytest.raises(BtfFormatError):
        btf.offset_of("s", "a[1]")
