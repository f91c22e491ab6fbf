"""What an earlier run kept gives the answers that are found anew, over a kernel's names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import btfdbg
from btfdbg.btf import Btf, Kind, kinds
from btfdbg.btf import known as known_types
from btfdbg.btf.enumerators import find_enumerators
from btfdbg.btf.known import KnownNames, RecordIndex
from btfdbg.kallsyms import KallsymsTable
from btfdbg.kallsyms import known as known_symbols
from btfdbg.kallsyms.known import Positions
from btfdbg.program.session import Session
from tests.conftest import bundled_dumps

DUMPS = [path for path, _ in bundled_dumps()]
# Every name takes an hour of CPU; without the variable a few hundred are asked.
STEP = 1 if os.environ.get("BTFDBG_EVERY_NAME") else 400
_KINDS = (None, (Kind.STRUCT,), (Kind.UNION, Kind.STRUCT), (Kind.TYPEDEF,), (Kind.VAR,))


@pytest.fixture(scope="module", params=DUMPS, ids=[path.name for path in DUMPS])
def session(request: pytest.FixtureRequest) -> Session:
    core: Path = request.param
    return btfdbg.session(btfdbg.program_from_core_dump(core))


def _types(btf: Btf, names: list[str]) -> list[object]:
    found: list[object] = [btf.own_ids_by_name(name, k) for name in names for k in _KINDS]
    return found + [find_enumerators(btf, name) for name in names]


def test_types_and_enumerators(session: Session) -> None:
    raw = bytes(session.vmlinux.raw)
    fresh = Btf.parse(raw)
    index = RecordIndex.unpack(memoryview(RecordIndex.pack(fresh)))
    assert list(Btf.parse(raw, index=index).offsets) == list(fresh.offsets)
    names: set[str] = set()
    for type_id in fresh.own_ids():
        names.add(fresh.name_of(type_id))
        if fresh.kind_of(type_id) in (Kind.ENUM, Kind.ENUM64):
            found = fresh.type_by_id(type_id)
            assert isinstance(found, (kinds.Enum, kinds.Enum64))
            names.update(value.name for value in found.values)
    asked = [*sorted(names)[::STEP], "absent", "sched_ent", "__"]
    size = known_types.MAX_NAMES // (len(_KINDS) + 1)
    for first in range(0, len(asked), size):
        part = asked[first : first + size]
        wanted = _types(fresh, part)
        before, after = Btf.parse(raw), Btf.parse(raw, index=index)
        before.known_names = KnownNames()
        assert _types(before, part) == wanted
        after.known_names = KnownNames.unpack(before.known_names.pack())
        assert _types(after, part) == wanted
        assert not after.known_names.is_new  # nothing was searched


def test_symbols(session: Session) -> None:
    table = session.symbols
    assert isinstance(table, KallsymsTable)
    read = session.prog.read
    fresh = KallsymsTable(read, table.layout, table.source)
    names = sorted(set(table.names()))[::STEP]
    asked = [*names, *(f"{name}_absent" for name in names[::10]), "a", "zzzz", "_"]
    size = known_symbols.MAX_NAMES // 2
    for first in range(0, len(asked), size):
        part = asked[first : first + size]
        wanted = [fresh.by_name(name) for name in part]
        positions = Positions()
        for _ in range(2):
            again = KallsymsTable(read, table.layout, table.source)
            again.remember(positions)
            assert [again.by_name(name) for name in part] == wanted
            positions = Positions.unpack(positions.pack())
