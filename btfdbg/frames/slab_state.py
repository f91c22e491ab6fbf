"""What the slab allocator and an object's contents say of a pointer: free, poisoned.

Owns the words; the metadata is read by drgn's helper. A damaged slab, and memory that is not
in the dump, cost an answer.

Facts: ``include/linux/poison.h`` (POISON_INUSE 0x5a, POISON_FREE 0x6b, POISON_END 0xa5);
``mm/slub.c`` (a free object keeps a pointer to the next one, first or in its middle).
"""

from __future__ import annotations

from collections.abc import Callable

import drgn

from btfdbg.frames.describe import NO_ANSWER

_FREE, _END, _NEW = 0x6B, 0xA5, 0x5A
_LOOKED_AT = 256
_LEAST = 16
_KERNEL = 1 << 63


def slab_state(prog: drgn.Program, read: Callable[[int, int], bytes | None], address: int) -> str:
    """
    Say what a pointer's object is to the slab allocator.

    :param read: Memory, None if any byte of it cannot be read.
    :return: ``free in slab kmalloc-128, poisoned as freed``; "" if it is in no slab.
    """
    if address < _KERNEL:
        return ""
    try:
        from drgn.helpers.linux.slab import slab_object_info

        info = slab_object_info(prog, address)
        if info is None or not info.slab_cache:
            return ""
        name = info.slab_cache.name.string_().decode("ascii", "backslashreplace")
        size = int(info.slab_cache.object_size)
        start, allocated = info.address, info.allocated
    except NO_ANSWER:
        return ""
    if not 0 < size <= 1 << 22:
        return ""
    if allocated is None:
        found = f"in slab {name}, whose list of free objects is damaged"
    else:
        found = f"{'allocated' if allocated else 'free'} in slab {name}"
    if not start <= address < start + size:
        return f"{found}, outside of the {size} bytes of an object"
    poison = _poison(read(start, min(size, _LOOKED_AT)))
    return f"{found}, {poison}" if poison else found


def _poison(data: bytes | None) -> str:
    """What most bytes of an object are; the allocator's own pointer may stand among them."""
    if data is None or len(data) < _LEAST:
        return ""
    most = len(data) - _LEAST // 2
    if data.count(_FREE) + data.count(_END) >= most:
        return "poisoned as freed"
    return "poisoned as never written" if data.count(_NEW) >= most else ""
