"""Structs that must not be aligned to more than their members are, because of what holds them.

On arm64 an unnamed bit-field aligns the struct that it is in: padding of ``long`` makes a
struct of ``int`` one that lies at multiples of 8 only. Where such a struct is held by value
between them, or makes its holder larger than that is, the padding must be made of less.
Owns who these are, for all types at once; ``declarations`` asks when it comes to padding.

Facts: AAPCS64, "Bit-fields subdivision": the container of an unnamed bit-field counts for
the alignment of the aggregate.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import compress

from btfdbg.btf.cheader.columns import IS_COMPOSITE
from btfdbg.btf.layouts import STRUCT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from btfdbg.btf.cheader.c_layout import Types


def not_to_be_aligned(types: Types, unit: int) -> set[int]:
    """
    Return the STRUCTs and UNIONs that are aligned to less than some bytes, and must stay so.

    >>> not_to_be_aligned(types, 8)  # struct { char c; struct { int a[2]; } held; } at 4
    {2, 3}

    :param unit: Bytes, a pointer's.
    """
    packed, size, align = types.packed, types.size, types.align
    for type_id in types.composites:
        if align[type_id] <= 0:
            types.align_of(type_id)
    low = [t for t in types.composites if align[t] < unit and not packed[t]]
    out = {t for t in low if size[t] % unit}
    held: dict[int, list[int]] = {}
    for holder, offset, target in _held(types, set(low) - out):
        if packed[holder]:
            continue  # in it nothing is aligned
        if offset % (8 * unit):
            out.add(target)
        else:
            held.setdefault(holder, []).append(target)
    below = list(out)
    while below:
        for target in held.get(below.pop(), ()):
            if target not in out:
                out.add(target)
                below.append(target)
    return out


def _held(types: Types, wanted: set[int]) -> list[tuple[int, int, int]]:
    """Return who holds one of these by value, at which bit, and which, arrays included."""
    columns = types.columns
    leads = columns.leading_to(wanted, through_arrays=True)
    words, start = types.words, types.start
    out = []
    for level in types.btf.chain():
        elements = columns.elements(IS_COMPOSITE, STRUCT, level)
        members, bounds = elements.column(1), elements.bounds
        for place in compress(range(len(members)), map(leads.__contains__, members)):
            number = bisect_right(bounds, place) - 1
            holder = elements.ids[number]
            at = start[holder]
            offset = words[at + 5 + 3 * (place - bounds[number])]
            if words[at + 1] > 0x7FFFFFFF:
                offset &= 0xFFFFFF
            out.append((holder, offset, leads[members[place]]))
    return out
