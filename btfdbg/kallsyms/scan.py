"""Finding kallsyms tables in memory that nobody points at.

Owns the search: a signature for the token table, then the tables around it in
both orders that kernels have used. Everything found is a *candidate* with its
proof by structure (lengths, markers, monotony); whether it is this kernel's is
decided by ``locate.py`` with evidence from outside.

Facts: scripts/kallsyms.c, ``write_src()``. Each table is aligned to 8 bytes
(since 7.0: to 4) and padded with zeros; both are tried everywhere.

* since 6.4, Linux kernel commit 404bad70fcf7 ("scripts/kallsyms: change the
  output order"): num_syms, names, markers, token_table, token_index, offsets,
  relative_base, seqs_of_names; without relative_base since 7.0.
* before: offsets, relative_base, num_syms, names, markers, token_table,
  token_index; 6.2 and 6.3 have seqs_of_names after markers.
* before 4.20, Linux kernel commit 80ffbaa5b1bd ("kallsyms: reduce size a little on
  64-bit"): num_syms and markers are unsigned long, else 32 bits.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

from btfdbg.kallsyms.addresses import Addresses, Encoding
from btfdbg.kallsyms.model import (
    MAX_NAME,
    MAX_SYMBOLS,
    PAGE,
    ByteOrder,
    Memory,
    read_prefix,
    read_suffix,
    try_read,
)
from btfdbg.kallsyms.names import BLOCK, SEQ_WIDTH, Names, split_block
from btfdbg.kallsyms.tables import Layout
from btfdbg.lazy_dataclass import dataclass
from btfdbg.lazy_pattern import pattern

_ZEROS = pattern(rb"\0{4,}")
# Characters that occur in names stand for themselves, and no kernel lacks a digit.
_SIGNATURE = b"".join(b"%d\0" % digit for digit in range(10))
_FIRST_DIGIT = ord("0")

_TOKEN = pattern(rb"[!-~]*")
_CHUNK = 1 << 20
MAX_TOKEN = 128
"""Bound on one token in bytes; real ones stay below 40."""
MAX_TOKEN_TABLE = 1 << 16  # kallsyms_token_index is u16
_USUAL_TOKEN_TABLE = 1 << 13
_TOKEN_INDEX_BYTES = 512
_MAX_HITS = 20_000  # of the signature; a kernel image has about ten
_MARKER_GAP = range(2 * BLOCK, BLOCK * (MAX_NAME + 2))
_BYTE_ORDERS: tuple[ByteOrder, ByteOrder] = ("little", "big")
ALIGNMENTS = (8, 4)
MARKER_WIDTHS = (4, 8)


@dataclass(frozen=True, slots=True)
class TokenTable:
    """
    A token table with its index.

    :ivar start: Address of ``kallsyms_token_table``.
    :ivar end: Address behind ``kallsyms_token_index``.
    """

    start: int
    end: int
    tokens: tuple[bytes, ...]
    byteorder: ByteOrder


def aligned(size: int, unit: int) -> int:
    """Round up."""
    return -(-size // unit) * unit


def words(data: bytes, width: int, byteorder: ByteOrder) -> list[int]:
    """Unsigned integers of 2, 4 or 8 bytes; a rest at the end is dropped."""
    values = array({2: "H", 4: "I", 8: "Q"}[width])
    values.frombytes(data[: len(data) // width * width])
    if byteorder != sys.byteorder:
        values.byteswap()
    return values.tolist()


def token_tables(
    read: Memory,
    ranges: Iterable[tuple[int, int]],
    progress: Callable[[int], None] | None = None,
    search: Memory | None = None,
) -> Iterator[TokenTable]:
    """
    All token tables in memory.

    :param search: Reads what is only looked through; by default ``read`` does.
    :param ranges: (start, end) addresses; unreadable pages in them are skipped.
    :param progress: Called with the number of bytes looked at so far.
    """
    done = hits = 0
    tail = b""
    expected = -1
    for address, data in readable(search or read, ranges):
        if address == expected:
            data = tail + data
            address -= len(tail)
        position = data.find(_SIGNATURE)
        while position >= 0:
            hits += 1
            if hits > _MAX_HITS:
                return
            table = _token_table_at(read, address + position)
            if table is not None:
                yield table
            position = data.find(_SIGNATURE, position + 1)
        expected = address + len(data)
        tail = data[-(len(_SIGNATURE) - 1) :]
        done += len(data)
        if progress is not None:
            progress(done)


def decode_tokens(data: bytes, index: list[int]) -> tuple[bytes, ...] | None:
    """
    Split a token table by its index.

    :param data: From the start of ``kallsyms_token_table`` on; may be too long.
    :param index: The 256 values of ``kallsyms_token_index``.
    :return: None unless index and strings agree in every place.
    """
    if len(index) != 256:
        return None
    tokens: list[bytes] = []
    position = 0
    for expected in index:
        if position != expected:
            return None
        end = data.find(b"\0", position, position + MAX_TOKEN + 1)
        if end < 0:
            return None
        token = data[position:end]
        if not _TOKEN.fullmatch(token):
            return None
        tokens.append(token)
        position = end + 1
    return tuple(tokens)


def readable(read: Memory, ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, bytes]]:
    """Readable stretches in ascending order, at most ``_CHUNK`` bytes each."""
    for start, end in ranges:
        address = start
        while address < end:
            size = min(_CHUNK - address % _CHUNK, end - address)
            yield from _halves(read, address, size)
            address += size


def _halves(read: Memory, address: int, size: int) -> Iterator[tuple[int, bytes]]:
    data = try_read(read, address, size)
    if data is not None:
        yield address, data
    elif size > PAGE:
        half = -(-size // 2 // PAGE) * PAGE
        half = min(max(half, PAGE), size - 1)
        yield from _halves(read, address, half)
        yield from _halves(read, address + half, size - half)


def _token_table_at(read: Memory, digit: int) -> TokenTable | None:
    """The token table whose entry for "0" stands at ``digit``, if there is one."""
    for size in (_USUAL_TOKEN_TABLE, MAX_TOKEN_TABLE + _TOKEN_INDEX_BYTES):
        data = read_prefix(read, digit, size)
        strings = data.split(b"\0", 256 - _FIRST_DIGIT)
        if len(strings) > 256 - _FIRST_DIGIT:
            break
    else:
        return None
    end = digit + len(data) - len(strings[-1])
    for unit in ALIGNMENTS:
        place = aligned(end, unit)
        stored = try_read(read, place, _TOKEN_INDEX_BYTES)
        if stored is None:
            continue
        for byteorder in _BYTE_ORDERS:
            index = words(stored, 2, byteorder)
            # The index says where the entry for "0" is: so it says where the table begins.
            start = digit - index[_FIRST_DIGIT]
            if index[0] != 0 or start % 4 != 0 or not end - start <= MAX_TOKEN_TABLE:
                continue
            table = try_read(read, start, end - start)
            tokens = None if table is None else decode_tokens(table, index)
            if tokens is not None:
                return TokenTable(start, place + _TOKEN_INDEX_BYTES, tokens, byteorder)
    return None


@dataclass(frozen=True, slots=True)
class NameTables:
    """
    The tables in front of a token table, proved by their lengths.

    :ivar seqs: ``kallsyms_seqs_of_names`` if it stands in front (6.2, 6.3).
    """

    num_syms: int
    names: int
    names_end: int
    markers: list[int]
    seqs: int | None


def name_tables(read: Memory, table: TokenTable) -> NameTables | None:
    """Find markers, names and count in front of a token table."""
    for width in MARKER_WIDTHS:
        before = read_suffix(read, table.start, MAX_SYMBOLS // BLOCK * width + 8)
        markers = _markers_before(before, width, table.byteorder)
        if markers is not None:
            place = table.start - len(before) + markers[0]
            found = _names_before(read, place, markers[1], table.byteorder)
            if found is not None:
                return found
    return _names_before_seqs(read, table)


def _markers_before(data: bytes, width: int, byteorder: ByteOrder) -> tuple[int, list[int]] | None:
    """
    Markers that end where the data does, or one padding word before it.

    :return: Position and values.
    """
    skip = len(data) % width
    values = words(data[skip:], width, byteorder)
    if len(values) < 3:
        return None
    last = len(values) - 1
    if values[last] == 0:
        last -= 1
    first = last
    while first > 0 and values[first] - values[first - 1] in _MARKER_GAP:
        first -= 1
    if first == last or values[first] != 0:
        return None
    return skip + width * first, values[first : last + 1]


def _names_before(
    read: Memory, place: int, markers: list[int], byteorder: ByteOrder
) -> NameTables | None:
    """Names that end where the markers start."""
    most = aligned(markers[-1] + BLOCK * (MAX_NAME + 2), 8)
    # The last block alone is at most half a MiB, so nearly all of this is names.
    data = read_suffix(read, place, most)
    fewest = (len(markers) - 1) * BLOCK + 1
    for start in range((len(data) - markers[-1] - 2) & ~3, 7, -4):
        padding, close = words(data[start - 8 : start], 4, byteorder)
        # The count stands in front, and before 7.0 its padding to 8 bytes.
        for value, distance in ((padding, 8), (close, 4)):
            if distance == 8 and close != 0:
                continue
            if fewest <= value < fewest + BLOCK and _names_fit(data[start:], markers, value):
                names = place - len(data) + start
                return NameTables(value, names, place, markers, None)
    return None


def _names_fit(data: bytes, markers: list[int], count: int) -> bool:
    """Whether the first and the last block are names; the others are checked when used."""
    rest = count - (len(markers) - 1) * BLOCK
    last = data[markers[-1] :]
    first = data[: markers[1]]
    return any(split_block(first, BLOCK, wide=wide) for wide in (True, False)) and any(
        split_block(last, rest, wide=wide, last=True) for wide in (True, False)
    )


def _names_before_seqs(read: Memory, table: TokenTable) -> NameTables | None:
    """The order of 6.2 and 6.3: markers, then the index by name, then the tokens."""
    most = MAX_SYMBOLS // BLOCK * 4 + MAX_SYMBOLS * SEQ_WIDTH + 16
    data = read_suffix(read, table.start, most)
    origin = table.start - len(data)
    # markers[0] is 0 and markers[1] is not, so of a run of zeros only the last whole
    # word may be it: megabytes of zeros are one candidate.
    ends = array("I", (run.end() for run in _ZEROS.finditer(data)))
    for end in reversed(ends):
        start = end - 4 - (origin + end) % 4
        if start >= 0 and data[start : start + 4] == bytes(4):
            found = _markers_with_seqs(read, data, start, origin, table)
            if found is not None:
                return found
    return None


def _markers_with_seqs(
    read: Memory, data: bytes, start: int, origin: int, table: TokenTable
) -> NameTables | None:
    """Whether markers stand at ``start`` with exactly their index by name behind them."""
    room = len(data) - start
    if room < 16:
        return None
    first, second = words(data[start : start + 8], 4, table.byteorder)
    if first != 0 or second not in _MARKER_GAP:
        return None
    # 4 bytes a block and 3 a symbol, both padded to 8: nearly one solution.
    guess = room // (4 + BLOCK * SEQ_WIDTH)
    for blocks in range(max(2, guess), guess + 3):
        marker_bytes = aligned(4 * blocks, 8)
        markers = words(data[start : start + 4 * blocks], 4, table.byteorder)
        if len(markers) < blocks or any(b - a not in _MARKER_GAP for a, b in pairwise(markers)):
            continue
        found = _names_before(read, origin + start, markers, table.byteorder)
        if found is None or aligned(found.num_syms * SEQ_WIDTH, 8) != room - marker_bytes:
            continue
        return NameTables(
            found.num_syms,
            found.names,
            found.names_end,
            markers,
            origin + start + marker_bytes,
        )
    return None


def layouts(read: Memory, table: TokenTable, names: NameTables) -> Iterator[Layout]:
    """
    All ways to read addresses next to found names that are right by themselves.

    Each has ascending addresses; usually there is one, and evidence from
    outside must tell.
    """
    count = names.num_syms
    order = table.byteorder
    after = table.end
    tried: list[tuple[int, Encoding, int]] = []

    def word(address: int) -> int:
        data = try_read(read, address, 8)
        return 0 if data is None else int.from_bytes(data, order)

    # Since 6.4: behind the tokens.
    base = word(aligned(after + 4 * count, 8))
    tried.append((after, Encoding.PLACE, 0))
    tried.append((after, Encoding.RELATIVE, base))
    tried.append((after, Encoding.PERCPU, base))
    tried.append((after, Encoding.ABSOLUTE, 0))
    # Before: in front of the count.
    front = names.names - 8  # the count, with its padding if it has any
    base = word(front - 8)
    place = front - 8 - aligned(4 * count, 8)
    tried.append((place, Encoding.RELATIVE, base))
    tried.append((place, Encoding.PERCPU, base))
    tried.append((front - 8 * count, Encoding.ABSOLUTE, 0))
    for place, encoding, base in tried:
        if place < 0:
            continue
        addresses = Addresses(read, place, encoding, count, order, base=base)
        if not plausible(addresses):
            continue
        seqs = names.seqs
        if seqs is None and place == after:
            seqs = find_seqs(read, table.tokens, names, place, encoding)
        yield Layout(
            byteorder=order,
            num_syms=count,
            names=names.names,
            names_end=names.names_end,
            markers=names.markers,
            token_table=table.start,
            tokens=table.tokens,
            seqs=seqs,
            addresses=place,
            encoding=encoding,
            base=base,
        )


def find_seqs(
    read: Memory, tokens: tuple[bytes, ...], names: NameTables, addresses: int, encoding: Encoding
) -> int | None:
    """The index by name if it stands behind the addresses, ``relative_base`` between."""
    end = addresses + encoding.width * names.num_syms
    base = encoding in (Encoding.RELATIVE, Encoding.PERCPU)
    for unit in ALIGNMENTS:
        place = aligned(end, unit) + (8 if base else 0)
        probe = Names(
            read,
            names.names,
            names.names_end,
            names.markers,
            names.num_syms,
            tokens,
            seqs=place,
        )
        if probe.index_is_sorted():
            return place
    return None


def plausible(addresses: Addresses) -> bool:
    """Ascending, more than a few different ones, and spread over less than 2 GiB."""
    if not addresses.ascends():
        return False
    first = addresses.at(addresses.first_kernel_index() % addresses.count)
    last = addresses.at(addresses.count - 1)
    if first is None or last is None or first == last:
        return False
    if addresses.encoding is Encoding.PERCPU:
        return last >= 1 << 31 and last - first < 1 << 31
    if addresses.encoding is Encoding.ABSOLUTE:
        middle = addresses.at(addresses.count // 2)
        return middle is not None and last - middle < 1 << 32
    return last - first < 1 << 32
