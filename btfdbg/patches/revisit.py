"""Tell that a walk is where it was before, without remembering all of it.

Owns the test for a repeated position. The first positions are remembered, so that a short
walk does not repeat any; beyond those one is, which moves on at growing steps (Brent's
algorithm), so that a walk in a circle ends after a few rounds whatever its length. The steps
are uneven: a tree whose branches join again is no circle, and could be laid out so that steps
of powers of two always meet the rare nodes.

Facts: R. P. Brent, "An improved Monte Carlo factorization algorithm", BIT 20 (1980).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from random import Random

_REMEMBERED = 4096


class Revisit:
    """
    Whether a position was met before.

    >>> was_there = Revisit()
    >>> [was_there(at) for at in (1, 2, 1)]
    [False, False, True]
    """

    __slots__ = ("_count", "_mark", "_next", "_random", "_seen")

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._count = 0
        self._mark: int | None = None
        self._next = 0
        # Not to be foreseen by whoever made the dump, and the same for every walk.
        self._random: Random | None = None

    def __call__(self, position: int) -> bool:
        """Take note of a position; whether it was met before, as far as that is known."""
        seen = self._seen
        if position in seen:
            return True
        if len(seen) < _REMEMBERED:
            seen.add(position)
            return False
        if position == self._mark:
            return True
        self._count += 1
        if self._count > self._next:
            if self._random is None:
                from random import Random

                self._random = Random()
            self._mark = position
            self._next = 2 * self._count + self._random.randrange(1 + self._count)
        return False
