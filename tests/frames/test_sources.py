"""Source files: what a dump's tables say, what the shipped table says, and the verdict."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest
from drgn import Architecture, Object, Platform, Program, Type, TypeMember
from hypothesis import given, settings
from hypothesis import strategies as st

from btfdbg.cache import Cache
from btfdbg.errors import DebugInfoError
from btfdbg.frames.sources import retrieval
from btfdbg.frames.sources.bugtable import BugTable, read_table
from btfdbg.frames.sources.contents import functions_of
from btfdbg.frames.sources.kernels import Nearness
from btfdbg.frames.sources.links import Links
from btfdbg.frames.sources.lookup import SourceFiles
from btfdbg.frames.sources.model import Function, SourceFile, is_weak
from btfdbg.frames.sources.names import definition, is_made_by_macro, key_of
from btfdbg.frames.sources.pack import pack
from btfdbg.frames.sources.records import Named
from btfdbg.frames.sources.regions import KernelRegion, ModuleRegion
from btfdbg.frames.sources.strings import MAX_PATH, Strings, file_of
from btfdbg.frames.sources.table import BUILTIN, FILE_HEADER, Candidate, SourceTable
from btfdbg.frames.sources.text import FunctionText
from btfdbg.kallsyms.loaded import LoadedModule
from btfdbg.kallsyms.model import Sym, SymbolTable
from btfdbg.vardb.textdb import Kernel
from btfdbg.varextract.functions import FunctionImage, FunctionRow, tree_path

TEXT = 0xFFFFFFFF81000000
TABLE = 0xFFFFFFFF82000000
NAMES = 0xFFFFFFFF82100000
CODE = [(TEXT, TEXT + 0x100000)]


# Names


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("vfs_read", "vfs_read"),
        ("ext4_truncate.part.0.cold", "ext4_truncate"),
        ("foo.constprop.0.isra.0", "foo"),
        ("foo.llvm.123456", "foo"),
        ("foo.partial", "foo.partial"),
        ("__x64_sys_openat", "sys:openat"),
        ("__do_sys_openat", "sys:openat"),
        ("__arm64_compat_sys_openat", "compat_sys:openat"),
        ("do_sys_openat2", "do_sys_openat2"),
        ("__traceiter_sched_switch", "trace:sched_switch"),
        ("trace_event_raw_event_sched_switch", "trace:sched_switch"),
        ("do_perf_trace_sched_switch.isra.0", "trace:sched_switch"),
    ],
)
def test_one_key_for_all_symbols_of_a_definition(name: str, key: str) -> None:
    assert key_of(name) == key
    assert is_made_by_macro(name) == key.startswith("trace:")
    assert definition(definition(name)) == definition(name)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        (b"fs/inode.c", "fs/inode.c"),
        (b"./fs/inode.c", "fs/inode.c"),
        (b"drivers/gpu/drm/amd/amdgpu/../display/dc.c", "drivers/gpu/drm/amd/display/dc.c"),
        (b"/var/lib/dkms/x/x.c", "/var/lib/dkms/x/x.c"),
        (b"../../etc/passwd.c", None),
        (b"fs/../../x.c", None),
        (b"fs/ino\x1b[31mde.c", None),
        (b"fs/ino\nde.c", None),
        (b"fs/\xc3\xa4.c", None),
        (b"not a file", None),
        (b"some words.c", None),
        (b"", None),
        (None, None),
        (b"a" * MAX_PATH + b".c", None),
    ],
)
def test_only_a_printable_path_within_the_tree_is_a_file(
    name: bytes | None, file: str | None
) -> None:
    assert file_of(name) == file


def test_a_path_of_dwarf_loses_the_folder_it_was_built_in() -> None:
    assert tree_path("/build/reproducible-path/linux-6.1.9/fs/./xfs/xfs.h") == "fs/xfs/xfs.h"
    assert tree_path("fs/inode.c") == "fs/inode.c"


# The bug table


class Memory:
    """Made memory: a bug table and its names."""

    def __init__(self) -> None:
        self.prog = Program(Platform(Architecture.X86_64))
        self.pages: dict[int, bytearray] = {}
        self.prog.add_memory_segment(0, (1 << 64) - 1, self._read)
        self._name_at = NAMES + 1
        self._names: dict[bytes, int] = {}
        self.type: Type | None = None
        self.prog.register_type_finder("made", self._find, enable_index=0)

    def _find(self, prog: Program, kinds: object, name: str, filename: object) -> Type | None:
        return self.type if name == "bug_entry" else None

    def _read(self, address: int, count: int, offset: int, physical: bool) -> bytes:
        from drgn import FaultError

        out = bytearray()
        while count:
            page = self.pages.get(address // 4096)
            if page is None:
                raise FaultError("not in the dump", address)
            start = address % 4096
            part = page[start : start + count]
            out += part
            address += len(part)
            count -= len(part)
        return bytes(out)

    def put(self, address: int, data: bytes) -> None:
        for byte in data:
            page = self.pages.setdefault(address // 4096, bytearray(4096))
            page[address % 4096] = byte
            address += 1

    def name(self, text: bytes) -> int:
        if text not in self._names:
            self._names[text] = self._name_at
            self.put(self._name_at, text + b"\0")
            self._name_at += len(text) + 1
        return self._names[text]

    def layout(self, members: Sequence[tuple[str, int]], *, signed: bool = True) -> None:
        """``struct bug_entry`` of members (name, bytes)."""
        prog, at, made = self.prog, 0, []
        for name, size in members:
            kind = prog.int_type(f"i{size}{signed}", size, signed and size > 2)
            made.append(TypeMember(kind, name, at * 8))
            at += size
        self.type = prog.struct_type("bug_entry", at, made)

    def read(self, size: int) -> BugTable | None:
        return read_table(self.prog, Strings(self.prog.read), TABLE, size, CODE)


ENTRIES = (
    (TEXT + 0x10, b"fs/inode.c", 7),
    (TEXT + 0x20, b"fs/inode.c", 9),
    (TEXT + 0x80, b"include/linux/fs.h", 3),
    (TEXT + 0x100, b"fs/dcache.c", 11),
)


@pytest.mark.parametrize("own_field", [False, True])
@pytest.mark.parametrize("with_format", [False, True])
def test_displacements_are_relative_to_what_gives_names(own_field: bool, with_format: bool) -> None:
    memory = Memory()
    members = [("bug_addr_disp", 4), ("file_disp", 4), ("line", 2), ("flags", 2)]
    if with_format:
        members.insert(1, ("format_disp", 4))
    memory.layout(members)
    size = sum(n for _, n in members)
    for i, (address, name, line) in enumerate(ENTRIES):
        at = TABLE + i * size
        words = [address - at]
        if with_format:
            words.append(memory.name(b"%s is wrong\n") - at - (4 if own_field else 0))
        words.append(memory.name(name) - at - (4 * len(words) if own_field else 0))
        memory.put(at, struct.pack(f"<{len(words)}iHH", *words, line, 0))
    table = memory.read(len(ENTRIES) * size)
    assert table is not None
    assert len(table) == 4
    bug = table.at(TEXT + 0x20)
    assert bug is not None
    assert (bug.file, bug.line) == ("fs/inode.c", 9)
    assert bug.text == ("%s is wrong" if with_format else "")
    assert table.at(TEXT + 0x21) is None
    assert table.files(TEXT, TEXT + 0x100) == ["fs/inode.c", "include/linux/fs.h"]


def test_pointers_are_read_where_the_kernel_has_no_displacements() -> None:
    memory = Memory()
    memory.layout(
        [("bug_addr", 8), ("file", 8), ("line", 2), ("flags", 2), ("pad", 4)], signed=False
    )
    for i, (address, name, line) in enumerate(ENTRIES):
        memory.put(TABLE + 24 * i, struct.pack("<QQHHI", address, memory.name(name), line, 0, 0))
    table = memory.read(24 * len(ENTRIES))
    assert table is not None
    assert [table.file(i) for i in range(len(table))] == [n.decode() for _, n, _ in ENTRIES]


def made_table(memory: Memory, entries: Sequence[tuple[int, bytes, int]]) -> int:
    """Entries of 12 bytes; the size of the table."""
    memory.layout([("bug_addr_disp", 4), ("file_disp", 4), ("line", 2), ("flags", 2)])
    for i, (address, name, line) in enumerate(entries):
        at = TABLE + 12 * i
        file = memory.name(name) - at - 4
        memory.put(at, struct.pack("<iiHH", address - at, file, line, 0))
    return 12 * len(entries)


def test_the_condition_stands_before_the_file() -> None:
    memory = Memory()
    size = made_table(memory, [(TEXT + 8, b"[!list_empty(&a[0] )] fs/inode.c", 5)])
    table = memory.read(size)
    assert table is not None
    bug = table.at(TEXT + 8)
    assert bug is not None
    assert (bug.file, bug.text) == ("fs/inode.c", "!list_empty(&a[0] )")


def test_entries_in_missing_pages_and_traps_outside_of_code_are_left_out() -> None:
    memory = Memory()
    entries = [(TEXT + 16 * i, b"fs/inode.c", i) for i in range(1, 1001)]
    entries[5] = (TEXT - 4096, b"fs/inode.c", 5)
    size = made_table(memory, entries)
    del memory.pages[TABLE // 4096 + 1]
    table = memory.read(size)
    assert table is not None
    assert table.at(TEXT - 4096) is None
    assert table.at(TEXT + 16) is not None
    assert table.at(TEXT + 16 * 1000) is not None
    assert table.at(TEXT + 16 * 400) is None  # in the page that is missing
    assert 340 <= table.left_out <= 345


def test_names_without_an_end_and_with_control_characters_are_left_out() -> None:
    memory = Memory()
    entries = [
        (TEXT + 8, b"fs/inode.c", 1),
        (TEXT + 16, b"fs/\x1b[2Jx.c", 2),
        (TEXT + 24, b"../../../etc/x.c", 3),
        (TEXT + 32, b"x" * 5000 + b".c", 4),
    ]
    table = memory.read(made_table(memory, entries))
    assert table is not None
    assert [table.file(i) for i in range(4)] == ["fs/inode.c", None, None, None]
    assert table.at(TEXT + 16) is None


@settings(deadline=None, max_examples=60)
@given(st.binary(min_size=12, max_size=400))
def test_a_crafted_table_gives_nothing_or_names_of_files(data: bytes) -> None:
    memory = Memory()
    made_table(memory, ENTRIES)
    memory.put(TABLE + 48, data)
    table = memory.read(48 + len(data))
    for number in range(0 if table is None else len(table)):
        assert table is not None
        file = table.file(number)
        assert file is None or (file.isprintable() and not file.startswith("../"))


@pytest.mark.parametrize("size", [0, -12, 1 << 40])
def test_a_table_of_no_sensible_size_is_none(size: int) -> None:
    memory = Memory()
    made_table(memory, ENTRIES)
    assert memory.read(size) is None


# The map and the table


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.binary(min_size=1, max_size=20), st.integers(0, 5000), max_size=300))
def test_the_map_gives_what_was_put_in(numbers: dict[bytes, int]) -> None:
    data = retrieval.build(numbers, 8)
    found = retrieval.Retrieval.parse(memoryview(data))
    assert all(found.find(name) == number for name, number in numbers.items())


def test_the_map_rarely_knows_what_was_not_put_in() -> None:
    data = retrieval.build({b"in%d" % i: i for i in range(2000)}, 10)
    found = retrieval.Retrieval.parse(memoryview(data))
    strangers = sum(found.find(b"out%d" % i) is not None for i in range(20000))
    assert strangers < 60  # 20 are expected


def kernel(series: str, flavour: str = "amd64-cloud", machine: str = "x86_64") -> Kernel:
    return Kernel(flavour, series, f"{series}.1-{flavour}", machine)


def image(module: str, *functions: tuple[str, str]) -> FunctionImage:
    rows = tuple(FunctionRow(n, 16 * i, 16, f, 1) for i, (n, f) in enumerate(functions))
    return FunctionImage(module, "x86_64", rows, ())


def made_text() -> FunctionText:
    text = FunctionText()
    text.merge(
        kernel("6.1"),
        [
            image(
                "",
                ("vfs_read", "fs/read_write.c"),
                ("moved", "fs/cifs/file.c"),
                ("show", "fs/a.c"),
                ("show", "fs/b.c"),
                ("first", "fs/a.c"),
                ("last", "fs/b.c"),
                ("gone", "fs/gone.c"),
            ),
            image("one", ("one_init", "drivers/one.c"), ("kzalloc", "include/linux/slab.h")),
        ],
    )
    text.merge(
        kernel("6.12"),
        [
            image(
                "",
                ("vfs_read", "fs/read_write.c"),
                ("moved", "fs/smb/client/file.c"),
                ("show", "fs/a.c"),
                ("show", "fs/b.c"),
                ("first", "fs/a.c"),
                ("last", "fs/b.c"),
            ),
            image("two", ("two_init", "drivers/two-main.c"), ("two_io", "drivers/two-io.c")),
        ],
    )
    return text


def made(text: FunctionText | None = None) -> SourceTable:
    return SourceTable.unpack(pack(text or made_text(), check_bits=16), "made")


def test_the_table_gives_each_file_with_its_kernels() -> None:
    table = made()
    assert table.find("vfs_read") == (Candidate("fs/read_write.c", 0),)
    assert set(table.find("moved")) == {
        Candidate("fs/cifs/file.c", 1),
        Candidate("fs/smb/client/file.c", 2),
    }
    assert table.find("nobody") == ()
    assert table.files_of("two") == frozenset({"drivers/two-main.c", "drivers/two-io.c"})
    assert table.files_of("three") is None


def test_the_source_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("text") / "functions.txt"
    text = made_text()
    text.write(path, "# a comment\n")
    again = FunctionText.read(path)
    assert list(again) == list(text)
    second = path.with_name("again.txt")
    again.write(second, "# a comment\n")
    assert second.read_text() == path.read_text()


def test_a_kernel_that_is_merged_again_is_replaced() -> None:
    text = made_text()
    text.merge(kernel("6.1"), [image("", ("vfs_read", "fs/other.c"))])
    assert {e.file for e in text if e.key == "vfs_read"} == {"fs/other.c", "fs/read_write.c"}
    assert not [e for e in text if e.key == "gone"]


def test_without_a_series_nothing_of_it_is_left() -> None:
    table = made(made_text().without(frozenset({"6.1"})))
    assert [k.series for k in table.kernels] == ["6.12"]
    assert table.find("gone") == ()
    assert table.find("moved") == (Candidate("fs/smb/client/file.c", 0),)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:10],
        lambda data: b"garbage" + data,
        lambda data: data[:-1],
        lambda data: data[:-5] + b"\0\1\2\3\4",
        lambda data: data[:8] + b"\xff\0\0\0" + data[12:],
        lambda data: data[: FILE_HEADER.size] + b"\0" * (len(data) - FILE_HEADER.size),
    ],
)
def test_a_damaged_table_is_said_in_one_line(spoil: object) -> None:
    data = pack(made_text())
    with pytest.raises(DebugInfoError) as e:
        SourceTable.unpack(spoil(data), "files.db")  # type: ignore[operator]
    assert "\n" not in str(e.value)
    assert e.value.hint


def test_the_text_of_a_table_is_kept_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, cache = pack(made_text(), check_bits=16), Cache(str(tmp_path / "cache"))
    SourceTable.unpack(data, "made", cache)
    other = pack(made_text().without(frozenset({"6.1"})), check_bits=16)
    assert SourceTable.unpack(other, "other", cache).find("gone") == ()
    kept = list((tmp_path / "cache").iterdir())
    assert len(kept) == 2

    monkeypatch.setitem(sys.modules, "zstandard", None)  # cannot be imported
    table = SourceTable.unpack(data, "made", cache)
    assert table.find("vfs_read") == (Candidate("fs/read_write.c", 0),)
    assert table.find("gone") != ()
    assert table.files_of("two") == frozenset({"drivers/two-main.c", "drivers/two-io.c"})
    with pytest.raises(ImportError):
        SourceTable.unpack(data, "made")
    for path in kept:
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ImportError):
        SourceTable.unpack(data, "made", cache)


def test_the_nearest_kernel_counts() -> None:
    kernels = [kernel("5.10"), kernel("6.12"), kernel("6.12", "arm64-cloud", "aarch64")]
    a, b, c = Candidate("a.c", 1), Candidate("b.c", 2), Candidate("c.c", 4)
    assert Nearness(kernels, "5.10.7", "x86_64").nearest([a, b]) == [a]
    assert Nearness(kernels, "6.12.7", "aarch64").nearest([a, b, c]) == [c]
    assert Nearness(kernels, "7.2.0", "x86_64").nearest([a, b, c]) == [b]
    assert Nearness(kernels, "no release", "x86_64").nearest([b]) == [b]


# The verdict


class Made:
    """A region of made functions, 0x10 bytes each."""

    def __init__(
        self,
        names: Sequence[str],
        *,
        module: str = "",
        bugs: BugTable | None = None,
        records: dict[str, Named] | None = None,
        links: Links | None = None,
    ) -> None:
        self.module = module
        self.bugs = bugs
        self.records = records or {}
        self.links = links
        self.functions = [Sym(n, TEXT + 16 * i, 16, "T") for i, n in enumerate(names)]

    def at(self, address: int) -> Sym | None:
        number = (address - TEXT) // 16
        return self.functions[number] if 0 <= number < len(self.functions) else None

    def named(self, name: str) -> list[Sym]:
        return [f for f in self.functions if f.name == name]

    def before(self, function: Function) -> Sym | None:
        return self.at(function.address - 1)

    def behind(self, function: Function) -> Sym | None:
        return self.at(function.address + 16)

    def is_weak(self, function: Function) -> bool:
        return is_weak(function)

    def names(self) -> Iterator[str]:
        return (f.name for f in self.functions)

    def all(self) -> Iterator[Sym]:
        return iter(self.functions)


def bugs_of(*entries: tuple[int, bytes]) -> BugTable:
    """A bug table: (number of the function, file)."""
    memory = Memory()
    made_entries = [(TEXT + 16 * n + 8, file, 100 + n) for n, file in entries]
    table = memory.read(made_table(memory, made_entries))
    assert table is not None
    return table


def ask(region: Made, name: str, *, release: str = "6.12.3", table: bool = True) -> object:
    files = SourceFiles(
        lambda address: region,
        release=release,
        machine="x86_64",
        load=made if table else None,
    )
    found = files.find(region.named(name)[-1].address)
    return None if found is None else found.file


REGIONS: dict[str, Callable[[], Made]] = {
    "the table": lambda: Made(["first", "between", "first.cold", "last", "vfs_read"]),
    "between": lambda: Made(
        ["x", "a", "b", "c.cold", "d", "e", "c"], bugs=bugs_of((1, b"fs/a.c"), (5, b"fs/a.c"))
    ),
    "records": lambda: Made(["a", "b", "d"], records={"b": Named(("fs/a.c",), "dynamic debug")}),
    "a module of one file": lambda: Made(["new", "vfs_read", "p.isra.0"], module="one"),
    "a stranger": lambda: Made(
        ["vfs_read", "b"], module="stranger", bugs=bugs_of((0, b"/src/fs/a.c"))
    ),
}


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("file", ["fs/a.c", "a.c", "read_write.c", "drivers/one.c", "none.c"])
def test_a_files_functions_are_those_that_are_in_it(file: str, region: str, alone: bool) -> None:
    where = REGIONS[region]()

    def lookup() -> SourceFiles:
        load = None if alone else made
        return SourceFiles(lambda address: where, release="6.12.3", machine="x86_64", load=load)

    def wanted(path: str) -> bool:
        return path == file or path.endswith(f"/{file}")

    one = lookup()
    places = [(f, one.of_function(where, f)) for f in where.all()]
    expected = [(f.name, place[0]) for f, place in places if place and wanted(place[0])]
    found = functions_of(lookup(), [where], wanted)
    assert [(function.name, path) for _, function, path in found] == expected


def test_the_cases_of_files_have_functions_to_find() -> None:
    files = SourceFiles(lambda address: None, release="6.12.3", machine="x86_64", load=made)
    counts = {
        name: len(list(functions_of(files, [build()], lambda path: path.endswith(".c"))))
        for name, build in REGIONS.items()
    }
    assert all(counts.values()), counts


def test_entries_in_missing_pages_are_left_out_and_others_stay() -> None:
    memory = Memory()
    count = 3 * 4096 // 12
    entries = [(TEXT + 16 * n, b"fs/inode.c", n + 1) for n in range(count)]
    size = made_table(memory, entries)
    del memory.pages[TABLE // 4096 + 1]
    table = memory.read(size)
    assert table is not None
    first, last = -(-4096 // 12) - 1, 2 * 4096 // 12 + 1
    kept = {(table.address(n) - TEXT) // 16 for n in range(len(table))}
    assert kept == {*range(first), *range(last, count)}
    bug = table.at(TEXT + 16 * (count - 1))
    assert bug is not None
    assert bug.line == count


def test_a_line_is_given_at_the_trap_and_nowhere_else() -> None:
    region = Made(["vfs_read"], bugs=bugs_of((0, b"fs/read_write.c")))
    files = SourceFiles(lambda address: region, release="6.12", machine="x86_64", load=made)
    assert files.find(TEXT + 8) == SourceFile("fs/read_write.c", 100, "bug table")
    found = files.find(TEXT + 9)
    assert found is not None
    assert (found.line, found.evidence) == (None, "table and bug table")


def test_a_file_that_moved_is_where_the_nearest_kernel_has_it() -> None:
    assert ask(Made(["moved"]), "moved", release="6.1.3") == "fs/cifs/file.c"
    assert ask(Made(["moved"]), "moved", release="6.12.3") == "fs/smb/client/file.c"


def test_an_answer_of_another_series_must_fit_what_lies_around() -> None:
    def asked(names: list[str], *bugs: tuple[int, bytes], name: str = "first") -> object:
        region = Made(names, bugs=bugs_of(*bugs) if bugs else None)
        return ask(region, name, release="7.2.3")

    assert asked(["vfs_read", "first"]) == "fs/a.c"  # a neighbour of the same folder
    assert asked(["x", "first", "y"]) is None  # nothing speaks for it
    assert asked(["moved", "first"]) is None  # nor does another folder
    assert asked(["last", "first", "last"]) is None  # both neighbours speak against it
    # The dump itself has another file on both sides, or says that the file was split.
    new = b"fs/new.c"
    assert asked(["a", "vfs_read", "first", "b"], (0, new), (3, new)) is None
    assert asked(["vfs_read", "first", "show2", "first"], (3, new), name="first") is None
    assert asked(["a", "b", "c"], (0, new), (2, new), name="b") == "fs/new.c"


def test_what_lies_between_files_of_one_folder_is_not_of_another() -> None:
    """The linker takes folder by folder; fs/block_dev.c has long gone to block/."""
    text = FunctionText()
    functions = [("one", "fs/ext4/a.c"), ("two", "fs/ext4/deep/b.c"), ("three", "block/c.c")]
    functions += [("four", "block/c.c"), ("five", "mm/d.c"), ("six", "fs/ext4/e.c")]
    functions += [("seven", "fs/f.c"), ("eight", "fs/f.c"), ("nine", "fs/ext4/deep/b.c")]
    text.merge(kernel("6.12"), [image("", *functions)])

    def asked(names: list[str], name: str) -> object:
        region = Made(names)
        files = SourceFiles(
            lambda address: region, release="7.2.3", machine="x86_64", load=lambda: made(text)
        )
        found = files.find(region.named(name)[0].address)
        return None if found is None else found.file

    assert asked(["one", "x", "three", "y", "four", "six"], "three") is None
    assert asked(["seven", "x", "three", "y", "four", "one"], "four") is None
    assert asked(["one", "x", "three", "y", "four", "five"], "three") == "block/c.c"
    assert asked(["x", "three", "y", "four", "one"], "three") == "block/c.c"
    assert asked(["one", "two", "nine", "six"], "two") == "fs/ext4/deep/b.c"
    assert asked(["one", "seven", "eight", "six"], "seven") is None
    assert asked(["five", "seven", "eight", "six"], "seven") == "fs/f.c"


def lettered(letters: dict[str, str], *names: str) -> Made:
    """A region with the letters that nm would print; global where none is given."""
    region = Made(names)
    region.functions = [
        Sym(f.name, f.address, f.size, letters.get(f.name, "T")) for f in region.functions
    ]
    return region


@pytest.mark.parametrize("letter", ["T", "W", "w"])
def test_a_weak_default_stands_where_it_is_and_not_where_the_real_one_is(letter: str) -> None:
    """kernel/sys_ni.c has the names of all system calls that a configuration lacks."""
    given = "fs/a.c" if letter == "T" else None
    letters = {"first": letter}
    assert ask(lettered(letters, "last", "first", "last"), "first") == given
    assert ask(lettered(letters, "vfs_read", "first"), "first") == given  # of its folder
    # Nor do weak ones speak for each other.
    text = FunctionText()
    functions = [("one", "fs/a.c"), ("two", "fs/a.c"), ("three", "fs/b.c"), ("four", "fs/b.c")]
    text.merge(kernel("6.12"), [image("", *functions)])

    def asked(region: Made) -> object:
        files = SourceFiles(
            lambda address: region, release="6.12", machine="x86_64", load=lambda: made(text)
        )
        found = files.find(region.named("one")[0].address)
        return None if found is None else found.file

    assert asked(lettered({"one": letter, "two": letter}, "three", "one", "two", "four")) == given
    assert asked(lettered({"one": letter}, "three", "one", "two", "four")) == "fs/a.c"


@pytest.mark.parametrize("letter", ["T", "t"])
@pytest.mark.parametrize("release", ["6.12.1-amd64-cloud", "6.12.1-own"])
def test_a_headers_stub_is_not_what_another_configuration_has(letter: str, release: str) -> None:
    """``security_*()`` is a static inline function where there is no security/security.c."""
    once = lettered({"first": letter}, "x", "moved", "first", "moved")
    trusted = letter == "T" or release == "6.12.1-amd64-cloud"
    assert ask(once, "first", release=release) == ("fs/a.c" if trusted else None)
    twice = lettered({"first": letter}, "first", "x", "moved", "first", "moved")
    assert ask(twice, "first", release=release) == ("fs/a.c" if letter == "T" else None)
    there = lettered({"first": letter}, "x", "vfs_read", "first", "y")
    assert ask(there, "first", release=release) == "fs/a.c"


def test_same_named_functions_side_by_side_are_not_told_apart() -> None:
    """With -ffunction-sections, so with link time optimisation, the linker sorts by name."""
    assert ask(Made(["first", "show", "last"]), "show") is None
    assert ask(Made(["first", "x", "show", "y"]), "show") == "fs/a.c"
    assert ask(Made(["first", "show", "show", "y"]), "show") is None
    assert ask(Made(["first", "show", "show", "last"]), "show") is None


@pytest.mark.parametrize(("release", "given"), [("6.12.1", None), ("6.1.1", "fs/old.c")])
def test_a_file_split_between_the_tables_kernels_needs_both_neighbours(
    release: str, given: str | None
) -> None:
    """6.12 as a table of 6.1 and 7.2 sees it: which of both has the function is not known."""
    text = FunctionText()
    known = [("first", "fs/old.c"), ("last", "fs/other.c")]
    text.merge(kernel("6.1"), [image("", *known, ("piece", "fs/old.c"), ("piece", "fs/b.c"))])
    text.merge(kernel("7.2"), [image("", *known, ("piece", "fs/new.c"), ("piece", "fs/b.c"))])

    def asked(*names: str) -> object:
        region = Made(names)
        files = SourceFiles(
            lambda address: region, release=release, machine="x86_64", load=lambda: made(text)
        )
        found = files.find(region.named("piece")[0].address)
        return None if found is None else found.file

    assert asked("first", "piece", "last") == given
    assert asked("first", "piece", "first") == "fs/old.c"
    assert asked("first", "piece") == "fs/old.c"


class Symbols:
    """Symbols of the kernel image: (name, letter), 16 bytes each."""

    def __init__(self, *symbols: tuple[str, str]) -> None:
        self.all = [Sym(n, TEXT + 16 * i, 16, letter) for i, (n, letter) in enumerate(symbols)]

    def by_name(self, name: str) -> tuple[Sym, ...]:
        return tuple(s for s in self.all if s.name == name)

    def by_address(self, address: int) -> Sym | None:
        return next((s for s in self.all if s.address <= address < s.address + 16), None)


def kernel_region(*symbols: tuple[str, str]) -> tuple[KernelRegion, dict[str, Sym]]:
    made = Symbols(*symbols)
    prog = Program()
    return KernelRegion(prog, cast("SymbolTable", made), Strings(prog.read)), {
        s.name: s for s in made.all
    }


def test_where_all_functions_were_made_local_none_is_static() -> None:
    """clang's ThinLTO with CFI: what modules are given is local too."""
    for letter in "tT":
        region, by_name = kernel_region(("kfree", letter), ("helper", "t"))
        assert region.is_static(by_name["helper"]) == (letter == "T")
        assert not region.is_static(by_name["kfree"])


def test_before_a_local_function_stands_whether_it_was_weak() -> None:
    region, by_name = kernel_region(
        ("__cfi_real", "T"),
        ("real", "t"),
        ("__cfi_default", "W"),
        ("default", "t"),
        ("bare", "t"),
        ("plain", "W"),
        ("global", "T"),
    )
    weak = [name for name, symbol in by_name.items() if region.is_weak(symbol)]
    assert [name for name in weak if not name.startswith("__cfi_")] == ["default", "plain"]


def test_a_modules_functions_have_neighbours_in_their_own_section_alone() -> None:
    names = [Sym(f"f{i}", TEXT + 16 * i, 16, "t") for i in range(6)]
    prog = Program(Platform(Architecture.X86_64))
    loaded = LoadedModule("zram", Object(prog, "void *", 0), ((TEXT, TEXT + 96),))
    strings = Strings(prog.read)
    region = ModuleRegion(prog, loaded, iter(names), strings, None, [TEXT + 32, TEXT + 64])

    def beside(number: int) -> list[str | None]:
        around = region.before(names[number]), region.behind(names[number])
        return [None if f is None else f.name for f in around]

    assert [beside(n) for n in range(6)] == [
        [None, "f1"],
        ["f0", None],
        [None, "f3"],
        ["f2", None],
        [None, "f5"],
        ["f4", None],
    ]


def test_a_cold_part_is_where_its_function_is() -> None:
    names = ["vfs_read", "x", "y", "vfs_read.cold", "z.cold"]
    region = Made(names, bugs=bugs_of((0, b"vfs/read_write.c")))
    assert ask(region, "vfs_read.cold") == "vfs/read_write.c"
    assert ask(region, "z.cold", table=False) is None


def test_a_file_that_moved_since_is_where_the_dump_has_it() -> None:
    region = Made(["vfs_read"], bugs=bugs_of((0, b"vfs/read_write.c")))
    assert ask(region, "vfs_read") == "vfs/read_write.c"


def test_nothing_is_said_where_the_dump_contradicts_the_table() -> None:
    region = Made(["vfs_read"], bugs=bugs_of((0, b"fs/inode.c")))
    assert ask(region, "vfs_read") is None


def test_same_named_functions_are_told_apart_by_their_neighbours_or_not_at_all() -> None:
    assert ask(Made(["first", "show", "x"]), "show") == "fs/a.c"
    assert ask(Made(["x", "show", "last"]), "show") == "fs/b.c"
    assert ask(Made(["first", "show", "last"]), "show") is None
    assert ask(Made(["x", "show", "y"]), "show") is None


def test_a_function_between_two_of_one_file_is_of_it() -> None:
    bugs = bugs_of((0, b"fs/inode.c"), (3, b"fs/inode.c"), (4, b"fs/dcache.c"))
    names = ["a", "b", "c", "d", "e", "f"]
    for table in (False, True):
        assert ask(Made(names, bugs=bugs), "b", table=table) == "fs/inode.c"
        assert ask(Made(names, bugs=bugs), "f", table=table) is None


@pytest.mark.parametrize("name", ["perf_trace_sched_switch", "twice"])
def test_what_headers_make_is_not_between(name: str) -> None:
    bugs = bugs_of((0, b"fs/inode.c"), (2, b"fs/inode.c"))
    assert ask(Made(["a", name, "c", "twice"], bugs=bugs), name, table=False) is None


def test_files_that_stand_mixed_are_not_trusted_between() -> None:
    order = [b"kernel/sched/rt.c", b"kernel/sched/deadline.c", b"kernel/sched/deadline.c"]
    order += [b"kernel/sched/rt.c"]
    bugs = bugs_of(*((2 * i, file) for i, file in enumerate(order)))
    assert ask(Made([f"f{i}" for i in range(8)], bugs=bugs), "f3", table=False) is None


@pytest.mark.parametrize(
    ("header", "given"),
    [(b"fs/inode_more.h", None), (b"include/linux/fs.h", "fs/inode.c"), (b"mm/a.h", "fs/inode.c")],
)
def test_beside_code_of_a_header_in_the_files_own_folder_nothing_is_said(
    header: bytes, given: str | None
) -> None:
    """Such a header holds whole functions (kernel/rcu/tree_exp.h)."""
    bugs = bugs_of((0, b"fs/inode.c"), (2, header), (5, b"fs/inode.c"))
    names = ["a", "b", "c", "d", "e", "f"]
    assert ask(Made(names, bugs=bugs), "d", table=False) == given
    assert ask(Made(names, bugs=bugs), "e", table=False) == given


def test_headers_do_not_say_where_a_function_is() -> None:
    region = Made(["a"], bugs=bugs_of((0, b"include/linux/fs.h")))
    assert ask(region, "a", table=False) is None


def test_other_tables_of_the_dump_name_functions() -> None:
    records = {"a": Named(("fs/a.c",), "dynamic debug"), "b": Named(("x.c", "y.c"), "")}
    region = Made(["a", "b"], records=records)
    assert ask(region, "a", table=False) == "fs/a.c"
    assert ask(region, "b", table=False) is None
    twice = Made(["a", "x", "a"], records=records)
    assert ask(twice, "a", table=False) is None


def test_a_module_has_only_its_own_files() -> None:
    assert ask(Made(["two_io"], module="two"), "two_io") == "drivers/two-io.c"
    assert ask(Made(["vfs_read"], module="two"), "vfs_read") is None
    assert ask(Made(["new_one"], module="one"), "new_one") == "drivers/one.c"
    assert ask(Made(["kzalloc"], module="one"), "kzalloc") == "include/linux/slab.h"
    assert ask(Made(["new_two"], module="two"), "new_two") is None


def test_the_names_of_a_stranger_s_module_are_not_looked_up() -> None:
    assert ask(Made(["vfs_read", "show"], module="stranger"), "vfs_read") is None
    region = Made(["vfs_read"], module="stranger", bugs=bugs_of((0, b"/src/stranger/main.c")))
    assert ask(region, "vfs_read") == "/src/stranger/main.c"


def test_a_table_that_cannot_be_read_is_a_note_and_the_dump_still_answers() -> None:
    problems: list[DebugInfoError] = []

    def load() -> SourceTable:
        return SourceTable.unpack(b"nothing", "files.db")

    region = Made(["a"], bugs=bugs_of((0, b"fs/inode.c")))
    files = SourceFiles(
        lambda address: region,
        release="6.12",
        machine="x86_64",
        load=load,
        on_problem=problems.append,
    )
    for _ in range(2):
        found = files.find(TEXT)
        assert found is not None
        assert found.file == "fs/inode.c"
    assert len(problems) == 1


def test_the_shipped_table_knows_the_kernel() -> None:
    table = SourceTable.load(BUILTIN)
    assert table.find("vfs_read") == (Candidate("fs/read_write.c", 0),)
    assert table.find("sys:openat") == (Candidate("fs/open.c", 0),)
    assert table.find("trace:sched_switch") == (Candidate("include/trace/events/sched.h", 0),)


def test_the_folder_of_a_file_is_its_subsystem() -> None:
    assert SourceFile("drivers/net/ethernet/intel/e1000e/netdev.c", None, "").subsystem == (
        "drivers/net/ethernet"
    )
    assert SourceFile("fs/inode.c", None, "").subsystem == "fs"


@pytest.mark.parametrize(
    ("machine", "file"),
    [
        ("x86_64", "arch/x86/lib/delay.c"),
        ("aarch64", None),
        ("s390x", None),
        ("mips64", "arch/x86/lib/delay.c"),  # has no row: nothing is known of its folders
    ],
)
def test_a_file_of_another_architecture_is_no_candidate(machine: str, file: str | None) -> None:
    text = FunctionText()
    text.merge(kernel("6.12"), [image("", ("__delay", "arch/x86/lib/delay.c"))])
    region = Made(["__delay"])
    files = SourceFiles(
        lambda address: region, release="6.12.3", machine=machine, load=lambda: made(text)
    )
    found = files.find(TEXT)
    assert (found and found.file) == file
