"""One sentence says what happened: by whom a panic was wanted, what a bad access was to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from btfdbg.report.calls import Call
from btfdbg.report.sentence import _by_hand, verdict


@pytest.mark.parametrize(
    ("stack", "words"),
    [
        ("panic nmi_panic.cold unknown_nmi_error.cold exc_nmi", "An NMI that nobody claimed"),
        ("panic hpwdt_pretimeout nmi_handle", "An NMI that nobody claimed"),
        ("panic sysrq_handle_crash write_sysrq_trigger.cold", "init(1) wrote to /proc/sysrq"),
        ("panic sysrq_handle_crash.cold __handle_sysrq", "by the SysRq key"),
        ("panic system_reset_exception", "by a reset or restart"),
        ("panic something", "panicked this machine on purpose."),
    ],
)
def test_how_it_was_done_is_told_by_the_stack(stack: str, words: str) -> None:
    calls = tuple(Call(name, "", 1, 0, False) for name in stack.split())
    look: Any = SimpleNamespace(panic_task=object(), who=lambda task: "init(1)")
    happened: Any = SimpleNamespace(look=look, stack=calls)
    assert words in _by_hand(happened)


@pytest.mark.parametrize(
    ("kind", "what", "value", "state", "words"),
    [
        ("write", "", 0, "NULL", "wrote memory through a NULL pointer (p->q)"),
        ("read", "struct box.in", 0, "NULL", "read struct box.in through a NULL pointer (p->q)"),
        ("read", "", 9, "poison", "read memory through a bad pointer (poison) (p->q)"),
        ("write", "", 0x1234, "", "wrote memory through the pointer 0x1234 (p->q)"),
        ("read", "", None, "", "read memory (p->q)"),
        ("execute", "", 0, "NULL", "called a NULL pointer (p->q)"),
        ("execute", "struct box.act", 0, "NULL", "called struct box.act, a NULL pointer (p->q)"),
        ("execute", "", 0x1234, "", "called the pointer 0x1234 (p->q)"),
        ("execute", "", None, "", "called a bad pointer (p->q)"),
    ],
)
def test_an_access_is_told_in_words(
    kind: str, what: str, value: int | None, state: str, words: str
) -> None:
    access = SimpleNamespace(kind=kind, what=what, value=value, state=state, origin="p->q")
    happened: Any = SimpleNamespace(
        kind="null-dereference",
        access=access,
        signature=SimpleNamespace(function="f", module="m"),
        syscall=None,
        look=SimpleNamespace(panic_task=None),
    )
    assert verdict(happened) == f"f of the module m {words}."


@pytest.mark.parametrize(
    ("told", "words"),
    [(True, "No crash: the kernel was running"), (False, "whether there was one cannot be told")],
)
def test_a_dump_that_lost_who_panicked_is_no_snapshot(told: bool, words: str) -> None:
    look: Any = SimpleNamespace(panic_is_told=told, panic_cpu=None)
    blockage = SimpleNamespace(tasks=())
    happened: Any = SimpleNamespace(kind="snapshot", look=look, blockage=blockage)
    assert words in verdict(happened)


@pytest.mark.parametrize(
    ("stack", "pid", "words"),
    [
        ("f call_timer_fn asm_sysvec_apic_timer_interrupt default_idle", 0,
         "in an interrupt on CPU 1, which was idle."),
        ("f hrtimer_interrupt asm_sysvec_apic_timer_interrupt vfs_read do_syscall_64", 9,
         "in an interrupt on CPU 1, where sh(9) was running."),
        ("f handle_irq_event el1h_64_irq vfs_read el0t_64_sync", 9, "where sh(9) was running."),
        ("f call_timer_fn handle_softirqs run_ksoftirqd kthread", 9, "in the task sh(9)."),
        ("f default_idle do_idle", 0, "in f on CPU 1, which was idle."),
    ],
)  # fmt: skip
def test_a_task_that_an_interrupt_came_upon_is_not_told_as_the_cause(
    stack: str, pid: int, words: str
) -> None:
    class Who:
        def __init__(self) -> None:
            self.pid = pid

        def __str__(self) -> str:
            return f"sh({pid})"

    happened: Any = SimpleNamespace(
        kind="bug",
        access=None,
        calls=tuple(Call(name, "", 1, 0, False) for name in stack.split()),
        signature=SimpleNamespace(function="f", module=""),
        syscall=None,
        look=SimpleNamespace(panic_task=object(), panic_cpu=1, who=lambda task: Who()),
    )
    assert verdict(happened).endswith(words)
