"""The verdict: which type a symbol gets, and above all when it gets none."""

from __future__ import annotations

import pytest

from btfdbg.errors import DebugInfoError
from btfdbg.vardb.database import Database
from btfdbg.vardb.textdb import Entry, Kernel, TextDatabase
from btfdbg.variables import type_checker
from btfdbg.variables.evidence import DumpEvidence
from btfdbg.variables.lengths import ArrayEvidence
from btfdbg.variables.lookup import VariableTypes
from btfdbg.variables.policy import Policy
from btfdbg.variables.provenance import Rejection, Source

from .kernels import BASE, RELEASE, Sym, Symbols, make_btf, make_program, make_variables

SAME = Kernel("amd64-full", "6.12", RELEASE, "x86_64")
NEAR = Kernel("amd64-full", "6.1", "6.1.5-amd64", "x86_64")
FAR = Kernel("amd64-full", "5.10", "5.10.9-amd64", "x86_64")
LINES = {"same": SAME, "near": NEAR, "far": FAR}


def _database(*lines: tuple[str, ...]) -> Database:
    """Lines of name, type and kernels; "name@module" as in the source."""
    entries = []
    for name, type_, *kernels in lines:
        name, _, module = name.partition("@")
        releases = frozenset(LINES[kernel].release for kernel in kernels)
        entries.append(Entry(name, module, type_, releases))
    return Database.from_text(TextDatabase(LINES.values(), entries))


def _variables(
    database: Database,
    *symbols: Sym,
    memory: bytes = b"",
    minimum: Source = Source.RULE,
    machine: str = "x86_64",
) -> VariableTypes:
    btf = make_btf()
    return VariableTypes(
        make_program(btf, memory),
        DumpEvidence(Symbols(*symbols), release=RELEASE, architecture=machine, btf=lambda: btf),
        database=lambda: database,
        policy=Policy(minimum=minimum),
    )


def _type(variables: VariableTypes, name: str = "v") -> str | None:
    found = variables.find(name)
    return None if found is None else found.type.type_name()


def test_nothing_is_read_before_the_first_question() -> None:
    def database() -> Database:
        raise AssertionError("read too early")

    symbols = Symbols()
    btf = make_btf()
    VariableTypes(
        make_program(btf),
        DumpEvidence(symbols, release=RELEASE, architecture="x86_64"),
        database=database,
    )
    assert symbols.asked == 0


def test_a_variable_of_this_release_says_so() -> None:
    found = _variables(_database(("v", "struct foo", "same")), Sym("v", 0x10, 16)).find("v")
    assert found is not None
    assert (found.type.type_name(), found.address) == ("struct foo", BASE + 0x10)
    assert found.source is Source.DATABASE_SAME
    assert RELEASE in found.note


def test_a_name_without_a_symbol_has_no_type() -> None:
    assert _type(_variables(_database(("v", "struct foo", "same")))) is None


def test_a_function_is_no_variable() -> None:
    assert _type(_variables(_database(("v", "int", "same")), Sym("v", 0x10, 4, "t"))) is None


def test_a_type_that_this_kernel_lacks_is_no_answer() -> None:
    assert _type(_variables(_database(("v", "struct bar", "near")), Sym("v", 0x10, 16))) is None


def test_a_shape_that_this_kernels_btf_lacks_is_no_answer() -> None:
    database = _database(("v", "struct foo **", "near"))
    assert _type(_variables(database, Sym("v", 0x18, 8))) is None


@pytest.mark.parametrize(("room", "given"), [(16, "struct foo"), (8, None), (24, None)])
def test_a_size_that_contradicts_the_extent_is_no_answer(room: int, given: str | None) -> None:
    database = _database(("v", "struct foo", "near"), ("v", "struct bar", "far"))
    assert _type(_variables(database, Sym("v", 0x10, room))) == given


def test_even_this_releases_type_must_fit() -> None:
    assert _type(_variables(_database(("v", "struct foo", "same")), Sym("v", 0x10, 8))) is None


def test_the_nearest_release_that_fits_wins() -> None:
    database = _database(("v", "int", "near"), ("v", "struct foo", "far"))
    assert _type(_variables(database, Sym("v", 0x4, 4))) == "int"
    assert _type(_variables(database, Sym("v", 0x8, 16))) == "struct foo"


def test_the_same_series_of_another_machine_comes_before_an_older_one_of_this() -> None:
    other = Kernel("arm64-full", "6.12", "6.12.1-arm64", "aarch64")
    entries = [
        Entry("v", "", "struct foo *", frozenset((other.release,))),
        Entry("v", "", "struct { int x; int y; }", frozenset((NEAR.release,))),
    ]
    database = Database.from_text(TextDatabase((NEAR, other), entries))
    assert _type(_variables(database, Sym("v", 0x10, 8))) == "struct foo *"


@pytest.mark.parametrize(
    ("series", "module", "given"),
    [
        ((), "", "struct foo *"),  # it may have changed by version
        (("NEAR",), "", "struct <anonymous>"),  # kernels of one series have it so and so
        (("NEAR",), "mod", "struct foo *"),  # another variable
    ],
)
def test_what_differs_by_machine_is_not_taken_from_another(
    series: tuple[str, ...], module: str, given: str
) -> None:
    others = [Kernel("arm64-full", "6.12", "6.12.1-arm64", "aarch64")]
    others += [
        Kernel("arm64-full", NEAR.series, f"{NEAR.series}.1-arm64", "aarch64") for _ in series
    ]
    own = frozenset((NEAR.release,))
    entries = [
        Entry("v", "", "struct foo *", frozenset(k.release for k in others)),
        Entry("v", module, "struct { int x; int y; }", own),
    ]
    database = Database.from_text(TextDatabase((NEAR, *others), entries))
    assert _type(_variables(database, Sym("v", 0x10, 8))) == given


def test_two_types_of_one_release_that_both_fit_are_none() -> None:
    database = _database(("v", "struct foo *", "near"), ("v", "const struct foo *", "near"))
    assert _type(_variables(database, Sym("v", 0x8, 8))) is None


def test_a_module_of_the_same_name_counts_before_others() -> None:
    database = _database(("v@m", "struct foo *", "near"), ("v@n", "const struct foo *", "near"))
    btf = make_btf()
    variables = VariableTypes(
        make_program(btf),
        DumpEvidence(
            Symbols(Sym("v", 0x8, 8)),
            release=RELEASE,
            architecture="x86_64",
            btf=lambda: btf,
            module="n",
        ),
        database=lambda: database,
    )
    assert _type(variables) == "const struct foo *"


def test_an_array_takes_the_length_that_extent_and_btf_allow() -> None:
    database = _database(("v", "struct foo *[4]", "near"))
    assert _type(_variables(database, Sym("v", 0x10, 24))) == "struct foo *[3]"
    assert _type(_variables(database, Sym("v", 0x10, 40))) == "struct foo *[5]"
    # Three or four: neither is proven.
    assert _type(_variables(database, Sym("v", 0x18, 32))) is None


@pytest.mark.parametrize(
    ("by_own_end", "settled", "given"),
    [(3, False, None), (3, True, 5), (5, False, 5)],
)
def test_a_length_with_which_the_last_element_is_empty_is_not_believed_where_none_is(
    by_own_end: int, settled: bool, given: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By how this name's array ends in other kernels it is shorter than by their length."""
    variables = _variables(_database(("v", "struct foo *[5]", "near")), Sym("v", 0x18, 40))
    assert _type(variables) == "struct foo *[5]"
    assert variables._context is not None
    checker = variables._context.checker

    def length(evidence: ArrayEvidence, _: object) -> int:
        return by_own_end if evidence.tail == 0 else 5

    monkeypatch.setattr(type_checker, "array_length", length)
    found = checker.check(
        "struct foo *[5]", Sym("v", BASE + 0x18, 40), trusted=False, open_ended=False,
        other_lengths=frozenset({5}), gap=False, tail=0, settled=settled,
    )  # fmt: skip
    assert (None if isinstance(found, Rejection) else found[1].length) == given


def test_const_follows_the_section() -> None:
    bounds = (Sym("__start_rodata", 0, 8), Sym("__end_rodata", 0x100, 8))
    database = _database(("v", "struct foo", "near"))
    assert _type(_variables(database, *bounds, Sym("v", 0x10, 16))) == "const struct foo"
    assert _type(_variables(database, *bounds, Sym("v", 0x210, 16))) == "struct foo"


@pytest.mark.parametrize(
    ("machine", "room", "given"),
    [
        ("x86_64", 4, "int"),
        ("riscv64", 8, "const int"),
        ("riscv64", 16, "int"),
    ],
)
def test_a_small_constant_of_riscv_is_among_the_writable_data(
    machine: str, room: int, given: str
) -> None:
    bounds = (Sym("_sdata", 0, 8), Sym("_edata", 0x100, 8))
    database = _database(("v", "const int", "near"))
    found = _variables(database, *bounds, Sym("v", 0x40, room), machine=machine)
    assert _type(found) == given


def test_an_anonymous_struct_is_synthesised() -> None:
    database = _database(("v", "struct { int x; int y; }", "near"))
    found = _variables(database, Sym("v", 0x8, 8)).find("v")
    assert found is not None
    assert [(m.name, m.bit_offset) for m in found.type.members or ()] == [("x", 0), ("y", 32)]


def test_an_anonymous_struct_whose_member_is_unknown_is_none() -> None:
    database = _database(("v", "struct { struct bar x; }", "near"))
    assert _type(_variables(database, Sym("v", 0x8, 8))) is None


def test_a_curated_declaration_is_the_last_resort() -> None:
    database = _database(("v", "struct foo *"), ("v", "struct foo", "far"))
    assert _type(_variables(database, Sym("v", 0x8, 16))) == "struct foo"
    assert _type(_variables(database, Sym("v", 0x10, 8))) == "struct foo *"


def test_not_knowing_a_length_is_no_reason_for_an_older_type() -> None:
    database = _database(("v", "struct foo *[4]", "near"), ("v", "struct foo", "far"))
    variables = _variables(database, Sym("v", 0x10, 16))
    assert _type(variables) is None
    assert variables.cause("v") is Rejection.LENGTH


OLD = FAR
NEW = Kernel("amd64-full", "7.2", "7.2.9-amd64", "x86_64")


def _of_kernels(*rows: tuple[str, str, tuple[Kernel, ...]]) -> Database:
    entries = [Entry(n, "", t, frozenset(k.release for k in ks)) for n, t, ks in rows]
    return Database.from_text(TextDatabase((OLD, NEW), entries))


def _typed(database: Database, *symbols: Sym, memory: bytes = b"") -> VariableTypes:
    """With symbols by address, which is what tells of neighbours."""
    btf, table = make_btf(), Symbols(*symbols)
    return make_variables(make_program(btf, memory), btf, table, database)


_BOUNDS = (Sym("_text", 0, 1), Sym("_end", 0x8000, 1))


@pytest.mark.parametrize(
    ("kernels", "given"),
    [
        ((OLD, NEW), "int"),  # older and newer ones agree: what follows is padding
        ((OLD,), None),  # it may have grown since
    ],
)
def test_a_number_keeps_its_type_in_front_of_padding_if_older_and_newer_kernels_agree(
    kernels: tuple[Kernel, ...], given: str | None
) -> None:
    database = _of_kernels(("v", "int", kernels), ("w", "int", kernels))
    symbols = (*_BOUNDS, Sym("v", 0x104, 12), Sym("w", 0x110, 4))
    assert _type(_typed(database, *symbols)) == given


def test_an_array_whose_length_nothing_proves_has_none_and_says_so() -> None:
    database = _of_kernels(("v", "struct foo *[4]", (OLD,)), ("v", "struct foo *[2]", (NEW,)))
    variables = _typed(database, *_BOUNDS, Sym("v", 0x118, 32))
    assert _type(variables) == "struct foo *[]"
    found = variables.find("v")
    assert found is not None
    assert "length nothing here proves" in found.note


@pytest.mark.parametrize(
    "rows",
    [
        (("v", "struct foo *[4]", (OLD,)),),  # it may be another table by now
        (("v", "struct foo *[4]", (OLD,)), ("v", "const char *[4]", (NEW,))),
    ],
)
def test_elements_that_older_and_newer_kernels_do_not_agree_on_make_no_array(
    rows: tuple[tuple[str, str, tuple[Kernel, ...]], ...],
) -> None:
    assert _type(_typed(_of_kernels(*rows), *_BOUNDS, Sym("v", 0x118, 32))) is None


def test_a_number_that_leaves_room_which_another_kernels_fills_is_not_guessed() -> None:
    database = _of_kernels(("v", "char", (OLD,)), ("v", "int", (NEW,)))
    padded = _typed(database, *_BOUNDS, Sym("v", 0x104, 4), Sym("w", 0x108, 16))
    assert _type(padded) is None
    assert padded.cause("v") is Rejection.AMBIGUOUS
    assert _type(_typed(database, *_BOUNDS, Sym("v", 0x103, 1), Sym("w", 0x104, 16))) == "char"


@pytest.mark.parametrize(
    ("kernels", "room", "given"),
    [
        ((OLD, NEW), 8, "spinlock_t"),  # older and newer ones agree: what follows is padding
        ((OLD,), 4, "spinlock_t"),  # no other lock fits
        ((OLD,), 8, None),  # kernfs_rename_lock became a rwlock_t in between
    ],
)
def test_a_lock_in_a_place_that_another_kind_of_lock_fills_is_not_guessed(
    kernels: tuple[Kernel, ...], room: int, given: str | None
) -> None:
    symbols = (*_BOUNDS, Sym("v", 0x100, room), Sym("w", 0x100 + room, 16))
    variables = _typed(_of_kernels(("v", "spinlock_t", kernels)), *symbols)
    assert _type(variables) == given
    if given is None:
        assert variables.cause("v") is Rejection.AMBIGUOUS


@pytest.mark.parametrize(
    ("element", "of_new", "letter", "is_given"),
    [
        ("const char *", 2, "d", True),  # the same table, as far as can be seen
        ("const char *", 3, "D", True),  # compilers move static ones only
        ("const struct foo *", 3, "d", True),  # there is no table of 2 without const
        ("const char *", 3, "d", False),  # wq_affn_names: there, since nothing writes it
    ],
)
def test_a_table_of_another_length_may_have_had_its_const_later(
    element: str, of_new: int, letter: str, is_given: bool
) -> None:
    read_only = (Sym("__start_rodata", 0x80, 1), Sym("__end_rodata", 0x4000, 1))
    # Of the table of 2 without const that BTF has is another variable.
    other = Sym("other", 0x4100, 16)
    symbols = (*_BOUNDS, *read_only, Sym("v", 0x100, 16, letter), Sym("w", 0x110, 8), other)
    memory = bytes(0x100) + 2 * (BASE + 0x200).to_bytes(8, "little") + bytes(0x100)
    rows = (("v", f"{element} const [{of_new}]", (NEW,)), ("other", "const char *[2]", (NEW,)))
    database = _of_kernels(*rows)
    variables = _typed(database, *symbols, memory=memory)
    assert _type(variables) == (f"{element} const [2]" if is_given else None)
    assert variables.cause("v") is (None if is_given else Rejection.AMBIGUOUS)


@pytest.mark.parametrize(
    ("others", "given"),
    [
        ("struct foo *[9]", "struct foo *[5]"),
        ("struct foo *[2][2]", None),  # bm_pte: [1024] in BTF was [2][512]
    ],
)
def test_one_length_where_other_kernels_have_two_is_no_answer(
    others: str, given: str | None
) -> None:
    rows = (("v", "struct foo *[4]", (OLD,)), ("v", others, (NEW,)))
    symbols = (*_BOUNDS, Sym("v", 0x110, 40), Sym("w", 0x138, 8))
    assert _type(_typed(_of_kernels(*rows), *symbols)) == given


@pytest.mark.parametrize(
    ("others", "given"),
    [
        ("int [9]", "int [6]"),
        ("char [29]", None),  # mem_cgroup_events_index: of 56 bytes, int until 6.1, u8 later
    ],
)
def test_a_new_length_of_numbers_is_no_answer_where_kernels_have_numbers_of_another_size(
    others: str, given: str | None
) -> None:
    rows = (("v", "int [4]", (OLD,)), ("v", others, (NEW,)))
    symbols = (*_BOUNDS, Sym("v", 0x110, 24), Sym("w", 0x128, 8))
    assert _type(_typed(_of_kernels(*rows), *symbols)) == given


def test_of_two_static_variables_of_a_kind_the_first_one_is_given() -> None:
    data = (Sym("_sdata", 0x80, 1), Sym("_edata", 0x4000, 1))
    two = (Sym("v", 0x2000, 4), Sym("v", 0x100, 4))
    database = _of_kernels(("v", "int", (OLD, NEW)))
    variables = _typed(database, *_BOUNDS, *data, *two)
    assert variables.find("v") is None
    first = variables.first_linked("v")
    assert first is not None
    assert (first.address, len(variables.of_symbols("v"))) == (BASE + 0x100, 2)
    # Data and what was freed after boot are no choice; of one there is nothing to choose.
    apart = (Sym("v", 0x5000, 4), Sym("v", 0x100, 4))
    assert _typed(database, *_BOUNDS, *data, *apart).first_linked("v") is None
    assert _typed(database, *_BOUNDS, *data, two[0]).first_linked("v") is None


def test_a_pointer_far_smaller_than_its_place_is_no_answer() -> None:
    symbols = (*_BOUNDS, Sym("v", 0x100, 768), Sym("w", 0x400, 16))
    assert _type(_typed(_of_kernels(("v", "struct foo *", (OLD,))), *symbols)) is None
    assert _type(_typed(_of_kernels(("v", "struct foo *", (OLD, NEW))), *symbols)) is not None


def test_another_modules_type_does_not_replace_one_with_room_behind_it() -> None:
    database = _database(("v", "int", "near"), ("v@m", "struct foo", "near"))
    variables = _variables(database, Sym("v", 0x8, 16))
    assert _type(variables) is None
    assert variables.cause("v") is Rejection.GAP


def test_something_unnamed_may_stand_behind_a_variable() -> None:
    bounds = (Sym("_sdata", 0, 8), Sym("_edata", 0x100, 8))
    database = _database(("v", "int", "near"), ("v", "struct bar", "far"))
    empty, full = bytes(0x40), bytes(8) + b"\x80" * 16
    symbol = Sym("v", 0x8, 16)
    assert _type(_variables(database, *bounds, symbol, memory=empty)) is None
    assert _type(_variables(database, *bounds, symbol, memory=full)) == "int"


def test_a_string_that_dwarf_only_declares_is_as_long_as_it_is() -> None:
    database = _database(("v", "const char []", "same"), ("w", "const char []", "near"))
    symbols = (Sym("v", 0x8, 6), Sym("w", 0x10, 6))
    memory = bytes(8) + b"Linux\0\0\0" + b"Lin\0x\0"
    variables = _variables(database, *symbols, memory=memory)
    assert _type(variables) == "const char [6]"
    assert _type(variables, "w") is None  # not one string, and [] is no shape of this BTF


@pytest.mark.parametrize(("behind", "given"), [(b"", "const char []"), (b"more", "const char [6]")])
def test_a_string_that_ends_with_its_page_may_have_lost_the_next_one(
    behind: bytes, given: str
) -> None:
    database = _database(("v", "const char []", "same"))
    memory = (bytes(0xFFB) + b"Linux\0\0\0").ljust(0x1800, b"\0") + behind
    symbols = Sym("v", 0xFFB, 6, "D"), Sym("w", 0x1001, 6)
    assert _type(_variables(database, *symbols, memory=memory.ljust(0x2000, b"\0"))) == given


def test_a_family_of_functions_does_not_take_in_what_is_empty() -> None:
    names = [(f"{n}_foo", "struct { int (*x)(void); int y; }", "near") for n in "abcd"]
    assert _type(_variables(_database(*names), Sym("new_foo", 0x8, 16)), "new_foo") is None


def test_memory_freed_after_boot_is_said() -> None:
    bounds = (Sym("__init_begin", 0, 8), Sym("__init_end", 0x100, 8))
    found = _variables(_database(("v", "int", "same")), *bounds, Sym("v", 0x14, 4)).find("v")
    assert found is not None
    assert "freed after boot" in found.note


def test_a_minimum_of_trust_hides_what_is_trusted_less() -> None:
    database = _database(("v", "int", "near"))
    assert _variables(database, Sym("v", 4, 4), minimum=Source.DATABASE_SAME).find("v") is None
    assert _variables(database, Sym("v", 4, 4), minimum=Source.DATABASE_OTHER).find("v")


def test_of_several_same_named_symbols_only_one_global_is_meant() -> None:
    database = _database(("v", "int", "near"))
    statics = (Sym("v", 4, 4), Sym("v", 12, 4))
    assert _variables(database, *statics).find("v") is None
    assert _variables(database, *statics, Sym("v", 20, 4, "D")).find("v")
    assert _variables(database, *statics).find_at("v", BASE + 12)


def test_same_named_statics_are_told_apart_by_their_size() -> None:
    database = _database(("v", "int", "near"), ("v", "struct foo", "near"))
    variables = _variables(database, Sym("v", 4, 4), Sym("v", 0x18, 16))
    small, large = (variables.find_at("v", BASE + offset) for offset in (4, 0x18))
    assert small is not None
    assert large is not None
    assert (small.type.type_name(), large.type.type_name()) == ("int", "struct foo")


def test_a_family_types_a_name_that_no_kernel_had() -> None:
    names = [(f"{n}_foo", "struct foo", "near") for n in "abcd"]
    found = _variables(_database(*names), Sym("new_foo", 0x8, 16)).find("new_foo")
    assert found is not None
    assert found.source is Source.RULE
    assert "*_foo" in found.note


def test_a_family_that_does_not_fit_gives_nothing() -> None:
    names = [(f"{n}_foo", "struct foo", "near") for n in "abcd"]
    assert _type(_variables(_database(*names), Sym("new_foo", 0x4, 4)), "new_foo") is None


def test_a_row_of_the_export_table_is_no_kin_of_what_is_exported() -> None:
    names = [(f"{n}_foo", "struct foo", "near") for n in "abcd"]
    rows = _variables(_database(*names), Sym("__ksymtab_new_foo", 0x8, 16))
    assert rows.find("__ksymtab_new_foo") is None
    assert rows.cause("__ksymtab_new_foo") is Rejection.UNKNOWN


def test_a_database_that_cannot_be_read_is_reported_once_and_types_nothing() -> None:
    problems: list[DebugInfoError] = []

    def database() -> Database:
        raise DebugInfoError("damaged")

    variables = VariableTypes(
        make_program(make_btf()),
        DumpEvidence(Symbols(Sym("v", 4, 4)), release=RELEASE, architecture="x86_64"),
        database=database,
        on_problem=problems.append,
    )
    assert variables.find("v") is None
    assert variables.find("w") is None
    assert [str(p) for p in problems] == ["damaged"]


def test_sources_have_words_for_the_command_line() -> None:
    assert Source.of("database-same") is Source.DATABASE_SAME
    with pytest.raises(ValueError, match="kernel-btf"):
        Source.of("guess")
