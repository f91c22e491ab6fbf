"""An index over many names: prefix, substring and fuzzy search in a few milliseconds.

Owns one big string of names and nothing of where they come from. A name is a slice of it;
155,000 objects of Python would cost 12 MB more and be slower: ``str.find`` and ``re`` look at
a megabyte in a millisecond or two. Not sorted: that took a second before the first answer,
and what a menu shows is sorted among what matches.
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
# Underscores that are looked behind for a name that was typed without: as __x64_sys_read.
_UNDERSCORES = 4


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
        self._keep("\n".join(tags))
        self._tags = bytes(tag & 0xFF for tag in tags.values())
        self._starts = array("I")
        position = 1
        for name in tags:
            self._starts.append(position)
            position += len(name) + 1

    @classmethod
    def of_text(cls, text: str) -> NameIndex:
        """Names without tags, one a line (with empty ones around them); several may be the same."""
        index = cls(())
        if not text.isascii():
            text = "\n".join(filter(str.isascii, text.split("\n")))
        index._keep(text)
        return index

    def _keep(self, text: str) -> None:
        if not (text.startswith("\n") and text.endswith("\n")):
            text = f"\n{text}\n" if text else "\n"
        self._text = text
        self._lower = self._text.lower()

    def __len__(self) -> int:
        return self._text.count("\n") - 1

    def __iter__(self) -> Iterator[str]:
        return iter(self._text[1:-1].split("\n")) if len(self._text) > 1 else iter(())

    def _name(self, start: int) -> str:
        return self._text[start : self._text.index("\n", start)]

    def _tag(self, start: int) -> int:
        return self._tags[bisect_right(self._starts, start) - 1] if self._tags else 0

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
        found: dict[str, int] = {}
        low = query.lower()
        for find in (self._prefix, self._inside, self._fuzzy):
            for start in find(low, limit):
                tag = self._tag(start)
                if tags is None or tag in tags:
                    found.setdefault(self._name(start), tag)
            if len(found) >= limit:
                break
        return list(found.items())[:limit]

    def _prefix(self, low: str, limit: int) -> list[int]:
        """Starts of names that begin so; as typed before with underscores added, short first."""
        more = _UNDERSCORES if low and low[0] != "_" else 0
        ranked: list[tuple[int, int, str, int]] = []
        for underscores in range(more + 1):
            needle = "\n" + "_" * underscores + low
            at = self._lower.find(needle)
            # The last newline ends the last name and starts none.
            while 0 <= at < len(self._lower) - 1 and len(ranked) < _MAX_RANKED:
                name = self._name(at + 1)
                ranked.append((min(underscores, 1), len(name), name, at + 1))
                at = self._lower.find(needle, at + 1 + len(name))
        ranked.sort()
        return [start for _, _, _, start in ranked]

    def _inside(self, low: str, limit: int) -> list[int]:
        if len(low) < 2:
            return []
        found: dict[int, int] = {}
        for rank, needle in enumerate(("_" + low, low)):
            position = self._lower.find(needle)
            while position >= 0 and len(found) < 2 * limit:
                found.setdefault(self._lower.rfind("\n", 0, position + 1) + 1, rank)
                end = self._lower.find("\n", position + 1)
                position = self._lower.find(needle, end) if end >= 0 else -1
        return sorted(found, key=lambda start: (found[start], len(self._name(start))))

    def _fuzzy(self, low: str, limit: int) -> list[int]:
        """Letters in order, anywhere in a name that starts with the first of them."""
        low = low.lstrip("_")
        if len(low) < 3:
            return []
        # Each class stops at its letter: no backtracking, one pass.
        pattern = re.compile(
            "\n_*" + re.escape(low[0]) + "".join(
                f"[^{re.escape(c)}\n]*{re.escape(c)}" for c in low[1:]
            )
        )  # fmt: skip
        found = []
        for match in pattern.finditer(self._lower):
            found.append((match.end() - match.start(), match.start() + 1))
            if len(found) >= _MAX_RANKED:
                break
        found.sort()
        return [start for _, start in found[:limit]]
