"""What a log says happened: :class:`Event`, and the :class:`Frame` of a call stack.

Plain frozen values, made by the text reader (text.py) and by whoever reads the same
things from a dump's structures. Knows no log format.
"""

from __future__ import annotations

from btfdbg.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Frame:
    """
    One function of a call stack, innermost first.

    ``name`` is as the kernel prints it, without offset (``foo.isra.0``); ``module`` is
    empty for the kernel itself. ``sure`` is false for what the unwinder only found on
    the stack (the ``?`` of x86). ``part`` says which stack or section: ``pc`` for the
    function that the registers name, ``task``, ``irq``, ``nmi``, or a section of the
    report such as ``alloc``, ``free``, ``chain``.
    """

    name: str
    module: str = ""
    sure: bool = True
    part: str = "task"


@dataclass(frozen=True, slots=True)
class Event:
    """
    One report in a kernel log.

    :attr kind: A key of :data:`btfdbg.report.kinds.KINDS`, ``null-dereference`` say.
    :attr title: ``kind in function [module]``, the first level of the signature.
    :attr function: The function that is blamed, or None where none is or none is known.
    :attr module: The module that function belongs to, None for the kernel itself.
    :attr detail: More about the kind: ``use-after-free read``, a BUG's file, a message.
    :attr corrupted: The report cannot be relied on; ``reason`` says why.
    :attr line: Line of the report's first line in the text, from 1.
    :attr last_line: Line of its last.
    :attr seconds: Its time stamp in seconds since boot, None without.
    :attr caller: Who printed it, ``T123`` or ``C1``, empty without CONFIG_PRINTK_CALLER.
    :attr cpu: CPU, None if the report does not say.
    :attr pid: Task, None if the report does not say.
    :attr comm: Name of that task.
    :attr release: ``uname -r`` as the report has it.
    :attr hardware: The machine's model as the report has it, without the firmware's version.
    :attr host: The machine's name, where the log's prefixes have it.
    :attr message: The header line, control characters escaped.
    :attr said: What a WARNING says in words, in the line before its header; empty if it says
        nothing, or the log has lost it.
    :attr frames: The stack that decided, innermost first.
    :attr panicked: The kernel panicked because of it.
    :attr registers: Of a fault: names as the machine code has them (``rdi``, ``x0``), values.
    :attr code: Of a fault: the ``Code:`` line's bytes or words, the faulting one marked.
    :attr repeats: How often the very same report was left out after this one.

    >>> [event] = events("WARNING: CPU: 0 PID: 1 at fs/x.c:1 f+0x1/0x2 [m]\\n")
    >>> event.title
    'WARNING in f [m]'
    """

    kind: str
    title: str
    function: str | None
    module: str | None
    detail: str
    corrupted: bool
    line: int
    reason: str = ""
    last_line: int = 0
    seconds: float | None = None
    caller: str = ""
    cpu: int | None = None
    pid: int | None = None
    comm: str = ""
    release: str = ""
    hardware: str = ""
    host: str = ""
    message: str = ""
    said: str = ""
    frames: tuple[Frame, ...] = ()
    panicked: bool = False
    repeats: int = 0
    registers: tuple[tuple[str, int], ...] = ()
    code: str = ""


def access_class(address: int | None, *, fetch: bool = False, read_only: bool = False) -> str:
    """
    Return what is wrong with an address that was accessed, in words for all architectures.

    :param address: 64 bits, None if it is not known.
    :param fetch: An instruction was fetched from it.
    :param read_only: It is mapped, and was written to without the right to.
    :return: Empty for an address of the kernel that is just not mapped.

    Source: include/linux/poison.h (POISON_FREE, LIST_POISON1, LIST_POISON2).

    >>> access_class(0x7F0000001000), access_class(0x6B6B6B6B6B6B6B73)
    ('user pointer', 'freed object')
    """
    if fetch:
        return "execution of data"
    if read_only:
        return "read-only memory"
    if address is None or address < 4096:
        return ""
    if (address >> 32) & 0xFFFFFFFF == 0x6B6B6B6B:
        return "freed object"
    if 0xDEAD000000000100 <= address < 0xDEAD000000000300:
        return "removed list entry"
    if address >> 40 == 0xDFFFFC:
        return ""  # KASAN's shadow of the address that is meant
    if address >> 48 == 0:
        return "user pointer"
    return "" if address >> 56 == 0xFF else "non-canonical address"
