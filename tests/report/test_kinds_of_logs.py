"""Messages and stacks of all architectures that one log in a hundred has, written by hand."""

from __future__ import annotations

import pytest

from btfdbg.report import events
from btfdbg.report.severity import main_event
from tests.report.test_families import OOPS

LINES = (
    # ---- x86
    ("BUG: soft lockup - CPU#3 stuck for 22s!", "soft-lockup"),
    ("BUG: soft lockup detected on CPU#1!", "soft-lockup"),
    ("BUG: assuming atomic context at kernel/demo.c:12", "atomic-sleep"),
    ("unable to execute userspace code (SMEP?) (uid: 1000)", "bad-access"),
    ("cat: Corrupted page table at address 7f0000000000", "bad-page"),
    ("Bad pagetable: 000d [#1] SMP PTI", "bad-page"),
    ("coprocessor segment overrun: 0000 [#1] SMP", "trap"),
    ("Oops: control protection fault: 0003 [#1] SMP", "trap"),
    ("sysrq: SysRq : Trigger a crash", "sysrq"),
    ("BUG: held lock freed!", "lockdep"),
    ("INFO: possible recursive locking detected", "lockdep"),
    ("WARNING: CPU: 0 UID: 0 PID: 12 at kernel/demo.c:12 demo+0x1/0x2", "warning"),
    # ---- arm, arm64
    ("Internal error: UBSAN: array index out of bounds: 00000000f2005512 [#1] SMP", "ubsan"),
    ("UBSAN: array index out of bounds at demo+0x10/0x20 [demo]", "ubsan"),
    ("Internal error: BRK handler: 00000000f2000800 [#1] SMP", "trap"),
    ("Internal error: SP/PC alignment exception: 8a000000 [#1] SMP", "trap"),
    ("Internal error: undefined instruction: 0 [#1] SMP ARM", "invalid-opcode"),
    ("Unexpected kernel single-step exception at EL1", "trap"),
    ("Unhandled 64-bit el1h sync exception on CPU0, ESR 0x2000000 -- Unknown", "trap"),
    ("Unhandled fault: imprecise external abort (0x1406) at 0x00000000", "external-abort"),
    ("Unhandled fault: synchronous external abort (0x96000010) at 0xffff0000", "external-abort"),
    ("Unhandled prefetch abort: page domain fault (0x00b) at 0x00000e30", "bad-access"),
    ("Division by zero in kernel.", "divide-error"),
    # ---- s390
    ("privileged operation: 0002 ilc:2 [#1] SMP", "trap"),
    ("space switch event: 001c ilc:2 [#1] SMP", "trap"),
    # ---- powerpc
    ("BUG: Unable to handle kernel unaligned access at 0xc000000000000001", "bad-access"),
    ("Oops: Exception in kernel mode, sig: 4 [#1]", "invalid-opcode"),
    ("Oops: Exception in kernel mode, sig: 5 [#1]", "trap"),
    ("Oops: Kernel access of bad area, sig: 11 [#1]", "bad-access"),
    ("Oops: Machine check, sig: 7 [#1]", "hardware"),
    ("Oops: System Reset, sig: 6 [#1]", "sysrq"),
    ("Kernel panic - not syncing: System Reset", "sysrq"),
    ("Kernel panic - not syncing: Unrecoverable Machine check", "hardware"),
    ("MCE: CPU1: machine check (Severe) Host UE Load/Store [Not recovered]", "hardware"),
    ("Unrecoverable VMX/Altivec Unavailable Exception f20 at d000", "trap"),
    # ---- mips, loongarch
    ("Break instruction in kernel code[#1]:", "trap"),
    ("Oops - BUG[#1]:", "bug"),
    ("Oops - RI[#1]:", "invalid-opcode"),
    ("Kernel ade access[#1]:", "bad-access"),
    ("Kernel panic: Fatal exception", "panic"),
)


@pytest.mark.parametrize(("line", "kind"), LINES)
def test_message_of_an_architecture_has_its_kind(line: str, kind: str) -> None:
    event = main_event(events(line + "\n"))
    assert event is not None
    assert event.kind == kind


@pytest.mark.parametrize(
    "line",
    [
        "MCE: CPU1: machine check (Harmless) Host SLB Multihit [Recovered]",
        "INFO: task cat:12 is blocked on a mutex likely owned by task dog:13.",
        "Alignment trap: not handling instruction e1902f9f at [<c0123456>]",
        "workqueue: demo_work hogged CPU for >10000us 4 times, consider switching to WQ_UNBOUND",
        "INFO: lockdep is turned off.",
    ],
)
def test_remarks_are_no_reports(line: str) -> None:
    assert events(line + "\n") == []


PREFIXES = (
    # a serial console's, and what records it
    "kernel:[   12.345678] ", "ttyS0: [   12.345678] ", "web1 login: [   12.345678] ",
    "> [   12.345678] ", "12:00:00.123 [   12.345678] ", "[12:00:00.123 0.001] [   12.345678] ",
    "2026/11/30 12:00:00 [   12.345678] ", "[2026-11-30T12:00:00Z] [   12.345678] ",
    # loggers
    "Nov 30 12:00:00 web1 kernel[0]: ", "Nov 30 2026 12:00:00 web1 kernel: ",
    "Nov 30 12:00:00 web1 vmunix: [   12.345678] ", "<4>1 2026-11-30T12:00:00Z web1 kernel - - - ",
    "2026-11-30T12:00:00.1+01:00 web1 kernel [   12.345678] ",
    "6.12.0-amd64,6,123,12345678,-,caller=T12;",
    # Android's
    "11-30 12:34:56.123     0     0 E KERNEL  : [   12.345678] ", "[   12.345678,3] ",
    "<3>[   12.345678][T1@C0] ", "[   12.345678][   T12][c3] ", "[   12.345678] c0    123 (cat) ",
    "<6>[   12.345678]  I[4: kworker/4:1:  123] ", "<0>[ 12.345678]-(3)[123:cat]",
)  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefix_of_consoles_and_vendors(prefix: str) -> None:
    text = "\n".join(prefix + line for line in OOPS.splitlines())
    [event] = events(text)
    assert event.title == "NULL dereference in demo_fault"
    assert event.comm == "demo"
    assert event.seconds == (pytest.approx(12.345678) if "12.345" in prefix else event.seconds)
    assert event.message.startswith("BUG: kernel NULL")


LEAF = """\
watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [cat:219]
CPU: 1 UID: 0 PID: 219 Comm: cat Tainted: G           O       6.12.0 #1
pc : demo_poll+0x8/0x10 [demo]
lr : {lr}
Call trace:
 demo_poll+0x8/0x10 [demo]
 {second}
 ret_from_fork+0x10/0x20
"""


@pytest.mark.parametrize(
    ("lr", "second", "function"),
    [
        ("demo_thread+0x24/0x40 [demo]", "kthread+0xe8/0xf8", "demo_thread"),
        ("demo_poll+0x4/0x10 [demo]", "kthread+0xe8/0xf8", "demo_poll"),
        ("kthread+0xe8/0xf8", "kthread+0xe8/0xf8", "demo_poll"),
        ("0x0", "kthread+0xe8/0xf8", "demo_poll"),
    ],
)
def test_who_called_a_function_without_a_frame_is_in_the_link_register(
    lr: str, second: str, function: str
) -> None:
    [event] = events(LEAF.format(lr=lr, second=second))
    assert event.function == function


def test_fault_in_a_copy_without_a_frame_blames_who_called_it() -> None:
    [event] = events("""\
Unable to handle kernel paging request at virtual address ffff800012345678
Internal error: Oops: 0000000096000007 [#1] SMP
CPU: 0 PID: 100 Comm: cat Not tainted 6.1.0 #1
pc : __memcpy+0x64/0x250
lr : demo_copy+0x3c/0x80 [demo]
Call trace:
 __memcpy+0x64/0x250
 demo_read+0x50/0x90 [demo]
 vfs_read+0xc0/0x2a0
""")
    assert event.function == "demo_copy"


HUNG = """\
INFO: task cat:219 blocked for more than 120 seconds.
cat             D ffff88000000     0   219      1 0x00000080
Call Trace:
 [<ffffffff81001234>] ? __schedule+0x14/0x20
 [<ffffffff81001244>] ? schedule+0x14/0x20
 [<ffffffff81001254>] ? __mutex_lock_slowpath+0x14/0x20
 [<ffffffffa0001244>] ? demo_lock+0x14/0x20 [demo]
 [<ffffffff81001264>] ? vfs_read+0x14/0x20
"""


def test_kernel_that_only_guesses_stacks_blames_somebody_and_says_so() -> None:
    [event] = events(HUNG + "usb 1-1: new device\n")
    assert event.title == "hung task in demo_lock [demo]"
    assert event.corrupted
    assert "guessed" in event.reason


def test_guesses_are_not_taken_where_the_log_ends_or_another_stack_is_sure() -> None:
    [event] = events(HUNG)
    assert event.function is None
    sure = "WARNING: at fs/demo.c:1 other+0x1/0x2()\nCall Trace:\n other+0x1/0x2\n caller+0x1/0x2\n"
    hung, warning = events(HUNG + "usb 1-1: new device\n" + sure)
    assert hung.function is None
    assert warning.function == "other"


OOPS_OF_INIT = """\
[    1.000000] BUG: kernel NULL pointer dereference, address: 0000000000000000
[    1.000001] Oops: 0000 [#1] PREEMPT SMP NOPTI
[    1.000002] CPU: 3 PID: 1 Comm: init Not tainted 5.15.0 #98
[    1.000003] RIP: 0010:demo_fault+0x11/0x30
[    1.000004] Call Trace:
[    1.000005]  demo_caller+0x11/0x30
"""
END_OF_INIT = """\
[{at:12.6f}] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b
[{at:12.6f}] Call Trace:
[{at:12.6f}]  panic+0x11/0x30
[{at:12.6f}]  do_exit+0x11/0x30
"""


def test_oops_that_kills_init_is_the_cause_and_one_long_ago_is_not() -> None:
    now = main_event(events(OOPS_OF_INIT + END_OF_INIT.format(at=1.1)))
    assert now is not None
    assert (now.title, now.panicked) == ("NULL dereference in demo_fault", True)
    later = main_event(events(OOPS_OF_INIT + END_OF_INIT.format(at=90.0)))
    assert later is not None
    assert later.kind == "no-init"
