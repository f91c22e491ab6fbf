"""drgn's commands over tasks go on with the next one where a task cannot be read.

Owns the loop around ``ps``, ``foreach`` and what else shows task after task: a task that
misses a page costs itself, is remarked on, and the others are shown. Which tasks there are
is ``patches.walks_around_damage``'s.

Why around them: drgn's loops are in the middle of its commands, but all take their tasks
from one place, a selector, so that a command can be called again for the rest.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Iterator
from typing import Any

from drgn import FaultError, Object
from drgn.commands._crash import _ps
from drgn.commands._crash.common import _CRASH_FOREACH_SUBCOMMANDS
from drgn.helpers.common.format import CellFormat, escape_ascii_string
from drgn.helpers.linux.sched import task_cpu, task_state_to_char

from btfdbg.patches.replace import replace_in_drgn
from btfdbg.program.session import find_session
from btfdbg.vmcore.read_failures import unread

_WHAT = "tasks that cannot be shown in full"
Command = Callable[..., Any]


def install() -> None:
    """Put the loop around drgn's commands; once, after drgn's commands were imported."""
    replacements: dict[Command, Command] = {}
    for name, command in list(_CRASH_FOREACH_SUBCOMMANDS.items()):
        around = _around(name, command.func)
        _CRASH_FOREACH_SUBCOMMANDS[name] = command._replace(func=around)
        replacements[command.func] = around
    replace_in_drgn(replacements)


def _around(name: str, command: Command) -> Command:
    @functools.wraps(command)
    def around(selector: Any, args: argparse.Namespace, **kwargs: Any) -> Any:
        if find_session(selector.prog) is None or getattr(args, "drgn", False):
            return command(selector, args, **kwargs)
        if name == "ps" and _is_listing(args):
            return _listing(command, selector, args)
        rest = _Rest(selector)
        while True:
            try:
                return command(rest, args, **kwargs)
            except FaultError as e:
                if rest.current is None:
                    raise
                _remark(rest.current, e)
                rest.current = None

    return around


def _remark(task: Object, error: FaultError) -> None:
    count = unread(task.prog_)
    count.note_fault(error)
    count.remark(_WHAT, f"pid {task.pid.value_()}, {error.address:#x} cannot be read")


class _Rest:
    """A selector of drgn's whose tasks go on where they were."""

    _selector: Any
    _rest: Iterator[Object] | None
    current: Object | None

    def __init__(self, selector: Any) -> None:
        object.__setattr__(self, "_selector", selector)
        object.__setattr__(self, "current", None)
        object.__setattr__(self, "_rest", None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._selector, name)

    def __setattr__(self, name: str, value: Any) -> None:
        # What a command sets before the first task decides which there are.
        target = self if name in ("current", "_rest") else self._selector
        object.__setattr__(target, name, value)

    def tasks(self) -> Iterator[Object]:
        if self._rest is None:
            self._rest = self._selector.tasks()
        for task in self._rest:
            self.current = task
            yield task
            self.current = None


class _One(_Rest):
    """A selector of one task."""

    def __init__(self, selector: Any, task: Object) -> None:
        super().__init__(selector)
        self._rest = iter((task,))


def _is_listing(args: argparse.Namespace) -> bool:
    """Whether ``ps`` makes its table, which it prints when it has all rows."""
    others = ("func", "last_arrival_timestamp", "last_arrival_elapsed")
    return not any(getattr(args, name, None) for name in others)


def _listing(command: Command, selector: Any, args: argparse.Namespace) -> None:
    try:
        command(selector, args)
        return
    except FaultError:
        pass
    head: list[Any] = []
    rows: list[Any] = []
    shown = vars(_ps)["print_table"]

    def collect(found: list[Any], **_: Any) -> None:
        count = 1 if args.header else 0
        head[:] = found[:count]
        rows.extend(found[count:])

    try:
        vars(_ps)["print_table"] = collect
        for task in selector.tasks():
            try:
                command(_One(selector, task), args)
            except FaultError as e:
                _remark(task, e)
                rows.append(_short_row(task))
    finally:
        vars(_ps)["print_table"] = shown
    if rows:
        shown(head + rows)


def _short_row(task: Object) -> tuple[Any, ...]:
    name = escape_ascii_string(task.comm.string_(), escape_backslash=True)
    place = CellFormat(task.value_(), "^x")
    cpu, state = _shown(task_cpu, task), _shown(task_state_to_char, task)
    return ("", task.pid.value_(), "?", cpu, place, state, "?", "?", "?", name)


def _shown(helper: Callable[[Object], Any], task: Object) -> Any:
    try:
        return helper(task)
    except FaultError:
        return "?"
