"""events() on logs of every shape. The logs are our own, in the kernel's formats."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btfdbg.report import Event, Reader, events
from btfdbg.report.logs import text
from btfdbg.report.logs.text import MAX_EVENTS
from btfdbg.report.severity import main_event

NULL = """\
BUG: kernel NULL pointer dereference, address: 0000000000000010
#PF: supervisor write access in kernel mode
#PF: error_code(0x0002) - not-present page
PGD 0 P4D 0
Oops: Oops: 0002 [#1] PREEMPT SMP NOPTI
CPU: 0 UID: 0 PID: 575 Comm: sh Tainted: G           OE      6.12.0-amd64 #1  Debian 6.12.0-1
Hardware name: QEMU Standard PC
RIP: 0010:leaf+0x9/0x20 [demo]
Code: 90 90 <c7> 47 10 07
RSP: 0018:ff1c0000003b7d68 EFLAGS: 00010246
Call Trace:
 <TASK>
 ? __die+0x23/0x80
 outer.constprop.0+0xe/0x20 [demo]
 param_attr_store+0x98/0xf0
 vfs_write+0x28c/0x440
 do_syscall_64+0x87/0x180
 entry_SYSCALL_64_after_hwframe+0x76/0x7e
RIP: 0033:0x4ae3f7
 </TASK>
Modules linked in: demo(OE)
CR2: 0000000000000010
---[ end trace 0000000000000000 ]---
"""

HUNG = """\
INFO: task writer:184 blocked for more than 120 seconds.
      Not tainted 6.1.0 #1
"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.
task:writer          state:D stack:0     pid:184   ppid:1      flags:0x00004002
Call Trace:
 <TASK>
 __schedule+0x34d/0x9e0
 schedule+0x5a/0xd0
 percpu_rwsem_wait+0x116/0x140
 __percpu_down_read+0x5e/0x80
 mnt_want_write+0x77/0xa0
 open_last_lookups+0x40f/0x4b0
 do_syscall_64+0x58/0x80
 </TASK>
"""

ARM64 = """\
Unable to handle kernel paging request at virtual address dead000000000108
Mem abort info:
  ESR = 0x0000000096000044
Internal error: Oops: 0000000096000044 [#1] SMP
CPU: 1 PID: 31 Comm: kworker/1:1 Not tainted 6.6.0 #3
pstate: 60400005 (nZCv daif +PAN -UAO -TCO -DIT -SSBS BTYPE=--)
pc : __list_del_entry_valid+0x40/0xd0
lr : drop_entry+0x24/0x80 [demo]
Call trace:
 __list_del_entry_valid+0x40/0xd0
 drop_entry+0x24/0x80 [demo]
 process_one_work+0x1f4/0x480
 worker_thread+0x50/0x450
 kthread+0xe8/0xf0
 ret_from_fork+0x10/0x20
Code: d2802400 (f9400021)
---[ end trace 0000000000000000 ]---
Kernel panic - not syncing: Oops: Fatal exception
"""

ARM = """\
8<--- cut here ---
Unable to handle kernel NULL pointer dereference at virtual address 00000004 when write
[00000004] *pgd=00000000
Internal error: Oops: 805 [#1] SMP ARM
CPU: 0 PID: 90 Comm: sh Not tainted 6.1.0 #1
PC is at leaf+0x10/0x24 [demo]
LR is at outer+0x18/0x2c [demo]
pc : [<bf000010>]    lr : [<bf000030>]    psr: 60000013
Backtrace:
 leaf [demo] from outer+0x18/0x2c [demo]
 outer [demo] from vfs_write+0x1c/0x20
 vfs_write from ksys_write+0x60/0xe8
"""

S390 = """\
Unable to handle kernel pointer dereference in virtual kernel address space
Failing address: 0000000000000000 TEID: 0000000000000887
Oops: 0004 ilc:2 [#1] SMP
CPU: 0 PID: 90 Comm: sh Not tainted 6.1.0 #1
Krnl PSW : 0704c00180000000 000003ff80002010 (leaf+0x10/0x24 [demo])
Krnl Code: 000003ff80002000: c0040000
Call Trace:
 [<000003ff80002010>] leaf+0x10/0x24 [demo]
([<000003ff80002030>] outer+0x18/0x2c [demo])
 [<00000000a1b2c3d4>] vfs_write+0x1c/0x20
Last Breaking-Event-Address:
 [<000003ff80002030>] wrong+0x18/0x2c [demo]
Kernel panic - not syncing: Fatal exception: panic_on_oops
"""

PPC = """\
BUG: Kernel NULL pointer dereference on write at 0x00000010
Faulting instruction address: 0xc008000000010010
Oops: Kernel access of bad area, sig: 11 [#1]
CPU: 2 PID: 90 Comm: sh Not tainted 6.1.0 #1
NIP:  c008000000010010 LR: c008000000010030 CTR: c000000000000000
NIP [c008000000010010] leaf+0x10/0x24 [demo]
LR [c008000000010030] outer+0x18/0x2c [demo]
Call Trace:
[c000000012340000] [c008000000010020] leaf+0x20/0x24 [demo] (unreliable)
[c000000012340030] [c008000000010030] outer+0x18/0x2c [demo]
[c000000012340060] [c000000000123456] vfs_write+0x1c/0x20
---[ end trace 0000000000000000 ]---
"""

RISCV = """\
Unable to handle kernel NULL pointer dereference at virtual address 0000000000000010
Oops [#1]
CPU: 0 PID: 90 Comm: sh Not tainted 6.1.0 #1
epc : leaf+0x10/0x24 [demo]
 ra : outer+0x18/0x2c [demo]
epc : ffffffff01000010 ra : ffffffff01000030 sp : ff20000000000000
[<ffffffff01000010>] leaf+0x10/0x24 [demo]
[<ffffffff01000030>] outer+0x18/0x2c [demo]
[<ffffffff80123456>] vfs_write+0x1c/0x20
---[ end trace 0000000000000000 ]---
"""


def only(text: str) -> Event:
    """The one event of a log."""
    found = events(text)
    assert len(found) == 1, [event.title for event in found]
    return found[0]


def stamped(text: str, prefix: str) -> str:
    """A log with the same prefix before each line."""
    return "".join(f"{prefix}{line}\n" for line in text.splitlines())


PREFIXES = {
    "none": "",
    "seconds": "[   38.014526] ",
    "caller": "[   38.014526][  T575] ",
    "cpu caller": "[   38.014526][    C1] ",
    "level": "<1>[   38.014526] ",
    "dmesg -T": "[Mon Nov 29 21:00:36 2026] ",
    "dmesg -x": "kern  :alert : [   38.014526] ",
    "syslog": "Nov 29 21:00:36 host kernel: ",
    "syslog with seconds": "Nov 29 21:00:36 host kernel: [   38.014526] ",
    "journald iso": "2026-11-29T21:00:36+0000 host kernel: ",
    "netconsole": "1,411,38014526,-,caller=T575;",
    "kmsg": "1,411,38014526,-;",
    "journald monotonic": "[   38.014526] host kernel: ",
    "vendor 1": "<6>[   38.014526]  (0)[575:sh]",
    "vendor 2": "<6>[   38.014526]  [0:             sh:  575] ",
    "syslog in another language": "июл 27 14:08:03 host kernel: ",
    "colour": "\x1b[32m[   38.014526] \x1b[0m",
}


@pytest.mark.parametrize("prefix", PREFIXES.values(), ids=PREFIXES)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\r\n"], ids=["lf", "crlf", "crcrlf"])
def test_every_prefix_and_line_end_gives_the_same_event(prefix: str, end: str) -> None:
    event = only(stamped(NULL, prefix).replace("\n", end))
    assert event.kind == "null-dereference"
    assert event.title == "NULL dereference in leaf [demo]"
    assert (event.function, event.module, event.line) == ("leaf", "demo", 1)
    assert (event.pid, event.comm, event.cpu) == (575, "sh", 0)
    assert event.release == "6.12.0-amd64"
    assert not event.corrupted
    assert event.hardware == "QEMU Standard PC"
    assert event.host == ("host" if "host" in prefix else "")
    if "38" in prefix:
        assert event.seconds == pytest.approx(38.014526)


@pytest.mark.parametrize(
    "log", [NULL, ARM, S390, PPC, RISCV], ids=["x86", "arm", "s390", "ppc", "riscv"]
)
def test_one_title_on_all_architectures(log: str) -> None:
    event = only(log)
    assert event.title == "NULL dereference in leaf [demo]"
    sure = [(frame.name.split(".")[0], frame.module) for frame in event.frames if frame.sure]
    while sure[1] == sure[0]:
        del sure[0]  # the registers and the stack both name it
    last = "param_attr_store" if log is NULL else "vfs_write"
    assert sure[:3] == [("leaf", "demo"), ("outer", "demo"), (last, "")]


def test_poisoned_list_entry_blames_the_caller_of_the_list_helper() -> None:
    event = only(ARM64)
    assert event.title == "bad access: removed list entry in drop_entry [demo]"
    assert event.detail == "removed list entry"
    assert event.panicked


def test_hung_task_blames_the_caller_of_what_waits() -> None:
    event = only(HUNG)
    assert event.title == "hung task in mnt_want_write"
    assert (event.comm, event.pid) == ("writer", 184)


def test_first_task_of_the_batch_carries_the_panic() -> None:
    second = HUNG.replace("184", "185").replace("mnt_want_write", "do_unlinkat")
    log = stamped(
        HUNG + second + "Kernel panic - not syncing: hung_task: blocked tasks\n", "[ 363.1] "
    )
    found = events(log)
    assert [(e.title, e.panicked) for e in found] == [
        ("hung task in mnt_want_write", True),
        ("hung task in do_unlinkat", False),
    ]
    assert main_event(found) is found[0]


def test_callers_that_print_at_once_do_not_mix() -> None:
    one = [f"[   5.000001][  T1] {line}" for line in NULL.splitlines()]
    other = [f"[   5.000001][  T2] {line}" for line in ARM64.splitlines()]
    mixed = [line for pair in zip(one, other, strict=False) for line in pair]
    mixed += one[len(other) :] + other[len(one) :]
    assert sorted(event.title for event in events("\n".join(mixed))) == [
        "NULL dereference in leaf [demo]",
        "bad access: removed list entry in drop_entry [demo]",
    ]


def test_old_messages_that_are_printed_again_are_one_event() -> None:
    log = "".join(f"[   38.0145{i:02}] {line}\n" for i, line in enumerate(NULL.splitlines()))
    assert len(events(log + "[   40.000000] something else\n" + log)) == 1


def test_same_report_at_another_time_is_another_event() -> None:
    assert len(events(stamped(NULL, "[   38.014526] ") + stamped(NULL, "[   39.014526] "))) == 2


def test_log_cut_before_the_stack_is_corrupted_and_names_nobody() -> None:
    event = only("\n".join(NULL.splitlines()[:5]) + "\n")
    assert event.kind == "null-dereference"
    assert event.function is None
    assert event.corrupted
    assert event.reason == "the log ends before its stack"


@pytest.mark.parametrize("at", range(0, len(NULL), 37))
def test_log_cut_anywhere_never_blames_another_function(at: int) -> None:
    for event in events(NULL[:at]) + events(NULL[at:]):
        assert event.function in (None, "leaf", "outer", "param_attr_store")
        if event.function != "leaf":
            assert event.corrupted or event.line > 1 or at


def test_text_without_a_report_has_no_event() -> None:
    assert (
        events("[    0.000000] Linux version 6.12.0\n[    1.0] systemd[1]: Started a debugger.\n")
        == []
    )
    assert events("") == []
    assert events("\n\n\r\n") == []
    assert events(b"\xff\xfe\x00[1.0]") == []


def test_control_characters_are_escaped() -> None:
    event = only(
        "BUG: soft lockup - CPU#0 stuck for 22s! [\x1b]0;evil\x07:12]\nCall Trace:\n f+0x1/0x2\n"
    )
    for value in (event.title, event.comm, event.message, event.detail):
        assert value.isprintable()


def test_bug_message_names_its_kind() -> None:
    log = (
        "refcount_t: underflow; use-after-free.\n"
        "WARNING: CPU: 0 PID: 12 at lib/refcount.c:28 refcount_warn_saturate+0xba/0x110\n"
        "CPU: 0 PID: 12 Comm: cat Not tainted 6.1.0 #1\n"
        "RIP: 0010:refcount_warn_saturate+0xba/0x110\n"
        "Call Trace:\n <TASK>\n put_thing+0x1/0x2 [demo]\n do_exit+0x1/0x2\n </TASK>\n"
    )
    event = only(log)
    assert event.title == "refcount bug in put_thing [demo]"
    assert event.detail == "underflow; use-after-free"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("general protection fault, probably for non-canonical address 0xdead00000000: 0000 [#1]",
         "bad-access"),
        ("Oops: general protection fault, maybe for address 0xffff: 0000 [#1] SMP",
         "general-protection-fault"),
        ("general protection fault: 0000 [#1] SMP", "bad-access"),
        ("general protection fault: 00b8 [#1] SMP", "general-protection-fault"),
    ],
)  # fmt: skip
def test_bad_address_has_one_kind_on_all_architectures(message: str, kind: str) -> None:
    log = f"{message}\nRIP: 0010:f+0x1/0x2\nCall Trace:\n g+0x1/0x2\n"
    assert only(log).kind == kind


CALL = """\
kernel tried to execute NX-protected page - exploit attempt? (uid: 0)
BUG: unable to handle page fault for address: ff1c000000005ed9
#PF: supervisor instruction fetch in kernel mode
#PF: error_code(0x0011) - permissions violation
Oops: Oops: 0011 [#1] SMP
CPU: 1 UID: 0 PID: 635 Comm: sh Not tainted 6.12.0 #1
RIP: 0010:0xff1c000000005ed9
Call Trace:
 <TASK>
 ? __die_body+0x1/0x2
 ? call_through+0x2a/0x40 [demo]
 ? vfs_write+0x28c/0x440
 </TASK>
"""


def test_call_through_a_bad_pointer_blames_the_caller() -> None:
    event = only(CALL)
    assert event.title == "bad access: execution of data in call_through [demo]"
    assert "ff1c000000005ed9" in event.message
    assert not event.corrupted


@pytest.mark.parametrize(
    ("address", "code", "words"),
    [
        ("00007f0000001000", "0x0000", "user pointer"),
        ("ffff888000001000", "0x0000", ""),
        ("ff1c000000001000", "0x0000", ""),
        ("ffffffff81000000", "0x0003", "read-only memory"),
        ("6b6b6b6b6b6b6b73", "0x0000", "freed object"),
        ("dead000000000122", "0x0002", "removed list entry"),
        ("0061616161616161", "0x0000", "non-canonical address"),
        ("0161616161616161", "0x0000", "non-canonical address"),
    ],
)
def test_bad_access_says_what_is_wrong_with_the_address(
    address: str, code: str, words: str
) -> None:
    log = (
        f"BUG: unable to handle page fault for address: {address}\n"
        f"#PF: error_code({code}) - x\nRIP: 0010:f+0x1/0x2\nCall Trace:\n g+0x1/0x2\n"
    )
    assert only(log).detail == words


def test_nmi_that_was_sent_is_a_panic_by_hand() -> None:
    log = (
        "[ 1.5] Uhhuh. NMI received for unknown reason 30 on CPU 0.\n"
        "[ 1.5] Kernel panic - not syncing: NMI: Not continuing\n"
    )
    event = only(log)
    assert (event.kind, event.panicked) == ("sysrq", True)


def test_panic_by_hand_is_no_fault_of_the_kernel() -> None:
    log = (
        "sysrq: Trigger a crash\n"
        "Kernel panic - not syncing: sysrq triggered crash\n"
        "CPU: 0 PID: 1 Comm: init Not tainted 6.1.0 #1\n"
        "Call Trace:\n <TASK>\n panic+0x11c/0x2f6\n sysrq_handle_crash+0x16/0x20\n </TASK>\n"
        "---[ end Kernel panic - not syncing: sysrq triggered crash ]---\n"
    )
    event = only(log)
    assert (event.kind, event.title, event.function) == ("sysrq", "panic by hand: SysRq", None)
    assert event.panicked
    assert not event.corrupted


def test_stalled_cpu_of_another_caller_adds_its_stack() -> None:
    log = (
        "[   60.000001][    C1] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:\n"
        "[   60.000002][    C1] rcu: \t0-...!: (1 GPs behind) idle=1/1/0x4 softirq=1/2 fqs=1\n"
        "[   60.000003][    C1] Sending NMI from CPU 1 to CPUs 0:\n"
        "[   60.000004][   T99] NMI backtrace for cpu 0\n"
        "[   60.000005][   T99] CPU: 0 PID: 99 Comm: spinner Not tainted 6.6.0 #1\n"
        "[   60.000006][   T99] RIP: 0010:spin_here+0x10/0x20 [demo]\n"
        "[   60.000007][   T99] Call Trace:\n"
        "[   60.000008][   T99]  <NMI>\n"
        "[   60.000009][   T99]  nmi_cpu_backtrace+0x1/0x2\n"
        "[   60.000010][   T99]  asm_exc_nmi+0x1/0x2\n"
        "[   60.000011][   T99]  </NMI>\n"
        "[   60.000012][   T99]  <TASK>\n"
        "[   60.000013][   T99]  demo_ioctl+0x1/0x2 [demo]\n"
        "[   60.000014][   T99]  __x64_sys_ioctl+0x1/0x2\n"
        "[   60.000015][   T99]  do_syscall_64+0x1/0x2\n"
    )
    event = only(log)
    assert event.title == "RCU stall in demo_ioctl [demo]"


def test_a_pieces_end_may_be_anywhere() -> None:
    whole = events(NULL + HUNG + ARM64)
    for size in (1, 7, 100):
        reader = Reader()
        log = NULL + HUNG + ARM64
        for at in range(0, len(log), size):
            reader.feed(log[at : at + size])
        assert reader.finish() == whole


def test_number_of_events_is_bounded_and_the_rest_counted() -> None:
    log = "".join(f"[{i}.000001] kernel BUG at fs/x.c:{i}!\n" for i in range(1, MAX_EVENTS + 51))
    found = events(log)
    assert len(found) == MAX_EVENTS
    assert found[-1].repeats == 50


def test_frames_of_all_reports_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "MAX_FRAMES", 500)
    trace = "Call Trace:\n" + "".join(f" f{i}+0x1/0x2\n" for i in range(200))
    log = "".join(f"kernel BUG at fs/x.c:{i}!\n{trace}" for i in range(20))
    found = events(log)
    assert len(found) == 20
    assert sum(len(event.frames) for event in found) < 500 + 20 * 40
    assert {event.function for event in found} == {"f0"}


def test_line_without_an_end_is_one_line() -> None:
    reader = Reader()
    for _ in range(5):
        reader.feed("x" * 700_000)
    reader.feed("\n" + NULL)
    (event,) = reader.finish()
    assert event.line == 2


def test_time_grows_with_the_length_only() -> None:
    noise = "[    1.000000] usb 1-1: new device, INFO: a word and BUG another\n"

    def cost(lines: int) -> float:
        start = time.process_time()
        events(noise * lines)
        return time.process_time() - start

    cost(1000)
    assert cost(40_000) < 12 * max(cost(10_000), 0.01)


@pytest.mark.parametrize(
    "line",
    [
        "BUG: " + "a" * 200_000,
        "WARNING: " + "[" * 100_000,
        "INFO: task " + "x:" * 50_000 + " blocked",
        "BUG: KASAN: " + "in " * 50_000,
        "[" * 100_000,
        "[<" * 50_000,
        "[" + "9" * 5000 + "." + "9" * 5000 + "] BUG: x",
        "1,2," + "9" * 4090 + ",-;BUG: x",
        "INFO: task a:" + "9" * 4070 + " blocked for more than 1 seconds",
        "a.b" * 50_000 + "+0x1/0x2",
        " from " * 50_000,
    ],
    ids=range(11),
)
def test_long_lines_cost_no_more_than_their_length(line: str) -> None:
    start = time.process_time()
    events(f"kernel BUG at fs/x.c:1!\n{line}\n{line}\n")
    assert time.process_time() - start < 2


@given(
    st.text(
        alphabet=st.sampled_from(
            "\n\r [](){}<>:+0x1aB?#/.,-_WARNING BUG: Call Trace:\x1b\x00\ud800"
        ),
        max_size=400,
    )
)
@settings(max_examples=200, deadline=None)
def test_no_text_raises(noise: str) -> None:
    for event in events(NULL[:200] + noise + ARM64[:100] + noise):
        assert event.line > 0


@given(st.lists(st.sampled_from((NULL + HUNG + ARM64 + S390 + PPC).splitlines()), max_size=80))
@settings(max_examples=100, deadline=None)
def test_lines_in_any_order_give_events_in_order(lines: list[str]) -> None:
    found = events("\n".join(lines))
    assert [event.line for event in found] == sorted(event.line for event in found)
