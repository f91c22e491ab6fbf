"""Tables of a kdump file's kernel, its BTF first, unpacked once for all dumps that have the same
packed pages.

Owns what is kept in the cache for that: the unpacked bytes, beside the pages as they stand in
the file, each of which is compared (:meth:`btfdbg.cache.Cache.load_of`). What lies unpacked
under an address follows from them and from the dump's own page tables, which are walked here;
so no dump's entry can be another's answer. A Program to which somebody may have added memory
is read through drgn.

Inflating 4.7 MB took 150 M of the 590 M instructions of a first object. Dumps of one kernel
have the same pages there, wherever it was loaded: the image moves by more than a page.
"""

from __future__ import annotations

from array import array
from itertools import chain
from typing import TYPE_CHECKING

from drgn import FaultError

from btfdbg.cache import Cache, CacheKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from btfdbg.program.session import Session
    from btfdbg.vmcore.kdumppages import KdumpPages, Packed
    from btfdbg.vmcore.paging import Paging

_KIND = "packed-btf-2"
# Large pages and the rest of one in small ones; more is no kernel image.
_MAX_RUNS = 1 << 10
_MAX_TABLES = 64


def read(session: Session, address: int, size: int, cache: Cache | None = None) -> bytes:
    """
    Read BTF, as ``Program.read()`` does.

    :param cache: The user's by default.
    :raises drgn.FaultError: as ``Program.read()``.
    """
    found = from_pages(session, address, size, _KIND, cache)
    data: bytes = session.prog.read(address, size) if found is None else found
    return data


def from_pages(
    session: Session, address: int, size: int, kind: str, cache: Cache | None = None
) -> bytes | None:
    """
    Memory of the kernel's image out of the file's pages, without drgn.

    :param kind: Of the entry, see :mod:`btfdbg.cache`.
    :return: ``None`` if not all of it is there, or it is no kdump file that is read so.
    """
    cache = Cache.default() if cache is None else cache
    dump = session.dump
    if not session.is_file or cache.folder is None or dump is None or dump.memory is None:
        return None
    if not dump.is_kdump:
        return None
    from btfdbg.vmcore.kdumppages import KdumpPages

    if not isinstance(dump.memory, KdumpPages):
        return None
    found = _packed(session, dump.memory, address, size)
    if found is None:
        return None
    skipped, pages = found
    heads = array("I", chain.from_iterable((flags, len(data)) for flags, data in pages))
    subject = b"".join((heads.tobytes(), *(data for _, data in pages)))
    # With a page's size it is told how many there are, and so where each begins.
    block = dump.memory.kdump.header.block_size
    key = CacheKey.of(session.build_id, sizes=(size, skipped, block))
    kept = cache.load_of(subject, key, kind)
    if kept is not None and len(kept) == size:
        return kept
    try:
        data = dump.memory.unpacked(pages)[skipped : skipped + size]
    except FaultError:
        return None  # drgn has its own words for it
    if len(data) != size:
        return None
    cache.store_of(subject, key, kind, data)
    return data


def paging_of(session: Session) -> Paging | None:
    """How this dump's kernel translates addresses; ``None`` if that is not known."""
    from btfdbg.vmcore.paging import ways_to_translate

    platform = session.prog.platform
    if platform is None:
        return None
    return next(ways_to_translate(platform.arch, session.vmcoreinfo), None)


def _packed(
    session: Session, memory: KdumpPages, address: int, size: int
) -> tuple[int, list[Packed]] | None:
    """Bytes of the first page that come before, and the packed pages; ``None`` if not whole."""
    from btfdbg.vmcore.paging import NotMappedError

    paging = paging_of(session)
    if paging is None:
        return None
    block = memory.kdump.header.block_size
    skipped = address % block
    # Page tables may have smaller pages than the file; what is packed are the file's.
    count = -(-(skipped + size) // block)
    start = address - skipped
    pages: list[Packed] = []
    try:
        for physical, run in _runs(paging, memory, start, start + count * block):
            found = None
            if not physical % block and not run % block:
                found = memory.packed(physical, run)
            if found is None:
                return None
            pages += found
    except (NotMappedError, FaultError, OverflowError):
        return None
    return (skipped, pages) if len(pages) == count else None


def _runs(paging: Paging, memory: KdumpPages, start: int, end: int) -> Iterator[tuple[int, int]]:
    """
    Physical address and bytes of what is mapped from one address to another, piece by piece.

    :raises NotMappedError, FaultError, OverflowError: some of it is not.
    """
    from btfdbg.vmcore.paging.walk import Paging as Walk

    if type(paging).translate is Walk.translate:
        yield from _joined(paging.leaves(memory.read, start, _MAX_TABLES), start, end)
        return
    for _ in range(_MAX_RUNS):
        if start >= end:
            return
        physical, run = paging.translate(memory.read, start)
        run = min(run, end - start)
        yield physical, run
        start += run


def _joined(
    leaves: Iterator[tuple[int, int, int]], start: int, end: int
) -> Iterator[tuple[int, int]]:
    """
    The same out of leaves of a page table, ascending; less, if there is a hole.

    The image's constants are mapped in small pages: to walk all levels for each took 2 ms.
    """
    first = run = 0
    for virtual, physical, size in leaves:
        if virtual > start:
            break
        place = physical + start - virtual
        piece = min(virtual + size, end) - start
        if place != first + run:
            if run:
                yield first, run
            first, run = place, 0
        run += piece
        start += piece
        if start >= end:
            break
    if run:
        yield first, run
