"""Families of names that share a type: learned from the database, not written down.

Owns one idea: where the variables whose names start (or end) with the same words have
the same type, an unknown name of that shape has it, too. Words are what underscores
separate. A family may have several types (``*_wq`` is a workqueue or a wait queue): then
whoever asks keeps those that fit the symbol, and what is left must be nearly certain.
Knows no kernel facts.

Array lengths are no part of a family's type: they come from the symbol's extent.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from btfdbg import lazy_pattern
from btfdbg.lazy_dataclass import dataclass

MIN_MEMBERS = 4
MIN_MIXED = 16
MAX_TYPES = 6
_WORD = lazy_pattern.pattern(r"[A-Za-z0-9]+")
_LENGTH = lazy_pattern.pattern(r" ?\[\d*\]$")
_PLACE = "\x7f"


@dataclass(frozen=True, slots=True)
class Family:
    """
    :ivar pattern: ``prefix_*`` or ``*_suffix``.
    :ivar types: type texts with how many members have each, the most frequent first; an
        outermost array is ``[]``, ``\\x7f`` stands for the part of the name that the ``*``
        covers.
    :ivar members: number of names it was learned from.
    """

    pattern: str
    types: tuple[tuple[str, int], ...]
    members: int

    def types_for(self, name: str) -> Iterator[tuple[str, int]]:
        """Yield the type texts for a member of the family, with their weights."""
        prefix, _, suffix = self.pattern.partition("*")
        middle = name[len(prefix) : len(name) - len(suffix)]
        for text, count in self.types:
            yield text.replace(_PLACE, middle), count


def without_length(type_: str) -> str:
    """Return the type with the length of its outermost array left open."""
    if not type_.endswith("]"):
        return type_
    bracket = type_.find("[")
    first_end = type_.find("]", bracket)
    if "(" in type_ or "{" in type_:
        # A declarator in parentheses or a body: leave it to exact comparison.
        return _LENGTH.sub(" []", type_) if type_.count("[") == 1 else type_
    return f"{type_[:bracket]}[]{type_[first_end + 1 :]}"


def patterns(name: str) -> Iterator[str]:
    """Yield the families a name could belong to, longest (most specific) first."""
    word = _WORD.search(name)
    if word is None:
        return
    first, last = word.start(), len(name) - 1
    while not (name[last].isascii() and name[last].isalnum()):
        last -= 1
    shapes = []
    size = len(name)
    cut = name.find("_", 1)
    while 0 < cut < size - 1:
        if first < cut:
            shapes.append((-cut - 1, f"{name[: cut + 1]}*"))
        if cut < last:
            shapes.append((cut - size, f"*{name[cut:]}"))
        cut = name.find("_", cut + 1)
    shapes.sort()
    for _, pattern in shapes:
        yield pattern


def learn(types: Mapping[str, Iterable[str]]) -> list[Family]:
    """
    Find the families among names.

    :param types: name to the types that it has anywhere.
    """
    found: dict[str, Counter[str]] = {}
    members: Counter[str] = Counter()
    for name, texts in types.items():
        distinct = {without_length(text) for text in texts}
        for pattern in patterns(name):
            members[pattern] += 1
            counts = found.setdefault(pattern, Counter())
            for text in distinct:
                counts[_template(text, name, pattern)] += 1
    families = []
    for pattern, counts in sorted(found.items()):
        enough = MIN_MEMBERS if len(counts) == 1 else MIN_MIXED
        if members[pattern] < enough or len(counts) > MAX_TYPES * 4:
            continue
        common = tuple(counts.most_common(MAX_TYPES))
        if 2 * sum(count for _, count in common) > members[pattern]:
            families.append(Family(pattern, common, members[pattern]))
    return families


def prune(families: Iterable[Family]) -> list[Family]:
    """Drop families of one type that a wider one with the same answer makes superfluous."""
    by_pattern = {family.pattern: family for family in families}
    kept = []
    for family in by_pattern.values():
        has_wider = any(
            pattern in by_pattern
            and len(by_pattern[pattern].types) == 1
            and by_pattern[pattern].types[0][0] == family.types[0][0]
            for pattern in wider(family.pattern)
        )
        if not (has_wider and len(family.types) == 1):
            kept.append(family)
    return kept


def wider(pattern: str) -> Iterator[str]:
    """Yield the patterns that have all names of one, on the same end, the nearest first."""
    if pattern.endswith("*"):
        prefix = pattern[:-2]
        while (cut := prefix.rfind("_")) > 0:
            yield f"{prefix[: cut + 1]}*"
            prefix = prefix[:cut]
    else:
        suffix = pattern[2:]
        while (cut := suffix.find("_")) >= 0:
            yield f"*{suffix[cut:]}"
            suffix = suffix[cut + 1 :]


def _template(text: str, name: str, pattern: str) -> str:
    prefix, _, suffix = pattern.partition("*")
    middle = name[len(prefix) : len(name) - len(suffix)]
    if len(middle) < 3 or middle not in text:
        return text
    return re.sub(rf"(?<![A-Za-z0-9]){re.escape(middle)}(?![A-Za-z0-9])", _PLACE, text)
