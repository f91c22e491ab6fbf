"""Many variables judged at once have the types that each has when it is asked for alone."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import btfdbg
from btfdbg.kallsyms.choice import is_text
from btfdbg.kallsyms.model import Sym
from btfdbg.program.session import Session, session

from ..conftest import bundled_dumps

DUMPS = [path for path, _ in bundled_dumps()]
_STEP = 17  # of a kernel's 50,000 data symbols


def _session(core: Path) -> tuple[Session, list[Sym]]:
    found = session(btfdbg.program_from_core_dump(core))
    found.reads_code = False
    assert found.symbols is not None
    return found, [sym for sym in found.symbols if not is_text(sym)][::_STEP]


def _said(of: Session, sym: Sym) -> tuple[object, ...]:
    assert of.variables is not None
    found = of.variables.of_symbol(sym)
    if found is None:
        return sym.name, None, of.variables.cause_of(sym)
    return sym.name, found.type.type_name(), found.source, found.note, found.caution


@pytest.mark.parametrize("core", DUMPS, ids=lambda path: path.name)
def test_many_at_once_are_judged_as_one_by_one(core: Path) -> None:
    one, syms = _session(core)
    shuffled = list(syms)
    random.Random(1).shuffle(shuffled)
    told = {(sym.name, sym.address): _said(one, sym) for sym in shuffled}
    wanted = [told[sym.name, sym.address] for sym in syms]
    many, same = _session(core)
    assert many.variables is not None
    many.variables.judge(list(reversed(same)))
    assert [_said(many, sym) for sym in same] == wanted
    # Constants are not in the bundled dump, and yet most of what is asked has an answer.
    assert sum(said[1] is not None for said in wanted) > len(wanted) // 4
    assert any(name.startswith("__ksymtab_") for name, *_ in wanted if isinstance(name, str))
    many.variables.forget()
    assert [_said(many, sym) for sym in same[::50]] == wanted[::50]
