"""Where this kernel's kallsyms tables are, with evidence.

Owns the two ways to them: VMCOREINFO names them (since 6.0, and in backports),
or they are found by what they look like (``scan.py``). Neither is believed
before the tables say of the kernel what VMCOREINFO says of it: ``_stext`` and
the other ``SYMBOL()`` lines. Tables of another kernel (a previous boot, a crash
kernel, a page-cache copy of vmlinux) look just as good otherwise.

Why a release number is never looked at: distributions move these commits to
older kernels, and the tables tell by themselves.

Facts: kernel/vmcore_info.c, Linux kernel commit f09bddbd8661 ("vmcoreinfo: add
kallsyms_num_syms symbol") (in v6.0). ``kallsyms_markers`` and
``kallsyms_seqs_of_names`` are not in VMCOREINFO; they are found by their place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from btfdbg.cache import Cache, CacheKey
from btfdbg.errors import DebugInfoError
from btfdbg.kallsyms.addresses import Encoding
from btfdbg.kallsyms.model import MAX_NAME, MAX_SYMBOLS, ByteOrder, Memory, try_read
from btfdbg.kallsyms.names import BLOCK, SEQ_WIDTH, split_block
from btfdbg.kallsyms.scan import (
    ALIGNMENTS,
    MAX_TOKEN_TABLE,
    NameTables,
    TokenTable,
    aligned,
    decode_tokens,
    find_seqs,
    layouts,
    name_tables,
    token_tables,
    words,
)
from btfdbg.kallsyms.tables import KallsymsTable, Layout
from btfdbg.lazy_dataclass import replace
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

STEP = "kallsyms"
HINT = "give the kernel's System.map or a copy of its /proc/kallsyms with --kallsyms FILE"

IMAGE_SPAN = 512 << 20
"""How far behind ``_stext`` the tables are looked for, in bytes."""

_PLACE_KIND = "kallsyms-place-1"
_POINTERS = ("kallsyms_names", "kallsyms_num_syms", "kallsyms_token_table", "kallsyms_token_index")


def locate(
    read: Memory,
    info: VmcoreInfo,
    byteorder: ByteOrder,
    *,
    ranges: Sequence[tuple[int, int]] | None = None,
    progress: Callable[[int], None] | None = None,
    cache: Cache | None = None,
    search: Memory | None = None,
) -> KallsymsTable:
    """
    Find the tables, the cheap way first.

    :param read: Virtual memory of the dump.
    :param info: VMCOREINFO of the dump; the evidence.
    :param byteorder: Of the kernel.
    :param ranges: Virtual addresses to search if VMCOREINFO does not point at
        the tables; by default those behind ``_stext``.
    :param progress: Called with the number of bytes searched so far.
    :param cache: Remembers where in a kernel the tables were found.
    :param search: Reads what is only looked through; by default ``read`` does.
    :raises DebugInfoError: not found, or found more than one that could be it.
    """
    reason = "VMCOREINFO does not say where kallsyms is"
    if all(name in info.symbols for name in _POINTERS):
        try:
            return from_vmcoreinfo(read, info, byteorder)
        except DebugInfoError as error:
            reason = str(error)
    if ranges is None:
        ranges = image_ranges(info)
    found = _remembered(read, info, byteorder, cache)
    if found is not None:
        return found
    try:
        found = by_scan(read, ranges, info, byteorder=byteorder, progress=progress, search=search)
    except DebugInfoError as error:
        raise DebugInfoError(f"{reason}; {error}", step=STEP, hint=HINT) from None
    stext = info.symbols.get("_stext")
    if cache is not None and info.build_id and stext is not None:
        distance = found.layout.token_table - stext
        cache.store(
            CacheKey.of(info.build_id), _PLACE_KIND, distance.to_bytes(8, "little", signed=True)
        )
    return found


def _remembered(
    read: Memory, info: VmcoreInfo, byteorder: ByteOrder, cache: Cache | None
) -> KallsymsTable | None:
    """The tables where this kernel had them before, if they are there and prove themselves."""
    stext = info.symbols.get("_stext")
    if cache is None or not info.build_id or stext is None:
        return None
    key = CacheKey.of(info.build_id)
    known = cache.load(key, _PLACE_KIND)
    if known is None or len(known) != 8:
        return None
    start = stext + int.from_bytes(known, "little", signed=True)
    if 0 <= start < (1 << 64) - MAX_TOKEN_TABLE:
        try:
            return by_scan(read, [(start, start + MAX_TOKEN_TABLE)], info, byteorder=byteorder)
        except DebugInfoError:
            pass
    cache.forget(key, _PLACE_KIND)
    return None


def image_ranges(info: VmcoreInfo) -> list[tuple[int, int]]:
    """Virtual addresses that may hold the kernel image, by VMCOREINFO."""
    start = info.symbols.get("_stext")
    if start is not None:
        start &= ~0xFFF
        return [(start, min(start + IMAGE_SPAN, 1 << 64))]
    middle = info.symbols.get("swapper_pg_dir", info.symbols.get("init_uts_ns"))
    if middle is None:
        return []
    middle &= ~0xFFF
    return [(max(0, middle - IMAGE_SPAN // 2), min(middle + IMAGE_SPAN // 2, 1 << 64))]


def from_vmcoreinfo(read: Memory, info: VmcoreInfo, byteorder: ByteOrder) -> KallsymsTable:
    """
    Use the pointers in VMCOREINFO. Reads a few pages.

    :raises DebugInfoError: they point at something else, or VMCOREINFO and the
        tables contradict each other.
    """
    names_at, num_syms_at, table_at, index_at = (info.symbols[name] for name in _POINTERS)

    def word(address: int, width: int) -> int:
        data = try_read(read, address, width)
        if data is None:
            raise _bad(f"0x{address:x}, where VMCOREINFO points, cannot be read")
        return int.from_bytes(data, byteorder)

    count = word(num_syms_at, 4)
    if count == 0 and byteorder == "big":
        count = word(num_syms_at, 8)  # an unsigned long, before 4.20
    if not 0 < count <= MAX_SYMBOLS:
        raise _bad(f"kallsyms_num_syms at 0x{num_syms_at:x} is {count}: not a number of symbols")
    size = index_at - table_at
    text = try_read(read, table_at, size) if 0 < size <= 1 << 16 else None
    index = try_read(read, index_at, 512)
    if text is None or index is None:
        raise _bad(f"token table at 0x{table_at:x} to 0x{index_at:x} cannot be read")
    tokens = decode_tokens(text, words(index, 2, byteorder))
    if tokens is None:
        raise _bad(f"token table at 0x{table_at:x} does not match its index at 0x{index_at:x}")
    names = _names_at(read, names_at, count, table_at, byteorder)
    addresses = info.symbols.get("kallsyms_offsets")
    base = 0
    if addresses is None:
        addresses = info.symbols.get("kallsyms_addresses")
        encoding = Encoding.ABSOLUTE
        if addresses is None:
            raise _bad("VMCOREINFO has neither kallsyms_offsets nor kallsyms_addresses")
    elif "kallsyms_relative_base" in info.symbols:
        base = word(info.symbols["kallsyms_relative_base"], 8)
        # The last symbol is in the image, where only PERCPU has negative values.
        last = word(addresses + 4 * (count - 1), 4)
        encoding = Encoding.PERCPU if last >> 31 else Encoding.RELATIVE
    else:
        encoding = Encoding.PLACE
    seqs = names.seqs
    if seqs is None and addresses > index_at:
        seqs = find_seqs(read, tokens, names, addresses, encoding)
    layout = Layout(
        byteorder=byteorder,
        num_syms=count,
        names=names.names,
        names_end=names.names_end,
        markers=names.markers,
        token_table=table_at,
        tokens=tokens,
        seqs=seqs,
        addresses=addresses,
        encoding=encoding,
        base=base,
    )
    table = KallsymsTable(read, layout, "VMCOREINFO")
    if not agreeing(table, info):
        raise _bad(
            "VMCOREINFO points at kallsyms tables, but no SYMBOL() of VMCOREINFO "
            "is where they have it"
        )
    return table


def by_scan(
    read: Memory,
    ranges: Iterable[tuple[int, int]],
    info: VmcoreInfo | None = None,
    *,
    byteorder: ByteOrder | None = None,
    physical: bool = False,
    progress: Callable[[int], None] | None = None,
    search: Memory | None = None,
) -> KallsymsTable:
    """
    Search memory for the tables.

    Stops at tables that agree with VMCOREINFO and lie inside the image that
    they describe. Without VMCOREINFO everything is searched, and the answer must
    be the only one.

    :param ranges: (start, end) addresses as ``read`` takes them.
    :param physical: ``read`` takes physical addresses (no page tables yet). The
        table then answers with virtual ones as ever; needs ``_stext`` of VMCOREINFO.
    :param byteorder: Take only tables of this byte order.
    :param search: Reads what is only looked through; by default ``read`` does.
    :raises DebugInfoError: none, or several and no evidence.
    """
    symbols = info is not None and bool(info.symbols)
    possible: list[KallsymsTable] = []
    seen = 0
    for tokens in token_tables(read, ranges, progress, search):
        if byteorder is not None and tokens.byteorder != byteorder:
            continue
        seen += 1
        candidates = list(kallsyms_candidates(read, tokens))
        if physical:
            candidates = _with_virtual_addresses(read, candidates, info)
        for table in candidates:
            if symbols:
                assert info is not None
                if agreeing(table, info):
                    if describes_itself(table) and not physical:
                        return table
                    possible.append(table)
            elif describes_itself(table) and not physical:
                possible.append(table)
    if len(possible) == 1:
        return possible[0]
    if not possible:
        raise _bad(
            f"searching memory found {seen} kallsyms token tables, none with tables around it "
            "that fit this kernel"
            if seen
            else "searching memory found no kallsyms tables"
        )
    places = ", ".join(f"0x{table.layout.token_table:x}" for table in possible)
    raise _bad(
        f"searching memory found {len(possible)} kallsyms tables that could be this kernel's "
        f"(token tables at {places}) and nothing tells which is"
    )


def agreeing(table: KallsymsTable, info: VmcoreInfo) -> tuple[str, ...]:
    """
    Names that VMCOREINFO and the tables have at the same address.

    ``_stext`` alone is enough: with CONFIG_KALLSYMS_ALL=n the tables know no
    other of them. If VMCOREINFO has ``_stext``, it must be among them.
    """
    stext = info.symbols.get("_stext")
    if stext is not None:
        return ("_stext",) if "_stext" in table.names_at(stext) else ()
    return tuple(name for name, address in info.symbols.items() if name in table.names_at(address))


def describes_itself(table: KallsymsTable) -> bool:
    """Whether the tables lie between the first and the last symbol that they name."""
    first, last = table.image_range
    return first <= table.layout.token_table + table.layout.bias < last


def kallsyms_candidates(read: Memory, tokens: TokenTable) -> Iterable[KallsymsTable]:
    """Tables around a token table, one for each way in which its addresses may be written."""
    names = name_tables(read, tokens)
    if names is None:
        return
    for layout in layouts(read, tokens, names):
        yield KallsymsTable(read, layout, f"found in memory at 0x{layout.token_table:x}")


def _with_virtual_addresses(
    read: Memory, candidates: list[KallsymsTable], info: VmcoreInfo | None
) -> list[KallsymsTable]:
    """
    Candidates whose tables were read at physical addresses, giving virtual ones.

    Place-relative addresses are physical like their places; moved so that _stext is
    right they agree with VMCOREINFO whatever they are. So they are thought of only
    if no other encoding agrees by itself.
    """
    stext = None if info is None else info.symbols.get("_stext")
    if info is None or stext is None:
        return []
    others = [table for table in candidates if table.layout.encoding is not Encoding.PLACE]
    if any(agreeing(table, info) for table in others):
        return others
    moved = []
    for table in candidates:
        found = table.by_name("_stext") if table not in others else ()
        if found:
            layout = replace(table.layout, bias=stext - found[0].address)
            moved.append(KallsymsTable(read, layout, table.source))
    return moved


def _names_at(
    read: Memory, names: int, count: int, tokens: int, byteorder: ByteOrder
) -> NameTables:
    """Markers, and the index by name if it stands in front of the tokens."""
    blocks = -(-count // BLOCK)
    seq_bytes = aligned(SEQ_WIDTH * count, 8)
    for place, width, seqs in (
        *((tokens - aligned(4 * blocks, unit), 4, None) for unit in ALIGNMENTS),
        (tokens - aligned(4 * blocks, 8) - seq_bytes, 4, tokens - seq_bytes),
        (tokens - 8 * blocks, 8, None),
    ):
        data = try_read(read, place, width * blocks) if place > names else None
        if data is None:
            continue
        markers = words(data, width, byteorder)
        if _markers_fit(read, names, place, markers, count):
            return NameTables(count, names, place, markers, seqs)
    walked = _walk(read, names, count, tokens)
    if walked is None:
        raise _bad(f"kallsyms_names at 0x{names:x} does not hold {count} names")
    return NameTables(count, names, walked[1], walked[0], None)


def _markers_fit(read: Memory, names: int, end: int, markers: list[int], count: int) -> bool:
    """Whether markers ascend from 0 and the first block has the length they say."""
    if markers[0] != 0 or any(b <= a for a, b in pairwise(markers)):
        return False
    last = len(markers) == 1
    size = end - names if last else markers[1]
    if not 0 < size <= BLOCK * (MAX_NAME + 2) or markers[-1] >= end - names:
        return False
    data = try_read(read, names, size)
    if data is None:
        # Lost, but the markers themselves ascend: other blocks may be whole.
        return len(markers) > 2
    block = min(BLOCK, count)
    return any(split_block(data, block, wide=wide, last=last) for wide in (True, False))


def _walk(read: Memory, names: int, count: int, limit: int) -> tuple[list[int], int] | None:
    """Markers made by stepping over every name, and where the names end."""
    size = min(limit - names, count * (MAX_NAME + 2)) if limit > names else 0
    data = try_read(read, names, size) if 0 < size <= 1 << 26 else None
    if data is None:
        return None
    for wide in (True, False):
        markers: list[int] = []
        position = 0
        for number in range(count):
            if number % BLOCK == 0:
                markers.append(position)
            if position + 1 >= size or data[position] == 0:
                break
            length = data[position]
            if wide and length & 0x80:
                length = (length & 0x7F) | (data[position + 1] << 7)
                position += 1
            position += length + 1
        else:
            if position <= size:
                return markers, names + position
    return None


def _bad(message: str) -> DebugInfoError:
    return DebugInfoError(message, step=STEP, hint=HINT)
