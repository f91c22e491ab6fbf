"""All names of a table as one text, and the symbols that a search of it finds."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

import pytest

from btfdbg.cache import Cache, CacheKey
from btfdbg.kallsyms import KallsymsTable, Sym, all_names, load
from btfdbg.kallsyms.all_names import AllNames, KeptText, pieces_of_names
from btfdbg.kallsyms.model import text_of
from btfdbg.kallsyms.names import split_block, text_codes
from btfdbg.program.attach import register
from btfdbg.program.session import Session
from btfdbg.vmcore.open import open_core
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo
from tests.conftest import bundled_dumps
from tests.program.support import Table

from .encoder import STYLES, Image, make_image, some_symbols

DUMPS = [path for path, _ in bundled_dumps()]
IDS = [path.name for path in DUMPS]


@cache
def session_of(path: Path) -> Session:
    prog, info = open_core(path)
    return register(prog, None, info)


@pytest.mark.parametrize("path", DUMPS, ids=IDS)
def test_the_text_has_every_name_of_the_table_in_its_order(path: Path) -> None:
    table = session_of(path).symbols
    assert table is not None
    text = "".join(pieces_of_names(table))
    assert text == "\n" + "".join(f"{name}\n" for name in table.names())
    assert text.count("\n") == table.count + 1


@pytest.mark.parametrize("part", ["vfs_read", "sched_", "x", "no such", "ü", "a\nb"])
def test_what_contains_a_text_is_what_a_look_at_every_symbol_finds(part: str) -> None:
    table = session_of(DUMPS[0]).symbols
    assert table is not None
    found = list(AllNames.of(table).containing(part))
    assert found == [sym for sym in table if part in sym.name]
    assert bool(found) == (part in ("vfs_read", "sched_", "x"))


def test_a_text_that_lost_names_gives_no_wrong_symbol() -> None:
    table = session_of(DUMPS[0]).symbols
    assert table is not None
    lost = "".join(pieces_of_names(table)).replace("\nvfs_read\n", "\n", 1)
    found = [sym.name for sym in AllNames(table, lost).containing("vfs_read")]
    assert found == [sym.name for sym in table if "vfs_read" in sym.name]


def test_any_table_can_be_searched() -> None:
    table = Table(Sym("alpha", 1, 1, "T"), Sym("beta", 2, 1, "T"), Sym("alphabet", 3, 1, "T"))
    names = AllNames.of(table)
    assert names.text == "\nalpha\nbeta\nalphabet\n"
    assert [sym.address for sym in names.containing("alpha")] == [1, 3]
    assert [sym.address for sym in names.containing("")] == [1, 2, 3]


_TOKENS = tuple(
    b"t" if i == 1 else b"D_" if i == 2 else b"\xfflost" if i == 3 else bytes([i]) * (i % 4)
    for i in range(256)
)


@pytest.mark.parametrize(
    "codes",
    [
        [b"\x01abc", b"\x02", b"\x02\x01\x02", b"\x03\x03"],
        [b"\x01" + bytes(range(10, 256)), b"\x02x", bytes([255]) * 127, bytes([254, 1]) * 64],
        [b"\x04\x04", b"\x80\xff\xfe"],
    ],
    ids=["short", "long", "beyond ASCII"],
)
def test_a_block_is_the_text_of_each_of_its_names(codes: list[bytes]) -> None:
    data = b"".join(
        bytes([n]) + code if n < 0x80 else bytes([n & 0x7F | 0x80, n >> 7]) + code
        for code in codes
        for n in [len(code)]
    )
    block = split_block(data, len(codes), wide=True)
    assert block is not None
    # The first letter of a name's first token is its type.
    assert block.text(text_codes(_TOKENS)) == "".join(
        "\n" + text_of(_TOKENS[code[0]][1:]) + text_of(b"".join(_TOKENS[b] for b in code[1:]))
        for code in codes
    )
    assert [block.tokens(i) for i in range(len(codes))] == codes


# What an earlier run kept


@pytest.fixture
def kept(tmp_path: Path) -> Cache:
    return Cache(str(tmp_path / "cache"))


def _never(*_: object) -> Iterator[str]:
    raise AssertionError("this was known")


def _image(seed: int = 1) -> Image:
    style = STYLES["6.12 x86"]
    return make_image(some_symbols(Random(seed), 3000, style), style)


def _table(image: Image, lost: bool = False) -> KallsymsTable:
    if lost:
        image.lost.add(image.where["kallsyms_names"] // 4096 + 1)
    table = load(image.read, VmcoreInfo.parse(image.vmcoreinfo()), image.style.byteorder)
    assert isinstance(table, KallsymsTable)
    return table


def test_the_text_is_expanded_once_for_all_runs(
    kept: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = AllNames.of(_table(_image())).text
    assert AllNames.of(_table(_image()), kept).text == wanted
    monkeypatch.setattr(all_names, "pieces_of_names", _never)
    assert AllNames.of(_table(_image()), kept).text == wanted
    assert wanted.count("\n") > 3000


def test_another_kernels_text_is_not_taken(kept: Cache) -> None:
    first, other = AllNames.of(_table(_image()), kept), AllNames.of(_table(_image(2)), kept)
    assert other.text == AllNames.of(_table(_image(2))).text != first.text
    # One byte of one name: the tables say nothing of it, and it is another text.
    image = _image()
    at = image.where["kallsyms_names"] + 2
    now = image.read(at, 1)
    image.poke(at, next(b"%c" % b for b in image.read(at + 1, 400) if b"%c" % b != now))
    assert AllNames.of(_table(image), kept).text == AllNames.of(_table(image)).text != first.text


def test_a_text_with_a_hole_is_neither_kept_nor_found(kept: Cache) -> None:
    whole = AllNames.of(_table(_image()), kept).text
    table = _table(_image(), lost=True)
    assert AllNames.of(table, kept).text == AllNames.of(_table(_image(), lost=True)).text != whole
    assert whole.count("\n") > AllNames.of(table).text.count("\n") > 1
    assert kept.folder is not None
    assert len(list(Path(kept.folder).iterdir())) == 1


def test_a_damaged_text_is_expanded_anew(kept: Cache) -> None:
    wanted = AllNames.of(_table(_image()), kept).text
    assert kept.folder is not None
    (path,) = Path(kept.folder).iterdir()
    good = path.read_bytes()
    for at in range(0, len(good), 997):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :])
        assert AllNames.of(_table(_image()), kept).text == wanted
    table = _table(_image())
    source = table.source_of_names()
    assert source is not None
    key = CacheKey.of("", sizes=(table.count,), pages=source)
    text = wanted.encode()
    for bad in (
        b"",
        b"x",
        zlib.compress(b""),
        zlib.compress(text[1:]),
        zlib.compress(text[:-1]),
        zlib.compress(text + b"more\n"),
        zlib.compress(text)[:-9],
        zlib.compress(b"\n\xff" + text[2:]),
    ):
        assert kept.store(key, "kallsyms-text-1", bad)
        assert KeptText(table, kept).load() is None
        assert AllNames.of(table, kept).text == wanted


def test_an_entry_that_unpacks_to_too_much_is_none(
    kept: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = AllNames.of(_table(_image()), kept).text
    monkeypatch.setattr(all_names, "_MAX_TEXT", len(wanted) - 1)
    assert KeptText(_table(_image()), kept).load() is None
    monkeypatch.undo()
    assert AllNames.of(_table(_image()), kept).text == wanted
