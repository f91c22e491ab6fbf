"""``set``: what of crash's variables turns something at this prompt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from btfdbg.commands import output
from btfdbg.commands.evaluate import prepare, run_line
from btfdbg.commands.state import PromptState
from btfdbg.program.session import Session

Said = pytest.CaptureFixture[str]


@pytest.fixture
def state(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PromptState]:
    """A prompt on a machine that has less and no more."""
    for variable in ("BTFDBG_PAGER", "PAGER"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "less").write_text("#!/bin/sh\n")
    (tmp_path / "less").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    state = prepare(session)
    before = state.interactive, state.pager, state.pager_program
    state.interactive = True
    yield state
    state.interactive, state.pager, state.pager_program = before


def test_scroll_turns_the_pager_of_the_prompt(
    session: Session, state: PromptState, capsys: Said
) -> None:
    for line, paged, said in (
        ("set scroll off", False, "scroll: off (less -R -X -F)\n"),
        ("sn", True, "scroll: on (less -R -X -F)\n"),
        ("sf", False, "scroll: off (less -R -X -F)\n"),
        ("set scroll less", True, "scroll: on (less -R -X -F)\n"),
        ("set scroll", True, "scroll: on (less -R -X -F)\n"),
    ):
        assert run_line(session, line)
        assert capsys.readouterr().out == said
        assert state.paged is paged
    assert run_line(session, "set scroll off")
    assert run_line(session, "set -v")
    assert "scroll         off" in capsys.readouterr().out


def test_scroll_refuses_what_is_no_pager(
    session: Session, state: PromptState, capsys: Said
) -> None:
    assert not run_line(session, "set scroll more")
    assert not run_line(session, "set scroll sideways")
    assert capsys.readouterr().err.splitlines() == [
        "set: scroll: there is no more on this machine",
        "set: scroll: 'sideways' is none of on, off, less and more",
    ]
    assert state.paged


def test_a_pager_that_was_chosen_comes_before_the_environments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PAGER", "cat")
    assert output.pager_command() is None
    assert output.pager_command("more") == ["more"]
