"""What one line of a report says of a stack: a frame, a register's function, a heading.

Owns the spellings of all architectures. Holds no state: which stack a frame belongs to
is text.py's matter.

Facts: lib/vsprintf.c (%pS, %pB, %pSb); show_trace_log_lvl() of arch/x86, dump_backtrace()
and __show_regs() of arch/arm, arch/arm64, arch/s390, arch/powerpc, arch/riscv, arch/mips,
arch/loongarch; scripts/decode_stacktrace.sh.
"""

from __future__ import annotations

from btfdbg.report.event import Frame
from btfdbg.report.logs.expression import Expression

_NAME = r"[A-Za-z_.$][\w.$]*"
_OFFSET = r"\+0x[0-9a-f]+(?:/0x[0-9a-f]+)?"
_MODULE = r"(?:\s+\[(?P<mod>[A-Za-z][\w-]*)(?:\([A-Z+-]*\))?(?:\s[0-9a-f]{6,})?\])?"
#: A function with its offset, as %pS prints it: groups ``fn`` and ``mod``.
FUNCTION = rf"(?P<fn>{_NAME}){_OFFSET}{_MODULE}"
_ADDRESS = r"(?:\[<[^>\]]{1,40}>\]|\[[0-9a-f]{8,16}\]|0x[0-9a-f]{8,16}:?)"

_FRAME = Expression(
    rf"\s*(?:#\d+\s+)?(?P<paren>\()?(?:{_ADDRESS}\)?:?\s*){{0,2}}"
    rf"(?P<unsure>\?\s+)?{FUNCTION}\)?(?P<rest>.*)"
)
# decode_stacktrace.sh: no offset, but a position
_DECODED = Expression(
    rf"\s*(?:#\d+\s+)?(?:{_ADDRESS}\)?:?\s*){{0,2}}"
    rf"(?P<unsure>\?\s+)?(?P<fn>{_NAME})\s+(?:\([\w./+-]+:[\d?]+(?:\s\(discriminator\s\d+\))?\)"
    rf"|(?P<inline>[\w./+-]+:\d+\s+\[inline\])){_MODULE}"
)
# arm: [<c01>] (callee) from [<c02>] (caller+0x1/0x2 [module]), since 5.16 without addresses
_FROM = Expression(
    rf"\s*(?:\[<[0-9a-f]+>\]\s+)?\(?(?P<callee>{_NAME})(?:{_OFFSET})?(?:\s+\[(?P<cmod>[\w-]+)[^\]]*\])?\)?"
    rf"\s+from\s+(?:\[<[0-9a-f]+>\]\s+)?\(?{FUNCTION}"
)
_WHERE = rf"(?:{FUNCTION}|(?P<bad>0x[0-9a-f]+|\(null\)|\(nil\)|\(efault\)|Bad .*))?"
# The register that says where a CPU was: a word of the line, how each architecture spells it.
_PCS = tuple(
    (word, Expression(rf"\s*(?:{spelling}){_WHERE}"))
    for word, spelling in (
        ("IP:", r"(?:RIP|EIP|IP): +(?:[0-9a-f]{2,4}:)?(?:\[<[^>]*>\] *){0,2}"),
        (" is at ", r"(?:EIP|PC) is at "),
        ("pc ", r"pc : +(?:\[<[^>]*>\] *)?|epc +: +(?:[0-9a-f]{8,16} +)?|pc +[0-9a-f]{16} "),
        ("epc:", r"epc: +(?:[0-9a-f]{8,16} +)?"),
        ("ERA: ", r"ERA: [0-9a-f]{16} "),
        ("NIP ", r"NIP +\[[0-9a-f]{8,16}\] +"),
        ("Krnl PSW", r"Krnl PSW : [0-9a-f]{8,16} [0-9a-f]{8,16} +\("),
    )
)
_RETURNS = tuple(
    (word, Expression(rf"\s*(?:{spelling}){FUNCTION}"))
    for word, spelling in (
        ("lr :", r"lr : +(?:\[<[^>]*>\] *)?"),
        ("LR ", r"LR is at +|LR +\[[0-9a-f]{8,16}\] +"),
        ("ra ", r"ra +: +(?:[0-9a-f]{8,16} +)?"),
        ("ra:", r"ra: +(?:[0-9a-f]{8,16} +)?"),
    )
)
_USER_PC = Expression(r"\s*(?:RIP|EIP): +(?:0033|0023|0073|002b|e033|001b):")

_HEADINGS = tuple(
    (name, tuple(words.split("|")), Expression(pattern))
    for name, words, pattern in (
        # section, strings of which every such line has one, pattern at the line's start
        ("trace", "race:|race (", r"\s*(?:Call [Tt]race|Backtrace|backtrace(?: \(crc [0-9a-f]+\))?|Call Trace \(.*\)|Stack backtrace):"),
        ("irq", "IRQ>", r"\s*<(?:IRQ|SOFTIRQ|HARDIRQ)>"),
        ("nmi", "<NMI>|<#|<EOE>|<ENTRY", r"\s*<(?:NMI|#DF|#DB|#MC|EOE|#VC2?|ENTRY_TRAMPOLINE)>"),
        ("task", "</|<<EOE>>|<TASK>|<EOI>", r"\s*(?:</(?:IRQ|SOFTIRQ|HARDIRQ|NMI|#DF|#DB|#MC|#VC2?)>|<<EOE>>|<TASK>|<EOI>)"),
        ("end", "</TASK>", r"\s*</TASK>"),
        ("alloc", "llocated |Uninit was", r"\s*(?:Allocated by task|(?:INFO: )?Allocated in |Uninit was created at|Object allocated)"),
        ("alloc", "llocated by", r"\s*(?:Allocated by|kfence-#\d+.*allocated by|allocated by task)"),
        ("free", "reed |Last pot|Second to", r"\s*(?:Freed by|(?:INFO: )?Freed in |freed by task|Last potentially related work|Second to last)"),
        ("owner", "page last", r"\s*page last allocated (?:via order|by task)"),
        ("free", "page last free", r"\s*page last free (?:pid |ts |stack trace)"),
        ("origin", "Uninit was|Local variable", r"\s*(?:Uninit was stored|Local variable .* created at)"),
        ("chain", "-> #|dependenc|second lock's", r"\s*(?:-> #\d+ |the existing dependency chain|the dependencies between|the second lock's)"),
        ("usage", "... which", r"\s*\.{3} which became "),
        ("chain", " at:|registered at:", r"\s*\.{3} (?:key|acquired) +at:|\s*\{[\w-]+\} state was registered at:"),
        ("chain", " at|at:", r"\s*(?:INITIAL USE at|[\w-]+ at:$|(?:HARD|SOFT)IRQ-ON-[WR] at|IN-(?:HARD|SOFT)IRQ-[WR] at)"),
        ("again", "stack backtrace:", r"\s*stack backtrace:"),
        ("locks", "Showing all", r"\s*Showing all locks held"),
        ("held", " held", r"\s*(?:\d+ locks? held by |.*with a lock still held)"),
        ("kthread", "grace-period kthread", r"\s*(?:rcu: )?RCU grace-period kthread stack dump"),
        ("kthread", "kthread starved for", r"\s*(?:rcu: )?rcu_\w+ kthread starved for \d+ jiffies!"),
        ("cpu", "NMI |Task dump|not resp", r"\s*(?:NMI backtrace for cpu|Task dump for CPU|Sending NMI|CPU \d+ not responding)"),
        ("cpu", "Stack dump where", r"\s*(?:rcu: )?Stack dump where RCU GP kthread last ran"),
        ("taskline", "task:| 0x", r"\s*task:\S.*state:|\S.{0,16} +[RSDTtXZIP] ?(?:running task)? +\d+ +\d+ +\d+ 0x[0-9a-f]+$"),
        ("regs", "Exception stack|Krnl Code|Last Breaking|Preemption dis|Code:|Modules linked",
         r"\s*(?:Exception stack\(|Krnl Code|Last Breaking-Event-Address|Preemption disabled at|Code:|Modules linked in)"),
        ("sharp", " to 0x|race at unknown", r"\s*(?:read|write)(?: \(\w+\))* to 0x[0-9a-f]+ of \d+ bytes by|\s*(?:race at unknown origin)"),
        ("stop", "end trace|====", r"\s*(?:-+\[ end trace|={20,}$)"),
    )
)  # fmt: skip


def frame(text: str, part: str) -> Frame | None:
    """Return the frame that a line shows, or None if it shows none."""
    match = _FRAME.match(text) if "+0x" in text else None
    if match is not None:
        unsure = bool(match["unsure"]) or "(unreliable)" in match["rest"]
        return Frame(match["fn"], match["mod"] or "", not unsure, part)
    if ".c:" not in text and ".h:" not in text and ".S:" not in text:
        return None
    match = _DECODED.match(text)
    if match is None or match["inline"]:
        return None  # what was inlined is no frame of the stack: a tool added it afterwards
    return Frame(match["fn"], match["mod"] or "", not match["unsure"], part)


def arm_frames(text: str, part: str) -> tuple[Frame, Frame] | None:
    """Return callee and caller of a line of arm's backtrace, or None."""
    if " from " not in text:
        return None
    match = _FROM.match(text)
    if match is None:
        return None
    return (
        Frame(match["callee"], match["cmod"] or "", True, part),
        Frame(match["fn"], match["mod"] or "", True, part),
    )


def program_counter(text: str) -> tuple[Frame | None, bool] | None:
    """
    Return what a register dump says of the function that ran.

    :return: None if the line has no program counter; else the function, None where the
        counter points to no code, and whether it points into user space.
    """
    for word, expression in _PCS:
        if word not in text:
            continue
        if word == "IP:" and _USER_PC.match(text):
            return None, True
        match = expression.match(text)
        if match is None:
            continue
        if match["fn"]:
            return Frame(match["fn"], match["mod"] or "", True, "pc"), False
        if match["bad"]:
            return None, False
    return None


def return_address(text: str) -> Frame | None:
    """Return the function that the link register points into, or None."""
    for word, expression in _RETURNS:
        match = expression.match(text) if word in text else None
        if match is not None:
            return Frame(match["fn"], match["mod"] or "", True, "lr")
    return None


def heading(text: str) -> str:
    """Return the name of the section that a line opens, or an empty string."""
    for name, words, expression in _HEADINGS:
        for word in words:
            if word in text:
                if expression.match(text):
                    return name
                break
    return ""
