"""What one machine instruction does to registers and to the stack, without an architecture.

Owns the instruction as a value and the few operations that instructions are made of. The
architectures (``x86_64``, ``arm64``) translate into these; ``flow`` interprets them; what
reads code for another purpose (the faulting access, ``dis``) reads the same.

An operation is a tuple whose first item is one of the codes below. Registers are strings,
the full 64-bit register's name. Whatever an instruction does that no operation says is a
``DEF`` of each register and a ``STORE`` of nothing known to each place that it may write.
"""

from __future__ import annotations

from typing import Any, NamedTuple

Op = tuple[Any, ...]

# (MOVE, dst, src, bits): the low ``bits`` of dst are those of src.
MOVE = 0
# (LOAD, dst, Mem, size): dst is what ``size`` bytes of memory hold, extended somehow.
LOAD = 1
# (STORE, Mem, what, size, pushed): what is a register, a number, or None if not known.
STORE = 2
# (ADDRESS, dst, Mem, bits): dst is the address itself.
ADDRESS = 3
# (CONST, dst, value): all 64 bits.
CONST = 4
# (ADD, dst, src, number, bits): dst is src plus a number.
ADD = 5
# (ADDREG, dst, left, right, sign, bits): dst is left plus or minus right.
ADDREG = 6
# (DEF, dsts, reads): each dst becomes something new, made from the registers read.
DEF = 7
# (SELECT, dst, left, right, bits): one of the two, not known which. The right one is a
# register, or the Mem that is loaded.
SELECT = 8
# (SWAP, one, other, bits)
SWAP = 9
# (FILL, register): memory from where the register points is written, not known how far.
FILL = 10
# (CURRENT, dst): the running task.
CURRENT = 11

# What an instruction does to the order of execution.
FALL = 0
BRANCH = 1  # to the target, or on
JUMP = 2  # to the target
CALL = 3  # of the target
CALL_REGISTER = 4  # of what ``through`` says
JUMP_REGISTER = 5
STOP = 6  # return, or nothing behind it
BREAK = 7  # a breakpoint's byte: padding, or code that was patched


class Mem(NamedTuple):
    """
    A memory operand: ``segment:[base + index_by * scale + disp]``.

    ``base`` is ``"pc"`` where the address counts from the instruction's end.
    """

    base: str | None
    index_by: str | None = None
    scale: int = 1
    disp: int = 0
    segment: str = ""


class Insn:
    """
    One instruction; not to be changed.

    A plain class: some thousands are made for one stack.

    :ivar kind: ``FALL``, ``BRANCH``, …: where it goes on.
    :ivar target: Of a direct jump or call, else 0.
    :ivar through: What an indirect jump or call goes through: a register or a :class:`Mem`.
    :ivar ops: What it does, in order.
    :ivar text: As the disassembler writes it, mnemonic and operands.
    :ivar end: The address behind it.
    """

    __slots__ = ("address", "end", "kind", "ops", "size", "target", "text", "through")

    def __init__(
        self,
        address: int,
        size: int,
        kind: int,
        target: int,
        through: str | Mem | None,
        ops: tuple[Op, ...],
        text: tuple[str, str],
    ) -> None:
        self.address = address
        self.size = size
        self.kind = kind
        self.target = target
        self.through = through
        self.ops = ops
        self.text = text
        self.end = address + size

    def __repr__(self) -> str:
        return f"<{self.address:#x}: {' '.join(self.text)}>"


class JumpTable(NamedTuple):
    """
    A switch's table.

    An entry is a signed number of ``size`` bytes: words of four bytes from ``base``.
    """

    address: int
    size: int
    entries: int
    base: int


Meaning = tuple[int, "str | Mem | None", tuple[Op, ...]]
"""What a translation gives: kind, through, operations."""


class Refusal(Exception):
    """Why nothing can be said about a function; it never leaves this package."""
