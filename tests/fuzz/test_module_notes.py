"""A module's notes and tables of any size do not cost that much memory."""

from __future__ import annotations

from pathlib import Path

import drgn
import pytest

from btfdbg.commands import execute
from btfdbg.program.module_notes import oversized_notes
from tests.patches.test_watchdog import damaged


def large_notes(prog: drgn.Program) -> list[tuple[int, int]]:
    attrs = prog["modules"].next.next
    module = drgn.container_of(attrs, "struct module", "list")
    size = module.notes_attrs.attrs[0].size
    return [(size.address_ or 0, 1 << 40)]


def test_modules_survive_notes_of_a_terabyte(oops_core: Path) -> None:
    session = damaged(oops_core, large_notes)
    assert "the notes of the module at" in "\n".join(map(str, session.notes))
    # Each is there, with its unwind tables.
    names = session.module_names()
    assert "cf_fault" in names
    trace = session.prog.crashed_thread().stack_trace()
    assert trace[0].name == "cf_level3.constprop.0"
    assert len(trace) > 10


def test_a_module_without_notes_does_not_hide_the_next(oops_core: Path) -> None:
    def damage(prog: drgn.Program) -> list[tuple[int, int]]:
        first = drgn.container_of(prog["modules"].next, "struct module", "list")
        return [(first.notes_attrs.address_ or 0, 0xDEAD_0000_0000), *large_notes(prog)]

    session = damaged(oops_core, damage)
    assert "the notes of the module at" in "\n".join(map(str, session.notes))


def test_unwind_tables_beyond_the_module_are_not_used(
    oops_core: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def many_entries(prog: drgn.Program) -> list[tuple[int, int]]:
        module = drgn.container_of(prog["modules"].next, "struct module", "list")
        count = module.arch.num_orcs.address_ or 0
        return [(count, prog.read_u32(count + 4) << 32 | 0xFFFFFFFF)]

    session = damaged(oops_core, many_entries)
    assert "its 4,294,967,295 unwind entries do not fit into" in "\n".join(map(str, session.notes))
    assert execute.run_commands(session, ["bt"]) == 0
    assert "cf_level3" in capsys.readouterr().out


def test_mod_lists_modules_that_drgn_cannot_enumerate(
    oops_core: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """drgn's own walk ends at the first module that leads astray."""

    def astray(prog: drgn.Program) -> list[tuple[int, int]]:
        second = prog["modules"].next.next
        return [(second.next.address_ or 0, prog["init_task"].address_ or 0)]

    sound = damaged(oops_core, lambda prog: [])
    assert execute.run_commands(sound, ["mod"]) == 0
    whole = capsys.readouterr().out.splitlines()
    session = damaged(oops_core, astray)
    assert execute.run_commands(session, ["mod"]) == 0
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(whole)


@pytest.mark.parametrize("core", ["x86_core", "arm_core"])
def test_sound_notes_are_left_to_drgn(core: str, request: pytest.FixtureRequest) -> None:
    session = damaged(request.getfixturevalue(core), lambda prog: [])
    assert oversized_notes(session.prog) is None
    assert session.notes == []
