"""Commands end on lists and trees that never do."""

from __future__ import annotations

import contextlib
import itertools
import sys
import time
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from types import FrameType

import drgn
import pytest

from btfdbg.commands import execute
from btfdbg.patches import watchdog
from btfdbg.program.attach import attach
from btfdbg.program.session import Session
from btfdbg.vmcore import open_core

Damage = Callable[[drgn.Program], list[tuple[int, int]]]
"""From an undamaged Program: addresses, and the pointers that are to stand there."""


def damaged(path: Path, damage: Damage) -> Session:
    twin, info = open_core(path)
    attach(twin, None, info)
    prog, info = open_core(path)
    for address, pointer in damage(twin):
        data = pointer.to_bytes(8, "little")
        prog.add_memory_segment(
            address, 8, lambda a, n, offset, physical, data=data: data[offset : offset + n]
        )
    session = attach(prog, None, info)
    drgn.set_default_prog(prog)
    return session


def to_itself(pointer: drgn.Object) -> list[tuple[int, int]]:
    """The object that a pointer's ``next`` leads on from is its own next."""
    return [(pointer.next.address_, pointer.value_())]


def character_device(prog: drgn.Program) -> list[tuple[int, int]]:
    return to_itself(next(cd for cd in prog["chrdevs"] if cd))


def block_device(prog: drgn.Program) -> list[tuple[int, int]]:
    return to_itself(next(name for name in prog["major_names"] if name))


def network_address(prog: drgn.Program) -> list[tuple[int, int]]:
    from drgn.helpers.linux.net import for_each_netdev

    for device in for_each_netdev(prog):
        address = device.ip_ptr.ifa_list.read_() if device.ip_ptr else None
        if address:
            return [(address.ifa_next.address_ or 0, address.value_())]
    pytest.skip("no network device has an IPv4 address")


def parents(prog: drgn.Program) -> list[tuple[int, int]]:
    """Process 1 is the child of its own child."""
    from drgn.helpers.linux.pid import find_task, for_each_task

    init = find_task(prog, 1)
    child = next(task for task in for_each_task(prog) if task.parent == init)
    return [(init.parent.address_ or 0, child.value_())]


def directory(prog: drgn.Program) -> list[tuple[int, int]]:
    """The directory that something is mounted on is its own grandparent."""
    from drgn.helpers.linux.fs import for_each_mount

    for mount in for_each_mount(prog):
        point = mount.mnt_mountpoint.read_()
        parent = point.d_parent.read_()
        if parent != point and parent.d_parent != parent:
            return [(parent.d_parent.address_, point.value_())]
    pytest.skip("nothing is mounted below a directory of the root")


def test_a_tree_node_below_itself_does_not_hang_a_lookup(x86_core: Path) -> None:
    """drgn's own lookup is in C and would never come back."""

    def pid_table(prog: drgn.Program) -> list[tuple[int, int]]:
        entry = prog["init_pid_ns"].idr.idr_rt.xa_head.value_()
        node = drgn.Object(prog, "struct xa_node *", entry - 2)
        return [(slot.address_ or 0, entry) for slot in node.slots]

    session = damaged(x86_core, pid_table)
    # By other ways than the table; see patches.tasks.
    assert execute.run_commands(session, ["bt 1"]) == 0
    from drgn.helpers.linux.pid import find_pid

    with pytest.raises(drgn.FaultError, match="circle"):
        find_pid(session.prog, 1)


def word(pointer: drgn.Object, value: int) -> list[tuple[int, int]]:
    return [(pointer.address_ or 0, value)]


@pytest.mark.parametrize(
    "damage",
    [
        # In the low half of the word, as it is read together with its neighbour.
        lambda prog: word(prog["prb"].desc_ring.count_bits, 0xA62622E0),
        lambda prog: word(prog["prb"].text_data_ring.size_bits, 0xFFFFFFFF),
        lambda prog: word(prog["prb"].desc_ring.head_id.counter, 1 << 61),
        lambda prog: word(prog["prb"].desc_ring.tail_id.counter, 7),
    ],
    ids=["record bits", "text bits", "head", "tail"],
)
def test_a_damaged_log_ring_is_named(
    damage: Damage, x86_core: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = damaged(x86_core, damage)
    assert execute.run_commands(session, ["log"]) == 1
    assert "the kernel's log is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "damage"),
    [
        ("dev", character_device),
        ("dev", block_device),
        ("mount", directory),
        ("net", network_address),
        ("ps -p 1", parents),
    ],
)
def test_a_list_in_a_circle_ends_the_command_with_one_line(
    command: str, damage: Damage, x86_core: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = damaged(x86_core, damage)
    before = time.process_time()
    assert execute.run_commands(session, [command]) == 1
    assert time.process_time() - before < 10
    errors = capsys.readouterr().err.splitlines()
    assert [
        e for e in errors if e.startswith(f"{command.split()[0]}: ") and "runs in a circle" in e
    ]


def test_a_long_list_is_no_circle() -> None:
    """A walk that goes on for longer than we look is left alone."""
    walk = iter(range(10_000))
    assert watchdog._circle(lambda local: walk, {}, 1000) is None
    assert watchdog._circle(lambda local: iter(range(1000)), {}, 10_000) is False


def test_a_lookup_that_is_always_at_work_is_stopped() -> None:
    """Which child of a node is next depends on the key, so that walk cannot be followed."""
    namespace: dict[str, object] = {"__name__": "drgn.helpers.linux.rbtree"}
    source = "def rb_find():\n    while True: pass\n"
    exec(compile(source, "/drgn/helpers/linux/rbtree.py", "exec"), namespace)
    rb_find = namespace["rb_find"]
    assert callable(rb_find)
    with watchdog.watched(), pytest.raises(watchdog.CircleError, match="rb_find"):
        rb_find()


@pytest.mark.parametrize("tail", [0, 1, 7, 100])
@pytest.mark.parametrize("length", [1, 2, 3, 64, 100])
def test_every_circle_is_found(tail: int, length: int) -> None:
    def positions(local: watchdog.Locals) -> Iterator[Hashable]:
        yield from range(-tail, 0)
        while True:
            yield from range(length)

    assert watchdog._circle(positions, {}, 10_000) is True


def test_the_timer_is_given_back() -> None:
    import signal

    for _ in range(2):
        with watchdog.watched(), watchdog.watched():
            assert signal.getitimer(signal.ITIMER_VIRTUAL) != (0.0, 0.0)
        assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)
        # One that was on its way: it would end the process.
        signal.raise_signal(signal.SIGVTALRM)


def test_the_timer_of_somebody_else_is_let_be() -> None:
    import signal

    before = signal.signal(signal.SIGVTALRM, signal.SIG_IGN)
    try:
        with watchdog.watched():
            assert signal.getsignal(signal.SIGVTALRM) is signal.SIG_IGN
            assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)
    finally:
        signal.signal(signal.SIGVTALRM, before)


def walk_of_drgn(source: str, module: str) -> Callable[..., Iterator[object]]:
    """A function that the watchdog takes for drgn's."""
    namespace: dict[str, object] = {"__name__": f"drgn.helpers.linux.{module}"}
    exec(compile(source, f"/drgn/helpers/linux/{module}.py", "exec"), namespace)
    walk = namespace["made"]
    assert callable(walk)
    return walk


def busy() -> None:
    """Take some ms of the process's own CPU time, where no signal may raise."""
    for _ in range(100_000):
        pass


def test_a_generator_is_seen_though_no_signal_falls_into_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between two items something else is done, for longer by far than the item takes."""
    monkeypatch.setitem(
        watchdog.WALKS, ("drgn.helpers.linux.x", "made"), (lambda local: itertools.cycle("ab"),)
    )
    monkeypatch.setattr(watchdog, "_NAMES", watchdog._NAMES | {"made"})
    made = walk_of_drgn("def made():\n    for _ in range(20_000): yield 1\n", "x")
    outer = walk_of_drgn("def made(walk, busy):\n    for item in walk():\n        busy()\n", "y")
    # Not looked at while it runs: what is tested is what the profiler sees.
    monkeypatch.setattr(watchdog, "_INTERVAL", 0.05)
    before = time.process_time()
    with watchdog.watched(), pytest.raises(watchdog.CircleError, match="made"):
        outer(made, busy)
    assert time.process_time() - before < 2 * watchdog._FIRST_LOOK
    assert sys.getprofile() is None


@pytest.mark.parametrize("raises", [False, True])
def test_profiling_ends_with_the_command(raises: bool) -> None:
    profiled = False
    with contextlib.suppress(KeyError), watchdog.watched():
        ends = time.process_time() + 2 * watchdog._FIRST_LOOK
        while not profiled and time.process_time() < ends:
            busy()
            profiled = sys.getprofile() is not None
        if raises:
            raise KeyError
    assert profiled
    assert sys.getprofile() is None


def test_a_burst_ends_and_the_next_one_is_later() -> None:
    drgns = walk_of_drgn("def made(n):\n    for i in range(n): yield i\n", "x")
    times: dict[bool, float] = {False: 0.0, True: 0.0}
    with watchdog.watched():
        ends = time.process_time() + 2 * watchdog._FIRST_LOOK
        while (before := time.process_time()) < ends:
            profiled = sys.getprofile() is not None
            for _ in drgns(10_000):
                pass
            times[profiled] += time.process_time() - before
    assert 0 < times[True] < times[False] / 5


def test_the_profiler_of_somebody_else_is_let_be() -> None:
    seen: set[str] = set()

    def profiler(frame: FrameType, event: str, argument: object) -> None:
        seen.add(frame.f_code.co_name)

    drgns = walk_of_drgn("def made(n):\n    for i in range(n): yield i\n", "x")
    sys.setprofile(profiler)
    try:
        with watchdog.watched():
            # The timer counts time in user mode only, of which a busy machine leaves less.
            ends = time.process_time() + 10 * watchdog._FIRST_LOOK
            while "look" not in seen and time.process_time() < ends:
                for _ in drgns(1000):
                    pass
                assert sys.getprofile() is profiler
        assert sys.getprofile() is profiler
    finally:
        sys.setprofile(None)
    assert {"made", "look"} <= seen
