"""Reports on damaged dumps and logs: what is missing is said, and no cause is made up.

A dump is opened once; each damage is done to it in a child process, by a memory segment
that lies over the structure.
"""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import drgn
import pytest

import btfdbg
from btfdbg.report import Reader, events
from btfdbg.report.as_html import as_html
from btfdbg.report.as_json import as_dict
from btfdbg.report.as_text import as_text
from btfdbg.report.whole import report
from tests.conftest import bundled_dumps
from tests.report.test_events import ARM64, HUNG, NULL

DUMP = next(path for path, _ in bundled_dumps() if path.name.startswith("6.12-arm64"))
TITLE = "deadlock in cf_ab [cf_fault]"
# What the same crash may be called by somebody who sees less of it, never anything else.
LESS = (
    "hung task in cf_ab [cf_fault]",
    "hung task in cf_ba [cf_fault]",
    "hung task (function",
    "deadlock (function",
)
PAGE = 4096
SECONDS = 60  # of CPU: only what never ends takes that long

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")


@pytest.fixture(scope="module")
def prog() -> drgn.Program:
    if not DUMP.exists():
        pytest.skip(f"no {DUMP.name}")
    opened = btfdbg.program_from_core_dump(DUMP)
    btfdbg.session(opened).ensure_modules()
    return opened


def in_child(work: Callable[[], Any]) -> Any:
    """What a function returns in a process of its own, which may damage what it has."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            found = pickle.dumps((work(), ""))
        except BaseException as e:  # the parent tells
            found = pickle.dumps((None, f"{type(e).__name__}: {e}"))
        with os.fdopen(write, "wb") as out:
            out.write(found)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        value, error = pickle.loads(pipe.read())  # written by ourselves above
    os.waitpid(child, 0)
    assert not error, error
    return value


def hole(prog: drgn.Program, address: int, size: int) -> None:
    def fault(at: int, count: int, offset: int, physical: bool) -> bytes:
        raise drgn.FaultError("left out of the dump", at)

    prog.add_memory_segment(address, size, fault)


def poke(prog: drgn.Program, address: int, data: bytes) -> None:
    def read(at: int, count: int, offset: int, physical: bool) -> bytes:
        return data[offset : offset + count]

    prog.add_memory_segment(address, len(data), read)


def judged(prog: drgn.Program) -> tuple[str, str, int]:
    """Make every form of the report; return its title, all its words, and CPU milliseconds."""
    start = time.process_time()
    found = report(btfdbg.session(prog))
    words = as_text(found) + as_html(found) + str(as_dict(found))
    return found.signature.title, words, int((time.process_time() - start) * 1000)


def _per_cpu(prog: drgn.Program, name: str) -> drgn.Object:
    from drgn.helpers.linux.percpu import per_cpu

    return per_cpu(prog[name], 0)


def _task(prog: drgn.Program, comm: bytes) -> drgn.Object:
    from drgn.helpers.linux.pid import for_each_task

    return next(task for task in for_each_task(prog) if task.comm.string_() == comm)


STRUCTURES: dict[str, Callable[[drgn.Program], drgn.Object]] = {
    "panic_cpu": lambda prog: prog["panic_cpu"],
    "init_task": lambda prog: prog["init_task"],
    "init_pid_ns": lambda prog: prog["init_pid_ns"],
    "a blocked task": lambda prog: _task(prog, b"cf_ab")[0],
    "the panicking task": lambda prog: prog.crashed_thread().object[0],
    "a run queue": lambda prog: _per_cpu(prog, "runqueues"),
    "jiffies": lambda prog: prog["jiffies_64"],
    "the log": lambda prog: prog["prb"][0],
    "the log's text": lambda prog: prog["prb"].text_data_ring,
    "work queues' pools": lambda prog: prog["worker_pool_idr"],
    "RCU": lambda prog: prog["rcu_state"],
    "timers": lambda prog: _per_cpu(prog, "timer_bases"),
    "high resolution timers": lambda prog: _per_cpu(prog, "hrtimer_bases"),
    "slab caches": lambda prog: prog["slab_caches"],
    "file systems": lambda prog: prog["super_blocks"],
    "modules": lambda prog: prog["modules"],
    "names": lambda prog: prog["init_uts_ns"],
    "the network": lambda prog: prog["init_net"],
    "taint": lambda prog: prog["tainted_mask"],
    "time": lambda prog: prog["tk_core"],
    "the lock": lambda prog: prog.object("cf_left") if _has(prog, "cf_left") else prog["init_net"],
}


def _has(prog: drgn.Program, name: str) -> bool:
    try:
        prog[name]
    except LookupError:
        return False
    return True


@pytest.mark.parametrize("name", STRUCTURES)
def test_hole_in_a_structure_is_survived_and_no_other_cause_is_named(
    name: str, prog: drgn.Program
) -> None:
    def work() -> tuple[str, str, int]:
        what = STRUCTURES[name](prog)
        address = what.address_
        assert address is not None
        hole(prog, address, drgn.sizeof(what.type_))
        return judged(prog)

    title, words, spent = in_child(work)
    assert title == TITLE or title.startswith(LESS), title
    assert "Traceback" not in words
    assert spent < SECONDS * 1000


def test_hole_over_a_stack_is_said(prog: drgn.Program) -> None:
    def work() -> tuple[str, str, int]:
        hole(prog, int(prog.crashed_thread().object.stack), int(prog["THREAD_SIZE"]))
        return judged(prog)

    title, words, _ = in_child(work)
    assert title == TITLE
    assert "cannot be unwound" in words or "does not show it" in words


LISTS: dict[str, Callable[[drgn.Program], drgn.Object]] = {
    "file systems": lambda prog: prog["super_blocks"],
    "slab caches": lambda prog: prog["slab_caches"],
    "modules": lambda prog: prog["modules"],
    "network devices": lambda prog: prog["init_net"].dev_base_head,
    "tasks": lambda prog: prog["init_task"].tasks,
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_list_with_a_cycle_ends(name: str, nodes: int, prog: drgn.Program) -> None:
    def work() -> tuple[str, str, int]:
        head = LISTS[name](prog)
        node = head.address_of_()
        for _ in range(nodes):
            node = node.next
        second = head.next.value_()
        poke(prog, node.value_(), second.to_bytes(8, "little"))
        return judged(prog)

    title, _, spent = in_child(work)
    assert title == TITLE or title.startswith(LESS), title
    assert spent < SECONDS * 1000


def test_comm_of_markup_is_text(prog: drgn.Program) -> None:
    def work() -> tuple[str, str, int]:
        address = _task(prog, b"cf_ab").comm.address_
        assert address is not None
        poke(prog, address, b"<script>1\x1b[2J\x00\x00")
        return judged(prog)

    _, words, _ = in_child(work)
    assert "<script" not in words.split("{", 1)[0].replace("<script>1\\x1b[2J", "")
    assert "&lt;script&gt;1" in words
    assert "\x1b" not in words


@pytest.mark.slow
def test_log_of_100_mb_with_a_report_in_its_middle_and_one_cut_off() -> None:
    noise = "".join(
        f"[{i}.000001] usb 1-1: new high-speed USB device number {i}\n" for i in range(18_000)
    )
    pieces = (100 << 20) // len(noise)
    start = time.process_time()
    reader = Reader()
    for number in range(pieces):
        if number == pieces // 2:
            reader.feed(NULL)
        reader.feed(noise)
    reader.feed(ARM64[: ARM64.index("Call trace")])
    found = reader.finish()
    assert found[0].function == "leaf"
    assert len(found) == 2
    assert found[1].corrupted
    assert found[1].reason
    assert time.process_time() - start < SECONDS


@pytest.mark.parametrize("text", [NULL, HUNG, ARM64], ids=["x86", "hung", "arm64"])
def test_log_cut_anywhere_names_the_function_or_none(text: str) -> None:
    (whole,) = events(text)
    for end in range(0, len(text), 5):
        for event in events(text[:end]):
            assert event.function in (whole.function, None), text[:end]
            if event.function is None:
                assert event.corrupted
                assert event.reason


@pytest.mark.parametrize("text", [NULL, ARM64], ids=["x86", "arm64"])
def test_log_that_lost_its_beginning_names_the_function_or_none(text: str) -> None:
    (whole,) = events(text)
    lines = text.splitlines(keepends=True)
    for start in range(1, len(lines)):
        for event in events("".join(lines[start:])):
            assert event.function in (whole.function, None)


def test_files_of_checks_that_others_may_write_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from btfdbg.program.extensions import load

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "btfdbg" / "checks"
    folder.mkdir(parents=True)
    for name, mode in (("mine.py", 0o644), ("anybodys.py", 0o666)):
        file = folder / name
        file.write_text(f"open({str(tmp_path / name)!r} + '.ran', 'w').close()\n")
        file.chmod(mode)
    assert load("checks", "btfdbg.no_such_group") == [str(folder / "mine.py")]
    assert (tmp_path / "mine.py.ran").exists()
    assert not (tmp_path / "anybodys.py.ran").exists()
    assert "anybodys.py: not loaded: others may write to it" in caplog.text
