"""Damaged BTF through every transformation: a result or a BtfError, and soon."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btfdbg.btf import Btf, Builder, rawtext
from btfdbg.btf import kinds as k
from btfdbg.btf.btfext import BtfExt, CoreKind, CoreRelo
from btfdbg.btf.cdump import dump_c
from btfdbg.btf.ctext import Texts
from btfdbg.btf.dedup import dedup
from btfdbg.btf.diff import diff
from btfdbg.btf.distill import distill_base
from btfdbg.btf.find import find
from btfdbg.btf.fingerprint import Fingerprints
from btfdbg.btf.holes import as_text, holes
from btfdbg.btf.isf import to_isf
from btfdbg.btf.merge import merge, rebase
from btfdbg.btf.minimize import minimize
from btfdbg.btf.relocate import relocate
from btfdbg.errors import BtfError, BtfFormatError

_TEXT = (Path(__file__).with_name("c_cases") / "syntax.raw").read_text()
GOOD = rawtext.parse(_TEXT)
BLOB = bytes(GOOD.raw)
_ROOT = GOOD.find_by_name_kind("object", 4)
EXT = BtfExt(
    "little",
    (),
    (),
    (
        CoreRelo("s", 0, _ROOT, "0:4", CoreKind.FIELD_EXISTS),
        CoreRelo("s", 8, _ROOT, "0", CoreKind.TYPE_MATCHES),
    ),
)


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


def _holes(btf: Btf) -> None:
    texts = Texts(btf)
    for type_id in btf.ids():
        if btf.kind_of(type_id) in (4, 5):
            list(as_text(holes(texts, type_id)))


def _fingerprints(btf: Btf) -> None:
    prints = Fingerprints(btf)
    for type_id in btf.ids():
        prints.deep(type_id)
        prints.layout(type_id)


def _as_split(btf: Btf) -> Btf:
    return Btf.parse(BLOB, btf)


JOBS: dict[str, Callable[[Btf], object]] = {
    "dedup": dedup,
    "dedup on top": lambda btf: dedup(_as_split(btf)),
    "distill": lambda btf: distill_base(_as_split(btf)),
    "relocate": lambda btf: relocate(Btf.parse(BLOB, btf), GOOD),
    "relocate back": lambda btf: relocate(distill_base(_as_split(GOOD))[1], btf),
    "rebase": lambda btf: rebase(_as_split(btf), GOOD),
    "merge": lambda btf: merge([btf, GOOD]),
    "minimize": lambda btf: minimize(btf, [(GOOD, EXT)]),
    "minimize with": lambda btf: minimize(GOOD, [(btf, EXT)]),
    "c": lambda btf: "".join(dump_c(btf, assertions=True)),
    "diff": lambda btf: diff(btf, GOOD),
    "find": lambda btf: find(btf, member="*"),
    "holes": _holes,
    "fingerprints": _fingerprints,
    "isf": to_isf,
}


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=5000)
def test_damaged_btf_gives_a_result_or_an_error(job: Callable[[Btf], object], seed: int) -> None:
    try:
        btf = Btf.parse(damaged(seed))
    except BtfFormatError:
        return
    said = "fine"
    try:
        job(btf)
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
        JOBS[job](builder.to_btf())
    except BtfError as error:
        assert "written out" in str(error) or "larger" in str(error)  # noqa: PT017 # or a result
