"""Stop a command whose walk through a damaged list or tree never ends.

Owns a look, every now and then while a command takes long, at what drgn's
helpers are walking: their lists end where the kernel's do, and one wrong pointer
makes a circle of them. Each kind of walk has an entry in ``WALKS``: the function,
and how to go on from its local variables; and a row in ``table``, which says whether
the installed drgn still has both. The walk is followed from where it is,
so that only what surely never ends is stopped; a list that is merely long is not.
Lists and trees that all helpers share end by themselves (``lists``, ``trees``);
these are the others, each in the middle of something.

A frame that runs does not tell which generators wait for it, and a signal falls into one only
by luck: between two items of a walk the command may print for long. So a command that takes
long is also profiled for some 10 ms now and then: then each generator that goes on is seen.

Why not bounds in the walks themselves: they are drgn's, and some of them are in
the middle of a command. Why a timer of the process's own CPU time: it costs
nothing until a command has taken a second, and no load on the machine matters.
What C code does between two reads cannot be stopped this way.
Facts: drgn ``drgn/helpers/linux/*.py``, the names of functions and variables.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from types import FrameType
from typing import Any

import drgn

from btfdbg.errors import BtfdbgError
from btfdbg.interrupts import held

_FIRST_LOOK = 1.0
# Between two looks, in seconds on the average, without a rhythm that a walk could have too.
_INTERVAL = 0.01
# A burst of profiling makes calls of Python dearer: it takes a twentieth of the time. Each is
# twice as long as the one before, for walks that have long to do with each item.
_FIRST_BURST = 0.02
_BETWEEN_BURSTS = 20
_MAX_STEPS = 1 << 22
# An XArray of 2**64 entries has 11 levels; drgn keeps one node for each.
_MAX_LEVELS = 64

Locals = Mapping[str, Any]
Walk = Callable[[Locals], Iterator[Hashable]]
"""From a function's local variables: the positions that are to come, until the walk ends."""


class CircleError(BtfdbgError):
    """A walk through a list or tree of the dump never ends."""


def _chain(variable: str, member: str) -> Walk:
    """Follow a member until NULL or a marked pointer (an odd one)."""

    def walk(local: Locals) -> Iterator[Hashable]:
        position = local.get(variable)
        while isinstance(position, drgn.Object):
            if position.type_.kind is not drgn.TypeKind.POINTER:
                return
            value = position.value_()
            if value == 0 or value & 1:
                return
            yield value
            position = position.member_(member)

    return walk


def _path(local: Locals) -> Iterator[Hashable]:
    """The parents of a dentry, across mounts."""
    dentry, mount = local.get("dentry"), local.get("mnt")
    while isinstance(dentry, drgn.Object) and isinstance(mount, drgn.Object):
        yield mount.value_(), dentry.value_()
        if dentry == mount.mnt.mnt_root:
            above = mount.mnt_parent.read_()
            if above == mount:
                return
            dentry, mount = mount.mnt_mountpoint.read_(), above
            continue
        parent = dentry.d_parent.read_()
        if parent == dentry:
            return
        dentry = parent


def _resting(variable: str, step: str) -> Walk:
    """Follow a member until an object that leads to itself."""

    def walk(local: Locals) -> Iterator[Hashable]:
        position = local.get(variable)
        while isinstance(position, drgn.Object):
            yield position.value_()
            above = position.member_(step).read_()
            if above == position:
                return
            position = above

    return walk


def _to_root_node(local: Locals) -> Iterator[Hashable]:
    """The parents of a file of sysfs."""
    from drgn.helpers.linux.kernfs import kernfs_parent

    node, root = local.get("kn"), local.get("root_kn")
    while isinstance(node, drgn.Object) and node and node != root:
        yield node.value_()
        node = kernfs_parent(node)


def _levels(local: Locals) -> Iterator[Hashable]:
    """A tree that is deeper than any can be."""
    stack = local.get("stack")
    while isinstance(stack, list) and len(stack) > _MAX_LEVELS:
        yield None


_LINUX = "drgn.helpers.linux."
WALKS: dict[tuple[str, str], tuple[Walk, ...]] = {
    (_LINUX + "list_nulls", "hlist_nulls_for_each_entry"): (_chain("pos", "next"),),
    (_LINUX + "llist", "llist_for_each"): (_chain("pos", "next"),),
    (_LINUX + "device", "for_each_registered_chrdev"): (
        _chain("cd", "next"),
        _chain("probe", "next"),
    ),
    (_LINUX + "device", "for_each_registered_blkdev"): (_chain("name", "next"),),
    (_LINUX + "net", "netdev_ipv4_addrs"): (_chain("ifa", "ifa_next"),),
    (_LINUX + "net", "neigh_table_for_each_neighbor"): (_chain("neigh", "next"),),
    (_LINUX + "irq", "irq_desc_action_names"): (_chain("action", "next"),),
    (_LINUX + "ioport", "for_each_resource"): (_chain("child", "sibling"),),
    (_LINUX + "mm", "for_each_vma"): (_chain("vma", "vm_next"),),
    (_LINUX + "kernfs", "kernfs_path"): (_to_root_node,),
    (_LINUX + "fs", "super_block_for_each_mount"): (_chain("mount", "mnt_next_for_sb"),),
    (_LINUX + "fs", "dentry_path"): (_resting("dentry", "d_parent"),),
    (_LINUX + "fs", "d_path"): (_path,),
    (_LINUX + "xarray", "xa_for_each"): (_levels,),
    ("drgn.commands._crash._ps", "_ps_parents"): (_resting("task", "parent"),),
}

# One call takes as many steps as a tree has levels, which is microseconds. A
# call that is found at work this many times never ends.
QUICK = frozenset(
    (
        (_LINUX + "rbtree", "rb_first"),
        (_LINUX + "rbtree", "rb_last"),
        (_LINUX + "rbtree", "rb_next"),
        (_LINUX + "rbtree", "rb_prev"),
        (_LINUX + "rbtree", "rb_find"),
        (_LINUX + "mapletree", "mtree_load"),
        (_LINUX + "cgroup", "css_next_descendant_pre"),
        (_LINUX + "fs", "_follow_mount"),
        (_LINUX + "fs", "_follow_dotdot"),
        (_LINUX + "kernfs", "_kernfs_follow_symlink"),
    )
)
_MAX_LOOKS = 50
_NAMES = frozenset(name for _, name in WALKS)


def _circle(walk: Walk, local: Locals, steps: int) -> bool | None:
    """
    Whether a walk comes back to where it was; ``None`` if it went on for ``steps``.

    Brent's algorithm: one position is remembered, at steps that are powers of two.
    """
    saved: Hashable = object()
    power = n = 1
    try:
        for number, position in enumerate(walk(local)):
            if number and position == saved:
                return True
            if number == 0 or n == power:
                saved, power, n = position, 2 * power, 0
            n += 1
            if number >= steps:
                return None
    except (drgn.FaultError, LookupError, AttributeError, TypeError, ValueError):
        return False  # there it ends, or it is no walk that we know
    return False


def _stop(name: str) -> CircleError:
    return CircleError(
        f"a list or tree runs in a circle (in drgn's {name}()): the dump is damaged, or was"
        " taken while it changed"
    )


def _can_raise(frame: FrameType) -> bool:
    """Not in what Python calls by itself (finalizers, gc callbacks), where errors are lost."""
    return _is_of("drgn", frame) or _is_of("btfdbg", frame)


def _is_of(package: str, frame: FrameType) -> bool:
    return f"{os.sep}{package}{os.sep}" in frame.f_code.co_filename


class _Watch:
    def __init__(self) -> None:
        self._steps = 1024
        self._not_before = 0.0
        self._quick: FrameType | None = None
        self._looks = 0
        self._burst = _FIRST_BURST
        self._burst_ends: float | None = None
        self._next_burst = 0.0
        # One object, so that it can be known again.
        self._profile = self._see
        self.ended = False

    def look(self, number: int, frame: FrameType | None) -> None:
        """Signal handler."""
        if self.ended:
            return  # set again, the timer would fire where nobody handles it
        # The clock's last digits are as good as random ones, and there.
        uneven = _INTERVAL * (0.5 + time.perf_counter_ns() % 1000 / 1000)
        signal.setitimer(signal.ITIMER_VIRTUAL, uneven, _INTERVAL)
        now = time.process_time()
        if self._burst_ends is not None and now >= self._burst_ends:
            self.end_burst()
            self._burst *= 2
            self._next_burst = now + _BETWEEN_BURSTS * self._burst
        elif self._burst_ends is None and now >= self._next_burst and sys.getprofile() is None:
            self._burst_ends = now + self._burst
            sys.setprofile(self._profile)
        if now < self._not_before or frame is None or not _can_raise(frame):
            return
        while frame is not None:
            if _is_of("drgn", frame):
                self._look_at(frame, _place(frame))
            frame = frame.f_back
        self._looked_since(now)

    def end_burst(self) -> None:
        """Profile no more. Somebody else's profiler is not touched."""
        self._burst_ends = None
        if sys.getprofile() is self._profile:
            sys.setprofile(None)

    def _see(self, frame: FrameType, event: str, argument: object) -> None:
        """Profiler: look at each generator that makes its next item."""
        if self._burst_ends is None:
            self.end_burst()  # somebody took it for what was there before, and put it back
        elif event == "call" and frame.f_code.co_name in _NAMES and _is_of("drgn", frame):
            now = time.process_time()
            if now < self._not_before:
                return
            if not self._look_at(frame, _place(frame)):
                # Not yet known. Meanwhile it goes on without being profiled.
                self.end_burst()
            self._looked_since(now)

    def _looked_since(self, began: float) -> None:
        """Looking takes at most a fifth of the time."""
        now = time.process_time()
        self._not_before = max(self._not_before, now + 4 * (now - began))

    def _look_at(self, frame: FrameType, place: tuple[str, str]) -> bool:
        """
        Whether it is known now that a frame's walks end.

        :raises CircleError: one never does.
        """
        if place in QUICK:
            # The frame is held, so that no other can be taken for it.
            self._looks = self._looks + 1 if frame is self._quick else 0
            self._quick = frame
            if self._looks >= _MAX_LOOKS:
                raise _stop(place[1])
        known = True
        for walk in WALKS.get(place, ()):
            found = _circle(walk, frame.f_locals, self._steps)
            if found:
                raise _stop(place[1])
            if found is None:
                known = False
                self._steps = min(2 * self._steps, _MAX_STEPS)
        return known


def _place(frame: FrameType) -> tuple[str, str]:
    return frame.f_globals.get("__name__", ""), frame.f_code.co_name


def _late(number: int, frame: FrameType | None) -> None:
    """Take a signal that was on its way when the timer was stopped: by default it would kill."""


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """
    Raise :class:`CircleError` in a walk that never ends.

    Does nothing outside the main thread, where Python handles no signals, or
    where somebody else uses the timer.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGVTALRM) not in (signal.SIG_DFL, _late)
        or signal.getitimer(signal.ITIMER_VIRTUAL) != (0.0, 0.0)
    ):
        yield
        return
    watch = _Watch()
    try:
        signal.signal(signal.SIGVTALRM, watch.look)
        signal.setitimer(signal.ITIMER_VIRTUAL, _FIRST_LOOK, _INTERVAL)
        yield
    finally:
        watch.ended = True
        with held():
            # The timer first: left running, it would end the process.
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, _late)
            watch.end_burst()
