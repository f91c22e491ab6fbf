"""Variables that share a name: each is found by its place, and all are told where one is given."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import drgn
import pytest

import btfdbg
from btfdbg.commands import evaluate, namespace
from btfdbg.frames.types import Types
from btfdbg.program import annotate, placed
from btfdbg.program.session import Session
from btfdbg.repl.complete import python as completion
from btfdbg.vmcore.read_failures import unread

COREFILES = Path(__file__).resolve().parents[2] / "corefiles"
NAME = "session_id"  # of kernel/audit.c, an atomic_t; of security/selinux, an atomic64_t


@pytest.fixture(scope="module")
def session() -> Session:
    return btfdbg.session(btfdbg.program_from_core_dump(COREFILES / "6.12-amd64-null.vmcore"))


@pytest.fixture
def places(session: Session) -> tuple[int, int]:
    found = sorted({s.address for s in session.lookup_symbols(NAME)})
    assert len(found) == 2
    unread(session.prog).remarks()
    return found[0], found[1]


TYPES = ("atomic_t", "atomic64_t")


@pytest.mark.parametrize("which", [0, 1])
def test_each_is_found_by_its_place_and_nothing_is_told_of_the_other(
    session: Session, places: tuple[int, int], which: int
) -> None:
    found = placed.global_at(session, NAME, places[which])
    assert found is not None
    assert (found.type_.type_name(), found.address_) == (TYPES[which], places[which])
    source = placed.source_at(session, NAME, places[which])
    assert source == "database, this release"
    assert not unread(session.prog).remarks()


@pytest.mark.parametrize("which", [0, 1])
def test_an_address_is_called_what_is_there(
    session: Session, places: tuple[int, int], which: int
) -> None:
    (found,) = [i for i in annotate.identify(session, places[which]) if i.kind == "symbol"]
    assert (found.text, found.type) == (NAME, TYPES[which])
    assert not unread(session.prog).remarks()


@pytest.mark.parametrize("which", [0, 1])
def test_code_that_uses_an_address_uses_the_variable_there(
    session: Session, places: tuple[int, int], which: int
) -> None:
    text: Any = SimpleNamespace(per_cpu_symbol=lambda address: None)
    types = Types(session, text, "no prototype")
    typed = types.at((None, places[which], 64), 0)
    assert typed is not None
    assert typed.type is not None
    assert (typed.type.type_name(), typed.text) == (TYPES[which], NAME)
    size = drgn.sizeof(session.prog.type(TYPES[which]))
    counters = [t.type_name() for t in types.all_at(places[which], size)]
    assert counters == [("int", "s64")[which]]
    assert not unread(session.prog).remarks()


def test_what_no_symbol_of_the_name_has_is_nothing(
    session: Session, places: tuple[int, int]
) -> None:
    assert placed.global_at(session, NAME, places[0] + 4) is None
    assert placed.source_at(session, NAME, places[0] + 4) is None
    assert placed.global_at(session, "init_task", places[0]) is None
    assert placed.global_at(session, "no_such_name", places[0]) is None


def test_a_name_that_one_variable_has_is_looked_up_as_ever(session: Session) -> None:
    task = session.prog["init_task"]
    found = placed.global_at(session, "init_task", task.address_)
    assert found is not None
    assert found.type_.type_name() == "struct task_struct"
    source = placed.source_at(session, "init_task", task.address_)
    assert source == session.variable_source("init_task")


@pytest.mark.parametrize("line", [f"p {NAME}", f"whatis {NAME}", f"p {NAME}.counter"])
@pytest.mark.parametrize("again", [False, True])
def test_all_are_told_with_values_whenever_one_is_given(
    session: Session,
    places: tuple[int, int],
    capsys: pytest.CaptureFixture[str],
    line: str,
    *,
    again: bool,
) -> None:
    first, second = places
    assert evaluate.run_line(session, line)
    said = capsys.readouterr()
    assert (
        f"{NAME}: given is the first of 2 variables of that name: atomic_t 0 at {first:#x}, "
        f"atomic64_t 0 at {second:#x}; the other: p *(atomic64_t *){second:#x}"
    ) in said.err, (line, again)
    assert namespace.run(session, f"p *(atomic64_t *){second:#x}", {})
    assert "(atomic64_t)" in capsys.readouterr().out


def test_xinfo_shows_all_places_of_a_name(
    session: Session, places: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.run_line(session, f"xinfo {NAME}")
    out = capsys.readouterr().out
    for type_, place in zip(TYPES, places, strict=True):
        assert f"*({type_} *){place:#x}" in out


def test_completion_shows_the_types_of_all(session: Session) -> None:
    sources: Any = SimpleNamespace(session=session)
    assert completion._symbol_meta(sources, NAME, 0) == "atomic_t, atomic64_t"
    assert completion._symbol_meta(sources, "has_steal_clock", 0) == "2 symbols"
    assert completion._symbol_meta(sources, "init_task", 0) == "struct task_struct"


def test_a_hundred_places_are_not_all_told() -> None:
    variables: Any = [SimpleNamespace(type=None, address=0x1000 * i) for i in range(1, 101)]
    prog = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    for variable in variables:
        variable.type = prog.int_type("int", 4, is_signed=True)
    said = placed.told(prog, variables)
    assert said == (
        "given is the first of 100 variables of that name: int at 0x1000, int at 0x2000, "
        "int at 0x3000, int at 0x4000, 96 more; the second: p *(int *)0x2000"
    )
