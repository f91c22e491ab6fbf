"""Types that look alike in memory: what the BTF, the place and the room tell of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from btfdbg.btf import Btf, Builder
from btfdbg.vardb.database import Database
from btfdbg.vardb.textdb import Entry, Kernel, TextDatabase
from btfdbg.variables.lookup import VariableTypes
from btfdbg.variables.provenance import Rejection

from .kernels import BASE, Sym, Symbols, make_program, make_variables

OLD = Kernel("amd64-full", "6.1", "6.1.5-amd64", "x86_64")
NEW = Kernel("amd64-full", "7.2", "7.2.9-amd64", "x86_64")
ARM = Kernel("arm64-full", "6.1", "6.1.5-arm64", "aarch64")
BOTH = (OLD, NEW)
BOUNDS = (
    Sym("_text", 0, 1),
    Sym("_sdata", 0x80, 1),
    Sym("_edata", 0x1000, 1),
    Sym("__start_rodata", 0x2000, 1),
    Sym("__end_rodata", 0x3000, 1),
    Sym("__init_begin", 0x3000, 1),
    Sym("__init_end", 0x4000, 1),
    Sym("__per_cpu_start", 0x4000, 1),
    Sym("__per_cpu_end", 0x5000, 1),
    Sym("_end", 0x8000, 1),
)
DATA, CONST, INIT, PERCPU, STRING = 0x100, 0x2010, 0x3010, 0x4010, 0x2F00


def _btf() -> Btf:
    builder = Builder()
    int_ = builder.add_int("int", 4, 1)
    char = builder.add_int("char", 1)
    const_char = builder.add_const(char)
    anything = builder.add_ptr(0)
    lock = builder.add_struct("raw_spinlock", 4, [])
    builder.add_field("n", int_, 0)
    builder.add_typedef("raw_spinlock_t", lock)
    head = builder.add_struct("list_head", 16, [])
    for offset in (0, 64):
        builder.add_field(f"at{offset}", anything, offset)
    builder.add_array(int_, head, 1)
    builder.add_struct("listed", 24, [])
    builder.add_field("node", head, 0)
    links = builder.add_struct("", 16, [])
    for offset, name in ((0, "next"), (64, "prev")):
        builder.add_field(name, anything, offset)
    builder.add_struct("sk_buff_head", 24, [])
    builder.add_field("", links, 0)
    builder.add_struct("llist_head", 8, [])
    builder.add_field("first", anything, 0)
    stack = builder.add_struct("irq_stack", 8, [])
    builder.add_ptr(stack)
    builder.add_struct("other_stack", 8, [])
    builder.add_ptr(int_)
    text = builder.add_ptr(const_char)
    tables = {}
    for length in (2, 3, 4):
        tables[length] = builder.add_array(int_, text, length)
        builder.add_array(int_, builder.add_const(text), length)
    builder.add_struct("names", 24, [])
    builder.add_field("of_three", tables[3], 0)
    builder.add_array(int_, text, 5)
    for length in (2, 7, 8):
        builder.add_array(int_, const_char, length)
    builder.add_array(int_, int_, 2)
    builder.add_array(int_, builder.add_const(int_), 2)
    return builder.to_btf()


Row = tuple[str, str, tuple[Kernel, ...]]


def _variables(rows: Sequence[Row], *symbols: Sym, memory: bytes = b"") -> VariableTypes:
    entries = []
    for name, type_, kernels in rows:
        name, _, module = name.partition("@")
        entries.append(Entry(name, module, type_, frozenset(k.release for k in kernels)))
    btf, table = _btf(), Symbols(*BOUNDS, *symbols)
    database = Database.from_text(TextDatabase((OLD, NEW, ARM), entries))
    return make_variables(make_program(btf, memory), btf, table, database)


def _given(variables: VariableTypes, name: str = "v") -> str | None:
    found = variables.find(name)
    return None if found is None else found.type.type_name().replace("*const", "* const")


def _memory(at: int, data: bytes) -> bytes:
    memory = bytearray(0x8000)
    memory[STRING : STRING + 5] = b"text\0"
    memory[at : at + len(data)] = data
    return bytes(memory)


def _texts(count: int) -> bytes:
    return count * (BASE + STRING).to_bytes(8, "little")


def _one(
    type_: str,
    place: int,
    size: int,
    *more: Row,
    kernels: tuple[Kernel, ...] = (OLD,),
    letter: str = "d",
    data: bytes = b"",
    symbols: tuple[Sym, ...] = (),
) -> str | None:
    """What is given of a variable of so much room, with what else the database has."""
    return _given(
        _variables(
            [("v", type_, kernels), *more],
            Sym("v", place, size, letter),
            Sym("w", place + size, 16),
            *symbols,
            memory=_memory(place, data),
        )
    )


@pytest.mark.parametrize(
    ("kernels", "letter", "given"),
    [((NEW,), "d", False), ((NEW,), "D", True), ((OLD,), "d", True), (BOTH, "d", True)],
)
def test_a_static_lock_may_not_have_been_raw_before_all_kernels_that_have_it(
    kernels: tuple[Kernel, ...], letter: str, given: bool
) -> None:
    found = _one("raw_spinlock_t", DATA, 4, kernels=kernels, letter=letter)
    assert found == ("raw_spinlock_t" if given else None)


@pytest.mark.parametrize(
    ("kernels", "letter", "given"),
    [((OLD,), "b", False), ((OLD,), "d", True), (BOTH, "b", True)],
)
def test_a_list_that_points_at_itself_from_the_start_is_in_no_bss(
    kernels: tuple[Kernel, ...], letter: str, given: bool
) -> None:
    data = 2 * (BASE + DATA).to_bytes(8, "little")
    found = _one("struct list_head", DATA, 16, kernels=kernels, letter=letter, data=data)
    assert found == ("struct list_head" if given else None)


@pytest.mark.parametrize(
    ("type_", "own", "given"),
    [
        ("struct names", (0, 0), False),  # targets of s390x is no attribute_group
        ("struct names", (0, 8), True),
        ("struct listed", (0, 0), True),
        ("struct sk_buff_head", (0, 0), True),  # audit_queue
        ("struct list_head", (0, 0), True),
        ("struct list_head [1]", (0, 0), True),  # audit_rules_list
    ],
)
def test_what_points_at_itself_begins_with_a_list(
    type_: str, own: tuple[int, int], given: bool
) -> None:
    data = b"".join((BASE + DATA + offset).to_bytes(8, "little") for offset in own)
    size = 16 if "list_head" in type_ else 24
    for kernels in ((OLD,), BOTH):
        found = _one(type_, DATA, size, kernels=kernels, data=data)
        assert found == (type_ if given else None)


@pytest.mark.parametrize(("room", "given"), [(8, True), (16, False), (64, True)])
def test_a_lists_head_may_be_the_larger_one_that_fills_its_place(room: int, given: bool) -> None:
    place = 0x180 - room
    found = _one("struct llist_head", place, room)
    assert found == ("struct llist_head" if given else None)
    assert _one("struct llist_head", place, room, kernels=BOTH) == "struct llist_head"


@pytest.mark.parametrize(
    ("other", "given"),
    [("struct irq_stack *", False), ("struct other_stack *", True), ("int *", True)],
)
def test_a_pointer_to_anything_may_be_the_one_that_another_kernel_has_and_this_btf(
    other: str, given: bool
) -> None:
    # Further away than the kernel with void *, whose type is asked first.
    far = Kernel("amd64-full", "7.3", "7.3.1-amd64", "x86_64")
    rows = [("v", "void *", (OLD,)), ("v", other, (far,)), ("x", "int", (NEW,))]
    entries = [Entry(n, "", t, frozenset(k.release for k in ks)) for n, t, ks in rows]
    database = Database.from_text(TextDatabase((OLD, NEW, far), entries))
    variables = _variables([], Sym("v", DATA, 8), Sym("w", DATA + 8, 8))
    variables._load = lambda: database
    assert _given(variables) == ("void *" if given else None)


@pytest.mark.parametrize(
    ("type_", "place", "given"),
    [("int *", PERCPU, False), ("int *", DATA, True), ("const char *", PERCPU, True)],
)
def test_a_pointer_to_a_number_in_per_cpu_data_may_be_the_number(
    type_: str, place: int, given: bool
) -> None:
    assert _one(type_, place, 8) == (type_ if given else None)
    assert _one(type_, place, 8, kernels=BOTH) == type_


@pytest.mark.parametrize(
    ("text", "given"),
    [(b"rodata=\0", False), (b"rodata\0\0", True), (b"\x01\x02rodata", False), (b"", False)],
)
def test_a_string_that_is_not_freed_yet_is_as_long_as_it_reads(text: bytes, given: bool) -> None:
    found = _one("const char [7]", INIT, 8, data=text)
    assert found == ("const char [7]" if given else None)
    # What is gone is as long as elsewhere where one letter more would leave room, too.
    wide = _one("const char [7]", INIT, 16, data=text)
    assert (wide is None) is (text == b"rodata=\0")


@pytest.mark.parametrize(
    ("length", "letter", "more", "symbols", "given"),
    [
        (2, "d", (), (), False),  # initial_sid_to_string: [2] without const is of something
        (2, "D", (), (), True),
        (3, "d", (), (), True),  # a member's
        (2, "d", (("x", "const char *[2]", (OLD,)),), (), False),  # this kernel has no x
        (2, "d", (("x", "const char *[2]", (OLD,)),), (Sym("x", 0x200, 16),), True),
    ],
)
def test_a_table_without_const_in_the_btf_is_somebodys(
    length: int,
    letter: str,
    more: tuple[Row, ...],
    symbols: tuple[Sym, ...],
    given: bool,
) -> None:
    type_ = f"const char * const [{length}]"
    data = _texts(length)
    found = _one(type_, CONST, 8 * length, *more, letter=letter, data=data, symbols=symbols)
    assert found == (type_ if given else None)
    assert _one(type_, CONST, 8 * length, *more, kernels=BOTH, data=data) == type_


@pytest.mark.parametrize("type_", ["const char * const [3]", "const int [2]"])
def test_a_table_that_one_kernel_has_const_and_one_unwritten_may_be_either(type_: str) -> None:
    ours = ("ro " + type_.replace(" const [", "["), type_.replace("const int", "ro int"))
    other = ours[0] if "*" in type_ else ours[1]
    size = 24 if "*" in type_ else 8
    data = _texts(3)[:size] if "*" in type_ else b"\1" * 8
    late = ("v", other, (ARM,))
    assert _one(type_, CONST, size, data=data) == type_
    assert _one(type_, CONST, size, late, data=data) is None
    assert _one(type_, CONST, size, late, letter="D", data=data) == type_


def test_a_table_whose_length_nothing_proves_is_unwritten_or_const_as_all_kernels_have_it() -> None:
    # Of const int only [2] is in BTF: vrate_adj_pct of 6.1, which 6.12 has const.
    def of(*types: str) -> str | None:
        rows = [("v", t, (k,)) for t, k in zip(types, (OLD, NEW, ARM), strict=False)]
        variables = _variables(
            rows, Sym("v", CONST, 28), Sym("w", CONST + 28, 4), memory=_memory(CONST, b"\1" * 28)
        )
        assert variables.cause("v") in (None, Rejection.LENGTH)
        return _given(variables)

    assert of("const int [9]", "const int [9]") == "const int []"
    assert of("ro int [9]", "ro int [9]") == "int []"
    assert of("const int [9]", "const int [9]", "ro int [9]") is None


@pytest.mark.parametrize(
    ("length", "letter", "more", "given"),
    [
        (2, "d", (), False),  # abort_sources of 7.2: unwritten in all known kernels, const by now
        (2, "D", (), True),
        (5, "d", (), True),  # BTF has it without const only
        (2, "d", (("x", "const char * const [2]", (OLD,)),), True),
    ],
)
def test_a_table_that_nothing_wrote_may_be_const_by_now(
    length: int, letter: str, more: tuple[Row, ...], given: bool
) -> None:
    type_ = f"const char *[{length}]"
    found = _one(
        f"ro {type_}", CONST, 8 * length, *more, letter=letter, data=_texts(length),
        symbols=(Sym("x", 0x200, 16),),
    )  # fmt: skip
    assert found == (type_ if given else None)
    # No later kernel has it const.
    later = _one(
        f"ro {type_}", CONST, 8 * length, *more, kernels=(NEW,), letter=letter,
        data=_texts(length), symbols=(Sym("x", 0x200, 16),),
    )  # fmt: skip
    assert later == type_


def test_a_table_that_kernels_around_this_one_have_unwritten_is_so_here() -> None:
    # rdmacg_resource_names of 7.2 arm64, which 6.12 of it had among the writable data.
    types = "const char *[3]", "ro const char *[3]"
    around: list[Row] = [("v", types[0], (OLD,)), ("v", types[1], (NEW,))]
    before: list[Row] = [("v", types[0], (OLD,)), ("v", types[1], (ARM,))]
    symbols = (Sym("v", CONST, 24), Sym("w", CONST + 24, 16))
    memory = _memory(CONST, _texts(3))
    assert _given(_variables(around, *symbols, memory=memory)) == "const char *[3]"
    # All of what is known is older: it may have become const by now.
    assert _given(_variables(before, *symbols, memory=memory)) != "const char *[3]"


def test_what_a_module_has_had_under_a_name_is_this_ones_that_is_built_in() -> None:
    # producers and consumers of 7.2 arm64, whose amd64 has them in a module.
    symbols = (Sym("v", DATA, 8), Sym("w", DATA + 8, 8))
    same: list[Row] = [("v", "int *", (OLD,)), ("v@m", "int *", (ARM,))]
    assert _given(_variables(same, *symbols)) == "int *"
    changed = [*same, ("v@m", "struct llist_head", (NEW,))]
    variables = _variables(changed, *symbols)
    assert _given(variables) is None
    assert variables.cause("v") is Rejection.AMBIGUOUS
    others = [*same, ("v@n", "struct llist_head", (NEW,))]
    assert _given(_variables(others, *symbols)) == "int *"


def test_the_database_says_which_names_are_a_table() -> None:
    rows = [
        ("a", "ro int *[2]", (OLD,)), ("b@m", "int *[2]", (OLD,)), ("b", "int", (OLD,)),
        ("c", "int *[2]", (NEW,)), ("d", "int [2]", (NEW,)),
    ]  # fmt: skip
    entries = []
    for name, type_, kernels in rows:
        name, _, module = name.partition("@")
        entries.append(Entry(name, module, type_, frozenset(k.release for k in kernels)))
    database = Database.from_text(TextDatabase((OLD, NEW), entries))
    for one in (database, Database.unpack(database.pack(), "made")):
        assert list(one.names_of_table("int *[2]")) == ["a", "c"]
        assert not one.names_of_table("int *[3]")
