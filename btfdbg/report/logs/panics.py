"""What panic() was called for: which report a panic ends, and what kind it is by itself.

Owns the messages as data. Knows no report.

Facts: the calls of panic() in kernel/, mm/, lib/, init/, drivers/tty/sysrq.c,
drivers/watchdog/hpwdt.c, arch/*/kernel and arch/x86/kernel/cpu/mce of Linux 3.10 to 7.0.
"""

from __future__ import annotations

from btfdbg.report.kinds import FAULT, FIRST, KINDS
from btfdbg.report.logs.expression import Expression

_PANICS = Expression(
    r"(?P<oops>(?:Oops: )?[Ff]atal exception|bad mode|Unhandled exception|panic_on_oops"
    r"|Unrecoverable (?![Mm]achine)|Oops"
    r"|stack overflow|kernel stack overflow|double fault)"
    r"|(?P<killed>Aiee, killing interrupt handler|Attempted to kill (?:the idle task|init)!)"
    r"|(?P<double>Machine halted)"
    r"|(?P<warn>(?:\w+: )?(?:panic_on_\w+|\w+\.fault=panic\w*) set)"
    r"|(?P<hung>hung_task: )"
    r"|(?P<soft>softlockup: )"
    r"|(?P<hard>.*[Hh]ard (?:LOCKUP|lockup))"
    r"|(?P<rcu>RCU Stall)"
    r"|(?P<workqueue>workqueue: .*(?:lockup|stall)|.*workqueue lockup)"
    r"|(?P<oom>[Oo]ut of memory|System is deadlocked on memory)"
    r"|(?P<sysrq>sysrq triggered crash)"
    r"|(?P<atomic>scheduling while atomic)"
    r"|(?P<hardware>Fatal machine check|Fatal hardware error|Fatal local machine check"
    r"|Asynchronous SError|NMI: Not continuing|[Mm]achine [Cc]heck"
    r"|Unrecoverable [Mm]achine [Cc]heck|.*[Mm]emory error|NMI IOCK error"
    r"|Timeout: Not all CPUs entered)"
)

_OOPSES = frozenset(
    (
        "bug",
        "list-corruption",
        "usercopy",
        "fortify",
        "rust-panic",
        "slab-corruption",
        "sysrq",
        "stack-corruption",
        "stack-overflow",
    )
)
# Which kinds a panic for a cause can be the end of; the causes are the groups' names below.
_CAUSES = {
    "double": {"double-fault", "stack-overflow"},
    "hung": {"hung-task"},
    "soft": {"soft-lockup"},
    "hard": {"hard-lockup"},
    "rcu": {"rcu-stall"},
    "workqueue": {"workqueue-stall"},
    "oom": {"out-of-memory"},
    "sysrq": {"sysrq"},
    "atomic": {"atomic-sleep"},
    "hardware": {"hardware"},
    "warn": {kind.id for kind in KINDS.values() if kind.choice == FIRST}
    | {"kasan", "kfence", "netdev-watchdog"},
    "oops": {kind.id for kind in KINDS.values() if kind.choice == FAULT} | _OOPSES,
}
# A task that an oops killed, where the kernel cannot go on without it.
_CAUSES["killed"] = _CAUSES["oops"]
# Messages of panic() that are a kind of their own: pattern, kind, detail.
_PANIC_KINDS = tuple(
    (Expression(pattern), kind, detail)
    for pattern, kind, detail in (
        (r"stack-protector", "stack-corruption", "stack protector"),
        (r"corrupted stack end", "stack-overflow", "stack end overwritten"),
        (r"kernel stack overflow|stack overflow", "stack-overflow", ""),
        (r"sysrq triggered crash", "sysrq", "SysRq"),
        (
            r"NMI$|NMI: (?:Not continuing|panic)|.*[Nn]on maskable interrupt|An NMI occurred",
            "sysrq",
            "NMI",
        ),
        (r"System Reset$", "sysrq", "system reset"),
        (r"VFS: Unable to mount root|No working root", "no-root", ""),
        (r"Attempted to kill init|No (?:working )?init found|Requested init", "no-init", ""),
        (r"[Oo]ut of memory|System is deadlocked on memory", "out-of-memory", "panic"),
        (
            r".*[Mm]achine [Cc]heck|.*[Hh]ardware error"
            r"|.*[Mm]emory error|NMI IOCK|Asynchronous SError"
            r"|Timeout: Not all CPUs entered",
            "hardware",
            "",
        ),
        (r".*[Hh]ard LOCKUP|.*hard lockup", "hard-lockup", ""),
        (r"softlockup: ", "soft-lockup", ""),
        (r"hung_task: ", "hung-task", ""),
        (r"RCU Stall", "rcu-stall", ""),
        (r"bad mode", "trap", "bad mode"),
        (r"scheduling while atomic", "atomic-sleep", "scheduling"),
    )
)


def cause_of(message: str) -> str:
    """
    Return what a panic was called for, as one of the names that :func:`may_end` takes.

    :return: Empty if the message names nothing that was reported before.

    >>> cause_of("Fatal exception in interrupt")
    'oops'
    """
    match = _PANICS.match(message)
    return "" if match is None else match.lastgroup or ""


def may_end(kind: str, cause: str) -> bool:
    """
    Say whether a report of a kind can end in a panic for a cause.

    >>> may_end("hung-task", "hung"), may_end("hung-task", "oops")
    (True, False)
    """
    return kind in _CAUSES[cause]


def kind_of(message: str) -> tuple[str, str] | None:
    """
    Return kind and detail of a panic that no report came before, ``None`` for just a panic.

    >>> kind_of("sysrq triggered crash")
    ('sysrq', 'SysRq')
    """
    for pattern, kind, detail in _PANIC_KINDS:
        if pattern.match(message):
            return kind, detail
    return None
