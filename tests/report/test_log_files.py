"""Logs as files: packed in parts, cut, with gaps; what is found, and what is said of the rest."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from btfdbg.report.logs import files
from btfdbg.report.logs.files import read_log
from btfdbg.report.triage.crash_of import crash_of_log
from btfdbg.report.triage.finding import Found, find

FIRST = "[    1.000000] Linux version 6.12.0\n[    2.000000] BUG: unable to handle page fault\n"
OOPS = """\
[    9.100000] kernel BUG at mm/demo.c:12!
[    9.100001] RIP: 0010:demo_free+0x1/0x2
[    9.100002] Call Trace:
[    9.100003]  <TASK>
[    9.100004]  demo_close+0x1/0x2
[    9.100005]  </TASK>
"""
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "xz": lzma.compress,
    "bz2": bz2.compress,
    "zst": zstandard.compress,
}
packed = pytest.mark.parametrize("packing", list(PACKERS))


def found(folder: Path) -> dict[str, Found]:
    return {Path(one.path).name: one for one in find([str(folder)])}


def titles(path: Path) -> list[str]:
    return [event.title for event in read_log(str(path)).events]


@packed
def test_a_packed_log_is_found_by_its_name_or_its_text(tmp_path: Path, packing: str) -> None:
    data = PACKERS[packing](OOPS.encode())
    for name in (f"host.log.{packing}", "whatever"):
        (tmp_path / name).write_bytes(data)
    assert {one.what for one in found(tmp_path).values()} == {"log"}
    assert len(found(tmp_path)) == 2


@packed
@pytest.mark.parametrize("between", [b"", bytes(512)], ids=["parts", "blocks of zeros"])
def test_all_parts_of_a_packed_log_are_read(tmp_path: Path, packing: str, between: bytes) -> None:
    if packing == "zst" and between:
        pytest.skip("zeros are no frame: nothing makes such files")
    path = tmp_path / f"a.log.{packing}"
    pack = PACKERS[packing]
    path.write_bytes(pack(FIRST.encode()) + between + pack(OOPS.encode()) + between)
    log = read_log(str(path))
    assert [event.title for event in log.events][-1] == "kernel BUG in demo_free"
    assert log.cut == ""


@packed
def test_a_cut_log_says_so_where_it_reports_nothing(tmp_path: Path, packing: str) -> None:
    noise = "".join(f"[    1.0] {random.Random(i).random()}\n" for i in range(900))
    data = PACKERS[packing](noise.encode())
    (tmp_path / f"cut.log.{packing}").write_bytes(data[: len(data) // 2])
    (one,) = found(tmp_path).values()
    assert one.what == "log"
    crash = crash_of_log(one.path)
    assert crash.kind == "snapshot"
    assert "as far as it goes" in crash.verdict
    assert "ends inside its compressed data" in crash.verdict


@packed
def test_a_damaged_log_gives_what_stands_before_the_damage(tmp_path: Path, packing: str) -> None:
    path = tmp_path / f"torn.log.{packing}"
    pack = PACKERS[packing]
    path.write_bytes(pack(OOPS.encode()) + pack(OOPS.encode())[:30] + bytes(range(256)) * 4)
    log = read_log(str(path))
    assert [event.title for event in log.events] == ["kernel BUG in demo_free"]
    assert log.cut


@pytest.mark.parametrize(
    "data",
    [
        bytes(8192) + OOPS.encode(),
        FIRST.encode() + bytes(8192) + OOPS.encode(),
        OOPS.replace("\n", "\r\0\0\n").encode(),
        OOPS.replace("\n", "\n\0").encode(),
    ],
    ids=["in front", "between", "after a return", "after a line"],
)
def test_zeros_between_the_lines_are_no_text(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "console.log"
    path.write_bytes(data)
    assert found(tmp_path)["console.log"].what == "log"
    assert "kernel BUG in demo_free" in titles(path)


def test_zeros_alone_are_no_log_and_are_not_read_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_TEXT", 1 << 20)
    path = tmp_path / "sparse.log"
    with path.open("wb") as f:
        f.truncate(1 << 30)
    assert found(tmp_path) == {}
    with path.open("r+b") as f:
        f.write(FIRST.encode())
    assert "only the first 1 MiB" in read_log(str(path)).cut


def test_a_binary_file_stays_none(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(random.Random(1).randbytes(9000).replace(b"\n", b"\0"))
    assert found(tmp_path) == {}
