"""Rows W01 to W06: building every kind, what is refused, and back to bytes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from btfdbg.btf import Btf, Builder, Kind, TypeId, kinds
from btfdbg.btf.format import MAX_VLEN, IntEncoding, Linkage, make_info
from btfdbg.btf.pack import pack
from btfdbg.btf.text.assemble import assemble, parse
from btfdbg.btf.text.rawtext import dumps
from btfdbg.errors import BtfFormatError
from tests.btf.samples import EVERY_KIND, INT, SPLIT


def build_every_kind(builder: Builder) -> list[TypeId]:
    """Add the types of EVERY_KIND one by one; return the ids that came back."""
    b = builder
    ids = [
        b.add_int("int", 4, IntEncoding.SIGNED),
        b.add_int("char", 1),
        b.add_int("_Bool", 1, IntEncoding.BOOL),
        b.add_ptr(2),
        b.add_array(1, 1, 7),
        b.add_struct("node", 32),
    ]
    b.add_field("next", 7, 0)
    b.add_field("", 8, 64)
    b.add_field("low", 1, 128, 3)
    b.add_field("high", 1, 131, 29)
    ids += [b.add_ptr(6), b.add_union("", 8)]
    b.add_field("number", 1, 0)
    b.add_field("text", 4, 0)
    ids.append(b.add_enum("colour"))
    b.add_enum_value("RED", 0)
    b.add_enum_value("BLUE", 0xFFFFFFFF)
    ids.append(b.add_enum("sign", 4))
    b.add_enum_value("MINUS", -1)
    ids += [
        b.add_fwd("later"),
        b.add_fwd("either", Kind.UNION),
        b.add_typedef("node_t", 6),
        b.add_volatile(1),
        b.add_const(14),
        b.add_restrict(4),
        b.add_func_proto(1),
    ]
    b.add_func_param("format", 4)
    b.add_func_param("", 0)
    ids += [
        b.add_func("print", Linkage.STATIC, 17),
        b.add_func("scan", Linkage.GLOBAL, 17),
        b.add_func("other", Linkage.EXTERN, 17),
        b.add_var("count", Linkage.STATIC, 1),
        b.add_var("table", Linkage.GLOBAL, 5),
        b.add_datasec(".data", 64),
    ]
    b.add_datasec_var_info(21, 0, 4)
    b.add_datasec_var_info(22, 16, 28)
    ids += [
        b.add_float("double", 8),
        b.add_decl_tag("about the struct", 6),
        b.add_decl_tag("about a member", 6, 1),
        b.add_type_tag("user", 2),
        b.add_type_tag("address_space(1)", 2, is_attr=True),
        b.add_enum64("large"),
    ]
    b.add_enum_value("SMALL", 1)
    b.add_enum_value("HUGE", (1 << 64) - 1)
    ids.append(b.add_enum64("deep", 8))
    b.add_enum_value("BOTTOM", -(1 << 63))
    ids += [
        b.add_loc_param(8, 0x28, [7, 4294967280]),
        b.add_loc_proto([31, 0]),
        b.add_locsec("inline.text", [kinds.LocsecEntry(TypeId(18), TypeId(32), 4096)]),
    ]
    return ids


def test_w01_every_adder_returns_the_next_id_and_stores_the_right_words() -> None:
    builder = Builder()
    assert build_every_kind(builder) == list(range(1, 34))
    assert len(builder) == 33
    assert builder.type_cnt == 34
    assert builder.build() == assemble(EVERY_KIND)


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("head", ["hdr_len=24", "hdr_len=32", "layout"])
def test_w01_in_either_byte_order_with_every_header(order: str, head: str) -> None:
    builder = Builder(
        byteorder="big" if order == "big" else "little",
        header_len=32 if head == "hdr_len=32" else 24,
        layout=head == "layout",
    )
    build_every_kind(builder)
    data = builder.build()
    assert data[:2] == (b"\x9f\xeb" if order == "little" else b"\xeb\x9f")
    btf = Btf.parse(data)
    assert dumps(btf) == EVERY_KIND
    assert btf.header.hdr_len == (24 if head == "hdr_len=24" else 32)
    assert bool(btf.layout) == (head == "layout")


def test_w01_enum64_value_of_both_halves() -> None:
    builder = Builder()
    builder.add_enum64("e")
    builder.add_enum_value("v", 4886718345)
    builder.add_enum_value("m", -1)
    assert builder.to_btf().record(1).tolist()[3:] == [3, 0x23456789, 1, 5, 0xFFFFFFFF, 0xFFFFFFFF]
    assert builder.to_btf().type_by_id(1).kind == Kind.ENUM64


def test_w01_forward_enum_is_an_enum_without_values() -> None:
    builder = Builder()
    assert builder.to_btf().type_cnt == 1
    builder.add_fwd("e", Kind.ENUM)
    assert builder.to_btf().type_by_id(1) == kinds.Enum("e", 4, False, ())


def _builder_with(text: str) -> Builder:
    return Builder.like(parse(text))


REFUSALS: dict[str, Callable[[Builder], object]] = {
    "int without name": lambda b: b.add_int("", 4),
    "int of 3 bytes": lambda b: b.add_int("i", 3),
    "int of 0 bytes": lambda b: b.add_int("i", 0),
    "int of 32 bytes": lambda b: b.add_int("i", 32),
    "int of unknown encoding": lambda b: b.add_int("i", 4, 8),
    "pointer to a negative id": lambda b: b.add_ptr(-1),
    "array of negative id": lambda b: b.add_array(-1, 1, 4),
    "array indexed by negative id": lambda b: b.add_array(1, -1, 4),
    "array too long": lambda b: b.add_array(1, 1, 1 << 32),
    "field of no struct": lambda b: b.add_field("f", 1, 0),
    "enumerator of no enum": lambda b: b.add_enum_value("v", 0),
    "parameter of no signature": lambda b: b.add_func_param("p", 1),
    "variable of no section": lambda b: b.add_datasec_var_info(1, 0, 4),
    "enum of 3 bytes": lambda b: b.add_enum("e", 3),
    "enum of 16 bytes": lambda b: b.add_enum("e", 16),
    "enum64 of 0 bytes": lambda b: b.add_enum64("e", 0),
    "float of 3 bytes": lambda b: b.add_float("f", 3),
    "float without name": lambda b: b.add_float("", 4),
    "fwd without name": lambda b: b.add_fwd(""),
    "fwd of a typedef": lambda b: b.add_fwd("f", Kind.TYPEDEF),
    "typedef without name": lambda b: b.add_typedef("", 1),
    "func without name": lambda b: b.add_func("", 0, 1),
    "func of odd linkage": lambda b: b.add_func("f", 3, 1),
    "var without name": lambda b: b.add_var("", 0, 1),
    "var of odd linkage": lambda b: b.add_var("v", -1, 1),
    "datasec without name": lambda b: b.add_datasec("", 4),
    "decl tag without text": lambda b: b.add_decl_tag("", 1),
    "decl tag of component -2": lambda b: b.add_decl_tag("t", 1, -2),
    "type tag without text": lambda b: b.add_type_tag("", 1),
    "name with NUL": lambda b: b.add_typedef("a\0b", 1),
    "locsec without name": lambda b: b.add_locsec(""),
    "void": lambda b: b.add(kinds.Void()),
    "kind of 8 bits": lambda b: b.add(kinds.Unknown(128, "", 0, False, 0, ())),
    "word of 33 bits": lambda b: b.add(kinds.Var("v", TypeId(1), 1 << 32)),
    "record of no words": lambda b: b.add_words([1 << 32]),
    "enumerator beyond 32 bits": lambda b: b.add(
        kinds.Enum("e", 4, False, (kinds.Enumerator("v", 1 << 32),))
    ),
    "enumerator beyond 64 bits": lambda b: b.add(
        kinds.Enum64("e", 8, False, (kinds.Enumerator("v", 1 << 64),))
    ),
    "bit-field beyond 24 bits": lambda b: b.add(
        kinds.Struct("s", 4, (kinds.Member("m", TypeId(1), 1 << 24, 1),))
    ),
}


@pytest.mark.parametrize("attempt", REFUSALS.values(), ids=REFUSALS.keys())
def test_w02_what_makes_no_sense_is_refused_and_changes_nothing(
    attempt: Callable[[Builder], object],
) -> None:
    builder = _builder_with(INT)
    before = builder.build()
    with pytest.raises(BtfFormatError):
        attempt(builder)
    assert len(builder) == 1
    assert Btf.parse(builder.build()).words.tolist() == Btf.parse(before).words.tolist()


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("union", ("f", 1, 8, 0)),
        ("struct", ("f", 1, 0, 256)),
        ("struct", ("f", 1, 0, -1)),
        ("struct", ("f", 1, 0x1000000, 1)),
        ("struct", ("f", 1, 3, 0)),
        ("struct", ("f", 1, -8, 0)),
        ("struct", ("f", 1, 1 << 32, 0)),
        ("struct", ("f", -1, 0, 0)),
    ],
)
def test_w02_field_that_fits_nowhere_is_refused(
    kind: str, field: tuple[str, int, int, int]
) -> None:
    builder = Builder()
    builder.add_struct("s", 8) if kind == "struct" else builder.add_union("u", 8)
    with pytest.raises(BtfFormatError):
        builder.add_field(*field)
    assert builder.to_btf().record(1)[1] & 0xFFFFFF == 0


def test_w02_bit_field_after_an_offset_too_large_for_one_is_refused() -> None:
    builder = Builder()
    builder.add_struct("s", 1 << 22)
    builder.add_field("far", 0, 0x1000000)
    with pytest.raises(BtfFormatError, match="over 2 MiB"):
        builder.add_field("bit", 0, 0, 1)


@pytest.mark.parametrize("value", [-(1 << 31) - 1, 1 << 32])
def test_w02_enumerator_outside_of_its_bits_is_refused(value: int) -> None:
    builder = Builder()
    builder.add_enum("e")
    with pytest.raises(BtfFormatError, match="32 bits"):
        builder.add_enum_value("v", value)
    with pytest.raises(BtfFormatError, match="name"):
        builder.add_enum_value("", 0)


def test_w02_element_too_many_is_refused() -> None:
    builder = Builder()
    builder.add_words([0, make_info(Kind.STRUCT, MAX_VLEN), 0])
    with pytest.raises(BtfFormatError, match="already"):
        builder.add_field("one", 0, 0)


def test_w04_types_of_another_btf_are_appended_and_renumbered() -> None:
    builder = _builder_with(INT + "[2] STRUCT 'first' size=0 vlen=0\n")
    assert builder.add_btf(parse(INT + "[2] PTR '(anon)' type_id=1\n")) == 3
    assert dumps(builder.to_btf()) == (
        INT
        + "[2] STRUCT 'first' size=0 vlen=0\n"
        + INT.replace("[1]", "[3]")
        + "[4] PTR '(anon)' type_id=3\n"
    )


def test_w04_split_of_the_same_base_keeps_references_to_it() -> None:
    base = parse(INT)
    split = parse("[2] TYPEDEF 'a' type_id=1\n[3] PTR '(anon)' type_id=2\n", base)
    builder = Builder(base)
    builder.add_btf(split)
    builder.add_btf(split)
    assert dumps(builder.to_btf()).splitlines()[2:] == [
        "[4] TYPEDEF 'a' type_id=1",
        "[5] PTR '(anon)' type_id=4",
    ]
    other = parse("[2] TYPEDEF 'a' type_id=1\n", parse(INT))
    with pytest.raises(BtfFormatError, match="same base"):
        builder.add_btf(other)


def test_w05_one_type_is_copied_with_its_names() -> None:
    source = parse(EVERY_KIND)
    builder = _builder_with("[1] TYPEDEF 'unrelated' type_id=0\n")
    assert builder.add_copy(source, 6) == 2
    assert builder.add_copy(source, 6, {7: 2, 1: 9}) == 3
    btf = builder.to_btf()
    assert btf.iter_type_refs(2) == [7, 8, 1, 1]
    assert btf.iter_type_refs(3) == [2, 8, 9, 9]
    assert btf.name_of(2) == "node"
    assert btf.strings.data.count(b"\0node\0") == 1


def test_w06_untouched_is_the_same_bytes() -> None:
    base = parse(EVERY_KIND)
    assert Builder.like(base).build() == assemble(EVERY_KIND)
    split = parse(SPLIT, base)
    assert Builder.like(split).build() == assemble(SPLIT, base)


def test_rebuilding_from_values_is_the_same_bytes() -> None:
    base = parse(EVERY_KIND)
    for btf in (base, parse(SPLIT, base)):
        builder = Builder.like(btf, types=False)
        for type_id in btf.own_ids():
            builder.add(btf.type_by_id(type_id))
        assert builder.build() == bytes(btf.raw)


def test_split_reuses_names_of_every_level_below() -> None:
    bottom = parse(INT)
    middle = parse("[2] TYPEDEF 'mid' type_id=1\n", bottom)
    builder = Builder(middle)
    for name in ("int", "mid", "new", "new"):
        builder.add_typedef(name, 1)
    top = builder.to_btf()
    assert top.strings.data == b"new\0"
    assert [top.name_of(i) for i in top.own_ids()] == ["int", "mid", "new", "new"]


def test_split_reuses_names_after_many_look_ups_too() -> None:
    base = parse("".join(f"[{i}] STRUCT 's{i}' size=0 vlen=0\n" for i in range(1, 100)))
    builder = Builder(base)
    for i in range(1, 100):
        builder.add_typedef(f"s{i}", i)
    assert builder.to_btf().strings.data == b""


def test_header_must_be_24_or_32_bytes() -> None:
    with pytest.raises(BtfFormatError):
        Builder(header_len=28)


def test_pack_puts_layout_between_types_and_strings() -> None:
    data = pack([1, 0x01000000, 4, 32], b"\0int\0", layout=b"\1\2\3\4")
    header = Btf.parse(data).header
    assert (header.hdr_len, header.layout_off, header.layout_len) == (32, 16, 4)
    assert header.str_off == 20
    assert header.end == len(data)
