"""What holds for any BTF, and for any bytes."""

from __future__ import annotations

from typing import Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from btfdbg.btf import Btf, Builder, kinds
from btfdbg.btf.order import named_start_id, permute, sort_by_name
from btfdbg.btf.pack import with_byteorder
from btfdbg.btf.text.assemble import assemble
from btfdbg.btf.text.jsondump import dump_json, load_json
from btfdbg.btf.text.rawtext import dumps
from btfdbg.btf.validate.validate import check
from btfdbg.errors import BtfFormatError
from tests.btf.exercise import ask_everything, exercise
from tests.btf.samples import EVERY_KIND, SPLIT
from tests.btf.strategies import DAMAGE, FORMS, GRAPHS, damage
from tests.btf.verbs import exercise_verbs

Form = tuple[int, bool, Literal["little", "big"]]


def build(types: list[kinds.Type], form: Form = (24, False, "little")) -> bytes:
    header_len, layout, byteorder = form
    builder = Builder(header_len=header_len, layout=layout, byteorder=byteorder)
    for type_ in types:
        builder.add(type_)
    return builder.build()


@given(GRAPHS, FORMS)
def test_what_was_built_is_what_is_parsed(types: list[kinds.Type], form: Form) -> None:
    data = build(types, form)
    btf = Btf.parse(data)
    assert btf.type_cnt == len(types) + 1
    builder = Builder.like(btf, types=False)
    for type_id, type_ in enumerate(types, 1):
        try:
            assert btf.type_by_id(type_id) == type_
        except BtfFormatError:  # refers to what does not exist
            builder.add(type_)
        else:
            builder.add(btf.type_by_id(type_id))
    assert builder.build() == data
    assert Builder.like(btf).build() == data


@given(GRAPHS, FORMS)
def test_raw_text_is_lossless(types: list[kinds.Type], form: Form) -> None:
    data = build(types, form)
    btf = Btf.parse(data)
    assert assemble(dumps(btf, exact=True)) == data
    text = dumps(btf)
    assert dumps(Btf.parse(assemble(text))) == text


@given(GRAPHS, FORMS)
def test_json_is_lossless(types: list[kinds.Type], form: Form) -> None:
    data = build(types, form)
    assert load_json("".join(dump_json(Btf.parse(data)))) == data


@given(GRAPHS, FORMS)
def test_swapping_twice_changes_nothing(types: list[kinds.Type], form: Form) -> None:
    data = build(types, form)
    btf = Btf.parse(data)
    swapped = Btf.parse(with_byteorder(btf, "big" if form[2] == "little" else "little"))
    assert dumps(swapped) == dumps(btf)
    assert with_byteorder(swapped, form[2]) == data


@given(GRAPHS)
def test_sorting_is_idempotent_and_sorted(types: list[kinds.Type]) -> None:
    btf = Btf.parse(build(types))
    once = Btf.parse(sort_by_name(btf))
    assert sort_by_name(once) == bytes(once.raw)
    named = [i for i in once.ids() if once.name_of(i)]
    assert named_start_id(once) == (named[0] if named else 0)


@given(GRAPHS, st.randoms(use_true_random=False))
def test_permuting_back_changes_nothing(types: list[kinds.Type], random: object) -> None:
    from random import Random

    assert isinstance(random, Random)
    btf = Btf.parse(build(types))
    order = list(btf.own_ids())
    random.shuffle(order)
    back = [0] * len(order)
    for old, new in enumerate(order, 1):
        back[new - 1] = old
    there = Btf.parse(permute(btf, [0, *order]))
    assert permute(there, [0, *back]) == bytes(btf.raw)


@given(GRAPHS, GRAPHS)
def test_split_is_read_as_if_it_were_one(below: list[kinds.Type], above: list[kinds.Type]) -> None:
    base = Btf.parse(build(below))
    builder = Builder(base)
    for type_ in above:
        builder.add(type_)
    split = builder.to_btf()
    whole = Btf.parse(build([*below, *above]))
    assert base.words.tolist() + split.words.tolist() == whole.words.tolist()
    assert base.strings.data + split.strings.data == whole.strings.data
    for name in {"a", "int", "node"}:
        assert split.types_by_name(name) == whole.types_by_name(name)


@given(GRAPHS)
def test_any_graph_can_be_asked_anything(types: list[kinds.Type]) -> None:
    ask_everything(Btf.parse(build(types)))


@given(GRAPHS, st.booleans())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_graph_can_be_put_through_every_verb(types: list[kinds.Type], split: bool) -> None:
    builder = Builder(BASE if split else None)
    for type_ in types:
        builder.add(type_)
    exercise_verbs(builder.to_btf())


def test_variable_of_a_type_that_does_not_exist_is_put_through_every_verb() -> None:
    for text in ("[1] VAR 'v' type_id=9, linkage=static\n", "[1] FUNC 'f' type_id=9\n"):
        exercise_verbs(Btf.parse(assemble(text)))


@given(GRAPHS)
def test_any_graph_can_be_checked(types: list[kinds.Type]) -> None:
    data = build(types)
    strict = list(check(data))
    assert len(list(check(data, level="kernel"))) <= len(strict)
    for problem in strict:
        assert problem.type_id is None or 0 < problem.type_id <= len(types)


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_answered(data: bytes) -> None:
    exercise(data)


@given(st.binary(max_size=200), st.booleans())
def test_garbage_after_a_header_is_refused_or_answered(data: bytes, big: bool) -> None:
    head = bytearray(build([], (24, False, "big" if big else "little"))[:24])
    order: Literal["little", "big"] = "big" if big else "little"
    length = len(data) // 2 // 4 * 4
    head[12:16] = head[16:20] = length.to_bytes(4, order)
    head[20:24] = (len(data) - length).to_bytes(4, order)
    exercise(bytes(head) + data)


@given(GRAPHS, FORMS, DAMAGE)
@settings(max_examples=300)
def test_damaged_btf_is_refused_or_answered(
    types: list[kinds.Type], form: Form, wounds: list[tuple[float, bytes]]
) -> None:
    exercise(damage(build(types, form), wounds))


BASE = Btf.parse(assemble(EVERY_KIND))
EVERY = assemble(EVERY_KIND)
TOP = assemble(SPLIT, BASE)


@given(DAMAGE)
@settings(max_examples=300)
def test_every_kind_damaged_is_refused_or_answered(wounds: list[tuple[float, bytes]]) -> None:
    exercise(damage(EVERY, wounds))


@given(DAMAGE)
def test_split_damaged_is_refused_or_answered(wounds: list[tuple[float, bytes]]) -> None:
    exercise(damage(TOP, wounds), BASE)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_any_text_is_assembled_or_refused(text: str) -> None:
    try:
        data = assemble(text)
    except BtfFormatError:
        return
    exercise(data)


LINES = EVERY_KIND.split("\n")


@given(
    st.lists(
        st.tuples(
            st.integers(0, len(LINES) - 1),
            st.integers(0, 60),
            st.sampled_from(["", "'", " ", "=", "9", "\t", "x", "-", "4294967296", "kflag=1 "]),
        ),
        min_size=1,
        max_size=4,
    )
)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_damaged_text_is_assembled_or_refused(wounds: list[tuple[int, int, str]]) -> None:
    lines = list(LINES)
    for line, at, what in wounds:
        text = lines[line]
        lines[line] = text[:at] + what + text[at + (not what) :]
    try:
        data = assemble("\n".join(lines))
    except BtfFormatError:
        return
    exercise(data)
