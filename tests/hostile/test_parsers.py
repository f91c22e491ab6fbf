"""Every parser takes its good inputs, and refuses bad ones with the error it documents.

The same targets as ``python -m tests.hostile``, which looks longer and deeper.
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from .__main__ import found_folder
from .mutate import Edit, edited
from .target import Target, apply, join, patch, patches, split
from .targets import TARGETS

_NUMBER = st.integers(0, (1 << 32) - 1)
_EDITS = st.lists(st.tuples(st.integers(0, 8), _NUMBER, _NUMBER), min_size=1, max_size=8)
_SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck))

FAST = [t for t in TARGETS.values() if not t.slow]
SLOW = [t for t in TARGETS.values() if t.slow]
FOUND = [
    (target, path)
    for target in TARGETS.values()
    for path in sorted(found_folder(target.name).glob("*"))
]


@cache
def seeds(name: str) -> list[bytes]:
    return list(TARGETS[name].seeds())


def survives(target: Target, number: int, edits: list[Edit]) -> None:
    data = seeds(target.name)[number % len(seeds(target.name))]
    for edit in edits:
        data = edited(data, edit)
    start = time.process_time()
    target.run(data)
    assert time.process_time() - start < target.seconds


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda t: t.name)
def test_good_inputs_are_taken(target: Target) -> None:
    for number, data in enumerate(seeds(target.name)):
        assert target.run(data), f"seed {number} of {target.name}"


@pytest.mark.parametrize("target", FAST, ids=lambda t: t.name)
@settings(_SETTINGS, max_examples=40)
@given(number=_NUMBER, edits=_EDITS)
def test_a_damaged_input_is_taken_or_refused(
    target: Target, number: int, edits: list[Edit]
) -> None:
    survives(target, number, edits)


@pytest.mark.parametrize("target", SLOW, ids=lambda t: t.name)
@settings(_SETTINGS, max_examples=8)
@given(number=_NUMBER, edits=_EDITS)
def test_a_damaged_dump_is_taken_or_refused(target: Target, number: int, edits: list[Edit]) -> None:
    survives(target, number, edits)


@pytest.mark.parametrize("target", FAST, ids=lambda t: t.name)
@settings(_SETTINGS, max_examples=20)
@given(data=st.binary(max_size=300))
@example(b"")
def test_garbage_is_taken_or_refused(target: Target, data: bytes) -> None:
    target.run(data)


@pytest.mark.parametrize(("target", "path"), FOUND, ids=lambda x: x.name)
def test_what_once_broke_a_parser_breaks_it_no_more(target: Target, path: Path) -> None:
    target.run(path.read_bytes())


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=4))
def test_parts_are_found_again(parts: list[bytes]) -> None:
    assert split(join(*parts), len(parts)) == parts


@given(st.binary(max_size=40))
def test_missing_parts_are_empty(data: bytes) -> None:
    assert len(split(data, 3)) == 3


@given(st.lists(st.tuples(st.integers(0, 255), _NUMBER, st.binary(max_size=255)), max_size=5))
def test_patches_are_found_again(several: list[tuple[int, int, bytes]]) -> None:
    assert list(patches(b"".join(patch(*one) for one in several))) == several


def test_patches_stay_in_their_areas() -> None:
    into = bytearray(100)
    apply(patch(1, 7, b"\xff" * 9) + patch(3, 3, b"\xee"), into, [(0, 10), (20, 10)])
    assert into == bytes(23) + b"\xee" + bytes(3) + b"\xff" * 3 + bytes(70)


@given(st.binary(max_size=64), st.tuples(st.integers(0, 8), _NUMBER, _NUMBER))
def test_a_mutation_never_fails_and_never_grows_much(data: bytes, edit: Edit) -> None:
    assert len(edited(data, edit)) <= len(data) + 64
