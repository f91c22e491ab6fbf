"""When a crash was, out of a log that has its boot."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from btfdbg.cli.main import main
from btfdbg.report.logs.files import read_log
from btfdbg.report.logs.wall_clock import WallClock, time_of
from btfdbg.report.triage.crash_of import crash_of_log
from tests.report.test_events import NULL, stamped

_BOOT = datetime(2026, 11, 30, 9, 7, 22, tzinfo=timezone.utc).timestamp()
_SET = (
    "[    3.500000] rtc_cmos PNP0B00:00: setting system clock to"
    f" 2026-11-30T09:07:22 UTC ({_BOOT:.0f})\n"
)
_CRASH = stamped(NULL, "[  77.5] ")


def _when(text: str, tmp_path: Path) -> float | None:
    path = tmp_path / "console.log"
    path.write_text(text)
    return crash_of_log(str(path)).when


def test_stamps_count_on_from_the_clock_that_was_set(tmp_path: Path) -> None:
    log = "[    0.000000] Linux version 6.12\n" + _SET + _CRASH
    assert _when(log, tmp_path) == _BOOT + 74.0
    assert _when(log.replace("T09:07", " 09:07"), tmp_path) == _BOOT + 74.0  # before v5.0
    assert _when(log.replace("[    3.5", "<6>[    3.5"), tmp_path) == _BOOT + 74.0


@pytest.mark.parametrize(
    "log",
    [
        _CRASH,
        _CRASH + _SET,  # of a later boot
        _SET.replace("    3.5", "  300.5") + _CRASH,  # of an earlier one
        _SET + "[   50.000000] PM: suspend entry (deep)\n" + _CRASH,
        _SET + "[   50.000000] PM: hibernation: hibernation entry\n" + _CRASH,
        _SET.replace("09:07:22", "09:08:22") + _CRASH,  # damaged: its two forms differ
        _SET.replace("11-30", "13-30") + _CRASH,
        _SET.removeprefix("[    3.500000] ") + _CRASH,
        _SET + stamped(NULL, ""),
        _SET + stamped(NULL, "[999999999999999999.5] "),
        "[    3.5] x: setting system clock to 1970-01-01T00:00:09 UTC (9)\n" + _CRASH,
    ],
)
def test_a_clock_that_does_not_tell_is_not_asked(log: str, tmp_path: Path) -> None:
    assert _when(log, tmp_path) is None


def test_the_last_boot_before_the_crash_counts(tmp_path: Path) -> None:
    later = _SET.replace("09:07:22", "10:07:22").replace(f"{_BOOT:.0f}", f"{_BOOT + 3600:.0f}")
    assert _when(_SET + "[   50.0] PM: suspend entry\n" + later + _CRASH, tmp_path) == (
        _BOOT + 3600 + 74.0
    )


def test_the_folders_time_comes_first(tmp_path: Path) -> None:
    folder = tmp_path / "127.0.0.1-2026-11-29-21:00:36"
    folder.mkdir()
    when = _when(_SET + _CRASH, folder)
    assert when == datetime(2026, 11, 29, 21, 0, 36, tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize("piece", [1, 7, 64, 1000])
def test_pieces_may_end_anywhere(piece: int, tmp_path: Path) -> None:
    text = "first line\n" * 3 + _SET + _CRASH
    clock = WallClock()
    for at in range(0, len(text), piece):
        clock.feed(text[at : at + piece])
    assert [(mark.line, mark.seconds, mark.wall) for mark in clock.marks] == [(4, 3.5, _BOOT)]
    (tmp_path / "log").write_text(text)
    log = read_log(str(tmp_path / "log"))
    assert log.clock == tuple(clock.marks)
    assert time_of(log.clock, log.events[0]) == _BOOT + 74.0


def test_the_report_on_a_log_says_the_date(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    log.write_text(_SET + _CRASH)
    assert main(["report", "--log", str(log)]) == 0
    assert "\nat:      77.500000 s since boot, 2026-11-30 09:08:36 UTC\n" in capsys.readouterr().out
    log.write_text(_CRASH)
    assert main(["report", "--log", str(log)]) == 0
    assert "\nat:      77.500000 s since boot\n" in capsys.readouterr().out
