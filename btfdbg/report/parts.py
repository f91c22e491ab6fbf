"""What a report on a dump is made of: frozen values.

Owns the shapes that text, JSON and HTML are made from. Knows no dump. Strings here come
out of a dump as they are; whoever prints them escapes them.
"""

from __future__ import annotations

from btfdbg.lazy_dataclass import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from btfdbg.report.blame.signature import Signature

VERSION = 1
"""Of the report's JSON; raised when a member changes its meaning or goes away."""


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence. ``level`` is "", ``note`` or ``bad``."""

    text: str
    level: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headings; a cell is text or a number."""

    head: tuple[str, ...]
    rows: tuple[tuple[str | int | float, ...], ...]
    caption: str = ""
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Stack:
    """
    A call stack, innermost first, one text per frame.

    :ivar left_out: Frames that are not among them, the outermost.
    :ivar more: The command of the prompt that shows all.
    """

    frames: tuple[str, ...]
    caption: str = ""
    left_out: int = 0
    more: str = ""


def part_of_stack(calls: Sequence[object], limit: int, caption: str, pid: int) -> Stack:
    """
    Return the innermost frames of a task's stack; how many are left out is said.

    :param pid: Of the task, which ``bt`` takes.

    >>> part_of_stack(["leaf", "middle", "outer"], 1, "stack of sh(7)", 7).left_out
    2
    """
    left_out = max(len(calls) - limit, 0)
    more = f"bt {pid}" if left_out else ""
    return Stack(tuple(map(str, calls[:limit])), caption, left_out, more)


@dataclass(frozen=True, slots=True)
class Bars:
    """Amounts to compare by eye: ``(label, amount)`` in ``unit``."""

    caption: str
    unit: str
    rows: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """
    Who waits for whom.

    :ivar nodes: ``(id, label, kind)``; kind is ``task``, ``lock`` or ``nobody``.
    :ivar edges: ``(from, to, label)`` by id.
    :ivar cycle: Ids of the nodes that wait for each other in a circle.
    """

    caption: str
    nodes: tuple[tuple[str, str, str], ...]
    edges: tuple[tuple[str, str, str], ...]
    cycle: tuple[str, ...] = ()


Item = Line | Table | Stack | Bars | Graph


@dataclass(frozen=True, slots=True)
class Section:
    """
    One part of a report.

    :ivar id: Stable name, ``blocked``.
    :ivar items: What was found, in reading order.
    :ivar more: Commands of the prompt that show more.
    :ivar why: Why there is nothing here; "" if the check ran to its end.
    """

    id: str
    title: str
    items: tuple[Item, ...] = ()
    more: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """
    What a dump says.

    :ivar verdict: One plain sentence.
    :ivar kind: A key of :data:`btfdbg.report.kinds.KINDS`.
    :ivar evidence: What the verdict rests on, a sentence each.
    :ivar doubts: Where witnesses disagree or are missing.
    :ivar sections: In reading order.
    """

    verdict: str
    kind: str
    signature: Signature
    evidence: tuple[str, ...]
    doubts: tuple[str, ...]
    sections: tuple[Section, ...]
    source: str = ""
    release: str = ""
    version: int = VERSION


@dataclass(slots=True)
class Doubts:
    """Sentences about what cannot be relied on, each once, in the order they came up."""

    said: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        if text not in self.said:
            self.said.append(text)
