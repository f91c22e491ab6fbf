"""Operands are taken wherever they stand among options."""

from __future__ import annotations

import argparse

import pytest

from btfdbg.cli.btf.parser import register
from btfdbg.cli.intermixed import Intermixed


@pytest.mark.parametrize(
    "line", ["core a b -x 1", "core -x 1 a b", "-x 1 core a b", "core a -x 1 b"]
)
def test_of_a_subcommand_too(line: str) -> None:
    parser = Intermixed()
    sub = parser.add_subparsers(dest="verb", parser_class=Intermixed).add_parser("list")
    sub.add_argument("core")
    sub.add_argument("pattern", nargs="*")
    sub.add_argument("-x")
    for asked, words in ((sub, line), (parser, f"list {line}")):
        args = asked.parse_args(words.split())
        assert (args.core, args.pattern, args.x) == ("core", ["a", "b"], "1")


def test_what_is_missing_or_unknown_is_still_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    parser = Intermixed()
    parser.add_argument("core")
    parser.add_argument("pattern", nargs="*")
    for words, said in (([], "required"), (["core", "--bogus"], "--bogus")):
        with pytest.raises(SystemExit):
            parser.parse_args(words)
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("line", ["list core --bogus", "list --bogus core", "list core a --bogus"])
def test_an_unknown_option_is_the_subcommands(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = Intermixed(prog="tool")
    sub = parser.add_subparsers(dest="verb", parser_class=Intermixed).add_parser("list")
    sub.add_argument("core")
    sub.add_argument("pattern", nargs="*")
    with pytest.raises(SystemExit):
        parser.parse_args(line.split())
    said = capsys.readouterr().err
    assert "tool list: error: unrecognized arguments: --bogus" in said
    assert "tool list --help" in said


def test_btf_verbs_take_names_behind_options() -> None:
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers(dest="verb"))
    args = parser.parse_args(["holes", "vmlinux", "--min", "8", "task_struct", "file"])
    assert (args.file, args.name) == ("vmlinux", ["task_struct", "file"])
