"""Types by name: from a string's offsets to the types that carry it.

Owns the search among one blob's own types; the chain is ``btf``'s.

Why two ways: a session looks up a few dozen names, for which finding the bytes and
then the offset is cheapest; a tool looks up thousands, for which a table of all
names pays. The first look-ups go one way, and their number decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from btfdbg.btf.format import TypeId

if TYPE_CHECKING:
    from btfdbg.btf.btf import Btf

# Look-ups (1 ms each in a kernel's strings) after which a table (60 ms) is made.
_TABLE_AFTER = 48


class NameIndex:
    """Own types by name. Anonymous types are not in it."""

    __slots__ = ("_asked", "_btf", "_first", "_more", "_repeated", "_table")

    def __init__(self, btf: Btf) -> None:
        self._btf = btf
        self._asked = 0
        # Name to its offset; names that stand at several offsets, to all of them.
        self._table: dict[bytes, int] | None = None
        self._repeated: dict[bytes, list[int]] = {}
        words = btf.words
        column = [words[pos] for pos in btf.offsets]
        ids = range(btf.start_id, btf.start_id + len(column))
        # Offset to the first type that has it, and to the others.
        self._first = dict(zip(reversed(column), reversed(ids), strict=True))
        self._first.pop(0, None)
        first = self._first
        self._more: dict[int, list[int]] = {}
        for offset, type_id in zip(column, ids, strict=True):
            if offset and first[offset] != type_id:
                self._more.setdefault(offset, []).append(type_id)

    def ids(self, name: bytes) -> tuple[TypeId, ...]:
        """Return the ids of all own types of a name, ascending."""
        if not name or b"\0" in name:
            return ()
        self._asked += 1
        if self._table is None and self._asked > _TABLE_AFTER:
            self._table = self._make_table()
        out: list[int] = []
        for offset in self._offsets(name):
            out.append(self._first[offset])
            out += self._more.get(offset, ())
        out.sort()
        return tuple([TypeId(i) for i in out])

    def _offsets(self, name: bytes) -> list[int]:
        """Return the offsets of a name at which types of ours have theirs."""
        if self._table is not None:
            if name in self._repeated:
                return self._repeated[name]
            return [self._table[name]] if name in self._table else []
        return [
            btf.start_str_off + at
            for btf in self._btf.chain()
            for at in btf.strings.offsets_of(name)
            if btf.start_str_off + at in self._first
        ]

    def _make_table(self) -> dict[bytes, int]:
        table: dict[bytes, int] = {}
        string_bytes = self._btf.string_bytes
        end = self._btf.end_str_off
        for offset in self._first:
            if offset >= end:
                continue  # a type whose name does not exist is found by none
            name = string_bytes(offset)
            if table.setdefault(name, offset) != offset:
                self._repeated.setdefault(name, [table[name]]).append(offset)
        return table
