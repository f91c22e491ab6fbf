"""What was wrong with a machine that was panicked by hand.

Owns the search: people panic a machine because it hangs, and two machines that were
panicked by hand for two reasons are no one crash. What it finds joins the title.

A healthy machine has tasks that wait and works that run: only what has stood still for
longer than a person waits counts, and only with a name to give it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from btfdbg.lazy_dataclass import dataclass
from btfdbg.report.blame.signature import title_of
from btfdbg.report.calls import UNREADABLE
from btfdbg.report.clock import Clock
from btfdbg.report.event import Frame
from btfdbg.report.pools import every_pool, pending, running, stood_still

if TYPE_CHECKING:
    from collections.abc import Iterator

    from btfdbg.report.happened import Happened

_BLOCKED = 30.0  # seconds that a task is in D
_HELD_UP = 5.0  # seconds that works have waited behind one that keeps the CPU


@dataclass(frozen=True, slots=True)
class Trouble:
    """
    One thing that was wrong.

    :ivar title: As a title names it, without anything of this one crash.
    :ivar sentence: With who and how long.
    """

    title: str
    sentence: str


def trouble_of(h: Happened) -> Trouble | None:
    """Return the worst that was wrong in a dump, ``None`` if nothing stands out."""
    for find in (_deadlock, _works, _blocked):
        try:
            found = next(find(h), None)
        except UNREADABLE as e:
            h.look.doubts.add(f"what else was wrong is not all known: {e}")
            continue
        if found is not None:
            return found
    return None


def _titled(kind: str, frames: list[Frame]) -> str:
    return title_of(kind, frames)[0]


def _deadlock(h: Happened) -> Iterator[Trouble]:
    for circle in h.blockage.cycles:
        first = min(circle, key=lambda one: one.task.comm)
        title = _titled("deadlock", [call.frame() for call in first.stack if call.name])
        names = " and ".join(str(one.task) for one in circle[:2])
        yield Trouble(title, f"{names} waited for each other")


def _works(h: Happened) -> Iterator[Trouble]:
    """Yield pools in which a work that keeps its CPU holds up others."""
    look = h.look
    clock = Clock(look)
    for pool in every_pool(look)[0]:
        try:
            waiting = pending(look, pool).total()
            seconds = stood_still(pool, clock)
            if not waiting or seconds is None or seconds < _HELD_UP:
                continue
            busy = [one for one in running(look, pool) if one.state.startswith("R")]
        except UNREADABLE:
            continue
        if len(busy) == 1 and not busy[0].function.startswith("0x"):
            one = busy[0]
            works = f"{waiting:,} work{'s' if waiting > 1 else ''}"
            yield Trouble(
                _titled("workqueue-stall", [Frame(one.function, one.module)]),
                f"{works} had waited for {seconds:.0f} s behind {one.function},"
                f" which {one.worker} ran",
            )


def _blocked(h: Happened) -> Iterator[Trouble]:
    first = h.waiting
    if first is None or first.seconds is None:
        return
    same = [one for one in h.blockage.tasks if one.what == first.what]
    longest = max(one.seconds or 0.0 for one in same)
    frozen = h.blockage.frozen_for(first.lock)
    if frozen is not None and longest >= _HELD_UP:
        yield Trouble(f"frozen {frozen.type}", f"{frozen} was frozen")
        return
    if longest < _BLOCKED:
        return
    title = _titled("hung-task", [call.frame() for call in first.stack if call.name])
    yield Trouble(title, f"{first.task} had waited for {longest:.0f} s")
