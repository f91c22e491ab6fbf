"""Parts of ``report`` and ``ctx`` by their names alone, and where registers are."""

from __future__ import annotations

from pathlib import Path

import pytest

import btfdbg
from btfdbg.commands.evaluate import prepare, run_line
from btfdbg.program.session import Session

Said = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def session(oops_core: Path) -> Session:
    found = btfdbg.session(btfdbg.program_from_core_dump(oops_core))
    prepare(found)
    return found


def _run(session: Session, line: str, capsys: Said) -> str:
    capsys.readouterr()
    assert run_line(session, line), capsys.readouterr().err
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("report cpus", "report -s cpus"),
        ("report cpus modules", "report -s cpus -s modules"),
        ("report -s modules cpus", "report -s cpus -s modules"),
        ("report cpus --json", "report -s cpus --json"),
        ("ctx stack", "ctx -s stack"),
        ("ctx registers", "ctx -s registers"),
        ("ctx -s task stack", "ctx -s task -s stack"),
        ("ctx stack --drgn", "ctx --drgn"),
        ("report cpus --drgn", "report -s cpus --drgn"),
    ],
)
def test_a_part_may_be_named_without_its_option(
    short: str, long: str, session: Session, capsys: Said
) -> None:
    assert _run(session, short, capsys) == _run(session, long, capsys) != ""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("report nosuch", "no section nosuch; there are blocked, cpus"),
        ("ctx nosuch", "'nosuch'"),
        ("dis $rip", "dis alone the code where it happened"),
        ("x/4gx $rsp", "ctx shows the registers"),
        ("regs", "ctx -s registers shows those where it happened"),
    ],
)
def test_what_there_is_not_says_what_to_type(
    line: str, said: str, session: Session, capsys: Said
) -> None:
    assert not run_line(session, line)
    assert said in capsys.readouterr().err
