"""A name of the modules' types is searched for first, and indexed when many were asked."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

import btfdbg
from btfdbg.btf import Btf, Kind, kinds
from btfdbg.program import module_index
from btfdbg.program.convert import TypeConverter
from btfdbg.program.module_index import ModuleIndex
from btfdbg.program.session import Session

CORE = Path(__file__).resolve().parents[2] / "corefiles" / "6.12-amd64-null.vmcore"
_WANTED = (
    (Kind.STRUCT,),
    (Kind.UNION, Kind.STRUCT),
    (Kind.TYPEDEF,),
    (Kind.ENUM, Kind.ENUM64, Kind.INT),
    (Kind.FUNC,),
)


@pytest.fixture(scope="module")
def session() -> Session:
    return btfdbg.session(btfdbg.program_from_core_dump(CORE))


def _names(btfs: list[Btf]) -> list[str]:
    types: set[str] = set()
    values: set[str] = set()
    for btf in btfs:
        for type_id in btf.own_ids():
            if btf.kind_of(type_id) in module_index._INDEXED:
                types.add(btf.name_of(type_id))
            found = btf.type_by_id(type_id)
            if isinstance(found, (kinds.Enum, kinds.Enum64)):
                values.update(v.name for v in found.values)
    rng = Random(20)
    return [
        *rng.sample(sorted(types), 250),
        *rng.sample(sorted(values), 100),
        "task_struct", "list_head", "int", "absent", "", "a\0b", "\udcff", "\N{SNOWMAN}",
    ]  # fmt: skip


def _answers(index: ModuleIndex, names: list[str]) -> list[object]:
    return [
        [
            *([(d.converter, d.type_id) for d in index.types(name, w)] for w in _WANTED),
            index.enumerators(name),
        ]
        for name in names
    ]


def test_searching_and_an_index_say_the_same(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert session.module_btfs is not None
    converters: list[TypeConverter] = list(session.module_btfs.converters())
    assert len(converters) > 20
    names = _names([converter.btf for converter in converters])
    monkeypatch.setattr(module_index, "_INDEX_AFTER", 1 << 30)
    searched = _answers(ModuleIndex(converters), names)
    monkeypatch.setattr(module_index, "_INDEX_AFTER", 0)
    indexed = _answers(ModuleIndex(converters), names)
    assert searched == indexed
    assert sum(bool(found) for answer in indexed for found in answer) > 300  # type: ignore[attr-defined]


def test_after_some_questions_it_is_an_index(session: Session) -> None:
    assert session.module_btfs is not None
    index = ModuleIndex(session.module_btfs.converters())
    answers = [index.types("xfs_mount", (Kind.STRUCT,)) for _ in range(40)]
    assert index._is_made
    assert all(answer == answers[0] != [] for answer in answers)
