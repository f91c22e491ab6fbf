"""Which section of memory is the last one, where no symbol says so.

Owns the value of ``__highest_present_section_nr``: drgn takes its absence for a kernel before
v4.13 and looks at every section that there could be, past the end of their table.

Facts: ``include/linux/mmzone.h`` (``mem_section`` of CONFIG_SPARSEMEM_EXTREME: an array of
pointers to pages of ``struct mem_section``; NULL where there is no memory; bit 0 of
``section_mem_map`` is SECTION_MARKED_PRESENT).
"""

from __future__ import annotations

import drgn
from drgn import Object, TypeKind

_MAX_ROOTS = 1 << 20
_MAX_PER_ROOT = 1 << 12
_PRESENT = 1


def highest_present(prog: drgn.Program) -> Object | None:
    """
    Number of the last section that is present, an ``unsigned long`` without an address.

    :return: ``None`` where the table of sections is not known, or not all of it is in the dump.
    """
    try:
        table = prog["mem_section"]
        roots, per_root = int(prog["NR_SECTION_ROOTS"]), int(prog["SECTIONS_PER_ROOT"])
    except (LookupError, ValueError):
        return None
    if table.type_.kind is not TypeKind.POINTER:
        return None
    if not (0 < roots <= _MAX_ROOTS and 0 < per_root <= _MAX_PER_ROOT):
        return None
    width = drgn.sizeof(table.type_)
    try:
        # A pointer is read one by one only where there is one: of 131,072 a few are not NULL.
        held = len(prog.read(table.value_(), roots * width).rstrip(b"\0"))
        for root in reversed(range(-(-held // width))):
            sections = table[root].read_()
            if not sections:
                continue
            for number in reversed(range(per_root)):
                if sections[number].section_mem_map.value_() & _PRESENT:
                    return Object(prog, "unsigned long", root * per_root + number)
    except (drgn.FaultError, AttributeError, TypeError):
        pass
    return None
