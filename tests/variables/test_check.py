"""Measuring: what is wrong, and what is the same by another name."""

from __future__ import annotations

import pytest

from btfdbg.btf import Btf, Builder
from btfdbg.varextract.check import Report, Wrong, is_same_by_another_name
from btfdbg.variables.structural_index import StructuralIndex


def _btf() -> Btf:
    builder = Builder()
    short = builder.add_int("short unsigned int", 2)
    int_ = builder.add_int("int", 4, 1)
    builder.add_typedef("u_short", short)
    cache = builder.add_struct("kmem_cache", 8, [])
    pointer = builder.add_ptr(cache)
    builder.add_typedef("kmem_buckets", builder.add_array(int_, pointer, 14))
    head = builder.add_struct("wait_queue_head", 8, [])
    builder.add_typedef("wait_queue_head_t", head)
    builder.add_struct("other", 8, [])
    return builder.to_btf()


@pytest.mark.parametrize(
    ("given", "truth", "same"),
    [
        ("unsigned short [256]", "u_short [256]", True),
        ("unsigned short [256]", "u_short [255]", False),
        ("unsigned short []", "u_short [255]", True),  # only its length is not given
        ("int [256]", "u_short [256]", False),
        ("struct kmem_cache *[4][14]", "kmem_buckets [4]", True),
        ("struct kmem_cache *[][14]", "kmem_buckets [4]", True),
        ("struct kmem_cache *[4][13]", "kmem_buckets [4]", False),
        ("struct wait_queue_head", "wait_queue_head_t", True),
        ("struct wait_queue_head *", "wait_queue_head_t *", True),
        ("struct other", "wait_queue_head_t", False),  # of the same size
        ("const unsigned short", "u_short", False),
        ("struct nothing", "u_short", False),
        ("unsigned short [", "u_short", False),
    ],
)
def test_a_typedef_is_another_name_of_what_it_stands_for(
    given: str, truth: str, same: bool
) -> None:
    btf = _btf()
    assert is_same_by_another_name(btf, StructuralIndex(btf), given, truth) is same


def test_what_is_wrong_by_its_name_only_is_wrong_and_said_so() -> None:
    wrong = [
        Wrong("v", "u_short", "unsigned short", "rule", "", spelling) for spelling in (False, True)
    ]
    lines = list(Report(total=4, wrong=wrong).lines())
    assert any(line.split() == ["wrong", "2", "50.000", "%"] for line in lines)
    assert any(line.split() == ["of", "them", "by", "its", "name", "only", "1"] for line in lines)
    assert not any("name only" in line for line in Report(total=4, wrong=wrong[:1]).lines())
