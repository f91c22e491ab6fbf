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

import struct
from typing import TYPE_CHECKING

from drgn import FaultError

from btfdbg.cache import Cache, CacheKey
from btfdbg.vmcore.identify import Format

if TYPE_CHECKING:
    from btfdbg.program.session import Session
    from btfdbg.vmcore.kdumppages import KdumpPages, Packed
    from btfdbg.vmcore.paging import Paging

_KIND = "packed-btf-1"
_PAGE_HEAD = struct.Struct("<II")  # flags, bytes
# Large pages and the rest of one in small ones; more is no kernel image.
_MAX_RUNS = 1 << 10


def read(session: Session, address: int, size: int, cache: Cache | None = None) -> bytes:
    """
    Read BTF, as ``Program.read()`` does.

    :param cache: The user's by default.
    :raises drgn.FaultError: as ``Program.read()``.
    """
    found = from_pages(session, address, size, _KIND, cache)
    data: bytes = session.prog.read(address, size) if found is None else bytes(found)
    return data


def from_pages(
    session: Session, address: int, size: int, kind: str, cache: Cache | None = None
) -> bytes | memoryview | None:
    """
    Memory of the kernel's image out of the file's pages, without drgn.

    :param kind: Of the entry, see :mod:`btfdbg.cache`.
    :return: ``None`` if not all of it is there, or it is no kdump file that is read so.
    """
    cache = Cache.default() if cache is None else cache
    dump = session.dump
    if not session.is_file or cache.folder is None or dump is None or dump.memory is None:
        return None
    if dump.format not in (Format.KDUMP, Format.KDUMP_FLATTENED):
        return None
    from btfdbg.vmcore.kdumppages import KdumpPages

    if not isinstance(dump.memory, KdumpPages):
        return None
    found = _packed(session, dump.memory, address, size)
    if found is None:
        return None
    skipped, pages = found
    subject = b"".join(_PAGE_HEAD.pack(flags, len(data)) + data for flags, data in pages)
    key = CacheKey.of(session.build_id, sizes=(size, skipped))
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
    at, end = address - skipped, address + size
    pages: list[Packed] = []
    for _ in range(_MAX_RUNS):
        if at >= end:
            return skipped, pages
        try:
            physical, run = paging.translate(memory.read, at)
        except (NotMappedError, FaultError, OverflowError):
            return None
        run = min(run, -(-(end - at) // block) * block)
        if physical % block or run % block:
            return None
        found = memory.packed(physical, run)
        if found is None:
            return None
        pages += found
        at += run
    return None
