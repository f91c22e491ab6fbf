"""Help on a terminal has no marks of the documentation that it is written for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import btfdbg
from btfdbg.commands import namespace
from btfdbg.commands.evaluate import prepare, run_line
from btfdbg.commands.markup import fragments, plain


@pytest.mark.parametrize(
    ("marked", "shown"),
    [
        ("a ``task_struct`` address", "a task_struct address"),
        ("prefixed with ``\\`` or quoted (``'``)", "prefixed with \\ or quoted (')"),
        ('``|`` or ``>``; an empty one, ``""``', '| or >; an empty one, ""'),
        ("``help\n  gdb`` lists them", "help\n  gdb lists them"),
        ("**bt**, **list_head**", "bt, list_head"),
        ("see :doc:`crash_compatibility`", "see crash_compatibility"),
        ("a :ref:`cannot be translated <failures>`", "a cannot be translated"),
        ("If *command* is given", "If command is given"),
        ("the `crash utility\n  <https://x.org/>`_.", "the crash utility (https://x.org/)."),
        # These are no marks.
        ("*a, *b and int *p, *q", "*a, *b and int *p, *q"),
        ("2 ** 3 ** 1", "2 ** 3 ** 1"),
        ("``one\n\ntwo``", "``one\n\ntwo``"),
        ("`prog` and ``", "`prog` and ``"),
        ("f(*args, **kwargs)", "f(*args, **kwargs)"),
        ("", ""),
    ],
)
def test_marks_are_read(marked: str, shown: str) -> None:
    assert plain(marked) == shown


def test_what_was_marked_is_in_the_style_of_names() -> None:
    found = [part for part in fragments("**bt** of ``pid``") if part[1]]
    assert found == [("name", "bt"), ("", " of "), ("name", "pid")]


def _next(text: str, line: str) -> str:
    """The line after the first that is the same as one."""
    lines = text.splitlines()
    return lines[lines.index(line) + 1]


def test_no_commands_help_shows_marks(oops_core: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session = btfdbg.session(btfdbg.program_from_core_dump(oops_core))
    prepare(session)
    namespace.load_commands()
    assert run_line(session, "help all")
    out = capsys.readouterr().out
    assert len(out.splitlines()) > 1000
    assert re.findall(r"``|\*\*\w|:\w+:`", out) == []
    assert "hexadecimal task_struct address" in out
    # An option that crash has and that is refused says so; none stands there without a word.
    alone = [line for line in out.splitlines() if re.fullmatch(r" {4}-\w( [A-Z]+)?", line)]
    bare = [line for line in alone if not _next(out, line).startswith(" " * 8)]
    assert bare == []
    assert "-O        not here: it would only make -o the default; type bt -o" in out
