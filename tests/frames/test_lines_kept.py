"""What a backtrace says is found once, and is the same the second time."""

from __future__ import annotations

from pathlib import Path

import drgn
import pytest
from drgn.helpers.linux.pid import for_each_task

import btfdbg
from btfdbg.frames import lines as module
from btfdbg.frames.arguments import walk
from btfdbg.frames.lines import Lines, lines
from btfdbg.frames.recover import Recovery
from btfdbg.frames.sources import source_file
from btfdbg.frames.walked import Walked
from btfdbg.program.session import Session

COREFILES = Path(__file__).resolve().parents[2] / "corefiles"


@pytest.fixture(params=["6.12-amd64-null.vmcore", "6.12-arm64-deadlock.vmcore"])
def core(request: pytest.FixtureRequest) -> Path:
    return COREFILES / str(request.param)


def _session(core: Path) -> Session:
    return btfdbg.session(btfdbg.program_from_core_dump(core))


def _stacks(session: Session) -> dict[int, list[drgn.StackFrame]]:
    found = {}
    for task in for_each_task(session.prog):
        try:
            found[task.value_()] = list(session.prog.stack_trace(task))
        except (drgn.FaultError, ValueError, LookupError):
            continue
    return found


def test_the_second_time_nothing_is_walked_and_the_answer_is_the_same(
    core: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = _session(core)
    first = {at: lines(session, frames) for at, frames in _stacks(session).items()}
    if "null" in core.name:  # the other's code is not in the dump
        assert any(line.arguments for found in first.values() for line in found)
    # The order in which stacks are looked at changes nothing either.
    fresh = _session(core)
    others = {at: lines(fresh, frames) for at, frames in reversed(_stacks(fresh).items())}
    assert others == first

    def never(*_: object) -> None:
        raise AssertionError("this was known")

    monkeypatch.setattr(module, "walk", never)
    assert {at: lines(session, frames) for at, frames in _stacks(session).items()} == first


def test_another_stack_is_not_taken_for_it(core: Path) -> None:
    session = _session(core)
    stacks = [frames for frames in _stacks(session).values() if len(frames) > 3]
    for frames in stacks[-2:]:
        whole = lines(session, frames)
        part = lines(session, frames[1:])
        fresh = lines(_session(core), frames[1:])
        assert part == fresh
        assert lines(session, frames) == whole


def test_what_is_given_out_may_be_changed(core: Path) -> None:
    session = _session(core)
    frames = next(frames for frames in _stacks(session).values() if frames)
    first = lines(session, frames)
    wanted = list(first)
    first.append(Lines("", ""))
    assert lines(session, frames) == wanted


def test_nothing_is_kept_where_memory_changes(core: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = _session(core)
    monkeypatch.setattr(module, "_kept", lambda prog: None)
    frames = next(frames for frames in _stacks(session).values() if frames)
    walked = []

    def counted(made: Recovery, trace: list[drgn.StackFrame]) -> list[Walked | None]:
        walked.append(made)
        return walk(made, trace)

    monkeypatch.setattr(module, "walk", counted)
    assert lines(session, frames) == lines(session, frames)
    assert len(walked) == 2

    class Live:
        flags = drgn.ProgramFlags.IS_LIVE

    monkeypatch.undo()
    assert module._kept(Live()) is None


def test_the_number_of_stacks_is_bounded(core: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = _session(core)
    monkeypatch.setattr(module, "_MAX_STACKS", 3)
    for frames in list(_stacks(session).values())[:8]:
        lines(session, frames)
    kept = module._kept(session.prog)
    assert kept is not None
    assert 0 < len(kept.lines) <= 3


def test_a_file_is_found_once_and_is_the_same(core: Path) -> None:
    session, fresh = _session(core), _session(core)
    addresses = sorted({f.pc for frames in _stacks(session).values() for f in frames})
    first = [source_file(session, address) for address in addresses]
    assert any(first)
    assert [source_file(session, address) for address in addresses] == first
    assert [source_file(fresh, address) for address in reversed(addresses)] == first[::-1]
