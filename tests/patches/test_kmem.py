"""``kmem -i`` and ``swap``: what cannot be known costs its own line, and says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import drgn
import pytest

import btfdbg
from btfdbg.commands import evaluate
from btfdbg.errors import RefusedError
from btfdbg.patches import kmem, vm_stat
from btfdbg.program.finders import BtfFinders
from btfdbg.program.session import Session

CORE = Path(__file__).resolve().parents[2] / "corefiles" / "6.12-amd64-null.vmcore"


def _open() -> Session:
    return btfdbg.session(btfdbg.program_from_core_dump(CORE))


@pytest.fixture
def session() -> Session:
    return _open()


def _lines(out: str) -> dict[str, str]:
    """The table's lines by their labels, blanks counted once."""
    found = {}
    for line in out.splitlines()[1:]:
        label = line[:12].strip()
        if label:
            found[label] = " ".join(line[12:].split())
    return found


def _without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Take variables away, as a kernel does of which they are not known."""
    original = BtfFinders._object

    def find(self: BtfFinders, name: str, flags: drgn.FindObjectFlags) -> drgn.Object | None:
        return None if name in names else original(self, name, flags)

    monkeypatch.setattr(BtfFinders, "_object", find)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("swap_info", {"TOTAL SWAP", "SWAP USED", "SWAP FREE"}),
        ("nr_swap_pages", {"TOTAL SWAP", "SWAP USED", "SWAP FREE"}),
        ("sysctl_overcommit_ratio", {"COMMIT LIMIT"}),
        ("vm_committed_as", {"COMMITTED"}),
        ("blockdev_superblock", {"BUFFERS", "CACHED"}),
        ("_totalram_pages", {"TOTAL MEM", "USED", "COMMIT LIMIT"}),
    ],
)
def test_a_missing_variable_costs_the_lines_that_need_it(
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    lines: set[str],
) -> None:
    assert evaluate.run_line(session, "kmem -i")
    whole = _lines(capsys.readouterr().out)
    assert not any("?" in cells for cells in whole.values())
    _without(monkeypatch, name)
    # Another one: what a Program was answered is remembered.
    assert evaluate.run_line(_open(), "kmem -i")
    captured = capsys.readouterr()
    partial = _lines(captured.out)
    assert partial.keys() == whole.keys()
    assert {label for label, cells in partial.items() if cells.startswith("?")} == lines
    for label in whole.keys() - lines:
        assert partial[label].split()[:2] == whole[label].split()[:2]
    assert "not known" in captured.err
    assert name.strip("_") in captured.err


def test_a_counter_is_summed_over_the_cpus_that_can_be_read(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    from drgn.helpers.linux.percpu import per_cpu_ptr

    prog = session.prog
    counter = prog["vm_committed_as"]
    parts = [per_cpu_ptr(counter.counters, cpu) for cpu in (0, 1)]
    values = [int(part[0]) for part in parts]
    assert evaluate.run_line(session, "kmem -i")
    assert _lines(capsys.readouterr().out)["COMMITTED"].split()[0] == str(
        int(counter.count) + sum(values)
    )

    def missing(address: int, count: int, offset: int, physical: bool) -> bytes:
        raise drgn.FaultError("left out", address)

    prog.add_memory_segment(int(parts[1]), 4, missing)
    assert evaluate.run_line(session, "kmem -i")
    captured = capsys.readouterr()
    assert _lines(captured.out)["COMMITTED"].split()[0] == str(int(counter.count) + values[0])
    assert "a counter lacks the parts of CPUs that cannot be read (CPU 1)" in captured.err


def test_no_swap_files_need_no_table_of_them(
    session: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _without(monkeypatch, "swap_info")
    assert evaluate.run_line(session, "swap")
    assert capsys.readouterr().out.startswith("SWAP_INFO_STRUCT")


def _spaces(counts: list[int], pages: list[list[int]]) -> Any:
    class Space:
        def __init__(self, count: int) -> None:
            self.nrpages = self
            self.count = count

        def value_(self) -> int:
            return self.count

    return counts, [[Space(n) for n in row] for row in pages]


def test_the_swap_cache_of_kernels_before_5_12_is_summed_over_the_files_in_use() -> None:
    counts, spaces = _spaces([2, 0, 1, 9], [[3, 4], [], [5], [99]])
    assert kmem._in_spaces(counts, spaces, 3) == 12


@pytest.mark.parametrize(("counts", "files"), [([1], 65), ([1], -1), ([1 << 30], 1), ([-1], 1)])
def test_a_number_of_spaces_that_is_damaged_is_not_believed(counts: list[int], files: int) -> None:
    with pytest.raises(ValueError, match="nr_swap"):
        kmem._in_spaces(counts, [[]], files)


def _counters(out: str) -> dict[str, str]:
    pairs = (line.rpartition(": ") for line in out.splitlines() if ": " in line)
    return {label.strip(): value.strip() for label, _, value in pairs}


def test_counters_are_those_of_drgn(
    session: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.run_line(session, "kmem -V")
    ours = capsys.readouterr()
    monkeypatch.setattr(vm_stat, "find_session", lambda prog: None)
    assert evaluate.run_line(session, "kmem -V")
    assert ours.out == capsys.readouterr().out
    assert ours.err == ""


@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("vm_numa_event", {"NUMA_HIT", "NUMA_MISS", "NUMA_OTHER"}),
        ("vm_node_stat", {"NR_INACTIVE_ANON", "NR_KERNEL_STACK_KB"}),
        ("vm_event_states", {"PGPGIN", "PGFAULT"}),
    ],
)
def test_an_array_of_counters_that_is_missing_costs_its_own_lines(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    lost: set[str],
) -> None:
    assert evaluate.run_line(_open(), "kmem -V")
    whole = _counters(capsys.readouterr().out)

    def refused(self: BtfFinders, wanted: str, flags: drgn.FindObjectFlags) -> drgn.Object | None:
        if wanted == name:
            raise RefusedError(f"{name} cannot be trusted here")
        return original(self, wanted, flags)

    original = BtfFinders._object
    monkeypatch.setattr(BtfFinders, "_object", refused)
    assert evaluate.run_line(_open(), "kmem -V")
    captured = capsys.readouterr()
    partial = _counters(captured.out)
    assert partial.keys() == whole.keys()
    unknown = {label for label, value in partial.items() if value == "?"}
    assert lost <= unknown
    assert all(partial[label] == whole[label] for label in whole.keys() - unknown)
    assert f"{name} cannot be trusted here" in captured.err
    assert captured.err.count("not known") == 1
