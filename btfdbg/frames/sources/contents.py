"""The functions of a file: the lookup read the other way.

Owns finding them without a verdict on every function of the kernel. A function can be of a
file only if something names both: the table has its name there, a bug table's entry within it
or a record says so, its module has no other file, or it lies between two that are known to be.
Each that may be is then asked for; the verdict stays :mod:`.lookup`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from btfdbg.frames.sources.lookup import SourceFiles
from btfdbg.frames.sources.model import Function
from btfdbg.frames.sources.names import definition, key_of
from btfdbg.frames.sources.regions import Region

_MAX_BESIDE = 400
_COLD = ".cold"


def functions_of(
    files: SourceFiles, regions: Iterable[Region], wanted: Callable[[str], bool]
) -> Iterator[tuple[Region, Function, str]]:
    """
    Functions that are in a file, by region and address.

    :param wanted: Whether a file is meant; several may be (``pipe.c``).
    :return: Each with its file.
    """
    table = files.table
    numbers = frozenset() if table is None else table.numbers_of(wanted)
    for region in regions:
        names = list(dict.fromkeys(region.names()))
        found = _from(files, region, names, _named(files, region, names, numbers, wanted), wanted)
        for address in sorted(found):
            yield region, *found[address]


def _from(
    files: SourceFiles,
    region: Region,
    names: list[str],
    first: Iterable[Function],
    wanted: Callable[[str], bool],
) -> dict[int, tuple[Function, str]]:
    """Those of some functions that are in a file, and those between them that are."""
    found: dict[int, tuple[Function, str]] = {}
    asked: set[int] = set()
    todo = list(first)
    cold: dict[str, str] = {}
    if todo:
        cold = {name.partition(_COLD)[0]: name for name in names if _COLD in name}
    while todo:
        function = todo.pop()
        if function.address in asked:
            continue
        asked.add(function.address)
        place = files.of_function(region, function)
        if place is None or not wanted(place[0]):
            continue
        found[function.address] = function, place[0]
        if function.name in cold:
            todo += region.named(cold[function.name])
        for step in (region.before, region.behind):
            todo += _beside(files, region, step, function, asked, wanted)
    return found


def _beside(
    files: SourceFiles,
    region: Region,
    step: Callable[[Function], Function | None],
    function: Function,
    asked: set[int],
    wanted: Callable[[str], bool],
) -> list[Function]:
    """The next function on one side that is in the file too, if none that is not lies before."""
    for _ in range(_MAX_BESIDE):
        beside = step(function)
        if beside is None or beside.address in asked:
            return []
        function = beside
        place = files.of_function(region, function)
        if place is not None and wanted(place[0]):
            return [function]
        asked.add(function.address)
        if place is not None and files.is_certain(region, function):
            return []
    return []


def _named(
    files: SourceFiles,
    region: Region,
    names: list[str],
    numbers: frozenset[int],
    wanted: Callable[[str], bool],
) -> Iterator[Function]:
    """Functions of which something says that they are in a file."""
    table = files.table
    if table is not None:
        own = table.files_of(region.module) if region.module else None
        if own is not None and len(own) == 1 and wanted(next(iter(own))):
            yield from region.all()
            return
        if not region.module or (own is not None and any(map(wanted, own))):
            keys: dict[str, list[str]] = {}
            for name in names:
                keys.setdefault(key_of(name), []).append(name)
            for key in table.keys_in(list(keys), numbers):
                for name in keys[key]:
                    yield from region.named(name)
    bugs = region.bugs
    if bugs is not None:
        for number in range(len(bugs)):
            file = bugs.file(number)
            if file is not None and wanted(file):
                function = region.at(bugs.address(number))
                if function is not None:
                    yield function
    told = {name for name, said in region.records.items() if any(wanted(f) for f in said.files)}
    if told:
        for name in names:
            if definition(name) in told:
                yield from region.named(name)
