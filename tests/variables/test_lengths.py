"""Array lengths: what the extent allows, what contents and BTF add."""

from __future__ import annotations

from dataclasses import replace

import pytest

from btfdbg.vardb.textdb import TrailingZeros
from btfdbg.variables.lengths import ArrayEvidence, array_length
from btfdbg.variables.placement import Extent, SectionKind, SectionMap, SizeFit, extent_at

POINTER = (0xFFFF_FFFF_8200_0000).to_bytes(8, "little")
NULL = bytes(8)
TAILS = {
    "struct attribute *": TrailingZeros(1, 400, 402),
    "const char *": TrailingZeros(0, 1266, 1293),
}


def _evidence(element: str = "long", **more: object) -> ArrayEvidence:
    start = ArrayEvidence(
        element=element,
        element_size=8,
        hint=None,
        stable=True,
        other_lengths=frozenset(),
        fixed=False,
        tail=None,
        lengths=None,
        extent=Extent(64, 32),
        place=SectionKind.WRITABLE,
        has_pointers=True,
        contents=None,
        string=False,
    )
    return replace(start, **more)  # type: ignore[arg-type] # fields by name


def test_an_extent_without_slack_allows_one_length() -> None:
    assert array_length(_evidence(extent=Extent(64, 8)), TAILS) == 8


def test_padding_leaves_the_length_open_without_a_hint() -> None:
    assert array_length(_evidence(), TAILS) is None


def test_a_stable_hint_decides_within_the_padding() -> None:
    assert array_length(_evidence(hint=6), TAILS) == 6
    assert array_length(_evidence(hint=6, stable=False), TAILS) is None


def test_a_null_that_would_fill_the_place_leaves_a_table_of_pointers_open() -> None:
    # amd_pstate_mode_string: five names in 7.2, in 6.12 five and a NULL in as many bytes.
    five = b"\x01\0\0\x82\xff\xff\xff\xff" * 5
    table = _evidence(
        "const char *", hint=5, tail=0, extent=Extent(48, 32), contents=five + bytes(8),
        place=SectionKind.CONST,
    )  # fmt: skip
    assert array_length(table, TAILS) is None
    assert array_length(replace(table, settled=True), TAILS) == 5
    assert array_length(replace(table, extent=Extent(40, 32), contents=five), TAILS) == 5


def test_a_length_with_which_the_last_element_is_empty_is_none_where_such_elements_are_not() -> (
    None
):
    # sched_feat_names: 28 in 6.12, in 6.1 27 and padding in as many bytes.
    names = b"\x01\0\0\x82\xff\xff\xff\xff" * 27
    table = _evidence(
        "const char *", hint=28, stable=False, other_lengths=frozenset({24, 28, 29}),
        extent=Extent(224, 32), contents=names + bytes(8), place=SectionKind.CONST,
    )  # fmt: skip
    assert array_length(table, TAILS) is None
    assert array_length(replace(table, contents=names + names[:8]), TAILS) == 28


def test_letters_that_count_something_may_have_padding_behind_them() -> None:
    # slot_type_char: four letters and an end in 6.1, five in 6.12.
    letters = _evidence(
        "char", element_size=1, hint=6, stable=False, other_lengths=frozenset({4, 6, 8}), tail=1,
        extent=Extent(24, 32), contents=b"-iuMU".ljust(24, b"\0"), place=SectionKind.CONST,
        has_pointers=False,
    )  # fmt: skip
    assert array_length(letters, TAILS) is None
    assert array_length(replace(letters, other_lengths=frozenset({6})), TAILS) == 6


@pytest.mark.parametrize(
    ("text", "hint", "given"),
    [
        (b"%s version %s (gcc) %s\n", 23, 24),  # linux_proc_banner: a letter more than another's
        (b"%d %#x\n", 7, 8),
        (b"%-8lu\n", 6, 7),
        (b"!@#$%^&*()", 10, 10),  # letters with a percent sign
        (b" \t\n", 3, 3),  # proc_wspace_sep
        (b"0123456789abcdef", 16, 16),  # hex_asc, in room for a NUL
        (b"0123456789abcdef", 17, 17),
    ],
)
def test_what_is_read_up_to_its_nul_has_one(text: bytes, hint: int, given: int) -> None:
    string = _evidence(
        "char", element_size=1, hint=hint, stable=False, string=True,
        extent=Extent(len(text) + 2, 8),
        contents=text + bytes(2), place=SectionKind.CONST, has_pointers=False,
    )  # fmt: skip
    assert array_length(string, TAILS) == given


def test_a_word_more_that_fills_the_place_leaves_a_length_of_few_kernels_open() -> None:
    # misc_minors: one word in 5.10, two in 6.1.
    words = _evidence("unsigned long", hint=1, tail=0, extent=Extent(16, 16), has_pointers=False)
    assert array_length(words, TAILS) is None
    assert array_length(replace(words, settled=True), TAILS) == 1
    assert array_length(replace(words, extent=Extent(8, 16)), TAILS) == 1


def test_numbers_that_end_in_zeros_may_be_fewer_in_a_kernel_at_the_edge() -> None:
    # lbr_select_map: 19 numbers in 6.1, the last three of them 0; one more in 6.12.
    numbers = b"".join(n.to_bytes(4, "little") for n in range(1, 17))
    table = _evidence(
        "int", element_size=4, hint=20, tail=4, extent=Extent(80, 16), place=SectionKind.CONST,
        contents=numbers.ljust(80, b"\0"), has_pointers=False, settled=True, surrounded=False,
        lengths=frozenset({19, 20}),
    )  # fmt: skip
    assert array_length(table, TAILS) is None
    assert array_length(replace(table, surrounded=True), TAILS) == 20
    assert array_length(replace(table, lengths=frozenset({20})), TAILS) == 20
    assert array_length(replace(table, contents=numbers + numbers[:16]), TAILS) == 20


def test_numbers_that_make_a_table_shorter_than_any_kernels_may_be_another_table() -> None:
    # erratum_1386_microcode: two struct x86_cpu_id of 7.2 are as long as three x86_cpu_desc
    # and what is behind them in 6.12.
    table = _evidence(
        "struct x86_cpu_id", element_size=24, hint=3, tail=1, extent=Extent(48, 16),
        contents=b"\x17\1\2".ljust(48, b"\0"), place=SectionKind.CONST, has_pointers=False,
        surrounded=False, other_lengths=frozenset({3}),
    )  # fmt: skip
    assert array_length(table, TAILS) is None
    assert array_length(replace(table, surrounded=True), TAILS) == 2
    assert array_length(replace(table, has_pointers=True), TAILS) == 2
    # Two elements and an end look like nothing else.
    two = replace(table, hint=5, extent=Extent(72, 16), other_lengths=frozenset({5}))
    contents = (b"\x17\1\2".ljust(24, b"\0") * 2).ljust(72, b"\0")
    assert array_length(replace(two, contents=contents), TAILS) == 3


def test_what_was_filled_after_boot_says_nothing_of_how_a_table_ends() -> None:
    # x86_topology: of six levels a guest with one CPU a package has four.
    levels = (POINTER + bytes(56)) * 4 + bytes(128)
    table = _evidence(
        "struct level", element_size=64, hint=5, tail=1, extent=Extent(384, 32),
        contents=levels, other_lengths=frozenset({4, 5}), stable=False,
    )  # fmt: skip
    assert array_length(table, TAILS) == 5
    assert array_length(replace(table, filled_later=True), TAILS) == 6
    assert array_length(replace(table, hint=2, filled_later=True), TAILS) is None


def test_of_lengths_that_are_all_new_none_is_taken_for_its_place_alone() -> None:
    # mem_cgroup_events_index: 56 of 64 bytes, 115 in all other kernels.
    indices = _evidence(
        "u8", element_size=1, hint=115, extent=Extent(64, 32), has_pointers=False,
        lengths=frozenset({2, 56, 64}),
    )  # fmt: skip
    assert array_length(indices, TAILS) is None
    assert (
        array_length(replace(indices, extent=Extent(64, 64), lengths=frozenset({2, 64})), TAILS)
        == 64
    )


def test_constants_that_are_not_in_the_dump_prove_no_length() -> None:
    # des_cbc_tv_template of a trimmed 6.12: five, where nine would fill the place.
    vectors = _evidence(
        "struct cipher_testvec", element_size=64, hint=5, extent=Extent(576, 64),
        place=SectionKind.CONST, surrounded=False,
    )  # fmt: skip
    assert array_length(replace(vectors, place=SectionKind.WRITABLE), TAILS) == 9
    assert array_length(vectors, TAILS) is None
    # audit_hook_names: six in 7.2, five and padding in as many bytes.
    names = _evidence(
        "const char *", hint=6, extent=Extent(48, 16), place=SectionKind.CONST, surrounded=False
    )
    assert array_length(names, TAILS) is None
    assert array_length(replace(names, surrounded=True), TAILS) == 6
    assert array_length(replace(names, extent=Extent(48, 8)), TAILS) == 6


def test_a_hint_too_long_for_the_extent_is_no_answer() -> None:
    assert array_length(_evidence(hint=9), TAILS) is None


def test_a_hint_that_the_btf_does_not_know_is_no_answer() -> None:
    assert array_length(_evidence(hint=6, lengths=frozenset({7})), TAILS) == 7
    assert array_length(_evidence(hint=6, lengths=frozenset()), TAILS) is None


def test_a_terminated_table_ends_with_its_null() -> None:
    contents = POINTER * 5 + NULL * 3
    evidence = _evidence("struct attribute *", contents=contents)
    assert array_length(replace(evidence, hint=5), TAILS) == 6
    assert array_length(replace(evidence, hint=8), TAILS) == 6


def test_more_than_padding_behind_the_hint_is_growth_only_if_it_looks_alike() -> None:
    alike = (POINTER + NULL) * 4
    other = (POINTER + NULL) * 3 + b"no pointer at all"[:16]
    evidence = _evidence("struct x", element_size=16, extent=Extent(64, 16), hint=3)
    assert array_length(replace(evidence, contents=alike), TAILS) == 4
    assert array_length(replace(evidence, contents=other), TAILS) == 3


def test_contents_freed_after_boot_are_not_looked_at() -> None:
    contents = b"\xcc" * 64
    assert array_length(_evidence(hint=8, place=SectionKind.INIT, contents=contents), TAILS) == 8


@pytest.mark.parametrize(
    ("contents", "hint", "length"),
    [
        (b"hello\0\0\0", None, 6),
        (b"hello\0\0\0", 6, 6),
        (b"hello\0\0\0", 5, 5),
        (b"hello\0x\0", None, None),
        (b"hello\0\0\0", 99, 6),
    ],
)
def test_a_constant_string_is_as_long_as_its_text(
    contents: bytes, hint: int | None, length: int | None
) -> None:
    evidence = _evidence(
        "char", element_size=1, extent=Extent(8, 8), place=SectionKind.CONST, contents=contents
    )
    assert array_length(replace(evidence, hint=hint, string=True), TAILS) == length


@pytest.mark.parametrize(
    ("size", "fit"),
    [(24, SizeFit.EXACT), (20, SizeFit.PADDED), (4, SizeFit.GAP), (25, SizeFit.OVER)],
)
def test_padding_is_less_than_the_next_symbols_alignment(size: int, fit: SizeFit) -> None:
    assert extent_at(0x1000, 24).fit(size) == fit


def test_alignment_between_cache_line_and_page_is_chance() -> None:
    assert extent_at(0x700, 0x100).slack == 64
    assert extent_at(0x1700, 0x900).slack == 0x2000


def test_a_symbols_own_size_allows_no_padding() -> None:
    assert extent_at(0x1000, 64, exact=True).fit(63) == SizeFit.GAP


def test_a_symbol_without_a_size_proves_nothing() -> None:
    assert extent_at(0x1000, 0).fit(8) == SizeFit.UNKNOWN
    assert not extent_at(0x1000, 0).lengths(8)


def test_places_are_told_apart_by_boundary_symbols() -> None:
    table = {"_sdata": 100, "_edata": 200, "__start_rodata": 20, "__end_rodata": 60}
    table |= {"__start_ro_after_init": 40, "__end_ro_after_init": 50}
    places = SectionMap(table.get)
    found = [places.of(a) for a in (20, 45, 59, 150, 999)]
    expected = [
        SectionKind.CONST,
        SectionKind.RO_AFTER_INIT,
        SectionKind.CONST,
        SectionKind.WRITABLE,
        SectionKind.UNKNOWN,
    ]
    assert found == expected


def test_what_another_kernels_length_would_fill_is_not_left_to_something_unnamed() -> None:
    # gcc_parent_data_3 of 6.1: two, the second with its pointer in another place.
    table = _evidence(
        "struct clk_parent_data", element_size=32, hint=1, stable=False, tail=0,
        other_lengths=frozenset({1, 2}), lengths=frozenset({1, 2}), extent=Extent(64, 64),
        contents=NULL + POINTER + POINTER + NULL + POINTER + 3 * NULL, place=SectionKind.CONST,
        surrounded=False,
    )  # fmt: skip
    assert array_length(table, TAILS) is None
    assert array_length(replace(table, other_lengths=frozenset({1})), TAILS) == 1
    # Nor is it where the rest is too short for that length.
    assert array_length(replace(table, extent=Extent(72, 64)), TAILS) == 1


def test_a_row_of_zeros_before_rows_that_another_kernel_has_ends_no_table() -> None:
    # rtm_ipv4_policy of s390x: rows without a policy in between, and something unnamed behind.
    row, none = b"\x03" + bytes(15), bytes(16)
    table = _evidence(
        "struct nla_policy", element_size=16, hint=4, tail=1, lengths=frozenset({2, 4, 6}),
        extent=Extent(72, 8), contents=row + none + row + none + b"\1" * 8,
        place=SectionKind.CONST, has_pointers=False,
    )  # fmt: skip
    assert array_length(table, TAILS) is None
    shorter = replace(table, contents=row + none + none + none + b"\1" * 8)
    assert array_length(shorter, TAILS) == 2


@pytest.mark.parametrize(("room", "length"), [(2048, 2048), (3000, 2048), (4096, None)])
def test_a_buffer_that_was_freed_is_not_half_of_its_place(room: int, length: int | None) -> None:
    # hstate_cmdline_buf: COMMAND_LINE_SIZE is 2048 for x86-64 and 4096 for s390x.
    buffer = _evidence(
        "char", element_size=1, hint=2048, lengths=frozenset({2048, 4096}),
        extent=Extent(room, 16), place=SectionKind.INIT, has_pointers=False,
    )  # fmt: skip
    assert array_length(buffer, TAILS) == length
