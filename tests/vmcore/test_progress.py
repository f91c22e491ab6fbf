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


@pytest.mark.parametrize("columns", [1, 8, 20, 40, 60, 80, 200])
@pytest.mark.parametrize(
    "label", ["looking", "looking for VMCOREINFO in a-file-of-a-long-name.core"]
)
def test_the_bar_stays_in_one_line(
    columns: int, label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setenv("COLUMNS", str(columns))
    out = Terminal()
    with Progress(label, 2_000_000_000, out) as p:
        now[0] = 1.0
        p(1_000_000_000)
        p.wipe()
    line = out.getvalue().removesuffix("\r\x1b[K").removeprefix("\r")
    # A terminal that is full to its last column may be in the next line already.
    assert 0 < len(line) <= max(columns - 1, 1)
    if columns >= 40:
        assert line.endswith("]  50% 1.0 GB/s")
        assert line.count("#") >= 5
    if columns >= 200:
        assert line.startswith(f"{label} [{'#' * 15}")
