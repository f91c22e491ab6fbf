"""What an earlier run kept gives the answers that are found anew, over a kernel's names.

``BTFDBG_EVERY_NAME=1`` asks for every name of the bundled dumps, ``BTFDBG_EVERY_NAME=CORE:CORE``
of these instead (two minutes of CPU for each kernel); else a few hundred are asked.
"""

from __future__ import annotations

import pytest

import btfdbg
from btfdbg.btf import Btf, Kind, TypeId, kinds
from btfdbg.btf import known as known_types
from btfdbg.btf.encoder import enum_meaning
from btfdbg.btf.enumerators import NamedValue, find_enumerators
from btfdbg.btf.known import KnownNames, RecordIndex
from btfdbg.kallsyms import KallsymsTable
from btfdbg.kallsyms import known as known_symbols
from btfdbg.kallsyms.known import Positions
from btfdbg.program.session import Session
from tests.program.every_name import DUMPS, IS_EVERY_NAME

STEP = 1 if IS_EVERY_NAME else 400
_KINDS = (None, (Kind.STRUCT,), (Kind.UNION, Kind.STRUCT), (Kind.TYPEDEF,), (Kind.VAR,))


@pytest.fixture(scope="module", params=DUMPS, ids=[path.name for path in DUMPS])
def session(request: pytest.FixtureRequest) -> Session:
    return btfdbg.session(btfdbg.program_from_core_dump(request.param))


class _Truth:
    """Every name's types and enumerators, by one look at every type."""

    def __init__(self, btf: Btf) -> None:
        self.types: dict[str, list[tuple[int, int]]] = {}
        self.values: dict[str, list[NamedValue]] = {}
        for type_id in btf.own_ids():
            kind = btf.kind_of(type_id)
            self.types.setdefault(btf.name_of(type_id), []).append((type_id, kind))
            if kind in (Kind.ENUM, Kind.ENUM64):
                found = btf.type_by_id(type_id)
                assert isinstance(found, (kinds.Enum, kinds.Enum64))
                for value in enum_meaning(btf, found).values:
                    of_name = self.values.setdefault(value.name, [])
                    of_name.append(NamedValue(TypeId(type_id), value.value))

    def of(self, names: list[str]) -> list[object]:
        found: list[object] = [
            tuple(i for i, kind in self.types.get(name, ()) if wanted is None or kind in wanted)
            for name in names
            for wanted in _KINDS
        ]
        return found + [tuple(self.values.get(name, ())) for name in names]


def _types(btf: Btf, names: list[str]) -> list[object]:
    found: list[object] = [btf.own_ids_by_name(name, k) for name in names for k in _KINDS]
    return found + [find_enumerators(btf, name) for name in names]


def test_types_and_enumerators(session: Session) -> None:
    raw = bytes(session.vmlinux.raw)
    fresh = Btf.parse(raw)
    index = RecordIndex.unpack(memoryview(RecordIndex.pack(fresh)))
    assert list(Btf.parse(raw, index=index).offsets) == list(fresh.offsets)
    truth = _Truth(fresh)
    names = sorted({*truth.types, *truth.values} - {""})[::STEP]
    asked = [*names, *(f"{name}_absent" for name in names[::10]), "sched_ent", "__"]
    size = known_types.MAX_NAMES // (len(_KINDS) + 1)
    for first in range(0, len(asked), size):
        part = asked[first : first + size]
        wanted = truth.of(part)
        before, after = Btf.parse(raw, index=index), Btf.parse(raw, index=index)
        before.known_names = KnownNames()
        # By search at first, and by tables once enough was asked.
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
