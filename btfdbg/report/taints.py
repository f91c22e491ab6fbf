"""What tainted a kernel, in the letters of its own table.

Owns drgn's ``tainted()`` for kernels with ``taint_flags``: drgn's stands in the module that reads
the log and the clocks, whose import costs 1 % of a screen that needs neither.

Facts: ``kernel/panic.c`` (taint_flags, tainted_mask; commit 7fd8329ba502, in v4.10).
"""

from __future__ import annotations

import drgn


def tainted(prog: drgn.Program) -> str:
    """
    Return a letter for each taint there is, blank (``G`` for the first) if it is not set.

    :return: ``""`` if nothing taints it.
    :raises LookupError, drgn.FaultError: the mask or the table is not there.

    >>> tainted(prog)
    'G      D    OE     '
    """
    mask = prog["tainted_mask"].value_()
    if not mask:
        return ""
    try:
        flags = prog["taint_flags"]
    except LookupError:
        from drgn.helpers.linux.panic import tainted as before

        letters: str = before(prog)
        return letters
    return "".join(
        chr(flag.c_true if mask >> bit & 1 else flag.c_false) for bit, flag in enumerate(flags)
    )
