"""Two logs of one bug have one signature: what differs from boot to boot is in none.

Reports of many kinds and architectures, written from the kernel's own format strings, are told
again with other addresses, offsets, tasks, CPUs, time stamps, releases and compilers' suffixes.
"""

from __future__ import annotations

import itertools
import random
import re

import pytest

from btfdbg.report import events, joins
from btfdbg.report.blame.signature import Signature
from btfdbg.report.logs.log_report import signature

SAMPLES = {
    "NULL dereference in demo_poke": """\
CPU 1 Unable to handle kernel paging request at virtual address 0000000000000008, epc == ffffffff80a1b2c4, ra == ffffffff80a1b2a0
Oops[#1]:
CPU: 1 UID: 0 PID: 95 Comm: sh Tainted: G           O       6.12.1 #1
Hardware name: mti,malta
$ 0   : 0000000000000000 0000000000000001 0000000000000008 0000000000000000
Hi    : 0000000000000000
Lo    : 0000000000000000
epc   : ffffffff80a1b2c4 demo_poke+0x24/0x60
ra    : ffffffff80a1b2a0 demo_poke+0x0/0x60
Status: 1400a4e3	KX SX UX KERNEL EXL IE
Cause : 00800008 (ExcCode 02)
BadVA : 0000000000000008
Process sh (pid: 95, threadinfo=000000003a1b2c3d, task=00000000f1e2d3c4, tls=0000000077a1b2c0)
Stack : 980000000fa1bd00 ffffffff80a1b2a0 0000000000000000 0000000000000000
        ...
Call Trace:
[<ffffffff80a1b2c4>] demo_poke+0x24/0x60
[<ffffffff8064a1b0>] kernfs_fop_write_iter+0x130/0x1c0
[<ffffffff805b1a2c>] vfs_write+0x2ac/0x400
[<ffffffff8010c1d8>] syscall_common+0x34/0x58

Code: 00000000  dc420000  24030001 <fc430008>
---[ end trace 0000000000000000 ]---
""",  # noqa: E501
    "NULL dereference in demo_read [demo]": """\
CPU 2 Unable to handle kernel paging request at virtual address 0000000000000020, era == ffff800002a1b2c4, ra == ffff800002a1b2a0
Oops[#1]:
CPU: 2 UID: 0 PID: 733 Comm: cat Tainted: G           O       6.12.1 #1
Hardware name: Loongson Loongson-3A6000-HV-7A2000-1w-V0.1-EVB, BIOS Loongson-UDK2018-V4.0
pc ffff800002a1b2c4 ra ffff800002a1b2a0 tp 9000000104a1b000 sp 9000000104a1bd00
a0 0000000000000000 a1 0000000000000001 a2 0000000000000000 a3 0000000000000000
   ra: ffff800002a1b2a0 demo_read+0x20/0x60 [demo]
  ERA: ffff800002a1b2c4 demo_read+0x44/0x60 [demo]
 CRMD: 000000b0 (PLV0 -IE -DA +PG DACF=CC DACM=CC -WE)
 PRMD: 00000004 (PPLV0 +PIE -PWE)
ESTAT: 00010000 [PIL] (IS= ECode=1 EsubCode=0)
 BADV: 0000000000000020
 PRID: 0014d000 (Loongson-64bit, Loongson-3A6000-HV)
Modules linked in: demo(O)
Process cat (pid: 733, threadinfo=00000000a1b2c3d4, task=00000000d4c3b2a1)
Stack : 9000000104a1bd00 ffff800002a1b2a0
Call Trace:
[<ffff800002a1b2c4>] demo_read+0x44/0x60 [demo]
[<90000000034a1b2c>] vfs_read+0xb4/0x2e0
[<90000000034a2b3c>] ksys_read+0x70/0x110
[<9000000003a1b2c4>] do_syscall+0x94/0xe0
[<90000000031b1a2c>] handle_syscall+0xb8/0x158

Code: 004081ad  28c00084  (29c08085)
---[ end trace 0000000000000000 ]---
""",  # noqa: E501
    "KFENCE: out-of-bounds read in demo_sum [demo]": """\
==================================================================
BUG: KFENCE: out-of-bounds read in demo_sum+0x3c/0x70 [demo]

Out-of-bounds read at 0xffff8c3f2e9ea00f (1B left of kfence-#72):
 demo_sum+0x3c/0x70 [demo]
 demo_ioctl+0x44/0x90 [demo]
 __x64_sys_ioctl+0x93/0xd0
 do_syscall_64+0x82/0x190
 entry_SYSCALL_64_after_hwframe+0x76/0x7e

kfence-#72: 0xffff8c3f2e9ea010-0xffff8c3f2e9ea02f, size=32, cache=kmalloc-32

allocated by task 484 on cpu 1 at 12.345678s (0.001s ago):
 demo_open+0x33/0x80 [demo]
 do_dentry_open+0x1aa/0x3f0

CPU: 1 UID: 0 PID: 484 Comm: test Tainted: G           O       6.12.1 #1
Hardware name: QEMU
==================================================================
""",
    "lockdep: possible deadlock in demo_ab [demo]": """\
======================================================
WARNING: possible circular locking dependency detected
6.12.1 #1 Tainted: G           O
------------------------------------------------------
test/812 is trying to acquire lock:
ffff888012345678 (&demo_b){+.+.}-{3:3}, at: demo_ab+0x3c/0x80 [demo]

but task is already holding lock:
ffff888012345600 (&demo_a){+.+.}-{3:3}, at: demo_ab+0x1c/0x80 [demo]

which lock already depends on the new lock.


the existing dependency chain (in reverse order) is:

-> #1 (&demo_a){+.+.}-{3:3}:
       __mutex_lock+0xaf/0xe80
       demo_ba+0x3c/0x80 [demo]
       demo_store+0x2c/0x50 [demo]

-> #0 (&demo_b){+.+.}-{3:3}:
       __lock_acquire+0x1461/0x2290
       lock_acquire+0xd3/0x310
       __mutex_lock+0xaf/0xe80
       demo_ab+0x3c/0x80 [demo]

other info that might help us debug this:

 Possible unsafe locking scenario:

       CPU0                    CPU1
       ----                    ----
  lock(&demo_a);
                               lock(&demo_b);
                               lock(&demo_a);
  lock(&demo_b);

 *** DEADLOCK ***

1 lock held by test/812:
 #0: ffff888012345600 (&demo_a){+.+.}-{3:3}, at: demo_ab+0x1c/0x80 [demo]

stack backtrace:
CPU: 1 UID: 0 PID: 812 Comm: test Tainted: G           O       6.12.1 #1
Call Trace:
 <TASK>
 dump_stack_lvl+0x5d/0x80
 print_circular_bug.cold+0x178/0x1be
 check_noncircular+0x130/0x150
 __lock_acquire+0x1461/0x2290
 lock_acquire+0xd3/0x310
 __mutex_lock+0xaf/0xe80
 demo_ab+0x3c/0x80 [demo]
 </TASK>
""",
    "lockdep: possible deadlock in demo_timer [demo]": """\
========================================================
WARNING: possible irq lock inversion dependency detected
6.12.1 #1 Tainted: G           O
--------------------------------------------------------
swapper/1/0 just changed the state of lock:
ffff888012345678 (&demo_lock){..-.}-{2:2}, at: demo_timer+0x1c/0x60 [demo]
but this lock took another, SOFTIRQ-unsafe lock in the past:
 (&demo_other){+.+.}-{2:2}


and interrupts could create inverse lock ordering between them.


other info that might help us debug this:
 Possible interrupt unsafe locking scenario:

       CPU0                    CPU1
       ----                    ----
  lock(&demo_other);
                               local_irq_disable();

 *** DEADLOCK ***

1 lock held by swapper/1/0:
 #0: ffffc90000a1bee0 ((&demo_tl)){+.-.}-{0:0}, at: call_timer_fn+0xcf/0x4d0

the shortest dependencies between 2nd lock and 1st lock:
 -> (&demo_other){+.+.}-{2:2} {
    HARDIRQ-ON-W at:
                      lock_acquire+0xd3/0x310
                      _raw_spin_lock+0x33/0x80
                      demo_take+0x1c/0x60 [demo]
 }
 ... key      at: [<ffffffffc0a1b2c0>] __key.0+0x0/0x40 [demo]
 ... acquired at:
   _raw_spin_lock+0x33/0x80
   demo_both+0x2c/0x60 [demo]

stack backtrace:
CPU: 1 UID: 0 PID: 0 Comm: swapper/1 Tainted: G           O       6.12.1 #1
Call Trace:
 <IRQ>
 dump_stack_lvl+0x5d/0x80
 mark_lock_irq.cold+0x39/0x62
 mark_lock.part.0+0x1a1/0x300
 __lock_acquire+0x89d/0x2290
 lock_acquire+0xd3/0x310
 _raw_spin_lock+0x33/0x80
 demo_timer+0x1c/0x60 [demo]
 call_timer_fn+0xcf/0x4d0
 </IRQ>
""",
    "refcount bug in demo_get [demo]": """\
------------[ cut here ]------------
refcount_t: addition on 0; use-after-free.
WARNING: CPU: 1 PID: 555 at lib/refcount.c:25 refcount_warn_saturate+0x74/0x110
Modules linked in: demo(O)
CPU: 1 UID: 0 PID: 555 Comm: test Tainted: G           O       6.12.1 #1
RIP: 0010:refcount_warn_saturate+0x74/0x110
Call Trace:
 <TASK>
 ? __warn.cold+0x93/0xf6
 demo_get.constprop.0+0x33/0x40 [demo]
 demo_open+0x22/0x50 [demo]
 do_dentry_open+0x1aa/0x3f0
 </TASK>
---[ end trace 0000000000000000 ]---
""",
    "RCU stall in demo_thread [demo]": """\
rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 2-...D } 21003 jiffies s: 421 root: 0x4/.
rcu: blocking rcu_node structures (internal RCU debug):
Sending NMI from CPU 0 to CPUs 2:
NMI backtrace for cpu 2
CPU: 2 UID: 0 PID: 441 Comm: test Tainted: G           O       6.12.1 #1
RIP: 0010:demo_spin+0x1a/0x30 [demo]
Call Trace:
 <NMI>
 ? nmi_cpu_backtrace+0x8b/0xf0
 </NMI>
 <TASK>
 demo_loop+0x2c/0x50 [demo]
 demo_thread+0x1c/0x40 [demo]
 kthread+0xd2/0x100
 </TASK>
""",  # noqa: E501
    "hung task in demo_lock_both [demo]": """\
INFO: task test:520 blocked for more than 122 seconds.
      Tainted: G           O       6.12.1 #1
"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.
task:test            state:D stack:0     pid:520   tgid:520   ppid:1      task_flags:0x400100 flags:0x00000002
Call Trace:
 <TASK>
 __schedule+0x3f1/0xb40
 schedule+0x27/0xf0
 schedule_preempt_disabled+0x15/0x30
 __mutex_lock.constprop.0+0x341/0x6d0
 demo_lock_both+0x2c/0x50 [demo]
 demo_ioctl+0x44/0x90 [demo]
 __x64_sys_ioctl+0x93/0xd0
 </TASK>
INFO: task test:520 is blocked on a mutex likely owned by task test:519.
""",  # noqa: E501
    "page allocation failure in demo_buffer [demo]": """\
test: page allocation failure: order:9, mode:0x40dc0(GFP_KERNEL|__GFP_COMP|__GFP_ZERO), nodemask=(null),cpuset=/,mems_allowed=0
CPU: 1 UID: 0 PID: 610 Comm: test Tainted: G           O       6.12.1 #1
Call Trace:
 <TASK>
 dump_stack_lvl+0x5d/0x80
 warn_alloc+0x165/0x1e0
 __alloc_pages_slowpath.constprop.0+0xcd1/0xe00
 __alloc_pages_noprof+0x31f/0x350
 ___kmalloc_large_node+0x7f/0x110
 __kmalloc_noprof+0x2d1/0x4a0
 demo_buffer+0x2c/0x50 [demo]
 demo_open+0x22/0x50 [demo]
 </TASK>
Mem-Info:
active_anon:123 inactive_anon:456 isolated_anon:0
""",  # noqa: E501
    "stack overflow in demo_recurse [demo]": """\
BUG: TASK stack guard page was hit at ffffc90000a1bff8 (stack is ffffc90000a1c000..ffffc90000a20000)
Oops: stack guard page: 0000 [#1] PREEMPT SMP NOPTI
CPU: 1 UID: 0 PID: 630 Comm: test Tainted: G           O       6.12.1 #1
RIP: 0010:demo_recurse+0x5/0x40 [demo]
Call Trace:
 <TASK>
 demo_recurse+0x2a/0x40 [demo]
 demo_recurse+0x2a/0x40 [demo]
 demo_recurse+0x2a/0x40 [demo]
 demo_recurse+0x2a/0x40 [demo]
 demo_store+0x2c/0x50 [demo]
 </TASK>
Kernel panic - not syncing: Fatal exception in interrupt
""",
    "slab corruption: Right Redzone overwritten in demo_release [demo]": """\
=============================================================================
BUG kmalloc-64 (Tainted: G           O      ): Right Redzone overwritten
-----------------------------------------------------------------------------

0xffff888012345678-0xffff88801234567f @offset=1656. First byte 0x41 instead of 0xcc
Allocated in demo_open+0x22/0x50 [demo] age=120 cpu=1 pid=750
 kmalloc_noprof+0x1c0/0x300
 demo_open+0x22/0x50 [demo]
Slab 0xffffea0000a1b2c0 objects=32 used=12 fp=0xffff888012345000 flags=0x200(workingset|node=0|zone=1)
Object 0xffff888012345640 @offset=1600 fp=0x0000000000000000

CPU: 1 UID: 0 PID: 751 Comm: test Tainted: G           O       6.12.1 #1
Call Trace:
 <TASK>
 dump_stack_lvl+0x5d/0x80
 check_bytes_and_report.cold+0x46/0x5e
 check_object+0x1a1/0x2e0
 free_to_partial_list+0x1b1/0x5e0
 kfree+0x2a1/0x310
 demo_release+0x2c/0x60 [demo]
 </TASK>
FIX kmalloc-64: Restoring Right Redzone 0xffff888012345678-0xffff88801234567f=0xcc
""",  # noqa: E501
    "WARNING in demo_check [demo]": """\
------------[ cut here ]------------
[demo] count is 3
WARNING: drivers/demo/demo.c:99 at demo_check+0x2c/0x60 [demo], CPU#1: test/690
Modules linked in: demo(O)
CPU: 1 UID: 0 PID: 690 Comm: test Tainted: G           O       7.2.1 #1 PREEMPT(lazy)
RIP: 0010:demo_check+0x2c/0x60 [demo]
Call Trace:
 <TASK>
 demo_ioctl+0x44/0x90 [demo]
 </TASK>
---[ end trace 0000000000000000 ]---
""",
    "NULL dereference in demo_get [demo]": """\
BUG: kernel NULL pointer dereference, address: 00000008
#PF: supervisor read access in kernel mode
#PF: error_code(0x0000) - not-present page
*pde = 00000000
Oops: Oops: 0000 [#1] PREEMPT SMP
CPU: 0 UID: 0 PID: 99 Comm: sh Tainted: G           O       6.12.1 #1
Hardware name: QEMU Standard PC (i440FX + PIIX, 1996), BIOS 1.16.2 04/01/2014
EIP: demo_get+0x12/0x30 [demo]
Code: 55 89 e5 8b 40 04 8b 40 08
EAX: 00000000 EBX: c3a1b2c0 ECX: 00000000 EDX: 00000001
ESI: c3a1b2d0 EDI: 00000000 EBP: c3a1bef0 ESP: c3a1beec
DS: 007b ES: 007b FS: 00d8 GS: 0033 SS: 0068 EFLAGS: 00010246
CR0: 80050033 CR2: 00000008 CR3: 03a1b000 CR4: 000006d0
Call Trace:
 ? show_regs+0x50/0x58
 demo_show+0x1a/0x40 [demo]
 module_attr_show+0x15/0x20
 sysfs_kf_seq_show+0x8e/0xe0
 __ia32_sys_read+0x15/0x20
 do_int80_syscall_32+0x70/0xb0
 entry_INT80_32+0xf0/0xf0
EIP: 0xb7f1a2c5
""",
    "file system error: EXT4 in ext4_lookup": """\
EXT4-fs error (device sda1): ext4_lookup:1787: inode #131073: comm ls: deleted inode referenced: 131999
Aborting journal on device sda1-8.
EXT4-fs (sda1): Remounting filesystem read-only
""",  # noqa: E501
    "file system error: XFS in xfs_btree_lookup": """\
XFS (sdb1): Internal error !xfs_valid at line 211 of file fs/xfs/libxfs/xfs_btree.c.  Caller xfs_btree_lookup+0x12a/0x4b0 [xfs]
CPU: 1 UID: 0 PID: 650 Comm: test Not tainted 6.12.1 #1
Call Trace:
 <TASK>
 dump_stack_lvl+0x5d/0x80
 xfs_corruption_error+0x81/0x90 [xfs]
 xfs_btree_lookup+0x3c1/0x4b0 [xfs]
 xfs_alloc_ag_vextent_near+0x90/0x4f0 [xfs]
 </TASK>
XFS (sdb1): Corruption detected. Unmount and run xfs_repair
""",  # noqa: E501
}  # fmt: skip
SUFFIXES = (".constprop.0", ".isra.0", ".part.0", ".cold", ".llvm.123456", ".constprop.0.isra.0")
ADDRESS = re.compile(r"\b(?!0{8})(?!dead0)([0-9a-f]{12,16})\b")
OFFSET = re.compile(r"\+0x([0-9a-f]+)/0x([0-9a-f]+)")


def found(text: str) -> Signature:
    return signature(events(text + "\n\nend of the log\n")[0])


def again(text: str, how: random.Random) -> str:
    """The same bug on another machine, another day."""
    text = ADDRESS.sub(lambda m: m[1][:4] + "".join(how.choices("0123456789abcdef", k=8)), text)
    text = OFFSET.sub(
        lambda m: f"+{int(m[1], 16) + how.randint(0, 9):#x}/{int(m[2], 16) + 64:#x}", text
    )
    text = re.sub(r"(PID: |pid=|[tp]g?id:|test[/:]|cat[/:])(\d{3,})", r"\g<1>7\2", text)
    text = re.sub(r"(CPU: |cpu |CPU#)\d", r"\g<1>9", text).replace("6.12.1", "6.12.44-9-generic")
    for name in sorted(set(re.findall(r"\bdemo_\w+(?=\+0x)", text))):
        if how.random() < 0.5:
            text = re.sub(rf"\b{name}(?=\+0x)", name + how.choice(SUFFIXES), text)
    if how.random() < 0.5:
        lines = text.splitlines()
        text = "".join(f"[{50 + n / 1e4:12.6f}][  T100] {line}\n" for n, line in enumerate(lines))
    return text


@pytest.mark.parametrize("title", SAMPLES)
def test_a_report_has_the_title_that_a_person_would_give_it(title: str) -> None:
    assert found(SAMPLES[title]).title == title


@pytest.mark.parametrize("title", SAMPLES)
def test_one_bug_twice_has_one_signature(title: str) -> None:
    first = found(SAMPLES[title])
    how = random.Random(title)
    for _ in range(25):
        text = again(SAMPLES[title], how)
        other = found(text)
        assert (other.title, other.stack_hash) == (first.title, first.stack_hash), text


def test_two_bugs_have_two() -> None:
    signatures = [found(text) for text in SAMPLES.values()]
    for one, other in itertools.combinations(signatures, 2):
        assert one.stack_hash != other.stack_hash or not one.stack_hash
        assert not joins(one, other)


@pytest.mark.parametrize("title", [t for t in SAMPLES if " in demo_" in t])
def test_the_same_kind_elsewhere_is_another_bug(title: str) -> None:
    elsewhere = found(SAMPLES[title].replace("demo_", "other_"))
    assert not joins(found(SAMPLES[title]), elsewhere)


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ("EXT4-fs error (device sda1) in ext4_do_update_inode:5100: Journal has aborted",
         "EXT4 in ext4_do_update_inode"),
        ("XFS (dm-0): Corruption of in-memory data (0x8) detected at xfs_defer_finish+0x3f1/0x680"
         " [xfs] (fs/xfs/libxfs/xfs_defer.c:573).  Shutting down filesystem.",
         "XFS in xfs_defer_finish"),
        ("BTRFS: error (device sdc1) in btrfs_commit_transaction:2340: errno=-28 No space left",
         "Btrfs in btrfs_commit_transaction"),
    ],
)  # fmt: skip
def test_a_file_system_that_gives_up_is_named(line: str, detail: str) -> None:
    [event] = events(line)
    assert (event.kind, event.detail) == ("file-system-error", detail)


@pytest.mark.parametrize(
    "line",
    [
        "EXT4-fs (sda1): mounted filesystem 1234 r/w with ordered data mode. Quota mode: none.",
        "XFS (dm-0): User initiated shutdown received.",
        "XFS (dm-0): User initiated shutdown (0x4) detected at xfs_fs_goingdown+0x5/0x9 [xfs]",
        "XFS (sda1): xfs_do_force_shutdown(0x4) called from line 9 of file a.c. Return address = 0",
        "XFS (dm-0): Ending clean mount",
        "BTRFS info (device sdc1): using crc32c (crc32c-intel) checksum algorithm",
        "BTRFS warning (device sdc1): csum failed root 5 ino 257 off 0 csum 0x1 expected 0x2",
    ],
)
def test_what_a_file_system_says_by_the_way_is_no_report(line: str) -> None:
    assert events(line) == []
