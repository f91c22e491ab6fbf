"""A frame before and after the walk: what the unwinder gave, and what was found.

Owns the values that ``recover``, ``placing`` and ``passing`` hand each other.
"""

from __future__ import annotations

from btfdbg.frames.abi import Param
from btfdbg.frames.environment import Env
from btfdbg.frames.flow import FunctionFlow
from btfdbg.frames.function import Function
from btfdbg.frames.ir import Insn
from btfdbg.frames.prototypes import Prototype
from btfdbg.frames.state import State
from btfdbg.lazy_dataclass import dataclass

FRAME_POINTER = "x29"
# A return address may be signed: its upper bits are then a code.
ADDRESS_BITS = (1 << 48) - 1


@dataclass(frozen=True, slots=True)
class RawFrame:
    """
    A frame as the unwinder gives it.

    :ivar sp: Stack pointer, None if not known.
    :ivar interrupted: The pc is that of the next instruction, not behind a call.
    :ivar registers: All that the unwinder knows, by full name.
    """

    pc: int
    sp: int | None
    interrupted: bool
    registers: dict[str, int]


@dataclass(frozen=True, slots=True)
class Found:
    """
    What is known of one parameter at the function's entry.

    :ivar words: Its bytes as words of the machine, None if not known.
    :ivar source: Where they were.
    :ivar why: Why there are none.
    :ivar confirmed: A damaged word of memory would have been noticed: a second one says the same,
        or they are no memory.
    """

    param: Param
    words: tuple[int, ...] | None
    source: str = ""
    why: str = ""
    confirmed: bool = False


@dataclass(slots=True)
class Walked:
    """
    A frame after the walk.

    :ivar function: Or why none is known.
    :ivar prototype: Or why none is known.
    :ivar state: Behind the call, or before the interrupted instruction; None if unknown.
    :ivar call: The call that it is in; None if interrupted.
    :ivar problem: Why nothing is known of the frame.
    :ivar linked: The next frame out is proven to be its caller.
    :ivar is_kept: Its caller's call is indirect, or by assembly, and proven to be of this function.
    :ivar call_site: Why the caller's call says nothing.
    :ivar via: The function that its caller called and that left by a jump to this one.
    :ivar caller: The function that called it, if the unwinder left that out.
    :ivar left_out: That function's frame.
    :ivar is_left_out: The unwinder does not have it.
    """

    raw: RawFrame
    function: Function | str
    prototype: Prototype | str
    env: Env
    flow: FunctionFlow | None = None
    state: State | None = None
    call: Insn | None = None
    problem: str = ""
    linked: bool = False
    is_kept: bool = False
    call_site: str = ""
    via: str = ""
    caller: str = ""
    left_out: Walked | None = None
    is_left_out: bool = False
    params: tuple[Found, ...] = ()

    @property
    def sp(self) -> int | None:
        """The stack pointer in this frame, None if it is not known."""
        if self.state is None:
            return None
        name = next((r for r in ("rsp", "sp") if r in self.state.regs), "")
        return self.env.number(self.state.regs[name]) if name else None

    @property
    def name(self) -> str:
        """The function's name, or why none is known."""
        return self.function if isinstance(self.function, str) else self.function.names[0]
