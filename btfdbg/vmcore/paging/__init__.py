"""Kernel page tables of every architecture, walked over physical memory.

Owns virtual to physical translation of kernel addresses from VMCOREINFO alone.
drgn has walkers of its own for most architectures and is faster; these here are
for what drgn cannot be asked: whether a VMCOREINFO text fits a memory image
*before* a Program believes it (drgn latches what it sees first), riscv64 (no
walker in drgn 0.3), and why an address does not read.

To add an architecture: a file with a ``Paging`` subclass and ``ways``, which its row
in ``btfdbg.arch`` names. Only the one that is asked for is imported: most sessions need none.

Facts: ``arch_crash_save_vmcoreinfo()`` of each architecture in the kernel, and the
manual that each file names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module

from drgn import Architecture

from btfdbg.vmcore.paging.bits import EntryBits
from btfdbg.vmcore.paging.walk import NotMappedError, Paging, ReadPhysical
from btfdbg.vmcore.platforms import arch_of
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

__all__ = [
    "EntryBits",
    "NotMappedError",
    "Paging",
    "ReadPhysical",
    "entry_bits",
    "ways_to_translate",
]


def ways_to_translate(architecture: Architecture, info: VmcoreInfo) -> Iterator[Paging]:
    """Every way of translating that a VMCOREINFO text allows, likeliest first."""
    row = arch_of(architecture)
    if row is not None:
        module = import_module(f"{__name__}.{row.paging}")
        ways: Callable[[VmcoreInfo], Iterator[Paging]] = module.ways
        yield from ways(info)


def entry_bits(architecture: Architecture) -> EntryBits | None:
    """What the bits of a page table entry say, ``None`` where that is not known here."""
    row = arch_of(architecture)
    found: EntryBits | None = None
    if row is not None:
        found = getattr(import_module(f"{__name__}.{row.paging}"), "PTE", None)
    return found
