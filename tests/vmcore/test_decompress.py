"""LZO and Snappy, from streams written by hand; real ones are compared in test_dumps.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btfdbg.images.blocks import CorruptError, lzo1x, snappy

LZO_END = b"\x11\0\0"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        # First byte above 17: that many literals less 17.
        (bytes([17 + 5]) + b"hello" + LZO_END, b"hello"),
        # A run of 3 + 15 + 2 literals.
        (b"\0\x02" + b"abcdefghijklmnopqrst" + LZO_END, b"abcdefghijklmnopqrst"),
        # 4 literals, a copy of 3 to 4 bytes from 4 back: 64 | 32 | distance - 1 << 2.
        (bytes([17 + 4]) + b"abcd" + bytes([64 | 32 | 3 << 2, 0]) + LZO_END, b"abcdabcd"),
        # The copy runs into itself: one byte back, 33 + 255 + 1 bytes.
        (bytes([17 + 4]) + b"abcz" + b"\x20\0\x01\0\0" + LZO_END, b"abcz" + b"z" * 289),
        # Two literals after a copy, counted in its low bits.
        (
            bytes([17 + 4]) + b"abcd" + bytes([64 | 3 << 2 | 2, 0]) + b"xy" + LZO_END,
            b"abcdabcxy",
        ),
        # After up to 3 literals, a copy of 2 bytes.
        (
            bytes([17 + 4]) + b"abcd" + bytes([64 | 3 << 2 | 1, 0]) + b"x" + b"\x04\0" + LZO_END,
            b"abcdabcxcx",
        ),
    ],
)
def test_lzo_instructions(data: bytes, expected: bytes) -> None:
    assert lzo1x(data, 4096) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x05\x10hello", b"hello"),
        # A literal of 4 bytes, then copies with offsets of 1, 2 and 4 bytes.
        (b"\x08\x0cabcd\x01\x04", b"abcdabcd"),
        (b"\x07\x0cabcd\x0a\x04\0", b"abcdabc"),
        (b"\x07\x0cabcd\x0b\x04\0\0\0", b"abcdabc"),
        (b"\x0a\x00z\x22\x01\0", b"z" * 10),
        (b"\x46\xf0\x45" + b"q" * 70, b"q" * 70),
    ],
)
def test_snappy_instructions(data: bytes, expected: bytes) -> None:
    assert snappy(data, 4096) == expected


@pytest.mark.parametrize("function", [lzo1x, snappy])
@given(data=st.binary(max_size=300))
def test_garbage_gives_bounded_output_or_one_error(function: type[object], data: bytes) -> None:
    try:
        out = function(data, 4096)  # type: ignore[call-arg] # either function
    except CorruptError:
        return
    assert isinstance(out, bytes)
    assert len(out) <= 4096
