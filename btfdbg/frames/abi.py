"""Which parameter of a function is in which register, or where on the stack.

Owns the mapping from a BTF prototype to places, for the two calling conventions. Must not
know code, a dump, or drgn.

Facts: System V ABI for AMD64, 3.2.3 (classification, hidden pointer to a returned struct);
AAPCS64, 6.8 (stages A to C; x8 has the address of the result). The kernel is built without
floating-point registers, so a prototype with a floating-point parameter gets no places.
pahole's ``true_signature`` prototypes list what is passed, in the order of registers, so the
same mapping holds for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from btfdbg.errors import BtfError
from btfdbg.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from btfdbg.btf import Btf

_WORD = 8
_MAX_PARAMETERS = 32
_MAX_CHAIN = 32


@dataclass(frozen=True, slots=True)
class Param:
    """
    One parameter.

    :ivar name: "" if the prototype names none.
    :ivar type_id: BTF id of its type.
    :ivar size: Bytes.
    :ivar registers: One for each eight bytes; empty if it is not in registers.
    :ivar stack: Offset in bytes from the stack pointer at entry, None if not on the stack.
    :ivar by_reference: The place holds the address of the value (AAPCS64, large structs).
    """

    name: str
    type_id: int
    size: int
    registers: tuple[str, ...]
    stack: int | None = None
    by_reference: bool = False


@dataclass(frozen=True, slots=True)
class Signature:
    """
    Parameters of a function.

    :ivar params: In the order of the prototype, without ``...``.
    :ivar stack_words: Words of named arguments on the stack.
    :ivar variadic: More may follow.
    :ivar problem: Why no place can be told, or "".
    :ivar taken: How many argument registers are used, that of a result's address included; more
        than there are if that is not known.
    """

    params: tuple[Param, ...]
    stack_words: int = 0
    variadic: bool = False
    problem: str = ""
    taken: int = _MAX_PARAMETERS


class _Unmappable(Exception):
    pass


class _Passed(NamedTuple):
    """
    How a value of a type is passed.

    :ivar size: Bytes; 0 for what is nothing, and then the rest does not count.
    :ivar align: Bytes.
    :ivar composite: It is a struct or union.
    :ivar unaligned: It has a member that is not where its alignment wants it, where that matters.
    :ivar problem: Why there is no place for it, or "".
    """

    size: int
    align: int = 0
    composite: bool = False
    unaligned: bool = False
    problem: str = ""


class Types:
    """
    How values of one BTF's types are passed; each is found once, functions share most.

    :param machine: ``x86_64`` or ``aarch64``.
    """

    def __init__(self, btf: Btf, machine: str) -> None:
        self.btf = btf
        self.machine = machine
        self._passed: dict[int, _Passed] = {}

    def passed(self, type_id: int) -> _Passed:
        """
        How a parameter is passed.

        :raises BtfError: its type is damaged.
        """
        known = self._passed.get(type_id)
        if known is None:
            known = self._passed[type_id] = self._find(type_id)
        if known.problem:
            raise _Unmappable(known.problem)
        return known

    def _find(self, type_id: int) -> _Passed:
        btf = self.btf
        size = btf.resolve_size(type_id)
        if not size:
            return _Passed(0)
        from btfdbg.btf import Kind

        kind = btf.kind_of(btf.skip_mods_and_typedefs(type_id))
        if kind in (Kind.PTR, Kind.INT, Kind.ENUM, Kind.ENUM64):  # nearly all
            return _Passed(size, min(btf.pointer_size, size & -size))
        try:
            _refuse_floats(btf, type_id)
            align, composite = btf.align_of(type_id), _is_composite(btf, type_id)
            # A larger one is in memory anyway.
            matters = self.machine == "x86_64" and size <= 2 * _WORD
            unaligned = matters and _is_unaligned(btf, type_id)
        except _Unmappable as e:
            return _Passed(size, problem=str(e))
        return _Passed(size, align, composite, unaligned)


def signature(types: Types, proto: int) -> Signature:
    """
    Places of a function's parameters.

    :param types: Of the BTF that has the prototype.
    :param proto: Id of a FUNC_PROTO.
    :raises BtfError: the prototype or a type of it is damaged.
    """
    from btfdbg.btf import kinds

    t = types.btf.type_by_id(proto)
    if not isinstance(t, kinds.FuncProto):
        raise BtfError(f"type {proto} is no FUNC_PROTO")
    variadic = t.is_variadic
    declared = t.params[:-1] if variadic else t.params
    if len(declared) > _MAX_PARAMETERS:
        return Signature((), problem="its prototype is not one")
    place = _SysV(types) if types.machine == "x86_64" else _Aapcs64(types)
    try:
        place.result(t.type)
        params = tuple(place.next(p.name or "", p.type) for p in declared)
    except _Unmappable as e:
        bare = tuple(Param(p.name or "", p.type, 0, ()) for p in declared)
        return Signature(bare, variadic=variadic, problem=str(e))
    return Signature(params, place.stack_words, variadic, taken=place.used)


class _Places:
    registers: tuple[str, ...] = ()
    first_on_stack = 0

    def __init__(self, types: Types) -> None:
        self.types = types
        self.btf = types.btf
        self.used = 0
        self.stack_words = 0

    def result(self, type_id: int) -> None:
        """Take account of how the result is returned."""

    def next(self, name: str, type_id: int) -> Param:
        """The place of the next parameter."""
        raise NotImplementedError

    def _on_stack(self, name: str, type_id: int, size: int, align: int) -> Param:
        if align > _WORD and self.stack_words % 2:
            self.stack_words += 1
        offset = self.first_on_stack + _WORD * self.stack_words
        self.stack_words += -(-size // _WORD)
        return Param(name, type_id, size, (), offset)

    def _in_registers(self, name: str, type_id: int, size: int, count: int) -> Param:
        taken = self.registers[self.used : self.used + count]
        self.used += count
        return Param(name, type_id, size, taken)


class _SysV(_Places):
    registers = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
    first_on_stack = _WORD

    def result(self, type_id: int) -> None:
        if type_id and _is_composite(self.btf, type_id):
            size = self.btf.resolve_size(type_id)
            if size > 2 * _WORD or (size and _is_unaligned(self.btf, type_id)):
                self.used = 1  # the address of the result comes first

    def next(self, name: str, type_id: int) -> Param:
        size, align, _, unaligned, _ = self.types.passed(type_id)
        if not size:
            return Param(name, type_id, 0, ())
        words = -(-size // _WORD)
        if words > 2 or unaligned:
            return self._on_stack(name, type_id, size, align)
        if self.used + words > len(self.registers):
            return self._on_stack(name, type_id, size, align)
        return self._in_registers(name, type_id, size, words)


class _Aapcs64(_Places):
    registers = ("x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7")

    def next(self, name: str, type_id: int) -> Param:
        size, align, composite, _, _ = self.types.passed(type_id)
        if not size:
            return Param(name, type_id, 0, ())
        if composite and size > 2 * _WORD:
            if self.used < len(self.registers):
                found = self._in_registers(name, type_id, size, 1)
            else:
                found = self._on_stack(name, type_id, _WORD, _WORD)
            return Param(name, type_id, size, found.registers, found.stack, True)
        words = -(-size // _WORD)
        if align > _WORD and self.used % 2 and self.used < len(self.registers):
            self.used += 1
        if self.used + words > len(self.registers):
            self.used = len(self.registers)
            return self._on_stack(name, type_id, size, align)
        return self._in_registers(name, type_id, size, words)


def _through(btf: Btf, type_id: int) -> int:
    """A type without typedefs and qualifiers."""
    from btfdbg.btf import kinds

    for _ in range(_MAX_CHAIN):
        t = btf.type_by_id(type_id)
        if not isinstance(
            t, (kinds.Typedef, kinds.Const, kinds.Volatile, kinds.Restrict, kinds.TypeTag)
        ):
            return type_id
        type_id = t.type
    raise BtfError(f"type {type_id}: a chain without an end")


def _is_composite(btf: Btf, type_id: int) -> bool:
    from btfdbg.btf import kinds

    t = btf.type_by_id(_through(btf, type_id))
    return isinstance(t, (kinds.Struct, kinds.Union))


def _leaves(btf: Btf, type_id: int, offset: int, depth: int = 0) -> Iterator[tuple[int, int]]:
    """Members down to scalars: id and offset in bytes; bit-fields are left out."""
    from btfdbg.btf import kinds

    if depth > 8:
        raise _Unmappable("a struct parameter nests too deeply")
    real = _through(btf, type_id)
    t = btf.type_by_id(real)
    if isinstance(t, (kinds.Struct, kinds.Union)):
        for m in t.members:
            if not m.bitfield_size:
                yield from _leaves(btf, m.type, offset + m.bit_offset // 8, depth + 1)
    elif isinstance(t, kinds.Array):
        if t.nelems:
            yield from _leaves(btf, t.type, offset, depth + 1)
    else:
        yield real, offset


def _is_unaligned(btf: Btf, type_id: int) -> bool:
    """Whether a struct has a member that is not where its alignment wants it."""
    if not _is_composite(btf, type_id):
        return False
    for leaf, offset in _leaves(btf, type_id, 0):
        size = btf.resolve_size(leaf)
        if size and offset % min(size, 16):
            return True
    return False


def _refuse_floats(btf: Btf, type_id: int) -> None:
    from btfdbg.btf import kinds

    for leaf, _ in _leaves(btf, type_id, 0):
        if isinstance(btf.type_by_id(leaf), kinds.Float):
            raise _Unmappable("a floating-point parameter")
