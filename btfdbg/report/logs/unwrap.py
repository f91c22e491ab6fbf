"""Lines that a terminal broke at its right edge, put together again.

Owns the proof that it did, and the joining. A log is taken for wrapped only where the kernel's
lines that fill one width go on in a line without its time stamp, and none is wider; what has no
time stamps tells nothing of the kind and is left as it is.
"""

from __future__ import annotations

from itertools import pairwise

from btfdbg.lazy_pattern import pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_NARROW, _WIDE = 40, 512  # columns of a terminal
_PROOF = 3  # lines that go on in the next
# The kernel's own stamp, with what a logger, a level or a caller puts before or after it.
_STAMPED = pattern(r".{0,60}?\[ *\d{1,12}\.\d{6}\]")


def width_of(lines: Sequence[str]) -> int:
    """
    Return the columns at which a terminal broke a log's lines, 0 if nothing proves that one did.

    >>> width_of(["[   12.345678] one two thr", "ee"] * 3)
    0
    """
    width = max(map(len, lines), default=0)
    if not _NARROW <= width <= _WIDE:
        return 0
    broken = exact = 0
    for line, after in pairwise(lines):
        # x86's lines of registers end at column 80 by themselves. Only the kernel's lines count:
        # a program's table may have the same width in all of its lines.
        if len(line) == width and _STAMPED.match(line):
            if _STAMPED.match(after):
                exact += 1
            elif after:
                broken += 1
    return width if broken >= _PROOF and broken >= exact else 0


def unwrapped(texts: Iterator[str], first: str) -> Iterator[str]:
    """
    Yield texts with their lines put together, or as they are if no terminal broke them.

    :param texts: All of a log, ``first`` included.
    :param first: As much of it as there is to judge by.
    """
    lines = [line.rstrip("\r") for line in first.split("\n")]
    width = width_of(lines[:-1])
    if not width:
        yield from texts
        return
    rest = ""
    kept: list[str] = []  # a line to which more may belong
    open_ = False  # its last part fills the width
    for text in texts:
        parts = (rest + text).split("\n")
        rest = parts.pop()
        done: list[str] = []
        for raw in parts:
            part = raw.rstrip("\r")
            stamped = _STAMPED.match(part) is not None
            if not (open_ and part and not stamped):
                if kept:
                    done.append("".join(kept))
                kept, open_ = [], stamped
            kept.append(part)
            open_ = open_ and len(part) == width
        yield "".join(f"{line}\n" for line in done)
    goes_on = open_ and _STAMPED.match(rest) is None
    yield f"{''.join(kept)}{rest}" if goes_on or not kept else f"{''.join(kept)}\n{rest}"
