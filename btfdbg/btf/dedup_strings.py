"""Which string offsets mean the same string.

Owns the strings of a frozen base as dedup needs them. A kernel has 90,000, of which a
module uses a few thousand, nearly all at offsets that say all there is to know: no two
whole strings of a deduplicated base are equal, so one's offset stands for itself. A set
of the strings (10 ms) finds that out, and which of a module's strings the base has; a
table of their offsets (30 ms) is made only for a base or a module that is not like that.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate, repeat
from operator import sub

from btfdbg.btf.btf import Btf


class BaseStrings:
    """
    Strings of a base chain.

    :ivar unique: No string of the chain occurs twice.
    """

    def __init__(self, base: Btf) -> None:
        self.base = base
        self._table: dict[bytes, int] | None = None
        count = 1
        self._all = {b""}
        for level in base.chain():
            strings = _strings(level)
            count += len(strings)
            self._all.update(strings)
        self.unique = count == len(self._all)

    def first(self, string: bytes) -> int:
        """Return the first offset of a whole string, or -1."""
        if not string:
            return 0
        if string not in self._all:
            return -1
        if self._table is None:
            self._table = string_table(self.base)
        return self._table[string]

    def is_first(self, offset: int) -> bool:
        """Return whether an offset of the base is a whole string's only one."""
        if not self.unique:
            return False
        level = self.base
        while offset < level.start_str_off:
            assert level.base is not None  # start_str_off is 0 without a base
            level = level.base
        at = offset - level.start_str_off
        return not at or not level.strings.data[at - 1]

    def are_first(self, level: Btf, offsets: Iterable[int]) -> bool:
        """Return whether all these offsets, of a level's types, are such."""
        if not self.unique:
            return False
        if level.start_str_off:
            return all(0 <= at < level.end_str_off and self.is_first(at) for at in offsets)
        data = level.strings.data
        try:
            return not any(map(data.__getitem__, map(sub, offsets, repeat(1))))
        except IndexError:
            return False


class Canonical(dict[int, int]):
    """
    String offsets of a chain to the first offset of the same content.

    :param table: Strings met so far; those of the base are not entered.
    """

    def __init__(
        self, btf: Btf, table: dict[bytes, int], base_strings: BaseStrings | None = None
    ) -> None:
        super().__init__()
        self[0] = 0
        self._bytes = btf.string_bytes
        self._table = table
        self._base_strings = base_strings
        self._end = 0 if base_strings is None else base_strings.base.end_str_off

    def __missing__(self, offset: int) -> int:
        new = self[offset] = self._first(offset)
        return new

    def _first(self, offset: int) -> int:
        known = self._base_strings
        if known is None:
            return self._table.setdefault(self._bytes(offset), offset)
        if offset < self._end and known.is_first(offset):
            return offset
        string = self._bytes(offset)
        first = known.first(string)
        return self._table.setdefault(string, offset) if first < 0 else first


def string_table(btf: Btf) -> dict[bytes, int]:
    """
    Return every whole string of a chain with its first offset.

    Why not Strings.table(): it takes thrice as long.
    """
    table: dict[bytes, int] = {}
    for level in reversed(btf.chain()):
        strings = _strings(level)
        first = level.start_str_off or 1
        starts = list(accumulate((len(s) + 1 for s in strings), initial=first))
        starts.pop()
        strings.reverse()
        starts.reverse()
        table.update(zip(strings, starts, strict=True))
    table[b""] = 0  # a section may hold more empty strings
    return table


def _strings(level: Btf) -> list[bytes]:
    """Return the strings of a level's section, but for a base's first, the empty one."""
    strings = level.strings.data.split(b"\0")
    strings.pop()
    if not level.start_str_off:
        del strings[:1]
    return strings
