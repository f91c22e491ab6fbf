"""What is only shown, and walks that end where memory is missing.

Owns helpers of drgn's whose result goes into a cell of a table: ``?`` or a word stands for
what cannot be read, and the rest of the table is printed. And walks of drgn's that end at the
first page that is missing, with a remark instead of an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import drgn
from drgn import FaultError, Object

from btfdbg.errors import RefusedError
from btfdbg.lazy_pattern import pattern
from btfdbg.program.session import find_session
from btfdbg.program.thread_size import stack_freed
from btfdbg.program.walks import remark
from btfdbg.vmcore.read_failures import unread

NOT_THERE = b"<not in the dump>"
_RSS_KEY = "btfdbg.task_rss"
_MAX_RSS = 1 << 14  # processes
Helper = Callable[..., Any]
Make = Callable[[Helper], Helper]


def program_of(args: tuple[Any, ...]) -> tuple[drgn.Program, Object | None]:
    """The Program that a helper was called for, and the object if it was given one."""
    if args and isinstance(args[0], Object):
        return args[0].prog_, args[0]
    if args and isinstance(args[0], drgn.Program):
        return args[0], args[1] if len(args) > 1 and isinstance(args[1], Object) else None
    return drgn.get_default_prog(), None


def _partial(what: str) -> Make:
    """Make a walk that ends where memory is missing, with a remark."""

    def make(original: Helper) -> Helper:
        def partial(*args: Any, **kwargs: Any) -> Iterator[Any]:
            prog = program_of(args)[0]
            if find_session(prog) is None:
                yield from original(*args, **kwargs)
                return
            count = 0
            try:
                for found in original(*args, **kwargs):
                    item = found[-1] if isinstance(found, tuple) else found
                    if isinstance(item, Object) and not _readable(item):
                        if item:
                            remark(prog, f"not all of {what} can be read", f"{item.value_():#x}")
                        continue
                    count += 1
                    yield found
            except FaultError as e:
                remark(prog, f"not all of {what} can be reached", f"{e.address:#x} after {count:,}")

        return partial

    return make


def _readable(pointer: Object) -> bool:
    """Whether all that a pointer points to can be read."""
    kind = pointer.type_.kind
    target = pointer.type_.type if kind is drgn.TypeKind.POINTER else None
    if target is None or target.kind is not drgn.TypeKind.STRUCT or not target.is_complete():
        return True
    try:
        pointer.prog_.read(pointer.value_(), drgn.sizeof(target))
    except (FaultError, OverflowError):
        return False
    return True


for_each_file = _partial("the files of a task")
for_each_irq_desc = _partial("the interrupts")
for_each_disk = _partial("the disks")
for_each_vma = _partial("the memory areas of a task")
for_each_netdev = _partial("the network devices")


def kernel_stack_trace(original: Helper) -> Helper:
    """
    A stack without frames, and a remark, for a task whose registers are lost.

    Where drgn has no unwinder, ours: riscv64.
    """

    def trace(*args: Any, **kwargs: Any) -> Any:
        prog = program_of(args)[0]
        if find_session(prog) is not None and args and _gave_its_stack(prog, args[-1]):
            return _none(prog, args, "a task that has ended gave its stack back")
        try:
            found = original(*args, **kwargs)
            return found if find_session(prog) is None else _without_made_up(prog, found)
        except NotImplementedError:
            if find_session(prog) is None:
                raise
            from btfdbg.patches.stacks import unwind

            found = unwind(prog, args)
            if found is None:
                raise
            return found
        except (FaultError, ValueError, drgn.BadDataError) as e:
            # Bad data: the .orc_header of a module that this task is in, and others are not.
            lost = not isinstance(e, ValueError) or "were not saved" in str(e)
            if find_session(prog) is None or not lost:
                raise
            why = f"{e.address:#x} cannot be read" if isinstance(e, FaultError) else str(e)
            return _none(prog, args, why)

    def _none(prog: drgn.Program, args: tuple[Any, ...], why: str) -> Any:
        from drgn.helpers.linux.stack import LinuxKernelStack

        remark(prog, "tasks without a stack here", f"{_pid_of(args[-1]) if args else ''}{why}")
        return LinuxKernelStack(prog, [])

    return trace


def classify_segment(original: Helper) -> Helper:
    """
    A part of a stack whose name cannot be told all the same has frames.

    The task's own stack and user space are known without a variable. Of any other part, a
    note says what is missing.
    """

    def classify(task: Object, cpu: int, frames: Any) -> Any:
        try:
            return original(task, cpu, frames)
        except (LookupError, FaultError, RefusedError) as e:
            session = find_session(task.prog_)
            if session is None:
                raise
            missing = str(e)
        from drgn.helpers.linux.stack import StackKind, StackSegment

        kind = StackKind.UNKNOWN
        try:
            sp = frames[0].sp
            if 0 <= sp - task.stack.value_() < int(task.prog_["THREAD_SIZE"]):
                kind = StackKind.TASK
            elif not sp & _kernel_half(task.prog_):
                kind = StackKind.USER
        except (LookupError, FaultError):
            pass
        if kind is StackKind.UNKNOWN:
            session.note("stacks", f"whose stack some frames are on is not known: {missing}")
        return StackSegment(kind, frames)

    return classify


def _kernel_half(prog: drgn.Program) -> int:
    """The bit that the kernel's addresses have; arm64's may have a tag in the first byte."""
    arm64 = prog.platform is not None and prog.platform.arch is drgn.Architecture.AARCH64
    return 1 << (55 if arm64 else 63)


def _pid_of(task: Any) -> str:
    """``PID 17: `` of a task or a pid; empty if it cannot be read."""
    try:
        return f"PID {int(task if isinstance(task, int) else task.pid)}: "
    except (FaultError, AttributeError, TypeError, ValueError):
        return ""


def _without_made_up(prog: drgn.Program, stack: Any) -> Any:
    """A ``LinuxKernelStack`` up to where its memory is missing, and a remark if it is."""
    from drgn.helpers.linux.stack import LinuxKernelStack, StackSegment

    from btfdbg.frames.stack_end import missing_at, reason

    missing = missing_at(prog, stack)
    if missing is None:
        return stack
    left, at = missing
    segments = []
    for segment in stack.segments:
        if left > 0:
            segments.append(StackSegment(segment.kind, segment.frames[:left]))
        left -= len(segment.frames)
    remark(prog, reason(prog, at), f"{at:#x} cannot be read")
    return LinuxKernelStack(prog, segments)


def _gave_its_stack(prog: drgn.Program, task: Any) -> bool:
    """Whether a task's stack is gone, where drgn would read on in what lies there now."""
    from drgn.helpers.linux.pid import find_task

    try:
        if not isinstance(task, Object) or task.type_.kind is not drgn.TypeKind.POINTER:
            task = find_task(prog, int(task))
        return bool(task) and stack_freed(task)
    except (TypeError, ValueError, LookupError, FaultError):
        return False  # drgn says what is wrong


def _leaf(unknown: Any) -> Make:
    """Make a helper that gives ``unknown`` for what is not there."""

    def make(original: Helper) -> Helper:
        def leaf(*args: Any, **kwargs: Any) -> Any:
            try:
                return original(*args, **kwargs)
            except FaultError:
                prog = next((a.prog_ for a in args if isinstance(a, Object)), None)
                if prog is None or find_session(prog) is None:
                    raise
                return unknown() if callable(unknown) else unknown

        return leaf

    return make


class _Unknown:
    """A number that is not known; what is computed from it is not known either."""

    def _same(self, other: object) -> _Unknown:
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _same
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = _same

    def __str__(self) -> str:
        return "?"

    def __format__(self, spec: str) -> str:
        layout = _LAYOUT.match(spec)
        return format("?", layout[0] if layout else "")


_LAYOUT = pattern(r"(?:.?[<>^])?\d*")
_UNKNOWN: Any = _Unknown()


def _no_rss() -> Any:
    from drgn.helpers.linux.mm import TaskRss

    return TaskRss(*[_UNKNOWN] * 4)


def _no_addresses() -> list[str]:
    return [NOT_THERE.decode()]


mount_src = mount_dst = mount_fstype = d_path = _leaf(NOT_THERE)
decode_file_type = _leaf("?")
task_vsize = _leaf(_UNKNOWN)
netdev_ipv4_addrs = netdev_ipv6_addrs = _leaf(_no_addresses)


def task_rss(original: Helper) -> Helper:
    """
    A task's pages, summed once for all threads of a process.

    They share what is summed, and that is most of what ``ps`` reads of a thread: of 20,000
    threads it is 0.4 of its CPU time.
    """
    known_or_unknown = _leaf(_no_rss)(original)

    def rss(*args: Any, **kwargs: Any) -> Any:
        prog, task = program_of(args)
        if task is None or prog.flags & drgn.ProgramFlags.IS_LIVE or find_session(prog) is None:
            return known_or_unknown(*args, **kwargs)
        try:
            # Before 6.2 (f1a7941243c1) what the threads hold themselves counts, too.
            key = task.mm.value_(), task.signal.value_()
        except (AttributeError, FaultError):
            return known_or_unknown(*args, **kwargs)
        sums: dict[tuple[int, int], Any] = prog.cache.setdefault(_RSS_KEY, {})
        found = sums.get(key)
        if found is None:
            failures = unread(prog)
            before = failures.reads, failures.remarked
            found = known_or_unknown(*args, **kwargs)
            # What was lost is told by each command that shows it.
            if before == (failures.reads, failures.remarked) and _UNKNOWN not in found:
                if len(sums) >= _MAX_RSS:
                    sums.clear()
                sums[key] = found
        return found

    return rss
