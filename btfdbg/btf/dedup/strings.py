"""Which string offsets mean the same string.

Owns the strings of a chain as dedup needs them. A kernel has 90,000, of which a module
uses a few thousand, nearly all at offsets that say all there is to know: where no two
whole strings are equal, one's offset stands for itself. A set of the strings (10 ms)
finds out whether it is so; a table of their offsets (30 ms) is made only if it is not,
or if a name is the tail of a longer one.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from btfdbg.btf.btf import Btf


class ChainStrings:
    """
    Strings of one level of a chain, and those below.

    :param below: The base's, if there is one.
    :ivar unique: No string is there twice, at whichever levels, nor another empty one.
    """

    def __init__(self, btf: Btf, below: ChainStrings | None) -> None:
        self.btf = btf
        self._below = below
        self._start = btf.start_str_off
        self._table: dict[bytes, int] | None = None
        strings = _strings(btf)
        self._all = set(strings)
        self.unique = len(self._all) == len(strings) and b"" not in self._all
        while below is not None and self.unique:
            self.unique = below.unique and self._all.isdisjoint(below._all)
            below = below._below

    @classmethod
    def of_chain(cls, btf: Btf) -> ChainStrings:
        """Return those of a Btf and its bases."""
        return cls(btf, None if btf.base is None else cls.of_chain(btf.base))

    def of_level(self, level: Btf) -> ChainStrings:
        """Return those of a level of this chain."""
        at = self
        while at.btf is not level and at._below is not None:
            at = at._below
        return at

    def first(self, string: bytes) -> int:
        """Return the first offset of a whole string, or -1."""
        if not string:
            return 0
        at = -1 if self._below is None else self._below.first(string)
        if at < 0 and string in self._all:
            if self._table is None:
                self._table = _table(self.btf)
            at = self._table[string]
        return at

    def is_first(self, offset: int) -> bool:
        """Return whether an offset is a whole string's, and the only one that it has."""
        if offset < self._start:
            return self._below is not None and self._below.is_first(offset)
        at = offset - self._start
        data = self.btf.strings.data
        return self.unique and at < len(data) and not (at and data[at - 1])

    def are_first(self, offsets: Iterable[int]) -> bool:
        """Return whether all these offsets are such."""
        if not self.unique:
            return False
        if self._start:
            return all(map(self.is_first, offsets))
        return self.btf.strings.are_whole(offsets)


class Canonical(dict[int, int]):
    """
    String offsets of a chain to the first offset of the same content.

    :param tails: Names met so far that no string is from its first byte on.
    """

    def __init__(self, strings: ChainStrings, tails: dict[bytes, int]) -> None:
        super().__init__()
        self[0] = 0
        self._bytes = strings.btf.string_bytes
        self._strings = strings
        self._tails = tails

    def __missing__(self, offset: int) -> int:
        strings = self._strings
        new = offset
        if not strings.is_first(offset):
            string = self._bytes(offset)
            new = strings.first(string)
            if new < 0:
                new = self._tails.setdefault(string, offset)
        self[offset] = new
        return new


def _table(btf: Btf) -> dict[bytes, int]:
    """
    Return every whole string of a level with its first offset.

    Why not Strings.table(): it takes thrice as long.
    """
    strings = _strings(btf)
    starts = list(accumulate((len(s) + 1 for s in strings), initial=btf.start_str_off or 1))
    starts.pop()
    strings.reverse()
    starts.reverse()
    return dict(zip(strings, starts, strict=True))


def _strings(level: Btf) -> list[bytes]:
    """Return the strings of a level's section, but for a base's first, the empty one."""
    strings = level.strings.data.split(b"\0")
    strings.pop()
    if not level.start_str_off:
        del strings[:1]
    return strings
