"""The memory access that faulted, in words: which member of what, through which pointer.

Owns finding the interrupted frame that faulted and the sentence about its instruction. What
its memory operand is, is ``operand``'s; what a pointer's type and spelling are is ``types``';
what the log said of the fault is the caller's.

Facts: ``arch/x86/include/asm/idtentry.h`` (``asm_exc_*``), ``arch/arm64/kernel/entry.S``
(``el1h_64_sync``).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING

import drgn

from btfdbg.frames.arguments import recovery, walk
from btfdbg.frames.flow import FunctionFlow
from btfdbg.frames.ir import (
    CALL,
    STORE,
    Insn,
    Mem,
)
from btfdbg.frames.layout import underlying
from btfdbg.frames.operand import entry, operand
from btfdbg.frames.pointers import state_of
from btfdbg.frames.recover import Recovery
from btfdbg.frames.state import Value
from btfdbg.frames.types import THUNK, Typed, Types
from btfdbg.frames.walked import Walked
from btfdbg.lazy_dataclass import dataclass, replace

if TYPE_CHECKING:
    from btfdbg.program.session import Session

_ENTRIES = ("asm_exc_", "el1h_64_sync", "el1_sync", "async_page_fault", "general_protection")


@dataclass(frozen=True, slots=True)
class Access:
    """
    The access of one instruction.

    :ivar frame: Number of the frame in the trace.
    :ivar function: The function's name.
    :ivar offset: Bytes from its start to the instruction.
    :ivar pc: Its address.
    :ivar instruction: As the disassembler writes it.
    :ivar kind: ``"read"``, ``"write"`` or ``"execute"``.
    :ivar size: Bytes.
    :ivar address: What was accessed, None if a register of it is not known.
    :ivar register: The register that holds the pointer, "" if the address is fixed.
    :ivar value: The register's value, None if not known.
    :ivar displacement: Bytes from the pointer to what was accessed.
    :ivar type: What the pointer points to, None if not known.
    :ivar member: The member that was accessed, ``f_path.dentry``; "" if not known.
    :ivar origin: Where the pointer came from, as C would write it; "" if not known.
    :ivar state: What the pointer's value says of itself: NULL, an error, poison; or "".
    :ivar holder: What the slab allocator says of the pointer's object or, where that is none,
        of the object that the pointer was loaded from; or "".
    :ivar index: Bytes that an index in another register adds.
    :ivar passed: How a caller spells the pointer, where it is an argument: ``complete passes
        &x->wait.lock``; "" if no caller says more than the function's parameter does.
    :ivar evidence: What says the type, where it is not the pointer's own: ``cf_note takes what
        it is in as struct cf_node *``; or "".
    """

    frame: int
    function: str
    offset: int
    pc: int
    instruction: str
    kind: str
    size: int
    address: int | None
    register: str
    value: int | None
    displacement: int
    type: drgn.Type | None
    member: str
    origin: str
    state: str
    holder: str = ""
    index: int = 0
    passed: str = ""
    evidence: str = ""

    def __str__(self) -> str:
        where = f"{self.function}+{self.offset:#x}"
        verb = {"read": "reads", "write": "writes", "execute": "calls"}[self.kind]
        what = f"{self.size} byte{'s' if self.size != 1 else ''} at " if self.size else ""
        place = self._place()
        pointer = self._pointer()
        return f"{where} {verb} {what}{place}{f'; {pointer}' if pointer else ''}"

    def _place(self) -> str:
        address = "an unknown address" if self.address is None else f"{self.address:#x}"
        if self.value is not None and self.register:
            start = "NULL" if not self.value else f"{self.value:#x}"
            sign = "-" if self.displacement < 0 else "+"
            moved = f"{sign}{abs(self.displacement):#x}" if self.displacement else ""
            indexed = f"{'-' if self.index < 0 else '+'}{abs(self.index):#x}" if self.index else ""
            address = f"{start}{moved}{indexed}"
        return f"{address} = {self.what}" if self.what else address

    @property
    def what(self) -> str:
        """What was accessed, ``struct cf_widget.number``; "" if the member is not known."""
        if self.type is None or not self.member:
            return ""
        dot = "" if self.member.startswith("[") else "."
        return f"{self.type.unqualified().type_name()}{dot}{self.member}"

    def _pointer(self) -> str:
        if not self.register:
            return ""
        # What is called has been named already.
        state = "" if self.kind == "execute" and not self.value else self.state
        said = [word for word in (self.origin, state) if word]
        found = [f"{self.register} is {', '.join(said)}"] if said else []
        return "; ".join([*found, *filter(None, (self.evidence, self.passed, self.holder))])


def faulting_access(
    session: Session, trace: Iterable[drgn.StackFrame], fault_address: int | None = None
) -> Access | None:
    """
    Explain the access that faulted.

    :param trace: The crashed task's stack trace.
    :param fault_address: The address that the kernel reported, if it is known. Only an
        instruction that accesses it is then an answer.
    :return: None if no interrupted instruction of the trace can be the one.
    :raises DebugInfoError: see :func:`btfdbg.frames.arguments`.

    >>> str(faulting_access(session, trace))
    'cf_level3.constprop.0+0x1a writes 4 bytes at NULL+0x10; rdx is cf_victim, NULL'
    """
    made = recovery(session)
    frames = list(trace)
    walked = walk(made, frames)
    for number, frame in enumerate(walked):
        if frame is None or not frame.raw.interrupted:
            continue
        if fault_address is None and not _after_exception(walked, number):
            continue
        for access in _accesses(session, made, number, frame):
            if fault_address is None or _hits(access, fault_address):
                passed = _passed(session, made, walked[number:], access.register)
                return replace(access, passed=passed) if passed else access
    return None


def _passed(session: Session, made: Recovery, walked: list[Walked | None], register: str) -> str:
    """
    How a caller spells the pointer, where the function got it as an argument.

    :param walked: The frames from the one that faulted on.
    :return: Of the innermost caller for which it is more than a parameter, or "".
    """
    first = walked[0]
    value = None if first is None or first.state is None else first.state.regs.get(register)
    for inner, outer in itertools.pairwise(walked):
        if inner is None or outer is None or isinstance(inner.function, str):
            break
        if value is None or value[0] is None or value[0][0] != "entry":
            break
        call, flow = outer.call, outer.flow
        if not inner.linked or inner.via or inner.caller or call is None or flow is None:
            break
        before = flow.before(call.address)
        if before is None or call.kind != CALL or call.target != inner.function.start:
            break
        given = before.regs.get(str(value[0][1]))
        if given is None or given[0] is None:
            break
        typed = Types(session, made.text, outer.prototype, flow.insns, flow).of(given)
        if given[0][0] != "entry" or given[1]:
            if typed is None or not typed.text or isinstance(outer.function, str):
                break
            return f"{outer.function.names[0]} passes {typed.text}"
        value = given
    return ""


def _after_exception(walked: list[Walked | None], number: int) -> bool:
    """The innermost frame, or one that an exception's entry interrupted."""
    if number == 0:
        return True
    before = walked[number - 1]
    if before is None or isinstance(before.function, str):
        return False
    return any(name.startswith(_ENTRIES) for name in before.function.names)


def _hits(access: Access, address: int) -> bool:
    if access.address is None:
        return False
    return 0 <= address - access.address < max(access.size, 1)


def _accesses(session: Session, made: Recovery, number: int, frame: Walked) -> Iterable[Access]:
    if isinstance(frame.function, str):
        found = _wild_call(session, made, number, frame)
        if found is not None:
            yield found
        return
    flow = frame.flow
    if flow is None or flow.problem:
        return
    insn = flow.insns.get(frame.raw.pc)
    if insn is None:
        return
    types = Types(session, made.text, frame.prototype, flow.insns, flow)
    for mem, size in made.arch.memory(*insn.text):
        if mem.segment:
            continue
        yield _access(made, frame, flow, insn, types, number, mem, size)


def _access(
    made: Recovery,
    frame: Walked,
    flow: FunctionFlow,
    insn: Insn,
    types: Types,
    number: int,
    mem: Mem,
    size: int,
) -> Access:
    found = operand(made, flow, frame, types, insn, mem, size)
    writes = any(op[0] == STORE and op[1] == mem for op in insn.ops)
    typed = None if found.pointer is None else types.looked_through(found.pointer)
    assert not isinstance(frame.function, str)
    return Access(
        frame=number,
        function=frame.function.names[0],
        offset=insn.address - frame.function.start,
        pc=insn.address,
        instruction=" ".join(insn.text).strip(),
        kind="write" if writes else "read",
        size=size,
        address=found.address,
        register=found.register,
        value=found.value,
        displacement=found.displacement,
        type=found.type,
        member=found.member,
        origin=_origin(typed),
        state="" if found.value is None else state_of(found.value),
        holder=_holder(made, frame, types, found.pointer, found.value),
        index=found.index or 0,
        evidence=found.evidence,
    )


def _holder(
    made: Recovery, frame: Walked, types: Types, pointer: Value | None, value: int | None
) -> str:
    """The slab object that a pointer points to, or else the one that it was loaded from."""
    from btfdbg.frames.slab_state import slab_state

    prog, read = made.session.prog, made.text.memory
    own = "" if value is None else slab_state(prog, read, value)
    if own:
        typed = None if pointer is None else types.of(pointer)
        name = typed.text if typed is not None else "the pointer"
        return f"{name} ({value:#x}) is {own}"
    base = None if pointer is None else pointer[0]
    if base is None or base[0] != "load" or not isinstance(base[3], tuple):
        return ""
    inner: Value = (base[3][0], 0, 64)
    number = None if inner[0] is None else frame.env.number(inner)
    found = "" if number is None else slab_state(prog, read, number)
    if not found:
        return ""
    typed = types.of(inner)
    name = typed.text if typed is not None else "what it was loaded from"
    return f"{name} ({number:#x}) is {found}"


def _origin(typed: Typed | None) -> str:
    return "" if typed is None else typed.text


def _wild_call(session: Session, made: Recovery, number: int, frame: Walked) -> Access | None:
    """A jump to what is no code: the call before the return address says through what."""
    back = _return_address(session, made, frame)
    function = made.text.function(back - 1) if back else ""
    if isinstance(function, str):
        return None
    flow = made.flow(function)
    call = None if flow.problem else flow.call_before(back)
    state = None if call is None else flow.before(call.address)
    if call is None or state is None:
        return None
    through = call.through
    if call.kind == CALL:
        names = (n.removeprefix(THUNK) for n in made.text.names_at(call.target))
        through = next((n for n in names if n in made.arch.REGISTERS), None)
    if through is None:
        return None
    prototype = made.text.prototype_at(function.start)
    types = Types(session, made.text, prototype, flow.insns, flow)
    typed: Typed | None = None
    where: Value | None = None
    if isinstance(through, str):
        value = state.regs.get(through)
        typed = None if value is None else types.of(value)
        base = None if value is None or value[1] else value[0]
        if base is not None and base[0] == "load" and isinstance(base[3], tuple):
            where = (base[3][0], base[3][1], base[3][2])
    else:
        where = flow.address_of(state, through, call.end)
        typed = None if where is None else types.at(where, 8)
    target = None if typed is None or typed.type is None else underlying(typed.type)
    member, evidence = "", ""
    if target is None and where is not None:
        target, member, evidence = entry(made, flow, where, (0, 8, 0), None)
    return Access(
        frame=number,
        function=function.names[0],
        offset=call.address - function.start,
        pc=call.address,
        instruction=" ".join(call.text).strip(),
        kind="execute",
        size=0,
        address=frame.raw.pc,
        register=through if isinstance(through, str) else "the pointer",
        value=frame.raw.pc,
        displacement=0,
        type=target,
        member=member,
        origin=_origin(typed),
        state=state_of(frame.raw.pc),
        evidence=evidence,
    )


def _return_address(session: Session, made: Recovery, frame: Walked) -> int:
    registers = frame.raw.registers
    if not made.arch.RETURN_ADDRESS_ON_STACK:
        return registers.get("x30", 0)
    return made.text.word(registers.get(made.arch.SP, 0)) or 0
