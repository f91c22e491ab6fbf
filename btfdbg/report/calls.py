"""A frame of a stack and a task as a person names it; what a question to a dump may end in.

Owns what ``look``, ``alike`` and ``waits`` share: the values, and reading a stack's pointers and
size. Keeps nothing.
"""

from __future__ import annotations

import itertools

import drgn
from drgn.helpers import ValidationError

from btfdbg.errors import BtfdbgError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.report.event import Frame

UNREADABLE = (
    drgn.FaultError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,  # numbers too large, and divisors of 0
    NotImplementedError,  # drgn unwinds no stack of this architecture
    drgn.ObjectAbsentError,
    drgn.BadDataError,  # a table of the kernel's that is damaged: .orc_header
    ValidationError,  # a list whose links do not agree
    BtfdbgError,
)
"""What a question to a damaged or unknown kernel may end in."""

MAX_FRAMES = 256
_STACK = (1 << 12, 1 << 18)


@dataclass(frozen=True, slots=True)
class Call:
    """
    One frame of a task's stack.

    :ivar name: The function, "" where no symbol is.
    :ivar offset: Bytes from its start to ``pc``.
    :ivar interrupted: An exception or interrupt came in here.
    :ivar left_out: No frame of the unwinder's: told by the link register alone.
    """

    name: str
    module: str
    pc: int
    offset: int
    interrupted: bool
    left_out: bool = False

    def __str__(self) -> str:
        if not self.name:
            return f"{self.pc:#x}"
        module = f" [{self.module}]" if self.module else ""
        mark = " (the unwinder leaves it out)" if self.left_out else ""
        return f"{self.name}+{self.offset:#x}{module}{mark}"

    def frame(self, part: str = "task") -> Frame:
        """The same for the rules of the signature."""
        return Frame(self.name, self.module, True, part)


@dataclass(frozen=True, slots=True)
class Who:
    """A task as a person names it."""

    comm: str
    pid: int
    address: int

    def __str__(self) -> str:
        return f"{self.comm}({self.pid})"


def stack_pointers(trace: drgn.StackTrace) -> list[int]:
    """Return the stack pointer of each frame, 0 where the unwinder has none."""
    found = []
    for frame in itertools.islice(trace, MAX_FRAMES):
        try:
            found.append(int(frame.sp))
        except LookupError:
            found.append(0)
    return found


def thread_size(prog: drgn.Program) -> int:
    """
    Return the bytes of a kernel stack.

    :raises LookupError: nothing tells, or it is no such size.
    """
    size = int(prog["THREAD_SIZE"])
    if size & (size - 1) or not _STACK[0] <= size <= _STACK[1]:
        raise LookupError(f"a kernel stack has no {size} bytes")
    return size
