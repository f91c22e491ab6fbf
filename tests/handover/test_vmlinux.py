"""``btfdbg export-vmlinux``: drgn reads the file and finds in it what the dump has."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import drgn
import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

import btfdbg
from btfdbg.btf import Btf
from btfdbg.btf.builder import Builder
from btfdbg.btf.header import ByteOrder
from btfdbg.errors import DebugInfoError
from btfdbg.handover.kernel import Kernel
from btfdbg.handover.vmlinux.elf import Writer
from btfdbg.handover.vmlinux.export import export
from btfdbg.handover.vmlinux.sections import Contents, Index, cut
from btfdbg.kallsyms.choice import is_text
from btfdbg.kallsyms.listed import ListedTable
from btfdbg.program.session import Session
from btfdbg.program.session import session as session_of
from tests.handover.conftest import FEW

IS_LITTLE_ENDIAN = drgn.PlatformFlags.IS_LITTLE_ENDIAN
TYPES = (
    "task_struct", "mm_struct", "page", "rq", "super_block", "module", "list_head", "file",
    "net_device", "inode", "dentry", "thread_struct", "cred", "pt_regs", "irq_desc",
    "sk_buff",
)  # fmt: skip


@pytest.fixture
def written(few: Session, tmp_path: Path) -> Path:
    path = tmp_path / "vmlinux"
    done = export(few, str(path))
    assert done.functions >= 3
    assert done.variables >= 6
    assert done.lost == 0
    return path


def look(type_: drgn.Type) -> list[tuple[str | None, int, int | None, str]]:
    """
    The members, those without a name too.

    BTF has one array for ``[]`` and ``[0]``: for drgn's reader of DWARF it is ``[]`` at a
    struct's end and else ``[0]``, for ours always ``[]``.
    """
    found = []
    for m in type_.members or ():
        name = m.type.type_name().replace("[0]", "[]")
        found.append((m.name, m.bit_offset, m.bit_field_size, name))
        if m.name is None:
            found += look(m.type)
    return found


def test_drgn_reads_types_variables_and_symbols_from_it(
    few: Session, written: Path, x86_core: Path
) -> None:
    prog = drgn.Program()
    prog.set_core_dump(str(x86_core))
    prog.load_debug_info([str(written)])
    for name in TYPES:
        ours, theirs = few.prog.type(f"struct {name}"), prog.type(f"struct {name}")
        assert theirs.size == ours.size, name
        assert look(theirs) == look(ours), name
    assert prog["init_task"].comm.string_() == b"swapper/0"
    assert prog["init_task"].address_ == few.prog["init_task"].address_
    assert prog.symbol("schedule").address == few.prog.symbol("schedule").address
    assert prog.function("schedule").type_.type.kind == drgn.TypeKind.VOID


def test_it_says_what_it_is_and_what_it_lacks(written: Path, few: Session) -> None:
    with written.open("rb") as f:
        elf = ELFFile(f)
        notes: Any = elf.get_section_by_name(".note.btfdbg")
        note = next(iter(notes.iter_notes()))
        assert note["n_name"] == "btfdbg"
        desc = note["n_desc"]
        raw = desc.encode("latin-1") if isinstance(desc, str) else bytes(desc)
        said = json.loads(raw.rstrip(b"\0"))
        assert "not by a compiler" in said["producer"]
        assert said["build_id"] == few.build_id
        assert said["missing"]
        # What is missing has no contents, so that nobody takes zeros for data.
        for section in elf.iter_sections():
            if "unreadable" in section.name or section.name == ".init.text":
                assert section["sh_type"] == "SHT_NOBITS"


def test_every_section_holds_what_memory_holds(written: Path, few: Session) -> None:
    offset = few.vmcoreinfo.kernel_offset or 0
    checked = 0
    with written.open("rb") as f:
        for section in ELFFile(f).iter_sections():
            if section["sh_type"] != "SHT_PROGBITS" or not section["sh_flags"] & 2:
                continue
            size = min(section["sh_size"], 4096)
            f.seek(section["sh_offset"])
            assert f.read(size) == few.prog.read(section["sh_addr"] + offset, size)
            checked += size
    assert checked


def test_the_section_named_text_begins_where_code_begins(written: Path, few: Session) -> None:
    """crash moves no symbol below it: of a trimmed dump _stext stayed, and crash used no ORC."""
    start = few.lookup_symbols("_text")[0].address
    with pytest.raises(drgn.FaultError):
        few.prog.read(start, 1)
    with written.open("rb") as f:
        elf: Any = ELFFile(f)
        code = [s for s in elf.iter_sections() if s.name == ".text"]
        assert [(s["sh_addr"], s["sh_size"], s["sh_type"]) for s in code] == [
            (start - (few.vmcoreinfo.kernel_offset or 0), 0, "SHT_PROGBITS")
        ]
        (sym,) = elf.get_section_by_name(".symtab").get_symbol_by_name("_text")
        assert elf.get_section(sym["st_shndx"]).name == ".text..unreadable"


def test_runtime_addresses_are_those_of_memory(few: Session, tmp_path: Path) -> None:
    export(few, str(tmp_path / "v"), runtime=True)
    with (tmp_path / "v").open("rb") as f:
        table: Any = ELFFile(f).get_section_by_name(".symtab")
        (sym,) = table.get_symbol_by_name("init_task")
    assert sym["st_value"] == few.prog["init_task"].address_


def test_what_crash_ends_at_is_said(
    whole: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The bundled dumps were trimmed to the CPUs' own entries; newer trims keep the table.
    assert whole.symbols is not None
    names = [*FEW.split(), "__per_cpu_offset", "page_offset_base"]
    syms = [sym for name in names for sym in whole.symbols.by_name(name)]
    monkeypatch.setattr(whole, "symbols", ListedTable(syms, "a few", complete=False))
    (needed,) = export(whole, str(tmp_path / "v")).needed
    assert needed.section == "__per_cpu_offset"
    table = whole.prog["__per_cpu_offset"]
    size = drgn.sizeof(table)
    assert needed.why == f"crash reads all {size} bytes"
    whole.prog.read(needed.address, size - needed.size)
    with pytest.raises(drgn.FaultError):
        whole.prog.read(needed.address + size - needed.size, 1)


def test_a_kernel_that_names_only_its_functions_has_its_code_and_its_build_id(
    whole: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of 6.1 arm64, say, whose kallsyms has neither _text nor the ends of other sections."""
    assert whole.symbols is not None
    names = ("_stext", "_etext", "_sinittext", "_einittext", "schedule", "panic", "init_task")
    syms = [sym for name in names for sym in whole.symbols.by_name(name)]
    monkeypatch.setattr(whole, "symbols", ListedTable(syms, "a few", complete=False))
    done = export(whole, str(tmp_path / "v"))
    assert done.unnamed == ("_text", "_end", "__init_end", "linux_banner", "runqueues")
    with (tmp_path / "v").open("rb") as f:
        elf: Any = ELFFile(f)
        (note,) = elf.get_section_by_name(".note.gnu.build-id").iter_notes()
        assert note["n_desc"] == whole.build_id
        (sym,) = elf.get_section_by_name(".symtab").get_symbol_by_name("schedule")
        assert elf.get_section(sym["st_shndx"]).name.startswith(".text")
        held = [s for s in elf.iter_sections() if s.name.startswith(".text") and s["sh_size"]]
        code = [s for s in held if s["sh_type"] == "SHT_PROGBITS"]
        assert code
        for part in code:
            at = part["sh_addr"] + (whole.vmcoreinfo.kernel_offset or 0)
            assert part.data()[:16] == whole.prog.read(at, 16)


def test_a_file_that_cannot_be_written_leaves_nothing(few: Session, tmp_path: Path) -> None:
    with pytest.raises(DebugInfoError, match="no/such"):
        export(few, str(tmp_path / "no/such/file"))
    assert not list(tmp_path.iterdir())


def test_parts_are_disjoint_and_reach_the_last_symbol() -> None:
    symbols = {
        "_text": 0x1000, "_etext": 0x3000, "__start_rodata": 0x4000, "__end_rodata": 0x8000,
        "__start_notes": 0x5000, "__stop_notes": 0x5100, "_sdata": 0x9000, "_edata": 0x8000,
    }  # fmt: skip

    def address_of(name: str) -> int | None:
        return symbols.get(name)

    parts = cut(address_of, 0xA000)
    assert parts == [
        (".text", 0x1000, 0x3000),
        (".btfdbg.rest", 0x3000, 0x4000),
        (".rodata", 0x4000, 0x5000),
        (".notes", 0x5000, 0x5100),
        (".rodata", 0x5100, 0x8000),
        (".btfdbg.rest", 0x8000, 0xA001),
    ]
    assert cut(lambda name: None, 5) == []


@pytest.mark.parametrize("flags", [IS_LITTLE_ENDIAN, drgn.PlatformFlags(0)])
def test_the_file_is_of_the_byte_order_of_its_machine(
    flags: drgn.PlatformFlags, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: ByteOrder = "little" if flags else "big"
    btf = Btf.parse(Builder(byteorder=order).build())
    kernel = Kernel((), 0, False, (), btf, {}, b"", 0, {})
    monkeypatch.setattr("btfdbg.handover.vmlinux.export.gather", lambda session, without: kernel)
    power = drgn.Platform(drgn.Architecture.PPC64, drgn.PlatformFlags.IS_64_BIT | flags)
    session: Any = SimpleNamespace(
        prog=drgn.Program(power), release="", build_id="", variables=None
    )
    export(session, str(tmp_path / "vmlinux"))
    with (tmp_path / "vmlinux").open("rb") as file:
        elf = ELFFile(file)
        assert elf.little_endian == (order == "little")
        assert [unit["version"] for unit in elf.get_dwarf_info().iter_CUs()] == [4]


def test_pages_that_are_not_there_are_sections_without_contents() -> None:
    def read(address: int, size: int) -> bytes:
        if address < 0x3000 and address + size > 0x2000:
            raise drgn.FaultError("gone", address)
        return b"x" * size

    contents = Contents(read)
    pieces = [
        (piece.name, piece.start, piece.size, piece.readable, sum(map(len, data)))
        for piece, data in contents.pieces(
            [(".data", 0x1000, 0x5000), (".init.text", 0x5000, 0x6000)]
        )
    ]
    assert pieces == [
        (".data", 0x1000, 0, True, 0x1000),
        (".data..unreadable", 0x2000, 0x1000, False, 0),
        (".data..2", 0x3000, 0, True, 0x2000),
        (".init.text", 0x5000, 0x1000, False, 0),
    ]
    assert [(m.address, m.size, m.why) for m in contents.missing] == [
        (0x2000, 0x1000, "not in the dump"),
        (0x5000, 0x1000, "freed after boot"),
    ]


def test_a_large_part_is_never_in_memory_as_a_whole() -> None:
    asked: list[int] = []

    def read(address: int, size: int) -> bytes:
        asked.append(size)
        return b"x" * size

    end = 64 << 20
    _, data = next(Contents(read).pieces([(".text", 0, end)]))
    assert len(asked) == 1
    assert sum(map(len, data)) == sum(asked) == end
    assert max(asked) <= 1 << 20


def test_a_section_takes_its_contents_as_they_come() -> None:
    file = io.BytesIO()
    elf = Writer(file, 62, True)
    written: list[int] = []

    def parts() -> Iterator[bytes]:
        for part in (b"", b"one", b"", b"three"):
            written.append(file.tell())
            yield part

    elf.add(".odd", b"x")
    number = elf.add(".parts", parts(), align=8)
    assert elf.size_of(number) == 8
    assert elf.size_of(elf.add(".none", iter(()), align=8)) == 0
    assert written[-1] - written[0] > len(b"one")
    elf.finish()
    section = ELFFile(file).get_section(number)
    assert section.data() == b"onethree"
    assert section["sh_offset"] % 8 == 0


def test_a_symbol_is_in_the_section_that_holds_it() -> None:
    index = Index([(0, 0x100, 1), (0x1000, 0x2000, 2), (0x2000, 0x3000, 3)])
    assert [index.at(a) for a in (0, 0x100, 0x500, 0x1FFF, 0x2000, 0x3000, 0x3001)] == [
        1, 1, 0, 2, 3, 3, 0,
    ]  # fmt: skip


def _framed(data: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of what each entry of .debug_frame is of."""
    at = 0
    while at < len(data):
        length, cie, begin, size = struct.unpack_from("<IIQQ", data, at)
        if cie == 0:
            yield begin, begin + size
        at += 4 + length


def test_with_runtime_addresses_functions_of_modules_have_symbols_and_frames(
    oops_core: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a debugger's stack ends, or goes wrong, where a module's code is."""
    name = "cf_trigger"
    whole = session_of(btfdbg.program_from_core_dump(oops_core))
    assert whole.module_symbols is not None
    assert whole.symbols is not None
    (sym,) = (s for s in whole.module_symbols.by_name(name) if is_text(s))
    syms = [s for other in FEW.split() for s in whole.symbols.by_name(other)]
    monkeypatch.setattr(whole, "symbols", ListedTable(syms, "a few", complete=False))
    found = {}
    for runtime in (True, False):
        export(whole, str(tmp_path / "vmlinux"), runtime=runtime)
        with (tmp_path / "vmlinux").open("rb") as file:
            elf = ELFFile(file)
            table = elf.get_section_by_name(".symtab")
            assert isinstance(table, SymbolTableSection)
            symbols = table.get_symbol_by_name(name) or []
            found[runtime] = [(s["st_value"], s["st_size"]) for s in symbols]
            frames = elf.get_section_by_name(".debug_frame")
            assert frames is not None
            data = frames.data()
        covered = any(begin <= sym.address < end for begin, end in _framed(data))
        assert covered == runtime
    assert found == {True: [(sym.address, sym.size)], False: []}


def test_on_arm64_each_piece_of_code_that_is_there_has_frames(
    arm_core: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trimmed dump has the functions that its tasks are in, and not what is between."""
    whole = session_of(btfdbg.program_from_core_dump(arm_core))
    assert whole.symbols is not None
    names = {*FEW.split(), "__schedule"}
    syms = [sym for sym in whole.symbols if is_text(sym) or sym.name in names]
    monkeypatch.setattr(whole, "symbols", ListedTable(syms, "functions", complete=False))
    done = export(whole, str(tmp_path / "v"))
    with (tmp_path / "v").open("rb") as file:
        elf = ELFFile(file)
        code = [
            (s["sh_addr"], s["sh_addr"] + s["sh_size"])
            for s in elf.iter_sections()
            if s.name.startswith(".text") and s["sh_type"] == "SHT_PROGBITS"
        ]
        frames: Any = elf.get_section_by_name(".debug_frame")
        data = frames.data()
    places = list(_framed(data))
    assert len(places) == done.frames
    held = [sum(low <= first and last <= high for first, last in places) for low, high in code]
    assert sum(held) == done.frames  # none of code that is not there
    assert sum(map(bool, held)) > 10
