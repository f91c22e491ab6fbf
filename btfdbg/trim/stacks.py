"""The stacks of all tasks, unwound once for all that is recorded of them.

Owns which tasks stand for many: machines have ten thousands of threads that wait at the same
place, and what a command reads for one of them is what it reads for another.
"""

from __future__ import annotations

import drgn
from drgn import FaultError, Object

from btfdbg.lazy_dataclass import dataclass, field
from btfdbg.program import unwind_riscv64
from btfdbg.program.up_cpus import for_each_up_cpu
from btfdbg.trim.touching import SKIPPED

_CACHE_KEY = "btfdbg.trim.stacks"
_MANY = 1 << 12
_OF_A_KIND = 8


@dataclass(slots=True)
class Stacks:
    """
    What the stacks of tasks are made of.

    :ivar counters: Program counters of all frames.
    :ivar pointers: Each task with its innermost frame's stack pointer, as far as drgn knows it.
    :ivar kinds: Tasks by the program counters of their frames, at most eight of a kind.
    :ivar count: How many tasks there are.
    :ivar examples: See :func:`examples`; ``None`` before it was asked for.
    """

    counters: set[int] = field(default_factory=set)
    pointers: list[tuple[Object, int]] = field(default_factory=list)
    kinds: dict[tuple[int, ...], list[Object]] = field(default_factory=dict)
    count: int = 0
    examples: list[Object] | None = None


def stacks_of(prog: drgn.Program) -> Stacks:
    """The stacks of what each CPU runs and of every task, but those that cannot be unwound."""
    found = prog.cache.get(_CACHE_KEY)
    if not isinstance(found, Stacks):
        found = prog.cache[_CACHE_KEY] = _unwound(prog)
    return found


def examples(prog: drgn.Program) -> list[Object] | None:
    """
    Tasks that stand for all: of each process the first, and some of each kind of stack.

    :return: ``None`` where there are so few tasks that each stands for itself.
    """
    stacks = stacks_of(prog)
    if stacks.count <= _MANY:
        return None
    if stacks.examples is None:
        stacks.examples = _chosen(prog, stacks)
    return stacks.examples


def _chosen(prog: drgn.Program, stacks: Stacks) -> list[Object]:
    from drgn.helpers.linux.pid import for_each_task
    from drgn.helpers.linux.sched import thread_group_leader

    chosen = {task.value_(): task for kind in stacks.kinds.values() for task in kind}
    for task in for_each_task(prog):
        try:
            if thread_group_leader(task):
                chosen.setdefault(task.value_(), task)
        except FaultError:
            continue  # of one
    return list(chosen.values())


def _unwound(prog: drgn.Program) -> Stacks:
    found = Stacks()
    for task in _tasks(prog):
        found.count += 1
        try:
            pointer, counters = _stack(task)
        except SKIPPED:
            continue  # of one task; the others are recorded all the same
        found.counters.update(counters)
        if pointer is not None:
            found.pointers.append((task, pointer))
        kind = found.kinds.setdefault(counters, [])
        if len(kind) < _OF_A_KIND:
            kind.append(task)
    return found


def _tasks(prog: drgn.Program) -> list[Object]:
    """What each CPU runs, idle tasks too, which are in no list; and every task."""
    from drgn.helpers.linux.pid import for_each_task
    from drgn.helpers.linux.sched import cpu_curr

    return [*(cpu_curr(prog, cpu) for cpu in for_each_up_cpu(prog)), *for_each_task(prog)]


def _stack(task: Object) -> tuple[int | None, tuple[int, ...]]:
    """Stack pointer of a task's innermost frame, and program counters of all."""
    platform = task.prog_.platform
    if platform is not None and platform.arch is drgn.Architecture.RISCV64:
        return None, tuple(frame.pc for frame in unwind_riscv64.stack(task))
    trace = task.prog_.stack_trace(task)
    counters = tuple(frame.pc for frame in trace)
    try:
        return int(trace[0].sp), counters
    except (LookupError, IndexError):
        return None, counters
