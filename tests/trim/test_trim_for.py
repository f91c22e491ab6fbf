"""``trim --for``: what the report's and corelens' walks read is in the small dump."""

from __future__ import annotations

import json
import struct
import sys
import types
from pathlib import Path

import pytest

from btfdbg.cli.main import main
from btfdbg.trim.notes import QEMU, Source, kernel_qemu_notes
from btfdbg.vmcore.elfcore import Note
from tests.trim.kdump_reader import KdumpReader

ROOT = 0x1234000


def cpu_state(size: int, *, version: int = 1) -> bytes:
    """QEMU's struct QEMUCPUState, every byte after the first eight another."""
    rest = bytes(n % 251 for n in range(size - 8))
    return struct.pack("<II", version, size) + rest


@pytest.mark.parametrize("size", [432, 440])
def test_qemus_notes_lead_to_the_kernels_page_tables_and_keep_all_else(size: int) -> None:
    desc = cpu_state(size)
    source = Source((Note("CORE", 1, b"x" * 336), Note(QEMU, 0, desc)))
    [note] = kernel_qemu_notes(source, ROOT)
    assert struct.unpack_from("<Q", note.desc, 416) == (ROOT,)
    assert (note.desc[:416], note.desc[424:]) == (desc[:416], desc[424:])


@pytest.mark.parametrize(
    "desc",
    [b"", b"\1\0\0\0", cpu_state(440, version=2), cpu_state(448), cpu_state(440)[:432]],
    ids=["empty", "cut", "version", "longer", "size"],
)
def test_a_note_of_another_form_is_left_out(desc: bytes) -> None:
    assert kernel_qemu_notes(Source((Note(QEMU, 0, desc),)), ROOT) == []


def test_without_known_page_tables_there_are_no_notes_of_qemu() -> None:
    assert kernel_qemu_notes(Source((Note(QEMU, 0, cpu_state(440)),)), None) == []


def test_a_dump_trimmed_for_all_reports_as_its_source_and_runs_corelens(
    x86_core: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran = []

    class Module:
        def run(self, prog: object, arguments: object) -> None:
            print("corelens' own output")
            ran.append(arguments)

    class Broken(Module):
        def run(self, prog: object, arguments: object) -> None:
            raise SystemExit("a module that fails")

    corelens = types.ModuleType("drgn_tools.corelens")
    corelens.default_corelens_modules = lambda: [(Broken(), 1), (Module(), 2)]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "drgn_tools", types.ModuleType("drgn_tools"))
    monkeypatch.setitem(sys.modules, "drgn_tools.corelens", corelens)
    out = tmp_path / "small.vmcore"
    assert main(["trim", str(x86_core), str(out), "--only", "--for", "all", "-q"]) == 0
    assert ran == [2]
    assert capsys.readouterr().out == ""
    found = []
    for core in (x86_core, out):
        assert main(["report", str(core), "--format", "json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said.pop("source") == str(core)
        found.append(said)
    assert found[0] == found[1]


def test_a_dump_trimmed_for_nothing_in_particular_has_what_the_report_reads(
    x86_core: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work queue pools and network devices were cut short over a plainly trimmed dump."""
    monkeypatch.setattr("btfdbg.cli.trim.DEFAULT_COMMANDS", ("sys",))
    held = {}
    # From the first report on, walks in this process go around damage: all three do.
    purposes = ("for", ["--only", "--for", "report"])
    for name, more in (purposes, purposes, ("only", ["--only"]), ("plain", [])):
        out = tmp_path / name
        assert main(["trim", str(x86_core), str(out), "-q", *more]) == 0
        with KdumpReader(out) as reader:
            held[name] = set(reader.pfns())
    assert held["for"] - held["only"], "the report reads no page of its own"
    assert held["for"] <= held["plain"]


def test_a_purpose_that_there_is_not_is_refused(
    x86_core: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["trim", str(x86_core), str(tmp_path / "out"), "--for", "everything"])
    assert ended.value.code == 2
    assert "corelens" in capsys.readouterr().err
