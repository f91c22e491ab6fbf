"""What a word of BTF means is known in ``btf/`` alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import btfdbg

ROOT = Path(btfdbg.__file__).parent
# What reading a format by hand looks like, and what reads it for everyone.
HABITS = {
    (
        r"\b(info|offset|words\[[^\]]*\])\s*(>>\s*(24|31)\b|&\s*0x(7F|FFFF|FFFFFF)\b)"
        r"|>> 24 & 0x(7F|1F)"
    ): "layouts.info_*(), fields",
    r"\.words\[[^\]]*\+\s*\d": "fields, whose constants name the words",
    r"x9f\\?\\?x?eb|0xEB9F": "layouts.MAGIC, header.Header",
    r"str_off\b.*unpack|unpack.*\bhdr|hdr_len\s*,.*=.*unpack": "header.Header.peek()",
    r"Kind\.(ENUM|ENUM64|STRUCT|UNION|FUNC_PROTO|DATASEC)\s*:\s*\d": "layouts.LAYOUTS",
}
OUTSIDE = [path for path in sorted(ROOT.rglob("*.py")) if ROOT / "btf" not in path.parents]


@pytest.mark.parametrize("habit", HABITS)
def test_nobody_outside_of_btf_takes_its_words_apart(habit: str) -> None:
    pattern = re.compile(habit, re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in OUTSIDE
        if "btf" in (text := path.read_text())
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, f"use {HABITS[habit]}"


@pytest.mark.parametrize(
    ("line", "habit"),
    [
        ("count = info & 0xFFFF", 0),
        ("quick = _FROM_WORDS.get(info >> 24 & 0x7F)", 0),
        ("has_sizes = info >> 31", 0),
        ("count = words[at + 1] & 0xFFFFFF", 0),
        ("target = self.btf.words[at + 2]", 1),
        ('_MAGIC = {"little": b"\\x9f\\xeb"}', 2),
        ('hdr_len, type_off = struct.unpack_from("5I", data, 4)', 3),
        ("_ELEM_WORDS = {Kind.ENUM: 2, Kind.ENUM64: 3}", 4),
    ],
)
def test_these_lines_which_stood_there_once_would_be_found(line: str, habit: int) -> None:
    assert re.search(list(HABITS)[habit], line, re.IGNORECASE)
