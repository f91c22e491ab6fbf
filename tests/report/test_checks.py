"""Sections of a report against what the dumps' makers know."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from drgn.helpers.linux.cpumask import for_each_present_cpu
from hypothesis import given
from hypothesis import strategies as st

import btfdbg
from btfdbg.report.as_json import section_dict
from btfdbg.report.as_text import section_lines
from btfdbg.report.calls import Who
from btfdbg.report.checks.blocked import group_items
from btfdbg.report.checks.crash import crash
from btfdbg.report.checks.memory import _largest, victims
from btfdbg.report.checks.network import _backlogs, _length
from btfdbg.report.checks.timers import timers
from btfdbg.report.clock import Clock, hz_of
from btfdbg.report.counts import counted
from btfdbg.report.look import Look
from btfdbg.report.parts import Line, Section, Table, part_of_stack
from btfdbg.report.whole import report
from tests.conftest import bundled_dumps

DUMPS = [path for path, _ in bundled_dumps()]
LAB = pytest.mark.skipif("BTFDBG_DUMPS" not in os.environ, reason="BTFDBG_DUMPS is not set")


def section(dump: Path, name: str) -> Section:
    if not dump.exists():
        pytest.skip(f"no {dump.name}")
    (found,) = report(btfdbg.session(btfdbg.program_from_core_dump(dump)), (name,)).sections
    return found


def lab(name: str) -> Path:
    return Path(os.environ["BTFDBG_DUMPS"]) / f"{name}-qemu-elf.vmcore"


def rows(found: Section) -> list[tuple[str | int | float, ...]]:
    return [row for item in found.items if isinstance(item, Table) for row in item.rows]


@given(st.sampled_from([100, 250, 300, 1000]), st.floats(0, 1e7), st.floats(-1.5, 1.5))
def test_hz_is_the_kernels_or_not_told(hz: int, uptime: float, skew: float) -> None:
    jiffies = (1 << 32) + int(hz * (uptime + skew - 300))
    assert hz_of(jiffies, uptime) in ((hz, None) if abs(uptime - 300) < 31 else (hz,))


@pytest.mark.parametrize("dump", DUMPS, ids=lambda path: path.stem)
def test_hz_of_debians_kernels_is_250(dump: Path) -> None:
    clock = Clock(Look(btfdbg.session(btfdbg.program_from_core_dump(dump))))
    assert clock.hz == 250
    assert clock.jiffies is not None
    assert clock.since(clock.jiffies - 500) == 2.0
    assert clock.since(clock.jiffies + 1) is None


def test_works_that_wait_are_named() -> None:
    found = section(next(p for p in DUMPS if p.name.startswith("6.1-amd64")), "workqueues")
    assert found.why == ""
    assert any("kfree_rcu_monitor" in str(row[4]) for row in rows(found))


@pytest.mark.parametrize("dump", DUMPS, ids=lambda path: path.stem)
def test_the_prompt_counts_the_pools_that_the_command_line_counts(dump: Path) -> None:
    """The prompt's walks go on behind what a trimmed dump lacks; 0 pools were told for it."""
    said = []
    for words in ((dump, "-x", "report workqueues"), ("report", dump, "-s", "workqueues")):
        run = subprocess.run(
            [sys.executable, "-m", "btfdbg", *map(str, words)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        (line,) = (line for line in run.stdout.splitlines() if line.startswith("  Pools: "))
        said.append(line)
    assert said[0] == said[1]
    assert "Pools: 0" not in said[0]


@LAB
@pytest.mark.parametrize("release", ["6.12-amd64", "6.12-arm64", "7-amd64"])
def test_the_work_that_hogs_a_pool_is_named_with_those_behind_it(release: str) -> None:
    found = rows(section(lab(f"{release}-stuck-work"), "workqueues"))
    running = [row for row in found if row[1] == "cf_hog"]
    assert len(running) == 1
    (behind,) = [row for row in found if row[0] == running[0][0] and row is not running[0]]
    assert "cf_patient" in str(behind[4])


@LAB
@pytest.mark.parametrize("release", ["6.1-amd64", "6.12-amd64", "6.12-arm64", "7-amd64"])
def test_the_task_that_holds_rcu_up_is_named(release: str) -> None:
    found = section(lab(f"{release}-rcu-stall"), "rcu")
    assert any("under way for" in item.text for item in found.items if isinstance(item, Line))
    assert any(str(row[1]).startswith("cf_rcu(") for row in rows(found))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Out of memory: Killed process 71 (a (b)) total-vm:9kB, anon-rss:2048kB, file-rss:1024kB,"
         " shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0",
         ("a (b)(71)", "3.0", "the machine's")),
        ("Memory cgroup out of memory: Killed process 8 (x) total-vm:9kB, anon-rss:1024kB,"
         " file-rss:0kB, shmem-rss:512kB, UID:5 pgtables:1kB oom_score_adj:0",
         ("x(8)", "1.5", "its cgroup's")),
        ("Killed process 8 (x) total-vm:9kB, anon-rss:1024kB, file-rss:0kB", ("x(8)", "1.0", "")),
        ("Out of memory: Killed process 8 (x", None),
        ("oom_reaper: reaped process 8 (x), now anon-rss:0kB, file-rss:0kB", None),
    ],
)  # fmt: skip
def test_the_process_that_was_killed_is_read_from_its_line(
    line: str, said: tuple[str, str, str] | None
) -> None:
    assert list(victims([f"[1.0][T1] {line}\n"])) == ([] if said is None else [said])


@pytest.mark.parametrize("dump", DUMPS, ids=lambda path: path.stem)
def test_devices_that_send_nothing_have_no_queue_in_the_table(dump: Path) -> None:
    found = section(dump, "network")
    assert (found.why, rows(found)) == ("", [])
    assert "nothing waits to be sent" in "".join(i.text for i in found.items if isinstance(i, Line))


@pytest.mark.parametrize(
    ("own", "per_cpu", "length"),
    [(5, None, 5), (0, (3, 4), 7), (0, (9, 2**32 - 2), 7), (1, (0, 0), 1)],
)
def test_a_qdisc_without_a_lock_counts_over_all_cpus(
    own: int, per_cpu: tuple[int, ...] | None, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stats(values: tuple[int, ...], cpu: int) -> Any:
        return SimpleNamespace(qlen=values[cpu])

    monkeypatch.setattr("drgn.helpers.linux.percpu.per_cpu_ptr", stats)
    monkeypatch.setattr("drgn.helpers.linux.cpumask.for_each_possible_cpu", lambda prog: range(2))
    qdisc: Any = SimpleNamespace(q=SimpleNamespace(qlen=own), cpu_qstats=per_cpu)
    look: Any = SimpleNamespace(prog=None)
    assert _length(look, qdisc) == length


@pytest.mark.parametrize("dump", DUMPS, ids=lambda path: path.stem)
def test_no_timer_of_a_machine_whose_cpus_tick_is_late(dump: Path) -> None:
    found = section(dump, "timers")
    text = " ".join(item.text for item in found.items if isinstance(item, Line))
    assert "none is late" in text
    assert not text.startswith("Timers that wait: 0")


@pytest.mark.parametrize("dump", DUMPS, ids=lambda path: path.stem)
def test_cpus_that_panic_stopped_count_like_the_one_that_called_it(
    dump: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look: Any = Look(btfdbg.session(btfdbg.program_from_core_dump(dump)))
    cpus = list(for_each_present_cpu(look.prog))
    asked: list[int] = []

    def of_cpu(look: Any, cpu: int, clock: Any) -> Any:
        asked.append(cpu)
        return iter(())

    monkeypatch.setattr("btfdbg.report.checks.timers._wheel", of_cpu)
    list(timers(look))
    assert asked == cpus
    assert len(cpus) > 1

    stopped = cpus[-1]

    def softnet(data: Any, cpu: int) -> Any:
        queue = SimpleNamespace(qlen=3 if cpu == stopped else 0)
        return SimpleNamespace(input_pkt_queue=queue, process_queue=SimpleNamespace(qlen=0))

    monkeypatch.setattr("drgn.helpers.linux.percpu.per_cpu", softnet)
    assert list(_backlogs(look)) == [(stopped, 3)]


@pytest.mark.parametrize(
    ("late", "said", "functions"),
    [
        ([(4.9, 1, "wheel", "in_time")], "none is late", []),
        ([(4.9, 1, "wheel", "in_time"), (61.0, 1, "wheel", "demo_timer"),
          (9.0, 0, "hrtimer", "tick_nohz_handler")], "CPU 1 runs no timers: one is 61.0 s late.",
         ["demo_timer", "tick_nohz_handler"]),
    ],
)  # fmt: skip
def test_a_cpu_that_runs_no_timers_is_named(
    late: list[tuple[float, int, str, str]],
    said: str,
    functions: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def of_cpu(look: Any, cpu: int, clock: Any) -> list[tuple[float, int, str, str]]:
        return [row for row in late if row[1] == cpu]

    module = "btfdbg.report.checks.timers"
    monkeypatch.setattr(f"{module}.for_each_up_cpu", lambda prog: range(2))
    monkeypatch.setattr(f"{module}.Clock", lambda look: SimpleNamespace(jiffies=1, hz=250))
    monkeypatch.setattr(f"{module}._wheel", of_cpu)
    monkeypatch.setattr(f"{module}._high_resolution", lambda *arguments: iter(()))
    look: Any = SimpleNamespace(prog=None)
    items = list(timers(look))
    assert said in " ".join(item.text for item in items if isinstance(item, Line))
    found = Section("timers", "", tuple(items), (), "")
    assert [row[2] for row in rows(found)] == functions


@pytest.mark.parametrize(
    ("panic_cpu", "said"),
    [
        (SimpleNamespace(counter=2**32 - 1), "No task panicked."),
        (SimpleNamespace(counter=1), "CPU 1 panicked; which task cannot be told."),
        (None, "Whether a task panicked, and which, cannot be told."),
    ],
)
def test_no_task_panicked_is_said_only_where_the_dump_tells(panic_cpu: Any, said: str) -> None:
    def lost() -> Any:
        raise LookupError("no thread")

    class Prog(dict[str, Any]):
        crashed_thread = staticmethod(lost)

    prog: Any = Prog() if panic_cpu is None else Prog(panic_cpu=panic_cpu)
    look: Any = Look.__new__(Look)
    look.prog, look.doubts = prog, set()
    assert [item.text for item in crash(look) if isinstance(item, Line)] == [said]


@pytest.mark.parametrize(
    ("number", "nouns", "said"),
    [
        (1, ("tasks",), "1 task"),
        (0.0, ("tasks",), "0 tasks"),
        (2000.0, ("tasks",), "2,000 tasks"),
        (1, ("crashes", "crash"), "1 crash"),
        (1.2, ("MiB",), "1 MiB"),
    ],
)
def test_a_noun_fits_its_number(number: float, nouns: tuple[str, ...], said: str) -> None:
    assert counted(number, *nouns) == said


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["/a"], ["It works on /a."]),
        (["/a", "/a", ""], ["2 of them work on /a."]),
        (["/a", ""], ["1 of them works on /a."]),
    ],
)
def test_who_works_on_a_file_is_counted(files: list[str], said: list[str]) -> None:
    members: Any = tuple(
        SimpleNamespace(
            task=Who(f"t{n}", n, 0), stack=(), lock=None, seconds=None, file=file, doing=""
        )
        for n, file in enumerate(files)
    )
    blockage: Any = SimpleNamespace(chain=lambda one: (one,), cycles=())
    group: Any = SimpleNamespace(members=members, first=members[0])
    items = [item.text for item in group_items(blockage, group) if isinstance(item, Line)]
    assert [text for text in items if " on /" in text] == said
    assert items[0].startswith("1 task: t0" if len(files) == 1 else f"{len(files)} tasks: t0")


@pytest.mark.parametrize(
    ("doing", "said"),
    [
        (["in openat()"], ["It is in openat()."]),
        (["in openat()"] * 4, ["They are in openat()."]),
        (["in openat()", "", "in openat()"], ["2 of them are in openat()."]),
        (
            ["in read()", "in openat()", "in openat()"],
            ["2 of them are in openat().", "1 of them is in read()."],
        ),
        (["", ""], []),
    ],
)
def test_what_a_group_does_is_said_of_as_many_as_do_it(doing: list[str], said: list[str]) -> None:
    members: Any = tuple(
        SimpleNamespace(task=Who("t", n, 0), stack=(), lock=None, seconds=None, file="", doing=one)
        for n, one in enumerate(doing)
    )
    blockage: Any = SimpleNamespace(chain=lambda one: (one,), cycles=())
    group: Any = SimpleNamespace(members=members, first=members[0])
    items = [item.text for item in group_items(blockage, group) if isinstance(item, Line)]
    assert [text for text in items if text.endswith("().")] == said


@pytest.mark.parametrize(
    ("frames", "last"),
    [(2, ["  f1"]), (3, ["  f1", "  … 1 more frame: bt 7"]), (9, ["  … 7 more frames: bt 7"])],
)
def test_a_stack_that_is_cut_says_how_much_is_left_out(frames: int, last: list[str]) -> None:
    stack = part_of_stack([f"f{n}" for n in range(frames)], 2, "stack of sh(7)", 7)
    section = Section("cpus", "CPUs", (stack,))
    lines = [line.removeprefix("  ") for line in section_lines(section)]
    assert lines[-len(last) :] == last
    (item,) = section_dict(section)["items"]
    assert len(item["frames"]) == 2
    assert item["left_out"] == frames - 2
    assert item["more"] == ("bt 7" if frames > 2 else "")


def test_who_had_most_memory_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def task(comm: str, memory: int) -> Any:
        return SimpleNamespace(comm=comm, mm=SimpleNamespace(value_=lambda: memory))

    pages = {"small": (1, 0), "big": (512, 256), "thread": (9999, 0), "damaged": (-3, 0)}

    def rss(one: Any) -> Any:
        if one.comm == "lost":
            raise ValueError("no such counter")
        total, swap = pages[one.comm]
        return SimpleNamespace(total=total, swap=swap)

    monkeypatch.setattr("drgn.helpers.linux.mm.task_rss", rss)
    passed = []
    named = [("small", 1), ("kthread", 0), ("big", 2), ("thread", 2), ("lost", 3), ("damaged", 4)]
    look: Any = SimpleNamespace(
        prog={"PAGE_SIZE": 4096}, tasks=[task(*one) for one in named], who=lambda one: one.comm,
        pass_over=lambda: passed.append(1),
    )  # fmt: skip
    table, note = _largest(look)
    assert isinstance(table, Table)
    assert table.rows == (("big", "2.0", "1.0"), ("small", "0.0", "0.0"), ("damaged", "0.0", "0.0"))
    assert note == Line("1 process cannot be read.", "note")
    assert passed == [1]
