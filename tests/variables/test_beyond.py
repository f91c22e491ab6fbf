"""A kernel beyond the known ones: what holds, and would as well be something else."""

from __future__ import annotations

import struct

import pytest

from btfdbg.btf import Btf, Builder
from btfdbg.vardb.database import Database
from btfdbg.vardb.textdb import Entry, Kernel, TextDatabase, TrailingZeros
from btfdbg.variables.lookup import VariableTypes
from btfdbg.variables.provenance import Rejection

from .kernels import BASE, Sym, Symbols, make_program, make_variables

OLD = Kernel("amd64-full", "6.1", "6.1.5-amd64", "x86_64")
NEW = Kernel("amd64-full", "7.2", "7.2.9-amd64", "x86_64")
ARM = Kernel("arm64-full", "6.1", "6.1.5-arm64", "aarch64")
BOUNDS = (Sym("_text", 0, 1), Sym("_end", 0x8000, 1))
DATA = (Sym("_sdata", 0x80, 1), Sym("_edata", 0x2000, 1))
RODATA = (Sym("__start_rodata", 0x2000, 1), Sym("__end_rodata", 0x4000, 1))
FILE = 0x4100


def _btf() -> Btf:
    builder = Builder()
    int_ = builder.add_int("int", 4, 1)
    uint = builder.add_int("unsigned int", 4)
    ulong = builder.add_int("long unsigned int", 8)
    builder.add_typedef("ulong", ulong)
    for length in (2, 3):
        builder.add_array(int_, ulong, length)
        builder.add_array(int_, int_, length)
    builder.add_enum("mode_of_work", 4)
    builder.add_enum_value("MODE_A", 0)
    count = builder.add_struct("seqcount", 4, [])
    builder.add_field("sequence", uint, 0)
    plain = builder.add_typedef("seqcount_t", count)
    locked = builder.add_struct("seqcount_spinlock", 4, [])
    builder.add_field("seqcount", plain, 0)
    builder.add_typedef("seqcount_spinlock_t", locked)
    builder.add_struct("ida", 16, [])
    builder.add_field("flags", int_, 0)
    node = builder.add_ptr(count)
    builder.add_struct("root", 8, [])
    builder.add_field("node", node, 0)
    policy = builder.add_struct("policy", 16, [])
    builder.add_field("a", ulong, 0)
    builder.add_field("b", ulong, 64)
    const_policy = builder.add_const(policy)
    for length in (2, 3):
        builder.add_array(int_, const_policy, length)
    char = builder.add_int("char", 1)
    text = builder.add_ptr(builder.add_const(char))
    for length in (1, 2):
        builder.add_array(int_, text, length)
    builder.add_array(int_, builder.add_const(text), 2)
    builder.add_array(int_, builder.add_ptr(char), 2)
    builder.add_array(int_, policy, 2)
    builder.add_array(int_, policy, 3)
    words = builder.add_array(int_, ulong, 0)
    builder.add_struct("open", 16, [])
    builder.add_field("n", ulong, 0)
    builder.add_field("m", ulong, 64)
    builder.add_field("words", words, 128)
    return builder.to_btf()


def _database(
    *rows: tuple[str, str, tuple[Kernel, ...]], ends: dict[str, TrailingZeros] | None = None
) -> Database:
    entries = []
    for name, type_, kernels in rows:
        name, _, module = name.partition("@")
        entries.append(Entry(name, module, type_, frozenset(k.release for k in kernels)))
    text = TextDatabase((OLD, NEW, ARM), entries)
    text.tails.update(ends or {})
    return Database.from_text(text)


def _variables(
    database: Database, *symbols: Sym, memory: bytes = b"", machine: str = "x86_64"
) -> VariableTypes:
    btf, table = _btf(), Symbols(*BOUNDS, *DATA, *RODATA, *symbols)

    return make_variables(make_program(btf, memory), btf, table, database, machine=machine)


def _type(
    type_: str,
    kernels: tuple[Kernel, ...],
    *symbols: Sym,
    memory: bytes = b"",
    name: str = "v",
) -> str | None:
    database = _database((name, type_, kernels), ("w", "int", (OLD, NEW)))
    found = _variables(database, *symbols, memory=memory).find(name)
    return None if found is None else found.type.type_name()


def _memory(at: int, data: bytes) -> bytes:
    """Zeros, a file's name among the constants, and some bytes at an address."""
    memory = bytearray(0x5000)
    memory[FILE : FILE + 12] = b"mm/vmscan.c\0"
    memory[at : at + len(data)] = data
    return bytes(memory)


def _record() -> bytes:
    return struct.pack("<QII", BASE + FILE, 117, 23) + bytes(16)


@pytest.mark.parametrize(
    ("kernels", "given"), [((OLD, NEW), "struct root"), ((OLD,), None), ((NEW,), None)]
)
@pytest.mark.parametrize("behind", [BASE + 0x300, 2])
def test_what_is_not_zero_behind_a_structure_is_no_padding(
    kernels: tuple[Kernel, ...], given: str | None, behind: int
) -> None:
    memory = _memory(0x110, behind.to_bytes(8, "little"))
    symbols = (Sym("v", 0x100, 32), Sym("w", 0x120, 4))
    assert _type("struct root", kernels, *symbols, memory=memory) == given
    # Zeros are padding that the next variable's alignment asked for.
    assert _type("struct root", kernels, *symbols, memory=_memory(0, b"")) == "struct root"


def test_more_room_than_alignment_explains_is_another_variables() -> None:
    symbols = (Sym("v", 0x108, 88), Sym("w", 0x160, 4))
    assert _type("struct ida", (OLD, NEW), *symbols) == "struct ida"
    far = (Sym("v", 0x108, 0x68), Sym("w", 0x170, 4))
    assert _type("struct ida", (OLD, NEW), *far) == "struct ida"
    assert _type("struct ida", (OLD,), *far) is None
    # What goes on behind its last member is as long as it is (init_mm).
    assert _type("struct open", (OLD,), *far) == "struct open"


def test_room_ends_where_ubsans_records_begin() -> None:
    symbols = (Sym("v", 0x108, 0x68), Sym("w", 0x170, 4))
    memory = _memory(0x118, _record())
    assert _type("struct ida", (OLD,), *symbols, memory=memory) == "struct ida"
    number = (Sym("v", 0x104, 0x64), Sym("w", 0x168, 4))
    assert _type("int", (OLD,), *number, memory=_memory(0x104, bytes(4) + _record())) == "int"
    assert _type("int", (OLD,), *number, memory=_memory(0, b"")) is None


@pytest.mark.parametrize(("home", "given"), [("@m", None), ("", "int")])
def test_a_number_that_only_another_modules_variable_has_is_not_given(
    home: str, given: str | None
) -> None:
    rows = ((f"v{home}", "int", (OLD,)), ("v@n", "struct ida", (OLD,)))
    variables = _variables(_database(*rows), Sym("v", 0x104, 4), Sym("w", 0x108, 4))
    found = variables.find("v")
    assert (None if found is None else found.type.type_name()) == given


def test_a_number_of_other_machines_only_has_to_fill_its_place() -> None:
    exact = (Sym("v", 0x11C, 4), Sym("w", 0x120, 4))
    padded = (Sym("v", 0x118, 8), Sym("w", 0x120, 4))
    assert _type("int", (ARM,), *exact) == "int"
    assert _type("int", (ARM,), *padded) is None
    assert _type("int", (OLD, ARM), *padded) == "int"


@pytest.mark.parametrize(
    ("type_", "room", "contents", "given"),
    [
        ("unsigned long [3]", 24, False, None),  # a bitmap of two words leaves padding, too
        ("unsigned long [3]", 24, True, "unsigned long [3]"),
        ("int [3]", 12, False, "int [3]"),  # fills it
        ("int [2]", 16, False, None),
    ],
)
def test_an_array_of_zeros_is_as_long_as_its_place_proves(
    type_: str, room: int, contents: bool, given: str | None
) -> None:
    size = 0x120 - room
    symbols = (Sym("v", size, room), Sym("w", 0x120, 4))
    memory = _memory(size, b"\1" * (room if contents else 0))
    assert _type(type_, (OLD,), *symbols, memory=memory) == given
    assert _type(type_, (OLD, NEW), *symbols, memory=memory) == type_


def test_a_table_that_ends_in_zeros_may_have_one_row_more_if_that_fills_its_place() -> None:
    symbols = (Sym("v", 0x2010, 48), Sym("w", 0x2040, 4))
    one = _memory(0x2010, b"\1" * 16)
    rows = "tail1 const struct policy [2]"
    assert _type(rows, (OLD,), *symbols, memory=one) is None
    assert _type(rows, (OLD, NEW), *symbols, memory=one) == "const struct policy [2]"


@pytest.mark.parametrize(("usual", "given"), [(0, False), (1, True)])
def test_a_last_row_of_zeros_is_padding_where_tables_of_its_kind_have_none(
    usual: int, given: bool
) -> None:
    symbols = (Sym("v", 0x2010, 48), Sym("w", 0x2040, 4))
    ends = {"struct policy": TrailingZeros(usual, 99, 100)}
    two = _memory(0x2010, b"\1" * 32)
    for kernels in ((OLD,), (OLD, NEW)):
        database = _database(("v", "tail1 const struct policy [3]", kernels), ends=ends)
        found = _variables(database, *symbols, memory=two).find("v")
        assert (found is not None) is (given or len(kernels) > 1)


@pytest.mark.parametrize(("letter", "given"), [("d", None), ("D", "const char * const [2]")])
def test_a_table_that_no_kernel_has_const_may_be_unwritten(letter: str, given: str | None) -> None:
    words = 2 * (BASE + FILE).to_bytes(8, "little")
    symbols = (Sym("v", 0x2010, 16, letter), Sym("w", 0x2020, 4))
    memory = _memory(0x2010, words)
    found = _type("const char *[2]", (OLD,), *symbols, memory=memory)
    assert (found or "").replace("*const", "* const") == (given or "")


def test_a_sequence_counter_with_a_lock_is_a_plain_one_in_memory() -> None:
    symbols = (Sym("v", 0x104, 4), Sym("w", 0x108, 4))
    assert _type("seqcount_spinlock_t", (OLD,), *symbols) is None
    assert _type("seqcount_spinlock_t", (OLD, NEW), *symbols) == "seqcount_spinlock_t"
    assert _type("seqcount_t", (OLD,), *symbols) == "seqcount_t"


def test_a_number_named_like_an_enum_of_the_kernels_may_be_one() -> None:
    def of(name: str, kernels: tuple[Kernel, ...]) -> str | None:
        return _type("int", kernels, Sym(name, 0x104, 4), Sym("w", 0x108, 4), name=name)

    assert of("sysctl_mode_of_work", (OLD,)) is None
    assert of("sysctl_mode_of_work", (OLD, NEW)) == "int"
    assert of("sysctl_mode", (OLD,)) == "int"


def test_an_ida_has_flags_from_the_start() -> None:
    data, bss = ((Sym("v", 0x110, 16, letter), Sym("w", 0x120, 4)) for letter in "db")
    assert _type("struct ida", (OLD, NEW), *data, memory=_memory(0x110, b"\1")) == "struct ida"
    assert _type("struct ida", (OLD, NEW), *bss, memory=_memory(0x110, b"\1")) is None


def test_what_is_doubted_says_that_several_types_hold() -> None:
    database = _database(("v", "seqcount_spinlock_t", (OLD,)))
    variables = _variables(database, Sym("v", 0x104, 4), Sym("w", 0x108, 4))
    assert variables.cause("v") is Rejection.AMBIGUOUS


@pytest.mark.parametrize(
    ("type_", "kernels", "words", "given"),
    [
        ("struct root", (OLD,), (BASE, 0), True),
        ("struct root", (OLD,), (3, 0), False),  # no pointer
        ("struct root", (OLD,), (BASE, BASE), False),  # a list's head of two
        ("struct root", (OLD,), (BASE, 7), True),
        ("struct root", (OLD, NEW), (BASE, BASE), True),
        ("struct root", (OLD,), (0, 0), True),
        ("unsigned long", (OLD,), (3, 0), True),
    ],
)
def test_the_first_cpus_copy_speaks_where_the_template_is_dead(
    type_: str, kernels: tuple[Kernel, ...], words: tuple[int, int], given: bool
) -> None:
    per_cpu = (Sym("__per_cpu_start", 0x4400, 1), Sym("__per_cpu_end", 0x4800, 1))
    symbols = (Sym("v", 0x4500, 16), Sym("w", 0x4510, 4), Sym("__per_cpu_offset", 0x300, 64))
    memory = bytearray(_memory(0x4900, struct.pack("<2Q", *words)))
    memory[0x300:0x308] = (0x400).to_bytes(8, "little")
    found = _type(type_, kernels, *per_cpu, *symbols, memory=bytes(memory))
    assert found == (type_ if given else None)


@pytest.mark.parametrize(("place", "given"), [(0x110, False), (0x2010, True)])
def test_a_writable_table_of_structures_may_have_a_last_row_of_zeros(
    place: int, given: bool
) -> None:
    # Of constants one more that would fill the place to the byte is what alignment asked for.
    symbols = (Sym("v", place, 48), Sym("w", place + 48, 4))
    const = "const " if place > 0x2000 else ""
    memory = _memory(place, b"\1" * 32)
    for kernels in ((OLD,), (OLD, NEW)):
        found = _type(f"tail0 {const}struct policy [2]", kernels, *symbols, memory=memory)
        assert (found is not None) is (given or len(kernels) > 1)


@pytest.mark.parametrize(
    ("older", "newer", "arm", "given"),
    [
        ("int", "int", "int", "int"),
        ("unsigned int", "int", "int", None),  # sysctl_sched_rt_period
        ("struct ida", "int", "int", "int"),  # does not fit
        ("int", "const int", "const int", "int"),  # its place decides on that
        ("char *[2]", "const char *[2]", "const char *[2]", None),
        # x86-64 has always had the one, arm64 the other: no change in time.
        ("unsigned int", "unsigned int", "int", "int"),
    ],
)
def test_of_two_kernels_as_far_away_in_time_neither_is_believed_alone(
    older: str, newer: str, arm: str, given: str | None
) -> None:
    late = Kernel("arm64-full", "7.2", "7.2.9-arm64", "aarch64")
    rows = [("v", older, OLD), ("v", newer, NEW), ("v", arm, late)]
    entries = [Entry(n, "", t, frozenset((k.release,))) for n, t, k in rows]
    merged: dict[str, frozenset[str]] = {}
    for entry in entries:
        merged[entry.type] = merged.get(entry.type, frozenset()) | entry.kernels
    database = Database.from_text(
        TextDatabase((OLD, NEW, late), [Entry("v", "", t, k) for t, k in merged.items()])
    )
    size = 16 if "*" in older else 4
    symbols = (Sym("v", 0x100, size), Sym("w", 0x100 + size, 4))
    variables = _variables(database, *symbols, machine="aarch64")
    found = variables.find("v")
    assert (None if found is None else found.type.type_name()) == given


@pytest.mark.parametrize(("room", "given"), [(48, False), (64, True), (40, True)])
def test_a_structure_alone_is_none_that_fills_its_place_with_others(room: int, given: bool) -> None:
    # huge_boot_pages of 6.12: a list for each of 1024 nodes, in memory that was freed.
    init = (Sym("__init_begin", 0x4400, 1), Sym("__init_end", 0x4800, 1))
    symbols = (*init, Sym("v", 0x4508, room), Sym("w", 0x4508 + room, 4))
    assert _type("struct policy", (OLD,), *symbols) == ("struct policy" if given else None)
    assert _type("struct policy", (OLD, NEW), *symbols) == "struct policy"


@pytest.mark.parametrize(
    ("members", "holds", "given"), [(4, False, False), (4, True, True), (12, False, True)]
)
def test_a_table_of_one_that_holds_nothing_may_be_a_number(
    members: int, holds: bool, given: bool
) -> None:
    # huge_shmem_orders_madvise of 6.12, an unsigned long.
    rows = [(f"{n}_of_work", "const char *[1]", (OLD,)) for n in "abcdefghijkl"[:members]]
    symbols = (Sym("some_of_work", 0x100, 8), Sym("w", 0x108, 4))
    memory = _memory(0x100, (BASE + FILE).to_bytes(8, "little") if holds else b"")
    found = _variables(_database(*rows), *symbols, memory=memory).find("some_of_work")
    assert (None if found is None else found.type.type_name()) == (
        "const char *[1]" if given else None
    )
