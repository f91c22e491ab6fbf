"""Make NULL and other user-space addresses fault, as they did in the kernel.

QEMU's ELF dumps without paging give every segment a virtual address equal to
its physical one (or 0), so that drgn reads physical memory at virtual 0: a NULL
pointer dereferences to BIOS data instead of raising FaultError.

Never where the kernel itself lives low, as on s390x.
"""

from __future__ import annotations

import drgn

from btfdbg.debuginfo.vmcore.elfcore import PT_LOAD, segments
from btfdbg.debuginfo.vmcore.identify import DumpInfo, Format

# The lower half of the address space belongs to user space on every 64-bit
# architecture whose kernel has BTF but s390x. The largest user half is
# riscv64's and x86_64's with five levels, 2**56.
_USER_END = 1 << 56
_KERNEL_HALF = 1 << 63


def needs_null_overlay(info: DumpInfo, kernel_address: int) -> bool:
    """
    Whether an ELF dump maps physical memory at user-space addresses.

    :param kernel_address: Any virtual address of the kernel image.
    """
    if info.format is not Format.ELF or kernel_address < _KERNEL_HALF:
        return False
    return any(s.type == PT_LOAD and s.memsz and s.vaddr < _USER_END for s in segments(info.path))


def add_null_overlay(prog: drgn.Program) -> None:
    """Cover the user half of the address space with a segment that always faults."""
    prog.add_memory_segment(0, _USER_END, _fault)


def _fault(address: int, count: int, offset: int, physical: bool) -> bytes:
    raise drgn.FaultError("address is not mapped in the kernel", address)
