"""Many records at once: the same as one after the other, errors included."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from btfdbg.btf import Btf
from btfdbg.btf.records import PLACES, Records, own_copied, own_targets, refs
from btfdbg.btf.roles import Roles, ids_among, names_in
from btfdbg.btf.string_table import StringTable
from btfdbg.btf.text.assemble import assemble
from btfdbg.errors import BtfFormatError
from tests.btf_tools.graphs import build, random_types

from .samples import EVERY_KIND


def test_roles_are_what_the_layouts_say() -> None:
    btf = Btf.parse(assemble(EVERY_KIND))
    for type_id in btf.own_ids():
        words = btf.record(type_id)
        roles = Roles().of([words[1]])
        ids = [word for word, is_id in zip(words, ids_among(roles), strict=True) if is_id]
        assert sorted(ids) == sorted(refs(words.tolist(), PLACES[btf.kind_of(type_id)]))
        assert list(names_in(words, roles)) == [btf.words[at] for at in btf.str_ref_words(type_id)]


@pytest.mark.parametrize("seed", range(20))
def test_all_own_types_are_copied_as_one_by_one(seed: int) -> None:
    rng = random.Random(seed)
    base = build(random_types(rng, 20, 1))
    split = build(random_types(rng, 120, base.type_cnt), base)
    ids = list(range(split.type_cnt))
    rng.shuffle(ids)
    together, single = Records(base, split), Records(base, split)
    together.copy_own(split, ids)
    for type_id in split.own_ids():
        single.copy(split, type_id, ids)
    assert together.pack() == single.pack()
    assert together.type_cnt == single.type_cnt
    mentioned = [int(t) for i in split.own_ids() for t in split.iter_type_refs(i)]
    assert own_targets(split) == list(dict.fromkeys(mentioned))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda words: words.__setitem__(2, 99), "refers to type 99, last type is 2"),
        (lambda words: words.__setitem__(0, 9999), "no string at offset 0x270f"),
    ],
)
def test_of_a_wrong_record_the_error_is_its_own(
    damage: Callable[[list[int]], None], message: str
) -> None:
    good = Btf.parse(assemble("[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n"
                              "[2] TYPEDEF 't' type_id=1\n"))  # fmt: skip
    words = good.words.tolist()
    record = words[4:]
    damage(record)
    words[4:] = record
    raw = bytearray(good.raw)
    start = good.type_section_offset
    raw[start : start + 4 * len(words)] = b"".join(w.to_bytes(4, "little") for w in words)
    bad = Btf.parse(bytes(raw))
    records = Records(None, bad)
    with pytest.raises(BtfFormatError, match=rf"type 2 \(TYPEDEF\).*{message}"):
        records.copy_own(bad, range(bad.type_cnt))
    with pytest.raises(BtfFormatError, match=r"type 2 \(TYPEDEF\)"):
        own_copied(bad, records.string_map(bad), range(bad.type_cnt))


@pytest.mark.parametrize("count", [3, 300])
def test_strings_added_at_once_are_where_they_would_be_one_by_one(count: int) -> None:
    rng = random.Random(count)
    names = [b"%d" % rng.randrange(count) for _ in range(2 * count)] + [b""]
    below = build(random_types(rng, 30, 1))
    for sections in ((), ((below.strings, 0),)):
        some = StringTable(sections), StringTable(sections)
        for table in some:
            table.add(b"7")
        assert some[0].add_all(names) == [some[1].add(name) for name in names]
        assert some[0].data == some[1].data
        assert some[0].add(b"a new one") == some[1].add(b"a new one")
