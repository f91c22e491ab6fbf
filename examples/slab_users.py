"""What the objects of a slab cache point to: who fills it.

    btfdbg VMCORE examples/slab_users.py CACHE

A cache that grows without end is filled by one user. Its objects mostly hold pointers to
what belongs to that user: functions, or variables of a module. The first words of every
object are counted by the symbol they point to. An ordinary drgn script.
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter

import drgn
from drgn.helpers.linux.slab import find_slab_cache, slab_cache_for_each_allocated_object

_OBJECTS = 20_000
_WORDS = 64
_SHOWN = 15


def users(cache: drgn.Object) -> tuple[int, Counter[str]]:
    """Count the objects in use, and the symbols that their words point to."""
    prog = cache.prog_
    size = min(int(cache.object_size) & ~7, _WORDS * 8)
    counted: Counter[str] = Counter()
    objects = 0
    found = slab_cache_for_each_allocated_object(cache, "void")
    for one in itertools.islice(found, _OBJECTS):
        objects += 1
        try:
            data = prog.read(one.value_(), size)
        except drgn.FaultError:
            counted["what is not in the dump"] += 1
            continue
        for word in {int.from_bytes(data[i : i + 8], "little") for i in range(0, size, 8)}:
            try:
                counted[f"a pointer to {prog.symbol(word).name}"] += 1
            except LookupError:
                continue
    return objects, counted


def main(prog: drgn.Program, name: str) -> None:
    """Print what the objects of a cache point to, most frequent first."""
    cache = find_slab_cache(prog, name)
    if cache is None:
        sys.exit(f"no slab cache is named {name}")
    try:
        objects, counted = users(cache)
    except drgn.FaultError as e:
        sys.exit(f"{name}: its objects cannot be told: {e}")
    print(f"{name}: {objects} objects of {int(cache.object_size)} bytes")
    for symbol, number in counted.most_common(_SHOWN):
        print(f"    {number:6} hold {symbol}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(drgn.get_default_prog(), sys.argv[1])
