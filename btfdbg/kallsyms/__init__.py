"""Symbols of a kernel without debug info.

``load()`` gives a ``SymbolTable`` out of the dump itself. In reading order:

* ``model`` (what every source gives), ``choice`` (which of several of one name);
* the dump's tables: ``find_kallsyms`` (where they are, with evidence), ``scan`` (where nobody
  points at them), ``names`` and ``addresses`` (their two halves),
  ``ends`` (names without an index), ``tables`` (both together),
  ``known`` (from one run to the next), ``all_names``, ``lto`` (names that clang changed);
* other sources: ``sources`` (System.map, VMCOREINFO), ``ksymtab`` (export tables), ``listed``,
  ``combined`` (several as one);
* modules: ``loaded``, ``modules``; drgn's side: ``symbols``;
* ``early_boot`` makes the VMCOREINFO of a kernel that had not written it yet, with the lines
  that ``image_lines`` has for each architecture.

Why our own reader, when drgn has one: drgn's expands all names before it
answers the first question (0.06 to 0.45 s), needs VMCOREINFO to name the tables
(6.0 and later), guesses the length of names by the release number, and gives
large symbols the size 0. This one reads what a question needs (a millisecond
for the first name where the kernel has a sorted index), finds the tables in
memory if nobody points at them, and decides every format question by the data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from btfdbg.cache import Cache
from btfdbg.kallsyms import known
from btfdbg.kallsyms.combined import CombinedTable
from btfdbg.kallsyms.find_kallsyms import locate
from btfdbg.kallsyms.ksymtab import exports
from btfdbg.kallsyms.model import ByteOrder, Memory, Sym, SymbolTable
from btfdbg.kallsyms.sources import from_vmcoreinfo, load_file
from btfdbg.kallsyms.tables import KallsymsTable
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

__all__ = (
    "ByteOrder",
    "CombinedTable",
    "KallsymsTable",
    "Memory",
    "Sym",
    "SymbolTable",
    "load",
    "load_file",
)


def load(
    read: Memory,
    vmcoreinfo: bytes | VmcoreInfo,
    byteorder: ByteOrder,
    *,
    ranges: Sequence[tuple[int, int]] | None = None,
    progress: Callable[[int], None] | None = None,
    cache: Cache | None = None,
    search: Memory | None = None,
) -> KallsymsTable | CombinedTable:
    """
    The kernel's own symbol table; with its export tables if it has only functions.

    :param read: ``read(address, size)`` of virtual memory.
    :param vmcoreinfo: The VMCOREINFO text, or what was parsed of it.
    :param byteorder: Of the kernel.
    :param ranges: Virtual addresses to search if VMCOREINFO does not point at
        the tables; by default the 512 MiB behind ``_stext``.
    :param progress: Called with the number of bytes searched so far.
    :param cache: Remembers where in a kernel the tables were found.
    :param search: Reads what is only looked through; by default ``read`` does.
    :raises DebugInfoError: no tables, or none that agree with VMCOREINFO; its
        ``step`` is ``kallsyms``, its ``hint`` says what to try.
    """
    info = vmcoreinfo if isinstance(vmcoreinfo, VmcoreInfo) else VmcoreInfo.parse(vmcoreinfo)
    table = locate(
        read, info, byteorder, ranges=ranges, progress=progress, cache=cache, search=search
    )
    build_id, count = info.build_id, table.count
    if table.layout.seqs is not None:
        table.remember(known.remember(table, cache, build_id, count))
    else:
        source = table.source_of_names
        table.remember(known.remember_found(table, cache, build_id, source, count))
    if table.has_data:
        return table
    return CombinedTable(table, lambda: exports(read, table), from_vmcoreinfo(info))
