"""BTF as DWARF: .debug_info, .debug_abbrev and .debug_str of one unit.

Owns what each kind becomes. Two passes: the first says how long each type's entry is, so
that the second can write references. Where a kernel has 100,000 types and 400,000 members,
a struct's members are packed at once.

What BTF loses is not made up: an array of two dimensions is of one, alignment is unknown,
and of static functions of one name all have the prototype that BTF has for the name.

Facts: DWARF 4; include/uapi/linux/btf.h. ``[0]`` and ``[]`` are the same in BTF: such an
array gets no bound. Strings keep BTF's offsets, so a name is a number that is copied.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

from btfdbg.btf import Btf, Kind, kinds
from btfdbg.btf.fields import (
    INFO,
    NAME_OFF,
    SIZE_OR_TYPE,
    array_words,
    member_words,
    param_words,
)
from btfdbg.btf.format import MAX_CHAIN, info_kflag, info_kind
from btfdbg.errors import BtfError
from btfdbg.handover.vmlinux.abbrev import (
    ADDRESS_EXPRESSION,
    LANG_C99,
    OP_ADDR,
    At,
    Encoding,
    Form,
    Shape,
    Shapes,
    Tag,
)
from btfdbg.lazy_dataclass import dataclass

_HEADER = 11  # of a unit of 32-bit DWARF 4
_MAX_INFO = 1 << 31
# Where an entry's first address stands: behind code, producer, language and name in a
# unit's, behind code and name in a function's; a variable's ends with it.
_UNIT_ADDRESS, _FUNCTION_ADDRESS, _ADDRESS_BYTES = 11, 5, 8
_END = b"\0"  # of an entry's children
_NAME, _TYPE = (At.NAME, Form.STRP), (At.TYPE, Form.REF4)
_SIZE1, _SIZE4 = (At.BYTE_SIZE, Form.DATA1), (At.BYTE_SIZE, Form.DATA4)
_PLACE = (At.DATA_MEMBER_LOCATION, Form.DATA4)
_BITS = ((At.BIT_SIZE, Form.DATA1), (At.DATA_BIT_OFFSET, Form.DATA4))
_WHERE = (At.LOCATION, Form.EXPRLOC)
_PROTOTYPED = (At.PROTOTYPED, Form.FLAG_PRESENT)
_DECLARED = (At.DECLARATION, Form.FLAG_PRESENT)
_EXTERNAL = (At.EXTERNAL, Form.FLAG_PRESENT)
_RANGE = ((At.LOW_PC, Form.ADDR), (At.HIGH_PC, Form.DATA8))
_QUALIFIERS = {
    Kind.CONST: Tag.CONST_TYPE,
    Kind.VOLATILE: Tag.VOLATILE_TYPE,
    Kind.RESTRICT: Tag.RESTRICT_TYPE,
}
_TAGS = frozenset((Kind.TYPE_TAG, Kind.DECL_TAG))
_MASK64 = (1 << 64) - 1
# Integers that enums are of: bytes, sign, name.
_INTEGERS = (
    (1, True, "signed char", Encoding.SIGNED_CHAR),
    (1, False, "unsigned char", Encoding.UNSIGNED_CHAR),
    (2, True, "short int", Encoding.SIGNED),
    (2, False, "short unsigned int", Encoding.UNSIGNED),
    (4, True, "int", Encoding.SIGNED),
    (4, False, "unsigned int", Encoding.UNSIGNED),
    (8, True, "long int", Encoding.SIGNED),
    (8, False, "long unsigned int", Encoding.UNSIGNED),
)

_Planned: TypeAlias = tuple[int, Callable[[], bytes]]
"""How long an entry is, and what makes it."""


@dataclass(frozen=True, slots=True)
class Function:
    """
    A function.

    :ivar name: Offset of its name among the BTF's strings.
    :ivar proto: Id of its FUNC_PROTO.
    :ivar size: Bytes.
    """

    name: int
    proto: int
    address: int
    size: int
    is_global: bool


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable's name, type id, address, and whether it is global."""

    name: str
    type: int
    address: int
    is_global: bool


@dataclass(frozen=True, slots=True)
class Dwarf:
    """
    The sections, and what is in them.

    :ivar lost: Types that BTF has and that became nothing (damaged ones).
    :ivar places: Where in ``info`` addresses stand, if that was asked for.
    """

    info: bytearray
    abbrev: bytes
    strings: bytearray
    functions: int
    variables: int
    lost: int
    places: array[int]


class Writer:
    """
    DWARF of one BTF.

    :param producer: Says what made the file and what it cannot have.
    :param text: Address and size of the code.
    """

    def __init__(self, btf: Btf, producer: str, text: tuple[int, int]) -> None:
        self._btf = btf
        self._prefix = "<" if btf.byteorder == "little" else ">"
        self._shapes = Shapes()
        self._producer = producer
        self._text = text
        self._strings = bytearray()
        for link in reversed(list(btf.chain())):
            self._strings += link.strings.data
        if not self._strings:
            self._strings += b"\0"
        self._added: dict[str, int] = {}
        # Offset of each type's entry; 0: void, or nothing.
        self._at: list[int] = [0] * btf.type_cnt
        self._packers: dict[str, struct.Struct] = {}
        self._legacy: dict[int, tuple[int, int]] = {}
        self.lost = 0

    def write(
        self,
        functions: Iterable[Function],
        variables: Iterable[Variable],
        constants: Iterable[tuple[str, int]] = (),
        *,
        keep_places: bool = False,
    ) -> Dwarf:
        """
        Return the sections.

        :param constants: Variables that the compiler folded away: name and value.
        :param keep_places: Say where in .debug_info addresses stand.
        """
        head = self._unit()
        bases, place = self._bases(_HEADER + len(head))
        writers = self._plan(place)
        # One buffer: 200,000 pieces and what joins them would be twice as much.
        out = bytearray(_HEADER)
        out += head + bases
        for write in writers:
            out += write()
        del writers
        function_count = variable_count = 0
        places = array("Q", [_HEADER + _UNIT_ADDRESS])
        for entry in self._functions(functions):
            if keep_places:
                places.append(len(out) + _FUNCTION_ADDRESS)
            out += entry
            function_count += 1
        shapes = [
            self._shapes.get(Tag.VARIABLE, False, _NAME, _TYPE, *more, _WHERE)
            for more in ((), (_EXTERNAL,))
        ]
        for v in variables:
            target = self._ref(v.type) or self._void
            if keep_places:
                places.append(len(out) + shapes[v.is_global].size - _ADDRESS_BYTES)
            out += self._pack(
                shapes[v.is_global], self._string(v.name), target,
                ADDRESS_EXPRESSION, OP_ADDR, v.address,
            )  # fmt: skip
            variable_count += 1
        constant = self._shapes.get(Tag.VARIABLE, False, _NAME, _TYPE, (At.CONST_VALUE, Form.DATA4))
        for name, value in constants:
            out += self._pack(constant, self._string(name), self._signed, value)
        out += _END
        if len(out) > _MAX_INFO:
            raise BtfError(f"DWARF of {len(out)} bytes does not fit one unit")
        struct.pack_into(self._prefix + "IHIB", out, 0, len(out) - 4, 4, 0, 8)
        return Dwarf(
            out, self._shapes.section(), self._strings, function_count, variable_count, self.lost,
            places if keep_places else array("Q"),
        )  # fmt: skip

    # What entries are made of.

    def _pack(self, shape: Shape, *values: int) -> bytes:
        return self._packer(shape.layout).pack(shape.code, *values)

    def _packer(self, layout: str) -> struct.Struct:
        found = self._packers.get(layout)
        if found is None:
            found = self._packers[layout] = struct.Struct(self._prefix + layout)
        return found

    def _string(self, text: str) -> int:
        at = self._added.get(text)
        if at is None:
            at = self._added[text] = len(self._strings)
            self._strings += text.encode("utf-8", "surrogateescape") + b"\0"
        return at

    def _unit(self) -> bytes:
        shape = self._shapes.get(
            Tag.COMPILE_UNIT, True, (At.PRODUCER, Form.STRP), (At.LANGUAGE, Form.DATA2), _NAME,
            *_RANGE,
        )  # fmt: skip
        producer, name = self._string(self._producer), self._string("vmlinux from a dump")
        return self._pack(shape, producer, LANG_C99, name, *self._text)

    def _bases(self, place: int) -> tuple[bytes, int]:
        """Types that BTF has no id for: void where there must be one, and enums' integers."""
        void = self._shapes.get(Tag.UNSPECIFIED_TYPE, False, _NAME)
        self._void = place
        parts = [self._pack(void, self._string("void"))]
        place += void.size
        base = self._shapes.get(Tag.BASE_TYPE, False, _NAME, _SIZE1, (At.ENCODING, Form.DATA1))
        self._integers: dict[tuple[int, bool], int] = {}
        for size, signed, name, encoding in _INTEGERS:
            self._integers[size, signed] = place
            parts.append(self._pack(base, self._string(name), size, encoding))
            place += base.size
        self._signed = self._integers[4, True]
        return b"".join(parts), place

    def _ref(self, type_id: int) -> int:
        """Where the entry of a type stands; 0: void."""
        return self._at[type_id] if 0 <= type_id < len(self._at) else 0

    # The first pass: how long each entry is.

    def _plan(self, place: int) -> list[Callable[[], bytes]]:
        writers: list[Callable[[], bytes]] = []
        at = self._at
        through: list[tuple[int, int]] = []
        for owner in reversed(list(self._btf.chain())):
            words = owner.words
            type_id = int(owner.start_id)
            for pos in owner.offsets:
                kind = info_kind(words[pos + INFO])
                plan = _PLANS.get(kind)
                if plan is not None:
                    try:
                        planned = plan(self, words, pos, type_id)
                    except (BtfError, IndexError, ValueError):
                        planned = None
                        self.lost += 1
                    if planned is not None:
                        size, write = planned
                        at[type_id] = place
                        place += size
                        writers.append(write)
                elif kind in _TAGS:
                    through.append((type_id, words[pos + SIZE_OR_TYPE]))
                type_id += 1
        tags = dict(through)
        for type_id, target in through:
            for _ in range(MAX_CHAIN):
                if target not in tags:
                    break
                target = tags[target]
            at[type_id] = self._ref(target)
        return writers

    def _int(self, words: memoryview, pos: int, type_id: int) -> _Planned:
        type_ = self._btf.type_by_id(type_id)
        assert isinstance(type_, kinds.Int)
        if type_.bool:
            encoding = Encoding.BOOLEAN
        elif type_.size == 1:  # gdb and drgn know char by its name
            encoding = Encoding.SIGNED_CHAR if type_.signed else Encoding.UNSIGNED_CHAR
        else:
            encoding = Encoding.SIGNED if type_.signed else Encoding.UNSIGNED
        if (type_.bits, type_.offset) != (8 * type_.size, 0) and type_.bits and not type_.bool:
            self._legacy[type_id] = (type_.bits, type_.offset)
        return self._base(words, pos, encoding)

    def _float(self, words: memoryview, pos: int, type_id: int) -> _Planned:
        return self._base(words, pos, Encoding.FLOAT)

    def _base(self, words: memoryview, pos: int, encoding: int) -> _Planned:
        shape = self._shapes.get(Tag.BASE_TYPE, False, _NAME, _SIZE1, (At.ENCODING, Form.DATA1))
        name, size = words[pos + NAME_OFF], words[pos + SIZE_OR_TYPE]
        entry = self._pack(shape, name, size & 0xFF, encoding)
        return shape.size, lambda: entry

    def _pointer(self, words: memoryview, pos: int, type_id: int) -> _Planned:
        target = words[pos + SIZE_OR_TYPE]
        if not target:
            shape = self._shapes.get(Tag.POINTER_TYPE, False, _SIZE1)
            entry = self._pack(shape, 8)
            return shape.size, lambda: entry
        full = self._shapes.get(Tag.POINTER_TYPE, False, _SIZE1, _TYPE)
        void = self._void
        return full.size, lambda: self._pack(full, 8, self._ref(target) or void)

    def _qualifier(self, words: memoryview, pos: int, type_id: int) -> _Planned:
        tag = _QUALIFIERS[Kind(info_kind(words[pos + INFO]))]
        target = words[pos + SIZE_OR_TYPE]
        if not target:
            shape = self._shapes.get(tag, False)
            entry = self._pack(shape)
            return shape.size, lambda: entry
        full = self._shapes.get(tag, False, _TYPE)
        void = self._void
        return full.size, lambda: self._pack(full, self._ref(target) or void)

    def _typedef(self, words: memoryview, pos: int, type_id: int) -> _Planned:
        name, target = words[pos + NAME_OFF], words[pos + SIZE_OR_TYPE]
        shape = self._shapes.get(Tag.TYPEDEF, False, _NAME, _TYPE)
        void = self._void
        return shape.size, lambda: self._pack(shape, name, self._ref(target) or void)

    def _array(self, words: memoryview, pos: int, type_id: int) -> _Planned:
        element, _, count = array_words(words, pos)
        shape = self._shapes.get(Tag.ARRAY_TYPE, True, _TYPE)
        more = ((At.UPPER_BOUND, Form.DATA4),) if count else ()
        bound = self._shapes.get(Tag.SUBRANGE_TYPE, False, _TYPE, *more)
        index = self._integers[8, False]
        values = (count - 1,) if count else ()
        tail = self._pack(bound, index, *values) + _END
        void = self._void
        return (
            shape.size + len(tail),
            lambda: self._pack(shape, self._ref(element) or void) + tail,
        )

    def _record(self, words: memoryview, pos: int, type_id: int) -> _Planned:
        is_struct = info_kind(words[pos + INFO]) == Kind.STRUCT
        tag = Tag.STRUCTURE_TYPE if is_struct else Tag.UNION_TYPE
        name, size = words[pos + NAME_OFF], words[pos + SIZE_OR_TYPE]
        names, types, offsets, widths = member_words(words, pos)
        named = (_NAME,) if name else ()
        shape = self._shapes.get(tag, bool(names), *named, _SIZE4)
        head = self._pack(shape, *((name,) if name else ()), size)
        if not names:
            return shape.size, lambda: head
        if widths and not any(widths):
            widths = []
        plain = not widths and all(names) and self._legacy.keys().isdisjoint(types)
        if plain:
            # Most structs: every member has a name and none is a bit-field.
            member = self._shapes.get(Tag.MEMBER, False, _NAME, _TYPE, _PLACE)
            count = len(names)

            def write() -> bytes:
                at, void = self._at, self._void
                flat = [member.code] * (4 * count)
                flat[1::4] = names
                flat[2::4] = [at[t] or void for t in types]
                flat[3::4] = [offset >> 3 for offset in offsets]
                return head + self._packer(member.layout * count).pack(*flat) + _END

            return shape.size + member.size * count + 1, write
        members = self._members(names, types, offsets, widths or [0] * len(names))
        length = shape.size + sum(member.size for member, _, _, _ in members) + 1

        def write_mixed() -> bytes:
            void = self._void
            parts = [head]
            for member, start, target, end in members:
                parts.append(self._pack(member, *start, self._ref(target) or void, *end))
            parts.append(_END)
            return b"".join(parts)

        return length, write_mixed

    def _members(
        self,
        names: Sequence[int],
        types: Sequence[int],
        offsets: Sequence[int],
        widths: Sequence[int],
    ) -> list[tuple[Shape, tuple[int, ...], int, tuple[int, ...]]]:
        """Each member's shape, what stands before its type, the type, and what comes after."""
        found: list[tuple[Shape, tuple[int, ...], int, tuple[int, ...]]] = []
        for name, target, offset, bits in zip(names, types, offsets, widths, strict=True):
            if not bits and target in self._legacy:
                bits, extra = self._legacy[target]
                offset += extra
            named = (_NAME,) if name else ()
            start = (name,) if name else ()
            if bits:
                shape = self._shapes.get(Tag.MEMBER, False, *named, _TYPE, *_BITS)
                found.append((shape, start, target, (bits, offset)))
            else:
                shape = self._shapes.get(Tag.MEMBER, False, *named, _TYPE, _PLACE)
                found.append((shape, start, target, (offset >> 3,)))
        return found

    def _enum(self, words: memoryview, pos: int, type_id: int) -> _Planned:
        type_ = self._btf.type_by_id(type_id)
        assert isinstance(type_, kinds.Enum | kinds.Enum64)
        name = words[pos + NAME_OFF]
        named = (_NAME,) if name else ()
        start = (name,) if name else ()
        if not type_.values:
            shape = self._shapes.get(Tag.ENUMERATION_TYPE, False, *named, _SIZE1, _DECLARED)
            entry = self._pack(shape, *start, type_.size & 0xFF)
            return len(entry), lambda: entry
        shape = self._shapes.get(Tag.ENUMERATION_TYPE, True, *named, _SIZE1, _TYPE)
        value = self._shapes.get(Tag.ENUMERATOR, False, _NAME, (At.CONST_VALUE, Form.DATA8))
        signed = type_.signed or any(v.value < 0 for v in type_.values)
        integer = self._integers.get((type_.size, signed), self._signed)
        parts = [self._pack(shape, *start, type_.size & 0xFF, integer)]
        offsets = self._btf.iter_str_refs(type_id)[1:]
        for offset, enumerator in zip(offsets, type_.values, strict=True):
            parts.append(self._pack(value, offset, enumerator.value & _MASK64))
        parts.append(_END)
        entry = b"".join(parts)
        return len(entry), lambda: entry

    def _fwd(self, words: memoryview, pos: int, type_id: int) -> _Planned:
        is_union = info_kflag(words[pos + INFO])
        tag = Tag.UNION_TYPE if is_union else Tag.STRUCTURE_TYPE
        shape = self._shapes.get(tag, False, _NAME, _DECLARED)
        entry = self._pack(shape, words[pos + NAME_OFF])
        return shape.size, lambda: entry

    def _proto(self, words: memoryview, pos: int, type_id: int) -> _Planned:
        result = words[pos + SIZE_OR_TYPE]
        names, types = param_words(words, pos)
        typed = (_TYPE,) if result else ()
        shape = self._shapes.get(Tag.SUBROUTINE_TYPE, bool(types), *typed, _PROTOTYPED)
        parameter = self._shapes.get(Tag.FORMAL_PARAMETER, False, _TYPE)
        rest = self._shapes.get(Tag.UNSPECIFIED_PARAMETERS, False)
        variadic = bool(types) and not types[-1] and not names[-1]
        if variadic:
            types = types[:-1]
        length = shape.size + parameter.size * len(types) + rest.size * variadic
        length += bool(types) or variadic

        def write() -> bytes:
            void = self._void
            head = self._pack(shape, *((self._ref(result) or void,) if result else ()))
            if not types:
                return head + self._pack(rest) + _END if variadic else head
            flat = [parameter.code] * (2 * len(types))
            flat[1::2] = [self._ref(t) or void for t in types]
            entries = self._packer(parameter.layout * len(types)).pack(*flat)
            return head + entries + (self._pack(rest) if variadic else b"") + _END

        return length, write

    # Functions and variables refer to types only, so that they need no first pass.

    def _functions(self, functions: Iterable[Function]) -> Iterator[bytes]:
        heads: dict[tuple[int, bool, bool], Shape] = {}
        ends: dict[int, tuple[int, bytes]] = {}
        for f in functions:
            end = ends.get(f.proto)
            if end is None:
                end = ends[f.proto] = self._signature(f.proto)
            target, children = end
            key = (bool(target), bool(children), f.is_global)
            shape = heads.get(key)
            if shape is None:
                typed = (_TYPE,) if target else ()
                flags = (_EXTERNAL,) if f.is_global else ()
                shape = heads[key] = self._shapes.get(
                    Tag.SUBPROGRAM, bool(children), _NAME, *flags, _PROTOTYPED, *_RANGE, *typed
                )
            pack = self._packer(shape.layout).pack
            if target:
                yield pack(shape.code, f.name, f.address, f.size, target) + children
            else:
                yield pack(shape.code, f.name, f.address, f.size) + children

    def _signature(self, proto: int) -> tuple[int, bytes]:
        """Where the entry of a prototype's result stands, 0 for void; its parameters' entries."""
        owner = self._btf.owner_of(proto)
        pos = owner.offsets[proto - owner.start_id]
        words = owner.words
        result = words[pos + SIZE_OR_TYPE]
        names, types = param_words(words, pos)
        target = (self._ref(result) or self._void) if result else 0
        if not types:
            return target, b""
        rest = b""
        if not types[-1] and not names[-1]:
            rest = self._pack(self._shapes.get(Tag.UNSPECIFIED_PARAMETERS, False))
            names, types = names[:-1], types[:-1]
        parameter = self._shapes.get(Tag.FORMAL_PARAMETER, False, _NAME, _TYPE)
        flat = [parameter.code] * (3 * len(types))
        flat[1::3] = names
        flat[2::3] = [self._ref(type_id) or self._void for type_id in types]
        entries = self._packer(parameter.layout * len(types)).pack(*flat)
        return target, entries + rest + _END


_PLANS: dict[int, Callable[..., _Planned]] = {
    Kind.INT: Writer._int,
    Kind.FLOAT: Writer._float,
    Kind.PTR: Writer._pointer,
    Kind.CONST: Writer._qualifier,
    Kind.VOLATILE: Writer._qualifier,
    Kind.RESTRICT: Writer._qualifier,
    Kind.TYPEDEF: Writer._typedef,
    Kind.ARRAY: Writer._array,
    Kind.STRUCT: Writer._record,
    Kind.UNION: Writer._record,
    Kind.ENUM: Writer._enum,
    Kind.ENUM64: Writer._enum,
    Kind.FWD: Writer._fwd,
    Kind.FUNC_PROTO: Writer._proto,
}
