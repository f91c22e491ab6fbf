"""``bt`` on riscv64, where drgn has no unwinder; elsewhere ``bt`` is drgn's."""

from __future__ import annotations

import argparse

import drgn
from drgn import Architecture, FaultError, Object, Program
from drgn.commands import CommandError, argument

from btfdbg.commands import output, text
from btfdbg.commands.define import prompt_command
from btfdbg.errors import DebugInfoError
from btfdbg.program.session import Session
from btfdbg.program.unwind_riscv64 import stack


def _is_riscv64(prog: Program) -> bool:
    return prog.platform is not None and prog.platform.arch is Architecture.RISCV64


@prompt_command(
    name="bt",
    description="backtrace of a task, by frame pointers",
    long_description="""
    Show the kernel stack of the given tasks, or of the task that crashed.
    """,
    arguments=(
        argument("task", nargs="*", help="pid, or address of a task_struct"),
        argument("-p", dest="panicked", action="store_true", help="the task that crashed"),
        argument("-a", dest="cpus", action="store_true", help="the tasks that were on a CPU"),
        argument("-A", "--all", action="store_true", help="every task"),
    ),
    examples=(("bt 1", "of process 1"), ("bt -a", "of what each CPU ran")),
    complete=("pid",),
    enabled=_is_riscv64,
)
def bt(session: Session, args: argparse.Namespace) -> None:
    """Run the command."""
    for task in _tasks(session, args):
        comm = text.escape(task.comm.string_().decode(errors="backslashreplace"))
        output.emit(f'PID: {task.pid.value_():<8} TASK: {task.value_():x}  COMMAND: "{comm}"')
        try:
            for i, frame in enumerate(stack(task)):
                name = _name(session.prog, frame.pc, frame.interrupted)
                output.emit(f"{f'#{i}':>3} [{frame.sp:016x}] {name} at {frame.pc:x}")
        except (DebugInfoError, FaultError) as e:
            output.emit(f"    {e}")


def _tasks(session: Session, args: argparse.Namespace) -> list[Object]:
    from drgn.helpers.linux.cpumask import for_each_online_cpu
    from drgn.helpers.linux.pid import find_task, for_each_task
    from drgn.helpers.linux.sched import cpu_curr

    prog = session.prog
    if args.all:
        return list(for_each_task(prog))
    if args.cpus:
        return [cpu_curr(prog, cpu) for cpu in for_each_online_cpu(prog)]
    if args.panicked or not args.task:
        return [prog.crashed_thread().object]
    found = []
    for word in args.task:
        try:
            pid = int(word)
        except ValueError:
            found.append(Object(prog, "struct task_struct *", int(word, 16)))
            continue
        task = find_task(prog, pid) if pid else prog["init_task"].address_of_()
        if not task:
            raise CommandError(f"no task has the pid {pid}")
        found.append(task)
    return found


def _name(prog: drgn.Program, pc: int, interrupted: bool) -> str:
    # A return address may be the first byte of the next function.
    at = pc if interrupted else pc - 1
    try:
        symbol = prog.symbol(at)
    except LookupError:
        return "?"
    return f"{symbol.name}+{pc - symbol.address:#x}"
