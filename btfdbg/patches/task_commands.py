"""drgn's commands over tasks go on with the next one where a task cannot be read.

Owns the loop around ``ps``, ``foreach`` and what else shows task after task: a task that
misses a page costs itself, is remarked on, and the others are shown. Which tasks there are
is known by ``patches.task_walks``.

Why around them: drgn's loops are in the middle of its commands, but all take their tasks
from one place, a selector, so that a command can be called again for the rest. drgn's ``vm``
returns at a kernel thread instead of going on: it is called for each task.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import Any

from drgn import FaultError, Object

from btfdbg.patches.install import reach
from btfdbg.program.session import find_session
from btfdbg.vmcore.read_failures import unread

_PS = "drgn.commands._crash._ps"
_COMMON = "drgn.commands._crash.common"
_WHAT = "tasks that cannot be shown in full"
Command = Callable[..., Any]


def _is_ours(selector: Any, args: argparse.Namespace) -> bool:
    return find_session(selector.prog) is not None and not getattr(args, "drgn", False)


def _going_on(original: Command) -> Command:
    """Call a command again for the rest, where it failed at a task."""

    def run(selector: Any, args: argparse.Namespace, **kwargs: Any) -> Any:
        if not _is_ours(selector, args):
            return original(selector, args, **kwargs)
        rest = _Rest(selector)
        while True:
            try:
                return original(rest, args, **kwargs)
            except FaultError as e:
                if rest.current is None:
                    raise
                _remark(rest.current, e)
                rest.current = None

    return run


foreach_bt = foreach_files = foreach_set = foreach_sig = foreach_task = foreach_vtop = _going_on


def foreach_vm(original: Command) -> Command:
    """``vm`` for each task by itself."""

    def run(selector: Any, args: argparse.Namespace, **kwargs: Any) -> Any:
        if not _is_ours(selector, args):
            return original(selector, args, **kwargs)
        first = True
        for task in selector.tasks():
            if not first:
                print()
            first = False
            try:
                original(_One(selector, task), args, **kwargs)
            except FaultError as e:
                _remark(task, e)
        return None

    return run


def foreach_ps(original: Command) -> Command:
    """``ps``, whose table is printed when it has all rows."""
    others = _going_on(original)
    arguments = _going_on(_arguments)

    def run(selector: Any, args: argparse.Namespace, **kwargs: Any) -> Any:
        if _is_ours(selector, args):
            if _is_listing(args):
                return _listing(original, selector, args)
            if args.func is not None and args.func is reach(_PS, "_ps_arguments"):
                return arguments(selector, args)
        return others(selector, args, **kwargs)

    return run


def _arguments(selector: Any, args: argparse.Namespace) -> None:
    """``ps -a``: of what is missing it is said once what it is, and not where each began."""
    from drgn.helpers.common.format import escape_ascii_string
    from drgn.helpers.linux.mm import cmdline, environ

    header = reach(_COMMON, "print_task_header")
    for number, task in enumerate(selector.tasks()):
        if number:
            print()
        if header is not None:
            header(task)
        if not task.mm.read_():
            print("  (no mm)")
            continue
        found: list[list[str] | None] = []
        why = ""
        for helper in (cmdline, environ):
            try:
                found.append([escape_ascii_string(word) for word in helper(task) or ()])
            except FaultError as e:
                found.append(None)
                why = str(e.args[0]) if e.args else str(e)
        words, variables = found
        if words is None and variables is None:
            print(f"  (arguments and environment cannot be read: {why})")
            continue
        print("ARG:", " ".join(words) if words is not None else f"(cannot be read: {why})")
        shown = variables if variables is not None else [f"(cannot be read: {why})"]
        for prefix, text in zip(("ENV:", *("    " for _ in shown[1:])), shown or [""], strict=True):
            print(f"{prefix} {text}".rstrip())


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
    shown = reach(_PS, "print_table")
    if shown is None:
        _going_on(command)(selector, args)
        return
    head: list[Any] = []
    rows: list[Any] = []
    names = vars(sys.modules[_PS])
    # --json has put its own in the place of drgn's.
    shown = names["print_table"]
    count = 1 if args.header else 0

    def unless_empty(found: list[Any], **options: Any) -> None:
        # A head without rows says that there are no tasks; the error says which were meant.
        if len(found) > count:
            shown(found, **options)

    def collect(found: list[Any], **_: Any) -> None:
        head[:] = found[:count]
        rows.extend(found[count:])

    try:
        names["print_table"] = unless_empty
        command(selector, args)
        return
    except FaultError:
        pass
    finally:
        names["print_table"] = shown

    try:
        names["print_table"] = collect
        for task in selector.tasks():
            try:
                command(_One(selector, task), args)
            except FaultError as e:
                _remark(task, e)
                rows.append(_short_row(task))
    finally:
        names["print_table"] = shown
    if rows:
        shown(head + rows)


def _short_row(task: Object) -> tuple[Any, ...]:
    from drgn.helpers.common.format import CellFormat, escape_ascii_string
    from drgn.helpers.linux.sched import task_cpu, task_state_to_char

    name = escape_ascii_string(task.comm.string_(), escape_backslash=True)
    place = CellFormat(task.value_(), "^x")
    cpu, state = _shown(task_cpu, task), _shown(task_state_to_char, task)
    return ("", task.pid.value_(), "?", cpu, place, state, "?", "?", "?", name)


def _shown(helper: Callable[[Object], Any], task: Object) -> Any:
    try:
        return helper(task)
    except FaultError:
        return "?"
