"""``btfdbg report --log`` and ``btfdbg signature --log``, as a user runs them."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import zlib
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
import zstandard

from btfdbg.cli.main import main
from btfdbg.report.logs.files import in_order, read_log
from tests.report.test_events import ARM64, HUNG, NULL, stamped


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with three reports, of which the second panicked."""
    path = tmp_path / "vmcore-dmesg.txt"
    path.write_text(
        stamped(NULL, "[   5.5] ") + stamped(ARM64, "[   9.25] ") + stamped(HUNG, "[ 99.0] ")
    )
    return path


def test_title_is_alone_on_the_first_line(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["signature", "--log", str(log)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "bad access: removed list entry in drop_entry [demo]"
    assert any(line.startswith("stack: ") for line in lines)


def test_why_shows_each_frame_and_its_rule(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["signature", "--log", str(log), "--why"]) == 0
    out = capsys.readouterr().out
    assert "skip  __list_del_entry_valid  lists: " in out
    assert "keep  drop_entry [demo]" in out


def test_all_gives_a_title_for_every_report(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["signature", "--log", str(log), "--all", "--json"]) == 0
    assert [one["title"] for one in json.loads(capsys.readouterr().out)] == [
        "NULL dereference in leaf [demo]",
        "bad access: removed list entry in drop_entry [demo]",
        "hung task in mnt_want_write",
    ]


def test_log_without_a_report_is_no_crash(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log"
    path.write_text("[    0.000000] Linux version 6.12.0\n")
    assert main(["signature", "--log", str(path)]) == 0
    assert capsys.readouterr().out == "no crash\n"
    assert main(["report", "--log", str(path)]) == 0
    assert capsys.readouterr().out == "The log holds no report of a crash.\n"


def test_report_begins_with_the_verdict(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--log", str(log)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "bad access: removed list entry in drop_entry [demo]; running: kworker/1:1(31);"
        " the kernel panicked."
    )
    assert "  drop_entry [demo]   ← blamed" in lines


def test_json_follows_its_schema(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    assert main(["report", "--log", str(log), "--format", "json", "-o", str(out)]) == 0
    report = json.loads(out.read_text())
    schema = json.loads(files("btfdbg.report.logs").joinpath("log_report.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(report, schema)
    assert report["events"][report["main"]]["panicked"]


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        lzma.compress,
        zstandard.ZstdCompressor().compress,
        lambda data: zstandard.ZstdCompressor(write_content_size=False).compress(data),
    ],
)
def test_packed_logs_are_read(pack: object, log: Path) -> None:
    plain = read_log(str(log))
    log.write_bytes(pack(log.read_bytes()))  # type: ignore[operator]
    assert read_log(str(log)) == plain


@pytest.mark.parametrize(
    "pack", [gzip.compress, lzma.compress, zstandard.ZstdCompressor().compress]
)
def test_packed_log_that_is_cut_gives_what_is_there(pack: object, tmp_path: Path) -> None:
    noise = "".join(f"{zlib.crc32(bytes([i % 256, i >> 8])):x} noise\n" for i in range(9000))
    packed = pack((NULL + noise).encode())  # type: ignore[operator]
    path = tmp_path / "log"
    path.write_bytes(packed[: len(packed) * 2 // 3])
    found = read_log(str(path))
    assert found.cut or pack is not gzip.compress
    assert [event.title for event in found.events] in ([], ["NULL dereference in leaf [demo]"])


def test_what_is_no_log_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    dump = tmp_path / "dump"
    dump.write_bytes(b"KDUMP   " + bytes(5000))
    for path, words in (
        (fifo, "not a file"),
        (tmp_path, "not a file"),
        (dump, "a dump, not a log"),
        (tmp_path / "missing", "No such file"),
    ):
        assert main(["report", "--log", str(path)]) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1


def test_random_bytes_are_no_crash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log"
    path.write_bytes(bytes(range(256)) * 500)
    assert main(["signature", "--log", str(path)]) == 0
    assert capsys.readouterr().out == "no crash\n"


def test_joined_parts_of_a_pstore_are_put_in_order(tmp_path: Path) -> None:
    half = NULL.index("Call Trace")
    text = f"Oops#1 Part1\n{NULL[half:]}Oops#1 Part2\n{NULL[:half]}"
    assert in_order(text) == NULL
    path = tmp_path / "dmesg-efi"
    path.write_text(text)
    assert [event.title for event in read_log(str(path)).events] == [
        "NULL dereference in leaf [demo]"
    ]


def test_parts_in_order_stay_so() -> None:
    text = "Oops#1 Part2\nfirst\nOops#1 Part1\nlast\n"
    assert in_order(text) == text


def test_core_and_log_together_are_a_mistake(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "core", "--log", str(log)]) == 2
    assert "not both" in capsys.readouterr().err
