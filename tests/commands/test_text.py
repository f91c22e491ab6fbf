"""What reaches a terminal is safe and fits."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btfdbg.commands import output, text


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"plain", '"plain"'),
        (b'a "b"\\ \n\t', r'"a \"b\"\\ \n\t"'),
        (b"\x1b[2J\xff", r'"\x1b[2J\xff"'),
        ("ü".encode(), '"ü"'),
    ],
)
def test_a_quoted_string_is_one_line(data: bytes, shown: str) -> None:
    assert text.quoted(data) == shown


@given(st.text(max_size=200))
def test_escaped_text_has_no_control_characters(given_: str) -> None:
    safe = text.escape(given_)
    assert not any((ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0 for c in safe)
    safe.encode("utf-8")


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain\n\ttext", "plain\n\ttext"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\rb", "a\\x0db"),
        ("\x9b31m", "\\x9b31m"),
        ("\x7f", "\\x7f"),
        ("\u202eabc", "\\u202eabc"),
        ("\udcff", "\\xff"),
        ("ü→", "ü→"),
    ],
)
def test_escape(raw: str, shown: str) -> None:
    assert text.escape(raw) == shown


def test_escaping_twice_changes_nothing() -> None:
    once = text.escape("\x1b[31mred\x07")
    assert text.escape(once) == once


def test_paint_colours_only_what_is_styled_and_escapes_the_rest() -> None:
    painted = text.paint([("error", "a\x1b[0m"), "b"], True)
    assert painted == "\x1b[31ma\\x1b[0m\x1b[0mb"
    assert text.paint([("error", "a"), "b"], False) == "ab"


@given(st.text(alphabet="ab漢é", max_size=30), st.integers(0, 30))
def test_cut_text_fits(given_: str, columns: int) -> None:
    assert text.width_of(text.cut(given_, columns)) <= columns


def test_a_wide_character_is_two_columns() -> None:
    assert text.width_of("漢a") == 3


@pytest.mark.parametrize(
    ("mode", "env", "tty", "wanted"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"TERM": "dumb"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {}, True, False),
    ],
)
def test_when_colour_is_wanted(
    mode: str, env: dict[str, str], tty: bool, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: tty)
    assert text.wants_color(mode, stream) == wanted


def test_a_table_is_aligned() -> None:
    table = text.Table(("name", "size"), [("a", 1), ("long name", 22)])
    lines = ["".join(t for _, t in line) for line in table.lines()]
    assert lines == ["NAME       SIZE", "a             1", "long name    22"]


def test_a_cell_keeps_a_table_in_one_line_per_row() -> None:
    table = text.Table(("a", "b"), [("x\ny", "\x1b[1m")])
    assert len(table.lines()) == 2
    assert "x\\ny" in "".join(t for _, t in table.lines()[1])


def test_json_of_a_table_has_its_values_uncut() -> None:
    table = text.Table(("a", "b"), [("x" * 500, None)])
    assert json.loads(table.as_json()) == [{"a": "x" * 500, "b": None}]


def test_what_is_printed_while_captured_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    with output.captured():
        print("\x1b[31mcomm")
    assert capsys.readouterr().out == "\\x1b[31mcomm\n"


def test_text_the_terminal_cannot_encode_is_escaped() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, "ascii", write_through=True)
    output.Output(stream).write("ü")
    assert raw.getvalue() == b"\\xfc"


def test_a_pager_starts_only_when_the_screen_is_full(tmp_path: Path) -> None:
    terminal = io.StringIO()
    out = tmp_path / "paged"
    command = [sys.executable, "-c", f"import sys; open({str(out)!r}, 'w').write(sys.stdin.read())"]
    pager = output.Pager(terminal, command, rows=5)
    pager.write("1\n2\n")
    pager.finish()
    assert terminal.getvalue() == "1\n2\n"
    assert not out.exists()
    pager = output.Pager(terminal, command, rows=5)
    for i in range(8):
        pager.write(f"{i}\n")
    pager.finish()
    assert out.read_text() == "".join(f"{i}\n" for i in range(8))


def test_a_pager_that_is_left_ends_the_command() -> None:
    pager = output.Pager(io.StringIO(), ["true"], rows=1)

    def write() -> None:
        for _ in range(100_000):
            pager.write("line\n")

    with pytest.raises(BrokenPipeError):
        write()
    pager.finish()


def test_a_pager_that_does_not_exist_costs_nothing() -> None:
    terminal = io.StringIO()
    pager = output.Pager(terminal, ["/no/such/pager"], rows=1)
    pager.write("a\nb\n")
    pager.finish()
    assert terminal.getvalue() == "a\nb\n"


def test_slow_output_is_shown_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_HOLD_SECONDS", 0.01)
    terminal = io.StringIO()
    pager = output.Pager(terminal, ["true"], rows=100)
    pager.write("first\n")
    assert pager._timer is not None
    pager._timer.join(5)
    assert terminal.getvalue() == "first\n"
    pager.write("second\n")
    assert terminal.getvalue() == "first\nsecond\n"
    pager.finish()


def test_slow_output_is_shown_though_the_timers_thread_comes_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pager would keep a loop's Ctrl-C to itself, and whether it starts is to be no luck."""

    class Late:
        def __init__(self, seconds: float, function: object) -> None:
            pass

        def start(self) -> None:
            pass

        cancel = start

    clock = iter([100.0, 100.1, 100.0 + output._HOLD_SECONDS])
    monkeypatch.setattr(threading, "Timer", Late)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    terminal = io.StringIO()
    pager = output.Pager(terminal, ["/no/pager/is/started"], rows=3)
    monkeypatch.setattr(pager, "_start", lambda: pytest.fail("a pager for slow output"))
    for line in ("first\n", "second\n"):
        pager.write(line)
        assert terminal.getvalue() == ""
    pager.write("third\n")
    assert terminal.getvalue() == "first\nsecond\nthird\n"
    pager.write("fourth\n")
    pager.finish()
    assert terminal.getvalue().endswith("third\nfourth\n")


def test_the_pager_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGER", "true -x")
    assert output.pager_command() == ["true", "-x"]
    monkeypatch.setenv("PAGER", "cat")
    assert output.pager_command() is None
    monkeypatch.setenv("PAGER", "'unclosed")
    assert output.pager_command() is None
    monkeypatch.setenv("BTFDBG_PAGER", "")
    assert output.pager_command() is None


def test_a_failing_pipeline_is_an_error() -> None:
    with pytest.raises(output.OutputError, match="status 3"), output.redirected((), "exit 3"):
        print("x")
    assert sys.stdout is not None
    assert os.path.exists("/")
