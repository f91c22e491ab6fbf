"""What drgn 0.3 asks to find what is at an address, and where: page tables, areas of vmalloc.

Owns the call of ``vmcore.paging`` in drgn's place where drgn cannot walk page tables (riscv64),
which is asked only after drgn's own walk said that it is not implemented; and where the search
for an area begins.

Facts: ``include/linux/mm_types.h`` (mm_struct.pgd is a virtual address in the linear mapping);
``arch/riscv/include/asm/page.h``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from drgn import FaultError, Object

from btfdbg.program.session import find_session
from btfdbg.vmcore.explain import kernel_paging
from btfdbg.vmcore.paging import NotMappedError


def follow_phys(original: Callable[..., Any]) -> Callable[..., Any]:
    """The physical address of a virtual one in an address space."""

    def follow(mm: Object, addr: Any) -> Object:
        try:
            found: Object = original(mm, addr)
            return found
        except NotImplementedError:
            prog = mm.prog_
            paging = kernel_paging(prog) if find_session(prog) is not None else None
            if paging is None:
                raise

        def read(address: int, size: int) -> bytes:
            data: bytes = prog.read(address, size, physical=True)
            return data

        address = operator.index(addr)
        try:
            root, _ = paging.translate(read, mm.pgd.value_())
            physical, _ = paging.at(root, both_halves=True).translate(read, address)
        except NotMappedError as e:
            raise FaultError(str(e), address) from None
        return Object(prog, "phys_addr_t", physical)

    return follow


def vmap_zone_size(original: Callable[..., Any]) -> Callable[..., Any]:
    """
    Bytes after which vmalloc goes on to its next list of areas.

    Where a search begins, no more: all lists are gone through. Clang makes a static variable of
    two values one byte that says which, and 0 stands for a 1 then; its type may be unknown for it.
    """

    def size(prog: Any) -> int:
        try:
            found: int = original(prog)
        except LookupError:
            return 1
        return max(found, 1)

    return size
