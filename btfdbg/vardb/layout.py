"""How the compiled database lies in memory: tables that are searched as they are.

Owns the forms of texts and numbers in it. Knows nothing of what they mean.

Why not lists: making 125,000 ``bytes`` and as many integers out of the file took
longer than all else until the first answer. Here one read and one decompression are
all that happens at the start, and a question looks at one block of some texts.

* :class:`SortedTexts`: sorted, in blocks of 32; each text is a byte (32 plus how many
  bytes it shares with the one before it, 0 at a block's start), the rest of it, ``\\n``.
* :class:`Texts`: by number, each ending in ``\\n``, in blocks of 32.
* :class:`Column`: unsigned numbers, all lowest bytes first, then all next ones. Columns
  compress better than records, and a number is put together when it is asked for.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Protocol

BLOCK = 32
_SHARED_BIAS = 32  # keeps the byte from being a newline
_MOST_SHARED = 200
_KNOWN_BLOCKS = 1024  # of those looked at, so that questions in order decode none twice
_MANY = 512  # questions after which a list of all blocks' heads, or of all numbers, pays
_FEW = 1 << 14  # texts of which after as many questions all are kept


class Found(Protocol):
    """Texts that can be found by what they are."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[bytes]: ...
    def find(self, text: bytes) -> int: ...
    def has_prefix(self, prefix: bytes) -> bool: ...


class SortedList:
    """:class:`Found` over a list: a database in the making."""

    def __init__(self, texts: list[bytes]) -> None:
        self._texts = texts

    def __len__(self) -> int:
        return len(self._texts)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._texts)

    def find(self, text: bytes) -> int:
        """Number of a text, or -1."""
        at = bisect_left(self._texts, text)
        return at if at < len(self._texts) and self._texts[at] == text else -1

    def has_prefix(self, prefix: bytes) -> bool:
        """Whether any text begins so."""
        at = bisect_left(self._texts, prefix)
        return at < len(self._texts) and self._texts[at].startswith(prefix)


class _Blocks:
    """Where the blocks of one part of a file are."""

    def __init__(self, data: bytes, start: int, end: int, lengths: Sequence[int]) -> None:
        """
        :param lengths: bytes of each block.
        :raises ValueError: they are not what lies between ``start`` and ``end``.
        """
        self._data = data
        self._starts = list(accumulate(lengths, initial=start))
        if self._starts[-1] != end:
            raise ValueError("blocks of texts do not fill their part")

    def _heads(self, skip: int) -> _Heads:
        return _Heads(self._data, self._starts, skip)

    def _block(self, number: int) -> list[bytes]:
        lines = self._data[self._starts[number] : self._starts[number + 1]].split(b"\n")
        if lines.pop():
            raise ValueError("a text without an end")
        return lines


class _Heads(Sequence[bytes]):
    """The first text of each block, for :mod:`bisect`."""

    def __init__(self, data: bytes, starts: list[int], skip: int) -> None:
        self._data, self._starts, self._skip = data, starts, skip

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, number: int) -> bytes:  # type: ignore[override] # no slices
        start = self._starts[number]
        return self._data[start + self._skip : self._data.index(b"\n", start)]


class SortedTexts(_Blocks):
    """See the file's header; of ``count`` texts."""

    def __init__(
        self, data: bytes, start: int, end: int, lengths: Sequence[int], count: int
    ) -> None:
        super().__init__(data, start, end, lengths)
        if len(lengths) != -(-count // BLOCK):
            raise ValueError("another number of texts")
        self._count = count
        self._known: dict[int, tuple[bytes, ...]] = {}
        self._all_heads: list[bytes] = []
        self._all: dict[bytes, int] = {}
        self._lookups = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[bytes]:
        for number in range(len(self._starts) - 1):
            yield from self._texts(number)

    def _texts(self, number: int) -> Iterator[bytes]:
        before = b""
        for line in self._block(number):
            before = before[: line[0] - _SHARED_BIAS] + line[1:]
            yield before

    def find(self, text: bytes) -> int:
        """
        Number of a text, or -1.

        :raises ValueError, IndexError: the file is damaged.
        """
        if self._all:
            return self._all.get(text, -1)
        number = self._number(text)
        if self._lookups > _MANY and self._count <= _FEW:
            self._all = {found: i for i, found in enumerate(self)}
        if number < 0:
            return -1
        texts = self._known.get(number)
        if texts is None:
            if len(self._known) >= _KNOWN_BLOCKS:
                self._known.clear()
            texts = self._known[number] = tuple(self._texts(number))
        try:
            return number * BLOCK + texts.index(text)
        except ValueError:
            return -1

    def has_prefix(self, prefix: bytes) -> bool:
        """
        Whether any text begins so.

        :raises ValueError, IndexError: the file is damaged.
        """
        # The first that is no less is in the block where it would stand, or begins the next.
        number = max(self._number(prefix), 0)
        blocks = range(number, min(number + 2, len(self._starts) - 1))
        return any(text.startswith(prefix) for block in blocks for text in self._texts(block))

    def _number(self, text: bytes) -> int:
        """The block that a text is in, if it is in any; -1 if it would stand before all."""
        heads: Sequence[bytes] = self._all_heads
        if not heads:
            self._lookups += 1
            heads = self._heads(1)
            if self._lookups > _MANY:
                heads = self._all_heads = [heads[i] for i in range(len(heads))]
        return bisect_right(heads, text) - 1

    @staticmethod
    def pack(texts: Iterable[bytes]) -> tuple[bytes, list[int]]:
        """Bytes of the part, and the lengths of its blocks; ``texts`` must be sorted."""
        out = bytearray()
        ends = [0]
        before = b""
        for position, text in enumerate(texts):
            if position and position % BLOCK == 0:
                ends.append(len(out))
                before = b""
            shared = 0
            most = min(len(before), len(text), _MOST_SHARED)
            while shared < most and before[shared] == text[shared]:
                shared += 1
            out.append(_SHARED_BIAS + shared)
            out += text[shared:] + b"\n"
            before = text
        if out:
            ends.append(len(out))
        return bytes(out), _lengths(ends)


class Texts(_Blocks):
    """See the file's header."""

    def __init__(self, data: bytes, start: int, end: int, lengths: Sequence[int]) -> None:
        super().__init__(data, start, end, lengths)
        self._known: dict[int, list[str]] = {}

    def __getitem__(self, number: int) -> str:
        """
        The text of a number.

        :raises ValueError, IndexError: there is none; the file is damaged.
        """
        if number < 0:
            raise IndexError(number)
        texts = self._known.get(number // BLOCK)
        if texts is None:
            if len(self._known) >= _KNOWN_BLOCKS:
                self._known.clear()
            texts = [text.decode() for text in self._block(number // BLOCK)]
            self._known[number // BLOCK] = texts
        return texts[number % BLOCK]

    @staticmethod
    def pack(texts: Iterable[str]) -> tuple[bytes, list[int]]:
        """Bytes of the part, and the lengths of its blocks."""
        out = bytearray()
        ends = [0]
        for position, text in enumerate(texts):
            if position and position % BLOCK == 0:
                ends.append(len(out))
            out += text.encode() + b"\n"
        if out:
            ends.append(len(out))
        return bytes(out), _lengths(ends)


def _lengths(ends: list[int]) -> list[int]:
    return [end - start for start, end in pairwise(ends)]


class Column(Sequence[int]):
    """See the file's header."""

    def __init__(self, data: memoryview, count: int) -> None:
        """:raises ValueError: not a whole number of bytes for each of ``count`` numbers."""
        width = len(data) // count if count else 0
        if width * count != len(data) or width > 4 or (count and not width):
            raise ValueError("a column of another length")
        self._planes = [data[i * count : (i + 1) * count] for i in range(width)]
        self._count = count
        self._left = _MANY
        self._values: list[int] = []

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> int:  # type: ignore[override] # no slices
        if self._values:
            return self._values[index]
        value = 0
        for shift, plane in enumerate(self._planes):
            value |= plane[index] << (8 * shift)
        self._left -= 1
        if self._left < 0:
            self._values = self.tolist()
        return value

    def tolist(self) -> list[int]:
        """All numbers."""
        words = bytearray(4 * self._count)
        for number, plane in enumerate(self._planes):
            words[number::4] = plane
        values = array("I", words)
        if sys.byteorder == "big":
            values.byteswap()
        return values.tolist()

    @staticmethod
    def pack(values: Sequence[int]) -> bytes:
        """Bytes of the part, in as few planes as the largest number needs."""
        width = max((max(values, default=0).bit_length() + 7) // 8, 1)
        return b"".join(bytes(v >> (8 * i) & 0xFF for v in values) for i in range(width))
