"""The C type behind a value that ``flow`` names, and how the source would spell it.

Owns the step from "what the load at that place gave" to "``file->f_op``, a pointer to struct
file_operations": parameters by their prototype, globals by their symbol, results by the called
function's prototype, loads by the member that is there, values that differ by the path by what
all paths agree on. Where BTF leaves a choice (a union), the spelling says the first and the type
is not known, until the value is looked through: then it is the union's pointer, if it has one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import drgn
from drgn import TypeKind

from btfdbg.errors import BtfError
from btfdbg.frames.ir import LOAD, SELECT, Mem
from btfdbg.frames.layout import member_at, members_at, pointed_to, size_of, underlying
from btfdbg.frames.state import CURRENT_TASK, Base, Value, signed
from btfdbg.lazy_dataclass import dataclass
from btfdbg.program.placed import global_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from btfdbg.frames.flow import FunctionFlow
    from btfdbg.frames.ir import Insn
    from btfdbg.frames.prototypes import Prototype
    from btfdbg.frames.text import Text
    from btfdbg.kallsyms import Sym
    from btfdbg.program.session import Session

_MAX_DEPTH = 8
_MAX_PATHS = 256  # values looked at, for one function
_MAX_TEXTS = 3
# Functions that call what a register holds (arch/x86/include/asm/nospec-branch.h).
THUNK = "__x86_indirect_thunk_"
_WORD = 8
_LATER = ", or a later one of the loop"


@dataclass(frozen=True, slots=True)
class Typed:
    """
    A value's type and spelling.

    :ivar type: None if it is not known.
    :ivar text: As C would write it: ``file->f_op``.
    """

    type: drgn.Type | None
    text: str


class Types:
    """
    Types of values in one function.

    :param prototype: Of the function, or why there is none.
    :param insns: Its instructions, where it is to be known which load a CPU's base (arm64) or a
        CPU's variable (x86-64).
    :param flow: Its analysis, where values are wanted that differ by the path.
    """

    def __init__(
        self,
        session: Session,
        text: Text,
        prototype: Prototype | str,
        insns: Mapping[int, Insn] | None = None,
        flow: FunctionFlow | None = None,
    ) -> None:
        self._flow = flow
        self._assumed: dict[Base, Typed | None] = {}
        self._paths_left = _MAX_PATHS
        self._session = session
        self._text = text
        self._prototype = prototype
        self._insns = insns or {}

    def of(self, value: Value, depth: int = 0) -> Typed | None:
        """Type and spelling of a value; None if nothing is known of where it comes from."""
        base, k, bits = value
        if depth > _MAX_DEPTH or bits < 64:
            return None
        if base is None:
            return self._constant(k)
        found: Typed | None = None
        if base[0] == "entry":
            found = self._parameter(str(base[1]))
        elif base[0] == "stack":
            found = self._stack_parameter(base[1])
        elif base[0] == "phi":
            found = self._met(base, depth)
        elif base == CURRENT_TASK:
            found = self._current()
        elif base[0] == "call" and base[2] in ("rax", "x0"):
            found = self._result(base[3])
        elif base[0] == "load" and isinstance(base[3], tuple) and isinstance(base[4], int):
            found = self.at(base[3], base[4], depth + 1)
        elif base[0] == "load" and base[3] is None:
            found = self._of_segment(base[1], base[4])
        elif base[0] == "def" and self._is_cpu_base(base[1]):
            return self._of_cpu(k)
        elif base[0] == "def" and self._flow is not None:
            found = self._one_of(base, depth)
        if found is None or not k:
            return found
        return self._moved(found, k)

    def looked_through(self, value: Value, depth: int = 0) -> Typed | None:
        """As :meth:`of`, for a value that is used as a pointer: of a union, its only pointer."""
        found = self.of(value, depth)
        base, k, _ = value
        where = None if base is None or k or base[0] != "load" else base[3]
        if found is None or found.type is not None or not isinstance(where, tuple):
            return found
        assert base is not None
        holder = self.of((where[0], 0, where[2]), depth + 1) if where[0] is not None else None
        target = None if holder is None else pointed_to(holder.type)
        if holder is None or target is None or not isinstance(base[4], int):
            return found
        every = members_at(target, signed(where[1]), base[4])
        pointers = [m for m in every if m.type is not None and pointed_to(m.type) is not None]
        if len(pointers) != 1:
            return found
        inside = holder.text.startswith("&")
        text = f"{holder.text[1:]}." if inside else f"{holder.text}->"
        return Typed(pointers[0].type, f"{text}{pointers[0].path}")

    def at(self, address: Value, size: int, depth: int = 0) -> Typed | None:
        """
        What is at an address.

        :param size: Bytes of the access; a member of that size is preferred.
        """
        base, k, bits = address
        if base is None:
            return self._global(k, size)
        if base[0] == "def" and self._is_cpu_base(base[1]):
            return self.per_cpu(k, size)
        pointer = self.looked_through((base, 0, bits), depth)
        if pointer is None:
            return None
        offset = signed(k)
        target = pointed_to(pointer.type)
        if target is None:
            return Typed(None, _offset_text(pointer.text, offset))
        found = member_at(target, offset, size)
        if found is None:
            return _entry_of(pointer, target, offset, size)
        text = pointer.text.removesuffix(_LATER)
        later = pointer.text[len(text) :]
        if not found.path:
            return Typed(found.type, f"*{text}{later}")
        if text.startswith("&"):
            return Typed(found.type, f"{text[1:]}.{found.path}{later}")
        return Typed(found.type, f"{text}->{found.path}{later}")

    def all_at(self, address: int, size: int) -> list[drgn.Type]:
        """The types of all that a global has at an address: several in a union."""
        try:
            symbol = self._session.prog.symbol(address)
            obj = global_at(self._session, symbol.name, symbol.address)
        except (LookupError, BtfError):
            return []
        if obj is None:
            return []
        every = members_at(obj.type_, address - symbol.address, size)
        return [m.type for m in every if m.type is not None]

    def per_cpu(self, address: int, size: int) -> Typed | None:
        """
        The per-CPU variable, or its member, that an instruction accesses through ``gs``.

        :param address: Within a CPU's area, or of the symbol where the kernel's are such.
        """
        found = self._global(address, size, per_cpu=True)
        return None if found is None else Typed(found.type, f"this_cpu({found.text})")

    def _is_cpu_base(self, address: object) -> bool:
        """Whether an instruction gives where the running CPU's variables begin (arm64)."""
        insn = self._insns.get(address) if isinstance(address, int) else None
        if insn is None or insn.text[0] != "mrs":
            return False
        return insn.text[1].rpartition(" ")[2] in ("tpidr_el1", "tpidr_el2")

    def _of_cpu(self, address: int) -> Typed | None:
        found = self._global(address, 0)
        if found is None:
            return None
        type_ = None if found.type is None else self._session.prog.pointer_type(found.type)
        return Typed(type_, f"&this_cpu({found.text})")

    def _parameter(self, register: str) -> Typed | None:
        if isinstance(self._prototype, str) or self._prototype.signature.problem:
            return None
        for param in self._prototype.signature.params:
            if param.registers == (register,) and not param.by_reference:
                type_ = self._prototype.type_of(param.type_id)
                return None if type_ is None else Typed(type_, param.name or register)
        return None

    def _stack_parameter(self, offset: object) -> Typed | None:
        if isinstance(self._prototype, str) or self._prototype.signature.problem:
            return None
        for param in self._prototype.signature.params:
            if param.stack == offset and param.size == _WORD and not param.by_reference:
                type_ = self._prototype.type_of(param.type_id)
                return None if type_ is None or not param.name else Typed(type_, param.name)
        return None

    def _of_segment(self, address: object, size: object) -> Typed | None:
        """What an instruction loads that names a CPU's variable (x86-64's ``gs:``)."""
        insn = self._insns.get(address) if isinstance(address, int) else None
        if insn is None or not isinstance(size, int):
            return None
        for op in insn.ops:
            if op[0] != LOAD or not op[2].segment or op[2].index_by is not None:
                continue
            if op[2].base in (None, "pc"):
                place = op[2].disp + (insn.end if op[2].base else 0)
                return self.per_cpu(place % (1 << 64), size)
        return None

    def _met(self, base: Base, depth: int) -> Typed | None:
        """
        A value that differs by the path: its type if it is the same on every path.

        In a loop one of the paths brings what was made from the value itself: that one is looked
        at with the others' type taken for the value's. NULL has every pointer's type.
        """
        if base in self._assumed:
            return self._assumed[base]
        met, brought = self._paths(base)
        return self._agreed(met, brought, depth) if brought else None

    def _paths(self, base: Base) -> tuple[list[Base], list[Value | None]]:
        """
        The names of a value where paths meet before they meet again, and what it is on them.

        :return: No values if they are too many, or it does not differ by the path.
        """
        names, values = [base], dict[Value | None, None]()
        flow = self._flow
        for name in names:
            for value in (None if flow is None else flow.brought(name)) or (None,):
                inner = None if value is None else value[0]
                plain = value is not None and value[1:] == (0, 64) and inner not in self._assumed
                if inner is None or inner[0] != "phi" or not plain:
                    values[value] = None
                elif inner not in names:
                    names.append(inner)
            if len(names) + len(values) > _MAX_PATHS:
                return [], []
        return names, list(values)

    def _one_of(self, base: Base, depth: int) -> Typed | None:
        """What an instruction chose among two registers, or a register and memory (``cmov``)."""
        flow, address = self._flow, base[1]
        if base in self._assumed:
            return self._assumed[base]
        insn = self._insns.get(address) if isinstance(address, int) else None
        state = None if insn is None or flow is None else flow.before(insn.address)
        if insn is None or state is None:
            return None
        for op in insn.ops:
            if op[0] == SELECT and op[1] == base[2] and op[4] == 64:
                other: Value | None
                if isinstance(op[3], Mem):
                    assert flow is not None
                    where = flow.address_of(state, op[3], insn.end)
                    loaded = ("load", insn.address, op[1], where, _WORD)
                    other = None if where is None else (loaded, 0, 64)
                else:
                    other = state.regs[op[3]]
                return self._agreed([base], [state.regs[op[2]], other], depth)
        return None

    def _agreed(
        self, met: Sequence[Base], brought: Sequence[Value | None], depth: int
    ) -> Typed | None:
        """The type of values under all names that they have where paths meet."""
        values = [v for v in dict.fromkeys(brought) if v != (None, 0, 64)]
        if not values:
            return None
        outer = self._assumed
        self._assumed = outer | dict.fromkeys(met)
        try:
            texts: list[str] = []
            agreed: drgn.Type | None = None
            waiting = list(values)
            for loop in (False, True):
                todo, waiting = waiting, []
                for value in todo:
                    self._paths_left -= 1
                    if value is None or self._paths_left < 0:
                        return None
                    if value[0] in met and not value[1]:
                        continue
                    found = self.of(value, depth + 1)
                    type_ = None if found is None else found.type
                    if found is None or type_ is None or pointed_to(type_) is None:
                        waiting.append(value)
                        continue
                    type_ = _decayed(self._session.prog, type_)
                    if agreed is not None and not _same_pointer(agreed, type_):
                        return None
                    agreed = agreed or type_
                    if not loop:
                        texts.append(found.text)
                if agreed is None or not waiting:
                    break
                self._assumed |= dict.fromkeys(met, Typed(agreed, texts[0]))
            if agreed is None or waiting:
                return None
            several = list(dict.fromkeys(texts))
            text = " or ".join(several) if len(several) <= _MAX_TEXTS else ""
            return Typed(agreed, f"{text}{_LATER}" if loop and text else text)
        finally:
            self._assumed = outer

    def _current(self) -> Typed | None:
        try:
            return Typed(self._session.prog.type("struct task_struct *"), "current")
        except LookupError:
            return Typed(None, "current")

    def _result(self, target: object) -> Typed | None:
        if not isinstance(target, int):
            return None
        names = self._text.names_at(target)
        if any(name.startswith(THUNK) for name in names):
            return None
        prototype = self._text.prototype_at(target)
        if isinstance(prototype, str):
            return Typed(None, f"{names[0]}()") if names else None
        return Typed(prototype.type_of(prototype.result), f"{prototype.name}()")

    def _constant(self, address: int) -> Typed | None:
        """The address of a global."""
        found = self._global(address, 0)
        if found is None:
            return None
        type_ = None if found.type is None else self._session.prog.pointer_type(found.type)
        return Typed(type_, f"&{found.text}")

    def _global(self, address: int, size: int, *, per_cpu: bool = False) -> Typed | None:
        """The global, or its member, at an address."""
        prog = self._session.prog
        # First: what has no size (a section's start) may be the nearest symbol of others.
        symbol: drgn.Symbol | Sym | None = self._text.per_cpu_symbol(address) if per_cpu else None
        if symbol is None:
            try:
                symbol = prog.symbol(address)
            except LookupError:
                return None
        offset = address - symbol.address
        if symbol.size and offset >= symbol.size:
            return None
        try:
            obj = global_at(self._session, symbol.name, symbol.address)
        except (LookupError, BtfError):
            obj = None
        if obj is None:
            return Typed(None, f"{symbol.name}+{offset:#x}" if offset else symbol.name)
        if not size and not offset:
            return Typed(obj.type_, symbol.name)
        found = member_at(obj.type_, offset, size)
        if found is None:
            return Typed(None, f"{symbol.name}+{offset:#x}" if offset else symbol.name)
        if not found.path:
            return Typed(found.type, symbol.name)
        dot = "" if found.path.startswith("[") else "."
        return Typed(found.type, f"{symbol.name}{dot}{found.path}")

    def _moved(self, pointer: Typed, k: int) -> Typed:
        """A pointer plus bytes: the address of a member."""
        offset = signed(k)
        target = pointed_to(pointer.type)
        found = None if target is None else member_at(target, offset, 0)
        if found is None or not found.path:
            return Typed(None, _offset_text(pointer.text, offset))
        type_ = None if found.type is None else self._session.prog.pointer_type(found.type)
        text = pointer.text.removesuffix(_LATER)
        later = pointer.text[len(text) :]
        if text.startswith("&"):
            return Typed(type_, f"{text}.{found.path}{later}")
        return Typed(type_, f"&{text}->{found.path}{later}")


def _offset_text(text: str, offset: int) -> str:
    if not offset:
        return f"*({text})"
    return f"*({text}{'+' if offset > 0 else '-'}{abs(offset):#x})"


def _entry_of(pointer: Typed, target: drgn.Type, offset: int, size: int) -> Typed:
    """What lies behind what a pointer points to: an entry of a table of pointers, or nothing."""
    if underlying(target).kind is TypeKind.POINTER and size == _WORD:
        index, rest = divmod(offset, _WORD)
        if index > 0 and not rest:
            return Typed(target, f"{pointer.text.removeprefix('&')}[{index}]")
    return Typed(None, _offset_text(pointer.text, offset))


def _decayed(prog: drgn.Program, pointer: drgn.Type) -> drgn.Type:
    """A pointer to an array as one to its elements, which is what a loop over it has."""
    target = pointed_to(pointer)
    if target is None or underlying(target).kind is not TypeKind.ARRAY:
        return pointer
    return prog.pointer_type(underlying(target).type)


def _same_pointer(one: drgn.Type, other: drgn.Type) -> bool:
    left, right = pointed_to(one), pointed_to(other)
    if left is None or right is None:
        return False
    one, other = underlying(left).unqualified(), underlying(right).unqualified()
    return one.type_name() == other.type_name() and size_of(one) == size_of(other)
