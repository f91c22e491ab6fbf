"""When a log's report was made: the clock that the kernel set at boot, and its time since.

Owns reading the lines that tell. A kernel prints at boot to which time it sets its clock, from
the machine's own; the stamps of later lines count on from there, as long as it does not sleep.

Facts: ``drivers/rtc/class.c`` (``rtc_hctosys()``: ``setting system clock to %ptR UTC (%lld)``; a
space for the ``T`` before v5.0); ``kernel/power/suspend.c`` and ``hibernate.c`` (printk's clock
stands still meanwhile).
"""

from __future__ import annotations

from btfdbg.lazy_dataclass import dataclass
from btfdbg.lazy_pattern import pattern
from btfdbg.report.logs.lines import parse_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from btfdbg.report.event import Event

_WORDS = ("setting system clock to", "PM: suspend entry", "PM: hibernation: hibernation entry")
_SET = pattern(
    r".{0,80}: setting system clock to (\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d) UTC \((\d{1,11})\)"
)
_MAX_MARKS = 4096
_APART = 1.0  # seconds
_LATEST = float(1 << 36)  # seconds since 1970; a stamp of a damaged log may be of any length


@dataclass(frozen=True, slots=True)
class Mark:
    """
    A line that tells of the clock.

    :ivar line: From 1.
    :ivar seconds: Its stamp, since boot.
    :ivar wall: To what the clock was set, in seconds since 1970; ``None`` where the machine
        went to sleep, and the stamps say no more how long ago it was.
    """

    line: int
    seconds: float
    wall: float | None


class WallClock:
    """Reads a log piece by piece, as it comes."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self._rest = ""
        self._line = 0

    def feed(self, text: str) -> None:
        """Read on; pieces may end anywhere."""
        text = self._rest + text
        end = text.rfind("\n") + 1
        self._rest = text[end:][-1 << 12 :]
        hits = sorted(at for word in _WORDS for at in _found(text, word, end))
        at = 0
        for hit in hits:
            start = text.rfind("\n", 0, hit) + 1
            self._line += text.count("\n", at, start)
            at = start
            self._take(text[start : text.index("\n", hit)])
        self._line += text.count("\n", at, end)

    def _take(self, raw: str) -> None:
        line = parse_line(raw, self._line + 1)
        if line.seconds is None or len(self.marks) >= _MAX_MARKS:
            return
        if not line.text.startswith("PM: "):
            wall = _wall(line.text)
            if wall is not None:
                self.marks.append(Mark(line.number, line.seconds, wall))
        else:
            self.marks.append(Mark(line.number, line.seconds, None))


def _found(text: str, word: str, end: int) -> list[int]:
    found = []
    at = text.find(word, 0, end)
    while at >= 0:
        found.append(at)
        at = text.find(word, at + 1, end)
    return found


def _wall(text: str) -> float | None:
    """The time that the clock is set to, if its two forms agree."""
    match = _SET.match(text)
    if match is None:
        return None
    from datetime import datetime

    try:
        said = datetime.fromisoformat(f"{match[1]}T{match[2]}+00:00").timestamp()
    except ValueError:
        return None
    return said if abs(said - int(match[3])) <= _APART else None


def time_of(marks: Sequence[Mark], event: Event) -> float | None:
    """
    Return when a report was made, in seconds since 1970, if the log of its boot tells.

    :param marks: Of the log that the event is from.
    """
    before = [mark for mark in marks if mark.line < event.line]
    if not before or event.seconds is None:
        return None
    last = before[-1]
    if last.wall is None or event.seconds < last.seconds:  # it slept, or booted anew
        return None
    when = last.wall + event.seconds - last.seconds
    return when if when < _LATEST else None
