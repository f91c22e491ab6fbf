"""A lock that a task waits for, and what was found out about locks so far.

Owns the values; ``waits`` finds them.
"""

from __future__ import annotations

from collections import Counter

from btfdbg.lazy_dataclass import dataclass

_HELD = ("mutex", "rwsem", "rtmutex", "percpu_rwsem", "semaphore", "request queue")


@dataclass(frozen=True, slots=True)
class Lock:
    """
    What a task waits for.

    :ivar kind: ``mutex``, ``rwsem``, ``rtmutex``, ``percpu_rwsem``, ``semaphore``,
        ``completion``, ``folio``, ``buffer``…
    :ivar name: Its symbol, "" if it has none.
    :ivar mode: ``read`` or ``write`` where that is known.
    :ivar owner: Address of the task that holds it, 0 if nobody is recorded.
    :ivar how: Where this was read.
    """

    kind: str
    address: int
    name: str
    mode: str
    owner: int
    how: str

    @property
    def shared(self) -> bool:
        """Whether tasks that wait for it wait for each other's sake: somebody holds it."""
        return self.kind in _HELD

    def __str__(self) -> str:
        return f"{self.kind} {self.name or f'{self.address:#x}'}"


class LocksRead:
    """What was found out about locks so far, so that each is read once for all its waiters."""

    def __init__(self) -> None:
        self.locks: dict[tuple[str, int], tuple[int | None, str]] = {}
        self.heads: dict[tuple[str, int], int | None] = {}  # of a waiter's list: where it hangs
        self.layouts: dict[str, tuple[int, int, int] | None] = {}
        self.asked: Counter[tuple[str, ...]] = Counter()  # arguments, by stack
