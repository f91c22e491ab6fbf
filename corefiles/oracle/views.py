"""
What a drgn Program says about types, variables, stacks and commands.

The same questions whoever supplies the debug info; the answers are values for
JSON. Must not know: where the Program came from.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Iterator
from typing import Any

import drgn
from drgn.commands import CommandError, run_command

from .spell import describe, spell

_MAX_FRAMES = 1024


def types(prog: drgn.Program, names: Iterable[str]) -> dict[str, Any]:
    """
    Describe types.

    :param names: As C spells them: ``struct x``, ``x`` for a typedef.
    :return: Only those that the Program knows.
    """
    found: dict[str, Any] = {}
    for name in names:
        try:
            type_ = prog.type(name)
        except LookupError:
            continue
        if type_.kind == drgn.TypeKind.TYPEDEF or type_.is_complete():
            found[name] = describe(type_)
    return found


def variable(prog: drgn.Program, name: str) -> list[Any] | None:
    """
    Type, size in bytes (``None`` if it has none) and address of a variable.

    :return: ``None`` if the Program does not know it.
    """
    try:
        found = prog.variable(name)
    except LookupError:
        return None
    if found.address_ is None:
        return None
    try:
        size: int | None = drgn.sizeof(found)
    except TypeError:
        size = None
    return [spell(found.type_), size, found.address_]


def frames(trace: drgn.StackTrace) -> list[list[int | None]]:
    """
    Program counter and stack pointer of the physical frames; inlined ones share theirs.

    A stack pointer is ``None`` where the unwinder does not know it: a chain of
    frame pointers does not say.
    """
    found: list[list[int | None]] = []
    for frame in list(trace)[:_MAX_FRAMES]:
        if frame.is_inline:
            continue
        try:
            found.append([frame.pc, frame.sp])
        except LookupError:
            found.append([frame.pc, None])
    return found


def tasks(prog: drgn.Program) -> Iterator[drgn.Object]:
    """Every task, the idle task of each CPU included."""
    from drgn.helpers.linux.cpumask import for_each_online_cpu
    from drgn.helpers.linux.pid import for_each_task
    from drgn.helpers.linux.sched import idle_task

    for cpu in for_each_online_cpu(prog):
        yield idle_task(prog, cpu)
    yield from for_each_task(prog)


def stacks(prog: drgn.Program) -> dict[str, Any]:
    """Per task, by its address: pid, name, whether it runs, and its frames."""
    found: dict[str, Any] = {}
    for task in tasks(prog):
        entry: dict[str, Any] = {
            "pid": task.pid.value_(),
            "comm": task.comm.string_().decode(errors="backslashreplace"),
            "on_cpu": bool(task.on_cpu),
        }
        try:
            entry["frames"] = frames(prog.stack_trace(task))
        except (ValueError, LookupError, drgn.FaultError) as error:
            entry["error"] = f"{type(error).__name__}: {error}"
        found[hex(task.value_())] = entry
    try:
        crashed = prog.crashed_thread()
        found["crashed"] = {"pid": crashed.tid, "frames": frames(crashed.stack_trace())}
    except (ValueError, LookupError, drgn.FaultError) as error:
        found["crashed"] = {"error": f"{type(error).__name__}: {error}"}
    return found


def command(prog: drgn.Program, line: str) -> dict[str, str]:
    """
    Run one command of drgn's crash mode, in the context that it starts in.

    :return: ``output``, and ``error`` if it failed.
    """
    output, said = io.StringIO(), io.StringIO()
    answer: dict[str, str] = {}
    for key in [key for key in prog.config if key.startswith("crash_")]:
        del prog.config[key]
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(said):
        try:
            run_command(prog, f"crash {line}")
        except (
            AttributeError,
            CommandError,
            LookupError,
            NotImplementedError,
            SyntaxError,
            TypeError,
            ValueError,
            drgn.FaultError,
        ) as error:
            answer["error"] = f"{type(error).__name__}: {error}"
        except SystemExit as error:
            answer["error"] = f"exit {error.code}"
    answer["output"] = output.getvalue()
    if said.getvalue():
        answer["stderr"] = said.getvalue()
    return answer
