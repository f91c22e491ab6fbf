"""Whether a file that other kernels have a function in fits where the function lies.

Owns the checks of one answer against the functions and bug table entries around it, for a
kernel of a series that the table lacks. Files are split and moved from series to
series: the code that moved lies beside code that the dump itself places elsewhere.

Measured on 7.2 with a table of 6.12 alone: 1.2 % of all functions get a wrong file
without these checks, 0.5 % with them, and 1.8 % get none instead of a right one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from btfdbg.frames.sources.model import Function
from btfdbg.frames.sources.regions import Region
from btfdbg.frames.sources.strings import is_source

_NEAR = 4  # neighbours of which one must be of the file, or at least of its folder
_MAX_STEPS = 40
_MAX_RUN = 200
_ANCHORS = 10  # functions on each side whose bug table entries are looked at
_MAX_ENTRIES = 400

Ask = Callable[[Region, Function], str | None]


class Surroundings:
    """
    The neighbours of functions in one region.

    :param source_of: the source file of a function, without regard to neighbours.
    :param table_file: the one file that the table has a function in.
    """

    def __init__(self, region: Region, source_of: Ask, table_file: Ask) -> None:
        self._region = region
        self._source_of = source_of
        self._table_file = table_file

    def fits(self, function: Function, file: str, *, among_its_own: bool = False) -> bool:
        """
        Whether nothing around a function speaks against a file, and something for it.

        :param among_its_own: files of its folder are not enough.
        """
        below, above = nearest_anchors(self._region, function)
        if below is not None and below == above:
            return below == file
        if any(self._left(neighbour, file) for neighbour in self._anchored(function)):
            return False
        if not self._is_in_the_folder(function, file):
            return False
        before = list(self._known(function, up=False))
        behind = list(self._known(function, up=True))
        if before and behind and before[0] == behind[0] != file:
            return False
        near = {*before, *behind}
        folder = file.rpartition("/")[0]
        if among_its_own:
            return file in near
        return file in near or any(other.rpartition("/")[0] == folder for other in near)

    def _is_in_the_folder(self, function: Function, file: str) -> bool:
        """
        Whether the linker would put a file here.

        It takes folder by folder (scripts/Makefile.build, ``built-in.a``): what lies between
        two files of one folder is of that folder or of one below.
        """
        sides = [self._other(function, file, up=up) for up in (False, True)]
        if None in sides:
            return True
        folders = [str(side).split("/")[:-1] for side in sides]
        shared = "".join(f"{part}/" for part in _shared(*folders))
        return file.startswith(shared)

    def _other(self, function: Function, file: str, *, up: bool) -> str | None:
        """The nearest other file on one side."""
        for _ in range(_MAX_RUN):
            beside = self._region.behind(function) if up else self._region.before(function)
            if beside is None:
                return None
            function = beside
            found = self._source_of(self._region, function)
            if found not in (None, file):
                return found
        return None

    def _left(self, neighbour: Function, file: str) -> bool:
        """Whether the table has a neighbour in the file, and the dump elsewhere."""
        if self._table_file(self._region, neighbour) != file:
            return False
        direct = _direct(self._region, neighbour)
        return len(direct) == 1 and direct[0] != file

    def _known(self, function: Function, *, up: bool) -> Iterator[str]:
        """Files of the nearest functions on one side."""
        count = 0
        for _ in range(_MAX_STEPS):
            beside = self._region.behind(function) if up else self._region.before(function)
            if beside is None:
                return
            function = beside
            file = self._source_of(self._region, function)
            if file is not None:
                yield file
                count += 1
                if count >= _NEAR:
                    return

    def _anchored(self, function: Function) -> Iterator[Function]:
        """The nearest functions that the bug table has entries in."""
        bugs = self._region.bugs
        if bugs is None:
            return
        middle = bugs.index(function.address)
        for numbers in (range(middle - 1, -1, -1), range(middle, len(bugs))):
            count, last = 0, -1
            for number in numbers[:_MAX_ENTRIES]:
                found = self._region.at(bugs.address(number))
                if found is None or found.address in (last, function.address):
                    continue
                last = found.address
                yield found
                count += 1
                if count >= _ANCHORS:
                    break


def nearest_anchors(region: Region, function: Function) -> tuple[str | None, str | None]:
    """Source files of the nearest bug table entries below and above a function."""
    bugs = region.bugs
    if bugs is None:
        return None, None
    start, end = bugs.index(function.address), bugs.index(function.address + function.size)
    found = []
    for numbers in (range(start - 1, -1, -1), range(end, len(bugs))):
        files = (bugs.file(number) for number in numbers[:_MAX_ENTRIES])
        found.append(next((f for f in files if f is not None and is_source(f)), None))
    return found[0], found[1]


def _shared(one: list[str], other: list[str]) -> Iterator[str]:
    """The folders that two paths begin with."""
    for part, also in zip(one, other, strict=False):
        if part != also:
            return
        yield part


def _direct(region: Region, function: Function) -> list[str]:
    bugs = region.bugs
    if bugs is None or not function.size:
        return []
    files = bugs.files(function.address, function.address + function.size)
    return [file for file in files if is_source(file)]
