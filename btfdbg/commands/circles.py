"""Stop a command whose walk through a damaged list or tree never ends.

Owns a look, every now and then while a command takes long, at what drgn's
helpers are walking: their lists end where the kernel's do, and one wrong pointer
makes a circle of them. Each kind of walk has a row in ``_WALKS``: the function,
and how to go on from its local variables. The walk is followed from where it is,
so that only what surely never ends is stopped; a list that is merely long is not.

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
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from types import FrameType
from typing import Any

import drgn

from btfdbg.errors import BtfdbgError

_FIRST_LOOK = 1.0
_INTERVAL = 0.05
_MAX_STEPS = 1 << 22
# An XArray of 2**64 entries has 11 levels; drgn keeps one node for each.
_MAX_LEVELS = 64

Locals = Mapping[str, Any]
Walk = Callable[[Locals], Iterator[Hashable]]
"""From a function's local variables: the positions that are to come, until the walk ends."""


class CircleError(BtfdbgError):
    """A walk through a list or tree of the dump never ends."""


def _chain(variable: str, member: str, stop: str = "") -> Walk:
    """Follow a member until NULL, a marked pointer (an odd one), or the object named ``stop``."""

    def walk(local: Locals) -> Iterator[Hashable]:
        position, end = local.get(variable), local.get(stop)
        last = end.value_() if isinstance(end, drgn.Object) else 0
        while isinstance(position, drgn.Object):
            if position.type_.kind is not drgn.TypeKind.POINTER:
                return
            value = position.value_()
            if value in (0, last) or value & 1:
                return
            yield value
            position = position.member_(member)

    return walk


def _to_root(local: Locals) -> Iterator[Hashable]:
    """The parents of a dentry, as far as its file system goes."""
    dentry = local.get("dentry")
    while isinstance(dentry, drgn.Object):
        yield dentry.value_()
        parent = dentry.d_parent.read_()
        if parent == dentry:
            return
        dentry = parent


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


def _levels(local: Locals) -> Iterator[Hashable]:
    """A tree that is deeper than any can be."""
    stack = local.get("stack")
    while isinstance(stack, list) and len(stack) > _MAX_LEVELS:
        yield None


_WALKS: dict[tuple[str, str], tuple[Walk, ...]] = {
    ("list.py", "list_for_each"): (_chain("pos", "next", "head"),),
    ("list.py", "list_for_each_reverse"): (_chain("pos", "prev", "head"),),
    ("list.py", "hlist_for_each"): (_chain("pos", "next"),),
    ("list_nulls.py", "hlist_nulls_for_each_entry"): (_chain("pos", "next"),),
    ("llist.py", "llist_for_each"): (_chain("pos", "next"),),
    ("device.py", "for_each_registered_chrdev"): (_chain("cd", "next"), _chain("probe", "next")),
    ("device.py", "for_each_registered_blkdev"): (_chain("name", "next"),),
    ("fs.py", "dentry_path"): (_to_root,),
    ("fs.py", "d_path"): (_path,),
    ("rbtree.py", "rb_first"): (_chain("node", "rb_left"),),
    ("rbtree.py", "rb_last"): (_chain("node", "rb_right"),),
    ("xarray.py", "xa_for_each"): (_levels,),
}


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


class _Watch:
    def __init__(self) -> None:
        self._steps = 1024
        self._not_before = 0.0

    def look(self, number: int, frame: FrameType | None) -> None:
        """Signal handler."""
        now = time.process_time()
        if now < self._not_before:
            return
        while frame is not None:
            name = frame.f_code.co_name
            walks = _WALKS.get((os.path.basename(frame.f_code.co_filename), name))
            if walks is not None and f"drgn{os.sep}helpers" in frame.f_code.co_filename:
                for walk in walks:
                    found = _circle(walk, frame.f_locals, self._steps)
                    if found:
                        raise CircleError(
                            f"a list or tree runs in a circle (in drgn's {name}()): the dump is"
                            " damaged, or was taken while it changed"
                        )
                    if found is None:
                        self._steps = min(2 * self._steps, _MAX_STEPS)
            frame = frame.f_back
        # Looking takes at most a fifth of the time.
        self._not_before = time.process_time() + 4 * (time.process_time() - now)


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """
    Raise :class:`CircleError` in a walk that never ends.

    Does nothing outside the main thread, where Python handles no signals, or
    where somebody else uses the timer.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGVTALRM) is not signal.SIG_DFL
        or signal.getitimer(signal.ITIMER_VIRTUAL) != (0.0, 0.0)
    ):
        yield
        return
    before = signal.signal(signal.SIGVTALRM, _Watch().look)
    signal.setitimer(signal.ITIMER_VIRTUAL, _FIRST_LOOK, _INTERVAL)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
