"""An index over many names: prefix, substring and fuzzy search in a few milliseconds.

Owns one big string of sorted names and nothing of where they come from. A name
is a slice of it; 155,000 objects of Python would cost 12 MB more and be slower:
``str.find`` and ``re`` look at a megabyte in a millisecond or two.

Order: by the name in lower case without leading underscores, so that a prefix
is one range, and so is everything that starts with the same letter.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator

# Names looked at more closely than their range; more would not fit a menu and
# ranking them costs time at every key.
_MAX_RANKED = 4000
_MAX_QUERY = 64


class NameIndex:
    """
    Names to search, each with an optional tag.

    :param names: (name, tag) pairs; of two of one name the first tag is kept.
        A tag is a small number, for the caller (a kind of type).
    """

    def __init__(self, names: Iterable[tuple[str, int]]) -> None:
        tags: dict[str, int] = {}
        for name, tag in names:
            # Names of a damaged table may hold anything; offsets of the two
            # strings below must agree.
            if name and name.isascii() and "\n" not in name:
                tags.setdefault(name, tag)
        ordered = sorted(tags, key=_key)
        self._text = "\n".join(ordered)
        self._lower = "\n" + self._text.lower() + "\n"
        self._tags = bytes(tags[name] & 0xFF for name in ordered)
        starts = array("I", [0]) if ordered else array("I")
        position = 0
        for name in ordered[:-1]:
            position += len(name) + 1
            starts.append(position)
        self._starts = starts

    def __len__(self) -> int:
        return len(self._starts)

    def name(self, i: int) -> str:
        """Name by its number in the order."""
        start = self._starts[i]
        end = self._starts[i + 1] - 1 if i + 1 < len(self._starts) else len(self._text)
        return self._text[start:end]

    def __iter__(self) -> Iterator[str]:
        return iter(self._text.split("\n")) if self._text else iter(())

    def search(
        self, query: str, limit: int, tags: frozenset[int] | None = None
    ) -> list[tuple[str, int]]:
        """
        Names that match, best first: prefix, start of a word, anywhere, fuzzy.

        :param tags: Only names with one of these.
        :return: (name, tag) pairs, at most ``limit``.
        """
        if len(query) > _MAX_QUERY or not query.isascii() or "\n" in query:
            return []
        found: dict[int, None] = {}
        low = query.lower()
        for ids in (self._prefix(low), self._inside(low, limit), self._fuzzy(low, limit)):
            for i in ids:
                if tags is None or self._tags[i] in tags:
                    found.setdefault(i)
            if len(found) >= limit:
                break
        return [(self.name(i), self._tags[i]) for i in list(found)[:limit]]

    def _prefix(self, low: str) -> list[int]:
        stripped = low.lstrip("_")
        first = self._bisect(stripped)
        last = self._bisect(stripped + "\x7f")
        ids = range(first, min(last, first + _MAX_RANKED))
        named = [(i, self.name(i)) for i in ids]
        if stripped != low:
            named = [(i, name) for i, name in named if name.lower().startswith(low)]
        # As typed before with underscores added, short before long.
        named.sort(key=lambda x: (not x[1].lower().startswith(low), len(x[1])))
        return [i for i, _ in named]

    def _bisect(self, key: str) -> int:
        low, high = 0, len(self._starts)
        while low < high:
            middle = (low + high) // 2
            if _key(self.name(middle)) < key:
                low = middle + 1
            else:
                high = middle
        return low

    def _inside(self, low: str, limit: int) -> list[int]:
        if len(low) < 2:
            return []
        found: dict[int, int] = {}
        for rank, needle in enumerate(("_" + low, low)):
            position = self._lower.find(needle)
            while position >= 0 and len(found) < 2 * limit:
                i = bisect_right(self._starts, max(position - 1 + rank, 0)) - 1
                found.setdefault(i, rank)
                end = self._lower.find("\n", position + 1)
                position = self._lower.find(needle, end) if end >= 0 else -1
        return sorted(found, key=lambda i: (found[i], len(self.name(i))))

    def _fuzzy(self, low: str, limit: int) -> list[int]:
        """Letters in order, anywhere in a name that starts with the first of them."""
        low = low.lstrip("_")
        if len(low) < 3:
            return []
        first = self._bisect(low[0])
        last = self._bisect(low[0] + "\x7f")
        if first >= last:
            return []
        begin = self._starts[first]
        end = self._starts[last] if last < len(self._starts) else len(self._text)
        # Each class stops at its letter: no backtracking, one pass.
        pattern = re.compile(
            "^_*" + re.escape(low[0]) + "".join(
                f"[^{re.escape(c)}\n]*{re.escape(c)}" for c in low[1:]
            ),
            re.MULTILINE,
        )  # fmt: skip
        area = self._lower[begin + 1 : end + 1]
        found = []
        for match in pattern.finditer(area):
            i = bisect_right(self._starts, begin + match.start()) - 1
            found.append((match.end() - match.start(), i))
            if len(found) >= _MAX_RANKED:
                break
        found.sort()
        return [i for _, i in found[:limit]]


def _key(name: str) -> str:
    return name.lstrip("_").lower()
