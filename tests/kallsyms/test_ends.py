"""What lies past the end of a table, or behind a linker's end marker, is no symbol's."""

from __future__ import annotations

from pathlib import Path

import pytest

import btfdbg
from btfdbg.kallsyms.listed import ListedTable
from btfdbg.kallsyms.model import Sym
from btfdbg.program import annotate
from btfdbg.program.session import Session

COREFILES = Path(__file__).resolve().parents[2] / "corefiles"


@pytest.fixture(scope="module", params=["6.12-amd64-null", "6.12-arm64-deadlock"])
def session(request: pytest.FixtureRequest) -> Session:
    return btfdbg.session(btfdbg.program_from_core_dump(COREFILES / f"{request.param}.vmcore"))


def test_the_table_of_kallsyms_that_strings_follow_has_its_own_size(session: Session) -> None:
    assert session.symbols is not None
    (seqs,) = session.lookup_symbols("kallsyms_seqs_of_names")
    assert seqs.size == 3 * session.symbols.count
    inside = session.symbols.by_address(seqs.address + seqs.size - 1)
    assert inside is not None
    assert inside.name == seqs.name
    for address in (seqs.address + seqs.size, seqs.address + 0xBCFD9):
        found = session.symbols.by_address(address)
        assert found is None or found.name != seqs.name
        assert all(
            "kallsyms_seqs_of_names" not in identity.text
            for identity in annotate.identify(session, address)
        )


def test_nothing_is_behind_a_sections_end(session: Session) -> None:
    assert session.symbols is not None
    (stop,) = session.lookup_symbols("__stop___param")
    assert stop.size == 0
    found = session.symbols.by_address(stop.address + 8)
    assert found is None or found.name != stop.name
    before = session.symbols.by_address(stop.address - 1)
    assert before is not None
    assert before.name.startswith("__param")


def test_what_lies_behind_a_variable_is_not_in_it(session: Session) -> None:
    (symbol,) = session.lookup_symbols("init_task")
    own = session.prog["init_task"].type_.size
    inside = annotate._symbol(session, symbol.address + 8, session.prog.symbol("init_task"))
    assert inside.text == "init_task+0x8"
    behind = annotate._symbol(
        session, symbol.address + own + 0x100, session.prog.symbol("init_task")
    )
    assert behind.text == f"0x100 bytes past the {own} of init_task"
    assert behind.type is None


def test_a_listed_end_marker_has_no_extent() -> None:
    table = ListedTable(
        [Sym(name, 0x1000 * n, 0, "R") for n, name in enumerate(("__start_a", "__stop_a", "b"), 1)],
        "listed",
        complete=True,
    )
    assert [sym.size for sym in table] == [0x1000, 0, 0]
