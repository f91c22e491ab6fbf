"""Where names stand in a kernel's sorted index of symbols, from one run to the next.

Owns the positions of the names that were asked for, and their keeping under the build id.
A position is a hint: it is taken only where the name before it sorts before the one that is
asked for and the name at it does not, which is what a binary search ends with. So it costs
two names to read where the search takes 17, each in another block, and no crafted dump can
make another one's answers with it.
"""

from __future__ import annotations

from btfdbg.cache import Cache, CacheKey, Latest

MAX_NAMES = 8192
"""Names whose positions are remembered."""

_KIND = "kallsyms-positions-1"
_MAX_NAME = 512


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
    positions = Positions() if kept is None else Positions.unpack(bytes(kept))
    cache.store_in_the_end(owner, key, _KIND, positions)
    return positions
