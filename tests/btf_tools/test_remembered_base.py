"""What a verb keeps of a base changes no later verb's answer, whatever was kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from btfdbg.btf import Btf
from btfdbg.btf import btf as module
from btfdbg.btf.pack import pack
from btfdbg.btf.text import assemble
from btfdbg.cache import NO_CACHE_VARIABLE
from btfdbg.cli.btf import remembered
from btfdbg.cli.main import main
from btfdbg.errors import BtfFormatError
from tests.btf.samples import EVERY_KIND, SPLIT

DATA = bytes(assemble.parse(EVERY_KIND).raw)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(NO_CACHE_VARIABLE, raising=False)
    monkeypatch.setattr(remembered, "_LARGE", 0)
    return tmp_path / "btfdbg"


def _entries(cache: Path) -> list[Path]:
    return sorted(cache.iterdir()) if cache.exists() else []


def _same(made: Btf, wanted: Btf) -> None:
    assert list(made.offsets) == list(wanted.offsets)
    assert made.own_heads() == wanted.own_heads()
    assert bytes(made.raw) == bytes(wanted.raw)
    assert made.layout == wanted.layout


def test_the_second_verb_makes_no_index(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Btf.parse(DATA)
    _same(remembered.parse(DATA), wanted)
    assert len(_entries(cache)) == 1

    def never(*_: object) -> None:
        raise AssertionError("this was known")

    monkeypatch.setattr(module, "record_offsets", never)
    _same(remembered.parse(DATA), wanted)


def test_other_words_under_the_same_header_are_looked_at_anew(cache: Path) -> None:
    remembered.parse(DATA)
    other = DATA[:32] + bytes([DATA[32] ^ 6]) + DATA[33:]  # the size of the first type
    _same(remembered.parse(other), Btf.parse(other))
    _same(remembered.parse(DATA), Btf.parse(DATA))


def test_a_layout_that_says_otherwise_is_looked_at_anew() -> None:
    """Where a record ends may depend on the layout section alone."""
    kind = 100
    words = [0, kind << 24 | 1, 0, 0, kind << 24, 0]  # one of 3 words and one, or two of 3

    def blob(info: int, elem: int) -> bytes:
        rows = bytearray(4 * (kind + 1))
        rows[4 * kind : 4 * kind + 2] = bytes((info, elem))
        return pack(words, b"\0", header_len=32, layout=bytes(rows))

    plain = blob(0, 0)
    assert len(Btf.parse(plain).offsets) == 2
    long = blob(0, 12)
    assert len(long) == len(plain)
    assert len(Btf.parse(long).offsets) == 1
    for data in (plain, long, plain, long):
        _same(remembered.parse(data), Btf.parse(data))


def test_damage_to_the_entry_changes_no_answer(cache: Path) -> None:
    wanted = Btf.parse(DATA)
    remembered.parse(DATA)
    (entry,) = _entries(cache)
    good = entry.read_bytes()
    for at in range(0, len(good), 7):
        entry.write_bytes(good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :])
        _same(remembered.parse(DATA), wanted)
        entry.write_bytes(good[:at])
        _same(remembered.parse(DATA), wanted)


def test_nothing_is_kept_of_what_is_small_malformed_or_not_wanted(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BtfFormatError, match="magic"):
        remembered.parse(b"not BTF" * 8)
    with pytest.raises(BtfFormatError, match="kind 0 cannot"):
        remembered.parse(DATA[:28] + bytes(4) + DATA[32:])
    with monkeypatch.context() as patch:
        patch.setenv(NO_CACHE_VARIABLE, "1")
        _same(remembered.parse(DATA), Btf.parse(DATA))
        patch.undo()
        patch.setattr(remembered, "_LARGE", len(DATA))
        _same(remembered.parse(DATA), Btf.parse(DATA))
    assert _entries(cache) == []


def test_verbs_write_the_same_with_what_is_kept(cache: Path, tmp_path: Path) -> None:
    below = assemble.parse(EVERY_KIND)
    base, split, out = (tmp_path / name for name in ("base", "split", "out"))
    base.write_bytes(below.raw)
    split.write_bytes(assemble.parse(SPLIT, below).raw)
    written = []
    for _ in range(2):
        for verb in ("distill", "dedup"):
            assert main(["btf", verb, str(split), "-B", str(base), "-o", str(out)]) == 0
            written.append(out.read_bytes())
    assert len(_entries(cache)) == 1
    assert written[:2] == written[2:]
