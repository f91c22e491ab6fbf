"""``bt`` with crash's options: what stands on a stack, found by looking rather than unwinding.

Owns the forms that read a stack word by word (``-t -T -r -o``), those that choose or change
what drgn's own ``bt`` shows (``-s -R -g -n -I -S``), and ``-v``. Exception frames are in
``exceptions``.

Facts: ``include/uapi/linux/magic.h`` (STACK_END_MAGIC); ``struct thread_info.cpu``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import drgn
from drgn.commands import CommandError

from btfdbg.commands import tables
from btfdbg.commands.crash.another import run_line
from btfdbg.commands.crash.call import Call, address, header, hexadecimal, parse_cpus
from btfdbg.commands.crash.stack import Stack, code_at, stack_of
from btfdbg.patches.backtrace import explained
from btfdbg.patches.cpus import with_tasks

if TYPE_CHECKING:
    from btfdbg.frames.lines import Lines

_END_MAGIC = 0x57AC6E9D
_PAGE = 4096


def plain(call: Call) -> Any:
    """drgn's ``bt``; as JSON a row per frame."""
    if not tables.wanted():
        with explained():
            return call.drgns()
    for task in _chosen(call):
        _frames_as_rows(call, task)
    return None


def symbolic(call: Call) -> Any:
    """``-s``: names with offsets, decimal or (``-x``) hexadecimal."""
    from btfdbg.patches.backtrace import names_with_offsets

    # crash's -d is "decimal" here; drgn's is a style of its own.
    call.args.drgn_style = False
    with names_with_offsets("x" if call.has("-x") else "d"):
        return plain(call)


def text_symbols(call: Call) -> None:
    """``-t``, ``-o``: from the last known stack pointer to the top."""
    _each(call, from_pointer=True)


def all_text_symbols(call: Call) -> None:
    """``-T``: the whole stack."""
    _each(call, from_pointer=False)


def _each(call: Call, from_pointer: bool) -> None:
    numbered = call.has("-o")
    for task, stack in _stacks(call):
        start = stack.start
        if from_pointer:
            pc, start = _last_known(task, stack)
            if pc is not None:
                print(f"              START: {_place(call, pc)}")
        width = len(f"{stack.end:x}")
        for i, (place, word) in enumerate(_texts(call, stack, start)):
            index = f"#{i} " if numbered else ""
            print(f"  {index}[{place:0{width}x}] {_place(call, word)}")


def _stacks(call: Call) -> Iterator[tuple[drgn.Object, Stack]]:
    """The tasks of this run with their stacks, each after its header is printed."""
    for number, task in enumerate(_chosen(call)):
        if number:
            print()
        header(task)
        try:
            stack = stack_of(call.prog, task)
        except CommandError as e:
            # Of many tasks the others are shown.
            if call.selector is None:
                raise
            print(f"  ({e})")
        else:
            yield task, stack


def _last_known(task: drgn.Object, stack: Stack) -> tuple[int | None, int]:
    """Program counter and stack pointer where the task was left, the latter in its stack."""
    from drgn.helpers.linux.stack import kernel_stack_trace

    try:
        frames = _frames(kernel_stack_trace(task))
    except (ValueError, LookupError, drgn.FaultError):
        return None, stack.start
    for frame in frames:
        try:
            if stack.holds(frame.sp):
                return frame.pc, frame.sp
        except LookupError:
            continue
    return None, stack.start


def _frames(trace: Any) -> list[drgn.StackFrame]:
    """The frames of drgn's ``KernelStackTrace``, of all its stacks."""
    return [frame for segment in trace.segments for frame in segment.frames]


def _texts(call: Call, stack: Stack, start: int) -> Iterator[tuple[int, int]]:
    for place, word in stack.words(call.prog, start):
        if code_at(call.session, word) is not None:
            yield place, word


def _place(call: Call, pc: int) -> str:
    found = code_at(call.session, pc)
    if found is None:
        return f"{pc:x}"
    more = f" [{found.module}]" if found.module else ""
    if found.address == pc:
        # A call that never returns may be a function's last instruction.
        before = code_at(call.session, pc - 1)
        padding = before is not None and before.name.startswith("__pfx_")
        if before is not None and not padding and before.address + before.size == pc:
            more += f"  (or a return to {before.name})"
    return f"{found.name} at {pc:x}{more}"


def raw(call: Call) -> None:
    """``-r``: the words of the stack, symbols by name."""
    size = call.prog.address_size()
    for _, stack in _stacks(call):
        for start in range(stack.start, stack.end, _PAGE):
            try:
                run_line(call.prog, "rd", ["-s", f"{start:x}", str(_PAGE // size)])
            except (drgn.FaultError, LookupError, ValueError, CommandError):
                print(f"{start:x}:  (not in the dump)")


def reference(call: Call) -> None:
    """``-R REF``: only the stacks that a function or text address is on."""
    from drgn.helpers.linux.stack import kernel_stack_trace

    wanted = str(call.option("-R"))
    number: int | None
    try:
        number = int(wanted, 16)
    except ValueError:
        number = None
    names = {str(s.name) for s in call.session.lookup_symbols(wanted)} or {wanted}

    def refers(task: drgn.Object) -> bool:
        try:
            frames = _frames(kernel_stack_trace(task))
        except (ValueError, LookupError, drgn.FaultError):
            return False
        return any(f.name in names or (number is not None and _pc(f) == number) for f in frames)

    if not _bt_of_each(call, filter(refers, _chosen(call))):
        raise CommandError(f"-R {wanted}: on none of these stacks")


def _pc(frame: drgn.StackFrame) -> int | None:
    try:
        return int(frame.pc)
    except LookupError:
        return None


def _bt_of_each(call: Call, tasks: Iterable[drgn.Object]) -> int:
    """drgn's ``bt`` of each task; how many there were."""
    count = 0
    with explained():
        for task in tasks:
            if count:
                print()
            count += 1
            run_line(call.prog, "bt", [f"{task.value_():x}"])
    return count


def group(call: Call) -> None:
    """``-g``: the leader's stack, then those of its threads."""
    from drgn.helpers.linux.pid import for_each_task_in_group
    from drgn.helpers.linux.sched import thread_group_leader

    leader = call.task()
    if not thread_group_leader(leader):
        leader = leader.group_leader.read_()
    threads = (t for t in for_each_task_in_group(leader) if t.value_() != leader.value_())
    _bt_of_each(call, chain([leader], threads))


def not_idle(call: Call) -> None:
    """``-n idle``: of the active tasks those that are not idle."""
    if call.option("-n") != "idle":
        raise CommandError(f"-n {call.option('-n')}: the only word that -n takes is idle")
    if not _bt_of_each(call, (task for task in _chosen(call) if task.pid.value_() != 0)):
        raise CommandError("-n idle: every CPU was idle")


def _chosen(call: Call) -> Iterable[drgn.Object]:
    """The tasks of this run: by CPU, the panicking one, or those that are named."""
    from drgn.helpers.linux.cpumask import for_each_online_cpu
    from drgn.helpers.linux.panic import panic_task
    from drgn.helpers.linux.sched import cpu_curr

    args = call.args
    if getattr(args, "all_cpus", False):
        online = list(for_each_online_cpu(call.prog))
        return [cpu_curr(call.prog, cpu) for cpu in with_tasks(call.prog, online)]
    if getattr(args, "cpus", None):
        named = parse_cpus(call.prog, args.cpus)
        return [cpu_curr(call.prog, cpu) for cpu in with_tasks(call.prog, named)]
    if getattr(args, "panic", False):
        return [panic_task(call.prog)]
    return call.tasks()


def overflows(call: Call) -> None:
    """``-v``: the end of every task's stack, and its thread_info's CPU."""
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.pid import for_each_task
    from drgn.helpers.linux.sched import task_cpu

    possible = set(for_each_possible_cpu(call.prog))
    checked = unread = wrong = 0
    for task in for_each_task(call.prog, idle=True):
        problems = []
        try:
            stack = stack_of(call.prog, task)
            magic = call.prog.read_word(stack.start)
            cpu = task_cpu(task)
        except (drgn.FaultError, CommandError):
            unread += 1
            continue
        checked += 1
        if magic != _END_MAGIC:
            problems.append(f"possible stack overflow: end of stack is {magic:x}, not 57ac6e9d")
        if cpu not in possible:
            problems.append(f"possible stack overflow: thread_info.cpu is {cpu}")
        if problems:
            wrong += 1
            header(task)
            for problem in problems:
                print(f"  {problem}")
            print()
    if not wrong:
        print("No stack overflows detected")
    print(
        f"{checked} stacks checked"
        + (f", {unread} have none or are not in the dump" * bool(unread))
    )


def unwound_from(call: Call) -> None:
    """``-I IP``, ``-S SP``: the stack from a place that the user names."""
    from btfdbg.commands.crash import exceptions

    prog = call.prog
    task = call.task()
    stack = stack_of(prog, task)
    if call.has("-S"):
        sp = hexadecimal(str(call.option("-S")), "stack address")
        if not stack.holds(sp):
            raise CommandError(f"-S {sp:x}: not in this task's stack, {stack}")
    else:
        sp = _last_known(task, stack)[1]
    if call.has("-I"):
        ip = address(call, str(call.option("-I")))
        if code_at(call.session, ip) is None:
            raise CommandError(f"-I {ip:x}: no text of the kernel")
    else:
        # The first return address from there on: what crash takes, too.
        found = next(_texts(call, stack, sp), None)
        if found is None:
            raise CommandError(f"-S {sp:x}: no text address on the stack behind it")
        sp, ip = found[0] + prog.address_size(), found[1]
    header(task)
    for i, frame in enumerate(prog.stack_trace(exceptions.registers_at(prog, ip, sp))):
        at = _pc(frame)
        try:
            place = f"{frame.sp:x}"
        except LookupError:
            place = "?" * 16
        where = "" if at is None else f" at {at:x}"
        print(f"{f'#{i}':>3s} [{place}] {frame.name}{where}")


def exception_frames(call: Call) -> None:
    """``-e``: registers that an exception or system call left on the stack."""
    from btfdbg.commands.crash import exceptions

    for _, stack in _stacks(call):
        if not exceptions.print_frames(call.session, stack, "  "):
            print("  (none found)")


def irq_exception_frames(call: Call) -> None:
    """``-E``: the same on the CPUs' own stacks."""
    from btfdbg.commands.crash import exceptions

    if getattr(call.args, "cpus", None):
        cpus = parse_cpus(call.prog, call.args.cpus)
    else:
        from drgn.helpers.linux.cpumask import for_each_online_cpu

        cpus = list(for_each_online_cpu(call.prog))
    any_stack = False
    for title, stack in exceptions.cpu_stacks(call.session, cpus):
        any_stack = True
        print(f"{title}:")
        if not exceptions.print_frames(call.session, stack, "  "):
            print("(none found)")
        print()
    if not any_stack:
        raise CommandError("-E: this dump does not say where the CPUs' interrupt stacks are")


def _frames_as_rows(call: Call, task: drgn.Object) -> None:
    from drgn.helpers.linux.stack import kernel_stack_trace

    from btfdbg.frames.lines import lines

    try:
        trace = kernel_stack_trace(task)
    except ValueError as e:
        tables.section([("task", "problem"), (task.value_(), str(e))])
        return
    frames = _frames(trace)
    try:
        said = lines(call.session, trace)
    except (drgn.FaultError, LookupError, ValueError, RuntimeError):
        said = []
    heads = "frame pid task comm name offset pc sp module arguments confirmed"
    rows: list[tuple[Any, ...]] = [tuple(heads.split())]
    pid, comm = task.pid.value_(), task.comm.string_()
    for i, frame in enumerate(frames):
        pc = _pc(frame)
        found = None if pc is None else code_at(call.session, pc)
        try:
            sp: int | None = frame.sp
        except LookupError:
            sp = None
        rows.append((
            i, pid, task.value_(), comm, frame.name,
            None if found is None or pc is None else pc - found.address, pc, sp,
            None if found is None else found.module or None,
            *_arguments(said, i),
        ))  # fmt: skip
    tables.section(rows)


def _arguments(said: list[Lines], number: int) -> tuple[str | None, bool | None]:
    """A frame's arguments, and whether all of their values are confirmed; None if it has none."""
    if number >= len(said) or not said[number].arguments:
        return None, None
    return said[number].arguments, not said[number].doubtful
