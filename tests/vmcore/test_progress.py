"""A progress bar for people, nothing for files."""

from __future__ import annotations

import io

import pytest

from btfdbg.vmcore.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_nothing_is_written_where_nobody_looks() -> None:
    out = io.StringIO()
    with Progress("looking", 100, out) as p:
        p._next = 0.0
        p(50)
    assert out.getvalue() == ""


def test_short_work_shows_nothing() -> None:
    out = Terminal()
    with Progress("looking", 100, out) as p:
        p(50)
    assert out.getvalue() == ""


def test_long_work_is_shown_and_wiped(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    out = Terminal()
    with Progress("looking", 2_000_000_000, out) as p:
        now[0] = 1.0
        p(1_000_000_000)
        now[0] = 1.01
        p(1_500_000_000)
    text = out.getvalue()
    assert "looking [###############               ]  50% 1.0 GB/s" in text
    assert text.count("looking") == 1
    assert text.endswith("\r\x1b[K")
