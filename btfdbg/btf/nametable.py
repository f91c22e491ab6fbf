"""Many names at once: strings of a chain by content, and the types of given names.

Owns the bulk counterparts of ``Btf.types_by_name``, for those who need a module's worth
of names: one pass over a kernel's heads and strings costs 40 ms, whatever the count.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import accumulate

from btfdbg.btf.btf import Btf


def string_table(btf: Btf | None) -> tuple[dict[bytes, int], bool]:
    """
    Return every whole string of a chain with its first offset, and whether all differ.

    Why not Strings.table(): it has no answer to the second, and takes thrice as long.
    """
    table: dict[bytes, int] = {b"": 0}
    count = 1
    for level in btf.chain() if btf is not None else ():
        strings = level.strings.data.split(b"\0")
        strings.pop()
        starts = list(accumulate((len(s) + 1 for s in strings), initial=level.start_str_off))
        starts.pop()
        if not level.start_str_off:
            del strings[:1], starts[:1]
        strings.reverse()
        starts.reverse()
        count += len(strings)
        fresh = dict(zip(strings, starts, strict=True))
        if len(table) == 1:
            table.update(fresh)
            table[b""] = 0  # a section may hold more empty strings
        else:
            fresh.update(table)  # the lower level's offset wins
            table = fresh
    return table, len(table) == count


def ids_by_names(
    btf: Btf, names: Collection[bytes], table: dict[bytes, int] | None = None
) -> dict[bytes, list[int]]:
    """
    Return the types of each of these names, of any kind, by id.

    :param names: Not empty ones; those that no type has are left out of the result.
    :param table: What :func:`string_table` returned for the chain.
    """
    if table is None:
        table, _ = string_table(btf)
    names = set(names)
    of_offset = {table[name]: name for name in names if name in table}
    starts = set(table.values())
    out: dict[bytes, list[int]] = {}
    for level in btf.chain():
        heads = list(map(level.words.__getitem__, level.offsets))
        # A repeated string, or the tail of a longer one.
        for offset in set(heads) - starts:
            name = btf.string_bytes(offset)
            if name in names:
                of_offset[offset] = name
        for type_id, offset in enumerate(heads, level.start_id):
            if offset in of_offset:
                out.setdefault(of_offset[offset], []).append(type_id)
    return out
