"""How often a group's crash came, over time: the small bars beside each group.

Owns the division of time and the bars' places. All groups share one division, so that
bars below each other are of one time.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from btfdbg.report.triage.groups import Group

WIDTH, HEIGHT = 150, 28
"""Of a drawing, in pixels."""
_HOUR, _DAY = 3600, 86400
# What a bar may stand for.
_STEPS = (
    (_HOUR, "an hour"), (6 * _HOUR, "6 hours"), (_DAY, "a day"), (7 * _DAY, "a week"),
    (30 * _DAY, "30 days"), (90 * _DAY, "90 days"), (365 * _DAY, "365 days"),
)  # fmt: skip
_MAX_BARS = 30


def histories(groups: Sequence[Group]) -> tuple[list[dict[str, Any]], str]:
    """
    Return a drawing for each group, and what one bar stands for ("" if no time is known).

    A drawing has ``bars`` (x, y, width, height in pixels, and words), ``words`` for whoever
    does not see it, and ``unknown``: crashes whose time is not known.
    """
    times = [[c.when for c in one.crashes if c.when is not None] for one in groups]
    every = [when for some in times for when in some]
    if not every:
        return [_drawing(one.count, [], 0.0, 1.0, 1) for one in groups], ""
    first, last = min(every), max(every)
    step, words = _step(last - first)
    start = first // step * step
    bars = max(int((last - start) // step) + 1, 1)
    most = 1
    counted = []
    for some in times:
        counts = [0] * bars
        for when in some:
            counts[min(int((when - start) // step), bars - 1)] += 1
        counted.append(counts)
        most = max(most, *counts)
    drawings = [
        _drawing(one.count - len(some), counts, start, step, most)
        for one, some, counts in zip(groups, times, counted, strict=True)
    ]
    return drawings, words


def _step(seconds: float) -> tuple[float, str]:
    for step, words in _STEPS:
        if seconds / step < _MAX_BARS - 1:
            return step, words
    years = int(seconds / _STEPS[-1][0] / (_MAX_BARS - 2)) + 1
    return float(years * _STEPS[-1][0]), f"{years} times 365 days"


def _drawing(
    unknown: int, counts: Sequence[int], start: float, step: float, most: int
) -> dict[str, Any]:
    from datetime import datetime, timezone

    def date(at: float) -> str:
        form = "%Y-%m-%d" if step >= _DAY else "%Y-%m-%d %H:%M"
        return datetime.fromtimestamp(at, timezone.utc).strftime(form)

    # A few bars do not fill the width: they would look like many crashes.
    wide = min(WIDTH / max(len(counts), 1), 14.0)
    bars: list[dict[str, Any]] = []
    for number, count in enumerate(counts):
        if count:
            height = max(round((HEIGHT - 2) * count / most), 3)
            bars.append(
                {
                    "x": round(number * wide, 1),
                    "y": HEIGHT - 1 - height,
                    "width": round(max(wide - 1.5, 1.5), 1),
                    "height": height,
                    "words": f"{count} from {date(start + number * step)}",
                }
            )
    words = "; ".join(bar["words"] for bar in bars) or "no time is known"
    return {
        "bars": bars,
        "words": words,
        "unknown": unknown,
        "width": WIDTH,
        "height": HEIGHT,
        "line": round(wide * len(counts), 1),
    }
