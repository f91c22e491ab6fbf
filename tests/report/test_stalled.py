"""A stall is about whom RCU waits for, not about the CPU that noticed and panicked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from btfdbg.report import events, stalled
from btfdbg.report.event import Frame
from btfdbg.report.parts import Doubts
from btfdbg.report.stalled import READER, Holder, culprit

# What a 7.2 guest said, shortened: lazy preemption lets a reader be preempted, and RCU asks for
# the stack of a task that runs on another CPU, which nobody can unwind.
STALL = """\
[  168.045871][    C0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:
[  168.087983][    C0] rcu: \tTasks blocked on level-0 rcu_node (CPUs 0-1): P575
[  168.113424][    C0] rcu: \t(detected by 0, t=30003 jiffies, g=2449, q=15 ncpus=2)
"""
GUESSED = """\
[  168.113824][    C0] task:reader          state:R  running task     stack:0     pid:575   tgid:575
[  168.114386][    C0] Call Trace:
[  168.114653][    C0]  <TASK>
[  168.115734][    C0]  ? __schedule+0x9a6/0x1070
[  168.138080][    C0]  ? read_on+0x9/0x20 [demo]
[  168.138169][    C0]  ? read_forever+0x13/0x20 [demo]
[  168.138231][    C0]  ? kthread+0xe4/0x120
[  168.138528][    C0]  </TASK>
"""
PANIC = """\
[  168.139372][    C0] Kernel panic - not syncing: RCU Stall
[  168.139996][    C0] CPU: 0 UID: 0 PID: {pid} Comm: {comm} Not tainted 7.2.13 #1 PREEMPT(lazy)
[  168.140469][    C0] Call Trace:
[  168.157399][    C0]  <IRQ>
[  168.157739][    C0]  panic+0x6b/0x70
[  168.157786][    C0]  panic_on_rcu_stall.cold+0xc/0x17
[  168.157852][    C0]  rcu_sched_clock_irq.cold+0x297/0x64a
[  168.157972][    C0]  update_process_times+0x71/0xc0
[  168.158359][    C0]  sysvec_apic_timer_interrupt+0x6c/0x90
[  168.158496][    C0]  </IRQ>
[  168.158536][    C0]  <TASK>
[  168.158575][    C0]  asm_sysvec_apic_timer_interrupt+0x1a/0x20
{below}
[  168.160360][    C0]  </TASK>
"""
IDLE = PANIC.format(
    pid=0,
    comm="swapper/0",
    below="[  168.159941][    C0]  do_idle+0x204/0x310\n"
    "[  168.160024][    C0]  cpu_startup_entry+0x29/0x30",
)
BUSY = PANIC.format(
    pid=9,
    comm="busy",
    below="[  168.1][    C0]  demo_ioctl+0x1/0x2\n[  168.1][    C0]  vfs_ioctl+0x1/0x2",
)


@pytest.mark.parametrize(
    ("log", "title", "task"),
    [
        # Neither an idle CPU nor one that has others' stacks printed is what does not get on.
        (STALL + IDLE, "RCU stall (function unknown)", (None, "")),
        (STALL + GUESSED + IDLE, "RCU stall (function unknown)", (575, "reader")),
        (STALL + GUESSED + BUSY, "RCU stall (function unknown)", (575, "reader")),
        (STALL + GUESSED.replace("? ", "") + IDLE, "RCU stall in read_forever [demo]",
         (575, "reader")),
        # A CPU that reports itself is, and so is, for want of others, one that waits for them.
        (STALL.replace("detected stalls on CPUs/tasks", "self-detected stall on CPU") + BUSY,
         "RCU stall in demo_ioctl", (9, "busy")),
        (STALL + BUSY, "RCU stall in demo_ioctl", (9, "busy")),
    ],
)  # fmt: skip
def test_the_cpu_that_noticed_is_not_blamed(
    log: str, title: str, task: tuple[int | None, str]
) -> None:
    (event,) = events(log)
    assert (event.title, (event.pid, event.comm)) == (title, task)
    assert event.panicked
    assert event.corrupted == (event.function is None)


def test_a_stack_that_is_only_guessed_is_said_to_be() -> None:
    (event,) = events(STALL + GUESSED + IDLE)
    assert event.reason == "the unwinder only guessed its stack"


def _task(pid: int) -> Any:
    return SimpleNamespace(pid=pid, value_=lambda: 0x1000 + pid)


def _happened(panicked: int, event: Any, kind: str = "rcu-stall") -> Any:
    look = SimpleNamespace(panic_task=_task(panicked), panic_cpu=0, doubts=Doubts())
    return SimpleNamespace(kind=kind, event=event, look=look)


def _event(pid: int | None, function: str | None, kind: str = "rcu-stall") -> Any:
    return SimpleNamespace(kind=kind, pid=pid, function=function, cpu=None, frames=(Frame("f"),))


READERS = [
    Holder(READER, _task(7), None),
    None,
    Holder("CPU 3", None, 3),
    Holder("CPU 1", _task(8), 1),
]


@pytest.mark.parametrize(
    ("panicked", "event", "found"),
    [
        (0, _event(None, None), 7),  # the first
        (0, None, 7),
        (0, _event(8, "g"), 8),  # whom the log names
        (0, _event(99, "g"), None),  # nobody that RCU waits for any more
        (8, _event(None, None), None),  # a CPU that reported itself
    ],
)
def test_rcu_says_whom_it_waits_for(
    monkeypatch: pytest.MonkeyPatch, panicked: int, event: Any, found: int | None
) -> None:
    monkeypatch.setattr(stalled, "holders", lambda look: iter(READERS))
    happened = _happened(panicked, event)
    who = culprit(happened)
    assert (None if who is None or who.task is None else who.task.pid) == found
    assert bool(happened.look.doubts.said) == (found == 7)


def test_nobody_is_named_where_rcus_state_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(look: Any) -> Any:
        raise LookupError("rcu_state")
        yield

    monkeypatch.setattr(stalled, "holders", missing)
    assert culprit(_happened(0, _event(None, None))) is None
    assert culprit(_happened(0, _event(None, None), kind="workqueue-stall")) is None
