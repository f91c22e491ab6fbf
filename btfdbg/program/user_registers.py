"""The registers that user space entered the kernel with, as they lie on a task's stack.

Owns where they can be, and what makes a ``struct pt_regs`` user space's. Guesses nothing: the
registers must say so themselves.

Facts: ``arch/x86/include/asm/processor.h`` (task_pt_regs; 0, 8 or 16 bytes are left above
it), cs has privilege 3 in user space; ``arch/arm64/include/asm/ptrace.h`` (user_mode: PSR
mode 0), ``arch/arm64/kernel/entry.S`` (kernel_entry points x29 at the frame record in the
registers, which is of two zeros where user space was interrupted);
``arch/riscv/include/asm/ptrace.h`` and ``csr.h`` (SR_SPP).
"""

from __future__ import annotations

import drgn

_RECORD = 16  # arm64: x29 and x30 of the caller
_SR_SPP = 0x100  # riscv: what was interrupted ran in supervisor mode


def at_top(prog: drgn.Program, machine: str, type_: drgn.Type, top: int) -> drgn.Object | None:
    """
    ``struct pt_regs`` of user space at the top of a stack, if what is there says so itself.

    :param machine: As ``uname -m`` prints it.
    :param type_: ``struct pt_regs``.
    :param top: Address behind the stack's last byte.
    :raises drgn.FaultError: the top of the stack is not in the dump.
    """
    # Newest first: with FRED two words stay free above it (commit 65c9cc9e2c14,
    # "x86/fred: Reserve space for the FRED stack frame", in v6.9).
    for above in (16, 0, 8) if machine == "x86_64" else (0, 16):
        regs = drgn.Object(prog, type_, address=top - above - drgn.sizeof(type_)).read_()
        if is_user_space(machine, regs):
            return regs
    return None


def around_record(prog: drgn.Program, record: int) -> drgn.Object | None:
    """
    ``struct pt_regs`` of user space that an arm64 stack's last frame record lies in.

    :param record: Address of the record, where x29 of the last frame points.
    :return: ``None`` if what is there does not say that it is user space's.
    :raises LookupError: this kernel's registers have no record.
    :raises drgn.FaultError: it is not in the dump.
    """
    type_ = prog.type("struct pt_regs")
    place = record - drgn.offsetof(type_, "stackframe")
    if place < 0 or place % 8:
        return None
    regs = drgn.Object(prog, type_, address=place).read_()
    # Else it is a function's, and what lies around it may look like anything.
    if prog.read(record, _RECORD) != bytes(_RECORD):
        return None
    return regs if is_user_space("aarch64", regs) else None


def is_user_space(machine: str, regs: drgn.Object) -> bool:
    """Whether a ``struct pt_regs`` says itself that user space was interrupted."""
    if machine == "x86_64":
        return int(regs.cs) == 0x33 and int(regs.ss) == 0x2B
    if machine == "aarch64":
        # Of an idle task they are all zeros: it never was in user space.
        pc, sp = int(regs.pc), int(regs.sp)
        return int(regs.pstate) & 0x1F == 0 and pc >> 56 == 0 and bool(pc or sp)
    if machine == "riscv64":
        return not int(regs.status) & _SR_SPP and int(regs.epc) >> 63 == 0
    return False
