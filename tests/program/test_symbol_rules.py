"""Variables by rule: in a dump they are where the symbols say, or nowhere."""

from __future__ import annotations

from pathlib import Path

import drgn
import pytest

import btfdbg
from btfdbg.kallsyms import CombinedTable
from btfdbg.program.session import Session
from btfdbg.program.symbol_rules import RULES, SymbolRules
from tests.program.every_name import DUMPS

# What leads to these no dump leaves out.
_ALWAYS_FOUND = ("init_ipc_ns", "root_task_group")


@pytest.fixture(scope="module", params=DUMPS, ids=lambda path: path.stem)
def session(request: pytest.FixtureRequest) -> Session:
    return btfdbg.session(btfdbg.program_from_core_dump(Path(request.param)))


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_rule_gives_the_address_that_the_symbol_has(name: str, session: Session) -> None:
    symbols = session.symbols.by_name(name) if session.symbols is not None else ()
    if len(symbols) > 1 or isinstance(session.symbols, CombinedTable):
        pytest.skip("this kernel has no data symbols, or several of that name")
    try:
        found = RULES[name](session)
    except drgn.FaultError:
        found = None  # what it needs was left out of the dump
    assert found in (None, *(sym.address for sym in symbols))
    if name in _ALWAYS_FOUND:
        assert found is not None


def test_a_rule_that_was_interrupted_is_asked_again(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Session) -> int | None:
        raise KeyboardInterrupt

    rules = SymbolRules(session)
    with monkeypatch.context() as patch:
        patch.setitem(RULES, "root_task_group", interrupted)
        with pytest.raises(KeyboardInterrupt):
            rules.by_name("root_task_group")
    assert [sym.name for sym in rules.by_name("root_task_group")] == ["root_task_group"]


def test_a_rule_for_a_member_that_this_kernel_lacks_gives_nothing(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(session: Session) -> int | None:
        return int(session.prog["init_task"].se.no_such_member)

    monkeypatch.setitem(RULES, "root_task_group", without)
    assert SymbolRules(session).by_name("root_task_group") == ()
