"""Neighbours of the validator's rows, and every row in another header, byte order and place."""

from __future__ import annotations

import struct

import pytest

from btfdbg.btf import Btf
from btfdbg.btf.format import LAYOUTS, info_kind, info_vlen
from btfdbg.btf.text.assemble import assemble, parse
from btfdbg.btf.validate.problem import Problem
from btfdbg.btf.validate.validate import check
from tests.btf.samples import EVERY_KIND, INT, INT_STRINGS, INT_TYPES, header, record
from tests.btf.test_validate import CASES, read_cases

NEIGHBOURS = read_cases("validator_neighbours.txt")
ALL = CASES | NEIGHBOURS
#: Known by their length only, so that nothing can be said of what they refer to.
UNKNOWN = ("unknown kind", "kind 31", "V064")


def starts(data: bytes) -> list[int]:
    """Return where in a little-endian blob each type starts, by its info words alone."""
    hdr_len, type_off, type_len = struct.unpack_from("<3I", data, 4)
    out, at = [], hdr_len + type_off
    end = at + type_len
    while at < end:
        out.append(at)
        info = int.from_bytes(data[at + 4 : at + 8], "little")
        layout = LAYOUTS.get(info_kind(info))
        if layout is None:
            break
        at += 4 * layout.words(info_vlen(info))
    return out


def said(problem: Problem) -> str:
    return f"type {problem.type_id}: {problem.rule}"


@pytest.mark.parametrize("row", NEIGHBOURS)
def test_first_problem_is_the_verifiers(row: str) -> None:
    verifier, accepts, text = NEIGHBOURS[row]
    data = assemble(text)
    problems = list(check(data))
    assert (said(problems[0]) if problems else "ok") == verifier
    assert (list(check(data, level="basic")) == []) == accepts


@pytest.mark.parametrize("row", ALL)
def test_offset_is_where_the_type_starts(row: str) -> None:
    data = assemble(ALL[row][2])
    places = starts(data)
    for problem in check(data):
        assert problem.type_id is not None
        assert problem.offset == places[problem.type_id - 1]
        assert problem.kind == data[places[problem.type_id - 1] + 7] & 0x7F


@pytest.mark.parametrize("row", ALL)
def test_neither_byte_order_nor_header_changes_what_is_said(row: str) -> None:
    data = assemble(ALL[row][2])
    wanted = [(p.type_id, p.rule) for p in check(data)]
    (type_len,) = struct.unpack_from("<I", data, 12)
    swapped = struct.pack(f">{type_len // 4}I", *struct.unpack_from(f"<{type_len // 4}I", data, 24))
    strings = data[24 + type_len :]
    big = header(type_len, len(strings), order=">") + swapped + strings
    assert [(p.type_id, p.rule) for p in check(big)] == wanted
    longer = header(type_len, len(strings), hdr_len=32, extra=bytes(8)) + data[24:]
    moved = list(check(longer))
    assert [(p.type_id, p.rule) for p in moved] == wanted
    assert [p.offset for p in moved] == [p.offset + 8 for p in check(data) if p.offset is not None]


def on_top(data: bytes, base: Btf) -> bytes:
    """Return a blob as split on top of a base: every id and string offset moved up."""
    (type_len,) = struct.unpack_from("<I", data, 12)
    words = list(struct.unpack_from(f"<{type_len // 4}I", data, 24))
    ids, strings = base.type_cnt - 1, base.end_str_off
    for start in starts(data):
        at = (start - 24) // 4
        layout = LAYOUTS[info_kind(words[at + 1])]
        vlen = info_vlen(words[at + 1])
        first = at + 3 + layout.info_words
        elems = range(first, first + vlen * layout.elem_words, layout.elem_words or 1)
        for place in [at, *(e + w for e in elems for w in layout.elem_str_words)]:
            words[place] += strings if words[place] else 0
        for place in [at + w for w in layout.type_words] + [
            e + w for e in elems for w in layout.elem_type_words
        ]:
            words[place] += ids if words[place] else 0
    types = struct.pack(f"<{len(words)}I", *words)
    return header(len(types), len(data) - 24 - type_len) + types + data[24 + type_len :]


@pytest.mark.parametrize("row", [r for r in ALL if r not in UNKNOWN])
def test_a_row_on_top_of_a_base_breaks_the_same_rules(row: str) -> None:
    base = parse(EVERY_KIND)
    data = assemble(ALL[row][2])
    moved = on_top(data, base)
    for level in ("basic", "strict", "kernel"):
        wanted = [(p.type_id, p.rule, p.offset) for p in check(data, level=level)]
        found = check(moved, base, level)
        shift = base.type_cnt - 1
        assert [(p.type_id and p.type_id - shift, p.rule, p.offset) for p in found] == wanted


def test_types_before_a_malformed_one_are_judged_too() -> None:
    # The verifier goes from type to type, and says first what is wrong with the first.
    types = INT_TYPES + record(0, 8, 1) + record(1, 2, 1) + record(1, 4, 4, vlen=3)
    data = header(len(types), len(INT_STRINGS)) + types + INT_STRINGS
    assert [said(p) for p in check(data)] == [
        "type 2: Invalid name",
        "type 3: Invalid name",
        "type 4: Type record exceeds its section",
    ]
    assert [said(p) for p in check(data, level="basic")] == [
        "type 4: Type record exceeds its section"
    ]
    unknown = INT_TYPES + record(0, 8, 1) + record(0x99, 25, 1)
    data = header(len(unknown), len(INT_STRINGS)) + unknown + INT_STRINGS
    assert [said(p) for p in check(data)] == ["type 2: Invalid name", "type 3: Invalid kind"]
    cut = (
        header(len(types), len(INT_STRINGS))
        + types.replace(record(1, 4, 4, vlen=3), record(0x99, 4, 4, vlen=3))
        + INT_STRINGS
    )
    assert [said(p) for p in check(cut)][2:] == [
        "type 4: Invalid name_offset",
        "type 4: Type record exceeds its section",
    ]


@pytest.mark.parametrize("extra", [1, 2, 3, 4, 8, 11])
def test_a_few_bytes_after_the_last_type_are_a_record_cut_off(extra: int) -> None:
    types = INT_TYPES + record(0, 8, 1) + bytes(extra)
    data = header(len(types), len(INT_STRINGS)) + types + INT_STRINGS
    problems = list(check(data))
    assert [said(p) for p in problems] == [
        "type 2: Invalid name",
        "type 3: Type record exceeds its section",
    ]
    assert problems[-1].offset == 24 + 28


def test_header_and_types_are_both_judged() -> None:
    data = header(16, 5, version=2, flags=1) + record(0, 4, 2, vlen=0) + b"\0\0\0\0" + INT_STRINGS
    assert [p.rule for p in check(data)][:2] == ["Unsupported version", "Unsupported flags"]
    types = record(0, 8, 0)
    data = header(12, 5, version=2) + types + INT_STRINGS
    assert [p.rule for p in check(data)] == ["Unsupported version", "Invalid name"]


def test_loop_is_said_of_the_type_that_leads_into_it() -> None:
    text = INT + "[2] TYPEDEF 't' type_id=3\n[3] STRUCT 's' size=4 vlen=1\n"
    text += "\t'a' type_id=3 bits_offset=0\n"
    (problem,) = check(assemble(text))
    assert (problem.type_id, problem.rule) == (2, "Loop detected")
    assert "type 3" in problem.detail
