"""Source files of a dump's functions held against DWARF.

    python -m tests.frames.files DUMP VMLINUX [MODULES] [--leave-out 7.2 ...] [--alone]

Counts, for all functions of the kernel image (and of the loaded modules that MODULES, a
folder, has with DWARF) and for those on the stacks of all tasks: how many files are right,
wrong, or not given. The truth is the file in which DWARF says that the function is
declared. Wrong ones are listed. A header is the truth too: functions that are made by
macros or inlined and yet emitted are declared in one; the second line of a count leaves
them out.

``--alone`` asks the dump without the table, ``--leave-out SERIES`` asks a table that never
saw a kernel of that series (compiled anew from the source), ``--only-flavour`` keeps one.
``--row`` prints nothing but the kernel's row of docs/sources.md.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import drgn

from btfdbg import program_from_core_dump, session
from btfdbg.frames.sources.find import Regions, make
from btfdbg.frames.sources.lookup import SourceFiles
from btfdbg.frames.sources.pack import pack
from btfdbg.frames.sources.regions import Region
from btfdbg.frames.sources.strings import is_source
from btfdbg.frames.sources.table import SourceTable
from btfdbg.frames.sources.text import FunctionText
from btfdbg.program.session import Session
from btfdbg.varextract.extract import module_name
from btfdbg.varextract.functions import FunctionImage, extract_functions

SOURCE = Path(__file__).parents[2] / "corefiles" / "variables" / "functions.txt"


@dataclass
class Count:
    """How many files were right, wrong, or not given."""

    right: int = 0
    none: int = 0
    wrong: list[tuple[str, str, str, str]] = field(default_factory=list)

    def add(self, name: str, truth: str, found: tuple[str, str] | None) -> None:
        if found is None:
            self.none += 1
        elif found[0] == truth:
            self.right += 1
        else:
            self.wrong.append((name, truth, *found))

    @property
    def total(self) -> int:
        return self.right + self.none + len(self.wrong)

    def __str__(self) -> str:
        total = self.total or 1
        return (
            f"{self.total:6} functions: {100 * self.right / total:5.2f} % right, "
            f"{100 * len(self.wrong) / total:5.2f} % wrong ({len(self.wrong)}), "
            f"{100 * self.none / total:5.2f} % not given"
        )


def row(release: str, table: str, counts: tuple[Count, Count, Count]) -> str:
    """A kernel's row of docs/sources.md."""
    cells = [f"{release}, {counts[0].total:,} functions", table]
    for count in counts:
        total = count.total or 1
        cells.append(f"{100 * count.right / total:.1f} %")
        cells.append(f"{100 * len(count.wrong) / total:.2f} %")
    cells[-2] += f" of {counts[2].total}"
    cells[-1] = str(len(counts[2].wrong))
    return f"| {' | '.join(cells)} |"


class Truth:
    """Files by address in the dump."""

    def __init__(self, vmlinux: FunctionImage, modules: dict[str, FunctionImage], s: Session):
        self.files: dict[int, str] = {}
        self._modules = modules
        by_name: dict[str, list[int]] = {}
        for row in vmlinux.rows:
            by_name.setdefault(row.name, []).append(row.address)
        slide = 0
        for name in ("schedule", "vfs_read", "kfree"):
            here = s.lookup_symbols(name)
            if len(here) == len(by_name.get(name, ())) == 1:
                slide = here[0].address - by_name[name][0]
                break
        for row in vmlinux.rows:
            self.files.setdefault(row.address + slide, row.file)

    def add_module(self, region: Region) -> None:
        image = self._modules.get(region.module)
        if image is None:
            return
        files: dict[str, set[str]] = {}
        for row in image.rows:
            files.setdefault(row.name, set()).add(row.file)
        for function in region.all():
            found = files.get(function.name, set())
            if len(found) == 1:
                self.files[function.address] = next(iter(found))


def on_stacks(s: Session) -> Iterator[int]:
    """Program counters of all frames of all tasks."""
    from drgn.helpers.linux.pid import for_each_task

    for task in for_each_task(s.prog):
        try:
            for frame in s.prog.stack_trace(task):
                try:
                    yield frame.pc - (0 if frame.interrupted else 1)
                except LookupError:
                    continue
        except (ValueError, LookupError, drgn.FaultError):
            continue


def compare(files: SourceFiles, regions: Iterable[Region], truth: Truth) -> tuple[Count, Count]:
    """Counts of all functions, and of those that are not declared in headers."""
    all_, sources = Count(), Count()
    for region in regions:
        for function in region.all():
            file = truth.files.get(function.address)
            if file is None:
                continue
            found = files.of_function(region, function)
            all_.add(function.name, file, found)
            if is_source(file):
                sources.add(function.name, file, found)
    return all_, sources


def read_image(path: Path, module: str = "") -> FunctionImage:
    """Read an image, or what an earlier run of this tool kept beside it."""
    kept = path.with_name(f"{path.name}.functions")
    try:
        if kept.stat().st_mtime > path.stat().st_mtime:
            image = pickle.loads(kept.read_bytes())
            if isinstance(image, FunctionImage):
                return image
    except (OSError, pickle.PickleError, EOFError, AttributeError, ImportError):
        pass
    image = extract_functions(path, module=module)
    try:
        kept.write_bytes(pickle.dumps(image))
    except OSError:
        pass
    return image


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.frames.files", description=__doc__)
    parser.add_argument("dump", metavar="DUMP", type=Path)
    parser.add_argument("vmlinux", metavar="VMLINUX", type=Path, help="with DWARF")
    parser.add_argument("modules", metavar="MODULES", type=Path, nargs="?", help="with DWARF")
    parser.add_argument("--leave-out", metavar="SERIES", action="append", default=[])
    parser.add_argument("--only-flavour", metavar="FLAVOUR", help="such as arm64-cloud")
    parser.add_argument("--alone", action="store_true", help="without the table")
    parser.add_argument("--table", type=Path, help="compiled table (default: the shipped one)")
    parser.add_argument("--row", action="store_true", help="of the table in docs/sources.md")
    parser.add_argument("--wrong", type=int, default=40, help="how many wrong ones to list")
    args = parser.parse_args(argv)

    s = session(program_from_core_dump(args.dump))
    s.ensure_modules()
    load: Callable[[], SourceTable] | None = SourceTable.load
    if args.alone:
        load = None
    elif args.table is not None:
        load = lambda: SourceTable.load(args.table)  # noqa: E731
    elif args.leave_out or args.only_flavour:
        text = FunctionText.read(SOURCE).without(
            frozenset(args.leave_out), frozenset([args.only_flavour] if args.only_flavour else ())
        )
        if not args.row:
            print("table of", ", ".join(k.release for k in text.kernels))
        data = pack(text)
        load = lambda: SourceTable.unpack(data, "left out")  # noqa: E731
    files = make(s, load)
    modules: dict[str, FunctionImage] = {}
    loaded = set(s.module_names())
    if args.modules is not None:
        for path in sorted(args.modules.rglob("*.ko*")):
            name = module_name(path)
            if name in loaded and path.suffix != ".functions":
                modules[name] = read_image(path, name)
    truth = Truth(read_image(args.vmlinux), modules, s)
    everything = list(Regions(s).all())
    for region in everything[1:]:
        truth.add_module(region)
    start = time.process_time()
    all_, sources = compare(files, everything, truth)
    spent = time.process_time() - start
    if not args.row:
        print(f"all      {all_}; {1e6 * spent / (all_.total or 1):.0f} µs each")
        print(f"not .h   {sources}")
    stacks, functions = Count(), set()
    for pc in on_stacks(s):
        place = next(((r, f) for r in everything if (f := r.at(pc)) is not None), None)
        if place is None or place[1].address in functions:
            continue
        region, function = place
        functions.add(function.address)
        file = truth.files.get(function.address)
        if file is not None:
            stacks.add(function.name, file, files.of_function(region, function))
    if args.row:
        without = ", ".join(args.leave_out)
        table = f"only {args.only_flavour}" if args.only_flavour else "with it"
        table = f"without {without}" if without else table
        print(row(s.release, "none (`--alone`)" if args.alone else table, (all_, sources, stacks)))
        return 0
    print(f"stacks   {stacks}")
    for name, file, given, evidence in (*stacks.wrong, *all_.wrong)[: args.wrong]:
        print(f"wrong: {name}: {file} | {given} | {evidence}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
