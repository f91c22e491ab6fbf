"""LEB128: the forms that the DWARF standard gives, and what is written reads back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btfdbg.leb128 import sleb_bytes, uleb_bytes
from btfdbg.varextract.dies import sleb, uleb


@pytest.mark.parametrize(
    ("value", "form"), [(2, "02"), (127, "7f"), (128, "8001"), (129, "8101"), (12857, "b964")]
)
def test_unsigned_forms_of_the_standard(value: int, form: str) -> None:
    assert uleb_bytes(value).hex() == form


@pytest.mark.parametrize(
    ("value", "form"),
    [(2, "02"), (-2, "7e"), (127, "ff00"), (-127, "817f"), (128, "8001"), (-128, "807f")],
)
def test_signed_forms_of_the_standard(value: int, form: str) -> None:
    assert sleb_bytes(value).hex() == form


@given(st.integers(-(1 << 63), (1 << 64) - 1))
def test_what_is_written_reads_back(value: int) -> None:
    data = sleb_bytes(value)
    assert sleb(data + b"\xff", 0) == (value, len(data))
    if value >= 0:
        data = uleb_bytes(value)
        assert uleb(data + b"\xff", 0) == (value, len(data))
