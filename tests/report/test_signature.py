"""What crashes are called, and which are joined."""

from __future__ import annotations

import pytest

from btfdbg.report import Frame, joins, signature_of, similarity
from btfdbg.report.kinds import KINDS


def stack(*names: str) -> list[Frame]:
    """Frames of ``name`` or ``name [module]``."""
    parts = [name.rstrip("]").partition(" [") for name in names]
    return [Frame(name, module) for name, _, module in parts]


X86 = stack("memcpy", "ext4_write_inode", "evict", "do_unlinkat", "__x64_sys_unlinkat",
            "do_syscall_64", "entry_SYSCALL_64_after_hwframe")  # fmt: skip
ARM64 = stack("__pi_memcpy", "ext4_write_inode", "evict", "do_unlinkat", "__arm64_sys_unlinkat",
              "invoke_syscall", "el0_svc_common.constprop.0", "do_el0_svc", "el0_svc",
              "el0t_64_sync_handler", "el0t_64_sync")  # fmt: skip


def test_title_and_hash_are_one_on_two_architectures() -> None:
    one, other = signature_of("bad-access", X86), signature_of("bad-access", ARM64)
    assert one.title == other.title == "bad access in ext4_write_inode"
    assert one.stack_hash == other.stack_hash != ""
    assert joins(one, other)


def test_two_views_of_one_bad_pointer_are_joined() -> None:
    null = signature_of("null-dereference", X86)
    kasan = signature_of("kasan", X86, "use-after-free read")
    assert null.title != kasan.title
    assert joins(null, kasan)


def test_another_function_is_another_bug() -> None:
    assert not joins(signature_of("bug", X86), signature_of("bug", stack("ext4_evict_inode")))


def test_same_function_in_two_modules_is_two_bugs() -> None:
    one = signature_of("bug", stack("start_queue [nic_a]"))
    other = signature_of("bug", stack("start_queue [nic_b]"))
    built_in = signature_of("bug", stack("start_queue"))
    assert not joins(one, other)
    assert joins(one, built_in)


def test_name_that_means_nothing_alone_joins_only_with_its_module() -> None:
    assert not joins(signature_of("bug", stack("probe [a]")), signature_of("bug", stack("probe")))


def test_unknown_functions_are_never_joined() -> None:
    one = signature_of("bad-access", [])
    assert one.function is None
    assert one.stack_hash == ""
    assert not joins(one, one)


def test_kinds_without_a_function_join_by_their_detail() -> None:
    assert joins(
        signature_of("out-of-memory", [], "memcg"), signature_of("out-of-memory", [], "memcg")
    )
    assert not joins(
        signature_of("out-of-memory", [], "memcg"), signature_of("out-of-memory", [], "none")
    )


def test_variants_share_the_title_and_differ_in_the_hash() -> None:
    one = signature_of("warning", stack("f", "g", "h"))
    other = signature_of("warning", stack("f", "g", "i"))
    assert one.title == other.title
    assert one.stack_hash != other.stack_hash
    assert 0 < similarity(one, other) < 1


def test_stall_blames_the_entry_point_not_where_the_clock_hit() -> None:
    tick = ("rcu_dump_cpu_stacks", "print_cpu_stall", "rcu_sched_clock_irq", "update_process_times",
            "tick_sched_timer", "hrtimer_interrupt", "sysvec_apic_timer_interrupt",
            "asm_sysvec_apic_timer_interrupt")  # fmt: skip
    for chance in ("find_get_entry", "shrink_list", "_raw_spin_lock"):
        frames = stack(
            *tick, chance, "scan_all", "demo_ioctl", "vfs_ioctl", "__x64_sys_ioctl", "do_syscall_64"
        )
        assert signature_of("rcu-stall", frames).title == "RCU stall in demo_ioctl"


def test_waiters_for_one_lock_of_all_share_a_title() -> None:
    for caller in ("addrconf_verify_work", "dev_ioctl"):
        frames = stack("__schedule", "schedule", "__mutex_lock", "rtnl_lock", caller)
        assert signature_of("hung-task", frames).title == "hung task in rtnl_lock"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_signature(kind: str) -> None:
    signature = signature_of(kind, X86)
    assert signature.title.startswith(KINDS[kind].words)
    assert not any(char.isdigit() and "0x" in signature.title for char in signature.title)


def test_keys_hold_nothing_of_the_one_crash() -> None:
    frames = [Frame("foo.isra.0.cold"), Frame("bar.constprop.12")]
    signature = signature_of("bug", frames)
    assert signature.title == "kernel BUG in foo"
    assert signature.stack == ("foo", "bar")


def test_operation_of_a_driver_that_waits_is_the_driver_s() -> None:
    for module in ("", " [demo]"):
        frames = stack("__schedule", "schedule", f"demo_wait_read{module}", "vfs_read", "ksys_read")
        assert signature_of("hung-task", frames).function == "demo_wait_read"
    frames = stack("regmap_panic [demo]", "demo_panic [demo]", "process_one_work", "kthread")
    assert signature_of("bug", frames).function == "demo_panic"
    frames = stack("schedule", "jbd2_log_wait_commit", "ext4_sync_fs", "vfs_fsync_range")
    assert signature_of("hung-task", frames).function == "ext4_sync_fs"
    frames = stack("schedule", "wait_for_completion", "vfs_read", "ksys_read")
    assert signature_of("hung-task", frames).function == "vfs_read"


def test_stack_overflow_blames_what_calls_itself() -> None:
    path = stack("walk [demo]", *["descend [demo]"] * 40, "demo_open [demo]", "do_dentry_open")
    assert signature_of("stack-overflow", path).function == "descend"
    deep = stack("memset", "mid [demo]", "demo_write [demo]", "kernfs_fop_write_iter", "vfs_write")
    assert signature_of("stack-overflow", deep).function == "demo_write"


def test_registers_and_stack_name_one_frame_once() -> None:
    frames = [Frame("f", part="pc"), Frame("f"), Frame("f"), Frame("g")]
    assert signature_of("bug", frames).stack == ("f", "f", "g")


def test_architectures_that_split_a_function_have_one_stack() -> None:
    def hashed(*names: str) -> str:
        return signature_of("bug", [Frame(name) for name in names]).stack_hash

    assert hashed("f", "vfs_write", "ksys_write", "__arm64_sys_write", "invoke_syscall") == hashed(
        "f", "vfs_write", "ksys_write", "do_syscall_64"
    )
    assert hashed("f.part.0", "f", "g") == hashed("f", "g")
    # A recursion is one.
    assert hashed("f", "f", "f", "g") != hashed("f", "g")


def test_what_prints_the_report_is_no_part_of_the_stack() -> None:
    log = [Frame("dump_header"), Frame("out_of_memory"), Frame("read_zero")]
    assert signature_of("out-of-memory", log).stack == signature_of("out-of-memory", log[1:]).stack
