"""A kernel's log within what other programs keep it in: JSON, journald, terminals, mails."""

from __future__ import annotations

import bz2
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from btfdbg.report import events
from btfdbg.report.logs.files import read_log
from btfdbg.report.triage.finding import find
from tests.report.test_events import ARM, NULL, PPC, RISCV, S390

Lines = list[tuple[float, str]]


def stamped(text: str) -> Lines:
    """Messages with a time each, as the kernel would stamp them."""
    return [(7 + number / 1000, line) for number, line in enumerate(text.splitlines())]


def plain(lines: Lines, end: str = "\n") -> str:
    return "".join(f"[{seconds:12.6f}] {message}{end}" for seconds, message in lines)


def dmesg(lines: Lines) -> str:
    """``dmesg -J`` of util-linux: a field a line, the time without quotes."""
    inner = "\n      },{\n".join(
        f'         "pri": 4,\n         "time": {seconds:12.6f},\n'
        f'         "msg": {json.dumps(message)}'
        for seconds, message in lines
    )
    return f'{{\n   "dmesg": [\n      {{\n{inner}\n      }}\n   ]\n}}\n'


def objects(wrap: Callable[[float, str], object], **how: int) -> Callable[[Lines], str]:
    return lambda lines: "".join(json.dumps(wrap(*one), **how) + "\n" for one in lines)  # type: ignore[arg-type]


def entry(seconds: float, message: str) -> dict[str, str]:
    return {
        "__CURSOR": "s=1",
        "MESSAGE": message,
        "_TRANSPORT": "kernel",
        "_SOURCE_MONOTONIC_TIMESTAMP": str(round(seconds * 1e6)),
    }


def verbose(lines: Lines) -> str:
    return "".join(
        f"Mon 2026-11-30 22:01:01.{number:06} UTC [s=0a1b;i={number:x};b=2c]\n"
        "    _TRANSPORT=kernel\n    SYSLOG_IDENTIFIER=kernel\n"
        f"    MESSAGE={message}\n    _SOURCE_MONOTONIC_TIMESTAMP={round(seconds * 1e6)}\n"
        for number, (seconds, message) in enumerate(lines)
    )


JSON: dict[str, Callable[[Lines], str]] = {
    "dmesg": dmesg,
    "dmesg in one line": lambda lines: json.dumps(
        {"dmesg": [{"pri": 4, "time": seconds, "msg": message} for seconds, message in lines]}
    ),
    "docker": objects(lambda seconds, m: {"log": f"[{seconds:12.6f}] {m}\n", "stream": "stdout"}),
    "collector": objects(lambda seconds, m: {"host": "web1", "message": f"[{seconds:.6f}] {m}"}),
    "records": objects(
        lambda seconds, m: {"sec": 7, "usec": round((seconds - 7) * 1e6), "msg": m, "priority": 4}
    ),
    "a text": lambda lines: json.dumps({"body": plain(lines), "id": 1}),
    "journald, pretty": objects(entry, indent=8),
    "journald, sequence": lambda lines: "".join(
        f"\x1e{json.dumps(entry(*one))}\n" for one in lines
    ),
    "journald, events": lambda lines: "".join(
        f"data: {json.dumps(entry(*one))}\n\n" for one in lines
    ),
    "journald, verbose": verbose,
}


def told(path: Path) -> list[tuple[str, list[str], float | None]]:
    log = read_log(str(path))
    assert not log.cut
    return [
        (event.title, [frame.name for frame in event.frames], event.seconds) for event in log.events
    ]


@pytest.mark.parametrize(
    "text", [NULL, ARM, S390, PPC, RISCV], ids=["x86", "arm", "s390", "ppc", "riscv"]
)
@pytest.mark.parametrize("way", JSON)
def test_log_within_json_has_the_reports_of_the_log(way: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text(plain(stamped(text)))
    (tmp_path / "wrapped").write_text(JSON[way](stamped(text)))
    expected = told(tmp_path / "plain")
    assert expected
    assert 7 <= (expected[0][2] or 0) < 8
    assert told(tmp_path / "wrapped") == expected


@pytest.mark.parametrize("way", ["dmesg", "journald, pretty", "journald, verbose", "docker"])
def test_a_reports_line_is_within_its_own_object(way: str, tmp_path: Path) -> None:
    text = JSON[way](stamped(NULL))
    (tmp_path / "wrapped").write_text(text)
    [event] = read_log(str(tmp_path / "wrapped")).events
    lines = text.splitlines()
    # an object's message stands where the object begins
    assert any(event.message in line for line in lines[event.line - 1 : event.line + 8])


ENCODED: dict[str, Callable[[str], bytes]] = {
    "utf-16 little": lambda text: ("\ufeff" + text).encode("utf-16-le"),
    "utf-16 big": lambda text: ("\ufeff" + text).encode("utf-16-be"),
    "utf-16 without mark": lambda text: text.encode("utf-16-le"),
    "utf-8 with mark": lambda text: text.encode("utf-8-sig"),
    "bzip2": lambda text: bz2.compress(text.encode()),
}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\r\n", "\n\r", "\r"])
@pytest.mark.parametrize("how", ENCODED)
def test_encodings_and_line_ends_of_terminals(how: str, end: str, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text(plain(stamped(NULL)))
    (tmp_path / "saved.log").write_bytes(ENCODED[how](plain(stamped(NULL), end)))
    expected = told(tmp_path / "plain")
    assert expected
    assert told(tmp_path / "saved.log") == expected


@pytest.mark.parametrize("name", ["saved.log", "saved"])
@pytest.mark.parametrize("how", ENCODED)
def test_a_folder_has_the_logs_that_can_be_read(how: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(ENCODED[how](plain(stamped(NULL))))
    assert [one.what for one in find([str(tmp_path)])] == ["log"]
    (tmp_path / name).write_bytes(bytes(range(256)) * 8)
    assert [one for one in find([str(tmp_path)]) if one.what] == []


PREFIXES = (
    "Mon 2026-11-30 22:01:01 UTC web1 kernel: ", "Mon 2026-11-30 22:01:01.123456 CET web1 kernel: ",
    "1764540061.123456 web1 kernel: ", "<4>Nov 30 22:01:01 web1 kernel: ",
    '<4>1 2026-11-30T22:01:01.123Z web1 kernel - - [meta sequenceId="12"] ',
    "Nov 30 22:01:01 web1 kern.warn kernel: ", "> ", ">> ",
    "> > Nov 30 22:01:01 web1 kernel: ", "/var/log/messages:12:Nov 30 22:01:01 web1 kernel: ",
    "12:2026-11-30T22:01:01+0100 web1 kernel: ",
    "- {dt: '2026-11-30T22:01:01.123456', lvl: target, msg: '[    7.001000] ", "+[    7.001000] ",
)  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes_of_loggers_mails_and_searches(prefix: str) -> None:
    [expected] = events(NULL)
    [event] = events("".join(f"{prefix}{line}\n" for line in NULL.splitlines()))
    assert event.title == expected.title
    assert [frame.name for frame in event.frames] == [frame.name for frame in expected.frames]


OLD = """\
BUG: unable to handle kernel NULL pointer dereference at 0000000000000010
IP: [<ffffffffc0123024>] demo_f+0x24/0x60 [demo]
Oops: 0002 [#1] SMP
CPU: 1 PID: 123 Comm: cat Tainted: G           OE  ------------   3.10.0-1160.el7.x86_64 #1
RIP: 0010:[<ffffffffc0123024>]  [<ffffffffc0123024>] demo_f+0x24/0x60 [demo]
Call Trace:
 [<ffffffffc0123052>] demo_caller+0x12/0x40 [demo]
"""
STUCK = """\
BUG: workqueue lockup - pool cpus=1 node=0 flags=0x0 nice=0 stuck for 31s!
  pwq 6: cpus=1 node=0 flags=0x0 nice=0 active=1 refcnt=2
    in-flight: 123:demo_work [demo]
"""


@pytest.mark.parametrize("text", [OLD, STUCK], ids=["addresses", "work"])
@pytest.mark.parametrize(
    "keep",
    [
        lambda line: line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
        lambda line: f"{line}\0",
        lambda line: f"- {{dt: '2026-11-30T22:01:01', lvl: target, msg: '[    7.001000] {line}'}}",
    ],
    ids=["a page", "zeros", "LAVA's list"],
)
def test_what_is_put_around_or_into_a_line_is_taken_off(
    keep: Callable[[str], str], text: str
) -> None:
    [expected] = events(text + "\n" * 200)
    assert expected.function is not None
    [event] = events("\n".join(map(keep, text.splitlines())) + "\n" * 200)
    assert event.title == expected.title


def test_json_that_is_no_log_is_not_taken_for_one_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "package").write_text('{"name": "demo", "message": "BUG: none"}\n')
    (tmp_path / "kept").write_text(dmesg(stamped(NULL)))
    (tmp_path / "long").write_text(verbose(stamped(NULL)))
    found = {Path(one.path).name: one.what for one in find([str(tmp_path)])}
    assert found == {"kept": "log", "long": "log"}


@pytest.mark.parametrize("way", JSON)
def test_cut_anywhere_it_is_read_as_far_as_it_goes(way: str, tmp_path: Path) -> None:
    text = JSON[way](stamped(NULL))
    whole = {event.title for event in events(NULL)}
    path = tmp_path / "cut"
    for end in range(0, len(text), max(1, len(text) // 40)):
        path.write_text(text[:end])
        for event in read_log(str(path)).events:
            assert event.title in whole or event.function is None
