"""Reports whose lines stand in between each other, with callers and without."""

from __future__ import annotations

import itertools
import random

import pytest

from btfdbg.report import events

REGISTERS = """\
CPU: {cpu} UID: 0 PID: {pid} Comm: {comm} Tainted: G           O       6.12.1 #1
Hardware name: QEMU Standard PC (i440FX + PIIX, 1996), BIOS 1.16.2 04/01/2014
RIP: 0010:{name}_f+0x24/0x60 [{name}]
Call Trace:
 <TASK>
 {name}_f+0x24/0x60 [{name}]
 {name}_caller+0x12/0x40 [{name}]
 vfs_write+0xf0/0x440
 do_syscall_64+0x82/0x190
 </TASK>
---[ end trace 0000000000000000 ]---
"""
HEADS = {
    "warning": "WARNING: drivers/{name}.c:12 at {name}_f+0x24/0x60 [{name}],"
    " CPU#{cpu}: {comm}/{pid}",
    "fault": "BUG: unable to handle page fault for address: ffffc90000abc123\n"
    "#PF: supervisor write access in kernel mode\nOops: Oops: 0002 [#1] SMP",
    "kasan": "BUG: KASAN: use-after-free in {name}_f+0x24/0x60 [{name}]\n"
    "Read of size 8 at addr ffff888012345678 by task {comm}/{pid}",
    "hard": "watchdog: Watchdog detected hard LOCKUP on cpu {cpu}",
}
ALPHA = {"name": "alpha", "cpu": 0, "pid": 123, "comm": "cat"}
BETA = {"name": "beta", "cpu": 1, "pid": 456, "comm": "dog"}


def report(head: str, who: dict[str, object]) -> list[str]:
    return (HEADS[head] + "\n" + REGISTERS).format(**who).splitlines()


def merged(one: list[str], other: list[str], how: random.Random, *callers: str) -> str:
    """Lines of both in an order that keeps each one's own."""
    left, right = list(one), list(other)
    text: list[str] = []
    for number in itertools.count():
        if not left and not right:
            return "".join(text)
        first = bool(left) and (not right or how.random() < 0.5)
        side, caller = (left, callers[0]) if first else (right, callers[1])
        for line in (side.pop(0) for _ in range(min(len(side), how.randint(1, 4)))):
            text.append(f"[{10 + number / 1000:12.6f}]{caller} {line}\n")
    raise AssertionError


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(HEADS, 2)))
def test_callers_keep_reports_apart(one: str, other: str) -> None:
    first, second = report(one, ALPHA), report(other, BETA)
    expected = {event.title for text in (first, second) for event in events("\n".join(text))}
    assert len(expected) == 2
    for seed in range(10):
        text = merged(first, second, random.Random(seed), "[  T123]", "[   C1]")
        assert {event.title for event in events(text)} == expected


WARNING = report("warning", ALPHA)
HARD = report("hard", BETA)
AT = HARD.index("Call Trace:") + 1


def test_report_goes_on_after_another_cpus_within_it() -> None:
    found = events("\n".join([*HARD[:AT], *WARNING, *HARD[AT:]]))
    assert [event.title for event in found] == [
        "hard lockup in beta_caller [beta]",
        "WARNING in alpha_f [alpha]",
    ]
    assert found[0].pid == 456


def test_a_warning_of_the_reporter_itself_is_no_report() -> None:
    own = [line.replace("CPU#0: cat/123", "CPU#1: dog/456") for line in WARNING[:1]]
    [event] = events("\n".join([*HARD[:3], *own, *HARD[3:]]))
    assert event.title == "hard lockup in beta_caller [beta]"


@pytest.mark.parametrize(
    "order",
    [
        # the second one's head stands in the first one's stack, which then goes on
        lambda a, b: [*a[:8], *b[:1], *a[8:], *b[1:]],
        # registers of both before either stack
        lambda a, b: [*a[:1], *b[:1], *a[1:4], *b[1:4], *a[4:], *b[4:]],
        # both stacks at once
        lambda a, b: [*a[:4], *b[:4], *itertools.chain(*zip(a[4:], b[4:], strict=False))],
    ],
    ids=["within a stack", "registers", "line by line"],
)
@pytest.mark.parametrize(("one", "other"), [("warning", "kasan"), ("kasan", "fault")])
def test_lines_that_may_be_anybodys_name_nobody(one: str, other: str, order: object) -> None:
    assert callable(order)
    first, second = report(one, ALPHA), report(other, BETA)
    for event in events("\n".join(order(first, second))):
        if event.function is not None:
            whose = ALPHA if event.kind == one else BETA
            assert event.function == f"{whose['name']}_f", event.title
        else:
            assert event.corrupted
            assert event.reason


def test_the_reason_says_that_they_are_mixed() -> None:
    first, second = report("warning", ALPHA), report("kasan", BETA)
    text = "\n".join([*first[:8], *second[:2], *first[8:], *second[2:]])
    reasons = {event.kind: event.reason for event in events(text)}
    assert reasons["kasan"] == "its lines and another report's are mixed"


def test_oops_line_of_an_access_is_no_other_exceptions() -> None:
    fault, own = report("fault", ALPHA), report("fault", BETA)
    own[:3] = ["Oops: invalid opcode: 0000 [#1] SMP"]
    titles = [event.title for event in events("\n".join([*fault[:2], *own, *fault[2:]]))]
    assert sorted(titles) == ["bad access in alpha_f [alpha]", "invalid opcode in beta_f [beta]"]


# ---- logs that end inside a report -------------------------------------------------------------

CHECKED = """\
usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' (offset 0, size 9)!
kernel BUG at mm/usercopy.c:102!
Oops: invalid opcode: 0000 [#1] SMP
CPU: 1 UID: 0 PID: 123 Comm: cat Tainted: G           O       6.12.1 #1
RIP: 0010:usercopy_abort+0x6c/0x80
Call Trace:
 <TASK>
 __check_heap_object+0xe7/0x120
 __check_object_size+0x1/0x2
 demo_f+0x24/0x60 [demo]
 vfs_read+0xf0/0x440
 </TASK>
""".splitlines()


@pytest.mark.parametrize(
    ("lines", "function"),
    [(HARD, "beta_caller"), (CHECKED, "demo_f"), (report("kasan", ALPHA), "alpha_f")],
    ids=["lockup", "check", "kasan"],
)
def test_log_that_ends_inside_a_stack_names_nobody_wrongly(lines: list[str], function: str) -> None:
    told = 0
    for end in range(1, len(lines) + 1):
        text = "\n".join(lines[:end])
        for cut in (text, text[: -len(lines[end - 1]) // 2 or None], text + "\n"):
            for event in events(cut):
                assert event.function in (function, None)
                told += event.function is not None
                if event.function is None:
                    assert event.corrupted
                    assert event.reason
    assert told


# ---- boots -----------------------------------------------------------------------------------

BOOTS = (
    "[    0.000000] Linux version 6.12.1 (gcc) #1 SMP",
    "[    0.000000] Booting Linux on physical CPU 0x0000000000 [0x411fd070]",
    "-- Boot 0123456789abcdef0123456789abcdef --",
    "-- Reboot --",
    "[    0.000000] Command line: root=/dev/sda",  # its beginning is lost: stamps went back
)


def at(lines: list[str], seconds: float) -> list[str]:
    return [f"[{seconds + n / 1e6:12.6f}] {line}" for n, line in enumerate(lines)]


@pytest.mark.parametrize("boot", BOOTS)
@pytest.mark.parametrize("kept", [1, 2, 3])
@pytest.mark.parametrize("head", ["fault", "hard"])
def test_next_boots_stack_is_not_the_last_boots_reports(head: str, kept: int, boot: str) -> None:
    first = at(report(head, ALPHA)[:kept], 100)
    [event] = events("\n".join([*first, boot, *at(report("warning", BETA)[2:], 1)]))
    assert event.function is None
    assert event.title.startswith(("bad access", "hard lockup"))


@pytest.mark.parametrize("boot", BOOTS)
def test_next_boots_panic_is_not_the_last_boots_reports(boot: str) -> None:
    hung = "[ 5000.000000] INFO: task cat:12 blocked for more than 120 seconds."
    panic = "[  200.000000] Kernel panic - not syncing: hung_task: blocked tasks"
    first, second = events("\n".join([hung, boot, panic]))
    assert not first.panicked
    assert second.panicked


# ---- what only one kind says -----------------------------------------------------------------

STUCK = """\
BUG: workqueue lockup - pool cpus=1 node=0 flags=0x0 nice=0 stuck for 31s!
Showing busy workqueues and worker pools:
workqueue events: flags=0x0
  pwq 2: cpus=0 node=0 flags=0x0 nice=0 active=1 refcnt=2
    in-flight: 99:other_work
  pwq 6: cpus=1 node=0 flags=0x0 nice=0 active=2 refcnt=3
    in-flight: {works}
    pending: later_work
"""


@pytest.mark.parametrize(
    ("works", "function"),
    [
        ("123:demo_work [demo]", "demo_work"),
        ("123:demo_work [demo] for 31s", "demo_work"),
        ("123(RESCUER):demo_work", "demo_work"),
        ("123:demo_work, 124:demo_work", "demo_work"),
        ("123:demo_work, 124:more_work", None),
        ("123:0xffffffffc0123456", None),
    ],
)
def test_work_that_runs_in_the_stuck_pool_is_to_blame(works: str, function: str | None) -> None:
    [event] = events(STUCK.format(works=works) + "\n" * 200)
    assert event.function == function


ORDINARY = [
    "mce: [Hardware Error]: Machine check events logged",
    "[Hardware Error]: Corrected error, no action required.",
    "{1}[Hardware Error]: event severity: corrected",
]


@pytest.mark.parametrize("line", ORDINARY)
def test_error_that_the_hardware_corrected_is_no_cause(line: str) -> None:
    from btfdbg.report.severity import main_event

    [event] = events(line)
    assert event.title == "hardware error: corrected"
    fault = [f"[  900.000000] {line}" for line in report("fault", ALPHA)]
    main = main_event(events("\n".join([f"[    5.000000] {line}", *fault])))
    assert main is not None
    assert main.title == "bad access in alpha_f [alpha]"


def test_error_that_was_not_corrected_is_one() -> None:
    lines = [*ORDINARY[:1], "mce: [Hardware Error]: CPU 1: Machine Check Exception: 5 Bank 4: b2"]
    [event] = events("\n".join(lines))
    assert event.title == "hardware error"


def test_serror_and_its_panic_are_one() -> None:
    text = (
        "SError Interrupt on CPU1, code 0x00000000bf000002 -- SError\n"
        "CPU: 1 UID: 0 PID: 123 Comm: cat Not tainted 6.12.1 #1\npc : demo_f+0x24/0x60 [demo]\n"
        "Kernel panic - not syncing: Asynchronous SError Interrupt\n"
    )
    [event] = events(text)
    assert event.title == "hardware error: SError"
    assert event.panicked


def test_bug_of_a_fortified_copy_is_called_so() -> None:
    lines = report("warning", ALPHA)
    lines[0] = "kernel BUG at lib/string_helpers.c:1040!\nOops: invalid opcode: 0000 [#1] SMP"
    lines[3] = "RIP: 0010:__fortify_panic+0xd/0xf"
    [event] = events("\n".join(lines))
    assert event.title == "buffer overflow detected in alpha_f [alpha]"


def test_made_mixtures_name_the_other_reports_function_in_one_of_fifty_at_most() -> None:
    """Whose a line is two orders may explain; most of them show that there are two."""
    wrong = total = 0
    for one, other in itertools.permutations(HEADS, 2):
        first, second = report(one, ALPHA), report(other, BETA)
        for seed in range(40):
            total += 1
            text = merged(first, second, random.Random(seed), "", "")
            kinds = {event.kind: event.function or "" for event in events(text)}
            mine = {"warning": "warning", "fault": "bad-access", "kasan": "kasan",
                    "hard": "hard-lockup"}  # fmt: skip
            wrong += kinds.get(mine[one], "").startswith("beta") or kinds.get(
                mine[other], ""
            ).startswith("alpha")
    assert total == 480
    assert wrong <= total // 50


def test_a_report_within_anothers_stack_is_still_read() -> None:
    right = 0
    for one, other in itertools.permutations(HEADS, 2):
        first, second = report(one, ALPHA), report(other, BETA)
        for cut in range(1, len(first)):
            for event in events("\n".join([*first[:cut], *second, *first[cut:]])):
                own = "alpha" if event.line == 1 else "beta"
                assert event.function is None or event.function.startswith(own)
                right += event.function is not None
    assert right >= 230


# ---- printed twice ---------------------------------------------------------------------------


@pytest.mark.parametrize("twice", ["one after the other", "with a console's lines before"])
def test_an_oops_that_stands_twice_is_one_and_another_of_its_kind_is_not(twice: str) -> None:
    once = "\n".join(report("fault", ALPHA))
    between = "\nlogin: \n" if "console" in twice else "\n"
    [event] = events(once + between + once)
    assert event.repeats == 1
    other = once.replace("[#1]", "[#2]")
    assert [e.repeats for e in events(once + between + other)] == [0, 0]
    elsewhere = once.replace("PID: 123", "PID: 124")
    assert [e.repeats for e in events(once + between + elsewhere)] == [0, 0]


def test_the_same_oops_after_another_boot_is_another() -> None:
    once = "\n".join(report("fault", ALPHA))
    boot = "Linux version 6.12.1 (gcc) #1 SMP"
    assert [e.repeats for e in events(f"{once}\n{boot}\n{once}\n")] == [0, 0]


def test_a_warning_that_comes_twice_is_two() -> None:
    once = "\n".join(WARNING)
    assert len(events(once + "\n" + once)) == 2
    numbered = once.replace("0" * 16, "72f8e4a1b2c3d4e5")
    assert len(events(numbered + "\n" + numbered)) == 1


def test_a_machine_panics_once() -> None:
    text = "Kernel panic - not syncing: demo says so\nCPU: 1 PID: 7 Comm: x Not tainted 6.1.0 #1\n"
    [event] = events(text + text)
    assert event.repeats == 1
