"""BTF's types as DWARF entries.

Owns what each kind becomes, in two passes: the first says where each type's entry stands, so
that the second can write references. Nothing is kept between them but the places and the
entries that refer to nothing: 100,000 types would be 40 MiB of plans.

A struct's members are packed at once; a kernel has 400,000.

What BTF loses is not made up: an array of two dimensions is of one, and alignment is unknown.
``[0]`` and ``[]`` are the same in BTF: such an array gets no bound.

Facts: DWARF 4; include/uapi/linux/btf.h. Names are offsets among BTF's strings, which
.debug_str begins with.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import compress, repeat
from typing import TypeAlias

from btfdbg.btf import Btf, Kind, kinds
from btfdbg.btf.fields import (
    INFO,
    NAME_OFF,
    SIZE_OR_TYPE,
    array_words,
    enum_words,
    member_names,
    member_words,
    parameter_count,
    parameters_at,
)
from btfdbg.btf.format import MAX_CHAIN, info_kflag, info_kind
from btfdbg.errors import BtfError
from btfdbg.handover.vmlinux.abbrev import At, Encoding, Form, Shape, Shapes, Tag

_END = b"\0"  # of an entry's children
_NAME, _TYPE = (At.NAME, Form.STRP), (At.TYPE, Form.REF4)
_SIZE1, _SIZE4 = (At.BYTE_SIZE, Form.DATA1), (At.BYTE_SIZE, Form.DATA4)
_PLACE = (At.DATA_MEMBER_LOCATION, Form.DATA4)
_BITS = ((At.BIT_SIZE, Form.DATA1), (At.DATA_BIT_OFFSET, Form.DATA4))
_PROTOTYPED = (At.PROTOTYPED, Form.FLAG_PRESENT)
_DECLARED = (At.DECLARATION, Form.FLAG_PRESENT)
_BOUND = (At.UPPER_BOUND, Form.DATA4)
_QUALIFIERS = {
    Kind.CONST: Tag.CONST_TYPE,
    Kind.VOLATILE: Tag.VOLATILE_TYPE,
    Kind.RESTRICT: Tag.RESTRICT_TYPE,
}
_ONE_REFERENCE = frozenset((Kind.PTR, Kind.TYPEDEF, *_QUALIFIERS))
_TAGS = frozenset((Kind.TYPE_TAG, Kind.DECL_TAG))
_POINTER = 8  # bytes
_RECORDS = {Kind.STRUCT: Tag.STRUCTURE_TYPE, Kind.UNION: Tag.UNION_TYPE}
_MASK64 = (1 << 64) - 1
_Pack: TypeAlias = Callable[..., bytes]


class TypeEntries:
    """
    :param prefix: Byte order, as :mod:`struct` has it.
    :param void: Where the entry of void stands.
    :param integers: Where entries of plain integers stand, by size in bytes and sign.
    :ivar lost: Types that BTF has and that became nothing (damaged ones).
    :ivar refs: Where what refers to a type refers to, void's entry if it has none; once planned.
    """

    def __init__(
        self,
        btf: Btf,
        prefix: str,
        shapes: Shapes,
        void: int,
        integers: Mapping[tuple[int, bool], int],
    ) -> None:
        self._btf = btf
        self._prefix = prefix
        self._shapes = shapes
        self._void = void
        self._integers = integers
        # By kind and what an entry of it has; and what packs one or several of a layout.
        self._known: dict[tuple[int, ...], tuple[Shape, _Pack]] = {}
        self._packs: dict[str, _Pack] = {}
        # Old bit-fields: bits and offset of an INT that has less than its size.
        self._legacy: dict[int, tuple[int, int]] = {}
        # Entries that refer to no other type.
        self._ready: dict[int, bytes] = {}
        # Records that have a bit-field or a member without a name.
        self._mixed: set[int] = set()
        self._at: list[int] = [0] * btf.type_cnt
        self.refs: list[int] = []
        # By number of elements: what packs as many members or parameters.
        self._many_members: dict[int, _Pack] = {}
        self._many_parameters: dict[int, _Pack] = {}
        # Size of an entry of one reference, by kind and whether it has it.
        self._small: dict[int, int] = {}
        self._end = 0
        self.lost = 0

    def plan(self, place: int) -> None:
        """
        Say where each type's entry will stand.

        :param place: Where the first will.
        """
        at = self._at
        through: dict[int, int] = {}
        small = self._small
        for type_id, pos, kind, words in self._types():
            if kind in _ONE_REFERENCE:
                target = words[pos + SIZE_OR_TYPE]
                key = kind << 1 | (target != 0)
                size = small.get(key, 0)
                if not size:
                    has = target != 0 or kind == Kind.TYPEDEF
                    size = small[key] = self._one_reference(kind, has)[0].size
                at[type_id] = place
                place += size
                continue
            try:
                size = _SIZES[kind](self, words, pos, type_id)
            except (BtfError, IndexError, ValueError):
                self.lost += 1
                continue
            if size:
                at[type_id] = place
                place += size
            elif kind in _TAGS:
                through[type_id] = words[pos + SIZE_OR_TYPE]
        for type_id, target in through.items():
            for _ in range(MAX_CHAIN):
                if target not in through:
                    break
                target = through[target]
            at[type_id] = at[target] if target < len(at) else 0
        self._end = place
        void = self._void
        self.refs = [place or void for place in at]

    def write(self, out: bytearray) -> None:
        """Append all entries to what ends where the first was planned."""
        at, ready, refs, known = self._at, self._ready, self.refs, self._known
        for type_id, pos, kind, words in self._types():
            if kind in _ONE_REFERENCE:
                target = words[pos + SIZE_OR_TYPE]
                if kind == Kind.TYPEDEF:
                    start: tuple[int, ...] = (words[pos + NAME_OFF],)
                    shape, pack = known[kind, True]
                else:
                    start = (_POINTER,) if kind == Kind.PTR else ()
                    shape, pack = known[kind, target != 0]
                    if not target:
                        out += pack(shape.code, *start)
                        continue
                place = refs[target] if target < len(refs) else self._void
                out += pack(shape.code, *start, place)
            elif kind in _WRITERS:
                if at[type_id]:
                    out += _WRITERS[kind](self, words, pos, type_id)
            elif type_id in ready:
                out += ready[type_id]
        assert len(out) == self._end

    def _types(self) -> Iterator[tuple[int, int, int, memoryview]]:
        """
        Id, the word that its record starts at, its kind, and the words of each type.

        Of those that become entries, or lead to one: half of a kernel's are functions.
        """
        for owner in reversed(self._btf.chain()):
            first = int(owner.start_id)
            kinds_ = owner.own_kinds()
            marks = kinds_.translate(_MARKS)
            ids = range(first, first + len(kinds_))
            yield from zip(
                compress(ids, marks), compress(owner.offsets, marks), compress(kinds_, marks),
                repeat(owner.words),
            )  # fmt: skip

    def _ref(self, type_id: int) -> int:
        """Where the entry of a type stands that an entry refers to."""
        return self.refs[type_id] if type_id < len(self.refs) else self._void

    def _all_refs(self, type_ids: Sequence[int]) -> list[int]:
        return all_refs(self.refs, self._void, type_ids)

    def _shape(
        self, key: tuple[int, ...], tag: int, children: bool, *attributes: tuple[int, int]
    ) -> tuple[Shape, _Pack]:
        shape = self._shapes.get(tag, children, *attributes)
        found = self._known[key] = shape, self._packer(shape.layout)
        return found

    def _packer(self, layout: str) -> _Pack:
        found = self._packs.get(layout)
        if found is None:
            found = self._packs[layout] = struct.Struct(self._prefix + layout).pack
        return found

    # Entries that refer to nothing are made at once.

    def _keep(self, type_id: int, entry: bytes) -> int:
        self._ready[type_id] = entry
        return len(entry)

    def _int(self, words: memoryview, pos: int, type_id: int) -> int:
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
        return self._base(words, pos, type_id, encoding)

    def _float(self, words: memoryview, pos: int, type_id: int) -> int:
        return self._base(words, pos, type_id, Encoding.FLOAT)

    def _base(self, words: memoryview, pos: int, type_id: int, encoding: int) -> int:
        key = (Kind.INT,)
        shape, pack = self._known.get(key) or self._shape(
            key, Tag.BASE_TYPE, False, _NAME, _SIZE1, (At.ENCODING, Form.DATA1)
        )
        size = words[pos + SIZE_OR_TYPE] & 0xFF
        return self._keep(type_id, pack(shape.code, words[pos + NAME_OFF], size, encoding))

    def _enum(self, words: memoryview, pos: int, type_id: int) -> int:
        name = words[pos + NAME_OFF]
        named = (_NAME,) if name else ()
        start = (name,) if name else ()
        names, values, signed = self._enumerators(words, pos, type_id)
        size = words[pos + SIZE_OR_TYPE]
        integer = self._integers.get((size, signed), self._integers[4, True])
        size &= 0xFF
        if not values:
            key = (Kind.ENUM, 0, bool(name))
            shape, pack = self._known.get(key) or self._shape(
                key, Tag.ENUMERATION_TYPE, False, *named, _SIZE1, _DECLARED
            )
            return self._keep(type_id, pack(shape.code, *start, size))
        key = (Kind.ENUM, 1, bool(name))
        shape, pack = self._known.get(key) or self._shape(
            key, Tag.ENUMERATION_TYPE, True, *named, _SIZE1, _TYPE
        )
        of_value = (Kind.ENUM, 2)
        value, pack_value = self._known.get(of_value) or self._shape(
            of_value, Tag.ENUMERATOR, False, _NAME, (At.CONST_VALUE, Form.DATA8)
        )
        parts = [pack(shape.code, *start, size, integer)]
        for offset, number in zip(names, values, strict=True):
            parts.append(pack_value(value.code, offset, number & _MASK64))
        parts.append(_END)
        return self._keep(type_id, b"".join(parts))

    def _enumerators(
        self, words: memoryview, pos: int, type_id: int
    ) -> tuple[Sequence[int], Sequence[int], bool]:
        """
        Where the enumerators' names stand, their values, and whether the type has a sign.

        :raises BtfError: a name does not exist.
        """
        if info_kind(words[pos + INFO]) == Kind.ENUM:
            names, values, signed = enum_words(words, pos)
            if max((words[pos + NAME_OFF], *names)) >= self._btf.end_str_off:
                raise BtfError(f"type {type_id}: a name that does not exist")
        else:
            type_ = self._btf.type_by_id(type_id)
            assert isinstance(type_, kinds.Enum64)
            names = self._btf.iter_str_refs(type_id)[1:]
            values, signed = [v.value for v in type_.values], type_.signed
        return names, values, signed or any(v < 0 for v in values)

    def _fwd(self, words: memoryview, pos: int, type_id: int) -> int:
        is_union = info_kflag(words[pos + INFO])
        key = (Kind.FWD, is_union)
        shape, pack = self._known.get(key) or self._shape(
            key, Tag.UNION_TYPE if is_union else Tag.STRUCTURE_TYPE, False, _NAME, _DECLARED
        )
        return self._keep(type_id, pack(shape.code, words[pos + NAME_OFF]))

    # Of the others first the size, and later the entry.

    def _one_reference(self, kind: int, has: bool) -> tuple[Shape, _Pack]:
        """The shape of a pointer, a qualifier or a typedef; without a reference: of void."""
        key = (kind, has)
        found = self._known.get(key)
        if found is not None:
            return found
        if kind == Kind.TYPEDEF:
            return self._shape(key, Tag.TYPEDEF, False, _NAME, _TYPE)
        more = (_TYPE,) if has else ()
        if kind == Kind.PTR:
            return self._shape(key, Tag.POINTER_TYPE, False, _SIZE1, *more)
        return self._shape(key, _QUALIFIERS[Kind(kind)], False, *more)

    def _array_shapes(self, bounded: bool) -> tuple[tuple[Shape, _Pack], tuple[Shape, _Pack]]:
        keys = (Kind.ARRAY, 0), (Kind.ARRAY, 1, bounded)
        array = self._known.get(keys[0]) or self._shape(keys[0], Tag.ARRAY_TYPE, True, _TYPE)
        more = (_BOUND,) if bounded else ()
        bound = self._known.get(keys[1]) or self._shape(
            keys[1], Tag.SUBRANGE_TYPE, False, _TYPE, *more
        )
        return array, bound

    def _array_size(self, words: memoryview, pos: int, type_id: int) -> int:
        _, _, count = array_words(words, pos)
        (array, _), (bound, _) = self._array_shapes(count != 0)
        return array.size + bound.size + 1

    def _array(self, words: memoryview, pos: int, type_id: int) -> bytes:
        element, _, count = array_words(words, pos)
        (array, pack), (bound, pack_bound) = self._array_shapes(count != 0)
        values = (count - 1,) if count else ()
        index = self._integers[8, False]
        head = pack(array.code, self._ref(element))
        return head + pack_bound(bound.code, index, *values) + _END

    def _record_shape(self, kind: int, children: bool, named: bool) -> tuple[Shape, _Pack]:
        key = (kind, children, named)
        return self._known.get(key) or self._shape(
            key, _RECORDS[Kind(kind)], children, *((_NAME,) if named else ()), _SIZE4
        )

    def _member_shape(self, named: bool, bits: bool) -> tuple[Shape, _Pack]:
        key = (-1, named, bits)
        name, place = (_NAME,) if named else (), _BITS if bits else (_PLACE,)
        return self._known.get(key) or self._shape(key, Tag.MEMBER, False, *name, _TYPE, *place)

    def _record_size(self, words: memoryview, pos: int, type_id: int) -> int:
        name = words[pos + NAME_OFF]
        names, widths = member_names(words, pos)
        kind = info_kind(words[pos + INFO])
        shape, _ = self._record_shape(kind, bool(names), name != 0)
        if not names:
            return shape.size
        plain = not any(widths) and all(names)
        if plain and (
            not self._legacy or self._legacy.keys().isdisjoint(member_words(words, pos)[1])
        ):
            # Most structs: every member has a name and none is a bit-field.
            return shape.size + self._member_shape(True, False)[0].size * len(names) + 1
        self._mixed.add(type_id)
        members = self._members(*member_words(words, pos))
        return shape.size + sum(member.size for (member, _), *_ in members) + 1

    def _record(self, words: memoryview, pos: int, type_id: int) -> bytes:
        name, size = words[pos + NAME_OFF], words[pos + SIZE_OR_TYPE]
        names, types, offsets, widths = member_words(words, pos)
        kind = info_kind(words[pos + INFO])
        shape, pack = self._record_shape(kind, bool(names), name != 0)
        head = pack(shape.code, name, size) if name else pack(shape.code, size)
        if not names:
            return head
        if type_id in self._mixed:
            parts = [head]
            for (member, pack), start, target, end in self._members(names, types, offsets, widths):
                parts.append(pack(member.code, *start, self._ref(target), *end))
            parts.append(_END)
            return b"".join(parts)
        member, _ = self._member_shape(True, False)
        count = len(names)
        packer = self._many_members.get(count)
        if packer is None:
            packer = self._many_members[count] = self._packer(member.layout * count)
        flat = [member.code] * (4 * count)
        flat[1::4] = names
        flat[2::4] = self._all_refs(types)
        flat[3::4] = [offset >> 3 for offset in offsets]
        return head + packer(*flat) + _END

    def _members(
        self,
        names: Sequence[int],
        types: Sequence[int],
        offsets: Sequence[int],
        widths: Sequence[int],
    ) -> Iterator[tuple[tuple[Shape, _Pack], tuple[int, ...], int, tuple[int, ...]]]:
        """Each member's shape, what stands before its type, the type, and what comes after."""
        all_widths = widths or [0] * len(names)
        for name, target, offset, bits in zip(names, types, offsets, all_widths, strict=True):
            if not bits and target in self._legacy:
                bits, extra = self._legacy[target]
                offset += extra
            end = (bits, offset) if bits else (offset >> 3,)
            yield (
                self._member_shape(name != 0, bits != 0), (name,) if name else (), target, end
            )  # fmt: skip

    def _proto_shapes(
        self, children: bool, typed: bool
    ) -> tuple[tuple[Shape, _Pack], tuple[Shape, _Pack], tuple[Shape, _Pack]]:
        keys = (Kind.FUNC_PROTO, children, typed), (-2,), (-3,)
        known = self._known
        return (
            known.get(keys[0]) or self._shape(
                keys[0], Tag.SUBROUTINE_TYPE, children, *((_TYPE,) if typed else ()), _PROTOTYPED
            ),
            known.get(keys[1]) or self._shape(keys[1], Tag.FORMAL_PARAMETER, False, _TYPE),
            known.get(keys[2]) or self._shape(keys[2], Tag.UNSPECIFIED_PARAMETERS, False),
        )  # fmt: skip

    def _proto_size(self, words: memoryview, pos: int, type_id: int) -> int:
        count, variadic = parameter_count(words, pos)
        has_any = count > 0 or variadic
        (shape, _), (parameter, _), (rest, _) = self._proto_shapes(
            has_any, words[pos + SIZE_OR_TYPE] != 0
        )
        if not has_any:
            return shape.size
        return shape.size + parameter.size * count + rest.size * variadic + 1

    def _proto(self, words: memoryview, pos: int, type_id: int) -> bytes:
        result = words[pos + SIZE_OR_TYPE]
        found, variadic = parameters_at(words, pos)
        has_any = bool(found) or variadic
        (shape, pack), (parameter, _), (rest, pack_rest) = self._proto_shapes(has_any, result != 0)
        head = pack(shape.code, self._ref(result)) if result else pack(shape.code)
        if not has_any:
            return head
        count = len(found) // 2
        packer = self._many_parameters.get(count)
        if packer is None:
            packer = self._many_parameters[count] = self._packer(parameter.layout * count)
        found[1::2] = self._all_refs(found[1::2])
        found[::2] = [parameter.code] * count
        return head + packer(*found) + (pack_rest(rest.code) + _END if variadic else _END)


def all_refs(refs: Sequence[int], void: int, type_ids: Sequence[int]) -> list[int]:
    """
    Where what refers to some types refers to.

    :param refs: As :attr:`TypeEntries.refs`.
    :param void: Where the entry of void stands.
    """
    try:
        return [refs[type_id] for type_id in type_ids]
    except IndexError:  # of damaged BTF
        return [refs[type_id] if type_id < len(refs) else void for type_id in type_ids]


_SIZES: dict[int, Callable[[TypeEntries, memoryview, int, int], int]] = {
    Kind.INT: TypeEntries._int,
    Kind.FLOAT: TypeEntries._float,
    Kind.ARRAY: TypeEntries._array_size,
    Kind.STRUCT: TypeEntries._record_size,
    Kind.UNION: TypeEntries._record_size,
    Kind.ENUM: TypeEntries._enum,
    Kind.ENUM64: TypeEntries._enum,
    Kind.FWD: TypeEntries._fwd,
    Kind.FUNC_PROTO: TypeEntries._proto_size,
    Kind.TYPE_TAG: lambda *_: 0,
    Kind.DECL_TAG: lambda *_: 0,
}
_WRITERS: dict[int, Callable[[TypeEntries, memoryview, int, int], bytes]] = {
    Kind.ARRAY: TypeEntries._array,
    Kind.STRUCT: TypeEntries._record,
    Kind.UNION: TypeEntries._record,
    Kind.FUNC_PROTO: TypeEntries._proto,
}
# Of which kinds something is made.
_MARKS = bytes(kind in _SIZES or kind in _ONE_REFERENCE for kind in range(256))
