"""The prompt's first lines: less than the report says, and never something else."""

from __future__ import annotations

import os
from pathlib import Path

import drgn
import pytest

import btfdbg
from btfdbg.report.first import NEXT, first_lines
from btfdbg.report.happened import Happened
from btfdbg.report.look import Look
from tests.conftest import bundled_dumps

DUMPS = [path for path, _ in bundled_dumps()]
LAB = os.environ.get("BTFDBG_LAB_DUMPS", "")
SAID = "the log says: "


def agrees(prog: drgn.Program) -> bool:
    """Whether the first line is the report's title, or words that its event begins with."""
    first = first_lines(prog)[0]
    happened = Happened(Look(btfdbg.session(prog)))
    if first.startswith(SAID):
        words = first.removeprefix(SAID).rstrip("…")
        return happened.event is not None and happened.event.message.startswith(words)
    if first == "no CPU has panicked":
        return happened.kind == "snapshot"
    return first == happened.signature.title


@pytest.mark.parametrize("dump", DUMPS, ids=lambda path: path.stem)
def test_first_line_is_what_the_report_says(dump: Path) -> None:
    if not dump.exists():
        pytest.skip(f"no {dump.name}")
    prog = btfdbg.program_from_core_dump(dump)
    lines = first_lines(prog)
    assert len(lines) == 3
    assert lines[-1] == NEXT
    assert " on CPU " in lines[1]
    assert agrees(prog)


@pytest.mark.matrix
@pytest.mark.skipif(not LAB, reason="BTFDBG_LAB_DUMPS names no folder of dumps")
def test_first_line_is_what_the_report_says_of_every_dump() -> None:
    differ = [
        path.name
        for path in sorted(Path(LAB).glob("*.vmcore"))
        if not agrees(btfdbg.program_from_core_dump(path))
    ]
    assert not differ


def test_a_program_without_anything_gives_only_the_next_step() -> None:
    assert first_lines(drgn.Program(drgn.host_platform)) == [NEXT]
