"""Where the log begins to tell of a crash."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import btfdbg
from btfdbg.report import place
from btfdbg.report.happened import DecidedLook, Happened

_LOG = (
    "[1.0][T1] sh (1): drop_caches: 1",
    "[2.0][T7] ------------[ cut here ]------------",
    "[2.0][T7] Voluntary context switch within RCU read-side critical section!",
    "[2.0][T7] WARNING: CPU: 1 PID: 7 at kernel/rcu/tree_plugin.h:331 rcu_note+0x5ad/0x630",
    "[2.0][T7] ---[ end trace 0000000000000000 ]---",
    "[3.0][T1] eth0: link up",
    "[3.0][T1] eth0: link down",
    "[4.0][T1] sysrq: Trigger a crash",
    "[4.0][T1] Kernel panic - not syncing: sysrq triggered crash",
)


def _event(line: int, title: str) -> Any:
    return SimpleNamespace(line=line, title=title)


@pytest.fixture
def happened(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A warning, and a panic by hand after it."""
    monkeypatch.setattr(place, "_log_lines", lambda look: _LOG)
    events = [_event(4, "WARNING in f"), _event(8, "panic by hand: SysRq")]
    return SimpleNamespace(event=events[1], look=SimpleNamespace(events=events))


def test_the_report_shows_what_stands_before_the_first_event(happened: Any) -> None:
    told = place.log_from_first_report(happened.look)
    assert told.lines == _LOG
    assert (told.first, told.led) == (True, 3)


def test_what_a_warning_says_above_its_first_line_belongs_to_it(happened: Any) -> None:
    assert place.log_of_the_crash(happened, 50).lines == _LOG[1:]
    happened.event = happened.look.events[0]
    assert place.log_of_the_crash(happened, 3).lines == _LOG[1:4]


def test_a_report_without_it_begins_with_itself(happened: Any) -> None:
    told = place.log_of_the_crash(happened, 2)
    assert told.lines == _LOG[7:]
    assert told.before == ("WARNING in f",)
    assert place.log_of_the_crash(happened, 6).lines == _LOG[7:]
    assert place.log_of_the_crash(happened, 7).lines == _LOG[1:8]


@pytest.mark.parametrize("limit", [0, -1])
def test_no_lines_are_no_lines(limit: int, happened: Any) -> None:
    assert place.log_of_the_crash(happened, limit).lines == ()


def test_a_log_without_a_report_gives_its_end(happened: Any) -> None:
    happened.look.events.clear()
    told = place.log_of_the_crash(happened, 2)
    assert (told.lines, told.first) == (_LOG[-2:], False)
    told = place.log_from_first_report(happened.look)
    assert (told.lines, told.first, told.led) == (_LOG, False, 0)


def test_the_first_line_of_a_log_may_begin_a_report(happened: Any) -> None:
    happened.look.events[0].line = 1
    told = place.log_from_first_report(happened.look)
    assert (told.lines, told.led) == (_LOG, 0)
    assert place.log_of_the_crash(happened, 50).lines == _LOG


def test_a_dumps_oops_is_led_by_three_lines(oops_core: Path) -> None:
    look = DecidedLook(btfdbg.session(btfdbg.program_from_core_dump(oops_core)))
    look.happened = Happened(look)
    told = place.log_from_first_report(look)
    assert told.led == 3
    assert "BUG: kernel NULL pointer dereference" in told.lines[3]
    of_crash = place.log_of_the_crash(look.happened, 10)
    assert of_crash.lines == told.lines[3:13]
