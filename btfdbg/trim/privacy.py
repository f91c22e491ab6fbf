"""Whose page is it? The kernel's, or one that a trimmed dump must not carry.

Owns the classification of page frames by ``struct page``. Refused are pages
mapped by user programs, page cache (files, tmpfs, swap cache), movable pages
(zsmalloc keeps compressed user memory in them), huge pages, balloon pages, and
free pages, which hold whatever was in them last. A page that cannot be
classified is refused too.

How free pages are told: a free block of 2**n pages is marked in its first page
only, so every aligned predecessor is asked; the per-CPU lists of free pages
carry no mark at all, so they are walked.

Facts: kernel ``include/linux/mm_types.h``, ``include/linux/page-flags.h``,
``mm/page_alloc.c``; the values in VMCOREINFO are those that makedumpfile's
``-d 31`` goes by (``kernel/vmcore_info.c``).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Literal

import drgn
from drgn import FaultError, Object

from btfdbg.program.session import Session

_MAX_ORDER = 20
_MAX_LISTS = 64
_MAX_FREE = 1 << 22
_MAPPING_ANON = 0x1
_MAPPING_MOVABLE = 0x2
_TYPE_SHIFT = 24


class Owner(Enum):
    """What a page frame is; the value is what people are told."""

    KERNEL = "kernel"
    ANONYMOUS = "user memory"
    CACHE = "page cache"
    MOVABLE = "movable"
    HUGE = "huge pages"
    OFFLINE = "offline (balloon)"
    FREE = "free"
    UNKNOWN = "not classifiable"


class Classifier:
    """
    Classifies page frames of the dump that a Session is about.

    :param filtered: The dump itself has no free pages, so that it does not
        matter if their lists cannot be read.
    :raises LookupError: the types or the array of ``struct page`` are not known.
    :raises drgn.FaultError: the lists of free pages cannot be read.
    """

    def __init__(self, session: Session, *, filtered: bool = False) -> None:
        prog = session.prog
        self._prog = prog
        page = prog.type("struct page")
        self._page_size_of = drgn.sizeof(page)
        self._first = prog["vmemmap"].value_()
        self._flags = drgn.offsetof(page, "flags")
        self._mapping = drgn.offsetof(page, "mapping")
        self._mapcount = drgn.offsetof(page, "_mapcount")
        self._compound_info = _first_member(page, ("compound_info", "compound_head"))
        self._private = drgn.offsetof(page, "private")
        self._lru_offset = drgn.offsetof(page, "lru")
        numbers = session.vmcoreinfo.numbers
        self._lru = 1 << _enumerator(prog, "PG_lru", numbers.get("PG_lru"))
        self._slab_bit = numbers.get("PG_slab")
        self._slab_type = numbers.get("PAGE_SLAB_MAPCOUNT_VALUE")
        self._buddy_type = numbers.get("PAGE_BUDDY_MAPCOUNT_VALUE")
        self._offline_type = numbers.get("PAGE_OFFLINE_MAPCOUNT_VALUE")
        self._huge_type = numbers.get("PAGE_HUGETLB_MAPCOUNT_VALUE")
        if self._buddy_type is None:
            raise LookupError("VMCOREINFO does not say how free pages are marked")
        self._head_mask = numbers.get("PG_head_mask", ~0)
        self._huge_dtor = numbers.get("HUGETLB_PAGE_DTOR")
        self._dtor = self._compound_dtor_offset(page)
        self._word = drgn.sizeof(prog.type("unsigned long"))
        platform = prog.platform
        assert platform is not None
        little = platform.flags & drgn.PlatformFlags.IS_LITTLE_ENDIAN
        self._order: Literal["little", "big"] = "little" if little else "big"
        self._on_lists: set[int] = set()
        try:
            self._on_lists.update(self._free_per_cpu())
        except FaultError:
            if not filtered:
                raise

    def _compound_dtor_offset(self, page: drgn.Type) -> int | None:
        # The second page of a compound page held its destructor until Linux
        # kernel commit 9c5ccf2db04b ("mm: remove HUGETLB_PAGE_DTOR") (in v6.6).
        for path in ("compound_dtor", "_folio_dtor"):
            try:
                offset: int = drgn.offsetof(page, path)
            except LookupError:
                continue
            return offset
        return None

    def owner(self, pfn: int) -> Owner:
        """Say whose a page frame is."""
        try:
            return self._owner(pfn)
        except FaultError:
            return Owner.UNKNOWN

    def _owner(self, pfn: int) -> Owner:
        if pfn in self._on_lists or self._in_free_block(pfn):
            return Owner.FREE
        head = self._read(pfn)
        head_pfn = self._head(pfn, self._long(head, self._compound_info))
        if head_pfn != pfn:
            head = self._read(head_pfn)
        kind = int.from_bytes(head[self._mapcount : self._mapcount + 4], self._order)
        flags = self._long(head, self._flags)
        if self._is_slab(flags, kind):
            return Owner.KERNEL
        if self._is_type(kind, self._offline_type):
            return Owner.OFFLINE
        if self._is_huge(head_pfn, kind, flags):
            return Owner.HUGE
        mapping = self._long(head, self._mapping)
        if mapping & _MAPPING_ANON:
            return Owner.ANONYMOUS
        if mapping & _MAPPING_MOVABLE:
            return Owner.MOVABLE
        if mapping or flags & self._lru:
            return Owner.CACHE
        return Owner.KERNEL

    def _head(self, pfn: int, info: int) -> int:
        """
        The first page of the compound page that a page is in.

        :param info: What its ``compound_info`` holds: with bit 0 set the head's
            address, or where ``struct page`` has a power of two in size the mask
            that makes the head's address of this one's.
        """
        if not info & 1:
            return pfn
        # Linux kernel, "mm: rework compound_head() for power-of-2 sizeof(struct
        # page)" (before v7.2). No array of struct page lies in the last bytes of
        # the address space, where the addresses are that could be such a mask.
        span = -(info - 1) & (1 << 8 * self._word) - 1
        if span & (span - 1) == 0 and span <= self._page_size_of << _MAX_ORDER:
            info = (self._first + pfn * self._page_size_of & info - 1) | 1
        head: int = (info - 1 - self._first) // self._page_size_of
        return head

    def _is_slab(self, flags: int, kind: int) -> bool:
        # Linux kernel commit 46df8e73a4a3 ("mm: free up PG_slab") (in v6.10)
        # made the flag a page type.
        if self._slab_type is not None:
            return self._is_type(kind, self._slab_type)
        return self._slab_bit is not None and bool(flags >> self._slab_bit & 1)

    def _is_huge(self, head_pfn: int, kind: int, flags: int) -> bool:
        if self._huge_type is not None:
            return self._is_type(kind, self._huge_type)
        if self._huge_dtor is None or self._dtor is None or not flags & self._head_mask:
            return False
        second = self._read(head_pfn + 1)
        if self._long(second, self._compound_info) & 1 == 0:
            return False
        return second[self._dtor] == self._huge_dtor

    @staticmethod
    def _is_type(kind: int, value: int | None) -> bool:
        """Whether ``_mapcount`` (as unsigned) says that a page has a type."""
        if value is None:
            return False
        value &= 0xFFFFFFFF
        # Linux kernel commit 4ffca5a96678 ("mm: support only one page_type per
        # page") (in v6.12): the type is the top byte. Before, all bits but one
        # are set.
        if value & ((1 << _TYPE_SHIFT) - 1) == 0:
            return kind >> _TYPE_SHIFT == value >> _TYPE_SHIFT
        return kind == value

    def _in_free_block(self, pfn: int) -> bool:
        for order in range(_MAX_ORDER):
            first = pfn & ~((1 << order) - 1)
            if order and first == pfn:
                continue  # asked already
            try:
                page = self._read(first)
            except FaultError:
                return False
            kind = int.from_bytes(page[self._mapcount : self._mapcount + 4], self._order)
            if self._is_type(kind, self._buddy_type):
                return self._long(page, self._private) >= order
        return False

    def _read(self, pfn: int) -> bytes:
        address = self._first + pfn * self._page_size_of
        if not 0 <= address < 1 << 64:
            raise FaultError("no struct page", address & (1 << 64) - 1)
        data: bytes = self._prog.read(address, self._page_size_of)
        return data

    def _long(self, data: bytes, offset: int) -> int:
        return int.from_bytes(data[offset : offset + self._word], self._order)

    def _free_per_cpu(self) -> Iterator[int]:
        for lists in _per_cpu_pages(self._prog):
            yield from self._walk(lists)

    def _walk(self, pcp: Object) -> Iterator[int]:
        """Page frames on the free lists of one CPU and zone."""
        lists = pcp.lists
        count = min(lists.type_.length or 0, _MAX_LISTS)
        # MIGRATE_PCPTYPES lists per order; before Linux kernel commit
        # 44042b449872 ("mm/page_alloc: allow high-order pages to be stored on
        # the per-cpu lists") (in v5.14) order 0 only.
        per_order = _enumerator(self._prog, "MIGRATE_PCPTYPES", 3)
        for index in range(count):
            order = index // per_order
            if order > 3:  # PAGE_ALLOC_COSTLY_ORDER; the rest is of page block size
                order = 9
            head = lists[index].address_of_().value_()
            entry = lists[index].next.value_()
            left = _MAX_FREE
            while entry != head and entry and left:
                left -= 1
                first = (entry - self._lru_offset - self._first) // self._page_size_of
                yield from range(first, first + (1 << order))
                entry = self._prog.read_word(entry)


def _first_member(type_: drgn.Type, names: tuple[str, ...]) -> int:
    """Offset of the first member that a type has, newest name first."""
    for name in names[:-1]:
        try:
            offset: int = drgn.offsetof(type_, name)
        except LookupError:
            continue
        return offset
    last: int = drgn.offsetof(type_, names[-1])
    return last


def _enumerator(prog: drgn.Program, name: str, default: int | None) -> int:
    try:
        return int(prog.constant(name).value_())
    except LookupError:
        if default is None:
            raise
        return default


def _per_cpu_pages(prog: drgn.Program) -> Iterator[Object]:
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.mmzone import for_each_online_pgdat
    from drgn.helpers.linux.percpu import per_cpu_ptr

    cpus = list(for_each_possible_cpu(prog))
    for node in for_each_online_pgdat(prog):
        for zone in node.node_zones:
            if not zone.present_pages:
                continue
            for cpu in cpus:
                # Linux kernel commit 28f836b6777b ("mm/page_alloc: split
                # per cpu page lists and zone stats") (in v5.14).
                try:
                    yield per_cpu_ptr(zone.per_cpu_pageset, cpu)
                except AttributeError:
                    yield per_cpu_ptr(zone.pageset, cpu).pcp
