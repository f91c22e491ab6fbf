"""The stacks of a report, each a :class:`Section`, and how much of them is kept."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from btfdbg.report.event import Frame

FRAMES = 1024  # of one report that are kept
_TOP = 32  # frames of a report's first stack, once a log has used up its budget


class Section:
    """
    A stack of the report: its place in it, and its frames.

    ``leaf`` is who the link register says called the first of them, while it is not known
    whether he has a frame. A function that calls nothing need not make one; in one that did
    call something, the link register points into the function itself.
    """

    __slots__ = ("frames", "leaf", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.leaf: Frame | None = None
        self.frames: list[Frame] = []

    @property
    def sure(self) -> bool:
        """Whether any of its frames is one that the unwinder is sure of."""
        return any(one.sure and one.part != "pc" for one in self.frames)


class Budget:
    """How many frames all reports of a log may still keep."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    def room(self, section: Section, sections: int) -> bool:
        """Say whether one more frame may be kept; past the budget only a stack's top."""
        self.left -= 1
        if self.left > 0:
            return len(section.frames) < FRAMES
        return sections == 1 and len(section.frames) < _TOP
