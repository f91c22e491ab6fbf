"""The line below the prompt: dump, release, current task, reads that failed.

Pure text out of a Session and the prompt's state; what it reads from the dump
is read once per change of the context.
"""

from __future__ import annotations

import os

import drgn

from btfdbg.commands.state import PromptState
from btfdbg.commands.text import cut, escape, width_of
from btfdbg.program.session import Session

_NO_ANSWER = (drgn.FaultError, LookupError, ValueError, TypeError, AttributeError)


class Toolbar:
    """Text of the toolbar."""

    def __init__(self, session: Session, state: PromptState) -> None:
        self.session = session
        self.state = state
        self._context: tuple[int, str] | None = None
        # The task costs imports; the first prompt does not wait for them.
        self.shows_task = False

    def text(self, columns: int) -> str:
        """
        One line of at most ``columns``; what matters least is dropped first.
        """
        dump = self.session.dump
        parts = [
            escape(os.path.basename(str(dump.path)) if dump is not None else "live"),
            escape(self.session.release),
            self._task() if self.shows_task else "",
            f"{self.state.faults} unreadable" if self.state.faults else "",
        ]
        parts = [part for part in parts if part]
        # The dump's name is long and known; then the release goes.
        while len(parts) > 1 and sum(width_of(p) + 3 for p in parts) > columns:
            del parts[0]
        return cut(" " + " · ".join(parts), columns)

    def _task(self) -> str:
        prog = self.session.prog
        task = prog.config.get("crash_context")
        key = id(task) if task is not None else 0
        if self._context is None or self._context[0] != key:
            self._context = (key, self._describe(task))
        return self._context[1]

    def _describe(self, task: drgn.Object | None) -> str:
        try:
            if task is None:
                task = self.session.prog.crashed_thread().object
            from drgn.helpers.linux.sched import task_cpu

            comm = escape(task.comm.string_().decode("utf-8", "backslashreplace"))
            return f"cpu {task_cpu(task)} {task.pid.value_()} {comm}"
        except _NO_ANSWER:
            return ""
