"""Tasks that cannot go on: in groups of one stack and one lock, with chains and circles.

Owns the grouping and who waits for whom. The locks themselves are ``waits``.

Facts: ``include/linux/sched.h``: D is TASK_UNINTERRUPTIBLE without TASK_NOLOAD (that is I);
``include/linux/fs.h`` (s_writers.frozen: SB_FREEZE_WRITE 1 to SB_FREEZE_COMPLETE 4).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import drgn

from btfdbg.lazy_dataclass import dataclass
from btfdbg.report.blame.names import canonical
from btfdbg.report.calls import UNREADABLE
from btfdbg.report.locks import Lock
from btfdbg.report.waits import lock_of

if TYPE_CHECKING:
    from btfdbg.report.calls import Call, Who
    from btfdbg.report.look import Look

MAX_UNWOUND = 20_000
_MAX_CHAIN = 64
_MAX_SUPERBLOCKS = 1 << 16
_NOT_EVERY = "not every file system could be asked whether it is frozen"
_FREEZE_LEVELS = 3  # SB_FREEZE_WRITE, SB_FREEZE_PAGEFAULT, SB_FREEZE_FS
_FROZEN = 4  # SB_FREEZE_COMPLETE


@dataclass(frozen=True, slots=True)
class Blocked:
    """
    A task in D.

    :ivar seconds: Since it last ran, ``None`` if the kernel keeps no such count.
    :ivar file: What it works on, "" if it is in no call on a file.
    """

    task: Who
    stack: tuple[Call, ...]
    lock: Lock | None
    seconds: float | None
    file: str
    doing: str

    @property
    def what(self) -> tuple[object, ...]:
        """What it waits for: a lock that others wait for too, else the functions that wait."""
        if self.lock is not None and self.lock.shared:
            return (self.lock.address,)
        return tuple(canonical(call.name) for call in self.stack)


@dataclass(frozen=True, slots=True)
class Group:
    """Tasks of one stack that wait for one thing, the longest first."""

    members: tuple[Blocked, ...]

    @property
    def first(self) -> Blocked:
        """The one that waits longest."""
        return self.members[0]


@dataclass(frozen=True, slots=True)
class Frozen:
    """A file system that was frozen on purpose."""

    type: str
    device: str
    address: int

    def __str__(self) -> str:
        return f"{self.type} on {self.device}"


class Blockage:
    """All that is blocked in a dump; see the module."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._frozen: dict[int, Frozen | None] = {}

    @property
    def tasks(self) -> tuple[Blocked, ...]:
        """The blocked tasks, the longest first."""
        return self._tasks[0]

    @functools.cached_property
    def _tasks(self) -> tuple[tuple[Blocked, ...], int]:
        """The blocked tasks, the longest first, and how many others' state cannot be read."""
        from drgn.helpers.linux.sched import task_state_to_char

        look = self._look
        unread = 0
        found: list[Blocked] = []
        for task in look.tasks:
            try:
                if task_state_to_char(task) != "D":
                    continue
            except UNREADABLE:
                unread += 1
                continue
            if len(found) >= MAX_UNWOUND:
                look.doubts.add(
                    f"more than {MAX_UNWOUND:,} tasks are blocked; the rest was not looked at"
                )
                break
            found.append(self._blocked(task))
        return tuple(sorted(found, key=lambda b: -(b.seconds or 0))), unread

    @functools.cached_property
    def untold(self) -> int:
        """Of how many tasks it cannot be told: their state cannot be read, or they are lost."""
        from btfdbg.patches.tasks import task_count

        look = self._look
        return self._tasks[1] + max((task_count(look.prog) or 0) - len(look.tasks), 0)

    @property
    def none(self) -> str:
        """
        What there is to say where no task was found in D.

        Example: ``"No task is blocked (D)."``, only if the state of each could be read.
        """
        untold = self.untold
        read = len(self._look.tasks) - self._tasks[1]
        if not read:
            return "Whether a task is blocked (D) cannot be told: no task's state can be read."
        if untold:
            return f"Of {read:,} tasks none is blocked (D); of {untold:,} more it cannot be told."
        return "No task is blocked (D)."

    def _blocked(self, task: drgn.Object) -> Blocked:
        from btfdbg.report.syscall import syscall_of

        look = self._look
        call = syscall_of(look, task)
        return Blocked(
            look.who(task),
            look.stack(task),
            lock_of(look, task),
            look.waited(task),
            "" if call is None else call.file,
            "" if call is None else call.sentence,
        )

    @functools.cached_property
    def groups(self) -> tuple[Group, ...]:
        """The largest group first."""
        by_key: dict[object, list[Blocked]] = {}
        for one in self.tasks:
            shared = one.lock.address if one.lock is not None and one.lock.shared else 0
            key = tuple(canonical(call.name) for call in one.stack), shared
            by_key.setdefault(key, []).append(one)
        groups = [Group(tuple(members)) for members in by_key.values()]
        return tuple(sorted(groups, key=lambda g: (-len(g.members), -(g.first.seconds or 0))))

    @functools.cached_property
    def _by_task(self) -> dict[int, Blocked]:
        return {one.task.address: one for one in self.tasks}

    def chain(self, one: Blocked) -> tuple[Blocked, ...]:
        """From a task to the holder of its lock, to the holder of that one's, …"""
        found = [one]
        while len(found) < _MAX_CHAIN:
            lock = found[-1].lock
            following = self._by_task.get(lock.owner) if lock is not None and lock.owner else None
            if following is None:
                break
            found.append(following)
            if following in found[:-1]:
                break
        return tuple(found)

    @functools.cached_property
    def cycles(self) -> tuple[tuple[Blocked, ...], ...]:
        """Circles of tasks that wait for each other, each once."""
        found: dict[frozenset[int], tuple[Blocked, ...]] = {}
        for one in self.tasks:
            chain = self.chain(one)
            if chain[-1] in chain[:-1]:
                circle = chain[chain.index(chain[-1]) : -1]
                found.setdefault(frozenset(b.task.address for b in circle), circle)
        return tuple(sorted(found.values(), key=lambda c: min(b.task.pid for b in c)))

    def holder(self, lock: Lock) -> Who | None:
        """The task that holds a lock."""
        if not lock.owner:
            return None
        return self._look.who(drgn.Object(self._look.prog, "struct task_struct *", lock.owner))

    @functools.cached_property
    def frozen(self) -> tuple[Frozen, ...]:
        """File systems that are frozen (fsfreeze, a snapshot), as far as they can be read."""
        from drgn.helpers.linux.list import list_for_each_entry

        from btfdbg.vmcore.read_failures import unread

        prog = self._look.prog
        remarked = unread(prog).remarked
        found = {}
        for one in self.tasks:
            frozen = self.frozen_for(one.lock)
            if frozen is not None:
                found[frozen.address] = frozen
        try:
            blocks = list_for_each_entry(
                "struct super_block", prog["super_blocks"].address_of_(), "s_list"
            )
            for number, block in enumerate(blocks):
                if number > _MAX_SUPERBLOCKS:
                    break
                frozen = _frozen(block)
                if frozen is not None:
                    found[frozen.address] = frozen
        except UNREADABLE as e:
            self._look.doubts.add(f"{_NOT_EVERY}: {e}")
        else:
            # The walk raises nothing where a node is missing; it goes on from the other end.
            if unread(prog).remarked > remarked:
                self._look.doubts.add(f"{_NOT_EVERY}: a part of their list is not in the dump")
        return tuple(found.values())

    def frozen_for(self, lock: Lock | None) -> Frozen | None:
        """The frozen file system whose writers a lock stops."""
        if lock is None or lock.kind != "percpu_rwsem":
            return None
        if lock.address not in self._frozen:
            self._frozen[lock.address] = self._super_block(lock)
        return self._frozen[lock.address]

    def _super_block(self, lock: Lock) -> Frozen | None:
        prog = self._look.prog
        try:
            first = drgn.offsetof(prog.type("struct super_block"), "s_writers.rw_sem")
            size = drgn.sizeof(prog.type("struct percpu_rw_semaphore"))
        except UNREADABLE:
            return None
        for level in range(_FREEZE_LEVELS):
            address = lock.address - first - level * size
            found = _frozen(drgn.Object(prog, "struct super_block *", address))
            if found is not None:
                return found
        return None


def _frozen(block: drgn.Object) -> Frozen | None:
    """What is frozen, if a pointer leads to a file system that says so itself."""
    try:
        if not 0 < int(block.s_writers.frozen) <= _FROZEN:
            return None
        name = block.s_type.name.string_().decode("ascii")
        device = block.s_id.string_().decode("ascii")
    except (*UNREADABLE, UnicodeDecodeError):
        return None
    if not name.isprintable() or not name or not device.isprintable():
        return None
    return Frozen(name, device, block.value_())
