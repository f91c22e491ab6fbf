"""``arguments(session, trace)``: what each frame of a stack trace was called with.

Owns the public values and turning drgn's frames into ``recover``'s and words into drgn's
Objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import drgn

from btfdbg.errors import BtfError
from btfdbg.frames.recover import MAX_FRAMES, Recovery
from btfdbg.frames.walked import Found, RawFrame, Walked
from btfdbg.lazy_dataclass import dataclass
from btfdbg.vmcore.platforms import machine_of

if TYPE_CHECKING:
    from btfdbg.frames.code import Arch
    from btfdbg.frames.kept_flows import KeptFlows
    from btfdbg.frames.text import Text
    from btfdbg.program.session import Session

_CACHE_KEY = "btfdbg.frames"


@dataclass(frozen=True, slots=True)
class Argument:
    """
    One parameter of a frame's function, with its value at the function's entry.

    :ivar name: "" if the prototype names none.
    :ivar type: Its type.
    :ivar value: None if it is not known; then :attr:`why` says why.
    :ivar source: Where the value was found: a register, the stack, a call.
    :ivar why: Why there is no value, else "".
    :ivar confirmed: A damaged word of memory would have been noticed: a second place or the
        caller's call says the same, or the value is no word of memory.
    """

    name: str
    type: drgn.Type
    value: drgn.Object | None
    source: str
    why: str
    confirmed: bool = False

    def __str__(self) -> str:
        from btfdbg.frames.describe import plain

        return f"{self.name or '?'}={'?' if self.value is None else plain(self.value)}"


def arguments(
    session: Session, trace: Iterable[drgn.StackFrame]
) -> tuple[tuple[Argument, ...], ...]:
    """
    What each frame of a stack trace was called with.

    :param trace: A ``drgn.StackTrace``, or its frames in order, none left out.
    :return: For each frame a tuple, one item for each parameter of its prototype, in order;
        empty for a frame whose function has no prototype that can be trusted.
    :raises DebugInfoError: machine code cannot be read here: no capstone, or another
        architecture than x86-64 and arm64.

    >>> for frame, args in zip(trace, arguments(session, trace)):
    ...     print(frame.name, *args)
    vfs_write file=0xff3de78301db73c0 buf=0x1be3ce60 count=0x2 pos=0xff77097680013ea8
    """
    made = recovery(session)
    return tuple(objects_of(session, frame) for frame in walk(made, trace))


def walk(made: Recovery, trace: Iterable[drgn.StackFrame]) -> list[Walked | None]:
    """Each frame's :class:`recover.Walked`; None for frames of inlined functions."""
    every = list(trace)
    frames = every[:MAX_FRAMES]
    real = [f for f in frames if not f.is_inline]
    before: list[drgn.StackFrame | None] = [None, *real]
    raw = [_raw(f, entry, made) for entry, f in zip(before, real, strict=False)]
    walked = iter(made.walk(raw))
    found: list[Walked | None] = [None if f.is_inline else next(walked) for f in frames]
    return found + [None] * (len(every) - len(frames))


def recovery(session: Session) -> Recovery:
    """
    The Recovery of a Session; made once.

    :raises DebugInfoError: see :func:`arguments`.
    """
    cache: dict[Any, Any] = session.prog.cache
    found = cache.get(_CACHE_KEY)
    if isinstance(found, Recovery):
        return found
    from btfdbg.frames.disasm import open_when_needed
    from btfdbg.frames.text import text_of

    machine = machine_of(session.prog.platform)
    disassemble = open_when_needed(machine)
    text = text_of(session, machine)
    made = Recovery(session, text, arch_of(machine), disassemble, _kept(session, text))
    cache[_CACHE_KEY] = made
    return made


def _kept(session: Session, text: Text) -> KeptFlows | None:
    """Analyses of earlier runs; none for a kernel that runs, whose code may change."""
    if session.prog.flags & drgn.ProgramFlags.IS_LIVE:
        return None
    from btfdbg.frames.disasm import version
    from btfdbg.frames.kept_flows import kept_flows

    start = text.kernel_range()[0]
    return kept_flows(text, text.machine, session.build_id, start, version())


def arch_of(machine: str) -> Arch:
    """The facts of x86-64 or arm64."""
    if machine == "x86_64":
        from btfdbg.frames import x86_64

        return x86_64
    from btfdbg.frames import arm64

    return arm64


def _raw(frame: drgn.StackFrame, before: drgn.StackFrame | None, made: Recovery) -> RawFrame:
    try:
        sp: int | None = frame.sp
    except LookupError:
        sp = None
    wanted = made.arch.REGISTERS
    registers = {n: v for n, v in frame.registers().items() if n in wanted}
    if before is not None and not frame.interrupted and not made.arch.RETURN_ADDRESS_ON_STACK:
        from btfdbg.frames.exception import interrupted_registers

        found = interrupted_registers(made.session.prog, made.text.memory, before, frame)
        if found is not None:
            return RawFrame(frame.pc, found["sp"], True, found)
    return RawFrame(frame.pc, sp, frame.interrupted, registers)


def objects_of(session: Session, frame: Walked | None) -> tuple[Argument, ...]:
    """The arguments of a frame as drgn's Objects."""
    if frame is None or isinstance(frame.prototype, str):
        return ()
    made: list[Argument] = []
    for found in frame.params:
        try:
            type_ = frame.prototype.converter.convert(found.param.type_id)
        except BtfError as e:
            made.append(
                Argument(found.param.name, session.prog.void_type(), None, "", f"its type: {e}")
            )
            continue
        made.append(_object(session, type_, found))
    return tuple(made)


def _object(session: Session, type_: drgn.Type, found: Found) -> Argument:
    name = found.param.name
    if found.words is None:
        return Argument(name, type_, None, "", found.why)
    data = b"".join(word.to_bytes(8, "little") for word in found.words)
    try:
        value = drgn.Object.from_bytes_(session.prog, type_, data[: found.param.size])
    except (TypeError, ValueError) as e:
        return Argument(name, type_, None, "", f"its type: {e}")
    if not found.confirmed and len(found.words) == 1:
        why = _doubt(session, type_, found.words[0] & ((1 << 8 * found.param.size) - 1))
        if why:
            why = f"{found.source} holds {found.words[0]:#x}, which {why}; nothing confirms it"
            return Argument(name, type_, None, "", why)
    return Argument(name, type_, value, found.source, "", found.confirmed)


def _doubt(session: Session, type_: drgn.Type, number: int) -> str:
    """Why a number can be no argument of a type, "" if it can."""
    from btfdbg.frames.plausible import doubt

    text = recovery(session).text

    def is_function(address: int) -> bool:
        symbol = text.symbol(address)
        return symbol is not None and symbol.address == address

    return doubt(type_, number, text.machine, lambda a: text.memory(a, 1) is not None, is_function)
