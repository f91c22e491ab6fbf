"""How a guest ended against what its scenario says: who died where, and who is stuck where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import drgn

from btfdbg.program.session import Session

Frames = Callable[[Session, drgn.Object], list[str]]


def follows(names: Iterable[str], wanted: Iterable[str]) -> bool:
    """Say whether all of ``wanted`` are among ``names``, in order; others may stand between."""
    rest = iter(names)
    return all(any(_plain(name) == one for name in rest) for one in wanted)


def on_stack(session: Session, names: list[str], wanted: list[str]) -> bool:
    """
    Say whether a stack is as a scenario says.

    A walk along frame records, as on arm64, misses the caller of a function that was
    interrupted before it made one: the first of ours never does, where it calls nothing.
    """
    platform = session.prog.platform
    assert platform is not None
    by_records = platform.arch is drgn.Architecture.AARCH64
    return follows(names, wanted) or (by_records and follows(names, wanted[:1] + wanted[2:]))


def _plain(name: str) -> str:
    """Return a function's name in the source: ``cf_share.isra.0`` is ``cf_share``."""
    return name.split(".", 1)[0]


def end(session: Session, expect: dict[str, Any], frames: Frames) -> list[str]:
    """
    Hold a dump against the truths of its scenario.

    :param expect: As ``corefiles.scenario`` describes it.
    :param frames: Gives the names of the functions on a task's stack, innermost first.
    :return: What is wrong, in words.
    """
    return [
        *_panic(session, expect, frames),
        *_blocked(session, expect),
        *_stuck(session, expect, frames),
    ]


def _panic(session: Session, expect: dict[str, Any], frames: Frames) -> Iterator[str]:
    if not expect.keys() & {"panic_frames", "panic_comm"}:
        return
    task = session.prog.crashed_thread().object
    comm = task.comm.string_().decode()
    if expect.get("panic_comm", comm) != comm:
        yield f"the panic task is {comm}, not {expect['panic_comm']}"
    names = frames(session, task)
    if not on_stack(session, names, expect.get("panic_frames", [])):
        yield f"the panic task's stack lacks {expect['panic_frames']}: {names}"


def _tasks(session: Session) -> Iterator[drgn.Object]:
    from drgn.helpers.linux.pid import for_each_task

    return for_each_task(session.prog)


def _blocked(session: Session, expect: dict[str, Any]) -> Iterator[str]:
    from drgn.helpers.linux.sched import task_state_to_char

    wanted = Counter(str(name)[:15] for name in expect.get("blocked", ()))
    if wanted:
        here = Counter(
            task.comm.string_().decode()
            for task in _tasks(session)
            if task_state_to_char(task) == "D"
        )
        for name in wanted - here:
            yield f"{wanted[name]} {name} should be blocked, {here[name]} are"


def _stuck(session: Session, expect: dict[str, Any], frames: Frames) -> Iterator[str]:
    from drgn.helpers.linux.sched import task_on_cpu

    wanted = expect.get("stuck_frames")
    if wanted:
        running = [task for task in _tasks(session) if task_on_cpu(task)]
        stacks = [frames(session, task) for task in running]
        if not any(on_stack(session, names, wanted) for names in stacks):
            yield f"on no CPU is {wanted}: {stacks}"
