"""Ctrl-C while drgn enumerates the kernel's modules."""

from __future__ import annotations

import logging
from pathlib import Path

import drgn
import pytest

import btfdbg
from btfdbg.program import modules
from btfdbg.program.session import Session

CORE = Path(__file__).parents[2] / "corefiles" / "6.12-amd64-null.vmcore"


def test_what_drgn_took_for_damage_of_a_module_is_still_an_interrupt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = btfdbg.session(btfdbg.program_from_core_dump(CORE))
    enumerate_ = modules._create_modules

    def interrupted(session: Session) -> tuple[int, bool]:
        found = enumerate_(session)
        # What drgn says of an exception in one of our finders.
        logging.getLogger("drgn").warning("ignoring module: KeyboardInterrupt")
        return found

    session.modules_created = False
    monkeypatch.setattr(modules, "_create_modules", interrupted)
    with pytest.raises(KeyboardInterrupt):
        session.ensure_modules()
    monkeypatch.undo()
    session.ensure_modules()
    names = [module.name for module in session.loaded]
    assert len(names) == len(set(names)) > 20
    assert names[0] == "cf_fault"


def test_a_restored_module_is_at_its_place_in_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = btfdbg.session(btfdbg.program_from_core_dump(CORE)).module_names()

    def one(session: Session) -> tuple[int, bool]:
        # drgn takes them one by one as the kernel lists them, or leaves one out.
        for module, _ in session.prog.loaded_modules():
            if isinstance(module, drgn.RelocatableModule):
                session.loaded.append(module)
                break
        return 1, False

    monkeypatch.setattr(modules, "_create_modules", one)
    session = btfdbg.session(btfdbg.program_from_core_dump(CORE))
    assert any("restored" in str(note) for note in session.notes)
    assert session.module_names() == whole
