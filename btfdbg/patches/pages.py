"""``kmem -p`` and ``-m`` of all pages: ``struct page`` read in bulk; the names of pages' flags.

Owns that table, and that a bit has one name. drgn 0.3 asks five objects of each page, decodes
the flags of each anew, and ends at the first ``struct page`` that is not in the dump; here a
piece of the array is read at once, what flags mean is remembered, and what is missing is counted.

Facts: drgn ``commands/_crash/_kmem.py`` for columns; ``include/linux/page-flags.h`` (enum
pageflags: a bit's own name stands before those that some owners of pages have for it); Linux
kernel commits 53fbef56e07d ("mm: introduce memdesc_flags_t") (v6.18: ``flags.f``) and
acc53a0b4c15 ("mm: rename page->index to page->__folio_index") (v6.16).
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import drgn
from drgn import FaultError

from btfdbg.lazy_dataclass import dataclass
from btfdbg.patches.install import reach
from btfdbg.patches.missing import program_of
from btfdbg.program.session import find_session
from btfdbg.program.walks import remark
from btfdbg.vmcore.platforms import order_of
from btfdbg.vmcore.progress import Progress

Command = Callable[..., Any]
_KMEM = "drgn.commands._crash._kmem"
_PIECE = 512  # pages, 32 KiB of the array
_MAX_SIZE = 4096
_KNOWN_FLAGS = 1 << 12
_HEADS = (("PAGE", "^"), ("PHYSICAL", ">"), ("MAPPING", "^"), ("INDEX", ">"), ("CNT", ">"))


@dataclass(frozen=True, slots=True)
class _Layout:
    """Of ``struct page``: its size in bytes, and a reader of flags, mapping, index and count."""

    size: int
    read: Callable[[bytes, int], tuple[int, int, int, int]]


def _layout(prog: drgn.Program) -> _Layout:
    """
    Where the columns are.

    :raises LookupError: a member is not there, or has no size of its own.
    """
    page = prog.type("struct page")
    size = drgn.sizeof(page)
    order = order_of(prog.platform)
    word = struct.Struct(order + ("Q" if prog.address_size() == 8 else "I"))
    count = struct.Struct(order + "i")
    flags, mapping = _offset(page, "flags.f", "flags"), _offset(page, "mapping")
    index, refs = _offset(page, "__folio_index", "index"), _offset(page, "_refcount.counter")
    if not max(flags, mapping, index) + word.size <= size <= _MAX_SIZE or refs + 4 > size:
        raise LookupError("struct page")

    def read(data: bytes, at: int) -> tuple[int, int, int, int]:
        return (
            word.unpack_from(data, at + flags)[0],
            word.unpack_from(data, at + mapping)[0],
            word.unpack_from(data, at + index)[0],
            count.unpack_from(data, at + refs)[0],
        )

    return _Layout(size, read)


def _offset(page: drgn.Type, *names: str) -> int:
    """Offset of the first of some members that there is, newest first."""
    for name in names:
        try:
            offset: int = drgn.offsetof(page, name)
        except (LookupError, TypeError):
            continue
        return offset
    raise LookupError(f"struct page has no member {names[-1]}")


def kmem_pages(original: Command) -> Command:
    """``kmem -p`` and ``-m`` without operand; any other use is drgn's own."""

    def pages(
        prog: drgn.Program, drgn_arg: bool, *, members: Any = None, identified: Any = None
    ) -> Any:
        row = reach(_KMEM, "_print_table_row")
        show_members = None if members is None else reach(_KMEM, "_print_pages_members")
        own = identified is None and not drgn_arg and row is not None
        own = own and (members is None or show_members is not None)
        try:
            layout = _layout(prog) if own and find_session(prog) is not None else None
        except (LookupError, TypeError):
            layout = None
        if layout is None:
            return original(prog, drgn_arg, members=members, identified=identified)
        if show_members is not None:
            show_members(prog, members, _readable(prog, layout.size))
        else:
            _show(prog, layout, row)
        return None

    return pages


def _show(prog: drgn.Program, layout: _Layout, row: Any) -> None:
    from drgn.helpers.common.format import CellFormat
    from drgn.helpers.linux.mm import decode_page_flags_value

    shift = prog["PAGE_SHIFT"].value_()
    digits = prog.address_size() * 2
    physical = len(hex(prog["max_pfn"].value_() << shift)) - 2
    widths = (digits, physical, digits, 12, 3, 5)
    # --json takes rows of cells, whatever else prints them.
    is_text = row.__module__.startswith("drgn.")
    form = (
        f"{{:0{digits}x}}  {{:{physical}x}}  {{:{digits}x}}  {{:12x}}  {{:3x}}  {{:x}} {{}}".format
    )

    @functools.lru_cache(_KNOWN_FLAGS)
    def words(flags: int) -> str:
        found: str = decode_page_flags_value(prog, flags)
        return found.replace("|", ",").replace("PG_", "")

    row([*(CellFormat(name, side) for name, side in _HEADS), "FLAGS"], widths=widths)
    missing = 0
    for pfn, address, data in _pages(prog, layout.size):
        if data is None:
            missing += 1
            continue
        flags, mapping, index, count = layout.read(*data)
        if is_text:
            line = form(address, pfn << shift, mapping, index, count, flags, words(flags))
            print(line.rstrip(" "))
        else:
            cells = (pfn << shift, mapping, index, count)  # a number has no base in JSON
            row((f"{address:0{digits}x}", *cells, f"{flags:x} {words(flags)}"), widths=widths)
    _remark_missing(prog, missing)


def _readable(prog: drgn.Program, size: int) -> Iterator[drgn.Object]:
    """Each ``struct page *`` that can be read; the others are counted."""
    missing = 0
    for _, address, data in _pages(prog, size):
        if data is None:
            missing += 1
        else:
            yield drgn.Object(prog, "struct page *", address)
    _remark_missing(prog, missing)


def _remark_missing(prog: drgn.Program, missing: int) -> None:
    if missing:
        remark(prog, f"{missing} pages have no struct page in this dump")


def _pages(prog: drgn.Program, size: int) -> Iterator[tuple[int, int, tuple[bytes, int] | None]]:
    """Page frame number, address of ``struct page``, and where it is in what was read."""
    for start, end, first in _ranges(prog):
        with Progress("pages", end - start, unit="pages") as progress:
            for pfn in range(start, end, _PIECE):
                progress(pfn - start)
                count = min(_PIECE, end - pfn)
                address = first + pfn * size
                for number, data in enumerate(_read(prog, address, size, count)):
                    yield pfn + number, address + number * size, data


def _ranges(prog: drgn.Program) -> Iterator[tuple[int, int, int]]:
    """First and last page frame number, and the address that page 0 would have."""
    from drgn.helpers.linux.mm import for_each_valid_page_range

    for start, end, mem_map in for_each_valid_page_range(prog):
        yield start, end, mem_map.value_()


def _read(
    prog: drgn.Program, address: int, size: int, count: int
) -> Sequence[tuple[bytes, int] | None]:
    try:
        data = prog.read(address, size * count)
        return [(data, at) for at in range(0, size * count, size)]
    except FaultError:
        pass
    found: list[tuple[bytes, int] | None] = []
    for number in range(count):
        try:
            found.append((prog.read(address + number * size, size), 0))
        except FaultError:
            found.append(None)
    return found


def decode_page_flags_value(original: Callable[..., Any]) -> Callable[..., Any]:
    """Names of flags, each bit's own only: what else a bit is called depends on the page's use."""

    def decode(*args: Any, **kwargs: Any) -> str:
        said: str = original(*args, **kwargs)
        prog = program_of(args)[0]
        if find_session(prog) is None:
            return said
        others = _other_names(prog)
        return "|".join(name for name in said.split("|") if name not in others)

    return decode


def _other_names(prog: drgn.Program) -> frozenset[str]:
    """Enumerators of enum pageflags for a bit that one before them is for."""
    key = "btfdbg.patches.pages.other_names"
    found: frozenset[str] | None = prog.cache.get(key)
    if found is None:
        first: dict[int, str] = {}
        names = [(e.name, e.value) for e in prog["__NR_PAGEFLAGS"].type_.enumerators or ()]
        for name, value in names:
            first.setdefault(value, name)
        found = frozenset(name for name, value in names if first[value] != name)
        prog.cache[key] = found
    return found
