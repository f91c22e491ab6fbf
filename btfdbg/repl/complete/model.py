"""What a completion is, and what the parts of completion share."""

from __future__ import annotations

from btfdbg.lazy_dataclass import dataclass

MAX_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Completion:
    """
    One suggestion.

    :ivar text: What replaces the text from ``start`` to the cursor.
    :ivar start: Position in the text from which on it replaces.
    :ivar display: What the menu shows.
    :ivar meta: The menu's second column.
    """

    text: str
    start: int
    display: str = ""
    meta: str = ""

    def __post_init__(self) -> None:
        if not self.display:
            object.__setattr__(self, "display", self.text)
