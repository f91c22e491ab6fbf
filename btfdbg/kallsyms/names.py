"""The name half of kallsyms: tokens, blocks of 256 names, the index by name.

Owns expansion of names, one block at a time, and finding a name: through the
kernel's own sorted index where there is one, else among all names. Knows nothing of addresses.

Facts: scripts/kallsyms.c and kernel/kallsyms.c.

* Each name is a length and that many bytes; each byte stands for one of 256
  token strings. The first character of the expansion is the type letter.
* A length of 128 or more takes two bytes since 6.1, Linux kernel commit
  73bbb94466fd ("kallsyms: support "big" kernel symbols"); before, one. Which of
  both holds is told by the data: every 256th name must start where its marker
  says.
* ``kallsyms_seqs_of_names``: indexes in the order of strcmp() of the names,
  three bytes each, the high one first whatever the byte order, since 6.2, Linux
  kernel commit 60443c88f3a8 ("kallsyms: Improve the performance of
  kallsyms_lookup_name()"). Kernels built with clang's LTO sorted, up to 6.10, as
  if names ended at their first dot.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterator, Sequence

from btfdbg.kallsyms.ends import Ends
from btfdbg.kallsyms.known import Found, Positions
from btfdbg.kallsyms.model import MAX_NAME, PAGE, Memory, text_of, try_read
from btfdbg.lazy_dataclass import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import AnyStr

BLOCK = 256
"""Names between two markers."""

SEQ_WIDTH = 3
"""Bytes of an entry of ``kallsyms_seqs_of_names``."""

_CACHED_NAMES = 1 << 14
_BLOCKS_AT_ONCE = 16
_KEPT_STEPS = 11  # of a binary search: 4,096 entries at most, and two thirds of the steps
_MAX_TEXT = 1 << 27  # all names expanded; 5 MB in a distribution kernel
_MAX_SOURCE = 1 << 25  # all names as they stand; 2 MB there
# Codes of what is no token in the middle of a name, see text_codes().
_NEWLINE, _NOTHING, _FIRST = 0x100, 0x101, 0x200
# From a name's length to the next one; of what is no length below 128 there is no step.
_STEPS = bytes((0, *range(2, 0x81), *bytes(0x80)))
_UTF_16 = "utf-16-le" if sys.byteorder == "little" else "utf-16-be"


@dataclass(frozen=True, slots=True)
class Block:
    """
    Names of one marker.

    :ivar data: Lengths and token bytes, nothing else.
    :ivar starts: Where each name's length stands, and at last where data ends.
    :ivar wide: There are lengths of 128 and more, and they take two bytes.
    """

    data: bytes
    starts: Sequence[int]
    wide: bool

    def tokens(self, number: int) -> bytes:
        """Token bytes of one name."""
        start = self.starts[number]
        start += 2 if self.wide and self.data[start] & 0x80 else 1
        return self.data[start : self.starts[number + 1]]

    def text(self, codes: Sequence[str]) -> str:
        """
        All names without their type letters, each after a newline.

        As UTF-16, in which a code says what a byte stands for where it is, for
        ``str.translate()``: it takes 0.8x of what looking tokens up for each byte does.

        :param codes: See :func:`text_codes`.
        """
        return self._translated(codes, _FIRST)

    def lettered(self, codes: Sequence[str]) -> str:
        """As :meth:`text`, with their type letters."""
        return self._translated(codes, 0)

    def _translated(self, codes: Sequence[str], first: int) -> str:
        data = self.data
        text = bytearray(data.decode("latin-1").encode(_UTF_16))
        with memoryview(text) as view, view.cast("H") as places:
            for start in self.starts[:-1]:
                places[start] = _NEWLINE
                if self.wide and data[start] & 0x80:
                    start += 1
                    places[start] = _NOTHING
                if first:
                    places[start + 1] |= first
        return text.decode(_UTF_16).translate(codes)


def text_codes(tokens: Sequence[bytes]) -> list[str]:
    """
    What each code of :meth:`Block.text` is in a text of names.

    :param tokens: 256 strings.
    """
    within = [text_of(token) for token in tokens]
    between = ["\n"] + [""] * (_FIRST - _NEWLINE - 1)
    return within + between + [text_of(token[1:]) for token in tokens]


def split_block(data: bytes, count: int, *, wide: bool, last: bool = False) -> Block | None:
    """
    Find the names in a block.

    :param data: From this block's marker to the next one; for the last block to
        the start of the next table, padding included.
    :param count: Names it must hold.
    :param wide: Lengths of 128 and more take two bytes.
    :return: None unless exactly ``count`` names fill it. ``wide`` of the block is
        set only if it makes a difference.
    """
    starts = _short_lengths(data, count)
    if starts is not None:
        wide = False
    else:
        starts = _any_lengths(data, count, wide)
        if starts is None:
            return None
    position = starts[-1]
    rest = len(data) - position
    if rest and not (last and 0 < rest < 8 and not any(data[position:])):
        return None
    return Block(data[:position], array("I", starts), wide)


def _short_lengths(data: bytes, count: int) -> list[int] | None:
    """
    Starts of the names and their end, if all lengths are below 128: nearly always.

    Four names a round, without a look at what a length is: 0.4 of the instructions.
    """
    steps = data.translate(_STEPS)
    position = 0
    starts = [0]
    try:
        for _ in range(count // 4):
            first = position + steps[position]
            second = first + steps[first]
            third = second + steps[second]
            position = third + steps[third]
            starts += (first, second, third, position)
        for _ in range(count % 4):
            position += steps[position]
            starts.append(position)
    except IndexError:
        return None
    # Where a step is none, all that follow are none.
    return starts if starts[-1] != starts[-2:][0] else None


def _any_lengths(data: bytes, count: int, wide: bool) -> list[int] | None:
    position = 0
    starts = [0]
    try:
        for _ in range(count):
            length = data[position]
            if length & 0x80 and wide:
                length = (length & 0x7F) | (data[position + 1] << 7)
                position += 1
            if not 0 < length <= MAX_NAME:
                return None
            position += length + 1
            starts.append(position)
    except IndexError:
        return None
    return starts


class Names:
    """Names by index, and indexes by name."""

    def __init__(
        self,
        read: Memory,
        names: int,
        end: int,
        markers: Sequence[int],
        count: int,
        tokens: Sequence[bytes],
        *,
        seqs: int | None = None,
    ) -> None:
        """
        :param names: Address of ``kallsyms_names``.
        :param end: Where the names end at the latest; less than 8 bytes too far.
        :param markers: Offsets of every 256th name, ascending from 0.
        :param tokens: 256 strings.
        :param seqs: Address of ``kallsyms_seqs_of_names``, if there is one.
        """
        self._read = read
        self._names = names
        self._end = end
        self._markers = markers
        self._tokens = tokens
        self._seqs = seqs
        self._seq_pages: dict[int, bytes | None] = {}
        self._blocks: dict[int, Block | None] = {}
        self._wide: bool | None = None
        self._cache: dict[int, bytes] = {}
        self._ends: Ends | None = None
        self._found: dict[bytes, list[int]] = {}
        # By position; every search begins with the same ones.
        self._first_steps: dict[int, tuple[int, bytes]] = {}
        self._lost = 0
        self._problems: list[str] = []
        self.count = count
        #: Where names were found before, if somebody keeps that.
        self.positions: Positions | None = None
        #: What was found before without an index, if somebody keeps that.
        self.searched: Found | None = None

    @property
    def problems(self) -> list[str]:
        """What was found damaged so far, in words."""
        if not self._lost:
            return self._problems
        return [
            *self._problems,
            f"kallsyms names: {self._lost} of {len(self._markers)} blocks of {BLOCK} names "
            "are unreadable or do not match their markers",
        ]

    @property
    def indexed(self) -> bool:
        """Whether a sorted index is in use."""
        return self._seqs is not None

    def at(self, index: int) -> bytes | None:
        """
        Type letter and name of a symbol.

        :return: None if its block is unreadable or damaged.
        """
        name = self._cache.get(index)
        if name is None:
            block = self.block(index // BLOCK)
            if block is None:
                return None
            tokens = self._tokens
            name = b"".join([tokens[byte] for byte in block.tokens(index % BLOCK)])
            if len(self._cache) >= _CACHED_NAMES:
                self._cache.clear()
            self._cache[index] = name
        return name

    def find(self, name: bytes) -> list[int]:
        """Indexes of all symbols of that name (without its type letter), ascending."""
        if not name or len(name) > MAX_NAME:
            return []
        found = self._found.get(name)
        if found is None:
            found = self._find(name)
            if len(self._found) >= _CACHED_NAMES:
                self._found.clear()
            self._found[name] = found
        return found

    def _find(self, name: bytes) -> list[int]:
        if self._seqs is not None:
            # Names up to their first dot ascend in both orders that kernels use (but
            # for names with a "$", which the second search finds), and those equal
            # up to there stand together.
            cut = self._search(name, _to_dot)
            if cut:
                return sorted(cut)
            whole = self._search(name, _whole)
            if whole is not None and (whole or cut is not None):
                return sorted(whole)
            if whole is None and cut is None:
                self._seqs = None
                self._problems.append(
                    "kallsyms index by name: unreadable or not sorted; all names are searched"
                )
        return self._find_by_ends(name)

    def index_is_sorted(self, samples: int = 9) -> bool:
        """Whether names picked evenly through the index ascend (evidence, not proof)."""
        previous = None
        for i in range(samples):
            entry = self._entry(i * (self.count - 1) // (samples - 1))
            if entry is None:
                return False
            # Up to the first dot: true of both orders that kernels use.
            name = _to_dot(entry[1])
            if previous is not None and name < previous:
                return False
            previous = name
        return True

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Index, and type letter with name, of every symbol that can be read."""
        for number, text in self._expanded(self.block, self._expand):
            yield from enumerate(text[1:].split(b"\n"), number * BLOCK)

    def blocks(self) -> Iterator[tuple[int, list[str]]]:
        """Index of the first, and type letters with names, of what of each block can be read."""
        # Not kept, as in texts(); block() counts one that is lost.
        codes = text_codes(self._tokens)

        def block_of(number: int) -> Block | None:
            return self._blocks.get(number) or self._load(number) or self.block(number)

        if all(token.isascii() for token in self._tokens):
            for number, text in self._expanded(block_of, lambda block: block.lettered(codes)):
                yield number * BLOCK, text[1:].split("\n")
            return
        for number, data in self._expanded(block_of, self._expand):
            if data.isascii():
                names = data[1:].decode().split("\n")
            else:
                names = [chr(n[0]) + text_of(n[1:]) if n else "" for n in data[1:].split(b"\n")]
            yield number * BLOCK, names

    def texts(self) -> Iterator[str]:
        """Names as ``text_of()`` has them, without type letters, a newline after each; many."""
        parts = []
        codes = text_codes(self._tokens)
        # Not kept: a pass over all names needs no block twice, and all of them take 12 MB.
        for number, text in self._expanded(
            lambda n: self._blocks.get(n) or self._load(n), lambda block: block.text(codes)
        ):
            parts.append(text)
            if number % _BLOCKS_AT_ONCE == 0:
                yield "".join(parts)[1:] + "\n"
                parts.clear()
        if parts:
            yield "".join(parts)[1:] + "\n"

    def source(self) -> tuple[bytes, ...] | None:
        """Bytes that :meth:`texts` depends on, all of them; ``None`` if one cannot be read."""
        size = self._end - self._names
        data = try_read(self._read, self._names, size) if 0 < size <= _MAX_SOURCE else None
        if data is None:
            return None
        return data, array("Q", self._markers).tobytes(), *self._tokens

    def _expanded(
        self, block_of: Callable[[int], Block | None], expand: Callable[[Block], AnyStr]
    ) -> Iterator[tuple[int, AnyStr]]:
        """Number and names of each block."""
        total = 0
        for number in range(len(self._markers)):
            block = block_of(number)
            if block is None:
                continue
            text = expand(block)
            total += len(text)
            if len(text) > BLOCK * (MAX_NAME + 2) or total > _MAX_TEXT:
                self._lost += 1
                continue
            yield number, text

    def block(self, number: int) -> Block | None:
        """One block, checked against the markers on both sides."""
        try:
            return self._blocks[number]
        except KeyError:
            pass
        block = self._load(number)
        if block is None:
            self._lost += 1
        self._blocks[number] = block
        return block

    def _load(self, number: int) -> Block | None:
        last = number == len(self._markers) - 1
        start = self._markers[number]
        end = self._end - self._names if last else self._markers[number + 1]
        if not 0 <= start < end or end - start > BLOCK * (MAX_NAME + 2):
            return None
        data = try_read(self._read, self._names + start, end - start)
        if data is None:
            return None
        count = min(BLOCK, self.count - number * BLOCK)
        wide = split_block(data, count, wide=True, last=last)
        if wide is not None and not wide.wide:
            return wide
        narrow = split_block(data, count, wide=False, last=last)
        if (wide is None) != (narrow is None):
            self._wide = wide is not None
            return wide or narrow
        return wide if self._wide is not False else narrow

    def _entry(self, position: int) -> tuple[int, bytes] | None:
        """Index and name (without type letter) at a position of the sorted index."""
        assert self._seqs is not None
        offset = position * SEQ_WIDTH
        data = b""
        while len(data) < SEQ_WIDTH:
            page, rest = divmod(offset + len(data), PAGE)
            if page not in self._seq_pages:
                size = min(PAGE, self.count * SEQ_WIDTH - page * PAGE)
                self._seq_pages[page] = try_read(self._read, self._seqs + page * PAGE, size)
            chunk = self._seq_pages[page]
            if chunk is None:
                return None
            data += chunk[rest : rest + SEQ_WIDTH - len(data)]
        index = int.from_bytes(data, "big")
        if index >= self.count:
            return None
        name = self.at(index)
        return None if name is None else (index, name[1:])

    def _search(self, name: bytes, key: Callable[[bytes], bytes]) -> list[int] | None:
        """
        Binary search of the index.

        :return: None if the index turns out damaged on the way: an entry that
            cannot be read, or a name outside the two between which it must lie.
        """
        wanted = key(name)
        order = int(key is _whole)
        low, high = 0, self.count
        hint = None if self.positions is None else self.positions.get(name, order)
        if hint is not None and self._belongs_at(hint, wanted, key):
            low = high = hint
        least: bytes | None = None
        most: bytes | None = None
        near = self.count >> _KEPT_STEPS
        while low < high:
            middle = (low + high) // 2
            entry = self._first_steps.get(middle)
            if entry is None:
                entry = self._entry(middle)
                if entry is not None and high - low > near:
                    self._first_steps[middle] = entry
            if entry is None:
                return None
            got = key(entry[1])
            if (least is not None and got < least) or (most is not None and got > most):
                return None
            if got < wanted:
                low, least = middle + 1, got
            else:
                high, most = middle, got
        if self.positions is not None and low != hint:
            self.positions.add(name, order, low)
        found: list[int] = []
        for position in range(low, self.count):
            entry = self._entry(position)
            if entry is None:
                return None
            if key(entry[1]) != wanted:
                break
            if entry[1] == name:
                found.append(entry[0])
        return found

    def _belongs_at(self, position: int, wanted: bytes, key: Callable[[bytes], bytes]) -> bool:
        """Whether what stands before a position is less than what is wanted, and no more is."""
        if not 0 <= position <= self.count:
            return False
        if position < self.count:
            entry = self._entry(position)
            if entry is None or key(entry[1]) < wanted:
                return False
        if position > 0:
            entry = self._entry(position - 1)
            if entry is None or key(entry[1]) >= wanted:
                return False
        return True

    def _expand(self, block: Block) -> bytes:
        """All names of a block, each after a newline: 40 ns a token."""
        data = block.data
        parts = list(map(self._tokens.__getitem__, data))
        for start in block.starts[:-1]:
            parts[start] = b"\n"
            if block.wide and data[start] & 0x80:
                parts[start + 1] = b""
        return b"".join(parts)

    def _find_by_ends(self, name: bytes) -> list[int]:
        """Search all names without expanding all of them."""
        before = None if self.searched is None else self.searched.get(name)
        if before is not None and all((self.at(index) or b"")[1:] == name for index in before):
            return list(before)
        if self._ends is None:
            self._ends = Ends(*self._first_second_last(), self._tokens)
        found: list[int] = []
        for index in self._ends.candidates(name):
            candidate = self.at(index)
            if candidate is not None and candidate[1:] == name:
                found.append(index)
        if self.searched is not None and not self._lost:
            # With a hole in them there may be more, and the table has to say so.
            self.searched.add(name, found)
        return found

    def _first_second_last(self) -> tuple[bytes, bytes, bytes]:
        """Those token bytes of every name; the second is 0 if there is none."""
        firsts = bytearray()
        seconds = bytearray()
        lasts = bytearray()
        for number in range(len(self._markers)):
            block = self.block(number)
            count = min(BLOCK, self.count - number * BLOCK)
            if block is None:
                for column in (firsts, seconds, lasts):
                    column += bytes(count)
                continue
            data, starts = block.data + b"\0", block.starts
            if block.wide:
                names = [block.tokens(i) for i in range(count)]
                firsts += bytes([name[0] for name in names])
                seconds += bytes([name[1] if len(name) > 1 else 0 for name in names])
            else:
                firsts += bytes([data[start + 1] for start in starts[:-1]])
                # Of a name of one token this is the length of the next one, or a 0.
                seconds += bytes([data[start + 2] for start in starts[:-1]])
            lasts += bytes([data[start - 1] for start in starts[1:]])
        return bytes(firsts), bytes(seconds), bytes(lasts)


def _whole(name: bytes) -> bytes:
    return name


def _to_dot(name: bytes) -> bytes:
    return name.partition(b".")[0]
