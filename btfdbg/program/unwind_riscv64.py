"""Kernel stacks of riscv64 by frame pointers; drgn 0.3 has no unwinder for it.

Owns the walk and where it starts: a sleeping task's saved registers, or the
CPU's own, which QEMU and kdump put in an ELF note. Every step has to stay in the
task's stack and go up; the walk ends where that stops being true.

Facts: ``arch/riscv/kernel/stacktrace.c`` (walk_stackframe: ra and the caller's
fp stand below fp; an exception's ``pt_regs`` stands above the frame of
handle_exception), ``arch/riscv/include/asm/processor.h`` (thread_struct: ra,
sp, s[0] is fp), ``arch/riscv/include/asm/ptrace.h``; ELF notes hold the
registers in the order of ``struct user_regs_struct``: pc, ra, sp, …, s0 is 8th.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from drgn import FaultError, Object

from btfdbg.errors import DebugInfoError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.program.session import Session, session
from btfdbg.vmcore.elfcore import Note, read_elf
from btfdbg.vmcore.identify import Format
from btfdbg.vmcore.kdumpfile import Kdump

_MAX_FRAMES = 512
_WORD = 8
_NT_PRSTATUS = 1
_REGISTERS_AT = 112  # pr_reg in struct elf_prstatus, 64-bit
_EPC, _RA, _SP, _S0 = 0, 1, 2, 8
# The exception entry; its end symbol is since v6.6.
_ENTRY, _ENTRY_END = "handle_exception", "ret_from_exception_end"


@dataclass(frozen=True, slots=True)
class Frame:
    """
    One frame of a stack.

    :ivar pc: Address in the function.
    :ivar sp: Where its frame ends: the address above its saved registers.
    :ivar interrupted: The frame is where an exception or interrupt came in, so
        ``pc`` is that instruction and not a return address.
    :ivar regs: Address of the ``struct pt_regs`` that the exception saved, if there is one.
    """

    pc: int
    sp: int
    interrupted: bool
    regs: int | None = None


def stack(task: Object) -> list[Frame]:
    """
    Unwind the kernel stack of a task.

    :param task: ``struct task_struct *``.
    :raises DebugInfoError: the task was running and its registers were not saved.
    :raises drgn.FaultError: its ``task_struct`` is not in the dump.
    """
    s = session(task.prog_)
    low = task.stack.value_()
    high = low + int(task.prog_["THREAD_SIZE"])
    pc, fp, live = _start(s, task)
    frames = [Frame(pc, fp, live is not None)]
    frames.extend(_walk(s, fp, live, low, high))
    return frames


def _start(s: Session, task: Object) -> tuple[int, int, int | None]:
    """pc, fp, and where the task was running what its ra held."""
    from drgn.helpers.linux.sched import task_cpu, task_on_cpu

    if task_on_cpu(task):
        registers = dict(_saved_registers(s)).get(task_cpu(task))
        if registers is None:
            raise DebugInfoError(
                f"the registers of CPU {task_cpu(task)}, on which the task ran, were not saved",
                step="stack",
            )
        return registers[_EPC], registers[_S0], registers[_RA]
    thread = task.thread
    return thread.ra.value_(), thread.s[0].value_(), None


def _saved_registers(s: Session) -> Iterator[tuple[int, tuple[int, ...]]]:
    """(CPU, registers) of each CPU; QEMU and the kernel write one note per CPU, in order."""
    info = s.dump
    notes: Iterable[Note] = ()
    if info is not None and info.format is Format.ELF:
        notes = read_elf(info.path).notes()
    elif info is not None and info.is_kdump:
        notes = Kdump(info.path).notes()
    cpu = 0
    for note in notes:
        if note.name != "CORE" or note.type != _NT_PRSTATUS:
            continue
        try:
            yield cpu, struct.unpack_from("<9Q", note.desc, _REGISTERS_AT)
        except struct.error:
            pass
        cpu += 1


def _walk(s: Session, fp: int, live: int | None, low: int, high: int) -> Iterator[Frame]:
    """
    Follow the frame pointers.

    :param live: What the register ra held, if ``fp`` is of a function that was stopped.
    """
    prog = s.prog
    entry = _range(s)
    for _ in range(_MAX_FRAMES):
        if not low + 2 * _WORD <= fp <= high or fp % _WORD:
            return
        try:
            caller_fp, ra = struct.unpack("<2Q", prog.read(fp - 2 * _WORD, 2 * _WORD))
        except FaultError:
            return
        if low <= ra <= high:
            # No return address. A function that calls no other saves only its
            # caller's fp, in this place; its return address is still in ra.
            if live is None or low <= live <= high:
                return
            caller_fp, ra = ra, live
        live = None
        if entry is not None and entry[0] <= ra < entry[1]:
            yield Frame(ra, fp, False)
            try:
                regs = Object(prog, "struct pt_regs", address=fp)
                pc, caller_fp, live = regs.epc.value_(), regs.s0.value_(), regs.ra.value_()
            except (FaultError, LookupError):
                return
            yield Frame(pc, caller_fp, True, fp)
            if pc < 1 << 63:
                return  # came from user space
        elif ra < 1 << 63:
            return
        else:
            yield Frame(ra, caller_fp, False)
        if caller_fp <= fp:
            return
        fp = caller_fp


def _range(s: Session) -> tuple[int, int] | None:
    start = s.lookup_symbols(_ENTRY)
    if len(start) != 1:
        return None
    end = s.lookup_symbols(_ENTRY_END)
    if len(end) == 1:
        return start[0].address, end[0].address
    return start[0].address, start[0].address + start[0].size
