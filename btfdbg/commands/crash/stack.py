"""A kernel stack as words, and which of them are text of the kernel.

Owns the bounds of a stack. Nothing is unwound here.

Facts: ``include/linux/sched/task_stack.h``; ``struct task_struct.stack``; THREAD_SIZE.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import drgn
from drgn.commands import CommandError

from btfdbg.commands import symbols
from btfdbg.kallsyms.choice import is_text
from btfdbg.kallsyms.model import Sym
from btfdbg.lazy_dataclass import dataclass
from btfdbg.program.session import Session
from btfdbg.vmcore.platforms import order_of

_MAX_SIZE = 1 << 20
_PAGE = 4096


@dataclass(frozen=True, slots=True)
class Stack:
    """
    Addresses of a stack, in bytes.

    :ivar start: Its lowest address.
    """

    start: int
    size: int

    def __str__(self) -> str:
        return f"{self.start:x}-{self.end:x}"

    @property
    def end(self) -> int:
        """Behind its last byte."""
        return self.start + self.size

    def holds(self, address: int) -> bool:
        """Whether an address lies in it."""
        return self.start <= address < self.end

    def words(self, prog: drgn.Program, start: int = 0) -> Iterator[tuple[int, int]]:
        """(address, word) from an address on; pages that are not in the dump are left out."""
        size = prog.address_size()
        code = {8: "Q", 4: "I"}[size]
        order = order_of(prog.platform)
        at = max(self.start, start) & -size
        while at < self.end:
            upto = min((at | _PAGE - 1) + 1, self.end)
            try:
                data = prog.read(at, upto - at)
            except drgn.FaultError:
                at = upto
                continue
            count = len(data) // size
            for i, word in enumerate(struct.unpack(f"{order}{count}{code}", data[: count * size])):
                yield at + i * size, word
            at = upto


def thread_size(prog: drgn.Program) -> int:
    """
    Bytes of a kernel stack.

    :raises CommandError: the dump does not tell, or tells what cannot be.
    """
    try:
        size = int(prog["THREAD_SIZE"].value_())
    except LookupError:
        raise CommandError("the size of a kernel stack is not known for this dump") from None
    if not _PAGE <= size <= _MAX_SIZE:
        raise CommandError(f"the size of a kernel stack cannot be {size}")
    return size


def stack_of(prog: drgn.Program, task: drgn.Object) -> Stack:
    """
    The stack of a task.

    :raises CommandError: it has none any more.
    """
    start = task.stack.value_()
    if not start:
        raise CommandError(f"pid {task.pid.value_()} has no stack any more")
    return Stack(start, thread_size(prog))


def code_at(session: Session, address: int) -> Sym | None:
    """The function that a word points into, of the kernel or a module; ``None`` if none."""
    if session.symbols is None or not address >> 40:
        return None
    found = symbols.holding(session, address)
    return found if found is not None and is_text(found) else None
