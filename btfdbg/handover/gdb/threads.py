"""Tasks as gdb's threads.

Owns thread ids: a task's pid, and for the idle tasks, which all have pid 0, their CPU.
Which tasks there are, and their registers, is drgn's to say.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from xml.sax.saxutils import quoteattr

import drgn
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.sched import idle_task, task_cpu

from btfdbg.errors import BtfdbgError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.program.thread_size import stack_freed
from btfdbg.program.up_cpus import for_each_up_cpu

logger = logging.getLogger("btfdbg.gdb")

IDLE = 0x40000000
"""Thread id of CPU 0's idle task; a pid has at most 22 bits."""

_MAX_THREADS = 1 << 20


@dataclass(frozen=True, slots=True)
class Thread:
    """A task's id for gdb, the task, and what a list of threads shows of it."""

    id: int
    task: drgn.Object
    label: str


class Threads:
    """
    All tasks of a dump.

    :ivar by_id: In drgn's order; the one that crashed comes first.
    :ivar problem: Why there are fewer than the kernel had, if that is known.
    """

    def __init__(self, prog: drgn.Program) -> None:
        self._prog = prog
        self.problem = ""
        self.by_id: dict[int, Thread] = {}
        self._registers: dict[int, Mapping[str, int]] = {}
        for thread in self._crashed():
            self.by_id.setdefault(thread.id, thread)
        try:
            for thread in self._every():
                self.by_id.setdefault(thread.id, thread)
                if len(self.by_id) >= _MAX_THREADS:
                    self.problem = f"more than {_MAX_THREADS} tasks"
                    break
        except (drgn.FaultError, LookupError, ValueError, BtfdbgError) as e:
            self.problem = str(e)

    def _crashed(self) -> Iterator[Thread]:
        try:
            yield self._thread(self._prog.crashed_thread().object)
        except Exception as e:  # a dump of a kernel that did not crash has none
            logger.debug("no crashed thread: %s", e)

    def _every(self) -> Iterator[Thread]:
        for cpu in for_each_up_cpu(self._prog):
            try:
                task = idle_task(self._prog, cpu)
            except (LookupError, drgn.FaultError):
                break
            yield Thread(IDLE + cpu, task, f"idle, CPU {cpu}")
        for task in for_each_task(self._prog):
            try:
                yield self._thread(task)
            except drgn.FaultError:
                continue

    def _thread(self, task: drgn.Object) -> Thread:
        pid = task.pid.value_()
        if pid <= 0 or pid >= IDLE:
            cpu = int(task_cpu(task))
            return Thread(IDLE + cpu, task, f"idle, CPU {cpu}")
        return Thread(pid, task, task.comm.string_().decode("utf-8", "backslashreplace"))

    def registers(self, thread: Thread) -> Mapping[str, int]:
        """
        A thread's registers by drgn's names.

        :raises ValueError, LookupError, drgn.FaultError: it has none in the dump.
        """
        known = self._registers.get(thread.id)
        if known is None:
            if stack_freed(thread.task):
                raise ValueError("its stack was given back")
            trace = self._prog.stack_trace(thread.task)
            if not len(trace):
                raise ValueError("no stack")
            known = {**trace[0].registers(), "pc": trace[0].pc}
            if len(self._registers) >= 4096:
                self._registers.clear()
            self._registers[thread.id] = known
        return known

    def xml(self) -> bytes:
        """All threads as ``qXfer:threads:read`` has them."""
        rows = [
            f'<thread id="{thread.id:x}" name={quoteattr(_printable(thread.label))}/>'
            for thread in self.by_id.values()
        ]
        return "\n".join(['<?xml version="1.0"?>', "<threads>", *rows, "</threads>", ""]).encode()


def _printable(text: str) -> str:
    """What XML may hold: a task names itself as it likes."""
    return "".join(c if c.isprintable() else "?" for c in text)
