"""All names of a table as one text, and the symbols that a search of it finds."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from btfdbg.kallsyms import Sym
from btfdbg.kallsyms.all_names import AllNames, pieces_of_names
from btfdbg.kallsyms.model import text_of
from btfdbg.kallsyms.names import split_block, text_codes
from btfdbg.program.attach import register
from btfdbg.program.session import Session
from btfdbg.vmcore.open import open_core
from tests.conftest import bundled_dumps
from tests.program.support import Table

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
