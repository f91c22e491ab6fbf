"""DWARF types at given offsets, as drgn types.

Owns the reading of one type's entry and what it refers to. A type with a name is asked of
a program that has the same DWARF: only its name and its own size count here.

Facts: DWARF 5, chapter 5 (types).
"""

from __future__ import annotations

from drgn import Object, Program, Qualifiers, Type, TypeEnumerator, TypeMember, TypeParameter

from btfdbg.errors import DebugInfoError
from btfdbg.varextract import dies
from btfdbg.varextract.dies import Die, Dies

_TYPEDEF, _BASE, _POINTER, _ARRAY = 0x16, 0x24, 0x0F, 0x01
_STRUCT, _UNION, _ENUM, _FUNCTION = 0x13, 0x17, 0x04, 0x15
_SUBRANGE, _MEMBER, _PARAMETER, _VARIADIC, _ENUMERATOR = 0x21, 0x0D, 0x05, 0x18, 0x28
_QUALIFIERS = {
    0x26: Qualifiers.CONST,
    0x35: Qualifiers.VOLATILE,
    0x37: Qualifiers.RESTRICT,
    0x47: Qualifiers.ATOMIC,
}
_UNSPECIFIED = 0x3B
_TAGS = {_STRUCT: "struct", _UNION: "union", _ENUM: "enum"}
_MAX_DEPTH = 64
_MAX_CHILDREN = 1 << 16


class DwarfTypes:
    """
    :param prog: has the file's DWARF.
    """

    def __init__(self, file: Dies, prog: Program) -> None:
        self._dies = file
        self._prog = prog
        self._types: dict[int, Type] = {}

    def type(self, at: int, depth: int = 0) -> Type:
        """
        Return the type at an offset of ``.debug_info``.

        :raises DebugInfoError: there is none, or it is nested too deep.
        """
        known = self._types.get(at)
        if known is None:
            if depth > _MAX_DEPTH:
                raise DebugInfoError(f"type at {at:#x}: nested too deep", step="extract")
            die = self._dies.die(at)
            if die is None:
                raise DebugInfoError(f"no type at {at:#x}", step="extract")
            known = self._types[at] = self._build(die, depth + 1)
        return known

    def _target(self, die: Die, depth: int) -> Type:
        at = die.values.get(dies.TYPE)
        return self._prog.void_type() if at is None else self.type(at, depth)

    def _build(self, die: Die, depth: int) -> Type:
        prog, tag = self._prog, die.tag
        if tag in _QUALIFIERS:
            target = self._target(die, depth)
            return target.qualified(target.qualifiers | _QUALIFIERS[tag])
        if tag == _POINTER:
            return prog.pointer_type(self._target(die, depth))
        if tag == _ARRAY:
            type_ = self._target(die, depth)
            for length in reversed(self._lengths(die)):
                type_ = prog.array_type(type_) if length is None else prog.array_type(type_, length)
            return type_
        if tag == _FUNCTION:
            return self._function(die, depth)
        if tag == _UNSPECIFIED:
            return prog.void_type()
        name = self._dies.name(die)
        if tag in _TAGS:
            if not name:
                return self._enum(die) if tag == _ENUM else self._record(die, depth)
            return self._named(f"{_TAGS[tag]} {name}", die, depth)
        if tag in (_BASE, _TYPEDEF):
            return self._named(name, die, depth)
        raise DebugInfoError(f"tag {tag:#x} at {die.at:#x} is no type", step="extract")

    def _named(self, name: str, die: Die, depth: int) -> Type:
        prog = self._prog
        try:
            return prog.type(name)
        except (LookupError, SyntaxError):
            pass
        except Exception as e:
            # drgn has no class of its own for what libdw says of damaged DWARF.
            if type(e) is not Exception:
                raise
            raise DebugInfoError(f"{name}: {e}", step="extract") from e
        if die.tag == _TYPEDEF:
            return prog.typedef_type(name, self._target(die, depth))
        if die.tag == _BASE:
            return prog.int_type(name, die.values.get(dies.BYTE_SIZE, 0), "unsigned" not in name)
        tag = name.partition(" ")[2]
        makers = {_STRUCT: prog.struct_type, _UNION: prog.union_type, _ENUM: prog.enum_type}
        return makers[die.tag](tag)

    def _lengths(self, die: Die) -> list[int | None]:
        """Lengths of an array's dimensions, outermost first; None where there is none."""
        found: list[int | None] = []
        for child in self._dies.children(die, _MAX_CHILDREN):
            if child.tag != _SUBRANGE:
                continue
            if dies.COUNT in child.values:
                found.append(child.values[dies.COUNT])
            elif dies.UPPER_BOUND in child.values:
                # -1 of [0], in whatever width it was written.
                bound = child.values[dies.UPPER_BOUND]
                found.append(0 if bound < 0 or bound >= 1 << 62 else bound + 1)
            else:
                found.append(None)
        return found or [None]

    def _function(self, die: Die, depth: int) -> Type:
        parameters, variadic = [], False
        for child in self._dies.children(die, _MAX_CHILDREN):
            if child.tag == _PARAMETER:
                parameters.append(TypeParameter(self._target(child, depth)))
            variadic = variadic or child.tag == _VARIADIC
        return self._prog.function_type(self._target(die, depth), parameters, variadic)

    def _enum(self, die: Die) -> Type:
        values = [
            TypeEnumerator(self._dies.name(child), child.values.get(dies.CONST_VALUE, 0))
            for child in self._dies.children(die, _MAX_CHILDREN)
            if child.tag == _ENUMERATOR
        ]
        signed = any(value.value < 0 for value in values)
        prog = self._prog
        return prog.enum_type(None, prog.type("int" if signed else "unsigned int"), values)

    def _record(self, die: Die, depth: int) -> Type:
        members = []
        for child in self._dies.children(die, _MAX_CHILDREN):
            if child.tag != _MEMBER:
                continue
            type_ = self._target(child, depth)
            name = self._dies.name(child) or None
            width = child.values.get(dies.BIT_SIZE)
            offset = self._member_offset(child, width)
            if width is None:
                members.append(TypeMember(type_, name, offset))
            else:
                value = Object(self._prog, type_, 0, bit_field_size=width)
                members.append(TypeMember(value, name, offset))
        make = self._prog.union_type if die.tag == _UNION else self._prog.struct_type
        return make(None, die.values.get(dies.BYTE_SIZE, 0), members)

    def _member_offset(self, member: Die, width: int | None) -> int:
        """Bits from the start of the record."""
        values = member.values
        if dies.DATA_BIT_OFFSET in values:
            return values[dies.DATA_BIT_OFFSET]
        offset = 8 * values.get(dies.MEMBER_LOCATION, 0)
        if width is None or dies.BIT_OFFSET not in values:
            return offset
        # DWARF 3: counted from the most significant bit of the unit.
        unit = 8 * (values.get(dies.BYTE_SIZE) or self.size(values.get(dies.TYPE, 0)))
        if self._dies.order == ">":
            return offset + values[dies.BIT_OFFSET]
        return offset + unit - values[dies.BIT_OFFSET] - width

    def size(self, at: int, depth: int = 0) -> int:
        """Size of a type in bytes, 0 if it is incomplete."""
        die = self._dies.die(at) if at and depth < _MAX_DEPTH else None
        if die is None or die.tag == _FUNCTION:
            return 0
        if dies.BYTE_SIZE in die.values:
            return die.values[dies.BYTE_SIZE]
        if die.tag == _POINTER:
            return die.unit.address_size
        size = self.size(die.values.get(dies.TYPE, 0), depth + 1)
        if die.tag == _ARRAY:
            for length in self._lengths(die):
                size *= length or 0
        return size
