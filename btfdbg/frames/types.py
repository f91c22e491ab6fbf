"""The C type behind a value that ``flow`` names, and how the source would spell it.

Owns the step from "what the load at that place gave" to "``file->f_op``, a pointer to struct
file_operations": parameters by their prototype, globals by their symbol, results by the called
function's prototype, loads by the member that is there. Where BTF leaves a choice (a union), the
spelling says the first and the type is not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import drgn
from drgn import TypeKind

from btfdbg.errors import BtfError
from btfdbg.frames.flow import CURRENT_TASK, Value
from btfdbg.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from btfdbg.frames.ir import Insn
    from btfdbg.frames.text import Prototype, Text
    from btfdbg.kallsyms import Sym
    from btfdbg.program.session import Session

_MAX_DEPTH = 8
_BITS = 8
# Functions that call what a register holds (arch/x86/include/asm/nospec-branch.h).
THUNK = "__x86_indirect_thunk_"
_WORD = 8


@dataclass(frozen=True, slots=True)
class Typed:
    """
    A value's type and spelling.

    :ivar type: None if it is not known.
    :ivar text: As C would write it: ``file->f_op``.
    """

    type: drgn.Type | None
    text: str


@dataclass(frozen=True, slots=True)
class Member:
    """
    What a struct has at an offset.

    :ivar path: ``f_path.dentry``; "" for the struct itself.
    :ivar type: None if several of a union fit.
    """

    path: str
    type: drgn.Type | None


class Types:
    """
    Types of values in one function.

    :param prototype: Of the function, or why there is none.
    :param insns: Its instructions, where it is to be known which load a CPU's base (arm64).
    """

    def __init__(
        self,
        session: Session,
        text: Text,
        prototype: Prototype | str,
        insns: Mapping[int, Insn] | None = None,
    ) -> None:
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
        elif base == CURRENT_TASK:
            found = self._current()
        elif base[0] == "call" and base[2] in ("rax", "x0"):
            found = self._result(base[3])
        elif base[0] == "load" and isinstance(base[3], tuple) and isinstance(base[4], int):
            found = self.at(base[3], base[4], depth + 1)
        elif base[0] == "def" and self._is_cpu_base(base[1]):
            return self._of_cpu(k)
        if found is None or not k:
            return found
        return self._moved(found, k)

    def at(self, address: Value, size: int, depth: int = 0) -> Typed | None:
        """
        What is at an address.

        :param size: Bytes of the access; a member of that size is preferred.
        """
        base, k, bits = address
        if base is None:
            return self._global(k, size)
        pointer = self.of((base, 0, bits), depth)
        if pointer is None:
            return None
        offset = k - (1 << 64) if k >> 63 else k
        target = pointed_to(pointer.type)
        if target is None:
            return Typed(None, _offset_text(pointer.text, offset))
        found = member_at(target, offset, size)
        if found is None:
            return Typed(None, _offset_text(pointer.text, offset))
        if not found.path:
            return Typed(found.type, f"*{pointer.text}")
        if pointer.text.startswith("&"):
            return Typed(found.type, f"{pointer.text[1:]}.{found.path}")
        return Typed(found.type, f"{pointer.text}->{found.path}")

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
        symbol: drgn.Symbol | Sym
        try:
            symbol = prog.symbol(address)
        except LookupError:
            found_sym = self._text.per_cpu_symbol(address) if per_cpu else None
            if found_sym is None:
                return None
            symbol = found_sym
        offset = address - symbol.address
        if symbol.size and offset >= symbol.size:
            return None
        try:
            obj = prog[symbol.name]
        except (LookupError, BtfError):
            obj = None
        if obj is None or obj.address_ != symbol.address:
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
        offset = k - (1 << 64) if k >> 63 else k
        target = pointed_to(pointer.type)
        found = None if target is None else member_at(target, offset, 0)
        if found is None or not found.path:
            return Typed(None, _offset_text(pointer.text, offset))
        type_ = None if found.type is None else self._session.prog.pointer_type(found.type)
        if pointer.text.startswith("&"):
            return Typed(type_, f"{pointer.text}.{found.path}")
        return Typed(type_, f"&{pointer.text}->{found.path}")


def _offset_text(text: str, offset: int) -> str:
    if not offset:
        return f"*({text})"
    return f"*({text}{'+' if offset > 0 else '-'}{abs(offset):#x})"


def underlying(type_: drgn.Type) -> drgn.Type:
    """A type without its typedefs."""
    while type_.kind is TypeKind.TYPEDEF:
        type_ = type_.type
    return type_


def pointed_to(type_: drgn.Type | None) -> drgn.Type | None:
    """The type that a pointer points to; None if it is no pointer."""
    if type_ is None:
        return None
    pointer = underlying(type_)
    return pointer.type if pointer.kind is TypeKind.POINTER else None


def member_at(type_: drgn.Type, offset: int, size: int) -> Member | None:
    """
    What a type has at an offset.

    :param offset: Bytes.
    :param size: Bytes of the access: the innermost member that is at least as large is meant.
        0: the outermost member that starts there.
    :return: None if the type has nothing there, or is not complete.
    """
    found = _candidates(type_, offset, size, 0)
    if not found:
        return None
    first = found[0]
    if all(m.type is not None and m.type == first.type for m in found[1:]):
        return first
    return Member(first.path, None)


def _candidates(type_: drgn.Type, offset: int, size: int, depth: int) -> list[Member]:
    real = underlying(type_)
    total = size_of(real)
    if offset < 0 or total is None or offset + max(size, 1) > total or depth > _MAX_DEPTH:
        return []
    if real.kind is TypeKind.ARRAY:
        return _elements(real, offset, size, depth)
    if real.kind not in (TypeKind.STRUCT, TypeKind.UNION, TypeKind.CLASS):
        return [Member("", type_)] if offset == 0 else []
    found: list[Member] = []
    for member in real.members:
        start, bits = divmod(member.bit_offset, _BITS)
        if member.bit_field_size is not None:
            last = member.bit_offset + member.bit_field_size
            inside = offset * _BITS <= member.bit_offset and last <= (offset + size) * _BITS
            if inside and size <= _WORD:
                found.append(Member(member.name or "", None))
            continue
        if bits or start > offset:
            continue
        if not size and start == offset and member.name:
            found.append(Member(member.name, member.type))
            continue
        for inner in _candidates(member.type, offset - start, size, depth + 1):
            found.append(Member(_joined(member.name, inner.path), inner.type))
    if not found and offset == 0 and size == total:
        found.append(Member("", type_))
    whole = [m for m in found if m.type is not None and size_of(underlying(m.type)) == size]
    return whole or found


def _elements(array: drgn.Type, offset: int, size: int, depth: int) -> list[Member]:
    element = size_of(underlying(array.type))
    if not element:
        return []
    if not size and not offset:
        return [Member("", array)]
    index, rest = divmod(offset, element)
    return [
        Member(f"[{index}]{'.' if m.path and m.path[0] != '[' else ''}{m.path}", m.type)
        for m in _candidates(array.type, rest, size, depth + 1)
    ]


def _joined(name: str | None, path: str) -> str:
    if not name or not path:
        return name or path
    return f"{name}{'' if path.startswith('[') else '.'}{path}"


def size_of(type_: drgn.Type) -> int | None:
    """Bytes of a type; None for what has no size: incomplete, void, a function."""
    try:
        return int(drgn.sizeof(type_))
    except TypeError:
        return None
