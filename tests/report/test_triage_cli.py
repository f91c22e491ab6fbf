"""``btfdbg triage`` on folders with good, bad and odd files."""

from __future__ import annotations

import gzip
import json
import mmap
import os
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from drgn.helpers.linux.timekeeping import ktime_get_coarse_ns

from btfdbg.cli.main import main
from btfdbg.lazy_dataclass import replace
from btfdbg.report.severity import main_event
from btfdbg.report.triage import workers
from btfdbg.report.triage.crash import Crash
from btfdbg.report.triage.crash_of import crash_of_log
from btfdbg.report.triage.finding import Found, find, fingerprint
from btfdbg.report.triage.workers import Limits, read_all
from tests.report.test_events import ARM64, HUNG, NULL, stamped


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results of earlier runs are kept in a folder of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def crash(tmp_path: Path) -> Path:
    """A folder as kdump-utils and kdump-tools leave it, with odd files in it."""
    folder = tmp_path / "crash"
    for host, day, log in (("h1", 27, NULL), ("h2", 28, NULL), ("h3", 29, ARM64)):
        place = folder / f"{host}-2026-11-{day}-21:00:36"
        place.mkdir(parents=True)
        (place / "vmcore-dmesg.txt").write_text(stamped(log, f"[  {day}.123456] "))
    tools = folder / "202611300102"
    tools.mkdir()
    (tools / "dmesg.202611300102.gz").write_bytes(gzip.compress(stamped(HUNG, "[  5.5] ").encode()))
    (folder / "h3-2026-11-29-21:00:36" / "copy.log").write_text(stamped(ARM64, "[  29.123456] "))
    (folder / "notes.md").write_text("BUG: [not a log]\n")
    (folder / "movie").write_bytes(b"\0\1\2" * 5000)
    (folder / "vmcore-incomplete").write_bytes(b"KDUMP   " + bytes(5000))
    (folder / "loop").symlink_to(folder)
    (folder / "gone").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "fifo")
    return folder


def rows(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """The JSON lines that were printed."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_folder_is_grouped_and_odd_files_are_named(
    crash: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["triage", str(crash), "-j", "2", "--format", "json"]) == 0
    out = rows(capsys)
    groups = [(row["title"], row["count"], row["hosts"]) for row in out if row["type"] == "group"]
    assert groups == [
        ("bad access: removed list entry in drop_entry [demo]", 1, {"h3": 1}),
        ("NULL dereference in leaf [demo]", 2, {"h1": 1, "h2": 1}),
        ("hung task in mnt_want_write", 1, {}),
    ]
    assert [row["path"] for row in out if row["type"] == "crash" and row["duplicate"]] != []
    named = {Path(str(row["path"])).name for row in out if row["type"] == "error"}
    assert named == {"vmcore-incomplete", "fifo", "gone"}


def test_one_crash_is_one_crash_in_one_group(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.log").write_text(stamped(NULL, "[  27.123456] "))
    assert main(["triage", str(tmp_path / "one.log")]) == 0
    assert capsys.readouterr().out.startswith("1 crash in 1 group\n")
    page = tmp_path / "page"
    assert main(["triage", str(tmp_path / "one.log"), "--html", str(page)]) == 0
    assert "<title>1 crash in 1 group</title>" in (page / "index.html").read_text()


def test_text_says_how_often_since_when_and_where(
    crash: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["triage", str(crash)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("4 crashes in 3 groups\n")
    assert "    2  NULL dereference in leaf [demo]\n" in out
    assert "when: 2026-11-27 21:00 to 2026-11-28 21:00" in out
    assert "vmcore-incomplete: still being written, or never finished" in out


def test_second_run_reads_only_what_is_new(
    crash: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["triage", str(crash), "--format", "json"]) == 0
    first = rows(capsys)
    read: list[str] = []
    really = workers.read_all

    def watched(files: list[Found], limits: Limits) -> Iterator[workers.Result]:
        read.extend(Path(one.path).name for one in files)
        return really(files, limits)

    monkeypatch.setattr(workers, "read_all", watched)
    assert main(["triage", str(crash), "--format", "json"]) == 0
    assert rows(capsys) == first
    assert read == []
    (crash / "new.log").write_text(stamped(HUNG, "[  7.5] "))
    assert main(["triage", str(crash)]) == 0
    assert read == ["new.log"]
    kept = list((crash.parent / "state").rglob("triage.jsonl"))
    assert len(kept) == 1
    assert kept[0].stat().st_mode & 0o077 == 0


def test_a_folder_that_was_moved_is_not_read_again(
    crash: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["triage", str(crash), "--format", "json"]) == 0
    first = [row for row in rows(capsys) if row["type"] == "group"]
    read: list[Found] = []

    def watched(files: list[Found], limits: Limits) -> Iterator[workers.Result]:
        read.extend(files)
        return iter(())

    monkeypatch.setattr(workers, "read_all", watched)
    crash.rename(tmp_path / "archive")
    assert main(["triage", str(tmp_path / "archive"), "--format", "json"]) == 0
    out = rows(capsys)
    again = [row for row in out if row["type"] == "group"]
    assert read == []
    assert [row["title"] for row in again] == [row["title"] for row in first]
    assert [row["hosts"] for row in again] == [row["hosts"] for row in first]
    paths = [str(row["path"]) for row in out if row["type"] == "crash"]
    assert paths
    assert all(path.startswith(str(tmp_path / "archive")) for path in paths)


@pytest.mark.parametrize("at", [0, 50_000, 99_999])
def test_fingerprint_tells_files_of_one_size_and_time_apart(tmp_path: Path, at: int) -> None:
    data = bytearray(100_000)
    known = set()
    for byte in (0, 1):
        data[at] = byte
        path = tmp_path / f"{byte}.log"
        path.write_bytes(data)
        os.utime(path, ns=(1, 1))
        status = path.stat()
        known.add(fingerprint(Found(str(path), "log", status.st_size, status.st_mtime_ns)))
    assert len(known - {""}) == 2


def test_a_dump_that_grows_while_it_is_read_is_named_and_not_kept(
    crash: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    growing = crash / "vmcore.1"
    growing.write_bytes(b"KDUMP   " + bytes(5000))

    def grows(path: str, page: object = None) -> Crash:
        found = crash_of_log(str(crash / "h1-2026-11-27-21:00:36" / "vmcore-dmesg.txt"))
        with open(path, "ab") as f:
            f.write(b"more")
        return replace(found, path=path)

    monkeypatch.setattr(workers, "crash_of_dump", grows)
    kept = tmp_path / "results"
    assert main(["triage", str(crash), "--results", str(kept), "--format", "json"]) == 1
    out = rows(capsys)
    (said,) = [row for row in out if row["type"] == "error" and row["path"] == str(growing)]
    assert said["error"] == "it changed while it was read: still being written"
    assert str(growing) not in kept.read_text()
    assert sum(row["type"] == "group" for row in out) > 1  # the rest goes on


def test_a_dump_that_was_cut_a_moment_ago_may_still_be_written(
    crash: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (crash / "vmcore.2").write_bytes(b"KDUMP   " + bytes(50))
    assert main(["triage", str(crash), "--format", "json"]) == 1
    (said,) = [row for row in rows(capsys) if str(row.get("path", "")).endswith("vmcore.2")]
    assert "perhaps still being written" in str(said["error"])


def test_results_that_are_damaged_are_read_again(
    crash: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "results"
    assert main(["triage", str(crash), "--results", str(kept), "--format", "json"]) == 0
    first = rows(capsys)
    kept.write_bytes(kept.read_bytes()[:500] + b"\n[1]\n{}\n\xff\n")
    assert main(["triage", str(crash), "--results", str(kept), "--format", "json"]) == 0
    assert rows(capsys) == first


def test_results_that_cannot_be_kept_are_said_and_triage_goes_on(
    crash: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["triage", str(crash), "--results", "/dev/full"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("4 crashes")
    assert "results are not kept" in said.err


def test_known_crashes_are_noted(
    crash: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = tmp_path / "known.toml"
    known.write_text('[[known]]\nfunction = "leaf"\nnote = "a demonstration"\nfix = "0123abc"\n')
    assert main(["triage", str(crash), "--known", str(known)]) == 0
    assert "known: a demonstration (fix: 0123abc)" in capsys.readouterr().out
    known.write_text("[[known]]\n")
    assert main(["triage", str(crash), "--known", str(known)]) == 2
    assert "no condition" in capsys.readouterr().err


def test_nothing_to_read_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["triage", str(tmp_path / "empty")]) == 1
    assert capsys.readouterr().out == "No crash was found.\n"


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("vmcore", b"", "empty"),
        ("dump.202611301204", b"", "empty"),
        ("vmcore.gz", b"", "empty"),
        ("vmcore", bytes(9000), "neither a dump nor a log"),
        ("vmcore", b"No space left on device\n", "neither a dump nor a log"),
        ("host.vmcore", b"<html>404</html>\n", "neither a dump nor a log"),
    ],
)
def test_dump_in_a_folder_that_is_none_is_said_not_to_be_read(
    name: str, data: bytes, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "crash"
    folder.mkdir()
    (folder / name).write_bytes(data)
    (folder / "notes").write_bytes(b"")  # an empty file of another name says nothing
    main(["triage", str(folder), "--html", str(tmp_path / "html")])
    said = f"\nNot read (1):\n  {folder / name}: {why}\n"
    assert said in capsys.readouterr().out
    page = (tmp_path / "html" / "index.html").read_text()
    assert "Not read (1)" in page
    assert why in page
    main(["triage", str(folder), "--format", "json"])
    (row,) = rows(capsys)
    assert (row["type"], row["path"], row["error"]) == ("error", str(folder / name), why)


def test_text_that_tells_of_nothing_is_no_crash(
    crash: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (crash / "README.txt").write_text("how to read these\n")
    for _ in range(2):  # the second time from what was kept
        assert main(["triage", str(crash)]) == 0
        out = capsys.readouterr().out
        assert out.startswith("4 crashes in 3 groups\n")
        assert "README.txt: it holds no report of a crash" in out


def test_damaged_dump_stops_no_other(crash: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (crash / "vmcore").write_bytes(b"KDUMP   " + bytes(9000))
    assert main(["triage", str(crash), "--format", "json"]) == 1
    out = rows(capsys)
    assert sum(row["type"] == "group" for row in out) == 3
    (error,) = [row for row in out if str(row.get("path", "")).endswith("/vmcore")]
    assert error["error"]


def _files(tmp_path: Path, *names: str) -> list[Found]:
    out = []
    for name in names:
        path = tmp_path / name
        path.write_text(NULL)
        out.append(Found(str(path), "log", path.stat().st_size, path.stat().st_mtime_ns))
    return out


def test_process_that_dies_or_hangs_costs_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = crash_of_log
    hung = tmp_path / "hung"

    def odd(path: str, page: object) -> object:
        name = Path(path).name
        if name == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "hangs":
            hung.touch()
            time.sleep(3600)
        if name == "raises":
            raise RuntimeError("odd")
        if name == "eats":
            raise MemoryError
        return really(path)

    monkeypatch.setattr(workers, "crash_of_log", odd)
    # On a machine with much to do the others take long, too: time passes in the hang alone.
    clock = SimpleNamespace(time=time.time, monotonic=lambda: 1e6 if hung.exists() else 0.0)
    monkeypatch.setattr(workers, "time", clock)
    files = _files(tmp_path, "a", "dies", "b", "hangs", "c", "raises", "d", "eats", "e")
    results = {Path(r.found.path).name: r for r in read_all(files, Limits(jobs=2))}
    assert set(results) == {Path(one.path).name for one in files}
    assert [name for name in results if results[name].crash is not None] == [
        "a",
        "b",
        "c",
        "d",
        "e",
    ]
    assert "signal 9" in results["dies"].error
    assert "not done after" in results["hangs"].error
    assert results["raises"].error == "RuntimeError: odd"
    assert "more memory" in results["eats"].error


def _children() -> set[int]:
    """The processes that this one has."""
    found: set[int] = set()
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = file.read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue  # gone
        if int(parent) == os.getpid():
            found.add(int(file.parent.name))
    return found


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b"resource_tracker"  # gone


def test_leaving_early_ends_the_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_LOGS_AT_ONCE", 1)
    files = _files(tmp_path, *"abcdef")
    before = _children()
    reading = read_all(files, Limits(jobs=3))
    assert next(reading).crash is not None
    reading.close()  # type: ignore[attr-defined] # a generator
    # Others' helpers may have been there before, or have been started for good.
    left = _children() - before
    assert not [pid for pid in left if b"resource_tracker" not in _command(pid)]


def test_each_file_is_found_once(crash: Path) -> None:
    regular = [one.path for one in find([str(crash), str(crash)]) if not one.skipped]
    assert len(regular) == len(set(regular)) == 5


def test_what_is_named_and_no_dump_is_said(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(bytes(100))
    (tmp_path / "nothing").write_bytes(b"")
    module = b"\x7fELF\2\1\1" + bytes(9) + b"\1\0" + bytes(100)
    (tmp_path / "module.ko").write_bytes(module)
    found = {Path(one.path).name: one.skipped for one in find(
        [str(tmp_path / name) for name in ("image", "module.ko", "nothing", "missing")]
        + ["/dev/null"]
    )}  # fmt: skip
    assert found == {
        "image": "neither a dump nor a log",
        "module.ko": "neither a dump nor a log",
        "nothing": "empty",
        "missing": "No such file or directory",
        "null": "not a file",
    }


def test_dump_and_its_log_are_one_crash(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    core = Path(__file__).parents[2] / "corefiles" / "6.12-amd64-null.vmcore"
    if not core.exists():
        pytest.skip("no bundled dump")
    assert main(["report", str(core), "--format", "json", "-o", str(tmp_path / "r.json")]) == 0
    capsys.readouterr()
    assert main(["triage", str(core), "--format", "json", "--afresh"]) == 0
    (one,) = [row for row in rows(capsys) if row["type"] == "crash"]
    assert one["title"] == "NULL dereference in cf_level3 [cf_fault]"
    assert one["release"] == "6.12.117+deb13-cloud-amd64"


@pytest.mark.parametrize(
    ("name", "when"),
    [
        # What kexec wrote, and what the kernels' own clocks showed when QEMU dumped them.
        ("6.12-amd64-null", "2026-11-21 10:23:51"),
        ("6.1-amd64-hung", "2026-11-21 10:25:05"),
        ("6.12-arm64-deadlock", "2026-11-21 10:30:27"),
    ],
)
def test_a_dump_without_kexecs_time_has_its_kernels_own(
    name: str, when: str, capsys: pytest.CaptureFixture[str]
) -> None:
    core = Path(__file__).parents[2] / "corefiles" / f"{name}.vmcore"
    assert main(["triage", str(core), "--format", "json", "--afresh"]) == 0
    (one,) = [row for row in rows(capsys) if row["type"] == "crash"]
    assert one["when"] == datetime.fromisoformat(f"{when}+00:00").timestamp()


def test_a_kernel_that_lived_on_crashed_before_it_was_dumped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from btfdbg.program.open import program_from_core_dump
    from btfdbg.program.session import session
    from btfdbg.report.happened import DecidedLook
    from btfdbg.report.triage.crash_of import _time_of_dump

    core = Path(__file__).parents[2] / "corefiles" / "6.12-arm64-deadlock.vmcore"
    look = DecidedLook(session(program_from_core_dump(core)))
    stopped = _time_of_dump(look)
    assert stopped is not None
    event = main_event(look.events)
    assert event is not None
    assert event.seconds is not None
    uptime = int(ktime_get_coarse_ns(look.prog)) / 1e9
    assert uptime > event.seconds
    monkeypatch.setattr(DecidedLook, "panic_cpu", None)
    look = DecidedLook(look.session)
    assert _time_of_dump(look) == pytest.approx(stopped - (uptime - event.seconds))


def test_memory_is_bounded_beyond_what_the_process_has(tmp_path: Path) -> None:
    """A script that triages may be larger than what one file may take."""
    with mmap.mmap(-1, 1 << 30):
        (result,) = read_all(_files(tmp_path, "a"), Limits(memory=256 << 20))
    assert result.error == ""
