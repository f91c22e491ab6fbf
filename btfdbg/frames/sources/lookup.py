"""The file of a function: the verdict over all evidence that a dump and the table give.

Owns the order of trust and when nothing is said. What counts:

1. *direct*: a bug table's entry within the function names a source file.
2. the *table*, by the function's name: of the nearest kernels in it, and for a module only
   files that the module is made of.
3. *records*: other tables of the dump name function and file.
4. *between*: the nearest functions on both sides that are known are of the same file, and
   the linker puts together what comes from one file.
5. *links*: calls of static functions show what code is of one object file (:mod:`.links`),
   and whatever is known of that is of one file.

Where 1 and 2 contradict each other nothing is said, except that a file which moved (its
last part is the same) is where this dump has it. Same-named functions are told apart by
their neighbours or not at all.

A kernel of a series that the table does not have may have split or moved files since, so
there an answer of the table must fit its surroundings (:mod:`.surroundings`), and one of 4
needs the bug table on one side.

A cold part (``foo.cold``) is where its function is.

Not trusted with 4: functions that macros make and names that occur twice (most are inlined
from headers), and files whose code stands mixed with that of others: one that includes
others (kernel/sched/build_policy.c).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from btfdbg.arch import by_name
from btfdbg.errors import DebugInfoError
from btfdbg.frames.sources.kernels import Nearness
from btfdbg.frames.sources.model import Function, SourceFile, is_local
from btfdbg.frames.sources.names import definition, is_made_by_macro, key_of
from btfdbg.frames.sources.regions import Region
from btfdbg.frames.sources.strings import is_source
from btfdbg.frames.sources.surroundings import Surroundings, nearest_anchors
from btfdbg.frames.sources.table import Candidate, SourceTable

_MAX_STEPS = 400
_MAX_STEPS_TABLE = 32
_MAX_ENTRIES = 4000
_MAX_OBJECT = 4000
_MIXED_RUNS = 6
# Addresses whose answers are kept, some 200 bytes each.
_MAX_FOUND = 1 << 14
_TABLE, _TABLE_OTHER = "table", "table (other kernels)"

Place = tuple[str, str]
"""File and evidence."""


class SourceFiles:
    """
    Source files of the functions of one dump.

    :param region_of: the kernel or the module that an address is in.
    :param release: as ``uname -r`` prints it; ``machine`` as ``uname -m`` does.
    :param load: gives the table, None for an answer from the dump alone.
    :param on_problem: told, once, what is wrong with the table.
    """

    def __init__(
        self,
        region_of: Callable[[int], Region | None],
        *,
        release: str,
        machine: str,
        load: Callable[[], SourceTable] | None = SourceTable.load,
        on_problem: Callable[[DebugInfoError], None] | None = None,
    ) -> None:
        self._region_of = region_of
        self._release = release
        self._machine = machine
        self._load = load
        self._on_problem = on_problem
        self._table: SourceTable | None = None
        self._near: Nearness | None = None
        row = by_name(machine)
        self._folders = None if row is None else frozenset(row.folders)
        self._found: dict[int, SourceFile | None] = {}
        self._known: dict[int, Place | None] = {}
        self._sure: dict[int, Place | None] = {}
        self._objects: dict[tuple[str, int, int], str | None] = {}

    def find(self, address: int) -> SourceFile | None:
        """Return where the code at an address is from, None if that is not certain."""
        try:
            return self._found[address]
        except KeyError:
            pass
        region = self._region_of(address)
        if region is None:
            return None  # a module may be known later
        if len(self._found) >= _MAX_FOUND:
            self._found.clear()
        found = self._found[address] = self._find(region, address)
        return found

    def is_known(self, address: int) -> bool:
        """Whether :meth:`find` was asked for an address before, so that it reads nothing."""
        return address in self._found

    def _find(self, region: Region, address: int) -> SourceFile | None:
        bugs = region.bugs
        bug = None if bugs is None else bugs.at(address)
        if bug is not None and bug.line:
            what = f"bug table: {bug.text}" if bug.text else "bug table"
            return SourceFile(bug.file, bug.line, what)
        function = region.at(address)
        place = None if function is None else self.of_function(region, function)
        return None if place is None else SourceFile(place[0], None, place[1])

    def of_function(self, region: Region, function: Function) -> Place | None:
        """Return the file of a function, and what says so."""
        try:
            return self._known[function.address]
        except KeyError:
            found = self._known[function.address] = self._decide(region, function)
            return found

    def is_certain(self, region: Region, function: Function) -> bool:
        """Whether a function's file is a source file that needs no neighbours to be known."""
        return self._source_of(region, function) is not None

    def _decide(self, region: Region, function: Function) -> Place | None:
        hot, cold, _ = function.name.partition(".cold")
        if cold:
            whole = region.named(hot)
            if len(whole) == 1:
                return self.of_function(region, whole[0])
        found = self._certain(region, function)
        if found is not None:
            return found if self._fits(region, function, found) else None
        candidates = self._candidates(region, function)
        if len(candidates) > 1:
            return self._told_apart(region, function, candidates)
        if candidates or not self._may_be_between(region, function):
            return None  # contradicted, or nothing that could be said
        found = self._between(region, function) or self._linked(region, function)
        if found is None or _is_beside_a_header(region, function, found[0]):
            return None
        return found

    @property
    def _is_strange(self) -> bool:
        """Whether the table has no kernel of this series."""
        return self._near is not None and not self._near.same_series

    @property
    def _is_known(self) -> bool:
        """Whether the table has this very kernel."""
        return self._near is not None and self._near.is_known

    def _fits(self, region: Region, function: Function, place: Place) -> bool:
        """
        Whether what another series says may hold here, or what was seen in a module alone.

        A function that one compiler inlines and another does not is known, if at all, from
        another file's function of its name. So is what a configuration without the real one
        has in its place: a weak default, or a copy in each file that includes the header.
        """
        is_weak = region.is_weak(function)
        if (
            region.module
            or place[1] not in (_TABLE, _TABLE_OTHER)
            or not is_source(place[0])
            or not (
                self._is_strange
                or self._is_of_a_module(place[0])
                or is_weak
                or self._may_be_another(region, function)
            )
        ):
            return True
        around = Surroundings(region, self._source_of, self._table_file)
        return around.fits(function, place[0], among_its_own=is_weak)

    def _may_be_another(self, region: Region, function: Function) -> bool:
        """
        Whether it may be a header's stub of what the table has, which others are told to call.

        A global function is alone; the table's own kernels have what it says.
        """
        if not is_local(function):
            return False
        return not self._is_known or len(region.named(function.name)) > 1

    def _source_of(self, region: Region, function: Function) -> str | None:
        place = self._certain(region, function)
        if place is not None and place[1] in (_TABLE, _TABLE_OTHER) and region.is_weak(function):
            return None
        return place[0] if place is not None and is_source(place[0]) else None

    def _table_file(self, region: Region, function: Function) -> str | None:
        candidates = self._candidates(region, function)
        return candidates[0].file if len(candidates) == 1 else None

    # What needs no neighbours

    def _certain(self, region: Region, function: Function) -> Place | None:
        try:
            return self._sure[function.address]
        except KeyError:
            found = self._sure[function.address] = self._by_itself(region, function)
            return found

    def _by_itself(self, region: Region, function: Function) -> Place | None:
        direct = self._direct(region, function)
        candidates = self._candidates(region, function)
        if len(candidates) == 1:
            return self._checked(candidates[0], direct)
        if len(candidates) > 1:
            both = [c for c in candidates if c.file in direct]
            return (both[0].file, "table and bug table") if len(both) == 1 else None
        if len(direct) == 1:
            return direct[0], "bug table"
        if direct:
            return None
        name = definition(function.name)
        named = region.records.get(name)
        if named is not None and len(named.files) == 1 and len(region.named(name)) == 1:
            return named.files[0], named.evidence
        return self._only_file(region, function)

    def _direct(self, region: Region, function: Function) -> list[str]:
        """Source files that a bug table names within a function."""
        bugs = region.bugs
        if bugs is None or not function.size:
            return []
        files = bugs.files(function.address, function.address + function.size)
        return [file for file in files if is_source(file)]

    def _checked(self, candidate: Candidate, direct: list[str]) -> Place | None:
        file = candidate.file
        if not direct or not is_source(file):
            return file, self._table_evidence(candidate)
        if file in direct:
            return file, f"{self._table_evidence(candidate)} and bug table"
        moved = [d for d in direct if d.rpartition("/")[2] == file.rpartition("/")[2]]
        return (moved[0], "bug table") if len(direct) == len(moved) == 1 else None

    def _table_evidence(self, candidate: Candidate) -> str:
        assert self._near is not None
        if candidate.kernels and not candidate.kernels & self._near.same_series:
            return _TABLE_OTHER
        return _TABLE

    # The table

    def _candidates(self, region: Region, function: Function) -> list[Candidate]:
        table = self._ready()
        if table is None or self._near is None:
            return []
        found: Iterable[Candidate] = table.find(key_of(function.name))
        if region.module:
            files = table.files_of(region.module)
            if files is None:
                return []  # a stranger, whose names are others' by chance
            found = [c for c in found if c.file in files or not is_source(c.file)]
        return self._near.nearest([c for c in found if self._is_of_this_machine(c.file)])

    def _is_of_this_machine(self, file: str) -> bool:
        """Whether a kernel of this architecture can have a file."""
        top, _, rest = file.partition("/")
        return top != "arch" or self._folders is None or rest.partition("/")[0] in self._folders

    def _is_of_a_module(self, file: str) -> bool:
        table = self._ready()
        return table is not None and table.is_of_a_module(file)

    def _only_file(self, region: Region, function: Function) -> Place | None:
        table = self._ready()
        if table is None or not region.module or is_made_by_macro(function.name):
            return None
        files = table.files_of(region.module)
        if files is None or len(files) != 1 or len(region.named(function.name)) != 1:
            return None
        return next(iter(files)), "the module's only file"

    @property
    def table(self) -> SourceTable | None:
        """The shipped table; None without one."""
        return self._ready()

    def _ready(self) -> SourceTable | None:
        if self._table is None and self._load is not None:
            try:
                table = self._load()
                self._near = Nearness(table.kernels, self._release, self._machine)
                self._table = table
            except DebugInfoError as e:
                self._load = None  # not so when Ctrl-C ended it: the next question starts again
                if self._on_problem is not None:
                    self._on_problem(e)
        return self._table

    # Neighbours

    def _told_apart(
        self, region: Region, function: Function, candidates: list[Candidate]
    ) -> Place | None:
        if any(
            beside is not None and beside.name == function.name
            for beside in (region.before(function), region.behind(function))
        ):
            return None  # the linker put them together by their names (-ffunction-sections)
        files = {c.file for c in candidates}
        direct = self._direct(region, function)
        if direct and not files.intersection(direct):
            return None
        near = {
            place[0]
            for place in (self._neighbour(region, function, up) for up in (False, True))
            if place is not None
        }
        if self._is_strange and len(near) > 1:
            return None  # a file that was split between the table's kernels ends here
        both = sorted(files & near)
        return (both[0], "table, told apart by its neighbours") if len(both) == 1 else None

    def _neighbour(self, region: Region, function: Function, up: bool) -> Place | None:
        """The nearest function on one side that is known to be of a source file."""
        steps = _MAX_STEPS if self._table is None else _MAX_STEPS_TABLE
        for _ in range(steps):
            beside = region.behind(function) if up else region.before(function)
            if beside is None:
                return None
            function = beside
            place = self._certain(region, function)
            if place is not None and is_source(place[0]):
                return place
        return None

    def _may_be_between(self, region: Region, function: Function) -> bool:
        name = definition(function.name)
        if is_made_by_macro(name):
            return False
        direct = self._direct(region, function)
        return not direct and all(len(region.named(n)) <= 1 for n in {name, function.name})

    def _between(self, region: Region, function: Function) -> Place | None:
        below = self._neighbour(region, function, False)
        if below is None:
            return None
        above = self._neighbour(region, function, True)
        if above is None or above[0] != below[0] or self._is_mixed(region, function, above[0]):
            return None
        if self._is_strange:
            anchors = nearest_anchors(region, function)
            if above[0] not in anchors:
                return None
        return above[0], "between functions of this file"

    def _linked(self, region: Region, function: Function) -> Place | None:
        links = region.links
        joined = None if links is None else links.around(function)
        if joined is None:
            return None
        key = (region.module, *joined)
        if key not in self._objects:
            self._objects[key] = self._file_of_object(region, *joined)
        file = self._objects[key]
        return None if file is None else (file, "calls link it to functions of this file")

    def _file_of_object(self, region: Region, start: int, end: int) -> str | None:
        """The one file that is known of functions in a range; None if there are several."""
        bugs = region.bugs
        here = [] if bugs is None else [f for f in bugs.files(start, end) if is_source(f)]
        if self._is_strange and not here:
            return None
        files = set(here)
        function: Function | None = region.at(start)
        for _ in range(_MAX_OBJECT):
            if function is None or function.address >= end or len(files) > 1:
                break
            place = self._certain(region, function)
            if place is not None and is_source(place[0]) and self._fits(region, function, place):
                files.add(place[0])
            function = region.behind(function)
        return files.pop() if len(files) == 1 else None

    def _is_mixed(self, region: Region, function: Function, file: str) -> bool:
        """
        Whether a file's code stands mixed with another's around a function.

        So it is if the file comes again behind another one, or lies within another one.
        """
        bugs = region.bugs
        if bugs is None:
            return False
        middle = bugs.index(function.address)
        sides: list[list[str]] = []
        for numbers in (range(middle - 1, -1, -1), range(middle, len(bugs))):
            runs = list(_runs((bugs.file(n) for n in numbers[:_MAX_ENTRIES]), file))
            if file in runs:
                return True
            sides.append(runs)
        return any(run in sides[1] for run in sides[0])


def _is_beside_a_header(region: Region, function: Function, file: str) -> bool:
    """
    Whether the bug table has code of a header of a file's own folder next to a function.

    Such headers hold whole functions (kernel/rcu/tree_exp.h), which stand among the file's.
    """
    bugs = region.bugs
    if bugs is None:
        return False
    folder = file.rpartition("/")[0]
    sides = bugs.index(function.address) - 1, bugs.index(function.address + function.size)
    near = [bugs.file(number) for number in sides if 0 <= number < len(bugs)]
    return any(f is not None and f.endswith(".h") and f.rpartition("/")[0] == folder for f in near)


def _runs(files: Iterator[str | None], own: str) -> Iterator[str]:
    """Files in the order in which they begin, the own one left out at first, a few."""
    last, count = own, 0
    for file in files:
        if file is None or file == last or not is_source(file):
            continue
        last = file
        yield file
        count += 1
        if count >= _MIXED_RUNS:
            return
