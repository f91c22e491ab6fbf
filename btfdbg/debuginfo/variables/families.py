"""Families of names that share a type: learned from the database, not written down.

Owns one idea: where all variables whose names start (or end) with the same words have
the same type, an unknown name of that shape has it, too. Words are what underscores
separate. Knows no kernel facts; whether a family's answer fits a symbol's extent and
this kernel's types is checked by whoever asked.

Array lengths are no part of a family's type: they come from the symbol's extent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

MIN_MEMBERS = 4
_WORD = re.compile(r"[A-Za-z0-9]+")
_LENGTH = re.compile(r" ?\[\d*\]$")
_PLACE = "\x7f"


@dataclass(frozen=True, slots=True)
class Family:
    """
    :ivar pattern: ``prefix_*`` or ``*_suffix``.
    :ivar type: type text; an outermost array is ``[]``. ``\\x7f`` stands for the part of
        the name that the ``*`` covers.
    :ivar members: number of names it was learned from.
    """

    pattern: str
    type: str
    members: int

    def type_for(self, name: str) -> str:
        """Return the type's text for a member of the family."""
        if _PLACE not in self.type:
            return self.type
        prefix, _, suffix = self.pattern.partition("*")
        return self.type.replace(_PLACE, name[len(prefix) : len(name) - len(suffix)])


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
    cuts = [i for i, c in enumerate(name) if c == "_"]
    shapes = []
    for cut in cuts:
        if 0 < cut < len(name) - 1:
            if _WORD.search(name, 0, cut):
                shapes.append((cut + 1, f"{name[: cut + 1]}*"))
            if _WORD.search(name, cut):
                shapes.append((len(name) - cut, f"*{name[cut:]}"))
    shapes.sort(key=lambda shape: (-shape[0], shape[1]))
    for _, pattern in shapes:
        yield pattern


def learn(types: Mapping[str, Iterable[str]], min_members: int = MIN_MEMBERS) -> list[Family]:
    """
    Find the families among names.

    :param types: name to the types that it has anywhere.
    """
    found: dict[str, str | None] = {}
    members: dict[str, int] = {}
    for name, texts in types.items():
        distinct = {without_length(text) for text in texts}
        for pattern in patterns(name):
            members[pattern] = members.get(pattern, 0) + 1
            if pattern in found and found[pattern] is None:
                continue
            shaped = {_template(text, name, pattern) for text in distinct}
            only = shaped.pop() if len(shaped) == 1 else None
            if pattern not in found:
                found[pattern] = only
            elif found[pattern] != only:
                found[pattern] = None
    return [
        Family(pattern, text, members[pattern])
        for pattern, text in sorted(found.items())
        if text is not None and members[pattern] >= min_members
    ]


def prune(families: Iterable[Family]) -> list[Family]:
    """Drop families that a shorter one with the same answer makes superfluous."""
    by_pattern = {family.pattern: family for family in families}
    kept = []
    for family in by_pattern.values():
        wider = any(
            pattern in by_pattern and by_pattern[pattern].type == family.type
            for pattern in _wider(family.pattern)
        )
        if not wider:
            kept.append(family)
    return kept


def _wider(pattern: str) -> Iterator[str]:
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
