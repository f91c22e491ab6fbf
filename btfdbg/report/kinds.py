"""The kinds of event that a kernel log or a dump can hold, one row each.

Owns their identifiers, the words of their titles, the family whose members may be one
bug seen in two ways, the rule that chooses the blamed function, and the order in which
a table of many crashes lists them. Knows no log line and no frame.

Facts: the messages' own callers in the kernel (mm/, kernel/, lib/, arch/*/mm/fault.c,
arch/*/kernel/traps.c).
"""

from __future__ import annotations

from btfdbg.lazy_dataclass import dataclass

# How the blamed function is found among the frames (see choice.py).
FAULT = "fault"  # the function that faulted, or the one that handed it a bad pointer
FIRST = "first"  # the first function that is not machinery
HANG = "hang"  # the caller of whatever waits
STALL = "stall"  # the entry point under which the CPU went round
NOBODY = "nobody"  # no function is to blame: memory, hardware, the operator
CORRECTED = "corrected"  # the detail of an error that the hardware corrected itself


@dataclass(frozen=True, slots=True)
class Kind:
    """
    One kind of event.

    ``id`` is what :attr:`Event.kind` holds; ``words`` starts the title; events of one
    ``family`` that blame the same function are taken for one bug; ``choice`` is how the
    blamed function is found; ``severity`` is higher for what is worse, 0 for what is
    not a fault of the kernel at all.
    """

    id: str
    words: str
    choice: str
    family: str
    severity: int


_ROWS = (
    # id, words, choice, family, severity
    ("kasan", "KASAN", FAULT, "bad access", 95),
    ("kfence", "KFENCE", FAULT, "bad access", 94),
    ("slab-corruption", "slab corruption", FIRST, "", 93),
    ("list-corruption", "list corruption", FIRST, "bad access", 92),
    ("refcount", "refcount bug", FIRST, "", 90),
    ("usercopy", "bad usercopy", FIRST, "", 89),
    ("fortify", "buffer overflow detected", FIRST, "", 88),
    ("stack-corruption", "stack corruption", FIRST, "", 87),
    ("stack-overflow", "stack overflow", STALL, "stack overflow", 86),
    ("bad-access", "bad access", FAULT, "bad access", 85),
    ("general-protection-fault", "general protection fault", FAULT, "bad access", 85),
    ("double-fault", "double fault", FAULT, "stack overflow", 84),
    ("kmsan", "KMSAN", FIRST, "", 80),
    ("null-dereference", "NULL dereference", FAULT, "bad access", 75),
    ("bad-page", "bad page", FIRST, "", 74),
    ("odebug", "ODEBUG bug", FIRST, "", 72),
    ("bug", "kernel BUG", FIRST, "", 70),
    ("invalid-opcode", "invalid opcode", FAULT, "", 70),
    ("divide-error", "divide error", FAULT, "", 68),
    ("trap", "unexpected trap", FAULT, "", 68),
    ("external-abort", "external abort", FAULT, "bad access", 66),
    ("kcsan", "KCSAN", FIRST, "", 65),
    ("lockdep", "lockdep", FIRST, "", 60),
    ("suspicious-rcu", "suspicious RCU usage", FIRST, "", 58),
    ("atomic-sleep", "sleeping in atomic context", FIRST, "", 57),
    ("preemptible-per-cpu", "per-CPU access while preemptible", FIRST, "", 56),
    ("spinlock-bug", "spinlock bug", FIRST, "", 56),
    ("deadlock", "deadlock", HANG, "hang", 55),
    ("hard-lockup", "hard lockup", STALL, "stall", 54),
    ("soft-lockup", "soft lockup", STALL, "stall", 53),
    ("rcu-stall", "RCU stall", STALL, "stall", 52),
    ("hung-task", "hung task", HANG, "hang", 51),
    ("workqueue-stall", "workqueue stall", STALL, "stall", 50),
    ("ubsan", "UBSAN", FIRST, "", 48),
    ("rust-panic", "Rust panic", FIRST, "", 48),
    ("panic", "panic", FIRST, "", 47),
    ("warning", "WARNING", FIRST, "", 40),
    ("kobject", "kobject bug", FIRST, "", 40),
    ("netdev-watchdog", "transmit queue timed out", NOBODY, "", 36),
    ("irq-nobody-cared", "interrupt nobody cared", NOBODY, "", 36),
    ("unregister-netdevice", "unregister_netdevice waits", NOBODY, "", 35),
    ("busy-inodes", "busy inodes or dentries after unmount", FIRST, "", 35),
    ("memory-leak", "memory leak", FIRST, "", 30),
    ("file-system-error", "file system error", NOBODY, "", 26),
    ("page-allocation-failure", "page allocation failure", FIRST, "", 25),
    ("out-of-memory", "out of memory", NOBODY, "", 24),
    ("hardware", "hardware error", NOBODY, "", 20),
    ("no-init", "init died or was not found", NOBODY, "", 15),
    ("no-root", "root file system not mounted", NOBODY, "", 15),
    ("sysrq", "panic by hand", NOBODY, "", 5),
    ("snapshot", "no crash", NOBODY, "", 0),
)

KINDS: dict[str, Kind] = {row[0]: Kind(*row) for row in _ROWS}
