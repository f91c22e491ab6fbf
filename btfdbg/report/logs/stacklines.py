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
    rf"(?P<unsure>\?\s+)?(?:{FUNCTION}\)?(?P<rest>.*)"
    # decode_stacktrace.sh: no offset, but a position
    rf"|(?P<fn2>{_NAME})\s+(?:\([\w./+-]+:[\d?]+(?:\s\(discriminator\s\d+\))?\)"
    rf"|(?P<inline>[\w./+-]+:\d+\s+\[inline\])){_MODULE.replace('<mod>', '<mod2>')})"
)
# arm: [<c01>] (callee) from [<c02>] (caller+0x1/0x2 [module]), since 5.16 without addresses
_FROM = Expression(
    rf"\s*(?:\[<[0-9a-f]+>\]\s+)?\(?(?P<callee>{_NAME})(?:{_OFFSET})?(?:\s+\[(?P<cmod>[\w-]+)[^\]]*\])?\)?"
    rf"\s+from\s+(?:\[<[0-9a-f]+>\]\s+)?\(?{FUNCTION}"
)
_PC = Expression(
    r"\s*(?:"
    r"(?:RIP|EIP|IP): +(?:(?P<cs>[0-9a-f]{2,4}):)?(?:\[<[^>]*>\] *){0,2}"
    r"|EIP is at |PC is at |pc : +(?:\[<[^>]*>\] *)?"
    r"|epc *: +(?:[0-9a-f]{8,16} +)?|ERA: [0-9a-f]{16} |pc +[0-9a-f]{16} "
    r"|NIP +\[[0-9a-f]{8,16}\] +|Krnl PSW : [0-9a-f]{8,16} [0-9a-f]{8,16} +\("
    rf")(?:{FUNCTION}|(?P<bad>0x[0-9a-f]+|\(null\)|\(nil\)|\(efault\)|Bad .*))?"
)
_RETURN = Expression(
    rf"\s*(?:lr : +(?:\[<[^>]*>\] *)?|LR is at +|LR +\[[0-9a-f]{{8,16}}\] +"
    rf"|ra *: +(?:[0-9a-f]{{8,16}} +)?){FUNCTION}"
)
_USER_PC = Expression(r"\s*(?:RIP|EIP): +(?:0033|0023|0073|002b|e033|001b):")

HEADINGS: tuple[tuple[str, str], ...] = (
    # name, pattern at the line's start
    ("trace", r"\s*(?:Call [Tt]race|Backtrace|backtrace(?: \(crc [0-9a-f]+\))?|Call Trace \(.*\)|Stack backtrace):"),
    ("irq", r"\s*<(?:IRQ|SOFTIRQ|HARDIRQ)>"),
    ("nmi", r"\s*<(?:NMI|#DF|#DB|#MC|EOE|#VC2?|ENTRY_TRAMPOLINE)>"),
    ("task", r"\s*(?:</(?:IRQ|SOFTIRQ|HARDIRQ|NMI|#DF|#DB|#MC|#VC2?)>|<<EOE>>|<TASK>|<EOI>)"),
    ("end", r"\s*</TASK>"),
    ("alloc", r"\s*(?:Allocated by task|(?:INFO: )?Allocated in |Uninit was created at|Object allocated)"),
    ("alloc", r"\s*(?:Allocated by|kfence-#\d+.*allocated by|allocated by task)"),
    ("free", r"\s*(?:Freed by|(?:INFO: )?Freed in |freed by task|Last potentially related work|Second to last)"),
    ("origin", r"\s*(?:Uninit was stored|Local variable .* created at)"),
    ("chain", r"\s*(?:-> #\d+ |the existing dependency chain|the dependencies between|the second lock's)"),
    ("usage", r"\s*\.{3} which became "),
    ("chain", r"\s*\.{3} (?:key|acquired) +at:|\s*\{[\w-]+\} state was registered at:"),
    ("chain", r"\s*(?:INITIAL USE at|[\w-]+ at:$|(?:HARD|SOFT)IRQ-ON-[WR] at|IN-(?:HARD|SOFT)IRQ-[WR] at)"),
    ("again", r"\s*stack backtrace:"),
    ("locks", r"\s*Showing all locks held"),
    ("held", r"\s*(?:\d+ locks? held by |.*with a lock still held)"),
    ("kthread", r"\s*(?:rcu: )?RCU grace-period kthread stack dump"),
    ("cpu", r"\s*(?:NMI backtrace for cpu|Task dump for CPU|Sending NMI|CPU \d+ not responding)"),
    ("cpu", r"\s*(?:rcu: )?Stack dump where RCU GP kthread last ran"),
    ("taskline", r"\s*task:\S.*state:|\S.{0,16} +[RSDTtXZIP] ?(?:running task)? +\d+ +\d+ +\d+ 0x[0-9a-f]+$"),
    ("regs", r"\s*(?:Exception stack\(|Krnl Code|Last Breaking-Event-Address|Preemption disabled at|Code:|Modules linked in)"),
    ("sharp", r"\s*(?:read|write)(?: \(\w+\))* to 0x[0-9a-f]+ of \d+ bytes by|\s*(?:race at unknown origin)"),
    ("stop", r"\s*(?:-+\[ end trace|={20,}$)"),
)  # fmt: skip
_HEADING = Expression("|".join(f"({pattern})" for _, pattern in HEADINGS))


def frame(text: str, part: str) -> Frame | None:
    """Return the frame that a line shows, or None if it shows none."""
    match = _FRAME.match(text)
    if match is None:
        return None
    if match["fn"]:
        unsure = bool(match["unsure"]) or "(unreliable)" in match["rest"]
        return Frame(match["fn"], match["mod"] or "", not unsure, part)
    if match["inline"]:
        return None  # no frame of the stack: a tool added it afterwards
    return Frame(match["fn2"], match["mod2"] or "", not match["unsure"], part)


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
    if _USER_PC.match(text):
        return None, True
    match = _PC.match(text)
    if match is None or not (match["fn"] or match["bad"]):
        return None
    if match["fn"]:
        return Frame(match["fn"], match["mod"] or "", True, "pc"), False
    return None, False


def return_address(text: str) -> Frame | None:
    """Return the function that the link register points into, or None."""
    match = _RETURN.match(text)
    return Frame(match["fn"], match["mod"] or "", True, "lr") if match else None


def heading(text: str) -> str:
    """Return the name of the section that a line opens, or an empty string."""
    match = _HEADING.match(text)
    return HEADINGS[match.lastindex - 1][0] if match and match.lastindex else ""
