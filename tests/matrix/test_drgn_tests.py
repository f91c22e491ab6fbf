"""What is made of the outcomes of drgn's own tests; the run itself boots a guest for minutes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corefiles.run import BuildError
from tests.matrix.drgn_tests import compare, document, read, reason, summary

_NO_LINES = "Traceback ...\nLookupError: source code location not available"
_NO_NET = "Traceback ...\n_drgn.ObjectNotFoundError: could not find 'init_net'"


def test_only_tests_with_different_outcomes_are_listed_with_the_reason() -> None:
    found = {
        "dwarf": {
            "tests.linux_kernel.a": ("passed", ""),
            "tests.linux_kernel.b": ("passed", ""),
            "tests.linux_kernel.c": ("failed", "no shell"),
            "tests.linux_kernel.d": ("error", "no DWARF of a module"),
        },
        "btfdbg": {
            "tests.linux_kernel.a": ("error", _NO_NET),
            "tests.linux_kernel.b": ("error", _NO_LINES),
            "tests.linux_kernel.c": ("failed", "no shell"),
            "tests.linux_kernel.d": ("passed", ""),
        },
    }
    assert compare(found) == [
        "a: dwarf passed, btfdbg error: _drgn.ObjectNotFoundError: could not find 'init_net'",
        "b: dwarf passed, btfdbg error: LookupError: source code location not available"
        " (line tables)",
        "d: dwarf error, btfdbg passed: no DWARF of a module",
    ]
    assert summary(found).splitlines()[0] == "dwarf: 2 passed, 1 failed, 1 error"


def test_the_document_says_what_each_test_that_differs_asks_for() -> None:
    passed = {f"tests.linux_kernel.{name}": ("passed", "") for name in "abc"}
    ours = {
        **passed,
        "tests.linux_kernel.b": ("error", _NO_LINES),
        "tests.linux_kernel.c": ("error", _NO_NET),
    }
    text = document({"dwarf": passed, "btfdbg": ours}, "6.12.1")
    assert "| dwarf | 3 | 0 | 0 | 0 |" in text
    assert "| btfdbg | 1 | 0 | 0 | 2 |" in text
    assert "| `b` | passed | error | line tables |" in text
    assert "| `c` | passed | error | **nothing** |" in text
    assert "`a`" not in text


def test_a_failed_part_of_a_test_is_not_forgotten(tmp_path: Path) -> None:
    rows = [
        {"test": "t", "outcome": "started", "why": ""},
        {"test": "t", "outcome": "failed", "why": "one of its parts"},
        {"test": "t", "outcome": "passed", "why": ""},
        {"test": "u", "outcome": "started", "why": ""},
        {"test": "u", "outcome": "ended the process"},
    ]
    path = tmp_path / "btfdbg.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read(path) == {"t": ("failed", "one of its parts"), "u": ("ended the process", "")}


def test_without_outcomes_the_guests_words_are_the_error(tmp_path: Path) -> None:
    (tmp_path / "dwarf.log").write_text("python3: not found")
    with pytest.raises(BuildError, match="not found"):
        read(tmp_path / "dwarf.jsonl")


def test_a_reason_is_the_last_line() -> None:
    assert reason("") == ""
    assert reason(_NO_NET).startswith("_drgn.ObjectNotFoundError")
