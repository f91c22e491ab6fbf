"""The tables hold themselves to their own samples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from btfdbg.report.blame import rules
from btfdbg.report.blame.choice import choose
from btfdbg.report.blame.match import covers, match
from btfdbg.report.blame.names import canonical
from btfdbg.report.blame.rules import RULES, Rule
from btfdbg.report.event import Frame
from btfdbg.report.kinds import KINDS
from btfdbg.report.logs.headers import HEADERS, WORDS, Header, _Search, header, next_word

USES = {"skip", "wait", "shared", "tick", "tick-way", "entry", "anchor", "anchor-self", "fault"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_rule_covers_its_sample_and_keeps_its_neighbour(rule: Rule) -> None:
    found = match(rule.use, rule.sample)
    assert found is not None
    assert found.id == rule.id
    if rule.keep:
        kept = match(rule.use, rule.keep)
        assert kept is None or kept.id != rule.id


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_rule_is_complete(rule: Rule) -> None:
    assert rule.use in USES
    assert rule.why
    names = rule.names.split()
    assert len(names) == len(set(names)), "a pattern stands twice"
    # leading underscores are taken off before matching: a pattern with one never matches
    assert not [name for name in names if name.startswith("_") and not name.startswith("_R")]


@settings(max_examples=300)
@given(st.text("ab_*", max_size=6), st.integers(0, 3), st.text("ab_0g", max_size=8))
def test_patterns_cover_what_shell_patterns_cover(text: str, digits: int, name: str) -> None:
    first, star, rest = text.partition("*")
    pattern = first + "#" * digits + star + rest
    wanted = re.escape(pattern).replace(r"\*", ".*").replace(r"\#", "[0-9a-f]")
    assert covers(pattern, name) == (re.fullmatch(wanted, name) is not None)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_patterns_are_of_the_forms_that_are_looked_up(rule: Rule) -> None:
    for pattern in rule.names.split():
        assert re.fullmatch(r"[\w*]+|\w+\[\w+\]|\w+#+\*?", pattern)


def test_rules_have_names_of_their_own() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)


def test_chapters_of_the_rules_are_those_that_the_docstring_lists() -> None:
    text = Path(rules.__file__).read_text()
    chapters = re.findall(r"^    # -{4} (.+?) -+$", text, re.MULTILINE)
    listed = re.findall(r"^\* ([^:\n]+)", rules.__doc__ or "", re.MULTILINE)
    assert listed == chapters


@pytest.mark.parametrize("row", HEADERS, ids=lambda row: row.sample[:60])
def test_header_is_found_by_its_own_row(row: Header) -> None:
    assert next_word(row.sample, 0, len(row.sample)) >= 0, "whole chunks would be passed over"
    found = header(row.sample)
    assert found is not None
    assert found[0] is row
    assert row.kind in KINDS


@settings(max_examples=60)
@given(st.lists(st.sampled_from([*WORDS, "x", " ", "BU", "Oop", "\n"]), max_size=12))
def test_first_word_is_found_the_same_way_with_an_expression_and_without(parts: list[str]) -> None:
    text = "".join(parts)
    one, other = _Search(), _Search()
    other.times = 1 << 30
    assert one(text, 0, len(text)) == other(text, 0, len(text))
    assert one(text, 3, len(text) - 2) == other(text, 3, len(text) - 2)


@pytest.mark.parametrize("row", HEADERS, ids=lambda row: row.sample[:60])
@settings(max_examples=30, suppress_health_check=[HealthCheck.filter_too_much])
@given(data=st.data())
def test_one_of_a_headers_words_is_in_all_that_its_pattern_matches(
    row: Header, data: st.DataObject
) -> None:
    text = data.draw(st.from_regex(row.pattern))
    for words in row.words.split("&"):
        assert any(word in text for word in words.split("|"))
    assert any(word in text for word in WORDS)


@pytest.mark.parametrize(
    "text",
    [
        "traps: cat[12] general protection fault ip:55d sp:7ff error:0 in cat[55d+1000]",
        "cat[12]: segfault at 0 ip 000055d sp 00007ff error 4 in cat[55d+1000]",
        "WARNING: Spectre v2 mitigation leaves CPU vulnerable",
        "NMI watchdog: Enabled. Permanently consumes one hw-PMU counter.",
        "Memory: 1234K/5678K available",
        "rcu: Hierarchical RCU implementation.",
        "CPU 1 is now offline",
        "EDAC MC: Ver: 3.0.0",
        "ACPI BIOS Error (bug): Could not resolve symbol",
        "Oops",
        "Code: Bad RIP value.",
        "systemd[1]: Started BUGs: a service.",
    ],
)
def test_ordinary_messages_are_no_headers(text: str) -> None:
    assert header(text) is None


def test_kinds_have_words_of_their_own() -> None:
    assert len({kind.words for kind in KINDS.values()}) == len(KINDS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("__x64_sys_rmdir", "sys_rmdir"),
        ("__arm64_sys_rmdir", "sys_rmdir"),
        ("__do_sys_rmdir.isra.0", "sys_rmdir"),
        ("__se_compat_sys_mount", "sys_mount"),
        ("SyS_mount", "sys_mount"),
        ("compat_SyS_mount", "sys_mount"),
        ("ksys_read", "sys_read"),
        ("__sys_sendmsg", "__sys_sendmsg"),
        ("foo.constprop.0.cold", "foo"),
        (".do_page_fault", "do_page_fault"),
        ("__x64_sys_", "__x64_sys_"),
        ("..", ".."),
        ("$x", "$x"),
    ],
)
def test_canonical_name_is_one_for_all_builds(name: str, expected: str) -> None:
    assert canonical(name) == expected


def test_helper_is_machinery_in_a_module_too() -> None:
    frames = [Frame("usb_submit_urb", "usbcore"), Frame("list_del", "odd"), Frame("caller", "odd")]
    assert choose("null-dereference", frames).frame == frames[2]


def test_reasons_name_each_frame() -> None:
    frames = [Frame("mutex_lock"), Frame("left", sure=False), Frame("ext4_sync_fs")]
    choice = choose("hung-task", frames)
    assert choice.name == "ext4_sync_fs"
    assert {(reason.frame.name, reason.kept) for reason in choice.reasons} == {
        ("mutex_lock", False),
        ("left", False),
        ("ext4_sync_fs", True),
    }
    assert all(reason.rule and reason.why for reason in choice.reasons)


def test_patterns_are_regular_expressions_without_surprises() -> None:
    for rule in RULES:
        for name in rule.names.split():
            assert re.fullmatch(r"[\w*#]+(?:\[\w+\])?[\w*]*", name), name
