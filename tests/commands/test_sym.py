"""Symbols with a text in their names, and those like a name, without making every symbol."""

from __future__ import annotations

import pytest

from btfdbg.commands.candidates import candidates
from btfdbg.commands.evaluate import run_line
from btfdbg.program.session import Session


@pytest.mark.parametrize("part", ["vfs_rea", "cf_faul", "ext4_da"])
def test_sym_q_prints_what_a_look_at_every_symbol_finds(
    session: Session, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_line(session, f"sym -q {part}")
    assert session.symbols is not None
    assert session.module_symbols is not None
    found = sorted(
        f"{s.address:x} ({s.type_letter}) {s.name}"
        for s in (*session.symbols, *session.module_symbols)
        if part in s.name
    )
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.partition(" [")[0] for line in lines) == found


@pytest.mark.parametrize("name", ["vfs_raed", "x", "__x64_sys_reaf", "_end", "ZZZZ", "ü"])
def test_symbols_like_a_name_begin_or_end_as_it(session: Session, name: str) -> None:
    assert session.symbols is not None
    low = name.lower()
    start = low[: len(low) - len(low.lstrip("_")) + 2]
    alike = {
        known
        for known in session.symbols.names()
        if known.lower().startswith(start) or known.lower().endswith(low[-2:])
    }
    assert set(candidates(session)(f"symbol {name}")) == (alike if name != "ü" else set())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nosuch_thing", "no symbol is named nosuch_thing"),
        ("zz", "no symbol is named zz; sym -q zz lists those that have it"),
        ("fff", "no symbol is named fff or is there"),
        ("d0", "no symbol is named d0 or is there; sym -q d0 lists those that have it"),
    ],
)
def test_a_search_is_advised_only_if_it_finds_something(
    name: str, said: str, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not run_line(session, f"sym {name}")
    assert capsys.readouterr().err == f"sym: {said}\n"


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("list -H init_task.tasks -s task_struct.comm", "task_struct.MEMBER in front"),
        ("list -h init_task -s task_struct.comm", "task_struct.MEMBER in front"),
        ("list task_struct.tasks -H init_task.tasks -s task_struct.comm", ""),
        ("list -H init_task.tasks -l task_struct.tasks -s task_struct.comm", ""),
        ("list -H init_task.tasks -o task_struct.tasks -s task_struct.comm", ""),
        ("list -H super_blocks -s super_block.s_id", ""),
    ],
)
def test_a_node_that_is_no_beginning_of_its_struct_is_told(
    line: str, place: str, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each node was shown as a struct that is not there, and nothing said so."""
    run_line(session, line)
    err = capsys.readouterr().err
    assert place in err
    assert bool(place) == ("is taken for the beginning of a struct task_struct" in err)
