"""kallsyms' own tables, which it leaves out of itself: found in every layout that there was."""

from __future__ import annotations

import pytest

from btfdbg.handover.symbols import _own_tables
from tests.kallsyms.encoder import STYLES
from tests.kallsyms.test_locate import image_of, searched


@pytest.mark.parametrize("style", STYLES)
def test_each_table_is_found_where_it_was_written(style: str) -> None:
    image = image_of(STYLES[style])
    found = {table.name: table for table in _own_tables(image.read, searched(image).layout)}
    assert {name: table.address for name, table in found.items()} == image.where
    # What reads the count takes as many bytes as its type has.
    number = found["kallsyms_num_syms"]
    assert number.size == (8 if STYLES[style].long_words else 4)
    assert number.type == f"const unsigned {'long' if number.size == 8 else 'int'}"
    data = image.read(number.address, number.size)
    assert int.from_bytes(data, STYLES[style].byteorder) == len(image.symbols)
    assert found["kallsyms_markers"].type == f"{number.type} []"


@pytest.mark.parametrize("style", ["6.12 x86", "7.0"])
def test_a_table_that_memory_does_not_show_is_none(style: str) -> None:
    image = image_of(STYLES[style])
    layout = searched(image).layout
    for name in ("kallsyms_num_syms", "kallsyms_markers", "kallsyms_token_index"):
        before = image.read(image.where[name], 4)
        image.poke(image.where[name], b"\x07\xff\x07\xff")
        assert name not in {table.name for table in _own_tables(image.read, layout)}
        image.poke(image.where[name], before)
