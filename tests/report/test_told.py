"""A WARNING is told with what the kernel said, not by its function alone."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from btfdbg.cli.main import main
from btfdbg.report.logs.log_report import verdict, warned
from btfdbg.report.logs.text import Reader
from btfdbg.report.sentence import _besides, _warning
from btfdbg.report.witness import WITNESSES

_CUT = "------------[ cut here ]------------"
_HEADER = (
    "WARNING: CPU: 1 PID: 575 at kernel/rcu/tree_plugin.h:320 rcu_note_context_switch+0x4a0/0x500"
)
_REST = """\
CPU: 1 PID: 575 Comm: sh Not tainted 6.1.0 #1
RIP: 0010:rcu_note_context_switch+0x4a0/0x500
Call Trace:
 demo_read+0x20/0x30 [demo]
 vfs_read+0x20/0x30
---[ end trace 0000000000000000 ]---"""


def _log(*lines: str, caller: str = "") -> str:
    mark = f"[{caller}]" if caller else ""
    whole = [line if line.startswith("[") else f"[   10.5]{mark} {line}" for line in lines]
    return "".join(f"{line}\n" for line in whole)


def _said(text: str, piece: int = 1 << 20) -> str:
    reader = Reader()
    for at in range(0, len(text), piece):
        reader.feed(text[at : at + piece])
    (event,) = reader.finish()
    assert event.kind == "warning"
    assert event.title == "WARNING in demo_read [demo]"  # it joins crashes as ever
    return event.said


@pytest.mark.parametrize("caller", ["", "T575"])
@pytest.mark.parametrize("piece", [1, 7, 100, 1 << 20])
def test_the_words_before_the_header_are_those_of_the_warning(caller: str, piece: int) -> None:
    before = [f"eth0: link {n} is up" for n in range(200)]
    text = _log(*before, _CUT, "Voluntary switch!", _HEADER, *_REST.split("\n"), caller=caller)
    assert _said(text, piece) == "Voluntary switch!"


@pytest.mark.parametrize(
    ("between", "caller", "said"),
    [
        ([], "", ""),
        (["one"], "", "one"),
        # Whose are they? The kernel does not say.
        (["one", "two"], "", ""),
        (["one", "two"], "T575", "one two"),
        (["one", "[   10.5][C0] another CPU's", "two"], "T575", "one two"),
        (["1", "2", "3", "4"], "T575", ""),
        (["x" * 300], "", "x" * 199 + "…"),
    ],
)
def test_lines_that_may_be_anothers_are_not_taken(
    between: list[str], caller: str, said: str
) -> None:
    text = _log(_CUT, *between, _HEADER, *_REST.split("\n"), caller=caller)
    assert _said(text) == said


def test_without_the_mark_nothing_is_taken() -> None:
    assert _said(_log("usb 1-1: new device", _HEADER, *_REST.split("\n"))) == ""


def test_the_condition_in_a_newer_header_is_what_is_said() -> None:
    header = "WARNING: [count > limit] fs/x.c:12 at rcu_note_context_switch+0x1/0x2, CPU#0: sh/575"
    assert _said(_log(_CUT, header, *_REST.split("\n"))) == "count > limit"
    # What WARN() was given in words says more.
    assert _said(_log(_CUT, "Too many", header, *_REST.split("\n"))) == "Too many"


def test_the_verdict_has_the_words_and_the_place() -> None:
    reader = Reader()
    reader.feed(_log(_CUT, "Voluntary switch.", _HEADER, *_REST.split("\n")))
    (event,) = reader.finish()
    assert verdict([event]) == (
        "WARNING in demo_read [demo]: Voluntary switch (kernel/rcu/tree_plugin.h:320);"
        " running: sh(575)."
    )
    look: Any = SimpleNamespace(panic_task=None)
    signature: Any = SimpleNamespace(function="demo_read", module="demo")
    happened: Any = SimpleNamespace(event=event, look=look, signature=signature)
    assert _warning(happened) == (
        "A WARNING in demo_read of the module demo: Voluntary switch"
        " (kernel/rcu/tree_plugin.h:320); the kernel was told to panic then."
    )
    happened.event = None
    assert "demo; the kernel" in _warning(happened)


def test_other_reports_have_no_such_words() -> None:
    reader = Reader()
    reader.feed(_log(_CUT, "a line before it", "kernel BUG at fs/x.c:1!", *_REST.split("\n")))
    (event,) = reader.finish()
    assert (event.kind, event.said, warned(event)) == ("bug", "", "")


def test_text_and_json_have_the_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log"
    log.write_text(_log(_CUT, "Voluntary switch!", _HEADER, *_REST.split("\n")))
    assert main(["report", "--log", str(log)]) == 0
    assert "\nsays:    Voluntary switch!\n" in capsys.readouterr().out
    assert main(["report", "--log", str(log), "--json"]) == 0
    (event,) = json.loads(capsys.readouterr().out)["events"]
    assert event["said"] == "Voluntary switch!"


def test_no_file_is_named_by_a_pattern() -> None:
    assert [row.why for row in WITNESSES if "*" in row.why] == []
    assert all(row.why for row in WITNESSES)


def test_a_warning_among_other_reports_has_its_words_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warning = _log(_CUT, "Voluntary switch!", _HEADER, *_REST.split("\n"))
    bug = warning.replace(_HEADER, "kernel BUG at fs/x.c:1!").replace("[   10.5]", "[   90.5]")
    told = "WARNING in demo_read [demo]: Voluntary switch! (kernel/rcu/tree_plugin.h:320)"
    log = tmp_path / "log"
    log.write_text(warning + bug)
    assert main(["report", "--log", str(log)]) == 0
    listed = capsys.readouterr().out.partition("All 2 reports:")[2].splitlines()
    assert listed[2].endswith(told)
    reader = Reader()
    reader.feed(log.read_text())
    first, second = reader.finish()
    look: Any = SimpleNamespace(events=(first, second))
    happened: Any = SimpleNamespace(
        event=second, look=look, trouble=None, blockage=SimpleNamespace(tasks=())
    )
    assert _besides(happened) == f" At that moment the log had reported {told}."
