"""The quick way to read a command line says what argparse says, or leaves it to argparse."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btfdbg.cli.options import SUBCOMMANDS, table
from btfdbg.cli.parser import Parser
from btfdbg.cli.reader import quick

COMMANDS = tuple(SUBCOMMANDS)
WORDS = [
    *table(), "core", "info", "script.py", "-", "--", "-1", "x=1", "auto", "none", "-e=5", "-kq",
    "-q1", "-sFILE", "-eprint(1)", "--btf=f", "--color=always", "--color=no", "--log-level=debug",
    "--live=1", "--colo", "-h", "--help", "--version", "-z", "--nope", "--qemu=a:1", "a b", "",
    "--btf=", "btf", "-x=", "-x", "=", "--qemu",
]  # fmt: skip


def by_argparse(argv: list[str]) -> tuple[dict[str, object], list[str]]:
    parser = Parser()
    options, operands, is_subcommand = parser.split(argv)
    assert not is_subcommand
    return vars(parser.parse_args(options)), operands


@given(st.lists(st.sampled_from(WORDS), max_size=6))
def test_what_is_read_quickly_is_what_argparse_reads(argv: list[str]) -> None:
    found = quick(argv, COMMANDS)
    if found is not None:
        args, operands = found
        assert (vars(args), operands) == by_argparse(argv)


@pytest.mark.parametrize(
    "argv",
    [
        ["core"],
        ["core", "-e", "print(1)"],
        ["-q", "core", "-x", "ps", "-x", "bt 1"],
        ["--btf=file", "core", "script.py", "-x", "--help"],
        ["-k", "script.py", "-e"],
        ["-s", "a", "-sb", "core", "--color", "never"],
        ["core", "-x", ""],
        ["core", "info"],
        ["--", "info"],
        ["core", "-e", ""],
        ["core", "-x", "-1"],
    ],
)
def test_plain_command_lines_are_read_quickly(argv: list[str]) -> None:
    found = quick(argv, COMMANDS)
    assert found is not None
    assert (vars(found[0]), found[1]) == by_argparse(argv)


@pytest.mark.parametrize(
    "argv",
    [
        ["info", "core"],
        ["--help"],
        ["core", "--nope"],
        ["core", "-e"],
        ["core", "--color", "pink"],
        ["core", "-kq"],
        ["-q=1", "core"],
        ["-k", "info"],
    ],
)
def test_the_rest_is_left_to_argparse(argv: list[str]) -> None:
    assert quick(argv, COMMANDS) is None


def test_a_first_object_imports_nothing_that_it_does_not_need(x86_core: Path) -> None:
    needless = [
        "argparse", "dataclasses", "importlib.metadata", "inspect", "json", "shutil", "socket",
        "hashlib", "pygments", "prompt_toolkit", "elftools", "drgn.helpers", "drgn.commands",
        "btfdbg.vmcore.live", "btfdbg.program.modules_dir", "btfdbg.images.load",
        "btfdbg.program.symbol_rules", "btfdbg.cli.parser", "unicodedata",
    ]  # fmt: skip
    code = (
        # What drgn brings is not ours: its logging imports inspect from Python 3.14 on.
        "import sys, drgn\n"
        "before = set(sys.modules)\n"
        "from btfdbg.cli import main as cli\n"
        f"status = cli.main([{str(x86_core)!r}, '-e', 'print(prog[\"init_task\"].comm)'])\n"
        f"print(status, [m for m in {needless!r} if m in sys.modules.keys() - before])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.splitlines()[1:] == ["0 []"], result.stdout + result.stderr


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("print(len(list(for_each_task(prog))) > 1)", "True"),
        ("f = for_each_task\nprint(f.__name__)", "for_each_task"),
        ("print(prog.type('int').name, NULL.__name__)", "int NULL"),
        ("print(f'{sizeof(prog.type(\"int\"))}')", "4"),
        ("\uff50rint(\uff33izeof.__name__ if 0 else sizeof.__name__)", "sizeof"),
    ],
)
def test_code_has_drgns_names_however_it_says_them(x86_core: Path, code: str, printed: str) -> None:
    argv = [sys.executable, "-m", "btfdbg.cli.main", str(x86_core), "-e", code]
    result = subprocess.run(argv, capture_output=True, text=True)
    assert result.stdout == printed + "\n", result.stderr
