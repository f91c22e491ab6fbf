"""Whole families of functions and of log formats: what is machinery, on stacks of our own.

Each row is a stack as a kernel would have it, with the function that is to blame in ``<>``.
"""

from __future__ import annotations

import pytest

from btfdbg.report import events
from btfdbg.report.blame.choice import choose
from btfdbg.report.event import Frame
from btfdbg.report.severity import main_event

STACKS = (
    # ---- locks, counts, lists, strings: their caller is to blame
    ("warning", "refcount_warn_saturate <demo_put> demo_release __fput"),
    ("warning", "kref_get_unless_zero <demo_get> demo_open chrdev_open"),
    ("bug", "__list_del_entry_valid_or_report list_lru_del <demo_drop>"),
    ("bug", "rb_erase_cached <demo>"),
    ("list-corruption", "vectors __delay __const_udelay vpanic panic die bug_brk_handler "
     "do_el1_brk64 el1_brk64 el1h_64_sync_handler el1h_64_sync "
     "__list_del_entry_valid_or_report <demo_drop> demo_run"),
    ("null-dereference", "rb_insert_color <demo_insert> demo_ioctl"),
    ("null-dereference", "rwsem_mark_wake rwsem_wake up_write <demo_unlock>"),
    ("null-dereference", "__ww_mutex_lock.constprop.0 ww_mutex_lock <demo_reserve>"),
    ("null-dereference", "mark_wakeup_next_waiter rt_mutex_slowunlock <demo_pi>"),
    ("null-dereference", "__percpu_down_read cpus_read_lock <demo_hotplug>"),
    ("bad-access", "memcpy_erms <demo_copy> demo_read vfs_read"),
    ("bad-access", "__pi_memcpy <demo_copy> demo_read vfs_read"),
    ("bad-access", "strnlen string vsnprintf vscnprintf vprintk_store vprintk_emit _printk <demo>"),
    ("bad-access", "strscpy sized_strscpy <demo_name>"),
    ("bad-access", "copyout _copy_to_iter copy_page_to_iter <demo_read_iter> vfs_read"),
    ("bad-access", "rep_movs_alternative _copy_to_user simple_read_from_buffer <demo_read>"),
    ("bad-access", "crc32_le_base crc32c <demo_checksum>"),
    ("bad-access", "LZ4_decompress_safe <demo_decompress>"),
    # ---- memory
    ("bug", "__slab_free kmem_cache_free <demo_free>"),
    ("bug", "check_slab alloc_debug_processing ___slab_alloc kmem_cache_alloc_noprof <demo_new>"),
    ("warning", "__alloc_frozen_pages_noprof alloc_pages_mpol ___kmalloc_large_node <demo_alloc>"),
    ("warning", "__kvmalloc_node_noprof kvmemdup <demo_alloc>"),
    ("warning", "remove_vm_area vfree <demo_free>"),
    ("null-dereference", "dma_direct_map_sg dma_map_sg_attrs <demo_dma>"),
    ("null-dereference", "gen_pool_free_owner <demo_free>"),
    # ---- timers, work, waiting
    ("null-dereference", "__queue_work queue_work_on <demo_kick>"),
    ("null-dereference", "__mod_timer add_timer <demo_arm>"),
    ("null-dereference", "kthread_queue_delayed_work <demo_kick>"),
    ("null-dereference", "swake_up_locked complete <demo_done>"),
    ("null-dereference", "free_irq devm_free_irq <demo>"),
    ("atomic-sleep", "__might_resched down_read <demo_walk>"),
    ("atomic-sleep", "__schedule_bug __schedule schedule schedule_timeout msleep <demo_reset>"),
    ("hung-task", "__schedule schedule rcu_barrier srcu_barrier <demo_exit>"),
    ("hung-task", "__schedule schedule schedule_timeout wait_for_completion __flush_work "
     "cancel_work_sync <demo_stop>"),
    ("hung-task", "__schedule io_schedule folio_wait_bit_common <demo_sync>"),
    # ---- the device model works for the driver
    ("null-dereference", "kernfs_remove_by_name_ns sysfs_remove_file_ns device_del <demo_unbind>"),
    ("null-dereference", "kobject_put put_device device_unregister <demo_remove>"),
    ("warning", "kobject_add_internal kobject_add device_add cdev_device_add <demo_probe>"),
    ("warning", "usb_submit_urb usb_start_wait_urb usb_control_msg <demo_probe>"),
    ("null-dereference", "__raw_readl regmap_mmio_read32le regmap_read <demo_reg>"),
    ("warning", "remove_proc_entry proc_remove <demo_exit>"),
    # ---- a subsystem's own way to a BUG, tracing, hardening
    ("bug", "btrfs_assertfail <demo_commit>"),
    ("null-dereference", "perf_callchain_kernel get_perf_callchain perf_callchain "
     "perf_prepare_sample perf_event_output_forward __perf_event_overflow <demo>"),
    ("usercopy", "usercopy_abort __check_heap_object __check_object_size <demo_ioctl>"),
    # ---- what looks like machinery and is not
    ("null-dereference", "<writeback_single_inode> writeback_sb_inodes wb_writeback"),
    ("warning", "<page_pool_release_retry> process_one_work"),
    ("null-dereference", "<rht_deferred_worker> process_one_work worker_thread"),
    ("null-dereference", "<pm_runtime_work> process_one_work worker_thread"),
    ("null-dereference", "<readlink_copy> vfs_readlink"),
    ("null-dereference", "<devm_cxl_add_port> demo"),
    ("null-dereference", "<process_one_work> worker_thread kthread"),
    ("null-dereference", "<__fput> task_work_run"),
    ("null-dereference", "<timerqueue_del> __remove_hrtimer"),
    # ---- stalls: the operation that a dispatcher called
    ("soft-lockup", "native_queued_spin_lock_slowpath _raw_spin_lock a b <demo_ioctl> "
     "__x64_sys_ioctl do_syscall_64"),
    ("rcu-stall", "rcu_dump_cpu_stacks rcu_sched_clock_irq update_process_times tick_nohz_handler "
     "__hrtimer_run_queues hrtimer_interrupt sysvec_apic_timer_interrupt "
     "asm_sysvec_apic_timer_interrupt a b <demo_timer> call_timer_fn run_timer_softirq "
     "handle_softirqs"),
    ("rcu-stall", "a b <demo_work> process_one_work worker_thread kthread ret_from_fork"),
    ("rcu-stall", "a <__arm64_sys_unlinkat> invoke_syscall el0_svc_common do_el0_svc el0_svc"),
    ("rcu-stall", "a <__riscv_sys_read> do_trap_ecall_u handle_exception"),
    ("rcu-stall", "a <sys_read> system_call_exception system_call_common"),
    # a timer's callback that another CPU looked at is no tick that noticed the stall
    ("rcu-stall", "a <demo_timer> __run_hrtimer __hrtimer_run_queues hrtimer_interrupt "
     "sysvec_apic_timer_interrupt asm_sysvec_apic_timer_interrupt b do_syscall_64"),
    ("rcu-stall", "a <ip_rcv> __netif_receive_skb process_backlog __napi_poll net_rx_action"),
    ("rcu-stall", "a <ipv6_rcv> netif_receive_skb_internal napi_gro_receive demo_poll napi_poll"),
    ("rcu-stall", "a <demo_recvmsg> sock_recvmsg ____sys_recvmsg __sys_recvmsg do_syscall_64"),
    ("rcu-stall", "rcu_dump_cpu_stacks rcu_sched_clock_irq update_process_times tick_sched_timer "
     "__hrtimer_run_queues hrtimer_interrupt xen_timer_interrupt __handle_irq_event_percpu "
     "xen_evtchn_do_upcall xen_do_hypervisor_callback a <demo_ioctl> do_vfs_ioctl"),
    # ---- reporters of one architecture or check
    ("kasan", "kasan_report report_tag_fault do_tag_check_fault do_mem_abort el1_abort "
     "el1h_64_sync_handler el1h_64_sync <demo_ioctl> __arm64_sys_ioctl"),
    ("divide-error", "dump_stack_lvl __div0 Ldiv0 <demo_scale> demo"),
    ("bad-page", "print_bad_pte <demo_unmap> zap_pte_range"),
    ("warning", "sysfs_remove_groups device_remove_attrs device_del <demo_remove>"),
)  # fmt: skip


@pytest.mark.parametrize(("kind", "stack"), STACKS, ids=[row[1][:60] for row in STACKS])
def test_function_to_blame(kind: str, stack: str) -> None:
    frames = [Frame(name.strip("<>")) for name in stack.split()]
    wanted = next(name.strip("<>") for name in stack.split() if name.startswith("<"))
    choice = choose(kind, frames)
    assert choice.frame is not None
    assert choice.frame.name == wanted, [(r.frame.name, r.rule) for r in choice.reasons]


OOPS = """\
BUG: kernel NULL pointer dereference, address: 0000000000000000
#PF: supervisor read access in kernel mode
Oops: 0000 [#1] PREEMPT SMP NOPTI
CPU: 3 PID: 999 Comm: demo Not tainted 5.15.0-88-generic #98-Ubuntu
RIP: 0010:demo_fault+0x11/0x30
Call Trace:
 <TASK>
 ? show_regs+0x1/0x2
 demo_caller+0x11/0x30
 </TASK>"""

PREFIXES = (
    "", "[   12.345678] ", "<1>[   12.345678] ", "[   12.345678][   T12] ", "[  T123] ",
    "[  +0.000012] ", "[Nov30 01:02] ", "[   12.345678 <    0.000012>] ",
    "[Mon Nov 30 01:02:03 2026] ", "[Mon Nov 30 01:02:03 UTC 2026] ",
    "2026-11-30T01:02:03.123456789Z [   12.345678] ",
    "[2026-11-30 01:02:03] [   12.345678][  T12] ",
    "kernel: ", "[   12.345678] <1>", "kern  :alert : [   12.345678] ",
    "1,123,12345678,-,caller=T12;", "2026-11-30T01:02:03,123456+00:00 ",
    "2026-11-30T01:02:03+0000 web1 kernel: ", "Nov 30 01:02:03 web1 kernel: ",
    "Nov 30 01:02:03 kernel: [   12.345678] ",
    "Mon Nov 30 01:02:03 2026 kern.alert kernel: [   12.345678] ",
    "Nov 30 01:02:03 web1 kernel: [   12.345678] ", "[   12.345678]  (3)[123:cat]",
)  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefix_of_every_console_and_logger(prefix: str) -> None:
    text = "\n".join(prefix + line for line in OOPS.splitlines())
    assert [event.title for event in events(text)] == ["NULL dereference in demo_fault"]


REGISTERS = {
    "riscv": """\
Unable to handle kernel NULL pointer dereference at virtual address 0000000000000010
Oops [#1]
CPU: 0 PID: 88 Comm: insmod Tainted: G           O       6.6.0 #1
epc : demo_fault+0x1c/0x1000 [demo]
 ra : do_one_initcall+0x5c/0x1a8
epc : ffffffff01a8201c ra : ffffffff80002058 sp : ff20000000b2bc40
[<ffffffff01a8201c>] demo_fault+0x1c/0x1000 [demo]
[<ffffffff80002058>] do_one_initcall+0x5c/0x1a8
""",
    "powerpc": """\
Kernel attempted to read user page (8) - exploit attempt? (uid: 0)
BUG: Kernel NULL pointer dereference on read at 0x00000008
Oops: Kernel access of bad area, sig: 11 [#1]
CPU: 3 PID: 4242 Comm: cat Kdump: loaded Not tainted 5.14.0 #1
NIP:  c008000001a20104 LR: c0000000005a1b2c CTR: c008000001a200e0
NIP [c008000001a20104] demo_fault+0x24/0x80 [demo]
LR [c0000000005a1b2c] dev_attr_show+0x3c/0x90
Call Trace:
[c00000000f0a3cb0] [c00000000f0a3d00] 0xc00000000f0a3d00 (unreliable)
[c00000000f0a3ce0] [c0000000005a1b2c] dev_attr_show+0x3c/0x90
""",
    "s390": """\
Unable to handle kernel pointer dereference in virtual kernel address space
Failing address: 0000000000000000 TEID: 0000000000000887
Oops: 0004 ilc:2 [#1] SMP
CPU: 1 PID: 777 Comm: sh Tainted: G           OE     6.4.0 #1
Krnl PSW : 0704c00180000000 000003ff801fe0b2 (demo_fault+0x32/0x80 [demo])
Call Trace:
 [<000003ff801fe0b2>] demo_fault+0x32/0x80 [demo]
 [<00000000a1b2c3d4>] vfs_write+0x1b4/0x2c0
""",
    "arm": """\
Unable to handle kernel NULL pointer dereference at virtual address 00000004
Internal error: Oops: 5 [#1] SMP ARM
CPU: 0 PID: 100 Comm: kworker/0:1 Not tainted 4.19.0 #1
PC is at demo_fault+0x14/0x60 [demo]
LR is at process_one_work+0x1d4/0x408
[<c0801234>] (demo_fault [demo]) from [<c0143210>] (process_one_work+0x1d4/0x408)
""",
    "loongarch": """\
CPU 1 Unable to handle kernel paging request at virtual address 0000000000000010
Oops[#1]:
CPU: 1 PID: 55 Comm: cat Not tainted 6.6.0 #1
   ERA: 9000000000f00abc demo_fault+0x1c/0x60 [demo]
Call Trace:
[<9000000000f00abc>] demo_fault+0x1c/0x60 [demo]
[<9000000000f00def>] vfs_read+0xac/0x2d0
""",
    "mips": """\
CPU 0 Unable to handle kernel paging request at virtual address 00000004
Oops[#1]:
CPU: 0 PID: 55 Comm: cat Not tainted 5.4.0 #1
epc   : 80401234 demo_fault+0x1c/0x60 [demo]
ra    : 80405678 vfs_read+0xac/0x2d0
Call Trace:
[<80401234>] demo_fault+0x1c/0x60 [demo]
[<80405678>] vfs_read+0xac/0x2d0
""",
}


@pytest.mark.parametrize("arch", REGISTERS)
def test_one_bug_has_one_title_on_every_architecture(arch: str) -> None:
    assert [event.title for event in events(REGISTERS[arch])] == [
        "NULL dereference in demo_fault [demo]"
    ]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("watchdog: CPU3: Watchdog detected hard LOCKUP on cpu 3", "hard-lockup"),
        ("Kernel panic - not syncing: Watchdog detected hard LOCKUP on cpu 0", "hard-lockup"),
        ("e1000e 0000:00:1f.6 eth0: NETDEV WATCHDOG: CPU: 2: transmit queue 0 timed out 5376 ms",
         "netdev-watchdog"),
        ("NETDEV WATCHDOG: eth0 (e1000e): transmit queue 0 timed out", "netdev-watchdog"),
        ("Kernel panic - not syncing: An NMI occurred. Depending on your system", "sysrq"),
        ("Kernel panic - not syncing: Timeout: Not all CPUs entered broadcast exception handler",
         "hardware"),
        ("Kernel panic - not syncing: Uncorrected hardware memory error in user-access at 123",
         "hardware"),
        ("pcieport 0000:00:1c.0: PCIe Bus Error: severity=Uncorrectable (Fatal), type=Transaction",
         "hardware"),
        ("Memory failure: 0x12345: recovery action for dirty LRU page: Failed", "hardware"),
        ("BUG: soft lockup - CPU#0 stuck for 67s! [swapper:1]", "soft-lockup"),
        ("INFO: rcu_sched_state detected stall on CPU 0 (t=15000 jiffies)", "rcu-stall"),
        ("rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-.... } 25 jiffies",
         "rcu-stall"),
        ("INFO: task cat:12 blocked in I/O wait for more than 122 seconds.", "hung-task"),
    ],
)  # fmt: skip
def test_wording_of_old_and_new_kernels(line: str, kind: str) -> None:
    event = main_event(events(line + "\n"))
    assert event is not None
    assert event.kind == kind


def test_shortage_between_a_panics_lines_does_not_cut_its_stack() -> None:
    text = """\
[  200.9] Kernel panic - not syncing: corrupted stack end detected inside scheduler
[  201.0] CPU: 1 PID: 7 Comm: kworker/u4:0 Not tainted 4.20.0+ #252
[  201.0] Call Trace:
[  201.1]  panic+0x2ad/0x55f
[  201.1] cat invoked oom-killer: gfp_mask=0x6202c2, order=0, oom_score_adj=1000
[  201.1]  demo_workfn+0xee9/0x1790
[  201.1]  process_one_work+0xc90/0x1c40
"""
    assert "stack overflow in demo_workfn" in [event.title for event in events(text)]


@pytest.mark.parametrize(
    ("before", "title"),
    [
        ("", "panic by hand: SysRq"),
        (
            "[   9.0] INFO: task cat:12 blocked for more than 120 seconds.\n"
            "[   9.0] Call Trace:\n[   9.0]  schedule+0x1/0x2\n[   9.0]  demo_wait_page+0x1/0x2\n"
            "[   9.0]  demo_sync+0x1/0x2\n",
            "panic by hand: SysRq, with a hung task in demo_sync",
        ),
        ("[   9.0] WARNING: fs/x.c:12 at demo+0x1/0x2, CPU#0: cat/12\n", "panic by hand: SysRq"),
    ],
)
def test_panic_by_hand_is_titled_by_what_did_not_get_on(before: str, title: str) -> None:
    text = before + (
        "[  90.0] sysrq: Trigger a crash\n"
        "[  90.0] Kernel panic - not syncing: sysrq triggered crash\n"
    )
    event = main_event(events(text))
    assert event is not None
    assert event.title == title


def test_panic_by_an_nmi_has_another_title() -> None:
    event = main_event(events("Kernel panic - not syncing: NMI: Not continuing\n"))
    assert event is not None
    assert event.title == "panic by hand: NMI"
