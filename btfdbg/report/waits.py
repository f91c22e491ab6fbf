"""What a blocked task waits for, and who holds it.

Owns finding the lock: first where the kernel itself notes it, then the waiter that the task
put on its own stack, known by pointing back to this very task and by a list that closes;
then what the frame's function was called with. A lock is believed only if what it says of
itself fits (its owner is a task, its list has this waiter).

Facts: ``include/linux/hung_task.h`` (blocker: two low bits 0 mutex, 1 semaphore, 2 and 3
rwsem as reader and writer; in v6.16), ``kernel/locking/mutex.h`` and ``rwsem.c`` (waiters),
``include/linux/rtmutex.h``, ``kernel/locking/percpu-rwsem.c``; owner words keep flags in
their low bits (MUTEX_FLAGS 7, RWSEM_OWNER_FLAGS_MASK 3, rt_mutex 1).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import drgn

from btfdbg.program.walks import closed_ring
from btfdbg.report.blame.names import base_name
from btfdbg.report.calls import UNREADABLE, stack_pointers
from btfdbg.report.locks import Lock
from btfdbg.vmcore.platforms import byte_order

if TYPE_CHECKING:
    from btfdbg.report.calls import Call
    from btfdbg.report.look import Look

_MAX_RING = 1 << 14
_MAX_STACK = 1 << 16
_POINTER = 8
_ASKED = 32  # tasks of one stack whose arguments are worked out: that takes milliseconds
_BLOCKERS = (("mutex", ""), ("semaphore", ""), ("rwsem", "read"), ("rwsem", "write"))
# A function that waits, the parameter that names what for, and its kind.
_PARAMETERS = (
    ("mutex_lock", "lock", "mutex"), ("mutex_lock_killable", "lock", "mutex"),
    ("mutex_lock_interruptible", "lock", "mutex"), ("down_read", "sem", "rwsem"),
    ("down_write", "sem", "rwsem"), ("down_read_killable", "sem", "rwsem"),
    ("down_write_killable", "sem", "rwsem"), ("down", "sem", "semaphore"),
    ("percpu_down_write", "sem", "percpu_rwsem"), ("__percpu_down_read", "sem", "percpu_rwsem"),
    ("percpu_rwsem_wait", "sem", "percpu_rwsem"),
    ("wait_for_completion", "x", "completion"), ("wait_for_completion_io", "x", "completion"),
    ("wait_for_completion_killable", "x", "completion"),
    ("wait_for_completion_state", "x", "completion"),
    ("folio_wait_bit_common", "folio", "folio"), ("folio_wait_bit", "folio", "folio"),
    ("__folio_lock", "folio", "folio"), ("__wait_on_buffer", "bh", "buffer"),
    ("__lock_buffer", "bh", "buffer"), ("rt_mutex_lock", "lock", "rtmutex"),
    ("submit_bio_wait", "bio", "bio"), ("blk_mq_freeze_queue_wait", "q", "request queue"),
)  # fmt: skip
_WAITING = tuple({name for name, _, _ in _PARAMETERS})


def lock_of(look: Look, task: drgn.Object) -> Lock | None:
    """What a task waits for, ``None`` if nothing in the dump shows it."""
    for find in (_noted, _rt_mutex, _on_stack, _by_arguments):
        try:
            found = find(look, task)
        except UNREADABLE:
            continue
        if found is not None:
            return found
    return None


def _lock(look: Look, kind: str, address: int, mode: str, how: str) -> Lock | None:
    """A lock that says of itself what a lock says, else nothing."""
    key = kind, address
    known = look.locks.locks.get(key)
    if known is None:
        known = look.locks.locks[key] = _owner(look, kind, address), look.symbol(address)
    owner, name = known
    return None if owner is None else Lock(kind, address, name, mode, owner, how)


def _owner(look: Look, kind: str, address: int) -> int | None:
    """The task that holds a lock, 0 for nobody; ``None`` if this is no such lock."""
    prog = look.prog
    try:
        if kind == "mutex":
            word = int(drgn.Object(prog, "struct mutex", address=address).owner.counter) & ~7
        elif kind == "rwsem":
            sem = drgn.Object(prog, "struct rw_semaphore", address=address)
            if hasattr(sem, "rwbase"):  # PREEMPT_RT
                word = int(sem.rwbase.rtmutex.owner) & ~1
            else:
                raw = int(sem.owner.counter if hasattr(sem.owner, "counter") else sem.owner)
                # A reader leaves its mark behind: bit 0 says that it proves nothing.
                word = 0 if raw & 1 else raw & ~7
        elif kind == "rtmutex":
            lock = drgn.Object(prog, "struct rt_mutex_base", address=address)
            word = int(lock.owner) & ~1
        elif kind == "percpu_rwsem":
            sem = drgn.Object(prog, "struct percpu_rw_semaphore", address=address)
            if int(sem.block.counter) not in (0, 1):
                return None
            word = 0
        else:
            prog.read(address, _POINTER)
            word = 0
    except UNREADABLE:
        return None
    word &= (1 << 64) - 1
    return word if word == 0 or word in look.task_addresses else None


def _noted(look: Look, task: drgn.Object) -> Lock | None:
    """``task_struct.blocker`` (v6.16) and ``blocked_on``."""
    if hasattr(task, "blocker"):
        word = int(task.blocker)
        if word:
            kind, mode = _BLOCKERS[word & 3]
            return _lock(look, kind, word & ~3, mode, "task_struct.blocker")
    if hasattr(task, "blocked_on") and task.blocked_on:
        target = task.blocked_on.type_.type.type_name()
        if target == "struct mutex":
            return _lock(look, "mutex", int(task.blocked_on), "", "task_struct.blocked_on")
    return None


def _rt_mutex(look: Look, task: drgn.Object) -> Lock | None:
    if not hasattr(task, "pi_blocked_on") or not task.pi_blocked_on:
        return None
    waiter = task.pi_blocked_on
    if int(waiter.task) != task.value_():
        return None
    return _lock(look, "rtmutex", int(waiter.lock), "", "task_struct.pi_blocked_on")


def _on_stack(look: Look, task: drgn.Object) -> Lock | None:
    """A waiter in the task's own stack whose ``task`` is this task."""
    wanted = _waiters(tuple(call.name for call in look.stack(task)))
    places = _pointers_to(look, task) if wanted else []
    for kind, waiter, member, lock, head in wanted:
        link = "entry" if kind == "percpu_rwsem" else "list"
        for place in places:
            found = _by_waiter(look, kind, (waiter, member, link), (lock, head), place)
            if found is not None:
                return found
    return None


@functools.lru_cache(maxsize=1024)
def _waiters(calls: tuple[str, ...]) -> tuple[tuple[str, str, str, str, str], ...]:
    """Kinds of waiters that a stack's functions may have put there: kind, types, members."""
    names = [base_name(call) for call in calls]
    wanted = []
    if any(name.startswith(("__mutex_lock", "mutex_lock", "__ww_mutex")) for name in names):
        wanted.append(("mutex", "struct mutex_waiter", "task", "struct mutex", "wait_list"))
    if any(name.startswith(("rwsem_down", "down_read", "down_write")) for name in names):
        wanted.append(("rwsem", "struct rwsem_waiter", "task", "struct rw_semaphore", "wait_list"))
    if any(name.startswith(("__down", "down")) for name in names):
        wanted.append(
            ("semaphore", "struct semaphore_waiter", "task", "struct semaphore", "wait_list")
        )
    if any("percpu_" in name for name in names):
        wanted.append(("percpu_rwsem", "struct wait_queue_entry", "private",
                       "struct percpu_rw_semaphore", "waiters.head"))  # fmt: skip
    return tuple(wanted)


def _pointers_to(look: Look, task: drgn.Object) -> list[int]:
    """Where in its stack, above the stack pointer, a task's address stands."""
    at = task.value_()
    words = look.alike.words(at)
    if words is not None:
        start, data = words.start, words.data
    else:
        bottom = int(task.stack)
        size = min(look.thread_size, _MAX_STACK)
        trace = look.trace(task)
        pointers = [] if trace is None else stack_pointers(trace)
        inside = [pointer for pointer in pointers if bottom <= pointer < bottom + size]
        start = min(inside, default=bottom) & ~(_POINTER - 1)
        data = look.prog.read(start, bottom + size - start)
    word = at.to_bytes(_POINTER, byte_order(look.prog.platform))
    found = []
    place = data.find(word)
    while place >= 0:
        if place % _POINTER == 0:
            found.append(start + place)
        place = data.find(word, place + 1)
    return found


def _by_waiter(
    look: Look, kind: str, waiter: tuple[str, str, str], lock: tuple[str, str], place: int
) -> Lock | None:
    """The lock at whose list a waiter hangs, if both are what they should be."""
    known = look.locks
    if kind not in known.layouts:
        known.layouts[kind] = _layout(look, waiter, lock)
    layout = known.layouts[kind]
    if layout is None:
        return None
    task_at, link_at, head_at = layout
    link = place - task_at + link_at
    key = kind, link
    if key not in known.heads:
        _walk(look, kind, link, task_at - link_at)
    head = known.heads[key]
    if head is None:
        return None
    return _lock(look, kind, head - head_at, "", f"{waiter[0]} on its stack")


def _layout(
    look: Look, waiter: tuple[str, str, str], lock: tuple[str, str]
) -> tuple[int, int, int] | None:
    """Offsets of a waiter's task and list entry, and of the list's head in its lock."""
    try:
        waiter_type, lock_type = look.prog.type(waiter[0]), look.prog.type(lock[0])
        return (
            drgn.offsetof(waiter_type, waiter[1]),
            drgn.offsetof(waiter_type, waiter[2]),
            drgn.offsetof(lock_type, lock[1]),
        )
    except UNREADABLE:
        return None


def _walk(look: Look, kind: str, link: int, to_task: int) -> None:
    """
    Note where the list hangs that an entry is part of, for every entry of it.

    All of a ring but the head are waiters of tasks; the head is part of the lock.
    """
    heads = look.locks.heads
    heads[kind, link] = None
    try:
        ring = closed_ring(look.prog, link, _MAX_RING)
    except UNREADABLE:
        return
    outside = []
    for node in ring:
        try:
            pointer = look.prog.read_u64(node + to_task)
        except UNREADABLE:
            pointer = 0
        if pointer not in look.task_addresses:
            outside.append(node)
    if len(outside) == 1 and outside[0] != link:
        heads.update(((kind, node), outside[0]) for node in ring if node != outside[0])


def _by_arguments(look: Look, task: drgn.Object) -> Lock | None:
    """What the function that waits was called with, as its code shows."""
    names = [base_name(call.name) for call in look.stack(task)]
    if not any(name in _WAITING for name in names):
        return None
    key = tuple(names)
    look.locks.asked[key] += 1
    if look.locks.asked[key] > _ASKED:
        look.doubts.add(
            f"more than {_ASKED} tasks have one stack: what each of the others waits for"
            " was not worked out"
        )
        return None
    trace = look.trace(task)
    if trace is None:
        return None
    from btfdbg.frames.arguments import arguments

    for frame, values in zip(trace, arguments(look.session, trace), strict=False):
        name = base_name(frame.name or "")
        for function, parameter, kind in _PARAMETERS:
            if name != function:
                continue
            for value in values:
                if value.name == parameter and value.value is not None:
                    mode = "read" if "read" in name else "write" if "write" in name else ""
                    how = f"argument of {name}(): {value.source}"
                    if not value.confirmed:
                        how += "; nothing confirms it"
                    return _lock(look, kind, int(value.value), mode, how)
    return None


def held(look: Look, calls: tuple[Call, ...]) -> bool:
    """Whether a stack is one that waits for some kind of lock."""
    return any(
        base_name(call.name).startswith(("__mutex_lock", "mutex_lock", "rwsem_down", "rt_mutex",
                                         "__rt_mutex", "percpu_rwsem_wait", "__down"))
        for call in calls
    )  # fmt: skip
