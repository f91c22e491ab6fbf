"""``btfdbg collect``: what it leaves in a folder, and what it does when something is in the way."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from btfdbg.cli import collect
from btfdbg.cli.main import main
from tests.conftest import bundled_dumps

CORE = next((path for path, _ in bundled_dumps() if "6.12-amd64-null" in path.name), None)
HOOK = Path(__file__).parents[2] / "examples" / "kdump-tools" / "btfdbg-collect"
FEDORAS_HOOK = Path(__file__).parents[2] / "examples" / "kdump-utils" / "btfdbg-collect"
needs_dump = pytest.mark.skipif(CORE is None, reason="no bundled dump")
_MAIN = "import sys; from btfdbg.cli.main import main; sys.exit(main())"
_ALL = {"collect.json", "report.html", "report.json", "signature", "trimmed.vmcore"}


def run(*words: str, limit: int = 0) -> subprocess.CompletedProcess[str]:
    """Run it as a hook would; ``limit`` bytes are all that a file may have."""

    def bound() -> None:
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [sys.executable, "-c", _MAIN, "collect", *words],
        capture_output=True, text=True, check=False, preexec_fn=bound,
    )  # fmt: skip


def names(folder: Path) -> set[str]:
    """Of the files in a folder."""
    return {path.name for path in folder.iterdir()}


def summary(folder: Path) -> dict[str, object]:
    """What collect.json says."""
    found: dict[str, object] = json.loads((folder / "collect.json").read_text())
    return found


@needs_dump
@pytest.mark.slow
def test_small_dump_and_its_whole_say_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    done = run(str(CORE), str(out))
    assert (done.returncode, done.stderr) == (0, "")
    assert names(out) == _ALL
    said = summary(out)
    assert said["problems"] == []
    peak = said["peak_kib"]
    assert isinstance(peak, int)
    assert 20_000 < peak < 192 << 10
    signature = (out / "signature").read_text()
    assert signature.startswith("NULL dereference in cf_level3 [cf_fault]\n")
    assert main(["report", str(out / "trimmed.vmcore"), "--format", "json"]) == 0
    again = json.loads(capsys.readouterr().out)
    first = json.loads((out / "report.json").read_text())
    assert first["source"] == str(CORE)
    for member in ("verdict", "kind", "signature", "evidence"):
        assert again[member] == first[member]
    sections = [{one["id"]: one for one in found["sections"]} for found in (first, again)]
    assert list(sections[0]) == list(sections[1])
    for name in ("crash", "cpus", "log"):
        assert sections[0][name] == sections[1][name]
    assert "NULL pointer" in (out / "report.html").read_text()


@needs_dump
def test_without_dump_there_is_the_report(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(str(CORE), str(out), "--no-dump", "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert names(out) == _ALL - {"trimmed.vmcore"}


def test_damaged_dump_is_named_and_leaves_nothing_of_an_earlier_one(tmp_path: Path) -> None:
    core, out = tmp_path / "core", tmp_path / "out"
    core.write_bytes(b"KDUMP   " + bytes(9000))
    out.mkdir()
    (out / "signature").write_text("of another crash")
    (out / "trimmed.vmcore.part").write_text("of another crash")
    done = run(str(core), str(out))
    assert done.returncode == 2
    assert "the kdump header is damaged" in done.stderr
    assert "Traceback" not in done.stderr
    assert names(out) == {"collect.json"}
    assert summary(out)["files"] == {}


def test_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run(str(tmp_path / "core"), str(tmp_path / "file" / "out"))
    assert done.returncode == 2
    assert "Not a directory" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@needs_dump
@pytest.mark.slow
def test_full_disk_costs_the_dump_and_not_the_report(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(str(CORE), str(out), limit=200_000)
    assert done.returncode == 1
    assert "trimmed.vmcore: File too large" in done.stderr
    assert names(out) == _ALL - {"trimmed.vmcore"}


@needs_dump
def test_too_little_memory_is_said(tmp_path: Path) -> None:
    done = run(str(CORE), str(tmp_path / "out"), "--memory", "24")
    assert done.returncode == 2
    assert "memory" in done.stderr
    assert "Traceback" not in done.stderr


def _args(folder: Path, seconds: float) -> SimpleNamespace:
    return SimpleNamespace(
        core="/dev/null", folder=str(folder), seconds=seconds, memory=None, quiet=True,
        no_dump=False, commands=[],
    )  # fmt: skip


def test_work_that_hangs_is_ended_and_what_it_wrote_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def hangs(args: SimpleNamespace, *others: object) -> None:
        collect.write_whole(os.path.join(args.folder, collect.SIGNATURE), "a bug\n")
        time.sleep(3600)

    monkeypatch.setattr(collect, "_reported", hangs)
    monkeypatch.setattr(collect, "_recorded", hangs)
    assert collect.run(_args(tmp_path / "out", 8.0)) == 1  # type: ignore[arg-type] # a namespace
    assert names(tmp_path / "out") == {"signature", "collect.json"}
    assert summary(tmp_path / "out")["problems"] == [
        "report: not done after 8 s",
        "what any session reads: not done after 8 s",
    ]


def test_step_that_is_killed_while_it_writes_leaves_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def writes(args: SimpleNamespace, *others: object) -> None:
        Path(args.folder, f"{collect.SIGNATURE}.part").write_text("a b")
        os.kill(os.getpid(), 9)

    monkeypatch.setattr(collect, "_reported", writes)
    monkeypatch.setattr(collect, "_recorded", writes)
    assert collect.run(_args(tmp_path / "out", 60.0)) == 2  # type: ignore[arg-type] # a namespace
    assert names(tmp_path / "out") == {"collect.json"}


def test_step_that_the_kernel_ends_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ends(args: object, problem: object) -> None:
        os.kill(os.getpid(), 9)

    monkeypatch.setattr(collect, "_reported", ends)
    args = _args(tmp_path / "out", 60.0)
    assert collect.run(args) == 2  # type: ignore[arg-type] # a namespace
    said = capsys.readouterr().err
    assert "report: the work was ended by signal 9: the kernel had too little memory left" in said
    assert "what any session reads: /dev/null is a device" in said


def test_step_hands_over_its_page_frames_and_problems() -> None:
    steps = collect.Steps(60.0, None)

    def work(problem: Callable[[str], None]) -> set[int]:
        problem("one\ntwo \0three")
        return {1 << 52, 7, 0}

    assert steps.run("a step", work) == {0, 7, 1 << 52}
    assert steps.problems == ["a step: one two three"]
    assert steps.run("another", lambda problem: ()) == set()
    assert [one["name"] for one in steps.done] == ["a step", "another"]
    assert steps.peak > 1000


def test_free_memory_is_read_in_bytes(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    1234 kB\n")
    assert collect.free_memory(str(tmp_path / "meminfo")) == 1234 << 10
    assert collect.free_memory(str(tmp_path / "missing")) == 0


def _hook(tmp_path: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the hook with a btfdbg that says what it was called with."""
    said = tmp_path / "btfdbg"
    said.write_text('#!/bin/sh\necho called "$@"\nexit ${STATUS:-0}\n')
    said.chmod(0o755)
    environment = {
        **os.environ, "BTFDBG": str(said), "KDUMP_COREDIR": str(tmp_path / "crash"),
        "BTFDBG_REBOOT": "echo rebooted", **more,
    }  # fmt: skip
    return subprocess.run(
        ["sh", str(HOOK)], capture_output=True, text=True, check=False, env=environment
    )


@pytest.mark.parametrize(
    ("more", "rebooted"),
    [({}, False), ({"BTFDBG_ONLY": "yes"}, True), ({"BTFDBG_ONLY": "yes", "STATUS": "1"}, False)],
)
def test_hook_collects_and_lets_kdump_tools_go_on(
    tmp_path: Path, more: dict[str, str], rebooted: bool
) -> None:
    (tmp_path / "vmcore").write_bytes(b"x")
    done = _hook(tmp_path, VMCORE=str(tmp_path / "vmcore"), **more)
    assert done.returncode == 0
    (folder,) = (tmp_path / "crash").iterdir()
    assert folder.name.startswith("btfdbg.20")
    assert done.stdout.startswith(f"called collect {tmp_path / 'vmcore'} {folder} --seconds 300")
    assert ("rebooted" in done.stdout) is rebooted


def test_hook_does_nothing_in_an_ordinary_boot(tmp_path: Path) -> None:
    done = _hook(tmp_path, VMCORE=str(tmp_path / "missing"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (tmp_path / "crash").exists()


@pytest.mark.parametrize("status", ["0", "1"])
@pytest.mark.parametrize("there", [True, False])
def test_hook_for_kdump_utils_works_in_the_root_file_system_and_never_stops_kdump(
    tmp_path: Path, there: bool, status: str
) -> None:
    root, tools = tmp_path / "sysroot", tmp_path / "tools"
    (root / "usr/local/bin").mkdir(parents=True)
    tools.mkdir()
    for tool in ("mount", "umount", "chroot", "sync"):
        last = f"exit {status}" if tool == "chroot" else "exit 0"
        (tools / tool).write_text(f'#!/bin/sh\necho {tool} "$@"\n{last}\n')
        (tools / tool).chmod(0o755)
    if there:
        (root / "usr/local/bin/btfdbg").write_text("#!/bin/sh\n")
        (root / "usr/local/bin/btfdbg").chmod(0o755)
    (tmp_path / "vmcore").write_bytes(b"x")
    environment = {
        **os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "NEWROOT": str(root),
        "VMCORE": str(tmp_path / "vmcore"),
    }  # fmt: skip
    done = subprocess.run(
        ["sh", str(FEDORAS_HOOK)], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0
    calls = done.stdout.splitlines()
    if not there:
        assert calls == []
        assert "no /usr/local/bin/btfdbg" in done.stderr
        return
    (folder,) = (root / "var/crash").iterdir()
    inside = folder.relative_to(root)
    assert calls[0] == f"mount -o remount,rw {root}"
    collect_call = f"chroot {root} /usr/local/bin/btfdbg collect {tmp_path / 'vmcore'} /{inside}"
    assert f"{collect_call} --seconds 300" in calls
    assert calls[-2:] == [f"umount {root}/dev", f"umount {root}/proc"]
