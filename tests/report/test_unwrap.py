"""A terminal's broken lines are joined where every sign says so, and only there."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from btfdbg.report import events
from btfdbg.report.logs.files import read_log
from btfdbg.report.logs.unwrap import unwrapped, width_of
from tests.report.test_events import ARM, NULL, PPC, RISCV, S390

SAMPLES = {"x86": NULL, "arm": ARM, "ppc": PPC, "riscv": RISCV, "s390": S390}
MODULES = "Modules linked in: " + " ".join(f"module_number_{number}" for number in range(24))


def stamped(text: str) -> list[str]:
    lines = [f"pci 0000:00:{n:02x}.0: {'x' * (40 + 7 * n)}" for n in range(20)]
    lines += [*text.splitlines(), MODULES]
    return [f"[{7 + number / 1000:12.6f}] {line}" for number, line in enumerate(lines)]


def broken(lines: list[str], width: int) -> list[str]:
    return [line[at : at + width] for line in lines for at in range(0, max(len(line), 1), width)]


def told(text: str) -> list[tuple[object, ...]]:
    return [(e.title, e.function, e.pid, e.frames, e.message) for e in events(text)]


@pytest.mark.parametrize("width", [80, 100, 132])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("name", SAMPLES)
def test_broken_lines_tell_what_whole_ones_do(
    name: str, end: str, width: int, tmp_path: Path
) -> None:
    lines = stamped(SAMPLES[name])
    path = tmp_path / "screen.log"
    path.write_bytes((end.join(broken(lines, width)) + end).encode())
    assert width_of(broken(lines, width)) == width
    found = [(e.title, e.function, e.pid, e.frames, e.message) for e in read_log(str(path)).events]
    assert found == told("\n".join(lines))
    assert found


@pytest.mark.parametrize("name", SAMPLES)
def test_a_log_that_no_terminal_broke_is_left_as_it_is(name: str) -> None:
    text = "\n".join(stamped(SAMPLES[name]))
    assert "".join(unwrapped(iter([text]), text)) == text


def test_without_time_stamps_nothing_is_joined() -> None:
    text = "\n".join(broken(NULL.splitlines(), 80))
    assert "".join(unwrapped(iter([text]), text)) == text


def test_pieces_may_end_anywhere() -> None:
    lines = stamped(NULL)
    text = "\n".join(broken(lines, 80)) + "\n"
    how = random.Random(1)
    for _ in range(20):
        cuts = sorted(how.sample(range(len(text)), 9))
        parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        assert "".join(unwrapped(iter(parts), text)) == "\n".join(lines) + "\n"


def test_one_line_that_is_wider_is_proof_against_it() -> None:
    lines = broken(stamped(NULL), 80)
    lines.insert(5, "[    8.000000] " + "y" * 90)
    assert width_of(lines) == 0


def test_a_programs_table_of_one_width_proves_nothing() -> None:
    table = ["row " + "z" * 76] * 9
    lines = ["[    1.000000] short", *table, "[    2.000000] short again", *table]
    assert width_of(lines) == 0


def test_lines_that_a_logger_cut_are_not_joined() -> None:
    lines = [line[:80] for line in stamped(NULL)]
    lines.insert(12, "login: ")
    assert width_of(lines) == 0
