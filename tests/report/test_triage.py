"""Grouping of many crashes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btfdbg.errors import DebugInfoError
from btfdbg.report import Frame, joins, signature_of
from btfdbg.report.triage.crash import Crash
from btfdbg.report.triage.groups import facts_of_path, group, hints
from btfdbg.report.triage.known import parse_known


def crash(
    name: str, function: str = "f", kind: str = "bug", module: str = "", **more: object
) -> Crash:
    """A crash whose stack is one function."""
    frames = [Frame(function, module)] if function else []
    return Crash(name, kind, signature_of(kind, frames), **more)  # type: ignore[arg-type]


def test_one_bug_seen_in_two_ways_is_one_group() -> None:
    (only,) = group([crash("a", kind="null-dereference"), crash("b", kind="kasan")])
    assert only.count == 2
    assert only.severity == 95
    assert len(only.titles) == 2


def test_groups_do_not_depend_on_the_order() -> None:
    crashes = [
        crash(f"{kind}{i}", f"f{i % 3}", kind, ("", "a", "b")[i % 2])
        for i in range(12)
        for kind in ("bug", "null-dereference", "kasan")
    ]
    expected = group(crashes)
    for seed in range(5):
        shuffled = crashes.copy()
        random.Random(seed).shuffle(shuffled)
        assert group(shuffled) == expected


def test_built_in_code_never_ties_two_modules_together() -> None:
    crashes = [crash("1", module="a"), crash("2"), crash("3", module="b")]
    found = group(crashes)
    assert sorted(one.count for one in found) == [1, 2]
    for one in found:
        assert len({c.signature.module for c in one.crashes} - {None}) <= 1


def test_unknown_functions_stay_alone() -> None:
    assert len(group([crash("1", ""), crash("2", "")])) == 2


def test_kinds_that_blame_nobody_are_joined() -> None:
    (only,) = group([crash("1", "", "sysrq"), crash("2", "", "sysrq")])
    assert only.title == "panic by hand"


def test_two_dumps_of_one_crash_count_once() -> None:
    (only,) = group([crash("vmcore", identity="x"), crash("dmesg", identity="x"), crash("o")])
    assert only.count == 2
    assert len(only.duplicates) == 1


def test_dump_speaks_for_its_log() -> None:
    log = crash("a-dmesg", "waiter", "hung-task", identity="x")
    dump = crash("vmcore", "other", "deadlock", identity="x", source="dump")
    (only,) = group([log, dump])
    assert only.title == "deadlock in other"
    assert [one.path for one in only.duplicates] == ["a-dmesg"]


def test_what_only_a_log_is_like_joins_no_dump() -> None:
    """A dump knows why it was panicked by hand; its log is like that of any such panic."""
    plain, frozen = signature_of("sysrq", (), "SysRq"), signature_of("sysrq", (), "SysRq, with x")
    crashes = [
        Crash("a/vmcore", "sysrq", frozen, identity="a", source="dump"),
        Crash("a/dmesg", "sysrq", plain, identity="a"),
        Crash("b/vmcore", "sysrq", plain, identity="b", source="dump"),
        Crash("c/dmesg", "sysrq", plain, identity="c"),
    ]
    for ordered in (crashes, crashes[::-1]):
        found = group(ordered)
        assert {one.title: one.count for one in found} == {frozen.title: 1, plain.title: 2}
        assert [[c.path for c in one.duplicates] for one in found].count(["a/dmesg"]) == 1


def test_a_log_speaks_for_a_dump_that_names_nobody() -> None:
    dump = crash("vmcore", "", identity="x", source="dump")
    (only,) = group([dump, crash("dmesg", "f", identity="x"), crash("other", "f")])
    assert only.count == 2


def test_what_a_group_says() -> None:
    (only,) = group(
        [
            crash("2", release="6.1", host="h1", model="M", when=20.0),
            crash("1", release="6.6", host="h2", model="M", when=10.0),
            crash("3", release="6.6", host="h2", model="M"),
        ]
    )
    assert [one.path for one in only.crashes] == ["1", "2", "3"]
    assert only.releases == (("6.6", 2), ("6.1", 1))
    assert only.hosts == (("h2", 2), ("h1", 1))
    assert (only.first, only.last) == (10.0, 20.0)


def test_worst_group_comes_first_then_the_most_frequent() -> None:
    found = group(
        [crash("w", "w", "warning"), crash("h", "h", "hung-task"), crash("h2", "h", "hung-task"),
         crash("k", "k", "kasan"), crash("i", "i", "hung-task")]
    )  # fmt: skip
    assert [one.title for one in found] == [
        "KASAN in k",
        "hung task in h",
        "hung task in i",
        "WARNING in w",
    ]


def test_one_host_with_many_kinds_points_to_its_hardware() -> None:
    crashes = [crash(f"{i}", f"f{i}", host="bad") for i in range(3)]
    crashes += [crash("other", "g", host="good")]
    assert [(h.points_to, h.subject) for h in hints(group(crashes))] == [("hardware", "bad")]


def test_host_name_that_several_models_have_is_no_machine() -> None:
    crashes = [crash(f"{i}", f"f{i}", host="localhost", model="AB"[i % 2]) for i in range(3)]
    crashes += [crash("other", "g", host="good", model="A")]
    assert hints(group(crashes)) == ()


def test_one_model_alone_points_to_its_firmware() -> None:
    crashes = [crash(f"{i}", host=f"h{i}", model="A") for i in range(3)]
    crashes += [crash("o", "g", host="x", model="B")]
    assert [(h.points_to, h.subject) for h in hints(group(crashes))] == [("firmware", "A")]


def test_many_hosts_and_models_point_to_the_kernel() -> None:
    crashes = [crash(f"{i}", host=f"h{i}", model="AB"[i % 2]) for i in range(4)]
    assert [h.points_to for h in hints(group(crashes))] == ["kernel"]


def test_no_hint_without_something_to_compare() -> None:
    assert hints(group([crash(f"{i}", f"f{i}", host="only") for i in range(5)])) == ()


def test_crashes_by_hand_are_no_evidence() -> None:
    crashes = [crash(f"{i}", "", "sysrq", host=f"h{i}", model="AB"[i % 2]) for i in range(9)]
    assert hints(group(crashes)) == ()


KNOWN = """
[[known]]
title = "bad access in f"
note = "an alternative key is enough"
fix = "0123456789ab"

[[known]]
kind = "hung-task"
function = "xfs_*"
release = "6.1.*"
note = "storage"
"""


def test_known_rows_are_found_by_alternative_and_by_conditions() -> None:
    rows = parse_known(KNOWN)
    found = group(
        [crash("1", kind="kasan"), crash("2", "xfs_ail_push", "hung-task", release="6.1.7"),
         crash("3", "xfs_ail_push", "hung-task", release="6.2.0", identity="z"),
         crash("4", "ext4_sync", "hung-task", release="6.1.7")],
        rows,
    )  # fmt: skip
    assert {one.title: [row.note for row in one.known] for one in found} == {
        "KASAN in f": ["an alternative key is enough"],
        "hung task in xfs_ail_push": ["storage"],
        "hung task in ext4_sync": [],
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[known]]\nnote = 'x'", "no condition"),
        ("[[known]]\ntitle = 'x'", "neither a note nor a fix"),
        ("[[known]]\nkind = 'x'\nnote = 'y'", "no kind 'x'"),
        ("[[known]]\ntitel = 'x'\nnote = 'y'", "'titel' is not known"),
        ("[[known]]\ntitle = 1\nnote = 'y'", "title wants a string"),
        ("known = 1", "rows are [[known]]"),
        ("known = [1]", "not a table"),
        ("[knwon]\n", "'knwon' is not known"),
        ("[[known]", "known.toml: "),
    ],
)
def test_rows_that_are_not_of_the_form_are_named(text: str, words: str) -> None:
    with pytest.raises(DebugInfoError) as caught:
        parse_known(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/var/crash/10.0.0.7-2026-11-29-21:00:36/vmcore", ("10.0.0.7", 1795986036.0)),
        ("/var/crash/127.0.0.1-2026-11-29-21:00:36/vmcore", ("", 1795986036.0)),
        ("/var/crash/web-1.example.org-2026-11-29-21:00:36/vmcore-dmesg.txt",
         ("web-1.example.org", 1795986036.0)),
        ("/var/crash/202611292100/dump.202611292100", ("", 1795986000.0)),
        ("/var/crash/202611292100/dmesg.202611292100", ("", 1795986000.0)),
        ("/var/crash/209999999999/x", ("", None)),
        ("vmcore", ("", None)),
    ],
)  # fmt: skip
def test_folders_of_var_crash_tell_host_and_time(
    path: str, expected: tuple[str, float | None]
) -> None:
    assert facts_of_path(path) == expected


@given(st.text(max_size=80))
def test_no_path_raises(path: str) -> None:
    facts_of_path(path)


@given(
    st.lists(
        st.tuples(
            st.sampled_from("fgh"),
            st.sampled_from(["bug", "kasan", "null-dereference"]),
            st.sampled_from(["", "a", "b"]),
        ),
        max_size=12,
    )
)
def test_crashes_that_join_share_a_group_unless_modules_forbid(
    rows: list[tuple[str, str, str]],
) -> None:
    crashes = [crash(f"{i:02}", f, kind, module) for i, (f, kind, module) in enumerate(rows)]
    where = {c.path: i for i, one in enumerate(group(crashes)) for c in one.crashes}
    assert len(where) == len(crashes)
    for one in crashes:
        for other in crashes:
            same_module = one.signature.module == other.signature.module
            if joins(one.signature, other.signature) and same_module and one.signature.module:
                assert where[one.path] == where[other.path]
