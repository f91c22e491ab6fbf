"""The memory access that faulted, in words: which member of what, through which pointer.

Owns finding the interrupted frame that faulted, its instruction's memory operand, and the
sentence about it. What a pointer's type and spelling are is ``types``'; what the log said of
the fault is the caller's.

Facts: ``include/linux/poison.h``; ``include/linux/err.h`` (MAX_ERRNO);
``arch/x86/include/asm/idtentry.h`` (``asm_exc_*``), ``arch/arm64/kernel/entry.S``
(``el1h_64_sync``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import drgn

from btfdbg.frames.arguments import recovery, walk
from btfdbg.frames.flow import FunctionFlow, State, Value
from btfdbg.frames.ir import CALL_REGISTER, JUMP_REGISTER, STORE, Insn, Mem
from btfdbg.frames.recover import Recovery, Walked
from btfdbg.frames.types import Typed, Types, pointed_to, underlying
from btfdbg.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from btfdbg.program.session import Session

_PAGE = 4096
_MAX_ERRNO = 4095
_ENTRIES = ("asm_exc_", "el1h_64_sync", "el1_sync", "async_page_fault", "general_protection")
_POISON = {
    0xDEAD000000000100: "LIST_POISON1: a list entry that was removed",
    0xDEAD000000000122: "LIST_POISON2: a list entry that was removed",
    0x6B6B6B6B6B6B6B6B: "slab poison: freed memory",
    0x5A5A5A5A5A5A5A5A: "slab poison: memory that was never initialised",
}


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
            address = f"{start}{moved}"
        if self.type is None or not self.member:
            return address
        return f"{address} = {self.type.type_name()}.{self.member}"

    def _pointer(self) -> str:
        if not self.register:
            return ""
        found = f"{self.register} is {self.origin}" if self.origin else ""
        if self.state:
            found += f"{', ' if found else f'{self.register} is '}{self.state}"
        return f"{found}{'; ' if found else ''}{self.holder}" if self.holder else found


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
                return access
    return None


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
    state = flow.before(frame.raw.pc)
    if insn is None or state is None:
        return
    types = Types(session, made.text, frame.prototype)
    for mem, size in made.arch.memory(*insn.text):
        if mem.segment:
            continue
        yield _access(made, frame, flow, insn, state, types, number, (mem, size))


def _access(
    made: Recovery,
    frame: Walked,
    flow: FunctionFlow,
    insn: Insn,
    state: State,
    types: Types,
    number: int,
    operand: tuple[Mem, int],
) -> Access:
    mem, size = operand
    registers = frame.raw.registers
    kind = "write" if any(op[0] == STORE and op[1] == mem for op in insn.ops) else "read"
    register, displacement = mem.base or "", mem.disp
    value = registers.get(register) if register != "pc" else insn.end
    address = None if value is None and register else (value or 0) + mem.disp
    if mem.index_by is not None:
        index = registers.get(mem.index_by)
        if index is None or not mem.scale or address is None:
            address = None
        else:
            address += index * mem.scale
    pointer = state.regs.get(register)
    typed = None if pointer is None else types.of(pointer)
    target = pointed_to(typed.type) if typed is not None else None
    member = ""
    if mem.index_by is None and pointer is not None and register != "pc":
        place = types.at((pointer[0], (pointer[1] + mem.disp) % (1 << 64), 64), size)
        target, member = _member(types, pointer, mem, size, target, place)
    assert not isinstance(frame.function, str)
    return Access(
        frame=number,
        function=frame.function.names[0],
        offset=insn.address - frame.function.start,
        pc=insn.address,
        instruction=" ".join(insn.text).strip(),
        kind=kind,
        size=size,
        address=None if address is None else address % (1 << 64),
        register="" if register == "pc" else register,
        value=None if register == "pc" else value,
        displacement=displacement,
        type=target,
        member=member,
        origin=_origin(typed),
        state="" if value is None or register == "pc" else state_of(value),
        holder=_holder(made, frame, types, pointer, None if register == "pc" else value),
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


def _member(
    types: Types,
    pointer: Value,
    mem: Mem,
    size: int,
    target: drgn.Type | None,
    place: Typed | None,
) -> tuple[drgn.Type | None, str]:
    """The struct behind the pointer and the member's path in it."""
    from btfdbg.frames.types import member_at

    if target is not None:
        found = member_at(target, mem.disp, size)
        return target, "" if found is None else found.path
    # The pointer itself is one into a struct: its base tells.
    base, k, bits = pointer
    outer = types.of((base, 0, bits)) if base is not None else None
    behind = pointed_to(outer.type) if outer is not None else None
    offset = k - (1 << 64) if k >> 63 else k
    if behind is None or place is None:
        return None, ""
    found = member_at(behind, offset + mem.disp, size)
    return (None, "") if found is None else (behind, found.path)


def _origin(typed: Typed | None) -> str:
    return "" if typed is None else typed.text


def state_of(value: int) -> str:
    """What a pointer's value says of itself: "" for one that may be good."""
    if value < _PAGE:
        return "NULL" if not value else f"NULL+{value:#x}"
    if value > (1 << 64) - 1 - _MAX_ERRNO:
        import errno

        number = (1 << 64) - value
        return f"an error: -{errno.errorcode.get(number, str(number))}"
    poison = max((p for p in _POISON if p <= value), default=0)
    if poison and value - poison < _PAGE // 16:
        return _POISON[poison]
    if not value >> 47:
        return "a user's address"
    if value >> 47 != (1 << 17) - 1 and value >> 56 != 0xFF:
        return "no canonical address"
    return ""


def _wild_call(session: Session, made: Recovery, number: int, frame: Walked) -> Access | None:
    """A jump to what is no code: the call before the return address says through what."""
    back = _return_address(session, made, frame)
    function = made.text.function(back - 1) if back else ""
    if isinstance(function, str):
        return None
    flow = made.flow(function)
    call = None if flow.problem else flow.call_before(back)
    state = None if call is None else flow.before(call.address)
    if call is None or state is None or call.kind not in (CALL_REGISTER, JUMP_REGISTER):
        return None
    types = Types(session, made.text, made.text.prototype_at(function.start))
    through = call.through
    typed: Typed | None = None
    if isinstance(through, str):
        value = state.regs.get(through)
        typed = None if value is None else types.of(value)
    elif through is not None:
        where = flow.address_of(state, through, call.end)
        typed = None if where is None else types.at(where, 8)
    target = None if typed is None or typed.type is None else underlying(typed.type)
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
        member="",
        origin=_origin(typed),
        state=state_of(frame.raw.pc),
    )


def _return_address(session: Session, made: Recovery, frame: Walked) -> int:
    registers = frame.raw.registers
    if not made.arch.RETURN_ADDRESS_ON_STACK:
        return registers.get("x30", 0)
    return made.text.word(registers.get(made.arch.SP, 0)) or 0
