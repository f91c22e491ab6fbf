"""``mod`` and ``sys`` of README's dump: what is known is said."""

from __future__ import annotations

import json
from pathlib import Path

import drgn
import pytest

import btfdbg
from btfdbg.commands import evaluate
from btfdbg.patches.system import get_dumpfile, get_kernel, tainted_by
from btfdbg.program.session import Session

COREFILES = Path(__file__).resolve().parents[2] / "corefiles"


@pytest.fixture(scope="module")
def session() -> Session:
    return btfdbg.session(btfdbg.program_from_core_dump(COREFILES / "6.12-amd64-null.vmcore"))


def test_mod_says_where_types_are_from(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.run_line(session, "mod")
    out = capsys.readouterr().out
    lines = {line.split()[1]: line for line in out.splitlines()[1:]}
    assert len(lines) == len(session.module_names())
    assert "(types known)" in lines["cf_fault"]
    assert "not loaded" not in out
    assert evaluate.run_line(session, "mod --json")
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == len(lines)
    assert all(row["OBJECT FILE"].startswith("(types known)") for row in rows)


def test_mod_s_prints_no_debug_lines(session: Session, capfd: pytest.CaptureFixture[str]) -> None:
    assert evaluate.run_line(session, "mod -s cf_fault")
    said = capfd.readouterr()
    assert "cf_fault" in said.out
    assert "DEBUG" not in said.out + said.err


def test_mod_s_says_that_a_file_is_not_there_or_was_not_taken(
    session: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not evaluate.run_line(session, "mod -s cf_fault /nosuch/cf_fault.ko")
    assert "/nosuch/cf_fault.ko: there is no such file" in capsys.readouterr().err
    other = tmp_path / "other.ko"
    other.write_bytes(b"no module")
    assert not evaluate.run_line(session, f"mod -s cf_fault {other}")
    assert "not taken" in capsys.readouterr().err


def test_sys_says_what_taints_the_kernel_and_which_module(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.run_line(session, "sys")
    assert capsys.readouterr().out.splitlines()[0].strip() == (
        "KERNEL: [TAINTED by O: module built outside the tree (cf_fault), "
        "E: unsigned module (cf_fault)]"
    )
    assert tainted_by(session.prog).startswith("O: ")


@pytest.mark.parametrize("said", [None, "", "/boot/vmlinux"])
def test_a_kernel_that_is_not_tainted_is_shown_as_before(
    session: Session, said: str | None
) -> None:
    assert get_kernel(session.prog, said) == said


def test_a_path_stays_before_the_taints(session: Session) -> None:
    assert (get_kernel(session.prog, "/x/vmlinux  [TAINTED]") or "").startswith(
        "/x/vmlinux  [TAINTED by O"
    )


def test_sys_names_the_dump_where_drgn_was_given_its_notes_only(session: Session) -> None:
    assert session.dump is not None
    said = get_dumpfile(session.prog, "/memfd:btfdbg-notes (deleted)")
    assert said == str(session.dump.path)
    assert get_dumpfile(drgn.Program(), "/proc/kcore") == "/proc/kcore"
