"""What the panic task's stack says of the kind of crash: rows of functions.

Owns data: which function, standing on the stack of the task that panicked, tells what
happened. The innermost row that matches wins, so that a handler's special case stands
before the handler. Knows no dump.

Facts: the functions' own files in the kernel, named in each row.
"""

from __future__ import annotations

import fnmatch

from btfdbg.lazy_dataclass import dataclass
from btfdbg.report.blame.names import base_name

_SPECIAL = frozenset("*?[")

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Witness:
    """
    One row.

    :ivar kind: A key of :data:`btfdbg.report.kinds.KINDS`.
    :ivar functions: Shell patterns of names without compiler suffixes.
    :ivar cut: The frame that an exception interrupted is where the story begins.
    :ivar why: Which file has them, or what they do; the report says it in brackets.
    :ivar detail: What tells crashes of this kind apart, as a log's event has it.
    """

    kind: str
    functions: str
    cut: bool
    why: str
    detail: str = ""


WITNESSES = (
    Witness("sysrq", "sysrq_handle_crash", False, "drivers/tty/sysrq.c: panic by hand", "SysRq"),
    Witness("sysrq", "unknown_nmi_error hpwdt_pretimeout", False,
            "arch/x86/kernel/nmi.c: an NMI that nobody claimed, as a hypervisor sends", "NMI"),
    Witness("sysrq", "system_reset_exception pnv_system_reset_exception", False,
            "arch/powerpc/kernel/traps.c: a system reset, as a hypervisor sends", "system reset"),
    Witness("sysrq", "do_restart __do_restart", False,
            "arch/s390/kernel/ipl.c: a restart, as a hypervisor sends", "restart"),
    Witness("hardware", "io_check_error pci_serr_error", False,
            "arch/x86/kernel/nmi.c: an NMI for a parity or system error"),
    Witness("out-of-memory", "out_of_memory oom_kill_process", False, "mm/oom_kill.c"),
    Witness("hung-task", "check_hung_uninterruptible_tasks check_hung_task hung_task_info watchdog",
            False, "kernel/hung_task.c"),
    Witness("hard-lockup", "watchdog_overflow_callback watchdog_hardlockup_check "
            "watchdog_hardlockup_interrupt_count", True,
            "what notices CPUs that take no interrupts"),
    Witness("soft-lockup", "watchdog_timer_fn", True, "kernel/watchdog.c"),
    Witness("rcu-stall", "rcu_check_gp_kthread_starvation print_cpu_stall print_other_cpu_stall "
            "panic_on_rcu_stall check_cpu_stall rcu_sched_clock_irq", True,
            "kernel/rcu/tree_stall.h"),
    Witness("workqueue-stall", "wq_watchdog_timer_fn panic_on_wq_watchdog", True,
            "kernel/workqueue.c"),
    Witness("hardware", "mce_panic do_machine_check exc_machine_check* mce_timed_out "
            "ghes_notify_* __ghes_panic do_serror arm64_serror_panic aer_* edac_* "
            "nmi_handle_mce machine_check_*", False, "what reports errors of the hardware"),
    Witness("stack-overflow", "handle_stack_overflow panic_bad_stack kernel_stack_overflow*", True,
            "arch/x86/kernel/traps.c, arch/arm64/kernel/traps.c: the guard page was touched"),
    Witness("stack-corruption", "__stack_chk_fail", False, "kernel/panic.c: the canary changed"),
    Witness("list-corruption", "__list_add_valid* __list_del_entry_valid*", False,
            "lib/list_debug.c"),
    Witness("refcount", "refcount_warn_saturate", False, "lib/refcount.c"),
    Witness("usercopy", "usercopy_abort __check_object_size*", False, "mm/usercopy.c"),
    Witness("fortify", "__fortify_panic fortify_panic __fortify_report", False,
            "lib/string_helpers.c"),
    Witness("kasan", "kasan_report end_report kasan_report_invalid_free", False,
            "mm/kasan/report.c"),
    Witness("kfence", "kfence_report_error", False, "mm/kfence/report.c"),
    Witness("ubsan", "__ubsan_handle_* ubsan_epilogue", False, "lib/ubsan.c"),
    Witness("atomic-sleep", "__schedule_bug __might_resched __might_sleep", False,
            "kernel/sched/core.c"),
    Witness("no-init", "do_exit", False, "kernel/exit.c: init may not end"),
    Witness("no-root", "mount_block_root mount_root_generic mount_root mount_nodev_root", False,
            "init/do_mounts.c"),
    Witness("double-fault", "exc_double_fault asm_exc_double_fault do_double_fault", True,
            "arch/x86/kernel/traps.c"),
    # check_panic_on_warn() is no sign of one: __schedule_bug(), KASAN, KFENCE, UBSAN ask it too.
    Witness("warning", "__warn warn_slowpath_fmt warn_slowpath_null __warn_printk", True,
            "kernel/panic.c"),
    Witness("bug", "handle_bug bug_handler bug_brk_handler exc_invalid_op do_invalid_op "
            "call_break_hook do_trap_break bug_handler_* monitor_event_exception", True,
            "a BUG() traps; the bug table tells it from a bad instruction"),
    Witness("divide-error", "exc_divide_error do_divide_error", True, "arch/x86/kernel/traps.c"),
    Witness("general-protection-fault", "exc_general_protection do_general_protection", True,
            "arch/x86/kernel/traps.c"),
    Witness("bad-access", "page_fault_oops exc_page_fault do_page_fault do_mem_abort "
            "do_translation_fault __do_kernel_fault die_kernel_fault do_kern_addr_fault "
            "do_user_addr_fault no_context bad_area_nosemaphore* do_bad_area bad_page_fault "
            "do_exception do_dat_exception do_protection_exception handle_page_fault "
            "asm_exc_page_fault", True, "what handles page faults"),
    Witness("trap", "exc_alignment_check exc_bounds exc_stack_segment exc_segment_not_present "
            "do_sp_pc_abort do_undefinstr do_el1_undef do_trap_insn_illegal "
            "do_trap_unknown illegal_op data_exception", True, "what handles traps"),
)  # fmt: skip

# Kinds that the log tells apart and the stack does not: what the log says of the same
# crash counts if the stack says the first.
FINER: dict[str, frozenset[str]] = {
    "bad-access": frozenset(
        ("null-dereference", "general-protection-fault", "kasan", "kfence", "external-abort",
         "stack-overflow", "usercopy")
    ),
    "general-protection-fault": frozenset(("null-dereference", "bad-access", "kasan")),
    "bug": frozenset(
        ("list-corruption", "slab-corruption", "usercopy", "fortify", "invalid-opcode",
         "bad-page", "kfence", "refcount", "ubsan")
    ),
    "warning": frozenset(
        ("refcount", "odebug", "list-corruption", "kobject", "lockdep", "ubsan", "fortify")
    ),
    "hung-task": frozenset(("deadlock",)),
    "panic": frozenset(("no-init", "no-root", "hardware", "rust-panic", "sysrq")),
    "double-fault": frozenset(("stack-overflow",)),
    "no-init": frozenset(("panic",)),
}  # fmt: skip


# Kinds that a trap stands for whoever asked for it, and kinds whose checks end in such a trap:
# the watchdog of work queues panics by BUG_ON(wq_panic_on_stall ...), a list's check by BUG().
_TRAPS = frozenset(("bug", "warning"))
_CHECKS = frozenset(
    ("workqueue-stall", "list-corruption", "refcount", "usercopy", "fortify", "ubsan", "kfence")
)


def witness(names: Sequence[str], trapped: str = "") -> Witness | None:
    """
    The row that a stack stands for, ``None`` if no function on it tells.

    :param names: Functions, innermost first. The row whose function is innermost wins;
        of several rows with that function the first.
    :param trapped: The function that the innermost exception interrupted, if one did. Where
        a BUG() or WARN() is a check's own, the check tells more than the trap.
    """
    row = _innermost(names)
    if row is not None and row.kind in _TRAPS:
        return check_of(trapped) or row
    return row


def check_of(function: str) -> Witness | None:
    """
    The row of a check whose BUG() or WARN() is in a function, ``None`` if it is no check's.

    >>> check_of("wq_watchdog_timer_fn").kind
    'workqueue-stall'
    """
    row = _innermost([function])
    return row if row is not None and row.kind in _CHECKS else None


def _innermost(names: Sequence[str]) -> Witness | None:
    for name in names:
        plain = base_name(name)
        for row in WITNESSES:
            if any(_matches(plain, pattern) for pattern in row.functions.split()):
                return row
    return None


def _matches(name: str, pattern: str) -> bool:
    """As fnmatchcase(), which compiles every pattern, though nearly all end in their one star."""
    start = pattern.removesuffix("*")
    if _SPECIAL.isdisjoint(start):
        return name == pattern if start == pattern else name.startswith(start)
    return fnmatch.fnmatchcase(name, pattern)
