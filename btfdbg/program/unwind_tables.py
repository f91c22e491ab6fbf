"""The kernel's ORC tables of a kdump file, lent to drgn as an earlier run unpacked them.

Owns one segment of a Program's memory, over those tables, and when it comes: as drgn asks for
them. Then :mod:`.orc_hole` fills the entry that they lack, too, of whatever dump. drgn reads
them whole before the first stack of a session: 4.3 MB, which to inflate and to look up page by
page is 190 M of the 490 M instructions of a first ``bt``. What the segment gives is what the
file's pages hold: each is compared, as it is packed, with those that the kept tables were
unpacked from (:mod:`.packed_btf`).

Facts: drgn 0.3.0, ``libdrgn/orc_info.c``, which asks for ``__start_orc_unwind_ip`` first;
ORC_UNWIND_TABLE in ``include/asm-generic/vmlinux.lds.h``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import drgn

from btfdbg.program import orc_hole, packed_btf

if TYPE_CHECKING:
    from collections.abc import Callable

    from btfdbg.kallsyms.symbols import SymbolFinder
    from btfdbg.program.session import Session

_FIRST, _ENTRIES, _LAST = "__start_orc_unwind_ip", "__start_orc_unwind", "__stop_orc_unwind"
_KIND = "packed-orc-2"
_MAX_SIZE = 12 << 20  # what can be kept with its packed pages
_LARGE = 1 << 16


def lent(session: Session, find: SymbolFinder) -> SymbolFinder:
    """
    A symbol finder that lends the tables to drgn when it asks where they are.

    >>> prog.register_symbol_finder("mine", lent(session, find), enable_index=0)

    :return: ``find`` itself for what is no dump of an x86-64 kernel.
    """
    prog = session.prog
    live = drgn.ProgramFlags.IS_LIVE in prog.flags
    if live or prog.platform is None or prog.platform.arch is not drgn.Architecture.X86_64:
        return find
    is_lent = False

    def lending(
        prog: drgn.Program, name: str | None, address: int | None, one: bool
    ) -> list[drgn.Symbol]:
        nonlocal is_lent
        if name == _FIRST and not is_lent:
            is_lent = True
            _lend(session)
        return find(prog, name, address, one)

    return lending


def _lend(session: Session) -> None:
    start, end = session.between(_FIRST, _LAST) or (0, 0)
    size = end - start
    if not 0 < size <= _MAX_SIZE:
        return
    data = packed_btf.from_pages(session, start, size, _KIND)
    if data is not None:
        session.prog.add_memory_segment(start, size, _segment(session, start, data))
    addresses, entries = session.between(_FIRST, _ENTRIES) or (0, 0)
    if addresses == start < entries < end:
        orc_hole.fill(session, start, entries, end)


def _segment(
    session: Session, start: int, data: bytes | memoryview
) -> Callable[[int, int, int, bool], bytes | memoryview]:
    """
    Reads of the tables.

    Large ones are of ``data`` until its end was read, which drgn does last: it has a copy then.
    """
    lent: list[bytes | memoryview] = [data]

    def read(address: int, count: int, offset: int, physical: bool) -> bytes | memoryview:
        if lent and count >= _LARGE:
            part = lent[0][address - start : address - start + count]
            if address + count == start + len(lent[0]):
                lent.clear()
            return part
        return _from_file(session, address, count)

    return read


def _from_file(session: Session, address: int, count: int) -> bytes:
    """What lies at an address; all of its pages were there."""
    paging = packed_btf.paging_of(session)
    assert paging is not None
    assert session.dump is not None
    memory = session.dump.memory
    assert memory is not None
    return paging.read(memory.read, address, count)
