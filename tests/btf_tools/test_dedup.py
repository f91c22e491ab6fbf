"""Dedup: rows with their results, and what must hold of any input."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btfdbg.btf import Btf, Builder
from btfdbg.btf import kinds as k
from btfdbg.btf.dedup.base import BaseNotMinimal
from btfdbg.btf.dedup.dedup import PreparedBase, dedup, dedup_with_map
from btfdbg.btf.dedup.graph import tag_of
from btfdbg.btf.dedup.split import representatives as split_representatives
from btfdbg.btf.dedup.whole import representatives as whole_representatives
from btfdbg.btf.fingerprint import Fingerprints
from btfdbg.btf.format import Kind, TypeId
from btfdbg.btf.kinds import Struct
from btfdbg.btf.pack import pack, with_byteorder
from btfdbg.btf.text import assemble, rawtext
from btfdbg.errors import BtfError, BtfFormatError
from tests.bench.undeduplicated import undeduplicated

from .dedup_rows import ROWS, SPLIT_ROWS
from .graphs import build, permuted, random_types


@pytest.mark.parametrize(("name", "types", "left"), ROWS, ids=[row[0] for row in ROWS])
def test_dedup_leaves_what_the_row_says(name: str, types: str, left: str | None) -> None:
    assert rawtext.dumps(dedup(assemble.parse(types))) == (types if left is None else left)


@pytest.mark.parametrize(("name", "types", "left"), ROWS, ids=[row[0] for row in ROWS])
@pytest.mark.parametrize("shuffle", range(4))
def test_a_rows_result_does_not_depend_on_the_order(
    name: str, types: str, left: str | None, shuffle: int
) -> None:
    btf = assemble.parse(types)
    order = list(btf.own_ids())
    random.Random(shuffle).shuffle(order)
    assert _content(dedup(permuted(btf, order))) == _content(dedup(btf))


@pytest.mark.parametrize(
    ("name", "base", "types", "left"), SPLIT_ROWS, ids=[row[0] for row in SPLIT_ROWS]
)
def test_split_dedup_leaves_what_the_row_says(name: str, base: str, types: str, left: str) -> None:
    parsed = assemble.parse(base)
    assert rawtext.dumps(dedup(assemble.parse(types, parsed))) == left


def _content(btf: Btf) -> list[bytes]:
    """Return what the types are, whatever their ids."""
    prints = Fingerprints(btf)
    return sorted(prints.deep(type_id) for type_id in btf.own_ids())


seeds = st.integers(0, 2**32)


@given(seeds)
@settings(max_examples=200, deadline=None)
def test_a_second_dedup_changes_nothing(seed: int) -> None:
    rng = random.Random(seed)
    once = dedup(build(random_types(rng, rng.randrange(1, 30), 1)))
    assert bytes(dedup(once).raw) == bytes(once.raw)


@given(seeds)
@settings(max_examples=200, deadline=None)
def test_dedup_does_not_depend_on_the_order(seed: int) -> None:
    rng = random.Random(seed)
    btf = build(random_types(rng, rng.randrange(1, 30), 1))
    order = list(btf.own_ids())
    rng.shuffle(order)
    assert _content(dedup(permuted(btf, order))) == _content(dedup(btf))


@given(seeds)
@settings(max_examples=200, deadline=None)
def test_the_fast_way_against_a_base_finds_the_same_classes(seed: int) -> None:
    rng = random.Random(seed)
    base = dedup(build(random_types(rng, rng.randrange(1, 25), 1)))
    split = build(random_types(rng, rng.randrange(1, 25), base.type_cnt), base)
    if not _defines_what_the_base_declares(split, base):
        assert split_representatives(split, base)[1] == whole_representatives(split)[1]


def _defines_what_the_base_declares(split: Btf, base: Btf) -> bool:
    """Return whether a tag is there of which the base's and the split's views differ."""
    for type_id in base.ids():
        tag, forward = tag_of(base.record(type_id))
        if tag is None or not forward:
            continue
        kinds = (6, 19) if tag[0] == 6 else (tag[0],)
        name = base.name_of(type_id)
        if any(split.kind_of(t) in kinds for t in split.own_ids_by_name(name)):
            return True
    return False


@given(seeds)
@settings(max_examples=150, deadline=None)
def test_a_second_split_dedup_changes_nothing(seed: int) -> None:
    rng = random.Random(seed)
    base = dedup(build(random_types(rng, rng.randrange(1, 25), 1)))
    once = dedup(build(random_types(rng, rng.randrange(1, 25), base.type_cnt), base))
    assert bytes(dedup(once).raw) == bytes(once.raw)


def test_what_refers_to_a_struct_that_says_more_than_the_bases_may_be_the_bases() -> None:
    base = assemble.parse(
        "[1] STRUCT 'dev' size=8 vlen=1\n\t'v' type_id=3 bits_offset=0\n"
        "[2] FWD 'vlan' fwd_kind=struct\n[3] PTR '(anon)' type_id=2\n"
        "[4] STRUCT 'task' size=8 vlen=1\n\t'd' type_id=5 bits_offset=0\n"
        "[5] PTR '(anon)' type_id=1\n"
    )
    split = assemble.parse(
        "[6] STRUCT 'dev' size=8 vlen=1\n\t'v' type_id=8 bits_offset=0\n"
        "[7] STRUCT 'vlan' size=8 vlen=1\n\t'd' type_id=9 bits_offset=0\n"
        "[8] PTR '(anon)' type_id=7\n[9] PTR '(anon)' type_id=6\n"
        "[10] STRUCT 'task' size=8 vlen=1\n\t'd' type_id=9 bits_offset=0\n"
        "[11] TYPEDEF 't' type_id=10\n",
        base,
    )
    assert rawtext.dumps(dedup(split)) == (
        "[6] STRUCT 'dev' size=8 vlen=1\n\t'v' type_id=8 bits_offset=0\n"
        "[7] STRUCT 'vlan' size=8 vlen=1\n\t'd' type_id=9 bits_offset=0\n"
        "[8] PTR '(anon)' type_id=7\n[9] PTR '(anon)' type_id=6\n"
        "[10] TYPEDEF 't' type_id=4\n"
    )


def test_what_only_types_of_the_base_would_refer_to_is_not_kept() -> None:
    types = (
        "[{0}] STRUCT 'dev' size=16 vlen=2\n"
        "\t'v' type_id={2} bits_offset=0\n\t'ops' type_id={3} bits_offset=64\n"
        "[{1}] {8}\n[{2}] PTR '(anon)' type_id={1}\n[{3}] PTR '(anon)' type_id={4}\n"
        "[{4}] STRUCT 'ops' size=8 vlen=1\n\t'open' type_id={5} bits_offset=0\n"
        "[{5}] PTR '(anon)' type_id={6}\n"
        "[{6}] FUNC_PROTO '(anon)' ret_type_id=0 vlen=1\n\t'd' type_id={7}\n"
        "[{7}] PTR '(anon)' type_id={0}\n"
    )
    base = assemble.parse(types.format(*range(1, 9), "FWD 'vlan' fwd_kind=struct"))
    vlan = "STRUCT 'vlan' size=8 vlen=1\n\t'd' type_id=16 bits_offset=0"
    split = assemble.parse(types.format(*range(9, 17), vlan), base)
    deduped = dedup_with_map(split)
    # The table and what its functions take are the base's; dev and vlan know more.
    assert deduped.ids[9:] == [9, 10, 11, 4, 5, 6, 7, 12]
    assert bytes(dedup(deduped.btf).raw) == bytes(deduped.btf.raw)


@pytest.mark.parametrize("rich", [4, 5])
@pytest.mark.parametrize("tag", ["dev", "own"])
def test_of_two_definitions_the_one_that_says_more_stays(rich: int, tag: str) -> None:
    base = assemble.parse(
        "[1] STRUCT 'dev' size=8 vlen=1\n\t'v' type_id=3 bits_offset=0\n"
        "[2] FWD 'vlan' fwd_kind=struct\n[3] PTR '(anon)' type_id=2\n"
    )
    device = "[{}] STRUCT '{}' size=8 vlen=1\n\t'v' type_id={} bits_offset=0\n"
    vlan = "STRUCT 'vlan' size=4 vlen=0\n"
    split = assemble.parse(
        "".join(device.format(t, tag, 7 if t == rich else 3) for t in (4, 5))
        + f"[6] {vlan}[7] PTR '(anon)' type_id=6\n",
        base,
    )
    once = dedup(split)
    assert rawtext.dumps(once) == (
        device.format(4, tag, 6) + f"[5] {vlan}[6] PTR '(anon)' type_id=5\n"
    )
    assert bytes(dedup(once).raw) == bytes(once.raw)


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_types_that_are_written_again_are_found_again(seed: int) -> None:
    rng = random.Random(seed)
    types = [Struct("kept", 4, ()), *random_types(rng, rng.randrange(1, 25), 2)]
    btf = dedup(build(types))
    again = Btf.parse(undeduplicated(btf, 5, seed))
    assert again.type_cnt > btf.type_cnt
    assert bytes(dedup(again).raw) == bytes(btf.raw)


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_a_prepared_base_serves_many_splits(seed: int) -> None:
    rng = random.Random(seed)
    base = dedup(build(random_types(rng, 15, 1)))
    prepared = PreparedBase(base)
    for _ in range(3):
        split = build(random_types(rng, 12, base.type_cnt), base)
        with_prepared = dedup_with_map(split, prepared).btf
        assert bytes(with_prepared.raw) == bytes(dedup(split).raw)


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_two_copies_of_one_graph_become_one(seed: int) -> None:
    rng = random.Random(seed)
    once = build(random_types(rng, 15, 1))
    builder = Builder.like(once)
    shift = len(once.offsets)
    ids = {i: i + shift for i in once.own_ids()}
    for type_id in once.own_ids():
        builder.add_copy(once, type_id, ids)
    twice = builder.to_btf()
    if not any(isinstance(once.type_by_id(i), k.Var) for i in once.own_ids()):
        assert rawtext.dumps(dedup(twice)) == rawtext.dumps(dedup(once))


@given(seeds)
@settings(max_examples=150, deadline=None)
def test_no_definition_stands_for_a_different_one(seed: int) -> None:
    rng = random.Random(seed)
    btf = build(random_types(rng, rng.randrange(1, 25), 1))
    done = dedup_with_map(btf)
    for old in btf.own_ids():
        if btf.kind_of(old) in (4, 5):
            a, b = btf.type_by_id(old), done.btf.type_by_id(done.ids[old])
            assert isinstance(a, k.Struct | k.Union)
            assert isinstance(b, k.Struct | k.Union)
            assert (a.name, a.size, a.kind) == (b.name, b.size, b.kind)
            assert [(m.name, m.bit_offset) for m in a.members] == [
                (m.name, m.bit_offset) for m in b.members
            ]


def test_a_forwards_meaningless_word_does_not_count() -> None:
    builder = Builder()
    for garbage in (0, 17, 42):
        fwd = builder.add_words((builder.strings.add("foo"), 7 << 24, garbage))
        builder.add_ptr(fwd)
    done = dedup(builder.to_btf())
    assert rawtext.dumps(done) == ("[1] FWD 'foo' fwd_kind=struct\n[2] PTR '(anon)' type_id=1\n")


def test_an_ambiguous_enum_forward_means_the_least_definition_in_any_order() -> None:
    text = (
        "[1] ENUM 'e' encoding=UNSIGNED size=4 vlen=1\n\t'b' val=1\n"
        "[2] ENUM 'e' encoding=UNSIGNED size=4 vlen=1\n\t'a' val=1\n"
        "[3] ENUM 'e' encoding=UNSIGNED size=4 vlen=0\n"
        "[4] PTR '(anon)' type_id=3\n"
    )
    btf = assemble.parse(text)
    for order in ([1, 2, 3, 4], [2, 1, 3, 4], [4, 3, 2, 1]):
        done = dedup(permuted(btf, order))
        (pointer,) = [t for i in done.own_ids() if isinstance(t := done.type_by_id(i), k.Ptr)]
        target = done.type_by_id(pointer.type)
        assert isinstance(target, k.Enum)
        assert [v.name for v in target.values] == ["a"]


def test_byte_order_and_header_stay() -> None:
    builder = Builder(byteorder="big", header_len=32, layout=True)
    builder.add_int("int", 4, 1)
    builder.add_int("int", 4, 1)
    done = dedup(builder.to_btf())
    assert done.byteorder == "big"
    assert done.header.hdr_len == 32
    assert done.layout
    assert len(done.offsets) == 1
    little = Btf.parse(with_byteorder(builder.to_btf(), "little"))
    assert rawtext.dumps(dedup(little)) == rawtext.dumps(done)


def test_strings_stay_in_order_of_first_use_and_unused_ones_go() -> None:
    builder = Builder(strings=b"\0unused\0int\0long\0")
    builder.add_int("long", 8, 1)
    builder.add_int("int", 4, 1)
    assert dedup(builder.to_btf()).strings.data == b"\0long\0int\0"


def test_strings_of_several_levels_compare_by_content() -> None:
    base = assemble.parse("[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n")
    own = Builder(None)
    own.add_int("int", 4, 1)
    # The middle level repeats the base's string instead of referring to it.
    words = list(own.to_btf().words)
    middle_builder = Builder(base)
    middle_builder.strings.data += b"int\0"
    words[0] = base.end_str_off
    middle_builder.add_words(words)
    middle = middle_builder.to_btf()
    top = Builder(middle)
    top.add_typedef("t", top.add_int("int", 4, 1))
    assert rawtext.dumps(dedup(top.to_btf())) == "[3] TYPEDEF 't' type_id=1\n"
    assert len(dedup(middle).offsets) == 0


def test_s05_functions_stay_and_what_they_take_is_the_bases() -> None:
    # Row S05, split_module: what a parameter leads to is not duplicated, the FUNC is.
    kernel = (
        "[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n"
        "[2] STRUCT 'sock' size=16 vlen=2\n\t'next' type_id=3 bits_offset=0\n"
        "\t'n' type_id=1 bits_offset=64\n"
        "[3] PTR '(anon)' type_id=2\n[4] TYPEDEF 'sock_t' type_id=2\n"
    )
    base = assemble.parse(kernel)
    copy = rawtext.dumps(_shifted(assemble.parse(kernel), base))
    own = (
        "[9] CONST '(anon)' type_id=8\n[10] PTR '(anon)' type_id=9\n"
        "[11] FUNC_PROTO '(anon)' ret_type_id=5 vlen=2\n\t'sk' type_id=7\n\t'c' type_id=10\n"
        "[12] FUNC 'use' type_id=11 linkage=static\n"
    )
    out = dedup(assemble.parse(copy + own, base))
    (func,) = [t for t in out.own_ids() if out.kind_of(t) == Kind.FUNC]
    (proto,) = out.iter_type_refs(func)
    assert proto >= base.type_cnt
    for target in out.iter_type_refs(proto):
        at = target
        while out.kind_of(at) in (Kind.PTR, Kind.CONST, Kind.TYPEDEF):
            (at,) = out.iter_type_refs(at)
        assert at < base.type_cnt
    assert len(out.offsets) == 4  # CONST, PTR, FUNC_PROTO, FUNC


def _shifted(source: Btf, base: Btf) -> Btf:
    """Return a copy of a BTF's types on top of a base, none of them merged."""
    builder = Builder(base)
    shift = base.type_cnt - 1
    ids = {0: 0, **{t: t + shift for t in source.own_ids()}}
    for type_id in source.own_ids():
        builder.add_copy(source, type_id, ids)
    return builder.to_btf()


def test_what_is_only_above_a_cycle_may_equal_what_is_above_none() -> None:
    base = assemble.parse("[1] PTR '(anon)' type_id=1\n")
    text = (
        "[2] TYPEDEF 't' type_id=1\n[3] PTR '(anon)' type_id=4\n"
        "[4] PTR '(anon)' type_id=4\n[5] TYPEDEF 't' type_id=3\n[6] CONST '(anon)' type_id=5\n"
    )
    left = "[2] TYPEDEF 't' type_id=1\n[3] CONST '(anon)' type_id=2\n"
    assert rawtext.dumps(dedup(assemble.parse(text, base))) == left


def test_a_base_may_hold_a_second_empty_string() -> None:
    int_ = assemble.parse("[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n")
    base = Btf.parse(pack(int_.words, int_.strings.data + b"\0", byteorder="little"))
    text = "[2] STRUCT 's' size=4 vlen=1\n\t'(anon)' type_id=1 bits_offset=0\n"
    once = dedup(assemble.parse(text, base))
    assert rawtext.dumps(once) == text
    assert dedup(once).raw == once.raw


def test_every_id_of_the_source_is_accounted_for() -> None:
    base = assemble.parse("[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n")
    builder = Builder(base)
    builder.add_int("int", 4, 1)
    builder.add_ptr(2)
    builder.add_const(3)
    builder.add_ptr(1)
    done = dedup_with_map(builder.to_btf())
    assert done.ids == [0, 1, 1, 2, 3, 2]


@pytest.mark.parametrize("target", [9, 0xFFFFFFFF])
def test_a_reference_to_nothing_is_an_error(target: int) -> None:
    builder = Builder()
    builder.add_words((0, 2 << 24, target))
    with pytest.raises(BtfFormatError, match=r"type 1 \(PTR\) at .* refers to type") as caught:
        dedup(builder.to_btf())
    assert caught.value.type_id == 1


def test_a_name_outside_of_the_strings_is_an_error() -> None:
    builder = Builder()
    builder.add_words((1000, 7 << 24, 0))
    with pytest.raises(BtfFormatError, match=r"type 1 \(FWD\)"):
        dedup(builder.to_btf())


def test_a_kind_that_is_not_known_is_an_error() -> None:
    btf = Btf.parse(pack([0, 99 << 24, 0], b"\0", layout=bytes(4 * 100)))
    with pytest.raises(BtfFormatError, match="cannot be followed"):
        dedup(btf)


def test_another_bases_index_is_refused() -> None:
    base = Builder().to_btf()
    other = Builder().to_btf()
    with pytest.raises(BtfError, match="another base"):
        dedup_with_map(Builder(base).to_btf(), PreparedBase(other))


def test_a_long_chain_above_a_cycle_takes_linear_time() -> None:
    builder = Builder()
    count = 20_000
    for i in range(count):
        builder.add_ptr(i + 2)
    builder.add_const(1)  # closes the circle, one node unlike the others
    done = dedup(builder.to_btf())
    assert len(done.offsets) == count + 1


def test_many_tags_becoming_ambiguous_one_after_another_take_bounded_time() -> None:
    builder = Builder()
    int_ = builder.add_int("int", 4, 1)
    count = 2000
    for copy in range(2):
        first = builder.type_cnt
        for i in range(count):
            last = i == count - 1
            target = int_ if last else first + 2 * (i + 1)
            builder.add_struct(
                f"s{i}",
                8,
                (k.Member("n" if copy or not last else "m", TypeId(first + 2 * i + 1), 0),),
            )
            builder.add_ptr(target)
    done = dedup(builder.to_btf())
    assert len(done.offsets) == 4 * count  # the last pointers are one


def test_a_base_full_of_duplicates_takes_the_long_way() -> None:
    builder = Builder()
    for _ in range(300):
        builder.add_ptr(builder.add_int("int", 4, 1))
    base = builder.to_btf()
    with pytest.raises(BaseNotMinimal):
        PreparedBase(base).fork(base)
    split = Builder(base)
    split.add_typedef("t", split.add_ptr(599))
    assert rawtext.dumps(dedup(split.to_btf())) == f"[{base.type_cnt}] TYPEDEF 't' type_id=2\n"


@pytest.mark.parametrize("before", [0, 5000])
def test_duplicates_of_a_base_are_found_next_to_each_other_and_apart(before: int) -> None:
    """``before`` types make ids that are searched for by their higher bytes."""
    builder = Builder()
    int_ = builder.add_int("int", 4, 1)
    for number in range(before):
        builder.add_typedef(f"t{number}", int_)
    twice = [[builder.add_array(int_, int_, 1 + n) for n in range(4)] for _ in range(2)]
    pointers = [[builder.add_ptr(array) for array in copy] for copy in twice]
    far = builder.add_array(int_, int_, 1)
    builder.add_typedef("last", far)
    base = builder.to_btf()
    split = Builder(base)
    for copy in pointers:
        for pointer in copy:
            split.add_const(pointer)
    split.add_ptr(far)
    btf = split.to_btf()
    found = split_representatives(btf, base)[1]
    assert found == whole_representatives(btf)[1]
    consts = list(btf.own_ids())[:4]
    assert found == [*consts, *consts, pointers[0][0]]


@pytest.mark.parametrize("names", [("f", "g"), ("f", "f")])
def test_functions_of_the_base_are_found_if_a_split_has_them(names: tuple[str, str]) -> None:
    builder = Builder()
    int_ = builder.add_int("int", 4, 1)
    protos = [builder.add_func_proto(0, ()), builder.add_func_proto(int_, ())]
    functions = [builder.add_func(n, 0, p) for n, p in zip(names, protos, strict=True)]
    base = builder.to_btf()
    split = Builder(base)
    proto = split.add_func_proto(int_, ())
    split.add_func(names[1], 0, proto)
    split.add_func("h", 0, proto)
    split.add_decl_tag("tag", proto + 1, -1)
    btf = split.to_btf()
    assert split_representatives(btf, PreparedBase(base))[1] == [
        protos[1],
        functions[1],
        proto + 2,
        proto + 3,
    ]
