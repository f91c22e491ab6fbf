"""Regular expressions that are compiled when a line first needs them.

A log needs a few of those that its lines may need: one of lockdep's says nothing of an oops.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Expression:
    """
    A regular expression, compiled by its first ``match``.

    >>> Expression(r"CPU (\\d+)").match("CPU 1")[1]
    '1'
    """

    __slots__ = ("match", "pattern")

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.match: Callable[[str], re.Match[str] | None] = self._first

    def _first(self, text: str) -> re.Match[str] | None:
        self.match = re.compile(self.pattern).match
        return self.match(text)
