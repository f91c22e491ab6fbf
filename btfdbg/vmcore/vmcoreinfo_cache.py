"""Where VMCOREINFO was found in a dump the last time, so that memory is searched once.

Owns what a dump is known by between runs and the order: the remembered place, proved as any
other; else the search. Nothing but a position is kept. The proof is ``recover``'s: the
kernel that the text describes must be in this memory, through its own page tables, so a
place remembered for another file costs a few reads and no wrong answer.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable

from btfdbg.cache import Cache, CacheKey
from btfdbg.vmcore.memory import PhysicalMemory
from btfdbg.vmcore.recover import Believed, Candidate, candidate_at, candidates

_KIND = "vmcoreinfo-place-1"
_PLACE = struct.Struct("<Q")
# Less is searched faster than a file is looked up and its samples are read.
_LEAST = 128 << 20
_SAMPLES = 16
_SAMPLE = 4096

Decide = Callable[[list[Candidate]], Believed | None]


def recover(
    path: str, memory: PhysicalMemory, decide: Decide
) -> tuple[list[Candidate], Believed | None]:
    """
    Find VMCOREINFO in a dump's memory.

    :param decide: Chooses the text that is this memory's; see ``recover.choose()``.
    :return: The texts looked at, and the one that was chosen.
    :raises DebugInfoError: what ``decide`` raises.
    """
    label = f"looking for VMCOREINFO in {os.path.basename(path)}"
    if memory.total < _LEAST:
        texts = candidates(memory, label)
        return texts, decide(texts)
    cache = Cache.default()
    key = _key(path)
    known = cache.load(key, _KIND)
    if known is not None and len(known) == _PLACE.size:
        candidate = candidate_at(memory, _PLACE.unpack(known)[0])
        found = decide([candidate]) if candidate is not None else None
        if candidate is not None and found is not None:
            return [candidate], found
        cache.forget(key, _KIND)
    texts = candidates(memory, label)
    found = decide(texts)
    if found is not None:
        cache.store(key, _KIND, _PLACE.pack(found.candidate.address))
    return texts, found


def _key(path: str | os.PathLike[str]) -> CacheKey:
    """A dump by its size and a few pages: it may be renamed, copied or touched."""
    with open(path, "rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        step = max(1, size // _SAMPLES)
        places = range(0, max(1, size), step)
        pages = [os.pread(file.fileno(), _SAMPLE, at) for at in (*places, max(0, size - _SAMPLE))]
    return CacheKey.of("", sizes=(size,), pages=pages)
