"""What ``ps`` says of a process's memory is summed once, and is what drgn sums."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from drgn import FaultError, Object
from drgn.helpers.linux.mm import TaskRss
from drgn.helpers.linux.pid import for_each_task

import btfdbg
from btfdbg.commands import evaluate
from btfdbg.patches import missing
from btfdbg.program.session import Session
from btfdbg.program.walks import remark
from btfdbg.vmcore.read_failures import unread
from tests.conftest import bundled_dumps

DUMPS = [path for path, _ in bundled_dumps()]


@cache
def session_of(path: Path) -> Session:
    session = btfdbg.session(btfdbg.program_from_core_dump(path))
    evaluate.run_line(session, "ptob 1")  # puts the patches in
    return session


def _tasks(session: Session) -> list[Object]:
    """Tasks with memory of their own, or others' threads."""
    return [task for task in for_each_task(session.prog) if task.mm]


@pytest.fixture
def session() -> Iterator[Session]:
    session = session_of(DUMPS[0])
    session.prog.cache.pop(missing._RSS_KEY, None)
    yield session
    session.prog.cache.pop(missing._RSS_KEY, None)


@pytest.mark.parametrize("path", DUMPS, ids=[path.name for path in DUMPS])
def test_the_sum_is_drgns(path: Path) -> None:
    import drgn.helpers.linux.mm as mm

    session = session_of(path)
    tasks = _tasks(session)
    assert tasks
    original: Any = mm.task_rss.__wrapped__  # type: ignore[attr-defined]
    failures = unread(session.prog)
    anew, whole = [], set()
    for task in tasks:
        before = failures.reads, failures.remarked
        anew.append(original(task))
        if before == (failures.reads, failures.remarked):
            whole.add((task.mm.value_(), task.signal.value_()))
    assert any(found.total for found in anew)
    for _ in range(2):
        assert [mm.task_rss(task) for task in tasks] == anew
        assert [mm.task_rss(session.prog, task) for task in tasks] == anew
    assert whole
    assert session.prog.cache[missing._RSS_KEY].keys() == whole


def test_threads_of_a_process_are_summed_once(session: Session) -> None:
    asked: list[int] = []

    def count(task: Object) -> TaskRss:
        asked.append(task.mm.value_())
        return TaskRss(len(asked), 0, 0, 0)

    rss = missing.task_rss(count)
    first, second = _tasks(session)[:2]
    assert first.mm.value_() != second.mm.value_()
    assert [rss(first), rss(second), rss(first)] == [(1, 0, 0, 0), (2, 0, 0, 0), (1, 0, 0, 0)]
    assert asked == [first.mm.value_(), second.mm.value_()]


def test_what_lost_something_says_so_each_time(session: Session) -> None:
    task = _tasks(session)[0]

    def lost(task: Object) -> TaskRss:
        remark(session.prog, "a counter lacks something")
        return TaskRss(1, 0, 0, 0)

    def fails(task: Object) -> TaskRss:
        raise FaultError("page excluded", 4096)

    unread(session.prog).remarks()
    partial, unknown = missing.task_rss(lost), missing.task_rss(fails)
    for times in (1, 2):
        assert partial(task).total == 1
        assert unread(session.prog).remarked == times
        assert str(unknown(task).total) == "?"
    unread(session.prog).remarks()
    assert missing.task_rss(lambda task: TaskRss(7, 0, 0, 0))(task).total == 7


def test_no_more_processes_are_remembered_than_there_is_room_for(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(missing, "_MAX_RSS", 2)
    rss = missing.task_rss(lambda task: TaskRss(task.mm.value_(), 0, 0, 0))
    for task in _tasks(session):
        assert rss(task).file == task.mm.value_()
        assert len(session.prog.cache[missing._RSS_KEY]) <= 2
