"""Rows H01 to H25 and L01 to L08 of the conformance list: headers, sections, layout."""

from __future__ import annotations

import struct

import pytest

from btfdbg.btf import Btf, Builder, TypeId, kinds
from btfdbg.btf.downlevel import Features, downlevel
from btfdbg.btf.order import sort_by_name
from btfdbg.btf.pack import with_byteorder
from btfdbg.btf.text.assemble import parse
from btfdbg.btf.validate.validate import check
from btfdbg.errors import BtfFormatError
from tests.btf.samples import INT, INT_BLOB, INT_STRINGS, INT_TYPES, header, record

T, S = len(INT_TYPES), len(INT_STRINGS)
BODY = INT_TYPES + INT_STRINGS
BIG = header(T, S, order=">") + struct.pack(">4I", *struct.unpack("<4I", INT_TYPES)) + INT_STRINGS


def layout_at(offset: int, length: int, gap: int) -> bytes:
    """Return a blob with ``gap`` bytes between types and strings and a layout section."""
    extra = struct.pack("<2I", offset, length)
    head = header(T, S, hdr_len=32, str_off=T + gap, extra=extra)
    return head + INT_TYPES + bytes(gap) + INT_STRINGS


REFUSED = {
    "H01 shorter than a header": INT_BLOB[:23],
    "H01 empty": b"",
    "H02 another magic": header(T, S, magic=0xEB9E) + BODY,
    "H06 header longer than the data": header(T, S, hdr_len=200) + BODY,
    "H07 header of 0 bytes": header(T, S, hdr_len=0) + BODY,
    "H07 header of 20 bytes": header(T, S, hdr_len=20) + BODY,
    "H12 types not aligned": header(T, S, type_off=2) + b"\0\0" + BODY,
    "H13 types overlap strings": header(T + 4, S, str_off=T) + BODY,
    "H14 types after strings": header(T, S, type_off=8, str_off=0)
    + INT_STRINGS + b"\0\0\0" + INT_TYPES,
    "H15 strings past the end": header(T, S + 1) + BODY,
    "H15 string length overflows 32 bits": header(T, 0xFFFFFFFF) + BODY,
    "H15 type length overflows 32 bits": header(0xFFFFFFFC, S, str_off=T, type_off=16) + BODY,
    "H16 no strings": header(T, 0) + INT_TYPES,
    "H18 strings do not end": header(T, S - 1) + BODY[:-1],
    "H19 strings start late": header(T, S - 1) + INT_TYPES + INT_STRINGS[1:],
    "H23 type cut off": header(T - 4, S) + INT_TYPES[:-4] + INT_STRINGS,
    "H23 type word cut off": header(T - 2, S) + INT_TYPES[:-2] + INT_STRINGS,
    "H23 members past the end": header(12, S) + record(1, 4, 4, vlen=1) + INT_STRINGS,
    "H23 largest vlen": header(12, S) + record(1, 4, 4, vlen=0xFFFFFF) + INT_STRINGS,
    "L01 layout not aligned": layout_at(T + 2, 4, gap=6),
    "L01 layout of odd length": layout_at(T, 6, gap=6),
    "L01 layout overlaps types": layout_at(T - 4, 4, gap=0),
    "L01 layout overlaps strings": layout_at(T, 4, gap=0),
    "L03 unknown kind": header(12, S) + record(1, 25, 4) + INT_STRINGS,
    "kind 0": header(12, S) + record(1, 0, 4) + INT_STRINGS,
}  # fmt: skip

ACCEPTED = {
    "plain": INT_BLOB,
    "H03 big-endian": BIG,
    "H04 version 2": header(T, S, version=2) + BODY,
    "H05 flags": header(T, S, flags=1) + BODY,
    "H08 longer header, zeroes": header(T, S, hdr_len=40, extra=bytes(16)) + BODY,
    "H09 longer header, unknown field": header(T, S, hdr_len=40, extra=bytes(12) + b"\1\0\0\0")
    + BODY,
    "H10 header of 32 bytes without layout": header(T, S, hdr_len=32, extra=bytes(8)) + BODY,
    "H13 gap before types": header(T, S, type_off=4, str_off=T + 4) + bytes(4) + BODY,
    "H13 gap before strings": header(T, S, str_off=T + 4) + INT_TYPES + bytes(4) + INT_STRINGS,
    "H13 bytes at the end": INT_BLOB + b"more",
}

#: What the verifier says of them first.
STRICT = {
    "H04 version 2": "Unsupported version",
    "H05 flags": "Unsupported flags",
    "H09 longer header, unknown field": "Unsupported btf_header",
    "H13 gap before types": "Unsupported section found",
    "H13 gap before strings": "Unsupported section found",
    "H13 bytes at the end": "Unsupported section found",
    "H02 another magic": "Invalid magic",
    "H06 header longer than the data": "btf_header not found",
    "H07 header of 0 bytes": "btf_header not found",
    "H07 header of 20 bytes": "btf_header not found",
    "H12 types not aligned": "Unaligned type_off",
    "H13 types overlap strings": "Section overlap found",
    "H14 types after strings": "String section is not at the end",
    "H15 strings past the end": "Total section length too long",
    "H16 no strings": "Invalid string section",
    "H18 strings do not end": "Invalid string section",
    "H19 strings start late": "Invalid string section",
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_malformed_blob_is_refused(data: bytes) -> None:
    with pytest.raises(BtfFormatError):
        Btf.parse(data)


@pytest.mark.parametrize("data", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_odd_but_sound_blob_is_read(data: bytes) -> None:
    btf = Btf.parse(data)
    assert btf.type_by_id(1) == kinds.Int("int", 4, 32, 0, 1)
    assert list(check(data, level="basic")) == []


@pytest.mark.parametrize("name", [*REFUSED, *ACCEPTED])
def test_strict_check_says_what_the_verifier_says(name: str) -> None:
    data = (REFUSED | ACCEPTED)[name]
    problems = list(check(data))
    if name in STRICT:
        # Where the row's defect brings another with it, the verifier says that first.
        assert STRICT[name] in [p.rule for p in problems]
    else:
        assert bool(problems) == (name in REFUSED)
    for problem in problems:
        assert problem.offset is not None


def test_h03_byte_order_follows_the_magic() -> None:
    assert Btf.parse(BIG).byteorder == "big"
    assert Btf.parse(INT_BLOB).byteorder == "little"


def test_h07_short_header_with_base_is_refused() -> None:
    # libbpf takes this for an empty split BTF.
    with pytest.raises(BtfFormatError, match="hdr_len"):
        Btf.parse(header(T, S, hdr_len=0) + BODY, Btf.parse(INT_BLOB))


def test_h09_unknown_header_bytes_are_kept() -> None:
    btf = Btf.parse(ACCEPTED["H09 longer header, unknown field"])
    assert btf.header.tail == bytes(4) + b"\1\0\0\0"


def test_h09_unknown_header_bytes_forbid_changes() -> None:
    btf = Btf.parse(ACCEPTED["H09 longer header, unknown field"])
    for change in (Builder.like, sort_by_name, lambda b: with_byteorder(b, "big")):
        with pytest.raises(BtfFormatError, match="not changed"):
            change(btf)
    zeroes = Btf.parse(ACCEPTED["H08 longer header, zeroes"])
    assert with_byteorder(zeroes, "little") == bytes(zeroes.raw)


def test_w06_version_and_flags_are_kept() -> None:
    for name in ("H04 version 2", "H05 flags"):
        data = ACCEPTED[name]
        assert Builder.like(Btf.parse(data)).build() == data


def test_y06_layout_of_unknown_kinds_is_kept_by_changes() -> None:
    data = with_layout({25: (4, 0)}, INT_TYPES + record(1, 25, 7, 9))
    btf = Btf.parse(data)
    builder = Builder.like(btf)
    assert builder.build() == data
    builder.add_ptr(2)
    builder.byteorder = "big"
    again = builder.to_btf()
    assert again.type_by_id(2) == btf.type_by_id(2)
    assert Btf.parse(sort_by_name(btf)).layout == btf.layout


def test_unknown_kind_cannot_be_said_to_an_older_kernel() -> None:
    btf = Btf.parse(with_layout({25: (4, 0)}, INT_TYPES + record(1, 25, 7, 9)))
    assert Btf.parse(downlevel(btf, Features())).type_cnt == 3
    with pytest.raises(BtfFormatError, match="kind 25"):
        downlevel(btf, Features(layout=False))


def test_h17_and_h22_split_may_own_neither_strings_nor_types() -> None:
    base = Btf.parse(INT_BLOB)
    split = Btf.parse(header(0, 0), base)
    assert split.start_id == split.type_cnt == 2
    assert split.name_of(1) == "int"


def test_h16_base_needs_strings_where_split_needs_none() -> None:
    types = record(1, 8, 1)
    data = header(len(types), 0) + types
    with pytest.raises(BtfFormatError, match="empty"):
        Btf.parse(data)
    assert Btf.parse(data, Btf.parse(INT_BLOB)).type_by_id(2) == kinds.Typedef("int", TypeId(1))


def test_h19_split_opened_alone_asks_for_its_base() -> None:
    data = header(0, 4) + b"abc\0"
    with pytest.raises(BtfFormatError, match="without its base"):
        Btf.parse(data)


def test_h20_and_h24_limits_are_the_verifiers_only() -> None:
    strings = b"\0int\0" + b"x" * 0x1000000 + b"\0"
    data = header(T, len(strings)) + INT_TYPES + strings
    assert Btf.parse(data).type_cnt == 2
    rules = [p.rule for p in check(data)]
    assert "Invalid string section" in rules
    assert "BTF larger than 16 MiB" in rules  # H25


def test_h21_base_without_types_is_refused_by_the_verifier_only() -> None:
    data = header(0, S) + INT_STRINGS
    assert Btf.parse(data).type_cnt == 1
    assert [p.rule for p in check(data)][:1] == ["No type found"]


def test_h24_more_types_than_the_verifier_takes() -> None:
    types = INT_TYPES + record(0, 2, 1) * 0x0FFFFF
    problems = [p.rule for p in check(header(len(types), S) + types + INT_STRINGS, level="kernel")]
    assert problems == ["Exceeded max num of types"]


def test_error_says_which_type_and_where() -> None:
    types = INT_TYPES + record(1, 4, 4, vlen=3)
    with pytest.raises(BtfFormatError, match=r"type 2 \(STRUCT\) at 0x28.*48 bytes, 12 left") as e:
        Btf.parse(header(len(types), S) + types + INT_STRINGS)
    assert (e.value.type_id, e.value.offset) == (2, 0x28)


# Layout section.


def with_layout(rows: dict[int, tuple[int, int]], types: bytes, order: str = "<") -> bytes:
    """Return a blob whose layout section describes kinds up to the largest of ``rows``."""
    table = b"".join(
        struct.pack(order + "BBH", *rows.get(kind, (0, 0)), 0) for kind in range(max(rows) + 1)
    )
    extra = struct.pack(order + "2I", len(types), len(table))
    return (
        header(len(types), S, order=order, hdr_len=32, str_off=len(types) + len(table), extra=extra)
        + types
        + table
        + INT_STRINGS
    )


@pytest.mark.parametrize(
    ("row", "vlen", "payload"),
    [((0, 0), 0, 0), ((0, 0), 9, 0), ((12, 0), 0, 3), ((0, 12), 1, 3), ((4, 8), 2, 5)],
)
def test_y02_to_y04_unknown_kind_is_skipped_by_its_layout(
    row: tuple[int, int], vlen: int, payload: int
) -> None:
    types = INT_TYPES + record(1, 25, 7, *range(payload), vlen=vlen) + record(1, 8, 1)
    btf = Btf.parse(with_layout({25: row}, types))
    assert btf.type_by_id(2) == kinds.Unknown(25, "int", vlen, False, 7, tuple(range(payload)))
    assert btf.type_by_id(3) == kinds.Typedef("int", TypeId(1))
    assert btf.find_by_name_kind("int", 8) == 3


def test_l04_layout_of_a_used_kind_must_be_words() -> None:
    types = INT_TYPES + record(1, 25, 7)
    with pytest.raises(BtfFormatError, match="multiples of 4"):
        Btf.parse(with_layout({25: (2, 0)}, types))
    Btf.parse(with_layout({25: (2, 0)}, INT_TYPES))  # of an unused one, whatever


def test_l05_unknown_kind_is_read_in_foreign_byte_order_too() -> None:
    little = INT_TYPES + record(1, 25, 7, 11, 12)
    big = struct.pack(f">{len(little) // 4}I", *struct.unpack(f"<{len(little) // 4}I", little))
    btf = Btf.parse(with_layout({25: (8, 0)}, big, ">"))
    assert btf.type_by_id(2) == kinds.Unknown(25, "int", 0, False, 7, (11, 12))


def test_l06_split_without_layout_uses_its_bases() -> None:
    base = Btf.parse(with_layout({25: (4, 0)}, INT_TYPES))
    types = record(1, 25, 7, 9)
    split = Btf.parse(header(len(types), 0) + types, base)
    assert split.type_by_id(2) == kinds.Unknown(25, "int", 0, False, 7, (9,))


def test_layout_does_not_give_void_a_record() -> None:
    with pytest.raises(BtfFormatError, match="kind 0"):
        Btf.parse(with_layout({0: (0, 0), 25: (0, 0)}, INT_TYPES + record(1, 0, 3)))


def test_layout_does_not_overrule_known_kinds() -> None:
    btf = Btf.parse(with_layout({1: (0, 0), 25: (0, 0)}, INT_TYPES))
    assert btf.type_cnt == 2


def test_l07_vlen_has_24_bits() -> None:
    count = 0x10001
    types = INT_TYPES + record(1, 6, 4, *([1, 5] * count), vlen=count)
    btf = Btf.parse(header(len(types), S) + types + INT_STRINGS)
    enum = btf.type_by_id(2)
    assert isinstance(enum, kinds.Enum)
    assert len(enum.values) == count


def test_l08_kind_has_7_bits() -> None:
    btf = Btf.parse(with_layout({0x61: (0, 0)}, INT_TYPES + record(1, 0x61, 3)))
    assert btf.kind_of(2) == 0x61


def test_func_linkage_is_no_length() -> None:
    btf = parse(
        INT
        + "[2] FUNC_PROTO '(anon)' ret_type_id=0 vlen=0\n"
        + "[3] FUNC 'f' type_id=2 linkage=extern\n[4] TYPEDEF 't' type_id=1\n"
    )
    assert btf.type_by_id(3) == kinds.Func("f", TypeId(2), 2)
    assert btf.name_of(4) == "t"
