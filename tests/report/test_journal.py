"""What journald exports says what the kernel's log says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from btfdbg.report import events
from btfdbg.report.event import Event
from btfdbg.report.logs.files import read_log
from btfdbg.report.logs.journal import from_export
from btfdbg.report.logs.json_lines import from_json
from btfdbg.report.triage.finding import find
from tests.report.test_events import ARM, NULL, PPC, RISCV, S390


def entries(text: str) -> list[dict[str, str]]:
    """A log as the fields of journald's entries, with a program's lines between them."""
    found = []
    for number, line in enumerate(text.splitlines()):
        head = {
            "__CURSOR": f"s=1;i={number}",
            "__REALTIME_TIMESTAMP": "1",
            "__MONOTONIC_TIMESTAMP": str(7_000_000 + number),
        }
        found.append({**head, "PRIORITY": "4", "MESSAGE": line, "_TRANSPORT": "kernel"})
        found.append(
            {**head, "MESSAGE": "BUG: kernel NULL pointer dereference", "_TRANSPORT": "stdout"}
        )
    return found


def export(text: str) -> str:
    return "".join(
        "".join(f"{key}={value}\n" for key, value in entry.items()) + "\n"
        for entry in entries(text)
    )


def as_json(text: str) -> str:
    found = entries(text)
    raw = [
        # What is not UTF-8 is a list of bytes; some values are null.
        {**entry, "MESSAGE": list(entry["MESSAGE"].encode()), "_PID": None} if i % 5 == 0 else entry
        for i, entry in enumerate(found)
    ]
    return "".join(json.dumps(entry) + "\n" for entry in raw)


def told(found: tuple[Event, ...] | list[Event]) -> list[tuple[str, list[str]]]:
    return [(event.kind, [frame.name for frame in event.frames]) for event in found]


@pytest.mark.parametrize(
    "text", [NULL, ARM, S390, PPC, RISCV], ids=["x86", "arm", "s390", "ppc", "riscv"]
)
@pytest.mark.parametrize("way", [export, as_json])
def test_exported_journal_has_the_reports_of_the_log(
    text: str, way: object, tmp_path: Path
) -> None:
    assert callable(way)
    path = tmp_path / "journal"
    path.write_text(way(text))
    log = read_log(str(path))
    assert not log.cut
    expected = events(text)
    assert expected
    assert told(log.events) == told(expected)


@pytest.mark.parametrize(("way", "back"), [(export, from_export), (as_json, from_json)])
@pytest.mark.parametrize("size", [1, 7, 4096])
def test_every_line_gives_one_whatever_the_pieces(way: object, back: object, size: int) -> None:
    assert callable(way)
    assert callable(back)
    text = way("BUG: one\n two\n")
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    found = "".join(back(pieces))
    assert found.count("\n") == text.count("\n")
    assert [line for line in found.splitlines() if line] == [
        "[    7.000000] BUG: one",
        "[    7.000001]  two",
    ]


def test_damaged_entries_say_nothing() -> None:
    long = "x" * 100_000
    damaged = f'{{"MESSAGE": "a"\n[1]\n"s"\n{{"MESSAGE": [300, "b"]}}\n{{"MESSAGE": "{long}"}}\n'
    assert "".join(from_json([damaged, "[" * 60_000])) == "\n" * 6
    assert "".join(from_export([f"MESSAGE={long}", long, "\nMESSAGE\n\0\0\n\n"])) == "\n" * 4
    assert "".join(from_export(["MESSAGE=a\n" * 2000])).count("\n") == 2000


@pytest.mark.parametrize("way", [export, as_json])
def test_exported_journal_is_found_in_a_folder(way: object, tmp_path: Path) -> None:
    assert callable(way)
    (tmp_path / "saved").write_text(way(NULL))
    (tmp_path / "else").write_text('{"a": 1}\n')
    assert [(Path(f.path).name, f.what) for f in find([str(tmp_path)])] == [("saved", "log")]
