"""The lines that begin a report, as data: one row per message.

Owns the table, and :func:`header`, which finds the row of a line. Knows nothing of
stacks, and not what becomes of a row's match.

``role`` is what the message does:

``starts``   begins a report;
``follows``  belongs to a report that has just begun, and begins one only without it:
             the ``Oops:`` line after ``BUG: unable to handle …``;
``names``    says what kind of BUG or WARNING comes next, or came just before;
``alone``    is a report of one line: what another report has open stays open.

Groups of a pattern: ``fn`` and ``mod`` the function the message names, ``detail``,
``cpu``, ``pid``, ``comm``, ``file``.

Facts: the format strings of Linux 3.10 to 7.0; each row's sample was written from them.
"""

from __future__ import annotations

import re

from btfdbg.lazy_dataclass import dataclass
from btfdbg.report.logs.expression import Expression
from btfdbg.report.logs.stacklines import FUNCTION

STARTS, FOLLOWS, NAMES, ALONE = "starts", "follows", "names", "alone"

_TASK = r"(?P<comm>.{1,40}?)[:/](?P<pid>\d+)"
_OOPS = r"(?:Oops: )?"  # repeated by kernels from 6.9 on


@dataclass(frozen=True, slots=True)
class Header:
    """
    One message.

    ``words`` are strings of which one is in every message that ``pattern`` matches, with
    ``|`` between them; after ``&`` come others of which one is in it too, for rows whose words
    are those of many. ``detail`` is a format over the pattern's groups.
    """

    kind: str
    words: str
    pattern: str
    sample: str
    detail: str = ""
    role: str = STARTS


HEADERS: tuple[Header, ...] = (
    # ---- sanitizers ---------------------------------------------------------------------
    Header("kasan", "BUG: KASAN: ", rf"BUG: KASAN: (?P<detail>[\w -]+?) (?:in|on) (?:{FUNCTION}|(?P<rest>.*))",
           "BUG: KASAN: use-after-free in foo+0x1/0x2", "{detail}"),
    Header("kasan", "BUG: KASan: ", r"BUG: KASan: (?P<detail>[\w -]+?) (?:in|on) ",
           "BUG: KASan: use after free in foo+0x1/0x2", "{detail}"),
    Header("kfence", "BUG: KFENCE: ", rf"BUG: KFENCE: (?P<detail>[\w -]+?) in (?:{FUNCTION})?",
           "BUG: KFENCE: use-after-free read in foo+0x1/0x2", "{detail}"),
    Header("kmsan", "BUG: KMSAN: ", rf"BUG: KMSAN: (?P<detail>[\w -]+?) in (?:{FUNCTION})?",
           "BUG: KMSAN: uninit-value in foo+0x1/0x2", "{detail}"),
    Header("kcsan", "BUG: KCSAN: ", rf"BUG: KCSAN: (?P<detail>[\w :-]+?) in (?:{FUNCTION})?(?: / (?P<fn3>[\w.]+))?",
           "BUG: KCSAN: data-race in a+0x1/0x2 / b+0x1/0x2", "{detail}"),
    Header("ubsan", "UBSAN: ", r"(?:UBSAN|Internal error: UBSAN): (?P<detail>[\w -]+?) in (?P<file>\S+?:\d+)",
           "UBSAN: array-index-out-of-bounds in fs/x.c:3:4", "{detail}"),
    Header("ubsan", "UBSAN: ", rf"UBSAN: (?P<detail>[\w -]+?) at {FUNCTION}", "UBSAN: array index out of bounds at foo+0x1/0x2", "{detail}"),
    Header("ubsan", "UBSAN: ", r"Internal error: UBSAN: (?P<detail>[\w -]+?): [0-9a-f]+ \[#\d+\]",
           "Internal error: UBSAN: integer subtraction overflow: 00000000f2005515 [#1] SMP", "{detail}"),
    Header("memory-leak", "BUG: memory leak", r"BUG: memory leak", "BUG: memory leak"),
    Header("memory-leak", "unreferenced object", r"unreferenced object (?:\(percpu\) )?0x[0-9a-f]+ \(size (?P<detail>\d+)\)",
           "unreferenced object 0xffff888100000000 (size 64):", "", FOLLOWS),
    # ---- the scheduler's and lock validator's own checks -----------------------------------
    Header("lockdep", "WARNING: |INFO: &possible circular|possible irq lock", r"(?:WARNING: |(?:\[ )?INFO: )possible (?:circular locking|irq lock inversion) dependency detected",
           "WARNING: possible circular locking dependency detected", "possible deadlock"),
    Header("lockdep", "WARNING: |INFO: &possible recursive", r"(?:WARNING: |(?:\[ )?INFO: )possible recursive locking detected",
           "WARNING: possible recursive locking detected", "possible deadlock"),
    Header("lockdep", "WARNING: |INFO: &-unsafe lock order", r"(?:WARNING: |(?:\[ )?INFO: )[\w-]+-safe -> [\w-]+-unsafe lock order detected",
           "WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected", "possible deadlock"),
    Header("lockdep", "WARNING: |INFO: &inconsistent lock", r"(?:WARNING: |(?:\[ )?INFO: )inconsistent lock state",
           "WARNING: inconsistent lock state", "inconsistent lock state"),
    Header("lockdep", "WARNING: |BUG&bad unlock|bad contention", r"(?:WARNING: |(?:\[ )?BUG: )bad (?P<detail>unlock balance|contention) detected!",
           "WARNING: bad unlock balance detected!", "bad {detail}"),
    Header("lockdep", "WARNING: |BUG&held lock freed", r"(?:WARNING: |(?:\[ )?BUG: )held lock freed!",
           "WARNING: held lock freed!", "held lock freed"),
    Header("lockdep", "WARNING: |BUG&lock held ", r"(?:WARNING: |(?:\[ )?BUG: )lock held (?:when|at) (?P<detail>returning to user space|task exit time)",
           "WARNING: lock held when returning to user space!", "lock held {detail}"),
    Header("lockdep", "WARNING: |BUG&still has locks", r"(?:WARNING: |(?:\[ )?BUG: )(?P<comm>.{1,40}?)/(?P<pid>\d+) still has locks held!",
           "WARNING: cat/12 still has locks held!", "still has locks held"),
    Header("lockdep", "WARNING: |BUG&Invalid wait", r"(?:WARNING: |(?:\[ )?BUG: )Invalid wait context",
           "[ BUG: Invalid wait context ]", "invalid wait context"),
    Header("lockdep", "WARNING: |BUG&Nested lock", r"(?:WARNING: |(?:\[ )?BUG: )Nested lock was not taken",
           "WARNING: Nested lock was not taken", "nested lock was not taken"),
    Header("lockdep", "INFO: &trying", r"INFO: trying to register non-static key",
           "INFO: trying to register non-static key.", "non-static key"),
    Header("lockdep", "BUG: workqueue leaked ", r"BUG: workqueue leaked (?:lock or atomic|atomic, lock or RCU)",
           "BUG: workqueue leaked lock or atomic: kworker/0:1/0x0/12", "workqueue leaked lock"),
    Header("lockdep", "BUG: MAX_", r"BUG: (?P<detail>MAX_\w+ too low)", "BUG: MAX_LOCKDEP_KEYS too low!", "{detail}"),
    Header("lockdep", "BUG: key |BUG: looking ", r"BUG: (?:key \S+ (?:has not been registered|not in \.data)|looking up invalid subclass)",
           "BUG: key ffff888000000000 has not been registered!", "unregistered key"),
    Header("lockdep", "DEBUG_LOCKS_WARN", r"DEBUG_LOCKS_WARN_ON\(", "DEBUG_LOCKS_WARN_ON(class_idx)", "locking bug", NAMES),
    Header("lockdep", "needs lockdep", r"the code is fine but needs lockdep annotation",
           "the code is fine but needs lockdep annotation, or maybe", "non-static key", FOLLOWS),
    Header("suspicious-rcu", "WARNING: |INFO: &suspicious RCU", r"(?:WARNING: |(?:\[ )?INFO: )suspicious RCU usage",
           "WARNING: suspicious RCU usage"),
    Header("suspicious-rcu", "rcupdate.h:", r"include/linux/rcupdate\.h:\d+ (?:Illegal|suspicious)",
           "include/linux/rcupdate.h:3 Illegal context switch in RCU read-side critical section!"),
    Header("atomic-sleep", "BUG: sleeping function", r"BUG: sleeping function called from (?:invalid|non-preemptible) context",
           "BUG: sleeping function called from invalid context at mm/slab.h:1", "sleeping function"),
    Header("atomic-sleep", "scheduling", rf"(?:BUG: )?scheduling while (?:in )?atomic: {_TASK}",
           "BUG: scheduling while atomic: cat/12/0x00000002", "scheduling"),
    Header("atomic-sleep", "scheduling", r"bad: scheduling from the idle thread",
           "bad: scheduling from the idle thread!", "scheduling from idle"),
    Header("atomic-sleep", "BUG: assuming ", r"BUG: assuming (?P<detail>[\w ]+?) context at", "BUG: assuming atomic context at kernel/x.c:12", "assuming {detail} context"),
    Header("preemptible-per-cpu", "BUG: using ", r"BUG: using (?P<detail>\w+)\(\) in preemptible(?: \[\w+\])? code: (?P<comm>.{1,40})/(?P<pid>\d+)",
           "BUG: using smp_processor_id() in preemptible [00000000] code: cat/12", "{detail}"),
    Header("preemptible-per-cpu", "caller is ", rf"caller is {FUNCTION}", "caller is foo+0x1/0x2", "", FOLLOWS),
    Header("spinlock-bug", "BUG: &on CPU#", rf"BUG: (?P<detail>(?:spinlock|rwlock|raw_spinlock|mutex|semaphore|lock)[\w -]+?) on CPU#(?P<cpu>\d+), {_TASK}",
           "BUG: spinlock bad magic on CPU#0, cat/12", "{detail}"),
    # ---- memory faults -----------------------------------------------------------------------
    Header("null-dereference", "BUG: unable to handle |BUG: kernel NULL", r"BUG: (?:unable to handle )?kernel NULL pointer dereference",
           "BUG: kernel NULL pointer dereference, address: 0000000000000010"),
    Header("null-dereference", "BUG: Kernel NULL", r"BUG: Kernel NULL pointer dereference (?:on|at) (?P<detail>\w+)",
           "BUG: Kernel NULL pointer dereference on write at 0x00000010", "{detail}"),
    Header("null-dereference", "Unable to handle", r"(?:CPU \d+ )?Unable to handle kernel NULL pointer dereference",
           "Unable to handle kernel NULL pointer dereference at virtual address 0000000000000010"),
    Header("bad-access", "BUG: unable to handle ", r"BUG: unable to handle (?:kernel paging request at|page fault for address:) (?P<address>\S+)",
           "BUG: unable to handle page fault for address: ffff888000000000"),
    Header("bad-access", "Unable to handle", r"BUG: Unable to handle (?:kernel (?:data|instruction|unaligned) (?:access|fetch)|unknown paging fault)",
           "BUG: Unable to handle kernel data access on read at 0xc000000000000000"),
    Header("bad-access", "Unable to handle", r"(?:CPU \d+ )?Unable to handle kernel (?P<detail>paging request|access to user memory"
           r"|read from unreadable memory|write to read-only (?:memory|or execute-only memory)"
           r"|execute from non-executable memory|pointer dereference|data|fetch|instruction fetch|unknown"
           r"|[\w -]+) (?:at|in|for|outside) (?:virtual address (?P<address>[0-9a-f]+))?",
           "Unable to handle kernel paging request at virtual address dead000000000100", "{detail}"),
    Header("bad-access", "unable to execute", r"(?:BUG: )?unable to execute userspace code", "unable to execute userspace code (SMEP?) (uid: 0)", "execute of user page"),
    Header("bad-access", "tried to execute", r"[Kk]ernel tried to execute (?P<detail>[\w-]+) (?:protected )?page",
           "kernel tried to execute exec-protected page (c000000000000000) - exploit attempt? (uid: 0)",
           "execute of {detail} page"),
    Header("external-abort", "Internal error|Unhandled fault", r"(?:Internal error|Unhandled fault): (?P<detail>synchronous external abort|synchronous parity[\w ()-]*|(?:im)?precise external abort|external abort on [\w -]+)",
           "Internal error: synchronous external abort: 96000010 [#1] PREEMPT SMP", "{detail}"),
    Header("bad-access", "Unhandled fault", r"Unhandled fault: (?P<detail>[\w -]+?) \(0x[0-9a-f]+\) at",
           "Unhandled fault: page domain fault (0x01b) at 0x00000e30", "{detail}"),
    Header("bad-access", "Unhandled prefetch", r"Unhandled prefetch abort: (?P<detail>[\w -]+?) \(0x[0-9a-f]+\) at",
           "Unhandled prefetch abort: page domain fault (0x00b) at 0x00000e30", "{detail}"),
    # An address that is not canonical: other architectures call it a bad address.
    Header("bad-access", "general protection",
           rf"{_OOPS}general protection fault(?:,| maybe) ?[\w -]*?(?P<detail>non-canonical) address (?P<address>0x[0-9a-f]+)",
           "general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1] SMP", "{detail} address"),
    Header("bad-access", "general protection", rf"{_OOPS}general protection fault: 0000 \[#\d+\]",
           "general protection fault: 0000 [#1] SMP", "general protection fault"),
    Header("general-protection-fault", "general protection",
           rf"{_OOPS}(?:segment-related )?general protection fault(?:,| maybe)?[^\[]*(?:0x[0-9a-f]+: )?[0-9a-f]{{4}} \[#\d+\]",
           "general protection fault: 00b8 [#1] SMP"),
    Header("double-fault", "PANIC: double", r"(?:traps: )?PANIC: double fault", "PANIC: double fault, error_code: 0x0"),
    Header("stack-overflow", "BUG: &stack guard page", r"BUG: (?:[\w#-]+ )?stack guard page was hit at",
           "BUG: TASK stack guard page was hit at ffffc90000000000 (stack is ffffc90000001000..ffffc90000004fff)"),
    Header("stack-overflow", "Insufficient stack|stack overflow", r"(?:Insufficient stack space to handle exception!|[Kk]ernel stack overflow(?:[. ]|$)|do_IRQ: stack overflow)",
           "Insufficient stack space to handle exception!", "", FOLLOWS),
    Header("trap", "Bad mode in", r"Bad mode in (?P<detail>[\w -]+?) handler detected",
           "Bad mode in Error handler detected on CPU0, code 0xbf000000 -- SError", "bad mode: {detail}"),
    Header("trap", "Unhandled ", r"Unhandled \d\d-bit (?P<detail>[\w ]+?) exception on CPU(?P<cpu>\d+)",
           "Unhandled 64-bit el1h sync exception on CPU0, ESR 0x0000000002000000 -- Unknown/Uncategorized", "bad mode: {detail}"),
    Header("trap", "Unexpected kernel", r"Unexpected kernel (?P<detail>BRK|single-step) exception at EL1", "Unexpected kernel BRK exception at EL1", "{detail}"),
    Header("hardware", "SError Interrupt", r"SError Interrupt on CPU\s?(?P<cpu>\d+)",
           "SError Interrupt on CPU0, code 0xbf000000 -- SError", "SError"),
    Header("trap", "CFI failure", r"CFI failure (?:at|\(target)", "CFI failure at foo+0x1/0x2 (target: bar+0x0/0x4; expected type: 0x1)", "CFI failure"),
    Header("trap", "Missing ENDBR", rf"(?:traps: )?Missing ENDBR: (?:{FUNCTION})?", "traps: Missing ENDBR: foo+0x0/0x10", "missing ENDBR"),
    Header("divide-error", "divide", rf"{_OOPS}divide[ _]error: [0-9a-f]{{4}} \[#\d+\]", "divide error: 0000 [#1] SMP"),
    Header("divide-error", "Division by", r"Division by zero in kernel", "Division by zero in kernel."),
    Header("divide-error", "exception: ", r"fixpoint divide exception: [0-9a-f]{4} ilc:\d", "fixpoint divide exception: 0009 ilc:3 [#1] SMP"),
    Header("trap", " [#&int3|segment|TSS|alignment|bounds|overflow|debug|coprocessor|device|control|double|exception",
           rf"{_OOPS}(?P<detail>int3|stack segment|segment not present|invalid TSS|alignment check|bounds|overflow|debug"
           r"|coprocessor [\w ]+|device not available|control protection(?: fault)?|double fault|simd exception|fpu exception)"
           r"(?: \([\w -]+\))?: [0-9a-f]{4} \[#\d+\]", "int3: 0000 [#1] SMP", "{detail}"),
    # ---- BUG and WARN ----------------------------------------------------------------------
    Header("list-corruption", "list_add|list_del", r"(?:slab )?list_(?:add|del)(?:_rcu)?(?:_valid)? (?:corruption|double add)",
           "list_del corruption. prev->next should be ffff888000000000, but was 0000000000000000", "", NAMES),
    Header("refcount", "refcount_t: ", r"refcount_t: (?P<detail>[\w ;,-]+)", "refcount_t: underflow; use-after-free.", "{detail}", NAMES),
    Header("odebug", "ODEBUG: ", r"ODEBUG: (?P<detail>[\w -]+?) \(?active state",
           "ODEBUG: free active (active state 0) object type: timer_list hint: f+0x0/0x1", "{detail}", NAMES),
    Header("odebug", "ODEBUG: ", r"ODEBUG: (?P<detail>[\w -]+)", "ODEBUG: activate not available", "{detail}", NAMES),
    Header("kobject", "kobject: '", r"kobject: '.*' \(.*\): (?:is not initialized|tried to|free: )",
           "kobject: '(null)' (ffff888000000000): is not initialized, yet kobject_put() is being called.", "", NAMES),
    Header("usercopy", "usercopy&ernel memory ", r"usercopy: [Kk]ernel memory (?P<detail>exposure|overwrite) attempt",
           "usercopy: Kernel memory exposure attempt detected from SLUB object 'x' (offset 1, size 2)!", "{detail}", NAMES),
    Header("usercopy", "usercopy&Bad or missing", r"Bad or missing usercopy whitelist\?", "Bad or missing usercopy whitelist? Kernel memory exposure attempt detected", "", NAMES),
    Header("fortify", "detected buffer overflow", r"detected buffer overflow in (?P<detail>\w+)$", "detected buffer overflow in memcpy", "{detail}", NAMES),
    Header("busy-inodes", "BUG: Dentry ", r"BUG: Dentry \S+\s+still in use", "BUG: Dentry ffff888000000000{i=0,n=x}  still in use (1) [unmount of ramfs ramfs]"),
    Header("bug", "file count is", r"VFS: Close: file count is (?:0|zero)", "VFS: Close: file count is 0", "file count"),
    Header("busy-inodes", "Busy inodes", r"VFS: Busy inodes after unmount of", "VFS: Busy inodes after unmount of loop0. Self-destruct in 5 seconds.", "", ALONE),
    Header("netdev-watchdog", "NETDEV WATCHDOG", r"(?:\S+ \S+ \S+: )?NETDEV WATCHDOG: .*?: transmit queue \d+ timed out",
           "NETDEV WATCHDOG: eth0 (e1000e): transmit queue 0 timed out", "", NAMES),
    Header("bug", "BUG at ", r"kernel BUG at (?P<file>\S+?:\d+)[!.]?", "kernel BUG at fs/x.c:12!", "{file}"),
    Header("bug", "BUG", r"Kernel BUG(?: at (?P<file>\S+?:\d+))?\b(?! at \[)", "Kernel BUG [#1]", "", FOLLOWS),
    Header("bug", "Kernel bug", r"Kernel bug detected\[#\d+\]", "Kernel bug detected[#1]:"),
    Header("bug", "BUG: failure at ", r"BUG: failure at (?P<file>\S+?:\d+)/(?P<fn>\w+)\(\)!", "BUG: failure at fs/x.c:12/foo()!", "{file}"),
    Header("bug", "monitor event", r"monitor event: 0040 ilc:\d \[#\d+\]", "monitor event: 0040 ilc:2 [#1] SMP", "", FOLLOWS),
    Header("warning", "WARNING: ", rf"WARNING: (?:\[.*\] )?(?P<file>\S+?:\d+) at {FUNCTION}(?:, CPU#(?P<cpu>\d+): {_TASK})?",
           "WARNING: fs/x.c:12 at foo+0x1/0x2 [m], CPU#0: cat/12", "{file}"),
    Header("warning", "WARNING: CPU: ", rf"WARNING: CPU: (?P<cpu>\d+) (?:UID: \d+ )?PID: (?P<pid>\d+) at (?P<file>\S+?:\d+)(?: {FUNCTION})?",
           "WARNING: CPU: 0 PID: 12 at fs/x.c:12 foo+0x1/0x2 [m]", "{file}"),
    Header("warning", "WARNING: at ", rf"WARNING: at (?P<file>\S+?:\d+)(?: {FUNCTION})?", "WARNING: at fs/x.c:12 foo+0x1/0x2()", "{file}"),
    Header("warning", "WARNING: CPU: ", rf"WARNING: CPU: (?P<cpu>\d+) PID: (?P<pid>\d+) at {FUNCTION}", "WARNING: CPU: 0 PID: 12 at foo+0x1/0x2"),
    Header("warning", "unchecked MSR", r"unchecked MSR access error: (?P<detail>\w+) (?:from|to) 0x[0-9a-f]+",
           "unchecked MSR access error: RDMSR from 0x123 at rIP: 0xffffffff81000000 (foo+0x1/0x2)", "unchecked {detail}"),
    Header("warning", "cannot create dup", r"sysfs: cannot create duplicate filename", "sysfs: cannot create duplicate filename '/devices/x'", "duplicate sysfs name"),
    Header("warning", "WARNING: &kernel stack|can't|stack |unrec", r"WARNING: (?:kernel stack (?:regs|frame pointer)|can't (?:access|dereference) |stack recursion|unrecognized unwind|stack going in the wrong)",
           "WARNING: kernel stack regs at 00000000 in cat:12 has bad 'bp' value 00000000", "unwinder", ALONE),
    Header("rust-panic", "panicked at", r"rust_kernel: panicked at (?P<file>[^:]+:\d+)", "rust_kernel: panicked at drivers/x.rs:12:3:", "{file}", NAMES),
    # ---- memory management --------------------------------------------------------------------
    Header("bad-page", "BUG: Bad page ", r"BUG: Bad page (?P<detail>state|map|cache) in process",
           "BUG: Bad page state in process cat  pfn:12345", "{detail}"),
    Header("bad-page", "Corrupted page table", r"(?P<comm>.{1,40}): Corrupted page table at address", "cat: Corrupted page table at address 7f0000000000", "page tables"),
    Header("bad-page", "Bad pagetable", rf"{_OOPS}Bad pagetable: [0-9a-f]{{4}} \[#\d+\]", "Bad pagetable: 000d [#1] SMP PTI", "page tables", FOLLOWS),
    Header("bad-page", "BUG: Bad rss-counter", r"BUG: Bad rss-counter state", "BUG: Bad rss-counter state mm:ffff888000000000 type:MM_FILEPAGES val:1", "rss counter"),
    Header("bad-page", "BUG: non-zero ", r"BUG: non-zero (?:pgtables_bytes|nr_ptes)", "BUG: non-zero pgtables_bytes on freeing mm: 4096", "page tables"),
    Header("slab-corruption", "BUG ", r"BUG (?P<cache>\S+) (?:\(.*\))?: (?P<detail>[A-Z][\w ,-]+)",
           "BUG kmalloc-64 (Not tainted): Object already free", "{detail}"),
    Header("slab-corruption", "lab corruption|slab error|cache_free_debug", r"(?:Slab corruption|slab error in |cache_free_debugcheck)", "Slab corruption (Not tainted): size-64 start=ffff888000000000, len=64"),
    Header("slab-corruption", "INFO: &Freed|Allocated", r"INFO: (?:Freed|Allocated) in \S+ age=", "INFO: Freed in foo+0x1/0x2 age=3 cpu=0 pid=12", "", FOLLOWS),
    Header("page-allocation-failure", "page allocation failure", r"(?P<comm>.{1,40}): page allocation failure: order:(?P<order>\d+)",
           "cat: page allocation failure: order:4, mode:0x40dc0(GFP_KERNEL)"),
    Header("out-of-memory", "oom-killer", r"(?P<comm>.{1,40}) invoked oom-killer: ", "cat invoked oom-killer: gfp_mask=0x0, order=0, oom_score_adj=0"),
    Header("out-of-memory", "ut of memory", r"(?:Memory cgroup out of memory|Out of memory(?: \([\w_]+\))?): Kill(?:ed)? process (?P<pid>\d+)",
           "Out of memory: Killed process 12 (cat) total-vm:1kB", "", FOLLOWS),
    # ---- no progress ---------------------------------------------------------------------------
    Header("soft-lockup", "BUG: soft lockup", r"BUG: soft lockup (?:-|detected on) CPU#(?P<cpu>\d+)(?: stuck for \d+s)?!(?: \[(?P<comm>.{1,40}):(?P<pid>\d+)\])?",
           "BUG: soft lockup - CPU#1 stuck for 23s! [cat:12]"),
    Header("hard-lockup", "ard LOCKUP", r"(?:CPU\s?\d+: )?Watchdog detected hard LOCKUP on cpu\s?(?P<cpu>\d+)", "Watchdog detected hard LOCKUP on cpu 1"),
    Header("hard-lockup", "ard LOCKUP", r"CPU (?P<by>\d+) (?:self-)?(?:detected )?[Hh]ard LOCKUP(?: on other CPUs (?P<cpu>\d+))?",
           "CPU 3 self-detected hard LOCKUP @ foo+0x1/0x2"),
    Header("workqueue-stall", "BUG: workqueue lockup -", r"BUG: workqueue lockup - pool", "BUG: workqueue lockup - pool cpus=1 node=0 flags=0x0 nice=0 stuck for 31s!"),
    Header("rcu-stall", "ed stall", r"(?:INFO: )?rcu_\w+ (?:self-)?detected (?:expedited )?stalls? ", "rcu: INFO: rcu_preempt self-detected stall on CPU"),
    Header("rcu-stall", " behind) idle=|ticks this GP", r"\d+-[.O!]{3,4}[:!].*GPs? behind\) idle=|\d+-\.{3}.*ticks this GP\) idle=",
           "0-....: (2100 ticks this GP) idle=1/2/3 softirq=1/2 fqs=3", "", FOLLOWS),
    Header("hung-task", "INFO: &task ", rf"INFO: task {_TASK} (?:<.*> )?(?:blocked (?:in I/O wait )?|can't die )for more than \d+ seconds",
           "INFO: task cat:12 blocked for more than 120 seconds."),
    # ---- hardware, devices -----------------------------------------------------------------------
    Header("hardware", "Hardware Error", r"(?:mce: |\{\d+\})?\[Hardware Error\]: (?P<rest>.*)", "mce: [Hardware Error]: CPU 0: Machine Check Exception: 5 Bank 6: be00000000800400"),
    Header("hardware", "achine check", r"(?:(?:Severe|Fatal) Machine check interrupt|MCE: CPU\d+: machine check \((?:Severe|Fatal)\)|Machine check in kernel mode)",
           "MCE: CPU1: machine check (Severe) Host UE Load/Store [Not recovered]", "machine check"),
    Header("hardware", "EDAC ", r"EDAC \S+: (?P<detail>\d+ (?:UE|CE))", "EDAC MC0: 1 UE memory read error on CPU_SrcID#0", "EDAC", ALONE),
    Header("hardware", "Uncorrect", r"(?:AER: )?(?:Multiple )?Uncorrect(?:ed|able) \((?P<detail>Fatal|Non-Fatal)\) error",
           "AER: Uncorrected (Fatal) error received: 0000:00:01.0", "PCIe AER", ALONE),
    Header("hardware", "PCIe Bus Error", r"PCIe Bus Error: severity=Uncorrect(?:ed|able)", "PCIe Bus Error: severity=Uncorrected (Fatal), type=Transaction Layer", "PCIe AER", ALONE),
    Header("hardware", "NMI: |Uhhuh", r"NMI: (?P<detail>IOCK|PCI system) error|Uhhuh\. NMI received for unknown reason",
           "NMI: PCI system error (SERR) for reason a1 on CPU 0.", "NMI", ALONE),
    Header("hardware", "Memory failure", r"Memory failure: 0x[0-9a-f]+: (?:recovery action for .*: Failed|unhandlable page)", "Memory failure: 0x12345: recovery action for dirty page: Failed", "memory failure", ALONE),
    Header("irq-nobody-cared", "nobody cared", r"irq \d+: nobody cared", "irq 16: nobody cared (try booting with the \"irqpoll\" option)"),
    # A file system that found itself damaged, or gave up: the function is part of the message.
    Header("file-system-error", "-fs error", r"(?P<detail>EXT[234])-fs error \(device [^)]*\)(?: in|:) (?P<where>\w+)(?::\d+)?: ",
           "EXT4-fs error (device sda1): ext4_lookup:1787: inode #12: comm ls: deleted inode referenced: 13", "{detail} in {where}", ALONE),
    Header("file-system-error", " detected at ", r"XFS \([^)]*\): (?:Metadata (?:corruption|CRC error)|(?!User initiated)[\w -]+? \(0x[0-9a-f]+\)) detected at (?P<where>[\w.]+)\+0x",
           "XFS (sda1): Metadata corruption detected at xfs_agf_read_verify+0x1/0x2 [xfs], xfs_agf block 0x1", "XFS in {where}", ALONE),
    Header("file-system-error", "Internal error", r"XFS \([^)]*\): Internal error .* at line \d+ of file \S+\.  Caller (?P<where>[\w.]+)\+0x",
           "XFS (sda1): Internal error !ok at line 211 of file fs/xfs/libxfs/xfs_btree.c.  Caller xfs_btree_lookup+0x1/0x2 [xfs]", "XFS in {where}", ALONE),
    Header("file-system-error", "xfs_do_force_shutdown", r"XFS \([^)]*\): xfs_do_force_shutdown\(0x(?!4\))[0-9a-f]+\) called from line \d+ of file \S+\. *Return address = (?:0x[0-9a-f]+|(?P<where>[\w.]+)\+0x.*)",
           "XFS (sda1): xfs_do_force_shutdown(0x8) called from line 1234 of file fs/xfs/xfs_buf.c. Return address = 0xffffffffc0a1b2c4", "XFS in xfs_do_force_shutdown", ALONE),
    Header("file-system-error", "BTRFS", r"BTRFS: error \(device [^)]*\) in (?P<where>\w+):\d+: errno=-\d+ ",
           "BTRFS: error (device sda1 state A) in btrfs_run_delayed_refs:2160: errno=-5 IO failure", "Btrfs in {where}", ALONE),
    Header("file-system-error", "BTRFS", r"BTRFS critical \(device [^)]*\): corrupt (?P<where>leaf|node)[:,]",
           "BTRFS critical (device sda1): corrupt leaf: root=2 block=30441472 slot=0, bad key order", "Btrfs, corrupt {where}", ALONE),
    Header("unregister-netdevice", "unregister_netdev", r"unregister_netdevice: waiting for \S+ to become free", "unregister_netdevice: waiting for lo to become free. Usage count = 1", "", ALONE),
    # ---- the end ---------------------------------------------------------------------------------
    Header("sysrq", "Trigger a crash", r"(?:sysrq|SysRq) ?: Trigger a crash", "sysrq: Trigger a crash", "SysRq"),
    Header("panic", "Kernel panic", r"Kernel panic(?: - not syncing)?: (?P<detail>.*)", "Kernel panic - not syncing: Fatal exception", "{detail}", FOLLOWS),
    Header("invalid-opcode", " [#&invalid opcode", rf"{_OOPS}invalid opcode: [0-9a-f]{{4}} \[#\d+\]", "invalid opcode: 0000 [#1] SMP", "", FOLLOWS),
    Header("bug", "Oops - BUG[", r"Oops - BUG\[#\d+\]", "Oops - BUG[#1]:"),
    Header("bug", "Internal error", r"Internal error: Oops - BUG: ", "Internal error: Oops - BUG: 00000000f2000800 [#1] SMP", "", FOLLOWS),
    Header("invalid-opcode", "Oops|Internal error&ndefined instruction|illegal instruction|Oops - RI[#", r"(?:Internal error: )?(?:Oops - |Internal error: )(?:[Uu]ndefined|illegal) instruction|Oops - RI\[#\d+\]",
           "Internal error: Oops - undefined instruction: 0 [#1] SMP", "", FOLLOWS),
    Header("invalid-opcode", "illegal operation|operation exception|Reserved instruction|sig: 4 [#", r"(?:illegal operation|operation exception|Reserved instruction in kernel code|Oops: Exception in kernel mode, sig: 4 \[#)", "illegal operation: 0001 ilc:1 [#1] SMP", "", FOLLOWS),
    Header("trap", "Oops&Oops - ", r"(?:Internal error: )?Oops - (?P<detail>[A-Za-z][\w ()-]+?)(?::| \[)", "Internal error: Oops - CFI: 00000000f2008260 [#1] SMP", "{detail}", FOLLOWS),
    Header("trap", " ilc:", r"(?P<detail>[a-z][\w -]+): [0-9a-f]{4} ilc:\d", "specification exception: 0006 ilc:3 [#1] SMP", "{detail}", FOLLOWS),
    Header("trap", "Internal error", r"Internal error: (?P<detail>[\w ]*BRK handler|SP/PC alignment exception): [0-9a-f]+ \[#\d+\]",
           "Internal error: SP/PC alignment exception: 8a000000 [#1] SMP", "{detail}", FOLLOWS),
    Header("trap", "nrecoverable ", r"Unrecoverable (?P<detail>[\w/ ]+?) Exception(?: [0-9a-f]+)? at", "Unrecoverable FP Unavailable Exception 800 at c000000000000000", "{detail}"),
    Header("trap", "Bad kernel stack", r"Bad kernel stack pointer [0-9a-f]+ at", "Bad kernel stack pointer 7fff0000 at c000000000000000", "bad kernel stack pointer"),
    Header("hardware", "Oops: Machine check", r"Oops: Machine check, sig: \d+ \[#\d+\]", "Oops: Machine check, sig: 7 [#1]", "machine check", FOLLOWS),
    Header("sysrq", "Oops: System Reset", r"Oops: System Reset, sig: \d+ \[#\d+\]", "Oops: System Reset, sig: 6 [#1]", "system reset", FOLLOWS),
    Header("trap", "Oops: &Exception in kernel mode|Bad kernel stack|Unrecoverable |Unavailable Exc", r"Oops: (?P<detail>Exception in kernel mode, sig: 5|Bad kernel stack pointer|Unrecoverable [\w ]+|Kernel \w+ Unavailable Exception)\b",
           "Oops: Exception in kernel mode, sig: 5 [#1]", "{detail}", FOLLOWS),
    # mips, loongarch
    Header("trap", "kernel code[#|kernel context![#", r"(?P<detail>Break instruction) in kernel code\[#\d+\]|do_cpu invoked from kernel context!\[#\d+\]",
           "Break instruction in kernel code[#1]:", "{detail}", FOLLOWS),
    Header("bad-access", " access[#", r"(?:Unhandled kernel unaligned|Kernel (?:ade|ale)) access\[#\d+\]", "Kernel ade access[#1]:", "", FOLLOWS),
    Header("bad-access", "Internal error", r"Internal error: (?P<detail>.*?)(?:: )?[0-9a-f]* \[#\d+\]", "Internal error: Oops: 0000000096000004 [#1] SMP", "", FOLLOWS),
    Header("bad-access", "Oops", rf"{_OOPS}Oops(?:: [0-9a-f]{{4}}| - [\w ()]+)?(?: ilc:\d)? ?\[#\d+\]|Oops: (?P<detail>[A-Z][\w ]+), sig: \d+ \[#\d+\]",
           "Oops: 0002 [#1] SMP", "", FOLLOWS),
    # ---- anything else that calls itself a bug ---------------------------------------------------
    Header("bug", "BUG: ", r"BUG: (?P<detail>[\w ].*)", "BUG: recent printk recursion!", "{detail}"),
)  # fmt: skip

# What may stand before a message: pr_fmt prefixes and what lockdep puts in brackets. The
# second is for a driver's and its device's names, where the first took the message's own.
_PREAMBLES = (
    Expression(r"(?:[Kk]asan: GPF could be caused by .* access(?=\S)|(?:NMI )?watchdog: |rcu: |mm/\S+: |traps: |sysrq: |pcieport \S+: "
               r"|\S+ [0-9a-f]{4}:\S+: (?:\S+: )?)\s*"),
    Expression(r"\S+ [0-9a-f]{4}:\S+: \s*"),
)  # fmt: skip

_WORDS_OF = tuple([one.split("|") for one in row.words.split("&")] for row in HEADERS)
_WORDS = dict.fromkeys(word for words in _WORDS_OF for word in words[0])
# Of these at least one is in every header. Looked for one after another in a whole piece
# of text: str.find() reads 20 times as fast as one regular expression over all of them.
WORDS = tuple(word for word in _WORDS if not any(part in word for part in _WORDS if part != word))
_FEW = 8  # searches until an expression is worth its compilation, which takes a ms


class _Search:
    """Looks for any header's word: word by word at first, then by one expression over all."""

    def __init__(self) -> None:
        self.times = 0
        self.compiled: re.Pattern[str] | None = None

    def __call__(self, text: str, start: int, end: int) -> int:
        """Return where in a text the first word of any header begins, -1 if there is none."""
        if self.compiled is None:
            self.times += 1
            if self.times <= _FEW:
                found = [at for word in WORDS if (at := text.find(word, start, end)) >= 0]
                return min(found, default=-1)
            self.compiled = re.compile("|".join(map(re.escape, WORDS)))
        match = self.compiled.search(text, start, end)
        return -1 if match is None else match.start()


next_word = _Search()

_rows = tuple((row, Expression(row.pattern)) for row in HEADERS)


def header(text: str) -> tuple[Header, re.Match[str]] | None:
    """
    Return the row of the table that a message belongs to, with its match, or None.

    :param text: The message, prefixes taken off.
    """
    stripped = text.strip()
    if not any(word in stripped for word in WORDS):
        return None
    rows = [
        row
        for row, words in zip(_rows, _WORDS_OF, strict=True)
        if all(any(word in stripped for word in one) for one in words)
    ]
    if not rows:
        return None
    found = _first_row(rows, stripped)
    if found is not None or ": " not in stripped:
        return found
    for preamble in _PREAMBLES:
        before = preamble.match(stripped)
        if before is None:
            return None
        found = _first_row(rows, stripped[before.end() :])
        if found is not None:
            return found
    return None


def _first_row(
    rows: list[tuple[Header, Expression]], message: str
) -> tuple[Header, re.Match[str]] | None:
    for row, pattern in rows:
        match = pattern.match(message)
        if match is not None:
            return row, match
    return None
