"""The kernel's export tables: addresses of data where kallsyms has only functions.

Owns finding ``__ksymtab`` and ``__ksymtab_gpl`` in memory and reading them. A
kernel with CONFIG_KALLSYMS_ALL=n still has to tell modules where ``init_task``
and some thousands of other variables are.

How they are found: the tables stand closely before ``__ksymtab_strings``. Near a
string that is the name of an exported function, words that point into that
string table at a constant distance from each other are a table; its names must
ascend, and its functions must be where kallsyms has them.

Facts: include/linux/export-internal.h and include/linux/export.h: ``struct
kernel_symbol`` is three s32, each relative to its own place (value, name,
namespace; CONFIG_HAVE_ARCH_PREL32_RELOCATIONS), or three pointers; two of each
before 5.4. The linker sorts each table by name
(include/asm-generic/vmlinux.lds.h).
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterator

from btfdbg.kallsyms.listed import ListedTable
from btfdbg.kallsyms.model import (
    MAX_NAME,
    PAGE,
    ByteOrder,
    Memory,
    Sym,
    read_prefix,
    read_suffix,
    try_read,
)
from btfdbg.kallsyms.tables import KallsymsTable
from btfdbg.lazy_pattern import pattern

# Exported for as long as there are modules; one that kallsyms knows is enough.
# Long, so that hardly any other string of the kernel ends like one of them.
_PROBES = (
    "queue_work_on",
    "add_wait_queue",
    "remove_wait_queue",
    "kmem_cache_create",
    "unregister_chrdev_region",
    "kthread_create_on_node",
)

_SPAN = 3 << 20  # tables and strings of a large kernel: 1.5 MB
_SHORTEST = 100  # entries
_MAX_EXPORTS = 1 << 18
_MAX_TRIES = 16
_CHUNK = 1 << 20
_MASK64 = (1 << 64) - 1
_NAME = pattern(rb"[A-Za-z_.$][A-Za-z0-9_.$]*")


def exports(read: Memory, kallsyms: KallsymsTable) -> ListedTable | None:
    """
    Read the export tables.

    :param kallsyms: The kernel's functions: where to look, and the proof.
    :return: None if no table was found that agrees with ``kallsyms``.
    """
    start, end = kallsyms.image_range
    text_end = kallsyms.by_name("_etext")
    if text_end and text_end[0].address < end:
        start = text_end[0].address
    tried = 0
    for name in _PROBES:
        if not kallsyms.by_name(name):
            continue
        for place in _occurrences(read, start, end, name.encode() + b"\0"):
            found = _around(read, place, kallsyms)
            if found:
                return ListedTable(found, "kernel's export tables", complete=False)
            tried += 1
            if tried >= _MAX_TRIES:
                return None
    return None


def _occurrences(read: Memory, start: int, end: int, pattern: bytes) -> Iterator[int]:
    tail = b""
    for address in range(start & -PAGE, end, _CHUNK):
        data = try_read(read, address, _CHUNK) or read_prefix(read, address, _CHUNK)
        whole = tail + data
        position = whole.find(pattern)
        while position >= 0:
            yield address - len(tail) + position
            position = whole.find(pattern, position + 1)
        tail = data[1 - len(pattern) :] if len(data) == _CHUNK else b""


def _around(read: Memory, place: int, kallsyms: KallsymsTable) -> list[Sym]:
    """All exports of the tables that stand before the strings around ``place``."""
    before = read_suffix(read, place & -8, _SPAN)
    origin = (place & -8) - len(before)
    strings = before + read_prefix(read, place & -8, _SPAN)
    order = kallsyms.layout.byteorder
    for decode in (_relative, _pointers):
        entries = decode(before, origin, strings, order)
        if len(entries) >= _SHORTEST and _agrees(entries, kallsyms):
            return [Sym(name, at, 0, "?", False, "exports") for name, at in entries.items()]
    return []


def _relative(data: bytes, origin: int, strings: bytes, byteorder: ByteOrder) -> dict[str, int]:
    """Tables of words relative to their own places."""
    words = _array("i", data, byteorder)
    size = len(strings)
    hits = [j for j, word in enumerate(words) if word > 0 and word + 4 * j < size]
    return _tables(
        hits,
        lambda j: _string(strings, 4 * j + words[j]),
        lambda j: (origin + 4 * j + words[j]) & _MASK64,
    )


def _pointers(data: bytes, origin: int, strings: bytes, byteorder: ByteOrder) -> dict[str, int]:
    """Tables of pointers."""
    words = _array("Q", data, byteorder)
    end = origin + len(strings)
    hits = [j for j, word in enumerate(words) if origin < word < end]
    return _tables(hits, lambda j: _string(strings, words[j] - origin), lambda j: words[j])


def _tables(
    hits: list[int], name_at: Callable[[int], str], value_at: Callable[[int], int]
) -> dict[str, int]:
    """
    Entries of all tables among words that may point to names.

    :param hits: Indexes of those words; the value stands in the word before.
    """
    for stride in (3, 2):
        found: dict[str, int] = {}
        for first, count in _runs(hits, stride):
            piece: dict[str, int] = {}
            last = ""
            for j in range(first, first + stride * count, stride):
                name = name_at(j) if j > 0 else ""
                if not name or name <= last:
                    if len(piece) >= _SHORTEST // 4:
                        found.update(piece)
                    piece = {}
                if name:
                    piece[name] = value_at(j - 1)
                last = name
            if len(piece) >= _SHORTEST // 4:
                found.update(piece)
        if len(found) >= _SHORTEST:
            return found
    return {}


def _array(code: str, data: bytes, byteorder: ByteOrder) -> list[int]:
    words = array(code)
    words.frombytes(data[: len(data) // words.itemsize * words.itemsize])
    if byteorder != sys.byteorder:
        words.byteswap()
    return words.tolist()


def _runs(hits: list[int], stride: int) -> Iterator[tuple[int, int]]:
    """First and length of every long series of hits at that distance."""
    present = set(hits)
    for first in hits:
        if first - stride in present:
            continue
        following = first
        while following in present:
            following += stride
        count = (following - first) // stride
        if _SHORTEST <= count <= _MAX_EXPORTS:
            yield first, count


def _string(strings: bytes, offset: int) -> str:
    """
    The symbol name that stands there; empty if none does.

    It need not follow a NUL: the linker stores a name in the end of another.
    """
    if not 0 < offset < len(strings):
        return ""
    end = strings.find(b"\0", offset, offset + MAX_NAME)
    name = strings[offset:end] if end > offset else b""
    return name.decode("ascii") if _NAME.fullmatch(name) else ""


def _agrees(entries: dict[str, int], kallsyms: KallsymsTable) -> bool:
    """Whether the functions among them are where kallsyms has them."""
    right = wrong = 0
    step = max(1, len(entries) // 400)
    for name in list(entries)[::step]:
        there = kallsyms.names_at(entries[name])
        right += name in there
        wrong += bool(there) and name not in there
    return right >= _SHORTEST // 4 and wrong * 20 <= right
