"""A kernel's BTF is indexed once; no other blob is taken for it."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from btfdbg.btf import Btf, Kind
from btfdbg.btf import btf as module
from btfdbg.btf.text import assemble
from btfdbg.cache import Cache
from btfdbg.errors import BtfFormatError
from btfdbg.program import remembered_btf
from tests.btf.samples import EVERY_KIND

DATA = bytes(assemble.parse(EVERY_KIND).raw)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(str(tmp_path / "cache" / "btfdbg"))


def _entries(cache: Cache) -> dict[str, bytes]:
    assert cache.folder is not None
    return {path.name: path.read_bytes() for path in Path(cache.folder).iterdir()}


def test_the_second_look_makes_no_index_and_searches_no_name(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = remembered_btf.parse(DATA, "ab", cache)
    wanted = first.own_ids_by_name("node", (Kind.STRUCT,)), first.own_ids_by_name("absent")
    offsets = list(first.offsets)
    del first
    gc.collect()
    assert len(_entries(cache)) == 2

    def never(*_: object) -> None:
        raise AssertionError("this was known")

    monkeypatch.setattr(module, "record_offsets", never)
    monkeypatch.setattr("btfdbg.btf.names.NameIndex._find", never)
    second = remembered_btf.parse(DATA, "ab", cache)
    assert list(second.offsets) == offsets
    assert wanted == (second.own_ids_by_name("node", (Kind.STRUCT,)), ()) != ((), ())
    assert second.own_ids_by_name("absent") == ()


def test_other_bytes_of_the_same_build_id_are_looked_at_anew(cache: Cache) -> None:
    """A crafted dump may say that it is of any kernel."""
    first = remembered_btf.parse(DATA, "ab", cache)
    assert first.own_ids_by_name("node_t")
    del first
    gc.collect()
    other = DATA.replace(b"node_t\0", b"tnode_\0")
    assert len(other) == len(DATA)
    crafted = remembered_btf.parse(other, "ab", cache)
    assert crafted.own_ids_by_name("node_t") == ()
    assert crafted.own_ids_by_name("tnode_") != ()
    del crafted
    gc.collect()
    again = remembered_btf.parse(DATA, "ab", cache)
    assert again.own_ids_by_name("tnode_") == ()
    assert again.own_ids_by_name("node_t") != ()


def test_damage_to_entries_changes_no_answer(cache: Cache) -> None:
    plain = Btf.parse(DATA)
    first = remembered_btf.parse(DATA, "ab", cache)
    assert first.own_ids_by_name("node")
    del first
    gc.collect()
    for name, good in _entries(cache).items():
        path = Path(cache.folder or "", name)
        for at in range(0, len(good), 7):
            path.write_bytes(good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :])
            btf = remembered_btf.parse(DATA, "ab", cache)
            btf.known_names = None  # nothing is stored for it
            assert list(btf.offsets) == list(plain.offsets)
            assert btf.own_ids_by_name("node") == plain.own_ids_by_name("node")
        path.write_bytes(good)


def test_malformed_bytes_are_told_as_ever_and_not_kept(cache: Cache) -> None:
    with pytest.raises(BtfFormatError):
        remembered_btf.parse(DATA[:-8], "ab", cache)
    assert cache.folder is not None
    assert not Path(cache.folder).exists()


def test_without_a_cache_it_is_a_plain_parse() -> None:
    btf = remembered_btf.parse(DATA, "ab", Cache(None))
    assert btf.known_names is None
    assert list(btf.offsets) == list(Btf.parse(DATA).offsets)
