"""Help fits into 80 columns, and options mean the same everywhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from btfdbg.cli.btf.verbs import VERBS
from btfdbg.cli.main import main
from btfdbg.cli.options import SUBCOMMANDS
from btfdbg.commands.tables import section, tables_as_json
from btfdbg.commands.text import fold

# An example is one line, to be copied.
_EXAMPLE = re.compile(r"^  btfdbg ")


@pytest.mark.parametrize("command", [("btf", verb) for verb in VERBS] + [(s,) for s in SUBCOMMANDS])
def test_help_fits_into_80_columns(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as end:
        main([*command, "--help"])
    assert end.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("usage: btfdbg ")
    wide = [line for line in lines if len(line) > 80]
    assert [x for x in wide if not _EXAMPLE.match(x)] == []


def test_the_first_help_fits_into_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if len(line) > 80] == []
    for name in SUBCOMMANDS:
        assert f"\n  btfdbg {name} " in out


def test_the_prompts_help_fits_into_80_columns_but_for_a_list_that_a_terminal_breaks(
    x86_core: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(x86_core), "-q", "-x", "help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    where = lines.index(
        "  something else                  report; what you know from elsewhere: help"
    )
    assert lines[where + 1] == f"{'':34}crash, gdb or drgn"
    assert [x for x in lines if len(x) > 80 and not re.match(r"  [a-z/*]+ {2,}", x)] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--nosuch"], "btfdbg: error: unrecognized arguments: --nosuch; btfdbg --help lists"),
        (["report", "--format", "x"], "invalid choice: 'x'"),
        (["isf", "CORE"], "required: -o/--output; btfdbg isf --help lists what it takes"),
        (["triage"], "btfdbg triage: error: the following arguments are required: PATH; "),
        (["btf", "nosuch"], "btfdbg btf --help lists what it takes"),
        (["btf", "dump"], "btfdbg btf dump --help lists what it takes"),
        (["vars", "list"], "are required: CORE; btfdbg vars list --help lists what it takes"),
        (["btf", "holes"], "are required: FILE; btfdbg btf holes --help lists what it takes"),
        (["serve", "DUMP"], "unrecognized arguments: DUMP; btfdbg serve --help lists what"),
        (["info", "DUMP", "DUMP"], "DUMP is another dump, and one at a time is read"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_lists_more(
    words: list[str], said: str, x86_core: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(x86_core) if word == "DUMP" else word for word in words]
    said = said.replace("DUMP", str(x86_core))
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


def test_rows_are_folded_below_what_they_say_and_examples_are_left() -> None:
    text = "a b c\nd e\n\nraw   one two\n      three\nx     y\n\n  left as it   is, however long"
    assert fold(text, 11) == (
        "a b c d e\n\nraw   one\n      two\n      three\nx     y\n\n  left as it   is, however long"
    )


def test_report_takes_json_as_info_does(x86_core: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(x86_core), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["format"] == "btfdbg report"


def test_the_mark_of_ps_has_a_name_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    with tables_as_json():
        section([("", "PID", "COMM"), (">", 1, "init"), ("", 2, "kthreadd")])
    assert json.loads(capsys.readouterr().out) == [
        {"active": True, "PID": 1, "COMM": "init"},
        {"active": False, "PID": 2, "COMM": "kthreadd"},
    ]
