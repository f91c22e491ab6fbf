"""``waitq``: who waits, and nothing said of what is no wait queue."""

from __future__ import annotations

import pytest

from btfdbg.commands.evaluate import prepare, run_line
from btfdbg.program.session import Session
from tests.conftest import bundled_dumps
from tests.repl.support import open_session

Said = pytest.CaptureFixture[str]


def _bundled(part: str) -> Session:
    return open_session(next(path for path, _ in bundled_dumps() if part in path.name))


@pytest.mark.parametrize(
    "of", ["init_task", "ffffffffffffff00", "task_struct.tasks &init_task", "&init_task.tasks"]
)
def test_what_is_no_wait_queue_is_never_called_an_empty_one(
    session: Session, of: str, capsys: Said
) -> None:
    prepare(session)
    assert not run_line(session, f"waitq {of}")
    said = capsys.readouterr()
    assert said.out == ""
    assert "no wait queue" in said.err


def test_a_mutex_is_no_wait_queue(capsys: Said) -> None:
    session = _bundled("deadlock")
    prepare(session)
    assert not run_line(session, "waitq cf_right")
    assert "cf_right is no wait queue" in capsys.readouterr().err


def test_an_empty_queue_is_said_to_be_empty(session: Session, capsys: Said) -> None:
    prepare(session)
    assert run_line(session, "waitq log_wait")
    assert capsys.readouterr().out.endswith(" is empty\n")


def test_waiters_are_found_by_structure_and_by_expression(capsys: Said) -> None:
    session = _bundled("6.1-amd64-hung")
    prepare(session)
    # The semaphore of the frozen file system, which five tasks wait for.
    semaphore = "0xff2f23ff10cf3a78"
    waiters = f"((struct percpu_rw_semaphore *){semaphore})->waiters"
    for of in (
        f"percpu_rw_semaphore.waiters {semaphore}",
        f"&{waiters}",
        f"wait_queue_head.head &{waiters}",
    ):
        assert run_line(session, f"waitq {of}"), of
        out = capsys.readouterr().out
        assert [line.split()[1] for line in out.splitlines()] == ["182", "183", "184", "185", "186"]
