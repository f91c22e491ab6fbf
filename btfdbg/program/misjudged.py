"""Whether the tool that wrote a dump took the kernel's memory for what may be left out.

Owns the evidence and the note. No level of makedumpfile's filter leaves out slab pages; one
that does not know a kernel's ``struct page`` does, and then a dump lacks what its header does
not say: parts of trees, BTF of modules. A reader sees only holes.

Facts: makedumpfile(8), ``-d``; include/linux/page-flags.h (``PGTY_slab``,
``PGTY_large_kmalloc``). Seen with makedumpfile 1.7.6 on kernels whose ``struct page`` has
``compound_info`` (since v7.1): of 37 modules 18 had no BTF.
"""

from __future__ import annotations

import drgn

from btfdbg.program.session import Session
from btfdbg.vmcore.explain import Reason, explain_address

_TYPE_SHIFT = 24  # of page_type: its top byte is the type


def note_misjudged(session: Session, fault: BaseException | None) -> None:
    """
    Note that kernel memory was left out, if a read failed because of that.

    :param fault: What the read raised.
    """
    if session.dump is None or not session.dump.is_kdump:
        return
    if not isinstance(fault, drgn.FaultError):
        return
    why = explain_address(session.prog, session.dump, fault.address)
    if why.reason is not Reason.EXCLUDED or why.page < 0:
        return
    try:
        kernels = is_kernels(session.prog, why.page)
    except (drgn.FaultError, LookupError, AttributeError, ValueError, NotImplementedError):
        return
    if kernels:
        session.note(
            "open",
            "pages that the kernel's slab allocator used were left out of this dump: the"
            " makedumpfile that wrote it did not know this kernel's struct page",
            "use a newer makedumpfile, or -d 1",
        )


def is_kernels(prog: drgn.Program, pfn: int) -> bool:
    """
    Whether a page belongs to a slab or a large kmalloc(), by its ``struct page``.

    :raises drgn.FaultError: the ``struct page`` is not in the dump.
    :raises LookupError: this kernel's has not what tells.
    """
    from drgn.helpers.linux.mm import PageSlab, compound_head, pfn_to_page

    head = compound_head(pfn_to_page(prog, pfn))
    if PageSlab(head):
        return True
    try:
        large = prog.constant("PGTY_large_kmalloc").value_()
    except LookupError:
        return False  # before v6.15 they had no type of their own
    return bool(head.page_type.value_() >> _TYPE_SHIFT == large)
