"""What changes from kernel to kernel and still fits: each kind was wrong once."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import drgn
import pytest

from btfdbg.btf import Btf, Builder, kinds
from btfdbg.vardb.database import Database
from btfdbg.vardb.textdb import Entry, Kernel, TextDatabase, TrailingZeros
from btfdbg.variables.lookup import VariableTypes
from btfdbg.variables.provenance import Rejection

from .kernels import BASE, RELEASE, Sym, Symbols, make_program, make_variables

OLD = Kernel("amd64-full", "6.1", "6.1.5-amd64", "x86_64")
OLDER = Kernel("amd64-full", "5.10", "5.10.5-amd64", "x86_64")
OLDEST = Kernel("amd64-full", "4.19", "4.19.5-amd64", "x86_64")
NEW = Kernel("amd64-full", "7.2", "7.2.9-amd64", "x86_64")
BOTH = (OLD, NEW)
LASTING = (OLDEST, OLDER, OLD)
BOUNDS = (
    Sym("_text", 0, 1),
    Sym("_sdata", 0x80, 1),
    Sym("_edata", 0x2000, 1),
    Sym("__start_rodata", 0x2000, 1),
    Sym("__end_rodata", 0x4000, 1),
    Sym("_end", 0x8000, 1),
)
Row = tuple[str, str, tuple[Kernel, ...]]
LOCK_IRQ = 1
ALLOC = 0x0200_0004


def _btf() -> Btf:
    builder = Builder()
    int_ = builder.add_int("int", 4, 1)
    uint = builder.add_int("unsigned int", 4)
    short = builder.add_int("unsigned short", 2)
    ulong = builder.add_int("unsigned long", 8)
    builder.add_typedef("bool", builder.add_int("_Bool", 1, 4))
    u16 = builder.add_typedef("u16", short)
    u32 = builder.add_typedef("u32", uint)
    builder.add_ptr(u16)
    builder.add_ptr(u32)
    per_cpu = builder.add_var("to_apicid", 1, u32)
    builder.add_datasec(".data..percpu", 4, [kinds.VarSecinfo(per_cpu, 0, 4)])
    builder.add_typedef("spinlock_t", builder.add_struct("spinlock", 4, []))
    array = builder.add_struct("xarray", 16, [])
    builder.add_field("xa_lock", uint, 0)
    builder.add_field("xa_flags", uint, 32)
    builder.add_field("xa_head", ulong, 64)
    builder.add_struct("ida", 16, [])
    builder.add_field("xa", array, 0)
    desc = builder.add_struct("desc", 16, [])
    builder.add_field("a", ulong, 0)
    builder.add_field("b", ulong, 64)
    builder.add_const(desc)
    for name in ("branch", "div"):
        builder.add_struct(name, 24, [])
        for i in range(3):
            builder.add_field(f"{name}{i}", ulong, 64 * i)
    group = builder.add_ptr(builder.add_struct("group", 8, []))
    for length in (2, 3):
        builder.add_array(int_, group, length)
    for length in (3, 4):
        builder.add_array(int_, uint, length)
    policy = builder.add_struct("nla_policy", 16, [])
    policy = builder.add_const(policy)
    for length in (1, 31, 32):
        builder.add_array(int_, policy, length)
    builder.add_array(int_, int_, 4)
    builder.add_array(int_, builder.add_const(int_), 4)
    builder.add_array(int_, builder.add_const(uint), 4)
    return builder.to_btf()


def _variables(
    rows: Sequence[Row],
    *symbols: Sym,
    contents: Sequence[tuple[int, bytes]] = (),
    tails: dict[str, TrailingZeros] | None = None,
    release: str = RELEASE,
) -> VariableTypes:
    memory = bytearray(0x8000)
    for at, data in contents:
        memory[at : at + len(data)] = data
    entries = []
    for name, type_, kernels in rows:
        name, _, module = name.partition("@")
        entries.append(Entry(name, module, type_, frozenset(k.release for k in kernels)))
    text = TextDatabase((OLDEST, OLDER, OLD, NEW), entries)
    text.tails.update(tails or {})
    btf, table = _btf(), Symbols(*BOUNDS, *symbols)
    prog = make_program(btf, bytes(memory))
    of_attributes = drgn.Object(prog, prog.int_type("int", 4, is_signed=True), 32)
    prog.register_object_finder(
        "test",
        lambda prog, name, flags, file: of_attributes if name == "__RTA_MAX" else None,
        enable_index=0,
    )
    return make_variables(prog, btf, table, Database.from_text(text), release=release)


def _given(variables: VariableTypes, at: int, name: str = "v") -> str | None:
    found = variables.find_at(name, BASE + at)
    return None if found is None else found.type.type_name()


@pytest.mark.parametrize(
    ("flags", "kernels", "given"),
    [
        (ALLOC | LOCK_IRQ, (OLD,), "struct ida"),
        (ALLOC, (OLD,), None),  # DEFINE_XARRAY_ALLOC(), as of ptp_clocks_map
        (ALLOC, BOTH, "struct ida"),
        (0, (OLD,), "struct ida"),  # set up later
    ],
)
def test_the_array_in_an_ida_locks_with_interrupts_off(
    flags: int, kernels: tuple[Kernel, ...], given: str | None
) -> None:
    data = struct.pack("<IIQ", 0, flags, 0)
    symbols = Sym("v", 0x110, 16), Sym("w", 0x120, 16)
    variables = _variables([("v", "struct ida", kernels)], *symbols, contents=[(0x110, data)])
    assert _given(variables, 0x110) == given


@pytest.mark.parametrize(
    ("rows", "letter", "given"),
    [
        ([("v", "const struct desc", (OLDER,)), ("v", "struct desc", (OLD,))], "r", None),
        ([("v", "const struct desc", (OLD,))], "r", "const struct desc"),
        ([("v", "struct desc", (OLDER,)), ("v", "const struct desc", (OLD,))], "r", "const"),
        ([("v", "const struct desc", (OLDER,)), ("v", "struct desc", (OLD,))], "R", "const"),
        ([("v", "struct desc", (OLD,))], "r", "const"),
    ],
)
def test_a_static_structure_that_lost_its_const_may_be_unwritten(
    rows: list[Row], letter: str, given: str | None
) -> None:
    symbols = Sym("v", 0x2010, 16, letter), Sym("w", 0x2020, 16)
    found = _given(_variables(rows, *symbols), 0x2010)
    assert found == (None if given is None else "const struct desc")


@pytest.mark.parametrize(
    ("front", "given"),
    [
        # No u16 asks for two bytes in front of another one: both have become u32.
        (Sym("front", 0x110, 4), None),
        (Sym("front", 0x112, 2), "u16"),
    ],
)
def test_numbers_that_belong_together_grow_together(front: Sym, given: str | None) -> None:
    rows = [("v", "u16", (OLD,)), ("front", "u16", (OLD,))]
    variables = _variables(rows, front, Sym("v", 0x114, 4), Sym("unknown", 0x118, 8))
    assert _given(variables, 0x114) == given
    around = [("v", "u16", BOTH), ("front", "u16", (OLD,))]
    variables = _variables(around, front, Sym("v", 0x114, 4), Sym("unknown", 0x118, 8))
    assert _given(variables, 0x114) == "u16"
    other = [("v", "u16", (OLD,)), ("front", "u32", (OLD,))]
    variables = _variables(other, front, Sym("v", 0x114, 4), Sym("unknown", 0x118, 8))
    assert _given(variables, 0x114) == "u16"


@pytest.mark.parametrize(
    ("words", "kernels", "given"),
    [
        ((7, 7, 7), LASTING, None),  # binary_runtime_size: a table of three by now
        ((7, 8, 7), LASTING, "unsigned long"),
        ((7, 7, 7), (*LASTING, NEW), "unsigned long"),
    ],
)
def test_a_word_that_is_there_three_times_is_a_table(
    words: tuple[int, ...], kernels: tuple[Kernel, ...], given: str | None
) -> None:
    symbols = Sym("v", 0x110, 24), Sym("w", 0x128, 16)
    contents = [(0x110, struct.pack("<3Q", *words))]
    variables = _variables([("v", "unsigned long", kernels)], *symbols, contents=contents)
    assert _given(variables, 0x110) == given


@pytest.mark.parametrize(
    ("module", "own", "given"),
    [
        ("", False, "spinlock_t"),
        ("m", False, None),  # pool_lock of ath, for dma-buf's
        ("m", True, "spinlock_t"),  # built in by some, a module of others
    ],
)
def test_a_lock_of_another_module_fits_anywhere(module: str, own: bool, given: str | None) -> None:
    rows = [(f"v@{module}", "spinlock_t", (OLD,)), ("v@n", "struct desc", (OLD,))]
    rows += [("v", "struct desc", (OLDER,))] if own else []
    variables = _variables(rows, Sym("v", 0x11C, 4, "b"), Sym("w", 0x120, 4))
    assert _given(variables, 0x11C) == given


@pytest.mark.parametrize(("members", "given"), [(6, None), (12, "int")])
def test_a_small_family_does_not_say_that_a_number_is_signed(
    members: int, given: str | None
) -> None:
    rows = [(f"kind{chr(97 + i)}_map_size", "int", (OLD,)) for i in range(members)]
    name = "cache_map_size"
    variables = _variables(rows, Sym(name, 0x11C, 4), Sym("w", 0x120, 4))
    assert _given(variables, 0x11C, name) == given


def _of_numbers(pins: dict[str, int]) -> VariableTypes:
    """Room for 16 bytes of numbers called new_i2c1_pins, and so many others in _pins."""
    rows = [
        (f"x{chr(97 + i // 26)}{chr(97 + i % 26)}{text[0]}{part}_pins", text, (OLD,))
        for part_text, count in pins.items()
        for part, _, text in [part_text.partition(":")]
        for i in range(count)
    ]
    data = [(0x2020, struct.pack("<4I", 1, 2, 3, 4))]
    symbols = Sym("new_i2c1_pins", 0x2020, 16, "r"), Sym("w", 0x2030, 16, "r")
    return _variables(rows, *symbols, contents=data, tails={"int": TrailingZeros(1, 90, 90)})


@pytest.mark.parametrize(
    ("pins", "given"),
    [
        ({":const unsigned int [4]": 90}, "const unsigned int [4]"),
        # How int [] ends says no length; that it may be one is not refuted.
        ({":const unsigned int [4]": 90, ":int [4]": 10}, None),
        # Ten that agree are no evidence where one of ten is otherwise, and sixty are.
        ({":const unsigned int [4]": 80, ":int [4]": 10, "_i2c1:const unsigned int [4]": 10}, None),
        (
            {":const unsigned int [4]": 40, ":int [4]": 10, "_i2c1:const unsigned int [4]": 60},
            "const unsigned int [4]",
        ),
    ],
)
def test_a_type_that_some_of_the_family_have_is_a_rival_though_its_length_is_open(
    pins: dict[str, int], given: str | None
) -> None:
    assert _given(_of_numbers(pins), 0x2020, "new_i2c1_pins") == given


@pytest.mark.parametrize(("size", "given"), [(496, "const struct nla_policy [31]"), (16, None)])
def test_a_family_of_tables_does_not_take_in_what_may_be_one_structure(
    size: int, given: str | None
) -> None:
    rows = [(f"x{chr(97 + i)}_rules", "const struct nla_policy [31]", (OLD,)) for i in range(20)]
    symbols = Sym("new_rules", 0x2020, size, "r"), Sym("w", 0x2020 + size, 16, "r")
    data = [(0x2020, struct.pack("<2Q", 1, 2) * (size // 16))]
    assert _given(_variables(rows, *symbols, contents=data), 0x2020, "new_rules") == given


def test_a_pointer_to_early_copies_points_to_what_the_per_cpu_variable_is() -> None:
    """x86_cpu_to_apicid was u16 until 6.1; DEFINE_EARLY_PER_CPU() declares both."""
    name = "to_apicid_early_ptr"
    rows = [(name, "u16 *", (OLD,)), ("other_early_ptr", "u16 *", BOTH)]
    symbols = Sym(name, 0x108, 8), Sym("other_early_ptr", 0x110, 8), Sym("w", 0x118, 8)
    variables = _variables(rows, *symbols)
    assert _given(variables, 0x108, name) == "u32 *"
    assert _given(variables, 0x110, "other_early_ptr") == "u16 *"


@pytest.mark.parametrize(
    ("name", "given"),
    [("rtm_ipv4_policy", "const struct nla_policy [32]"), ("my_policy", None)],
)
def test_a_table_of_attributes_is_as_long_as_their_enum_says(name: str, given: str | None) -> None:
    rows = [(name, "const struct nla_policy [31]", (OLD,))]
    rows_data = [(0x2020, struct.pack("<2Q", 1, 2) * 31)]
    symbols = Sym(name, 0x2020, 512, "D"), Sym("w", 0x2220, 16)
    assert _given(_variables(rows, *symbols, contents=rows_data), 0x2020, name) == given


_OTHER = "swapper_spaces"
_POINTERS = {"struct group *": TrailingZeros(0, 100, 100)}


@pytest.mark.parametrize(
    ("other", "size", "given"),
    [
        # Room for three and for four; of Debian's 6.12 for 25 to 32.
        (Sym(_OTHER, 0x300, 24), 16, "unsigned int [3]"),
        # Longer than there is room, of a type that does not hold, and not there.
        (Sym(_OTHER, 0x300, 24), 8, None),
        (Sym(_OTHER, 0x300, 8), 16, None),
        (None, 16, None),
    ],
)
def test_an_array_is_as_long_as_the_one_that_is_declared_with_the_same_macro(
    other: Sym | None, size: int, given: str | None
) -> None:
    name = "nr_swapper_spaces"
    rows = [
        (name, "unsigned int [4]", (OLD,)),
        (name, "unsigned int [3]", (OLDER,)),
        (_OTHER, "struct group *[3]", BOTH),
    ]
    symbols = [Sym(name, 0x108, size), Sym("w", 0x108 + size, 16)]
    data = []
    if other is not None:
        symbols += [other, Sym("x", 0x300 + other.size, 16)]
        data = [(0x300, (BASE + 0x800).to_bytes(8, "little") * (other.size // 8))]
    variables = _variables(rows, *symbols, contents=data, tails=_POINTERS)
    found = _given(variables, 0x108, name)
    assert found == given if given else found in (None, "unsigned int []")


def test_a_table_that_ends_in_two_rows_of_zeros_is_no_shorter_one_that_ends_in_one() -> None:
    rows = [
        ("v", "struct group *[3]", (OLD,)),
        ("v", "tail2 struct group *[3]", (OLDER,)),
    ]
    usual = {"struct group *": TrailingZeros(1, 100, 100)}
    data = [(0x108, (BASE + 0x200).to_bytes(8, "little"))]
    symbols = Sym("v", 0x108, 24), Sym("w", 0x120, 8)
    variables = _variables(rows, *symbols, contents=data, tails=usual)
    assert _given(variables, 0x108) != "struct group *[2]"
    assert variables.cause("v") in (None, Rejection.LENGTH)


def test_a_static_number_with_a_namesake_may_have_got_its_sign_later() -> None:
    """long_max: 5.10 has an unsigned one of sysctl and a signed one of eventpoll."""
    places = Sym("v", 0x108, 8), Sym("w", 0x110, 16), Sym("v", 0x208, 8), Sym("x", 0x210, 16)
    rows = [("v", "unsigned long", (OLD, NEW))]
    before = _variables(rows, *places, release="5.4.9-amd64")
    assert (_given(before, 0x108), _given(before, 0x208)) == (None, None)
    alone = _variables(rows, *places[:2], release="5.4.9-amd64")
    assert _given(alone, 0x108) == "unsigned long"
    between = _variables(rows, *places)
    assert _given(between, 0x208) == "unsigned long"


@pytest.mark.parametrize(
    ("module", "count", "given"),
    [("m", 2, None), ("m", 1, "struct branch"), ("", 2, "struct branch")],
)
def test_what_modules_have_under_a_name_may_be_built_in_beside_it(
    module: str, count: int, given: str | None
) -> None:
    """gcc_disp_gpll0_clk_src: of one driver a branch, of others a divider."""
    rows = [("v", "struct branch", (OLD,))]
    if module:
        rows.append((f"v@{module}", "struct div", (OLD,)))
    places = [Sym("v", 0x108 + 0x100 * i, 24) for i in range(count)]
    behind = [Sym("w", place.address + 24, 8) for place in places]
    assert _given(_variables(rows, *places, *behind), 0x108) == given


def test_a_structure_with_far_more_room_than_it_needs_is_its_namesakes() -> None:
    """pmus: a list's head of the core, and a driver's table of 2,736 bytes."""
    places = Sym("v", 0x110, 16), Sym("w", 0x120, 8), Sym("v", 0x208, 0x508), Sym("x", 0x710, 8)
    variables = _variables([("v", "struct desc", BOTH)], *places)
    assert (_given(variables, 0x110), _given(variables, 0x208)) == ("struct desc", None)
