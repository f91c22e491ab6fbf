"""Where names stand in a kernel's table of symbols, from one run to the next.

Owns the positions in the sorted index of the names that were asked for, and their keeping
under the build id. A position is a hint: it is taken only where the name before it sorts
before the one that is asked for and the name at it does not, which is what a binary search
ends with. So it costs two names to read where the search takes 17, each in another block, and
no crafted dump can make another one's answers with it.

Where there is no index (before 6.2), owns which symbols have the names that were asked for.
That these are all of them no look at a few names shows: they are kept under a digest of every
byte of all names. It takes 2 ms on 5.10, where each name that it knows saves 0.5 ms and the
first one 30 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from btfdbg.cache import Cache, CacheKey, Latest

MAX_NAMES = 8192
"""Names whose positions are remembered."""

_KIND = "kallsyms-positions-1"
_KIND_FOUND = "kallsyms-found-1"
_MAX_NAME = 512
_MAX_INDEXES = 4096


class Positions:
    """
    Position by name and order of the index; an order is 0 (to the first dot) or 1 (whole).

    :ivar is_new: Whether something was added since it was read.
    """

    __slots__ = ("_at", "is_new")

    def __init__(self, before: dict[tuple[bytes, int], int] | None = None) -> None:
        self._at = Latest(MAX_NAMES, before)
        self.is_new = False

    @classmethod
    def unpack(cls, data: bytes) -> Positions:
        """Read :meth:`pack`'s bytes; if one line is none of its, there is no position in them."""
        at: dict[tuple[bytes, int], int] = {}
        try:
            for line in data.split(b"\n")[:MAX_NAMES]:
                name, order, position = line.split(b" ")
                at[name, int(order)] = int(position)
        except ValueError:
            at.clear()
        return cls(at)

    def pack(self) -> bytes:
        """Return a line for each: the name, the order, the position."""
        return b"\n".join(b"%b %d %d" % (*key, position) for key, position in self._at.items())

    def get(self, name: bytes, order: int) -> int | None:
        """Where a name stands, or would stand."""
        return self._at.get((name, order))

    def add(self, name: bytes, order: int, position: int) -> None:
        """Remember a position, if there is room; one that did not hold is replaced."""
        if len(name) > _MAX_NAME or b" " in name or b"\n" in name:
            return
        if self._at.add((name, order), position):
            self.is_new = True


class Found:
    """
    Indexes of all symbols of a name, ascending; none if there is no such symbol.

    >>> found = Found()
    >>> found.add(b"nosuch", [])
    >>> Found.unpack(found.pack(), 3000).get(b"nosuch")
    ()

    :ivar is_new: Whether something was added since it was read.
    """

    __slots__ = ("_at", "is_new")

    def __init__(self, before: dict[bytes, tuple[int, ...]] | None = None) -> None:
        self._at = Latest(MAX_NAMES, before)
        self.is_new = False

    @classmethod
    def unpack(cls, data: bytes, count: int) -> Found:
        """
        Read :meth:`pack`'s bytes; if one line is none of its, there is no name in them.

        :param count: Symbols that there are.
        """
        at: dict[bytes, tuple[int, ...]] = {}
        try:
            for line in data.split(b"\n")[:MAX_NAMES] if data else ():
                name, *indexes = line.split(b" ")
                at[name] = found = tuple(map(int, indexes))
                if found and not 0 <= min(found) <= max(found) < count:
                    raise ValueError(line)
        except ValueError:
            at.clear()
        return cls(at)

    def pack(self) -> bytes:
        """Return a line for each: the name, the indexes."""
        return b"\n".join(
            b"%b%b" % (n, b"".join(b" %d" % i for i in at)) for n, at in self._at.items()
        )

    def get(self, name: bytes) -> tuple[int, ...] | None:
        """What was found before."""
        return self._at.get(name)

    def add(self, name: bytes, indexes: Sequence[int]) -> None:
        """Remember what was found, if there is room."""
        if len(name) > _MAX_NAME or b" " in name or b"\n" in name or len(indexes) > _MAX_INDEXES:
            return
        if self._at.add(name, tuple(indexes)):
            self.is_new = True


def remember(owner: object, cache: Cache | None, build_id: str, count: int) -> Positions | None:
    """
    The positions of a kernel's names; what is added is kept when their owner goes.

    :param owner: The table of symbols.
    :param count: Its symbols.
    """
    if cache is None or cache.folder is None or not build_id:
        return None
    key = CacheKey.of(build_id, sizes=(count,))
    kept = cache.load(key, _KIND)
    positions = Positions() if kept is None else Positions.unpack(kept)
    cache.store_in_the_end(owner, key, _KIND, positions)
    return positions


def remember_found(
    owner: object,
    cache: Cache | None,
    build_id: str,
    source: Callable[[], tuple[bytes, ...] | None],
    count: int,
) -> Found | None:
    """
    What names were found without an index; what is added is kept when their owner goes.

    :param owner: The table of symbols.
    :param source: Gives all bytes that its names depend on, ``None`` if some cannot be read.
    :param count: Its symbols.
    """
    if cache is None or cache.folder is None or not build_id:
        return None
    pages = source()
    if pages is None:
        return None
    key = CacheKey.of(build_id, sizes=(count,), pages=pages)
    kept = cache.load(key, _KIND_FOUND)
    found = Found() if kept is None else Found.unpack(kept, count)
    cache.store_in_the_end(owner, key, _KIND_FOUND, found)
    return found
