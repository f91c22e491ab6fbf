"""The ORC tables of an x86-64 kernel that has no symbols for them.

Without data symbols (CONFIG_KALLSYMS_ALL=n) nothing names the tables that stacks
are unwound by, and drgn would follow frame pointers that the kernel does not keep.
The code that looks an address up in them holds where they are: where the
addresses, the entries, and the blocks behind both begin. These three have to
lie as the linker laid them, and the first and last addresses have to ascend.

Owns these symbols; ``symbol_rules`` asks.

Facts: ``arch/x86/kernel/unwind_orc.c`` (orc_find(), which GCC may split or inline),
ORC_UNWIND_TABLE in ``include/asm-generic/vmlinux.lds.h``: ``.orc_header`` (since commit
b9f174c811e3, v6.4), ``.orc_unwind_ip`` (32-bit distances from themselves), ``.orc_unwind``
(one entry for each), ``.orc_lookup``. The header is a hash of the entry's definition, made
by ``scripts/orc_hash.sh``.

>>> sorted(RULES)[:2]
['__start_orc_header', '__start_orc_unwind']
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from drgn import Architecture

from btfdbg.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from btfdbg.program.session import Session

_FUNCTIONS = ("orc_find", "orc_find.part.0", "unwind_next_frame")
_MAX_CODE = 1 << 13
_KERNEL = range(0xFFFFFFFF80000000, 1 << 64)
_MAX_ENTRIES = 1 << 23  # a distribution's kernel has half a million
_LOOKED_AT = 64  # at either end
_IP_BYTES = 4
_HEADER_BYTES = 20
# By the commit that changed the entry's definition last.
_HEADERS = {
    bytes.fromhex("db84aed4103b31dd51e017f8f79783ca985c2c51"),  # ffb1b4a41016, v6.3
    bytes.fromhex("fe5d32bf581bd63b2ca9a5c65ba5a625eab3fe24"),  # fb799447ae29, v6.4
    bytes.fromhex("137c36ad7627c4dd55932176bb0ecdbd5041fc82"),  # 1735858caa4b, v7.1
}
# Since fb799447ae29, which came with the header's release, a type has so many bits.
_TYPE_BITS = 3
_HEADER_NAMES = ("__start_orc_header", "__stop_orc_header")
_CACHE_KEY = "btfdbg.program.orc_rules"


@dataclass(frozen=True, slots=True)
class OrcTables:
    """
    Where the tables begin and end.

    :ivar header: Where the header begins; ``None`` in a kernel that has none.
    :ivar addresses: Where the addresses begin; right behind a header.
    :ivar entries: Where the entries begin, which is where the addresses end.
    :ivar end: Where the entries end.
    """

    header: int | None
    addresses: int
    entries: int
    end: int


def find(session: Session) -> OrcTables | None:
    """
    Find the tables by the code that looks addresses up in them.

    :raises drgn.FaultError: that code, or an end of a table, is not in the dump.
    """
    platform = session.prog.platform
    if platform is None or platform.arch is not Architecture.X86_64:
        return None
    size = session.prog.type("struct orc_entry").size or 0
    for function in _FUNCTIONS:
        found = _laid_out(_named_in(session, function), size)
        fitting = [place for place in found if _ascends(session, place)]
        if len(fitting) == 1:
            addresses, entries, end = fitting[0]
            before = session.prog.read(addresses - _HEADER_BYTES, _HEADER_BYTES)
            if before in _HEADERS:
                return OrcTables(addresses - _HEADER_BYTES, *fitting[0])
            # drgn goes by the release where there is no header, and one may be of any form.
            return None if _has_header(session) else OrcTables(None, addresses, entries, end)
    return None


def _named_in(session: Session, function: str) -> set[int]:
    """What any four bytes of a function's code may name: as a number, or from where they end."""
    named = set()
    for symbol in session.lookup_symbols(function):
        code = session.prog.read(symbol.address, min(symbol.size, _MAX_CODE))
        for at in range(len(code) - 3):
            (number,) = struct.unpack_from("<i", code, at)
            named.add(number & (1 << 64) - 1)
            named.add(symbol.address + at + 4 + number & (1 << 64) - 1)
    return {address for address in named if address in _KERNEL and not address % 2}


def _laid_out(named: set[int], size: int) -> list[tuple[int, int, int]]:
    """Addresses, entries and their end, as far as the blocks behind are named as well."""
    found = []
    first = [address for address in named if not address % _IP_BYTES]
    for entries in named:
        for addresses in first:
            count, rest = divmod(entries - addresses, _IP_BYTES)
            if rest or not 2 * _LOOKED_AT < count <= _MAX_ENTRIES:
                continue
            end = entries + count * size
            if end + -end % _IP_BYTES in named:
                found.append((addresses, entries, end))
    return found


def _ascends(session: Session, place: tuple[int, int, int]) -> bool:
    """Whether the first and the last addresses ascend, within the kernel."""
    start, stop, _ = place
    seen = []
    for at in (start, stop - _IP_BYTES * _LOOKED_AT):
        data = session.prog.read(at, _IP_BYTES * _LOOKED_AT)
        distances = struct.unpack(f"<{_LOOKED_AT}i", data)
        seen += [at + _IP_BYTES * i + distance for i, distance in enumerate(distances)]
    return seen == sorted(seen) and seen[0] in _KERNEL and seen[0] < start


def _has_header(session: Session) -> bool:
    member = session.prog.type("struct orc_entry").member("type")
    return (member.bit_field_size or 0) >= _TYPE_BITS


def _one(choose: Callable[[OrcTables], int | None], session: Session) -> int | None:
    cache = session.prog.cache
    if _CACHE_KEY not in cache:
        cache[_CACHE_KEY] = find(session)
    found: OrcTables | None = cache[_CACHE_KEY]
    return None if found is None else choose(found)


def _of_header(choose: Callable[[OrcTables], int | None], session: Session) -> int | None:
    return None if _names_tables_alone(session) else _one(choose, session)


def _names_tables_alone(session: Session) -> bool:
    """Whether the kernel names these tables but no header, as before v6.4: it has none."""
    symbols = session.symbols
    return (
        symbols is not None
        and bool(symbols.by_name("__start_orc_unwind_ip"))
        and not any(symbols.by_name(name) for name in _HEADER_NAMES)
        and not symbols.problems
    )


RULES: dict[str, Callable[[Session], int | None]] = {
    "__start_orc_header": partial(_of_header, lambda tables: tables.header),
    "__stop_orc_header": partial(
        _of_header, lambda tables: None if tables.header is None else tables.addresses
    ),
    "__start_orc_unwind_ip": partial(_one, lambda tables: tables.addresses),
    "__stop_orc_unwind_ip": partial(_one, lambda tables: tables.entries),
    "__start_orc_unwind": partial(_one, lambda tables: tables.entries),
    "__stop_orc_unwind": partial(_one, lambda tables: tables.end),
}
"""Addresses of the linker's symbols."""
