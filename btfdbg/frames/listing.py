"""A function's instructions as ``dis`` shows them, each with what it means in C's words.

Owns the listing and its comments: the member that a load or store is of, the arguments of a
call, the global behind an address. What a value's type and spelling are is ``types``'; an
instruction of which nothing is proven has no comment.

Facts: ``arch/x86/include/asm/nospec-branch.h`` (``__x86_indirect_thunk_REGISTER``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import drgn
from drgn import TypeKind

from btfdbg.frames.arguments import recovery, walk
from btfdbg.frames.ir import (
    ADD,
    ADDRESS,
    BRANCH,
    CALL,
    CALL_REGISTER,
    CONST,
    CURRENT,
    JUMP,
    JUMP_REGISTER,
    LOAD,
    MOVE,
    STORE,
    Insn,
    Mem,
    Op,
)
from btfdbg.frames.layout import underlying
from btfdbg.frames.state import CURRENT_TASK, State, Value
from btfdbg.frames.types import THUNK, Typed, Types
from btfdbg.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from btfdbg.frames.abi import Param
    from btfdbg.frames.flow import FunctionFlow
    from btfdbg.frames.function import Function
    from btfdbg.frames.prototypes import Prototype
    from btfdbg.frames.recover import Recovery
    from btfdbg.program.session import Session

MAX_BYTES = 1 << 20
_PAGE = 4096
_M64 = (1 << 64) - 1
_KERNEL = 1 << 63
_MAX_STRING = 48


@dataclass(frozen=True, slots=True)
class Line:
    """
    One instruction.

    :ivar address: Where it is.
    :ivar size: Bytes.
    :ivar text: Mnemonic and operands, as the disassembler writes them.
    :ivar target: What a direct jump or call leads to, ``mutex_lock`` or ``vfs_read+0x1c``.
    :ivar comment: What it does in C's words, ``file->f_op``; "" if that is not proven.
    """

    address: int
    size: int
    text: str
    target: str
    comment: str


class Listing:
    """
    Listings of the code of one Session.

    >>> listing = Listing(session)
    >>> next(listing.of(listing.function(prog.symbol("vfs_read").address))).text
    'endbr64'

    :raises DebugInfoError: machine code cannot be read; see :func:`btfdbg.frames.arguments`.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._made = recovery(session)
        self._text = self._made.text

    def function(self, address: int) -> Function | None:
        """The function of the kernel or of a module that holds an address."""
        found = self._text.function(address)
        return None if isinstance(found, str) else found

    def missing(self, function: Function) -> str:
        """Why nothing is known of what a function's registers hold, or ""."""
        return self._made.flow(function).problem

    def is_missing(self, address: int) -> bool:
        """Whether the code at an address is not in the dump."""
        return self._text.memory(address, 1) is None

    def read(self, address: int, size: int) -> bytes:
        """Bytes from an address on, up to where the dump has no more."""
        data = b""
        while len(data) < size:
            here = address + len(data)
            more = self._text.memory(here, min(size - len(data), _PAGE - here % _PAGE))
            if more is None:
                break
            data += more
        return data

    def of(self, function: Function) -> Iterator[Line]:
        """
        All instructions of a function, its ``.cold`` part not among them.

        :raises Refusal: its code is not in the dump.
        """
        size = min(function.end - function.start, MAX_BYTES)
        code = self._text.read(function.start, size)
        comments = _Comments(self._session, self._made, function).all()
        yield from self._lines(code, function.start, comments)

    def part(self, function: Function, address: int) -> Iterator[Line]:
        """As :meth:`of`, for the part of a function that an address is in (``.cold``)."""
        if function.start <= address < function.end:
            return self.of(function)
        return self._of_part(function, address)

    def _of_part(self, function: Function, address: int) -> Iterator[Line]:
        sym = self._text.symbol(address)
        if sym is None:
            return
        code = self._text.read(sym.address, min(sym.size, MAX_BYTES))
        comments = _Comments(self._session, self._made, function).all()
        yield from self._lines(code, sym.address, comments)

    def plain(self, code: bytes, address: int) -> Iterator[Line]:
        """Instructions of any bytes; ends at the first that is none."""
        return self._lines(code, address, {})

    def _lines(self, code: bytes, address: int, comments: dict[int, str]) -> Iterator[Line]:
        at = 0
        while at < len(code):
            for here, size, mnemonic, operands in self._made.disassemble(code, address + at, at):
                found = self._made.arch.direct(mnemonic, operands)
                target = "" if found is None else self._target(found[1])
                text = f"{mnemonic} {operands}".strip()
                yield Line(here, size, text, target, comments.get(here, ""))
                at = here + size - address
            if at < len(code) and self._text.machine == "aarch64":
                # Data among the code: literals, and the pointer to ftrace's ops.
                word = int.from_bytes(code[at : at + 4], "little")
                yield Line(address + at, 4, f".inst {word:#010x}", "", "")
                at += 4
            else:
                return

    def _target(self, address: int) -> str:
        found = self.place(address)
        arch = self._made.arch
        if found or not arch.VENEER_BYTES:
            return found
        code = self._text.memory(address, arch.VENEER_BYTES)
        behind = arch.veneer(code, address) if code is not None else 0
        return self.place(behind) if behind else ""

    def place(self, address: int) -> str:
        """``symbol`` or ``symbol+0x1c``, "" where no symbol is."""
        try:
            symbol = self._session.prog.symbol(address)
        except LookupError:
            return ""
        offset = address - symbol.address
        return f"{symbol.name}+{offset:#x}" if offset else symbol.name


class _Comments:
    """The comments of one function."""

    def __init__(self, session: Session, made: Recovery, function: Function) -> None:
        self._session = session
        self._made = made
        self._flow: FunctionFlow = made.flow(function)
        prototype = made.text.prototype_at(function.start)
        self._types = Types(session, made.text, prototype, self._flow.insns)

    def all(self) -> dict[int, str]:
        """Comment by address."""
        found = {}
        for insn, state in self._flow.states():
            comment = self._of(insn, state)
            if comment:
                found[insn.address] = comment
        return found

    def _of(self, insn: Insn, state: State) -> str:
        if insn.kind == CALL or (insn.kind == JUMP and self._leaves(insn)):
            return self._call(insn.target, state)
        if insn.kind in (CALL_REGISTER, JUMP_REGISTER):
            return self._through(insn, state)
        if insn.kind in (JUMP, BRANCH):
            return ""
        told = [text for op in insn.ops if (text := self._operation(op, insn, state))]
        if told:
            return "; ".join(dict.fromkeys(told))
        operands = self._made.arch.memory(*insn.text)
        places = (self._place(state, mem, size, insn.end) for mem, size in operands)
        return "; ".join(dict.fromkeys(text for p in places if (text := _shown(p))))

    def _leaves(self, insn: Insn) -> bool:
        return insn.target not in self._flow.insns

    # Operands

    def _operation(self, op: Op, insn: Insn, state: State) -> str:
        code = op[0]
        if code == CURRENT:
            return "current"
        if code == LOAD:
            _, register, mem, size = op
            return self._load(register, mem, size, insn, state)
        if code == STORE:
            return self._store(op, insn, state)
        if code in (ADDRESS, CONST, ADD, MOVE):
            if insn.text[0] == "adrp":
                return ""  # a page: what follows adds the rest
            if op[1] == self._made.arch.SP or (code == MOVE and op[3] != 64):
                return ""
            after = state.copy()
            self._flow.execute(after, insn)
            value = after.regs[op[1]]
            if code == CONST and value[1] < _KERNEL:
                return ""
            return self._spelled(value)
        return ""

    def _load(self, dst: str, mem: Mem, size: int, insn: Insn, state: State) -> str:
        where = self._flow.address_of(state, mem, insn.end)
        after = state.copy()
        self._flow.execute(after, insn)
        value = after.regs[dst]
        if value[0] == CURRENT_TASK:
            return "current"
        if where is not None and where[0] == ("sp",):
            typed = self._types.of(value)
            return _shown(typed)
        return _shown(self._place(state, mem, size, insn.end))

    def _store(self, op: Op, insn: Insn, state: State) -> str:
        _, mem, what, size, pushed = op
        if pushed:
            return ""
        where = self._flow.address_of(state, mem, insn.end)
        value: Value | None = None
        if isinstance(what, int):
            value = (None, what & _M64, 64)
        elif isinstance(what, str):
            value = state.regs[what]
        if where is not None and where[0] == ("sp",):
            return "" if value is None else _shown(self._types.of(value))
        place = self._place(state, mem, size, insn.end)
        left = _shown(place)
        if not left or value is None or place is None or place.type is None:
            return left
        right = self._value(value, place.type, size)
        return f"{left} = {right}" if right != "?" else left

    def _place(self, state: State, mem: Mem, size: int, end: int) -> Typed | None:
        if mem.segment:
            if mem.segment != "gs" or mem.index_by is not None or mem.base not in (None, "pc"):
                return None
            address = (mem.disp + (end if mem.base else 0)) & _M64
            return self._types.per_cpu(address, size)
        where = self._flow.address_of(state, mem, end)
        return None if where is None else self._types.at(where, size)

    def _spelled(self, value: Value) -> str:
        if value[0] is None:
            string = self._string(value[1])
            if string:
                return string
        return _shown(self._types.of(value))

    def _string(self, address: int) -> str:
        """A constant string's text in quotes; "" if there is none at an address."""
        if address < _KERNEL or not self._is_constant(address):
            return ""
        data = self._made.text.memory(address, _MAX_STRING + 1)
        if data is None:
            return ""
        text, end, _ = data.partition(b"\0")
        if text[:1] == b"\x01" and len(text) > 2:
            text = text[2:]  # printk's level, include/linux/kern_levels.h
        body = text.rstrip(b"\n")
        if len(body) < 2 or not all(32 <= c < 127 for c in body):
            return ""
        shown = text.decode("ascii", "replace").replace("\\", "\\\\").replace("\n", "\\n")
        shown = shown.replace('"', '\\"')
        return f'"{shown}"' if end else f'"{shown[:_MAX_STRING]}..."'

    def _is_constant(self, address: int) -> bool:
        """Whether no named variable is at an address: strings have no symbols."""
        try:
            symbol = self._session.prog.symbol(address)
        except LookupError:
            return True
        return "rodata" in symbol.name or symbol.name.startswith((".LC", "str__", "__func__"))

    # Calls

    def _through(self, insn: Insn, state: State) -> str:
        through = insn.through
        if isinstance(through, str):
            return self._called(_shown(self._types.of(state.regs[through])))
        if through is None:
            return ""
        return self._called(_shown(self._place(state, through, 8, insn.end)))

    def _called(self, text: str) -> str:
        return text if text.endswith(")") or not text else f"{text}()"

    def _call(self, target: int, state: State) -> str:
        for name in self._made.text.names_at(target):
            register = name.removeprefix(THUNK)
            if register != name and register in state.regs:
                return self._called(_shown(self._types.of(state.regs[register])))
        prototype = self._made.text.prototype_at(target)
        if isinstance(prototype, str) or prototype.signature.problem:
            return ""
        shown = [self._argument(p, prototype, state) for p in prototype.signature.params]
        if not shown or all(s == "?" for s in shown):
            return ""
        more = ", ..." if prototype.signature.variadic else ""
        return f"{prototype.name}({', '.join(shown)}{more})"

    def _argument(self, param: Param, prototype: Prototype, state: State) -> str:
        if len(param.registers) != 1 or param.by_reference:
            return "?"
        value = state.regs.get(param.registers[0])
        if value is None:
            return "?"
        return self._value(value, prototype.type_of(param.type_id), param.size)

    def _value(self, value: Value, type_: drgn.Type | None, size: int) -> str:
        """A value as C would write it for a place of a type; ``?`` if it is not known."""
        base, k, bits = value
        if bits < min(8 * size, 64) or size > 8:
            return "?"
        if base is None:
            number = k & ((1 << 8 * size) - 1)
            if number >= _KERNEL and size == 8 and not _is_number(type_):
                return self._spelled(value) or f"{number:#x}"
            return _number(number, type_)
        return _shown(self._types.of(value)) or "?"


def _is_number(type_: drgn.Type | None) -> bool:
    return type_ is not None and underlying(type_).kind in (
        TypeKind.INT,
        TypeKind.BOOL,
        TypeKind.ENUM,
    )


def _number(number: int, type_: drgn.Type | None) -> str:
    real = None if type_ is None else underlying(type_)
    if real is not None and real.kind is TypeKind.POINTER:
        return "NULL" if not number else f"{number:#x}"
    if real is not None and real.kind is TypeKind.BOOL:
        return "true" if number else "false"
    if real is not None and real.kind is TypeKind.ENUM and real.enumerators is not None:
        named = [e.name for e in real.enumerators if e.value == number]
        if len(named) == 1:
            return str(named[0])
    signed = real is not None and real.kind is TypeKind.INT and real.is_signed
    if signed and real is not None and number >> (8 * real.size - 1) & 1:
        number -= 1 << 8 * real.size
    return str(number) if -4096 < number < 4096 else f"{number:#x}"


def _shown(typed: Typed | None) -> str:
    """A spelling; "" where it is about a place that no type names."""
    if typed is None or typed.text.startswith(("*(", "&*(")):
        return ""
    return typed.text


def marks(session: Session, lines: Iterable[Line]) -> dict[int, str]:
    """
    Where the crashed task's stack is among some instructions.

    :return: By address ``=>`` for the instruction that was interrupted, ``->`` for a call
        that has not returned.
    """
    try:
        trace = session.prog.crashed_thread().stack_trace()
    except (LookupError, ValueError, drgn.FaultError):
        return {}
    interrupted: set[int] = set()
    behind: set[int] = set()
    for frame in walk(recovery(session), trace):
        if frame is not None:
            (interrupted if frame.raw.interrupted else behind).add(frame.raw.pc)
    found = {}
    for line in lines:
        if line.address in interrupted:
            found[line.address] = "=>"
        elif line.address + line.size in behind:
            found[line.address] = "->"
    return found
