"""Dedup of what is close to the rows: one difference more or less, other kinds, other orders."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from btfdbg.btf import Btf
from btfdbg.btf.dedup.dedup import dedup
from btfdbg.btf.pack import with_byteorder
from btfdbg.btf.text import assemble, rawtext
from btfdbg.errors import BtfError

from .graphs import permuted
from .test_tools_oracle import Libbpf, libbpf

__all__ = ["libbpf"]  # a fixture


def _read() -> dict[str, tuple[bool, str, str, str]]:
    """Return name -> (whether libbpf leaves the same, base, types, what is left)."""
    out = {}
    for part in Path(__file__).with_name("dedup_neighbours.txt").read_text().split("\n== ")[1:]:
        name, same, rest = part.split("\n", 2)
        *base, types, left = rest.split("--\n")
        out[name] = (same == "libbpf: same", base[0] if base else "", types, left.rstrip("\n"))
    return out


CASES = _read()


def _given(name: str) -> tuple[Btf, Btf | None]:
    _, base_text, types, _ = CASES[name]
    base = assemble.parse(base_text) if base_text else None
    return assemble.parse(types, base), base


@pytest.mark.parametrize("name", CASES)
def test_what_is_left_is_what_should_be(name: str) -> None:
    btf, base = _given(name)
    once = dedup(btf)
    assert rawtext.dumps(once).rstrip("\n") == CASES[name][3]
    assert bytes(dedup(once).raw) == bytes(once.raw)
    if base is None:
        big = dedup(Btf.parse(with_byteorder(btf, "big")))
        assert rawtext.dumps(big).rstrip("\n") == CASES[name][3]


@pytest.mark.parametrize("name", CASES)
def test_the_order_of_types_does_not_matter(name: str) -> None:
    btf, _ = _given(name)
    wanted = dedup(btf)
    rng = random.Random(name)
    for _ in range(5):
        order = list(btf.own_ids())
        rng.shuffle(order)
        found = dedup(permuted(btf, order))
        assert len(found.offsets) == len(wanted.offsets)
        assert sorted(_heads(found)) == sorted(_heads(wanted))


def _heads(btf: Btf) -> list[tuple[str, int]]:
    return [(btf.name_of(t), btf.kind_of(t)) for t in btf.own_ids()]


@pytest.mark.oracle
@pytest.mark.parametrize("name", CASES)
def test_libbpf_leaves_the_same_but_where_it_is_known_to_err(libbpf: Libbpf, name: str) -> None:
    btf, base = _given(name)
    out = libbpf("dedup", btf, *([base] if base is not None else []))
    left = rawtext.dumps(Btf.parse(out[0], base)).rstrip("\n") if out is not None else None
    assert (left == CASES[name][3]) == CASES[name][0]


def test_a_base_that_refers_to_nothing_is_an_error() -> None:
    base = assemble.parse("[1] STRUCT 's' size=8 vlen=1\n\t'a' type_id=168 bits_offset=0\n")
    text = (
        "[2] STRUCT 's' size=8 vlen=1\n\t'a' type_id=3 bits_offset=0\n[3] PTR '(anon)' type_id=2\n"
    )
    text += "[4] STRUCT 's' size=4 vlen=0\n"  # which makes the tag ambiguous
    with pytest.raises(BtfError, match="168"):
        dedup(assemble.parse(text, base))
