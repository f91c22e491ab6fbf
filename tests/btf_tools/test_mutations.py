"""Damaged BTF through every transformation: a result or a BtfError, and soon."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btfdbg.btf import Btf, Builder
from btfdbg.btf import kinds as k
from btfdbg.btf.text import assemble
from btfdbg.errors import BtfError, BtfFormatError
from tests.btf.verbs import VERBS, Case

_TEXT = (Path(__file__).with_name("c_cases") / "syntax.raw").read_text()
GOOD = assemble.parse(_TEXT)
BLOB = bytes(GOOD.raw)


def damaged(seed: int) -> bytes:
    rng = random.Random(seed)
    data = bytearray(BLOB)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(data)) & ~3
        match rng.randrange(4):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                value = rng.choice((0, 1, len(GOOD.offsets), rng.randrange(60), 0xFFFFFFFF))
                data[at : at + 4] = value.to_bytes(4, "little")
            case 2:
                data[at] = rng.randrange(256)
            case 3:
                del data[at : at + 4]
    return bytes(data)


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=5000)
def test_damaged_btf_gives_a_result_or_an_error(verb: Callable[[Case], object], seed: int) -> None:
    try:
        btf = Btf.parse(damaged(seed))
    except BtfFormatError:
        return
    said = "fine"
    try:
        verb(Case(btf, GOOD, random.Random(seed)))
    except BtfError as error:
        said = str(error)
    assert said
    assert "\n" not in said


@pytest.mark.parametrize("named", [False, True], ids=["unnamed members", "named members"])
@pytest.mark.parametrize("job", ["c", "diff", "find", "holes", "isf", "dedup"])
def test_types_that_triple_at_each_level_take_bounded_work(job: str, named: bool) -> None:
    builder = Builder()
    last = builder.add_int("int", 4, 1)
    for _ in range(30):
        names = ("x", "y", "z") if named else ("", "", "")
        last = builder.add_struct("", 8, tuple(k.Member(n, last, 0) for n in names))
    builder.add_struct("top", 8, (k.Member("m", last, 0), k.Member("", last, 0)))
    try:
        VERBS[job](Case(builder.to_btf(), GOOD, random.Random(0)))
    except BtfError as error:
        assert "written out" in str(error) or "larger" in str(error)  # noqa: PT017 # or a result
