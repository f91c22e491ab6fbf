"""A dump with very many tasks: some stand for the others, and nothing of the others is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from drgn.helpers.linux.pid import for_each_task

import btfdbg
from btfdbg.cli import trim as command
from btfdbg.cli.main import main
from btfdbg.commands.globals import all_globals
from btfdbg.commands.namespace import run
from btfdbg.program.session import Session
from btfdbg.trim import stacks
from corefiles.oracle import views


@pytest.fixture
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks, "_MANY", 8)
    monkeypatch.setattr(stacks, "_OF_A_KIND", 2)


@pytest.fixture(params=["oops_core", "arm_core"])
def session(request: pytest.FixtureRequest) -> Session:
    return btfdbg.session(btfdbg.program_from_core_dump(request.getfixturevalue(request.param)))


def test_each_process_and_each_kind_of_stack_has_an_example(
    session: Session, few_are_many: None
) -> None:
    prog = session.prog
    found = stacks.examples(prog)
    assert found is not None
    chosen = {task.value_() for task in found}
    assert len(chosen) == len(found)
    kinds = set()
    for task in for_each_task(prog):
        if task.pid.value_() == task.tgid.value_():
            assert task.value_() in chosen
        try:
            kind = tuple(frame.pc for frame in prog.stack_trace(task))
        except ValueError:
            continue
        kinds.add(kind)
    assert kinds <= set(stacks.stacks_of(prog).kinds)
    assert all(len(tasks) <= 2 for tasks in stacks.stacks_of(prog).kinds.values())
    assert {t.value_() for tasks in stacks.stacks_of(prog).kinds.values() for t in tasks} <= chosen


def test_few_tasks_stand_for_themselves(session: Session) -> None:
    assert stacks.examples(session.prog) is None
    assert command._over_examples(session, "foreach bt") == "foreach bt"


@pytest.mark.parametrize(
    "line", [line for line in command.DEFAULT_COMMANDS if line.startswith(("foreach", "ps"))]
)
def test_a_command_over_all_tasks_is_one_over_the_examples(
    session: Session, few_are_many: None, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    over = command._over_examples(session, line)
    if line == "ps -S":  # it counts, and takes no tasks
        assert over == line
        return
    assert over != line
    assert run(session, over, all_globals(session.prog)), capsys.readouterr().err
    assert capsys.readouterr().out


def test_other_commands_stay_as_they_are(session: Session, few_are_many: None) -> None:
    for line in command.DEFAULT_COMMANDS:
        if not line.startswith(("foreach", "ps")):
            assert command._over_examples(session, line) == line


def test_a_dump_trimmed_by_examples_answers_as_its_source(
    oops_core: Path, tmp_path: Path, few_are_many: None
) -> None:
    out = tmp_path / "small.vmcore"
    assert main(["trim", str(oops_core), str(out), "-q"]) == 0
    before = btfdbg.program_from_core_dump(oops_core)
    after = btfdbg.program_from_core_dump(out)
    assert views.stacks(after) == views.stacks(before)
    for line in ("ps", "ps -t", "bt -a", "foreach bt", "foreach files", "foreach vm"):
        assert views.command(after, line) == views.command(before, line)
