"""``dis`` over bundled dumps: what it names, marks and refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import btfdbg
from btfdbg.commands import namespace
from btfdbg.commands.evaluate import prepare, run_line
from btfdbg.program.session import Session

namespace.load_commands()
pytest.importorskip("capstone")


@pytest.fixture(scope="module")
def oops(oops_core: Path) -> Session:
    session = btfdbg.session(btfdbg.program_from_core_dump(oops_core))
    prepare(session)
    return session


def _run(session: Session, line: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert run_line(session, line), capsys.readouterr().err
    return capsys.readouterr().out


def _row(text: str, offset: str) -> str:
    return next(line for line in text.splitlines() if f"+{offset}>:" in line)


def test_the_instruction_that_faulted_is_marked_and_explained(
    oops: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    out = _run(oops, "dis cf_level3.constprop.0", capsys)
    lines = out.splitlines()
    marked = [number for number, line in enumerate(lines) if line.startswith("=>")]
    assert len(marked) == 1
    assert "+0x1a>" in lines[marked[0]]
    assert lines[marked[0] + 1] == "    writes 4 bytes at NULL+0x10; rdx is cf_victim, NULL"


def test_globals_and_per_cpu_variables_have_names(
    oops: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    out = _run(oops, "dis cf_level3.constprop.0", capsys)
    assert _row(out, "0x10").endswith("; cf_victim")
    assert _row(out, "0x5").endswith("; this_cpu(cf_hits)")


def test_a_call_that_has_not_returned_is_marked(
    oops: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = oops.prog.crashed_thread().stack_trace()
    number = next(i for i, f in enumerate(trace) if f.name == "cf_level3.constprop.0") + 1
    out = _run(oops, f"dis {trace[number].name}", capsys)
    marked = [line for line in out.splitlines() if line.startswith("->")]
    assert len(marked) == 1
    assert " call 0x" in marked[0]
    assert "<cf_level" in marked[0].partition(">:")[2]


@pytest.mark.parametrize(
    ("line", "offsets"),
    [
        ("dis cf_level3.constprop.0+0x10 2", ["0x10", "0x17"]),
        ("dis cf_level3.constprop.0+0x10", ["0x10"]),
        ("dis -r cf_level3.constprop.0+0x11", ["", "0x5", "0xd", "0x10"]),
        ("dis -r cf_level3.constprop.0+0x10 2", ["0xd", "0x10"]),
        ("dis -f cf_level3.constprop.0+0x1d 3", ["0x1d", "0x24", "0x27"]),
        ("dis -d cf_level3.constprop.0+0x10", ["16"]),
        ("dis (prog.symbol('cf_level3.constprop.0').address + 13) 1", ["0xd"]),
    ],
)
def test_the_part_that_was_asked_for(
    line: str, offsets: list[str], oops: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    out = _run(oops, line, capsys)
    found = re.findall(r"<cf_level3\.constprop\.0(?:\+(\w+))?>:", out)
    assert found == offsets


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("dis no_such_function", "no_such_function"),
        ("dis vfs_read", "vfs_read: its code is not in the dump"),
        ("dis cf_level3.constprop.0 0", "a count of 0"),
        ("dis -r 0xffffffff00000000", "in no function"),
        ("dis 0x10", "not in the dump"),
        ("dis -u -t 2 0x1000", "kernel thread"),
    ],
)
def test_what_cannot_be_shown_is_one_line(
    line: str, error: str, oops: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert not run_line(oops, line)
    err = capsys.readouterr().err
    assert error in err
    assert err.count("\n") == 1


def test_without_capstone_one_line_says_so(
    oops: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    monkeypatch.setitem(oops.prog.cache, "btfdbg.frames", None)
    assert not run_line(oops, "dis cf_trigger")
    assert "pip install 'btfdbg[disasm]'" in capsys.readouterr().err


def test_without_a_place_the_instructions_around_the_crash_are_shown(
    oops: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = _run(oops, "dis", capsys).splitlines()
    assert lines[0] == "sh(575) was in cf_level3.constprop.0+0x1a (frame #0)"
    marked = [number for number, line in enumerate(lines) if line.startswith("=>")]
    assert len(marked) == 1
    assert "+0x1a>" in lines[marked[0]]
    rows = [line for line in lines if re.match(r"(  |=>|->)0x", line)]
    assert len(rows) == 11  # five before, to the function's start; five behind
    assert rows[0].split()[1] == "<cf_level3.constprop.0>:"


def test_without_a_place_options_start_from_the_crash(
    oops: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    up_to = _run(oops, "dis -r", capsys).splitlines()
    assert up_to[-2].startswith("=>")
    assert up_to[0].endswith("(frame #0)")
    from_there = _run(oops, "dis -f", capsys).splitlines()
    assert [line[:2] for line in from_there].count("=>") == 1
    assert from_there[2].startswith("=>")


def test_without_a_place_a_waiting_task_shows_who_waits(
    arm_core: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = btfdbg.session(btfdbg.program_from_core_dump(arm_core))
    prepare(session)
    capsys.readouterr()
    # The code of cf_ab is not among what this dump was trimmed to.
    assert not run_line(session, "dis")
    found = capsys.readouterr()
    assert found.out == "cf_ab(219) waits in cf_ab+0x40 (frame #7)\n"
    assert "its code is not in the dump" in found.err


def test_a_users_address_is_never_guessed(
    oops: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not run_line(oops, "dis -u")
    assert "an address of the user's" in capsys.readouterr().err


def test_the_place_is_that_of_a_call_that_never_returns(
    oops: Session, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = oops.prog.crashed_thread().stack_trace()
    number = next(i for i, f in enumerate(trace) if f.name == "cf_trigger")
    # As behind panic(): the address that it would return to is the next function's.
    monkeypatch.setattr("btfdbg.report.place.frame_of", lambda happened: number)
    monkeypatch.setattr("btfdbg.commands.prompt.dis._where", lambda *_: "<next_function>")
    out = _run(oops, "dis", capsys).splitlines()
    assert out[0] == f"sh(575) was in cf_trigger+0x22 (frame #{number})"
