"""Kernel page tables of every architecture, walked over physical memory.

Owns virtual to physical translation of kernel addresses from VMCOREINFO alone.
drgn has walkers of its own for most architectures and is faster; these here are
for what drgn cannot be asked: whether a VMCOREINFO text fits a memory image
*before* a Program believes it (drgn latches what it sees first), riscv64 (no
walker in drgn 0.3), and why an address does not read.

To add an architecture: a file with a ``Paging`` subclass and ``ways``, and its row in
``_FILES``. Only the one that is asked for is imported: most sessions need none.

Facts: ``arch_crash_save_vmcoreinfo()`` of each architecture in the kernel, and the
manual that each file names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module

from drgn import Architecture

from btfdbg.vmcore.paging.walk import NotMappedError, Paging, ReadPhysical
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

__all__ = ["NotMappedError", "Paging", "ReadPhysical", "ways_to_translate"]

_FILES = {
    Architecture.X86_64: "x86_64",
    Architecture.AARCH64: "arm64",
    Architecture.RISCV64: "riscv64",
    Architecture.PPC64: "ppc64",
    Architecture.S390X: "s390x",
}


def ways_to_translate(architecture: Architecture, info: VmcoreInfo) -> Iterator[Paging]:
    """Every way of translating that a VMCOREINFO text allows, likeliest first."""
    name = _FILES.get(architecture)
    if name is not None:
        ways: Callable[[VmcoreInfo], Iterator[Paging]] = import_module(f"{__name__}.{name}").ways
        yield from ways(info)
