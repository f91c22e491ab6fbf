"""
Scenarios in which the module in modules/fault is to blame.

Owns: which of its kinds there are, what the kernel has to be told so that it
dies of them, and whom to blame. Must not know: what the module does then.
Facts: Documentation/admin-guide/sysctl/kernel.rst,
Documentation/admin-guide/kernel-parameters.txt.
"""

from __future__ import annotations

from typing import Any

from .scenario import HUNG_TASK, SYSRQ, WIDGETS, Scenario

_TRIGGER = "/sys/module/cf_fault/parameters/trigger"
_ON_OOPS = "echo 1 >/proc/sys/kernel/panic_on_oops\n"
_ON_WARN = "echo 1 >/proc/sys/kernel/panic_on_warn\n"
# Task and what it waits for: kind of lock, name of the variable, task that holds it.
LOCKS = {
    "cf_w_mutex": {"lock": "mutex", "variable": "cf_mutex", "owner": "cf_holder"},
    "cf_w_rwsem_r": {"lock": "rw_semaphore", "variable": "cf_written", "owner": "cf_holder"},
    "cf_w_rwsem_w": {"lock": "rw_semaphore", "variable": "cf_read", "owner": "cf_holder"},
    "cf_w_rtmutex": {"lock": "rt_mutex", "variable": "cf_rtmutex", "owner": "cf_holder"},
    "cf_w_percpu": {"lock": "percpu_rw_semaphore", "variable": "cf_percpu"},
    "cf_w_semaphore": {"lock": "semaphore", "variable": "cf_semaphore"},
    "cf_w_completion": {"lock": "completion", "variable": "cf_completion"},
    "cf_w_bit": {"lock": "bit", "variable": "cf_bits"},
    "cf_w_page": {"lock": "folio", "variable": "cf_page"},
}
_RCU = "/sys/module/rcupdate/parameters/rcu_cpu_stall"
# What other watchdogs have to say about a busy CPU is not wanted.
_NO_SOFT = "echo 0 >/proc/sys/kernel/soft_watchdog\n"
_NO_RCU = f"echo 1 >{_RCU}_suppress\n"


def _ask_for(kind: str) -> str:
    """Return shell that lets a process of its own, called sh, die of a kind."""
    return f"sh -c 'echo {kind} >{_TRIGGER}' &\n"


def _oops(
    name: str,
    kind: str,
    summary: str,
    word: str,
    frames: list[str],
    *,
    before: str = _ON_OOPS,
    widgets: bool = True,
    **further: Any,
) -> Scenario:
    """
    Return a scenario in which the task that asked for it dies.

    :param word: What the module is asked for.
    :param frames: Functions of the module, innermost first: the first is guilty.
    :param widgets: Whether the list of widgets is still as it was.
    """
    expect: dict[str, Any] = {
        "kind": kind,
        "guilty": {"function": frames[0], "module": "cf_fault", "task": "sh"},
        "panic_comm": "sh",
        "panic_frames": [*frames, "cf_trigger"],
        "later_tasks": ["sh"],
    }
    if widgets:
        expect["widgets"] = WIDGETS
    return Scenario(
        name, summary, before + _ask_for(word), own_module=True, expect=expect, **further
    )


def _stall(
    name: str,
    kind: str,
    summary: str,
    word: str,
    before: str,
    *,
    task: str,
    frames: list[str],
    panics_itself: bool = True,
) -> Scenario:
    """
    Return a scenario in which a watchdog finds a thread that keeps its CPU to itself.

    :param before: Shell that lets the watchdog panic, and soon.
    :param task: Name of the thread; empty for a worker, whose name is no fixed one.
    :param frames: Functions of the module on its stack, innermost first: the first is guilty.
    :param panics_itself: Whether the panic is on top of that stack.
    """
    expect: dict[str, Any] = {
        "kind": kind,
        "guilty": {"function": frames[0], "module": "cf_fault"},
        "stuck_frames": frames,
        "widgets": WIDGETS,
    }
    if task:
        expect["guilty"]["task"] = task
        expect["later_tasks"] = [task]
    if panics_itself:
        expect["panic_frames"] = frames
    trigger = f"{before}echo {word} >{_TRIGGER}\n"
    return Scenario(name, summary, trigger, own_module=True, expect=expect)


_ACCESS = (
    _oops(
        "null-deref",
        "null-dereference",
        "a NULL dereference in our own module, three calls deep",
        "null",
        ["cf_level3", "cf_level2", "cf_level1"],
    ),
    _oops("bug", "bug", "BUG() in our own module", "bug", ["cf_bug"]),
    _oops(
        "null-call",
        "null-dereference",
        "a call through a function pointer that is NULL",
        "callnull",
        ["cf_call_null"],
    ),
    _oops(
        "call-data",
        "bad-access",
        "a call of bytes in a slab object, which may not be executed",
        "calldata",
        ["cf_call_data"],
    ),
    _oops(
        "write-constant",
        "bad-access",
        "a write to read-only data of our own module",
        "constant",
        ["cf_set_price", "cf_write_constant"],
    ),
    _oops(
        "use-after-free",
        "bad-access",
        "a pointer read from a freed object that SLUB has poisoned (0x6b)",
        "stale",
        ["cf_read_stale", "cf_use_after_free"],
        append="slub_debug=P",
    ),
    _oops(
        "wild-pointer",
        "bad-access",
        "a read through a pointer that is no canonical address",
        "wild",
        ["cf_weigh", "cf_weigh_wild"],
    ),
    _oops(
        "user-pointer",
        "bad-access",
        "a read through a pointer into the half of user space",
        "user",
        ["cf_weigh", "cf_weigh_users"],
    ),
    _oops(
        "divide",
        "divide-error",
        "an integer divided by zero",
        "divide",
        ["cf_share", "cf_divide"],
        # Elsewhere the quotient is 0 and nobody dies.
        arches=("amd64",),
    ),
    _oops(
        "invalid-opcode",
        "invalid-opcode",
        "an instruction that the processor does not know, and no BUG()",
        "opcode",
        ["cf_illegal", "cf_invalid_opcode"],
    ),
    _oops(
        "warn",
        "warning",
        "WARN() in our own module with panic_on_warn",
        "warn",
        ["cf_warn"],
        before=_ON_WARN,
    ),
    _oops(
        "refcount",
        "refcount",
        "a reference counter of zero is incremented, with panic_on_warn",
        "refcount",
        ["cf_get_order", "cf_overuse"],
        before=_ON_WARN,
    ),
    _oops(
        "list-corruption",
        "list-corruption",
        "list_del() of an entry that its neighbour does not know",
        "list",
        ["cf_drop_order", "cf_corrupt_list"],
    ),
    _oops(
        "stack-overflow",
        "stack-overflow",
        "a function that calls itself until the stack ends",
        "stack",
        ["cf_recurse"],
    ),
)

_STALLS = (
    _stall(
        "soft-lockup",
        "soft-lockup",
        "a kernel thread that spins with preemption off, softlockup_panic",
        "soft",
        f"{_NO_RCU}echo 1 >/proc/sys/kernel/softlockup_panic\n"
        "echo 3 >/proc/sys/kernel/watchdog_thresh\n",
        task="cf_soft",
        frames=["cf_spin", "cf_spin_without_preemption"],
    ),
    _stall(
        "hard-lockup",
        "hard-lockup",
        "a kernel thread that spins with interrupts off, found by the CPU beside it",
        "hard",
        # Under emulation there are no performance counters, and so no NMI: only the buddy
        # detector works (CONFIG_HARDLOCKUP_DETECTOR_BUDDY, which Debian leaves off).
        f"{_NO_RCU}echo 1 >/proc/sys/kernel/nmi_watchdog"
        " || echo '@@@ cannot: no hard lockup detector'\n"
        "echo 1 >/proc/sys/kernel/hardlockup_panic\necho 3 >/proc/sys/kernel/watchdog_thresh\n",
        task="cf_hard",
        frames=["cf_spin", "cf_spin_without_interrupts"],
        panics_itself=False,
    ),
    _stall(
        "rcu-stall",
        "rcu-stall",
        "a kernel thread that never leaves its RCU reader, panic_on_rcu_stall",
        "rcu",
        f"{_NO_SOFT}echo 5 >{_RCU}_timeout\necho 1 >/proc/sys/kernel/panic_on_rcu_stall\n",
        task="cf_rcu",
        frames=["cf_spin", "cf_read_forever"],
        panics_itself=False,
    ),
    _stall(
        "work-stall",
        "workqueue-stall",
        "a work that never ends before one that waits, workqueue.panic_on_stall",
        "work",
        f"{_NO_SOFT}{_NO_RCU}cd /sys/module/workqueue/parameters\n"
        "echo 4 >watchdog_thresh && echo 1 >panic_on_stall || echo '@@@ cannot: no WQ_WATCHDOG'\n"
        "cd /\n",
        task="",
        frames=["cf_spin", "cf_hog"],
        panics_itself=False,
    ),
)

_WAITS = (
    Scenario(
        "deadlock",
        "two kernel threads of our own module, each waiting for the other's mutex",
        HUNG_TASK,
        setup=f"echo deadlock >{_TRIGGER}\n",
        settle=3,
        own_module=True,
        expect={
            "kind": "deadlock",
            "guilty": {"function": "cf_take", "module": "cf_fault", "task": "cf_ab"},
            "panic_comm": "khungtaskd",
            "blocked": ["cf_ab", "cf_ba"],
            "blocked_at_least": 2,
            "owners": {"cf_left": "cf_ab", "cf_right": "cf_ba"},
            "widgets": WIDGETS,
        },
    ),
    Scenario(
        "self-deadlock",
        "a kernel thread of our own module that takes its own mutex again",
        HUNG_TASK,
        setup=f"echo self >{_TRIGGER}\n",
        settle=3,
        own_module=True,
        expect={
            "kind": "deadlock",
            "guilty": {"function": "cf_lock_twice", "module": "cf_fault", "task": "cf_self"},
            "panic_comm": "khungtaskd",
            "blocked": ["cf_self"],
            "blocked_at_least": 1,
            "owners": {"cf_left": "cf_self"},
            "widgets": WIDGETS,
        },
    ),
    Scenario(
        "locks",
        "nine kernel threads, each waiting for another kind of lock that a tenth one holds",
        HUNG_TASK,
        setup=f"echo locks >{_TRIGGER}\n",
        settle=3,
        own_module=True,
        expect={
            "kind": "hung-task",
            "guilty": {"module": "cf_fault", "task": "cf_holder"},
            "panic_comm": "khungtaskd",
            "blocked": list(LOCKS),
            "blocked_at_least": len(LOCKS),
            "waits": LOCKS,
            "widgets": WIDGETS,
        },
    ),
    Scenario(
        "no-lock",
        "six processes in a read() of a device that never answers, and nobody holds anything",
        HUNG_TASK,
        setup="for i in 1 2 3 4 5 6; do cat /dev/cf_wait & done\n",
        settle=3,
        own_module=True,
        expect={
            "kind": "hung-task",
            "guilty": {"function": "cf_wait_read", "module": "cf_fault", "task": "cat"},
            "panic_comm": "khungtaskd",
            "blocked": ["cat"] * 6,
            "blocked_at_least": 6,
            "blocked_file": "/dev/cf_wait",
            "widgets": WIDGETS,
        },
    ),
    Scenario(
        "stuck-work",
        "sysrq by process 1 while a work of our own module keeps a CPU to itself",
        SYSRQ,
        setup=f"{_NO_SOFT}{_NO_RCU}echo work >{_TRIGGER}\n",
        settle=3,
        own_module=True,
        expect={
            "kind": "panic-by-hand",
            "panic_comm": "init",
            "panic_frames": ["sysrq_handle_crash"],
            "also": ["workqueue-stall"],
            "stuck_frames": ["cf_spin", "cf_hog"],
            "widgets": WIDGETS,
        },
    ),
)

_MANY = (
    Scenario(
        "bad-accesses",
        "some hundred kernel threads of our own module, each stopped in a bad access, then sysrq",
        SYSRQ,
        setup=f"echo bad >{_TRIGGER}\n",
        settle=1,
        own_module=True,
        expect={
            "kind": "panic-by-hand",
            "panic_comm": "init",
            "panic_frames": ["sysrq_handle_crash"],
            "widgets": WIDGETS,
        },
    ),
)

SCENARIOS = (*_ACCESS, *_STALLS, *_WAITS, *_MANY)
