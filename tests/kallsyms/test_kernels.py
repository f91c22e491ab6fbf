"""Real kernels: dumps against drgn's own reader, kernel files against their System.map.

``BTFDBG_DUMPS`` names a folder of dumps (else the bundled ones are used), and
``BTFDBG_KERNELS`` a folder with kernel images as packages have them (vmlinuz,
vmlinux, Image) and System.map files, anywhere below.
"""

from __future__ import annotations

import io
import os
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import drgn
import pytest
from elftools.elf.elffile import ELFFile

import btfdbg
from btfdbg.images.kernel import payloads
from btfdbg.kallsyms import KallsymsTable, load_file
from btfdbg.kallsyms.find_kallsyms import by_scan, describes_itself
from btfdbg.kallsyms.ksymtab import exports
from btfdbg.kallsyms.modules import ModuleSymbols
from btfdbg.kallsyms.scan import layouts, name_tables, token_tables
from btfdbg.kallsyms.symbols import finder

_TOP = Path(__file__).parents[2]


def dumps() -> list[Path]:
    folder = Path(os.environ.get("BTFDBG_DUMPS", _TOP / "corefiles"))
    files = folder.iterdir() if folder.is_dir() else ()
    return sorted(p for p in files if p.suffix in (".vmcore", ".raw", ".lime"))


def kernels() -> list[Path]:
    folder = os.environ.get("BTFDBG_KERNELS")
    files = Path(folder).rglob("*") if folder else []
    return sorted(p for p in files if re.match(r"vmlinu[xz]|Image", p.name) and p.is_file())


DUMPS = pytest.mark.parametrize(
    "path",
    dumps() or [pytest.param(None, marks=pytest.mark.skip("no dumps; set BTFDBG_DUMPS"))],
    ids=lambda path: path.name if path else "none",
)
KERNELS = pytest.mark.parametrize(
    "path",
    kernels() or [pytest.param(None, marks=pytest.mark.skip("no kernels; set BTFDBG_KERNELS"))],
    ids=lambda path: path.name if path else "none",
)


@pytest.mark.oracle
@DUMPS
def test_drgns_own_reader_gives_the_same_symbols(path: Path) -> None:
    from drgn.helpers.linux.kallsyms import load_vmlinux_kallsyms

    prog = btfdbg.program_from_core_dump(path)
    table = btfdbg.session(prog).symbols
    if not isinstance(table, KallsymsTable):
        pytest.skip("kallsyms has functions only")
    try:
        index = load_vmlinux_kallsyms(prog)
    except (drgn.MissingDebugInfoError, ValueError) as error:
        pytest.skip(f"drgn's reader cannot: {error}")
    theirs = index(prog, None, None, False)
    ours = finder(table)(prog, None, None, False)
    low, high = table._data_called_text

    def kind(symbol: drgn.Symbol) -> drgn.SymbolKind:
        # x86 7.x calls all data text; we know better.
        return drgn.SymbolKind.OBJECT if low <= symbol.address < high else symbol.kind

    def facts(symbols: list[drgn.Symbol]) -> Counter[tuple[str, int, object, object]]:
        return Counter((s.name, s.address, s.binding, kind(s)) for s in symbols)

    assert facts(ours) == facts(theirs)
    # Sizes: theirs are 0 from 64 KiB on; ours are 0 at the end of a section only.
    sizes = {(s.name, s.address): s.size for s in theirs}
    for symbol in ours:
        size = sizes[symbol.name, symbol.address]
        assert symbol.size in (size, 0) or size == 0
    assert table.problems == ()


@pytest.mark.oracle
@DUMPS
def test_symbols_are_where_vmcoreinfo_has_them(path: Path) -> None:
    session = btfdbg.session(btfdbg.program_from_core_dump(path))
    table = session.symbols
    assert table is not None
    agreeing = 0
    for name, address in session.vmcoreinfo.symbols.items():
        found = [sym.address for sym in table.by_name(name)]
        # These are pointers, and the kernel wrote their values.
        if found and name not in ("mem_section", "vmemmap"):
            assert address in found, name
            agreeing += 1
    assert agreeing > 3
    assert table.by_name("init_task")
    for sym in table.by_name("schedule"):
        inside = table.by_address(sym.address + 1)
        assert inside is not None
        assert "schedule" in inside.name


@pytest.mark.oracle
@DUMPS
def test_a_search_of_memory_finds_the_tables_that_vmcoreinfo_names(path: Path) -> None:
    session = btfdbg.session(btfdbg.program_from_core_dump(path))
    table = getattr(session.symbols, "_first", session.symbols)
    assert isinstance(table, KallsymsTable)
    low, high = table.image_range
    found = by_scan(session.prog.read, [(low & ~0xFFF, high)], session.vmcoreinfo)
    ours, theirs = found.layout, table.layout
    assert list(ours.markers) == list(theirs.markers)
    assert (ours.names, ours.addresses, ours.seqs) == (theirs.names, theirs.addresses, theirs.seqs)
    assert (ours.encoding, ours.base, ours.num_syms) == (
        theirs.encoding,
        theirs.base,
        theirs.num_syms,
    )


@pytest.mark.oracle
@DUMPS
def test_module_symbols_are_drgns(path: Path) -> None:
    from drgn.helpers.linux.kallsyms import module_kallsyms
    from drgn.helpers.linux.module import for_each_module

    prog = btfdbg.program_from_core_dump(path)
    symbols = ModuleSymbols(prog)
    try:
        theirs = [s for module in for_each_module(prog) for s in module_kallsyms(module)]
    except LookupError as error:
        pytest.skip(f"the module list cannot be walked: {error}")
    if not theirs:
        pytest.skip("no modules")
    ours = symbols.finder()(prog, None, None, False)

    def facts(found: list[drgn.Symbol]) -> set[tuple[str, int, int, object]]:
        named = [s for s in found if not s.name.startswith(("$", ".L"))]
        return {(s.name, s.address, s.size, s.binding) for s in named}

    undefined = {fact for fact in facts(theirs) - facts(ours) if fact[1] == 0}
    assert facts(ours) == facts(theirs) - undefined
    assert symbols.problems == {}
    some = next(s for s in ours if s.size > 8 and s.kind is drgn.SymbolKind.FUNC)
    inside = symbols.by_address(some.address + 5)
    assert inside is not None
    assert inside.address == some.address


class Flat:
    """A kernel image as memory."""

    def __init__(self, data: bytes, base: int = 0) -> None:
        self.base = base
        self.data = data
        if data[:4] == b"\x7fELF":
            elf = ELFFile(io.BytesIO(data))
            segments = [s for s in elf.iter_segments() if s["p_type"] == "PT_LOAD"]
            # x86 before 6.15 has the per-CPU area at 0.
            segments = [s for s in segments if s["p_filesz"] and s["p_vaddr"] >= 1 << 20]
            self.base = min(s["p_vaddr"] for s in segments)
            image = bytearray(max(s["p_vaddr"] + s["p_memsz"] for s in segments) - self.base)
            for s in segments:
                start = s["p_vaddr"] - self.base
                image[start : start + s["p_filesz"]] = s.data()
            self.data = bytes(image)

    @property
    def end(self) -> int:
        return self.base + len(self.data)

    def read(self, address: int, size: int) -> bytes:
        if address < self.base or address + size > self.end:
            raise ValueError
        return self.data[address - self.base : address - self.base + size]

    def tables(self) -> Iterator[KallsymsTable]:
        for tokens in token_tables(self.read, [(self.base, self.end)]):
            names = name_tables(self.read, tokens)
            assert names is not None
            for layout in layouts(self.read, tokens, names):
                yield KallsymsTable(self.read, layout, "file")


def images(path: Path) -> Iterator[bytes]:
    data = path.read_bytes()
    yield data
    yield from payloads(data)


@cache
def tables_of(path: Path) -> tuple[Flat, KallsymsTable]:
    """The tables in a kernel file, and the file as memory."""
    for data in images(path):
        flat = Flat(data)
        found = list(flat.tables())
        for base in sorted({table.layout.base for table in found if table.layout.base < 1 << 64}):
            # A flat image does not say where it is linked to; its tables do.
            if data[:4] != b"\x7fELF" and base and not base & 0xFFF:
                moved = Flat(data, base)
                there = list(moved.tables())
                if any(map(describes_itself, there)):
                    flat, found = moved, there
        possible = [table for table in found if describes_itself(table)]
        if found:
            assert len(possible) == 1
            return flat, possible[0]
    pytest.fail("no kallsyms tables found")


@pytest.mark.matrix
@KERNELS
def test_the_tables_of_a_kernel_file_are_found(path: Path) -> None:
    _, table = tables_of(path)
    assert table.count > 10_000
    assert table.problems == ()
    assert table.by_name("_stext")
    assert table.by_name("schedule")
    symbols = list(table)
    assert len(symbols) == table.count
    assert all(a.address <= b.address for a, b in pairwise(symbols))


@pytest.mark.matrix
@KERNELS
def test_symbols_of_a_kernel_file_are_those_of_its_map(path: Path) -> None:
    release = path.name.partition("-")[2] or path.parent.name
    folder = Path(os.environ["BTFDBG_KERNELS"])
    maps = [p for p in folder.rglob("System.map*") if p.stat().st_size > 1 << 20]
    mine = [p for p in maps if p.name == f"System.map-{release}" or p.parent.name == release]
    if not mine:
        pytest.skip(f"no System.map of {release}")
    _, table = tables_of(path)
    reference = load_file(mine[0])
    # A flat image has no relocations applied: all of it may be elsewhere.
    shift = reference.by_name("_stext")[0].address - table.by_name("_stext")[0].address
    theirs = {(s.name, s.address) for s in reference}
    percpu = {(s.name, s.address) for s in table if s.address < 1 << 20}
    missing = [
        s
        for s in table
        if (s.name, s.address + shift) not in theirs
        and (s.name, s.address) not in percpu & theirs
        and not s.name.startswith(".L")  # the script that writes the map drops these
    ]
    # The map is written before kallsyms has its final place: nothing else may differ.
    assert len(missing) < 10, missing[:20]
    if table.has_data:
        assert table.count > 0.8 * len(theirs)


@pytest.mark.matrix
@KERNELS
def test_exports_of_a_kernel_file_are_where_kallsyms_has_them(path: Path) -> None:
    flat, table = tables_of(path)
    found = exports(flat.read, table)
    if found is None and path.read_bytes()[:4] != b"\x7fELF" and flat.base == 0:
        pytest.skip("the entries are pointers, and the image is not relocated")
    assert found is not None
    assert found.count > 5000
    (init_task,) = found.by_name("init_task")
    assert init_task.address
    for sym in found:
        known = [s.address for s in table.by_name(sym.name)]
        assert sym.address in known or (not known and not table.has_data)
