"""Letters of states without the kernel's table are the ones that it gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import drgn
import pytest
from drgn import FaultError, Object
from drgn.helpers.linux import sched
from drgn.helpers.linux.pid import for_each_task

import btfdbg
from btfdbg.patches import task_letters
from btfdbg.program.session import Session
from btfdbg.report.blocked import Blockage
from btfdbg.report.look import Look
from tests.conftest import bundled_dumps

DUMPS = [path for path, _ in bundled_dumps()]
Letter = Callable[[Object], str]


def drgns() -> Letter:
    """drgn's own, whoever has put something in its place before."""
    function: Any = sched.task_state_to_char
    while "btfdbg" in function.__code__.co_filename:
        function = function.__wrapped__
    return function  # type: ignore[no-any-return]


def without_table(error: Exception) -> Letter:
    """drgn's own, of a dump that lacks the table until the letters are known."""
    own = drgns()

    def letter(task: Object) -> str:
        if "task_state_to_char" not in task.prog_.cache:
            raise error
        return own(task)

    return letter


@pytest.fixture(params=DUMPS, ids=[path.name for path in DUMPS])
def session(request: pytest.FixtureRequest) -> Session:
    return btfdbg.session(btfdbg.program_from_core_dump(request.param))


def test_the_numbers_are_what_the_table_says(session: Session) -> None:
    tasks = list(for_each_task(session.prog))
    by_table = [drgns()(task) for task in tasks]
    assert {"S", "I"} <= set(by_table)
    letters, reported, member = session.prog.cache.pop("task_state_to_char")
    by_number = task_letters.task_state_to_char(without_table(KeyError("task_state_array")))
    assert [by_number(task) for task in tasks] == by_table
    assert session.prog.cache["task_state_to_char"] == (letters, reported, member)


@pytest.mark.parametrize("error", [KeyError("no symbol"), FaultError("cut off", 4096)])
def test_the_report_counts_as_before(
    session: Session, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = drgns()
    blocked = {t.value_() for t in for_each_task(session.prog) if own(t) == "D"}
    del session.prog.cache["task_state_to_char"]
    monkeypatch.setattr(sched, "task_state_to_char", without_table(error))
    blockage = Blockage(Look(session))
    assert {one.task.address for one in blockage.tasks} == blocked
    assert blockage.untold == 0


def _fails(task: Object) -> str:
    raise FaultError("page excluded", 4096)


def test_a_state_that_cannot_be_read_is_not_guessed(oops_core: Path) -> None:
    prog = btfdbg.program_from_core_dump(oops_core)
    task = next(iter(for_each_task(prog)))
    drgns()(task)
    with pytest.raises(FaultError):
        task_letters.task_state_to_char(_fails)(task)


def test_a_program_of_others_is_left_alone() -> None:
    prog = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    task = Object(prog, prog.int_type("int", 4, True), 0)
    with pytest.raises(KeyError):
        task_letters.task_state_to_char(without_table(KeyError("x")))(task)
    assert "task_state_to_char" not in prog.cache


def _none_said(core: Path, monkeypatch: pytest.MonkeyPatch, letter: Letter) -> Blockage:
    session = btfdbg.session(btfdbg.program_from_core_dump(core))
    look = Look(session)
    assert look.tasks
    monkeypatch.setattr(sched, "task_state_to_char", letter)
    return Blockage(look)


def test_none_is_blocked_is_said_of_read_states_only(
    oops_core: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blockage = _none_said(oops_core, monkeypatch, lambda task: "S")
    assert (blockage.untold, blockage.none) == (0, "No task is blocked (D).")
    blockage = _none_said(oops_core, monkeypatch, _fails)
    assert blockage.untold > 1
    assert blockage.none == (
        "Whether a task is blocked (D) cannot be told: no task's state can be read."
    )

    def init_fails(task: Object) -> str:
        return _fails(task) if task.pid.value_() == 1 else "S"

    blockage = _none_said(oops_core, monkeypatch, init_fails)
    assert blockage.none.endswith("none is blocked (D); of 1 more it cannot be told.")
