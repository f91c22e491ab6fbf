"""The letter of a task's state where the kernel's own table of letters is not to be had.

Owns the stand-in for ``task_state_array``, out of which drgn learns what the bits of a state
mean. The table is data: a kernel without CONFIG_KALLSYMS_ALL does not name it, and a dump that
was cut off may not hold it, though each task's state can be read.

Facts: ``include/linux/sched.h`` (TASK_RUNNING 0, TASK_INTERRUPTIBLE 1, TASK_UNINTERRUPTIBLE 2,
__TASK_STOPPED 4, __TASK_TRACED 8, EXIT_DEAD 16, EXIT_ZOMBIE 32, TASK_PARKED 64, TASK_REPORT),
``fs/proc/array.c`` (task_state_array). The numbers are these since kernel commit 8ef9925b02c2
(v4.14), and no kernel has described its types in BTF before v5.2. The state is
``task_struct.__state`` since 2f064a59a11f (v5.14), ``state`` before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import drgn
from drgn import Object

from btfdbg.program.session import find_session

_LETTERS = "RSDTtXZP"
_REPORTED = (1 << len(_LETTERS) - 1) - 1
_MEMBERS = ("__state", "state")
# Where drgn 0.3 keeps what it has made of the table.
_CACHE_KEY = "task_state_to_char"


def task_state_to_char(original: Callable[[Object], str]) -> Callable[[Object], str]:
    """
    Tell the letter by the kernel's table, else by the numbers of its header.

    The function that takes its place raises what drgn's does where the state itself cannot be
    read.
    """

    def letter(task: Object) -> str:
        try:
            return original(task)
        except (LookupError, drgn.FaultError):
            cache = task.prog_.cache
            # With the table known it is the task that cannot be read.
            if _CACHE_KEY in cache or find_session(task.prog_) is None:
                raise
            member = _member(task)
            if member is None:
                raise
            cache[_CACHE_KEY] = _LETTERS, _REPORTED, member
        return original(task)

    return letter


def know_letters(task: Object) -> None:
    """
    See to it that drgn's own ``task_state_to_char()`` knows the letters, for who reports.

    Nothing is put in the place of drgn's function; whether this task's state can be read does
    not matter.

    Example: ``know_letters(tasks[0])``, then ``get_task_state(task)`` for each.
    """
    from drgn.helpers.linux import sched

    with contextlib.suppress(LookupError, drgn.FaultError):
        task_state_to_char(sched.task_state_to_char)(task)


def _member(task: Object) -> str | None:
    """Name the member that holds the state, the newest kernel's first."""
    kind = task.type_.type if task.type_.kind is drgn.TypeKind.POINTER else task.type_
    return next((name for name in _MEMBERS if kind.has_member(name)), None)
