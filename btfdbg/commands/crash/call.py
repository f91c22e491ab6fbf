"""What the function of an added option is given: the Program, its arguments, its tasks.

Owns the way from ``bt -t 1`` and ``foreach bt -t`` to one function that knows neither.

Facts: drgn ``commands/_crash/common.py``: a ``_TaskSelector`` gives the tasks of a command;
``args.tasks`` are (kind, value) pairs.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from typing import Any

import drgn
from drgn.commands import CommandError

from btfdbg.lazy_dataclass import dataclass
from btfdbg.patches.install import reach
from btfdbg.program.session import Session, session

_COMMON = "drgn.commands._crash.common"
_MAX_CPU = 65536


def private(name: str) -> Any:
    """
    Something of drgn's crash commands.

    :raises CommandError: the installed drgn has none.
    """
    found = reach(_COMMON, name)
    if found is None:
        raise CommandError(f"the installed drgn has no {name}, which this is made of")
    return found


def absent(prog: drgn.Program, option: str, name: str, otherwise: str) -> CommandError:
    """
    The error of an option whose variable is not known: why, as ``p NAME`` says it.

    :param otherwise: What is said of a variable that is in the dump in no form.
    """
    from btfdbg.program.untyped import explain

    return CommandError(f"{option}: {explain(session(prog), name) or otherwise}")


def task_of_user(prog: drgn.Program) -> drgn.Object:
    """
    The current task, whose user memory is asked for by ``-u``.

    :raises CommandError: it has none.
    """
    task: drgn.Object = private("crash_get_context")(prog)
    if not task.mm:
        raise CommandError(
            f"-u: pid {task.pid.value_()} has no user memory; set PID chooses a task"
        )
    return task


@dataclass(slots=True)
class Call:
    """
    One run of a command that has options of ours.

    :ivar command: Its name, ``foreach bt`` included as ``bt``.
    :ivar args: What drgn's parser and our options gave.
    :ivar drgns: Runs drgn's own command with the same arguments.
    :ivar selector: drgn's selector of tasks; ``None`` outside of ``foreach``.
    """

    command: str
    prog: drgn.Program
    args: argparse.Namespace
    drgns: Callable[[], Any]
    selector: Any = None

    @property
    def session(self) -> Session:
        """The Session of the Program."""
        return session(self.prog)

    def tasks(self) -> Iterator[drgn.Object]:
        """The tasks that the command is about: those named, or the current one."""
        selector = self.selector
        if selector is None:
            named = list(getattr(self.args, "tasks", None) or ())
            selector = private("_TaskSelector")(self.prog, named or [None])
        yield from selector.tasks()

    def task(self) -> drgn.Object:
        """
        The first of the tasks.

        :raises CommandError: there is none.
        """
        for task in self.tasks():
            return task
        raise CommandError("no such task")

    def option(self, flag: str) -> Any:
        """The value of an option of ours, by its flag without the dash; ``None`` if not given."""
        return getattr(self.args, dest(flag), None)

    def has(self, flag: str) -> bool:
        """Whether an option of ours was given."""
        return self.option(flag) not in (None, False)


def dest(flag: str) -> str:
    """Where the parser keeps an option of ours."""
    return f"crash {flag.lstrip('-')}"


def header(task: drgn.Object) -> None:
    """Print drgn's line about a task: PID, TASK, CPU, COMMAND."""
    private("print_task_header")(task)


def hexadecimal(text: str, what: str = "address") -> int:
    """
    A number as crash takes it: hexadecimal, with or without ``0x``.

    :raises CommandError: it is none, or has more than 64 bits.
    """
    try:
        found = int(text, 16)
    except ValueError:
        raise CommandError(f"{text!r} is no hexadecimal {what}") from None
    if not 0 <= found < 1 << 64:
        raise CommandError(f"{text!r} has more than 64 bits")
    return found


def address(call: Call, text: str) -> int:
    """
    An address, symbol or expression of the prompt.

    :raises BtfdbgError: it is none.
    """
    from btfdbg.commands import values

    return values.address(call.session, text)


def name_of(obj: drgn.Object) -> str:
    """A C string of the dump as safe text; ``?`` if it cannot be read."""
    from drgn.helpers.common.format import escape_ascii_string

    try:
        return escape_ascii_string(obj.string_(), escape_backslash=True)
    except drgn.FaultError:
        return "?"


def parse_cpus(prog: drgn.Program, text: str, before: str = "") -> list[int]:
    """
    CPUs of ``1,3-5``, ``a`` or ``all``; of an empty text the current task's.

    :param before: What stands in front of the text where it was typed, for the error.
    :raises CommandError: it is none, or there is no such CPU.
    """
    parse = private("parse_cpuspec")
    try:
        if any(int(number) > _MAX_CPU for number in re.findall(r"\d+", text)):
            raise ValueError("no machine has so many CPUs")
        found: list[int] = parse(text).cpus(prog)
    except (ValueError, LookupError) as e:
        raise CommandError(f"{before}{text}: {e}") from None
    if not found:
        raise CommandError(f"{before}{text}: no CPU")
    return found
