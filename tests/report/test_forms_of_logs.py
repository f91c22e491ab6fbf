"""Forms of reports that tools, older kernels and CPUs that print at once bring about."""

from __future__ import annotations

import pytest

from btfdbg.report import events
from btfdbg.report.logs.headers import HEADERS, Header
from btfdbg.report.severity import main_event

INTERRUPTED = """\
[   85.100000] BUG: unable to handle kernel paging request at ffffffff0001eea6
[   85.103000] ==================================================================
[   85.103100] BUG: KASAN: use-after-free in demo_join+0x7c/0xa0
[   85.103200] Read of size 8 at addr ffff8801d92ca840 by task one/13991
[   85.103300] CPU: 0 PID: 13991 Comm: one Not tainted 4.15.0 #97
[   85.103400] Call Trace:
[   85.103500]  kasan_report+0x23b/0x360
[   85.103600]  demo_join+0x7c/0xa0
[   85.103700] ==================================================================
[   85.103800] Kernel panic - not syncing: panic_on_warn set ...
[   {at}] IP: demo_release+0x1e/0x90
[   {at}] Oops: 0002 [#1] SMP KASAN
[   {at}] CPU: 1 PID: 13996 Comm: two Tainted: G    B            4.15.0 #97
[   {at}] RIP: 0010:demo_release+0x1e/0x90
[   {at}] Call Trace:
[   {at}]  demo_send+0x1bb/0x2c0
[   {at}] ---[ end trace 0000000000000000 ]---
"""


def test_fault_goes_on_after_another_cpus_report_came_between_its_lines() -> None:
    found = events(INTERRUPTED.format(at="85.500000"))
    assert [event.title for event in found] == [
        "bad access in demo_release",
        "KASAN: use-after-free read in demo_join",
    ]
    fault, kasan = found
    assert (fault.comm, fault.cpu) == ("two", 1)
    assert kasan.comm == "one"
    # both CPUs failed on their own; the first of faults at once gives the crash its name
    assert main_event(found) is fault


def test_fault_much_later_is_one_of_its_own() -> None:
    found = events(INTERRUPTED.format(at="95.500000"))
    assert [event.function for event in found] == [None, "demo_join", "demo_release"]


DECODED = """\
BUG: KASAN: null-ptr-deref in instrument_atomic_write include/linux/instrumented.h:87 [inline]
BUG: KASAN: null-ptr-deref in refcount_dec_and_test include/linux/refcount.h:272 [inline]
BUG: KASAN: null-ptr-deref in demo_put+0x5d/0x200 fs/demo.c:12
Write of size 4 at addr 0000000000000388 by task demo/1234
CPU: 1 UID: 0 PID: 1234 Comm: demo Not tainted 6.9.0 #1
Call Trace:
 <TASK>
 __dump_stack lib/dump_stack.c:88 [inline]
 dump_stack_lvl+0x116/0x1f0 lib/dump_stack.c:114
 kasan_report+0xd9/0x110 mm/kasan/report.c:601
 kasan_check_range+0xef/0x1a0 mm/kasan/generic.c:189
 demo_put+0x5d/0x200 fs/demo.c:12
 </TASK>
"""


def test_inlined_callees_of_a_decoded_header_are_no_reports_of_their_own() -> None:
    [event] = events(DECODED)
    assert event.title == "KASAN: null-ptr-deref write in demo_put"
    assert "demo_put+0x5d" in event.message


UNLOCK = """\
WARNING: bad unlock balance detected!
6.8.0 #0 Not tainted
demo/5001 is trying to release lock (&q->lock) at:
{place}but there are no more locks to release!
stack backtrace:
CPU: 1 PID: 5001 Comm: demo Not tainted 6.8.0 #0
Call Trace:
 lock_release+0x5e8/0x800
 demo_stop+0xe1/0x160
"""


@pytest.mark.parametrize(
    "place",
    [
        "[<ffffffff8600b4a1>] demo_stop+0xe1/0x160\n",
        "[<ffffffff8600b4a1>] demo_stop+0xe1/0x160 net/demo.c:12\n",
        "demo_stop net/demo.c:12\n",
        "",
    ],
)
def test_lockdeps_stack_is_read_whatever_became_of_the_locks_place(place: str) -> None:
    [event] = events(UNLOCK.format(place=place))
    assert event.title == "lockdep: bad unlock balance in demo_stop"


OWNER = """\
BUG: Bad page state in process demo  pfn:12345
page: refcount:0 mapcount:-128 mapping:0000000000000000 index:0x0 pfn:0x12345
page dumped because: nonzero mapcount
page_owner tracks the page as allocated
page last allocated via order 0, migratetype Unmovable, gfp_mask 0xcc0, pid 1, ts 1
 post_alloc_hook+0x1/0x2
 __alloc_pages_noprof+0x1/0x2
 demo_owner+0x1/0x2
page last free pid 1 tgid 1 stack trace:
 free_unref_page+0x1/0x2
 demo_before+0x1/0x2
Modules linked in:
CPU: 0 PID: 12 Comm: demo Not tainted 6.8.0 #0
Call Trace:
 bad_page+0x1/0x2
 get_page_from_freelist+0x1/0x2
 demo_next+0x1/0x2
"""


def test_bad_page_is_its_owners_not_that_of_who_met_it() -> None:
    [event] = events(OWNER)
    assert event.title == "bad page in demo_owner"
    assert "demo_before" not in {frame.name for frame in event.frames}
    without = [line for line in OWNER.splitlines() if "_owner" not in line and "last" not in line]
    without = [line for line in without if "_hook" not in line and "noprof" not in line]
    without = [line for line in without if "free_unref" not in line and "before" not in line]
    [event] = events("\n".join(without))
    assert event.title == "bad page in demo_next"


STARVED = """\
INFO: rcu_sched self-detected stall on CPU
\t1-...!: (124999 ticks this GP) idle=9f2/1/4611686018427387906 softirq=1/2 fqs=0
\t (t=125000 jiffies g=1 c=2 q=3)
rcu_sched kthread starved for 125000 jiffies! g1 c2 f0x2 RCU_GP_WAIT_FQS(3) ->state=0x0 ->cpu=0
rcu_sched       R  running task    23896     8      2 0x80000000
Call Trace:
 __schedule+0x801/0x1e30
 schedule+0xef/0x430
 rcu_gp_kthread+0x9e4/0x1820
 kthread+0x345/0x410
NMI backtrace for cpu 1
CPU: 1 PID: 4500 Comm: demo Not tainted 4.16.0 #1
Call Trace:
 <IRQ>
 rcu_dump_cpu_stacks+0x175/0x1c2
 rcu_check_callbacks+0x21b/0xad0
 update_process_times+0x2d/0x70
 hrtimer_interrupt+0x2f3/0x750
 smp_apic_timer_interrupt+0x15d/0x710
 apic_timer_interrupt+0xf/0x20
 </IRQ>
RIP: 0010:demo_spin+0x1/0x2
 demo_inner+0x1/0x2
 demo_ioctl+0x1/0x2
 do_vfs_ioctl+0x1cf/0x16a0
"""


def test_thread_that_a_stall_starves_is_not_to_blame() -> None:
    [event] = events(STARVED)
    assert event.title == "RCU stall in demo_ioctl"


LEAKED = """\
BUG: workqueue leaked atomic, lock or RCU: kworker/0:1[12]
     preempt=0x00000000 lock=0->1 RCU=0->0 workfn=demo_work
1 lock held by kworker/0:1/12:
 #0: ffff888000000000 (x){+.+.}-{3:3}, at: demo_other+0x1/0x2
CPU: 1 PID: 12 Comm: kworker/0:1 Not tainted 6.12.0 #0
Call Trace:
 dump_stack_lvl+0x1/0x2
 process_one_work.cold+0x1/0x2
"""


def test_work_item_that_leaks_a_lock_is_named_by_the_message() -> None:
    [event] = events(LEAKED)
    assert event.function == "demo_work"


FORTIFY = """\
detected buffer overflow in memcpy
------------[ cut here ]------------
kernel BUG at lib/string.c:1143!
invalid opcode: 0000 [#1] SMP
CPU: 1 PID: 12 Comm: demo Not tainted 5.8.0 #0
RIP: 0010:fortify_panic+0x1/0x2
Call Trace:
 demo_copy+0x1/0x2
"""


def test_bug_of_a_fortified_function() -> None:
    [event] = events(FORTIFY)
    assert event.title == "buffer overflow detected in demo_copy"


OOM = "[{0:5}.000000][  T544] demo invoked oom-killer: gfp_mask=0xcc0, order=0\n"
KILL = (
    "[{0:5}.{1}00000][  T544] Memory cgroup out of memory: Killed process {2} (demo) total-vm:9kB\n"
)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (OOM.format(10) + KILL.format(10, 1, 546), [(1, 2)]),
        (
            OOM.format(10) + KILL.format(10, 1, 546) + OOM.format(20) + KILL.format(20, 1, 545),
            [(1, 2), (3, 4)],
        ),
        (OOM.format(10) + OOM.format(11), [(1, 1), (2, 2)]),
        # a table of tasks on a slow console, then two of one group: one report
        (OOM.format(10) + KILL.format(99, 1, 546) + KILL.format(99, 2, 545), [(1, 3)]),
        # the kernel leaves out the head of what comes too often
        (OOM.format(10) + KILL.format(10, 1, 546) + KILL.format(20, 1, 545), [(1, 2), (3, 3)]),
    ],
    ids=["one", "two", "heads", "group", "without-head"],
)
def test_a_task_out_of_memory_again_is_another_report(
    text: str, lines: list[tuple[int, int]]
) -> None:
    found = events(text)
    assert [(event.line, event.last_line) for event in found] == lines
    assert {event.kind for event in found} == {"out-of-memory"}


@pytest.mark.parametrize("row", HEADERS, ids=lambda row: f"{row.kind}-{row.sample[:20]}")
def test_head_much_later_by_the_same_task_begins_another_report(row: Header) -> None:
    text = "".join(f"[{at:5}.000000][  T544] {row.sample}\n" for at in (10, 4000, 1))
    assert [event.line for event in events(text)] == [1, 2, 3]  # the third after a new boot


def test_hardware_errors_at_once_are_one_report() -> None:
    text = """\
[   10.000000][    C1] mce: [Hardware Error]: CPU 1: Machine Check Exception: 5 Bank 6: be00
[   10.000100][    C1] mce: [Hardware Error]: TSC 1234 ADDR 5678
[   20.000000][    C1] mce: [Hardware Error]: CPU 1: Machine Check Exception: 5 Bank 6: be00
[   20.000100][    C1] mce: [Hardware Error]: TSC 1234 ADDR 5678
"""
    assert [(event.line, event.last_line) for event in events(text)] == [(1, 2), (3, 4)]
