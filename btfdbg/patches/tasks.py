"""The tasks of a dump whose pid table cannot be read to its end.

Owns finding tasks by whatever still leads to them: the pid table, the list of tasks in both
directions, threads, parents and children, control groups, run queues, CPUs. Each task names
up to a dozen others, so a walk from task to task needs no list to be whole and cannot run in
a circle. What is found must look like a task in several ways before it is believed.

Facts: ``include/linux/sched.h`` (struct task_struct), ``include/linux/sched/signal.h``
(thread_head), ``include/linux/sched/task_stack.h`` and ``include/uapi/linux/magic.h``
(STACK_END_MAGIC), ``kernel/fork.c`` (``nr_threads`` counts all but the idle tasks),
``include/linux/cgroup-defs.h`` (struct css_set), ``include/linux/threads.h`` (PID_MAX_LIMIT).
"""

from __future__ import annotations

from collections.abc import Iterator

import drgn
from drgn import FaultError, Object

from btfdbg.lazy_dataclass import dataclass
from btfdbg.program.session import Session
from btfdbg.vmcore.read_failures import unread

_CACHE_KEY = "btfdbg.tasks"
_MAX_TASKS = 1 << 22
_PID_MAX_LIMIT = 1 << 22
# EXIT_DEAD, EXIT_ZOMBIE
_EXIT_STATES = (0, 16, 32, 48)
_LEAST_STACK = 4096
_STACK_END_MAGIC = 0x57AC6E9D
_WORD = 8

# Rings that hold tasks: the member of task_struct that is linked.
_RINGS = ("tasks", "sibling", "thread_node", "cg_list", "se.group_node", "rt.run_list")
_POINTERS = ("group_leader", "real_parent", "parent")


@dataclass(frozen=True, slots=True)
class Tasks:
    """
    What could be found.

    :ivar tasks: ``struct task_struct *`` by pid; idle tasks are not among them.
    :ivar expected: How many the kernel itself counted (``nr_threads``), if that is known.
    """

    tasks: tuple[Object, ...]
    expected: int | None

    def __str__(self) -> str:
        if self.expected is None:
            return f"{len(self.tasks):,} tasks; how many there were is not known"
        return f"{len(self.tasks):,} of the {self.expected:,} tasks that the kernel counted"

    @property
    def complete(self) -> bool:
        """Whether none is missing."""
        return self.expected is not None and len(self.tasks) >= self.expected


def find_tasks(session: Session) -> Tasks:
    """
    Find tasks without the pid table; once per dump.

    :raises LookupError: types or ``init_task`` are not known.
    """
    prog = session.prog
    found = prog.cache.get(_CACHE_KEY)
    if not isinstance(found, Tasks):
        with unread(prog).silent():
            tasks = _Walk(prog).run()
        tasks.sort(key=lambda task: int(task.pid.value_()))
        found = prog.cache[_CACHE_KEY] = Tasks(tuple(tasks), task_count(prog))
    return found


def task_count(prog: drgn.Program) -> int | None:
    """How many tasks the kernel counted, idle ones excluded."""
    try:
        count = int(prog["nr_threads"].value_())
    except (LookupError, FaultError, TypeError):
        return None
    return count if 0 < count <= _MAX_TASKS else None


class _Walk:
    """A walk from task to task."""

    def __init__(self, prog: drgn.Program) -> None:
        self._prog = prog
        self._type = prog.type("struct task_struct *")
        task = prog.type("struct task_struct")
        self._rings = [(name, _offset(task, name)) for name in _RINGS]
        self._children = _offset(task, "children")
        self._sibling = _offset(task, "sibling")
        self._heads = _offset(task, "cg_list")
        self._seen: set[int] = set()

    def run(self) -> list[Object]:
        todo = list(self._starts())
        found: list[Object] = []
        while todo and len(self._seen) < _MAX_TASKS:
            address = todo.pop()
            if address in self._seen:
                continue
            self._seen.add(address)
            task = self._task(address)
            if task is None:
                continue
            if task.pid.value_():
                found.append(task)
            todo.extend(a for a in self._neighbours(address, task) if a not in self._seen)
        return found

    def _task(self, address: int) -> Object | None:
        """The task at an address, if what is there can be one."""
        if address % _WORD or address < 4096:
            return None
        task = Object(self._prog, self._type, address)
        try:
            sound = self._has_name(task) and self._has_ids(task) and self._has_stack(task)
        except (FaultError, OverflowError):
            return None  # what cannot be read cannot be shown
        return task if sound else None

    def _has_name(self, task: Object) -> bool:
        name, end, _ = bytes(task.comm.to_bytes_()).partition(b"\0")
        try:
            return bool(end) and name.decode().isprintable()
        except UnicodeDecodeError:
            return False

    def _has_ids(self, task: Object) -> bool:
        pid, tgid, leader = task.pid.value_(), task.tgid.value_(), task.group_leader
        if not 0 <= pid < _PID_MAX_LIMIT or not 0 <= tgid < _PID_MAX_LIMIT:
            return False
        if pid == tgid:
            return bool(leader == task)
        try:
            return bool(leader.tgid.value_() == tgid)
        except (FaultError, OverflowError):
            return True

    def _has_stack(self, task: Object) -> bool:
        """A task that lives has one; one that was released has no signals any more."""
        state, stack = task.exit_state.value_(), task.stack.value_()
        if state not in _EXIT_STATES or not task.signal or not task.real_parent:
            return False
        if not stack:
            return bool(state)
        if stack % _LEAST_STACK:
            return False
        try:
            # Every architecture with BTF keeps thread_info in task_struct.
            value: int = self._prog.read_word(stack)
        except (FaultError, OverflowError):
            return True  # it is not in the dump
        return value == _STACK_END_MAGIC or not task.pid

    def _starts(self) -> Iterator[int]:
        from drgn.helpers.linux.cpumask import for_each_possible_cpu
        from drgn.helpers.linux.percpu import per_cpu

        prog = self._prog
        yield prog["init_task"].address_
        for name in ("init_css_set",):
            yield from self._of_css_set(prog, name)
        try:
            crashed = prog.crashed_thread()
            yield crashed.object.value_()
        except (ValueError, LookupError, FaultError):
            pass
        try:
            for cpu in for_each_possible_cpu(prog):
                try:
                    rq = per_cpu(prog["runqueues"], cpu)
                    for member in ("curr", "idle", "stop"):
                        yield rq.member_(member).value_()
                except (LookupError, FaultError):
                    continue
        except (LookupError, FaultError):
            pass

    def _of_css_set(self, prog: drgn.Program, name: str) -> Iterator[int]:
        if self._heads is None:
            return
        try:
            head = prog[name].tasks
            yield head.next.value_() - self._heads
            yield head.prev.value_() - self._heads
        except (LookupError, FaultError, AttributeError):
            return

    def _neighbours(self, address: int, task: Object) -> Iterator[int]:
        """Addresses that may be other tasks'."""
        read = self._prog.read_word
        for _, offset in self._rings:
            if offset is None:
                continue
            for way in (0, _WORD):
                try:
                    yield read(address + offset + way) - offset
                except (FaultError, OverflowError):
                    continue
        for way in (0, _WORD):
            try:
                if self._children is not None and self._sibling is not None:
                    yield read(address + self._children + way) - self._sibling
            except (FaultError, OverflowError):
                continue
        for name in _POINTERS:
            try:
                yield task.member_(name).value_()
            except (LookupError, FaultError):
                continue
        # The head of a process's threads is not in a task; the first is behind it.
        try:
            offset = dict(self._rings)["thread_node"]
            head = task.signal.thread_head
            if offset is not None:
                yield head.next.value_() - offset
                yield head.prev.value_() - offset
        except (LookupError, FaultError, AttributeError):
            pass
        try:
            if self._heads is not None:
                head = task.cgroups.tasks
                yield head.next.value_() - self._heads
                yield head.prev.value_() - self._heads
        except (LookupError, FaultError, AttributeError):
            pass


def _offset(task: drgn.Type, name: str) -> int | None:
    """Offset of a member in bytes, ``None`` where this kernel has none."""
    try:
        return int(drgn.offsetof(task, name))
    except LookupError:
        return None
