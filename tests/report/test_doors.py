"""Every door to the report on a dump gives the same document.

Command line, prompt and library are processes of their own: what one of them puts in place in
drgn, another must not need. ``serve`` and ``triage`` run in one that is a library's so far.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import bundled_dumps

BUNDLED = [path for path, _ in bundled_dumps()]
LAB = sorted(Path(os.environ.get("BTFDBG_DUMPS", "/nonexistent")).glob("*.vmcore"))
EACH = pytest.mark.parametrize(
    "core",
    [
        *(pytest.param(path, id=path.name) for path in BUNDLED),
        *(pytest.param(path, id=path.name, marks=pytest.mark.oracle) for path in LAB),
    ],
)
LIBRARY = """\
import json, sys
import btfdbg
from btfdbg.report.as_json import as_dict
session = btfdbg.session(btfdbg.program_from_core_dump(sys.argv[1]))
first = as_dict(btfdbg.report.report(session))
from btfdbg.cli.serve import _report
second = _report(btfdbg.session(btfdbg.program_from_core_dump(sys.argv[1])))
pages = []
from btfdbg.report.triage.crash_of import crash_of_dump
crash_of_dump(sys.argv[1], pages.append)
print(json.dumps([first, second, as_dict(pages[0])]))
"""


def said(*argv: str) -> Any:
    done = subprocess.run([sys.executable, *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@cache
def command_line(core: Path) -> dict[str, Any]:
    found: dict[str, Any] = said("-m", "btfdbg", "report", str(core), "--json")
    return found


def assert_same(found: dict[str, Any], core: Path) -> None:
    """Section by section: a difference is short to read."""
    wanted = command_line(core)
    for one, other in zip(found["sections"], wanted["sections"], strict=True):
        assert one == other
    assert found == wanted


@pytest.mark.slow
@EACH
def test_the_prompt_says_what_the_command_line_says(core: Path) -> None:
    assert_same(said("-m", "btfdbg", str(core), "-x", "report --json"), core)


@pytest.mark.slow
@EACH
def test_library_serve_and_triage_say_what_the_command_line_says(core: Path) -> None:
    for found in said("-c", LIBRARY, str(core)):
        assert_same(found, core)


@pytest.mark.slow
@EACH
def test_nothing_is_all_read_beside_what_cannot_be(core: Path) -> None:
    texts = [
        item["text"]
        for section in command_line(core)["sections"]
        for item in section["items"]
        if item["type"] == "line"
    ]
    lost = [text for text in texts if "cannot be" in text or text.startswith("Not all")]
    assert not lost or "Everything that was asked for could be read." not in texts
