"""Stacks in corelens' output, less what only a line table and a function's DWARF can add.

Owns one comparison, of lines that may be frames: what falls away are source places, inlined
functions (of frames with one place the last is the function), the numbers of frames, and the
stacks that corelens goes on to from a local variable that is a ``struct pt_regs``. A frame in
assembler is the same by its place: DWARF names the function there, and the kernel's symbols, as
its own traces, the label within (``entry_SYSCALL_64_after_hwframe``).

Facts: drgn-tools, ``drgn_tools/bt.py`` (print_frames() and print_traces() format them).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import NamedTuple

_FRAME = re.compile(
    r" *(?P<interrupted>[! ])# *\d+ \[(?P<sp>[0-9a-f]+)\] (?P<name>.+?)"
    r" at (?P<pc>0x[0-9a-f]+|\?\?\?)(?: (?P<source>\S+):\d+:\d+)?"
)
_NEXT_STACK = "-- continuing to previous stack --"


class _Frame(NamedTuple):
    """
    A function's frame.

    :ivar assembler: Its source is known, and is assembler.
    """

    place: str
    name: str
    assembler: bool

    def __str__(self) -> str:
        return f"{self.place} {self.name}"


def bare(dwarf: str, dump: str) -> tuple[list[str], list[str]]:
    """The lines of both, where stacks are without what only DWARF tells."""
    ones, others = [], []
    for one, other in zip_longest(_lines(dwarf.splitlines()), _lines(dump.splitlines())):
        if isinstance(one, _Frame) and one.assembler and isinstance(other, _Frame):
            one = one._replace(name=other.name)
        ones += [] if one is None else [str(one)]
        others += [] if other is None else [str(other)]
    return ones, others


def _lines(lines: Iterable[str]) -> Iterator[_Frame | str]:
    last: _Frame | None = None  # may be inlined into the one that follows
    dropping = False
    for line in lines:
        match = _FRAME.fullmatch(line)
        frame = match and _frame(match)
        if last and not (frame and frame.place == last.place):
            yield last
        last = frame
        if frame is None:
            dropping = line.strip() == _NEXT_STACK
            if not dropping:
                yield line
        elif dropping:
            last = None
    if last:
        yield last


def _frame(match: re.Match[str]) -> _Frame:
    place = f"{match['interrupted']} [{match['sp']}] {match['pc']}"
    return _Frame(place, match["name"], (match["source"] or "").endswith(".S"))
