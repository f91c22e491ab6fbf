"""The raw notation: out of bytes, into bytes, and what bpftool cannot say."""

from __future__ import annotations

import pytest

from btfdbg.btf import Btf
from btfdbg.btf.pack import pack
from btfdbg.btf.text.assemble import assemble, parse
from btfdbg.btf.text.rawtext import dumps
from btfdbg.errors import BtfFormatError
from tests.btf.samples import EVERY_KIND, INT, INT_BLOB, SPLIT, header, record

# What has a suffix, or an escape, of our own.
ODD = {
    "kflag of a struct without bit-fields": "[2] STRUCT 's' size=4 vlen=1 kflag=1\n"
    "\t'a' type_id=1 bits_offset=0\n",
    "kflag and vlen where none belong": "[2] PTR '(anon)' type_id=1 vlen=3 kflag=1\n",
    "int with kflag": "[2] INT 'i' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED kflag=1\n",
    "int with two encodings": "[2] INT 'i' size=1 bits_offset=0 nr_bits=8 encoding=UNKN"
    " int_data=0x3000008\n",
    "int with reserved bits": "[2] INT 'i' size=1 bits_offset=1 nr_bits=8 encoding=CHAR"
    " int_data=0x12010108\n",
    "array with a size": "[2] ARRAY 'a' type_id=1 index_type_id=1 nr_elems=4 unused=9\n",
    "forward declaration of gcc 12": "[2] FWD 'f' fwd_kind=union unused=77\n",
    "unknown linkage of a function": "[2] FUNC 'f' type_id=1 linkage=(unknown) (9)\n",
    "unknown linkage of a variable": "[2] VAR 'v' type_id=1, linkage=(unknown) (4294967295)\n",
    "named pointer": "[2] PTR 'named' type_id=1\n",
    "name with a quote": "[2] STRUCT 'it's' size=0 vlen=0\n",
    "name like an attribute": "[2] STRUCT 'x' size=9' size=0 vlen=0\n",
    "name of control characters": "[2] STRUCT 'a\\x0ab\\x09\\\\c' size=0 vlen=0\n",
    "name that reads (anon)": "[2] STRUCT '\\x28anon)' size=0 vlen=0\n",
    "name that is no string": "[2] STRUCT @0x999 size=0 vlen=1\n\t@0x888 type_id=1 bits_offset=0\n",
    "name of more than ASCII": "[2] STRUCT 'größe\u2028' size=0 vlen=0\n",
    "empty name": "[2] STRUCT '' size=0 vlen=0\n",
    "large offset without kflag": "[2] STRUCT 's' size=4 vlen=1\n"
    "\t'a' type_id=1 bits_offset=4294967288\n",
    "missing variable": "[2] DATASEC 'd' size=4 vlen=1\n\ttype_id=99 offset=0 size=4\n",
    "section with an apostrophe": "[2] VAR 'o'clock (x)' type_id=1, linkage=static\n"
    "[3] DATASEC 'd' size=4 vlen=1\n\ttype_id=2 offset=0 size=4 (VAR 'o'clock (x)')\n",
    "tag of parentheses": "[2] TYPE_TAG 'f(1) (2)' type_id=1 kflag=1\n",
    "location flags unknown": "[2] LOC_PARAM '(anon)' size=4294967288 flags=CONST|0x40 vlen=0\n",
}


@pytest.mark.parametrize("text", [EVERY_KIND, *(INT + t for t in ODD.values())],
                         ids=["every kind", *ODD])  # fmt: skip
def test_text_is_the_same_after_a_trip_through_bytes(text: str) -> None:
    data = assemble(text)
    btf = Btf.parse(data)
    assert dumps(btf) == text
    assert assemble(dumps(btf, exact=True)) == data


@pytest.mark.parametrize("order", ["little", "big"])
def test_every_kind_survives_in_either_byte_order(order: str) -> None:
    data = assemble(f".header byteorder={order}\n{EVERY_KIND}")
    btf = Btf.parse(data)
    assert btf.byteorder == order
    assert dumps(btf) == EVERY_KIND
    assert assemble(dumps(btf, exact=True)) == data


def test_split_continues_its_base() -> None:
    base = parse(EVERY_KIND)
    split = parse(SPLIT, base)
    assert dumps(split) == SPLIT
    assert assemble(dumps(split, exact=True), base) == bytes(split.raw)


def test_split_without_its_base_is_noticed() -> None:
    with pytest.raises(BtfFormatError, match="line 1: type 34, expected 1; is the base missing"):
        assemble(SPLIT)


def test_strings_are_entered_in_order_of_use() -> None:
    btf = parse(EVERY_KIND)
    assert btf.strings.data.startswith(b"\0int\0char\0_Bool\0node\0next\0low\0high\0number\0")


def test_exact_text_keeps_unused_repeated_and_unordered_strings() -> None:
    strings = b"\0unused\0int\0int\0\0tail\0"
    words = [12, 0x01000000, 4, 32, 18, 0x08000000, 1, 16, 0x08000000, 1, 20, 0x08000000, 1]
    data = pack(words, strings)
    text = dumps(Btf.parse(data), exact=True)
    assert assemble(text) == data
    assert text.split("\n")[:3] == [
        ".header byteorder=little version=1 flags=0x0 hdr_len=24",
        ".strings bytes=22",
        "\t''",
    ]
    # Offset 12 is the second "int"; 18 and 20 lie inside of "tail".
    assert "INT 'int'@0xc size=4" in text
    assert "TYPEDEF 'ail'@0x12 " in text
    assert "TYPEDEF 'l'@0x14 " in text


def test_exact_text_keeps_a_long_header_and_its_layout() -> None:
    table = bytes(4 * 25) + b"\x04\0\0\0"
    types = record(1, 25, 7, 5) + record(1, 1, 4, 32)
    data = (
        header(
            len(types),
            5,
            hdr_len=40,
            version=3,
            flags=4,
            str_off=len(types) + len(table),
            extra=(len(types)).to_bytes(4, "little")
            + len(table).to_bytes(4, "little")
            + b"12345678",
        )
        + types
        + table
        + b"\0int\0"
    )
    btf = Btf.parse(data)
    text = dumps(btf, exact=True)
    assert "[1] KIND_25 'int' third=7 vlen=0\n\tword=0x5\n" in text
    assert assemble(text) == data


def test_split_string_section_may_start_with_any_byte() -> None:
    base = Btf.parse(INT_BLOB)
    for strings in (b"", b"x\0", b"\0x\0"):
        at = base.end_str_off + strings.find(b"x") if strings else 1
        data = pack([at, 0x08000000, 1], strings)
        split = Btf.parse(data, base)
        assert assemble(dumps(split, exact=True), base) == data


def test_what_bpftool_leaves_out_may_be_left_out_by_hand() -> None:
    short = """
# comments and blank lines are skipped

[1] INT 'int' size=4 encoding=SIGNED
[2] STRUCT 's' size=4
  'a' type_id=1 bits_offset=0
[3] FUNC_PROTO '(anon)' ret_type_id=0
[4] FUNC 'f' type_id=3
"""
    assert dumps(parse(short)) == (
        INT
        + "[2] STRUCT 's' size=4 vlen=1\n\t'a' type_id=1 bits_offset=0\n"
        + "[3] FUNC_PROTO '(anon)' ret_type_id=0 vlen=0\n"
        + "[4] FUNC 'f' type_id=3 linkage=static\n"
    )


S = "[2] STRUCT 's' size=4"
A = "\t'a' type_id=1 bits_offset=0"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "line 1: expected"),
        ("\t'a' type_id=1", "line 1: indented"),
        ("[1] INT 'i'", "line 1: size= is missing"),
        ("[1] INT 'i' size=x", "line 1: size=x: expected a number"),
        ("[1] INT 'i' size=4294967296", "line 1: size=4294967296 does not fit"),
        ("[1] INT 'i' size=4 nr_bits=256", "line 1: bits_offset and nr_bits"),
        ("[1] INT 'i' size=4 encoding=ODD", "line 1: encoding=ODD"),
        ("[1] INT 'i' size=4 size=4", "line 1: size given twice"),
        ("[1] INT 'i' size=4 colour=red", "line 1: colour= does not belong"),
        ("[1] INT 'i' size=4 !", "line 1: cannot read '!'"),
        ("[1] INT i size=4", "line 1: expected"),
        ("[2] INT 'i' size=4", "line 1: type 2, expected 1"),
        ("[1] WAT 'i' size=4", "line 1: unknown kind WAT"),
        ("[1] KIND_200 'i'", "line 1: unknown kind KIND_200"),
        ("[1] VOID 'i'", "line 1: unknown kind VOID"),
        (INT + f"{S} vlen=2\n{A}", "line 2: vlen=2, but 1"),
        (INT + "[2] PTR '(anon)' type_id=1\n\t'a' type_id=1", "line 3: "),
        (INT + "[2] ENUM 'e' encoding=CHAR size=4", "line 2: encoding=CHAR"),
        (INT + "[2] ENUM64 'e' size=8\n\t'a' val=18446744073709551616", "line 3: val="),
        (INT + "[2] FWD 'f' fwd_kind=enum", "line 2: fwd_kind=enum"),
        (INT + f"{S} kflag=0\n{A} bitfield_size=1", "line 2: bitfield_size with kflag=0"),
        (INT + f"{S}\n{A} bitfield_size=256", "line 3: 256 bits"),
        (INT + "[2] PTR '(anon)' type_id=1 vlen=16777216", "line 2: vlen="),
        (INT + ".header byteorder=little", "line 2: .header after the first type"),
        ("[1] VAR 'v' type_id=0, linkage=(unknown)", "line 1: linkage=(unknown): expected static"),
        ("[1] FUNC 'f' type_id=0 linkage=none", "line 1: linkage=none: expected static"),
        ("[1] LOC_PARAM '(anon)' size=1 flags=REG|X", "line 1: flags=X: expected SIGNED|"),
        ("[1] ENUM 'e' size=4\n\t'a' val=4294967296", "line 2: val=4294967296 does not fit"),
        ("[1] ENUM 'e' size=4\n\t'a' val=-2147483649", "line 2: val=-2147483649 does not fit"),
        ("[1] ENUM64 'e' size=8\n\t'a' val=-9223372036854775809", "line 2: val="),
        ("[1] DATASEC 'd' size=4\n\ttype_id=1 offset=-1 size=q", "line 2: size=q"),
        (INT + f"{S}\n{A}\n\n# so\n\t'b' type_id=x", "line 6: "),
        (INT + f"{S}\n{A} bits_offset=1", "line 3: bits_offset given twice"),
        (INT + f"{S}\n{A} bitfield_size=1 val=1", "line 3: val= does not belong"),
        (INT + f"{S}\n\t'a' type_id=1 bits_offset=16777216 bitfield_size=1", "line 3: 1 bits at"),
        (".header byteorder=middle", "line 1: byteorder=middle"),
        (".header hdr_len=28", "line 1: hdr_len=28"),
        (".other", "line 1: unknown line .other"),
        (".layout xyz", "line 1: "),
        (".strings\n\tx", "line 2: expected a string"),
    ],
)  # fmt: skip
def test_text_that_cannot_be_read_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(BtfFormatError) as e:
        assemble(text)
    assert message in str(e.value)


def test_bpftools_missing_variable_label_is_ignored() -> None:
    text = "[2] VAR 'v' type_id=1, linkage=static\n[3] DATASEC 'd' size=4 vlen=1\n"
    with_label = parse(INT + text + "\ttype_id=2 offset=0 size=4 (VAR 'v')\n")
    without = parse(INT + text + "\ttype_id=2 offset=0 size=4\n")
    assert bytes(with_label.raw) == bytes(without.raw)


def test_an_enum_of_which_nothing_is_said_is_signed_if_a_value_is_negative() -> None:
    # As older bpftools print it.
    text = "[1] ENUM 'e' size=4 vlen=2\n\t'A' val=-1\n\t'B' val=2\n"
    text += "[2] ENUM 'f' size=4 vlen=1\n\t'C' val=4294967295\n"
    text += "[3] ENUM64 'g' size=8 vlen=1\n\t'D' val=-1LL\n"
    out = dumps(parse(text))
    assert "[1] ENUM 'e' encoding=SIGNED size=4" in out
    assert "[2] ENUM 'f' encoding=UNSIGNED size=4" in out
    assert "[3] ENUM64 'g' encoding=SIGNED size=8" in out
    assert "\t'D' val=-1LL\n" in out


def test_an_unsigned_value_may_be_written_as_negative_where_the_line_says_unsigned() -> None:
    text = "[1] ENUM 'e' encoding=UNSIGNED size=4 vlen=1\n\t'A' val=-1\n"
    assert "\t'A' val=4294967295\n" in dumps(parse(text))


def test_a_section_that_holds_void_says_so_as_bpftool_does() -> None:
    text = "[1] DATASEC 'd' size=4 vlen=1\n\ttype_id=0 offset=0 size=4 (UNKNOWN '(anon)')\n"
    assert dumps(parse(text)) == text


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_lines_may_end_as_on_other_systems(newline: str) -> None:
    assert assemble(EVERY_KIND.replace("\n", newline)) == assemble(EVERY_KIND)
