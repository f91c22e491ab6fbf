"""Rows E01 to E05 and Y01 to Y06: byte order and the layout section when written."""

from __future__ import annotations

import struct

import pytest

from btfdbg.btf import Btf, Builder, Kind
from btfdbg.btf.downlevel import Features, downlevel
from btfdbg.btf.order import sort_by_name
from btfdbg.btf.pack import layout_section, with_byteorder
from btfdbg.btf.text.assemble import assemble, parse
from btfdbg.btf.text.rawtext import dumps
from tests.btf.samples import EVERY_KIND


@pytest.mark.parametrize("head", ["", ".header hdr_len=32\n", ".layout\n"])
def test_e01_and_e02_swapped_twice_is_the_same(head: str) -> None:
    data = assemble(head + EVERY_KIND)
    big = with_byteorder(Btf.parse(data), "big")
    assert big[:2] == b"\xeb\x9f"
    assert len(big) == len(data)
    btf = Btf.parse(big)
    assert dumps(btf) == EVERY_KIND
    assert with_byteorder(btf, "big") == big
    assert with_byteorder(btf, "little") == data


def test_e01_flags_of_a_layout_row_are_the_only_u16() -> None:
    table = struct.pack("<BBH", 4, 8, 0x1234)
    text = f".layout {table.hex()}\n" + EVERY_KIND
    btf = Btf.parse(with_byteorder(parse(text), "big"))
    start = btf.header.hdr_len + btf.header.layout_off
    assert bytes(btf.raw[start : start + 4]) == struct.pack(">BBH", 4, 8, 0x1234)
    assert btf.layout == {0: (4, 8)}


def test_e03_swapped_can_be_added_to() -> None:
    btf = Btf.parse(with_byteorder(parse(EVERY_KIND), "big"))
    builder = Builder.like(btf)
    builder.add_var("more", 1, 1)
    again = builder.to_btf()
    assert again.byteorder == "big"
    assert dumps(again) == EVERY_KIND + "[34] VAR 'more' type_id=1, linkage=global\n"


def test_y01_layout_stands_between_types_and_strings() -> None:
    builder = Builder.like(parse(EVERY_KIND))
    plain = Btf.parse(builder.build()).header
    assert plain.layout_off == plain.layout_len == 0
    assert plain.str_off == plain.type_off + plain.type_len
    builder.layout = True
    header = Btf.parse(builder.build()).header
    assert header.layout_off % 4 == 0
    assert header.layout_len == 4 * len(Kind)
    assert header.str_off == header.layout_off + header.layout_len


def test_y01_table_is_the_one_that_readers_expect() -> None:
    rows = struct.unpack(f"<{4 * len(Kind)}B", layout_section())
    sizes = {Kind(i): (rows[4 * i], rows[4 * i + 1]) for i in range(len(Kind))}
    assert {k.name: v for k, v in sizes.items() if v != (0, 0)} == {
        "INT": (4, 0),
        "ARRAY": (12, 0),
        "STRUCT": (0, 12),
        "UNION": (0, 12),
        "ENUM": (0, 8),
        "FUNC_PROTO": (0, 8),
        "VAR": (4, 0),
        "DATASEC": (0, 12),
        "DECL_TAG": (4, 0),
        "ENUM64": (0, 12),
        "LOC_PARAM": (4, 4),
        "LOC_PROTO": (0, 4),
        "LOCSEC": (0, 12),
    }


def test_y05_layout_is_dropped_for_a_kernel_that_does_not_read_it() -> None:
    btf = parse(".layout\n" + EVERY_KIND)
    data = downlevel(btf, Features(layout=False))
    header = Btf.parse(data).header
    assert header.layout_off == header.layout_len == 0
    assert len(data) == len(btf.raw) - 4 * len(Kind)


def test_y06_adding_and_sorting_keep_the_layout() -> None:
    btf = parse(".layout\n" + EVERY_KIND)
    builder = Builder.like(btf)
    builder.add_ptr(0)
    for data in (builder.build(), sort_by_name(btf)):
        again = Btf.parse(data)
        assert again.layout == btf.layout
        assert again.header.end == len(data)
