"""BTF as DWARF: .debug_info, .debug_abbrev and .debug_str of one unit.

Owns the unit, and its functions and variables behind its types. What BTF loses is not made
up: of static functions of one name all have the prototype that BTF has for the name.

Facts: DWARF 4. Strings keep BTF's offsets, so a name is a number that is copied.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

from btfdbg.btf import Btf
from btfdbg.btf.fields import SIZE_OR_TYPE, parameters_at
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
from btfdbg.handover.vmlinux.type_entries import TypeEntries, all_refs
from btfdbg.lazy_dataclass import dataclass

_HEADER = 11  # of a unit of 32-bit DWARF 4
_MAX_INFO = 1 << 31
# Where an entry's first address stands: behind code, producer, language and name in a
# unit's, behind code and name in a function's; a variable's ends with it.
_UNIT_ADDRESS, _FUNCTION_ADDRESS, _ADDRESS_BYTES = 11, 5, 8
_END = b"\0"  # of an entry's children
_Pack: TypeAlias = Callable[..., bytes]
_NAME, _TYPE = (At.NAME, Form.STRP), (At.TYPE, Form.REF4)
_SIZE1 = (At.BYTE_SIZE, Form.DATA1)
_WHERE = (At.LOCATION, Form.EXPRLOC)
_PROTOTYPED = (At.PROTOTYPED, Form.FLAG_PRESENT)
_EXTERNAL = (At.EXTERNAL, Form.FLAG_PRESENT)
_RANGE = ((At.LOW_PC, Form.ADDR), (At.HIGH_PC, Form.DATA8))
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


class Function(NamedTuple):
    """
    A function; a tuple, for a kernel has 50,000.

    :ivar name: Offset of its name among the BTF's strings.
    :ivar proto: Id of its FUNC_PROTO.
    :ivar size: Bytes.
    """

    name: int
    proto: int
    address: int
    size: int
    is_global: bool


class Variable(NamedTuple):
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
        for link in btf.chain():
            self._strings += link.strings.data
        if not self._strings:
            self._strings += b"\0"
        self._added: dict[str, int] = {}
        # Where what refers to a type refers to: void's entry, if it has none.
        self._refs: Sequence[int] = ()
        self._packers: dict[str, struct.Struct] = {}
        # What packs so many parameters, and an entry's code.
        self._parameters: dict[int, _Pack] = {}
        self._parameter = 0
        # What packs the start of a function's entry, and its code: by what the entry has.
        self._heads: dict[tuple[bool, bool, bool], tuple[_Pack, int]] = {}
        self._reference = self._packer("I").pack
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
        types = TypeEntries(self._btf, self._prefix, self._shapes, self._void, self._integers)
        types.plan(place)
        # One buffer: 200,000 pieces and what joins them would be twice as much.
        out = bytearray(_HEADER)
        out += head + bases
        types.write(out)
        self._refs = types.refs
        self.lost = types.lost
        del types
        places = array("Q", [_HEADER + _UNIT_ADDRESS])
        kept = places if keep_places else None
        function_count = self._functions(functions, out, kept)
        variable_count = self._variables(variables, out, kept)
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
        """Where the entry of a type stands that an entry refers to."""
        return self._refs[type_id] if 0 <= type_id < len(self._refs) else self._void

    # Functions and variables refer to types only, so that they need no first pass.

    def _functions(
        self, functions: Iterable[Function], out: bytearray, places: array[int] | None
    ) -> int:
        """Append an entry for each; return how many."""
        # By prototype, of static functions and of others: what packs the entry's start, its
        # code, and what stands behind the start.
        known: tuple[dict[int, tuple[_Pack, int, bytes]], ...] = {}, {}
        count = 0
        for name, proto, address, size, is_global in functions:
            found = known[is_global].get(proto)
            if found is None:
                found = known[is_global][proto] = self._function_of(proto, is_global)
            pack, code, rest = found
            if places is not None:
                places.append(len(out) + _FUNCTION_ADDRESS)
            out += pack(code, name, address, size)
            out += rest
            count += 1
        return count

    def _function_of(self, proto: int, is_global: bool) -> tuple[_Pack, int, bytes]:
        target, children = self._signature(proto)
        key = target != 0, children != b"", is_global
        head = self._heads.get(key)
        if head is None:
            typed = (_TYPE,) if target else ()
            flags = (_EXTERNAL,) if is_global else ()
            start = _NAME, *flags, _PROTOTYPED, *_RANGE
            shape = self._shapes.get(Tag.SUBPROGRAM, bool(children), *start, *typed)
            pack = self._packer(shape.layout[: -len(typed) or None]).pack
            head = self._heads[key] = pack, shape.code
        return *head, self._reference(target) + children if target else children

    def _signature(self, proto: int) -> tuple[int, bytes]:
        """Where the entry of a prototype's result stands, 0 for void; its parameters' entries."""
        owner = self._btf.owner_of(proto)
        pos = owner.offsets[proto - owner.start_id]
        words = owner.words
        result = words[pos + SIZE_OR_TYPE]
        found, variadic = parameters_at(words, pos)
        target = self._ref(result) if result else 0
        if not found and not variadic:
            return target, b""
        rest = b""
        if variadic:
            rest = self._pack(self._shapes.get(Tag.UNSPECIFIED_PARAMETERS, False))
        count = len(found) // 2
        pack = self._parameters.get(count)
        if pack is None:
            shape = self._shapes.get(Tag.FORMAL_PARAMETER, False, _NAME, _TYPE)
            self._parameter = shape.code
            pack = self._parameters[count] = self._packer(shape.layout * count).pack
        flat = [self._parameter] * (3 * count)
        flat[1::3] = found[::2]
        flat[2::3] = all_refs(self._refs, self._void, found[1::2])
        return target, pack(*flat) + rest + _END

    def _variables(
        self, variables: Iterable[Variable], out: bytearray, places: array[int] | None
    ) -> int:
        """Append an entry for each; return how many."""
        shapes = [
            self._shapes.get(Tag.VARIABLE, False, _NAME, _TYPE, *more, _WHERE)
            for more in ((), (_EXTERNAL,))
        ]
        packs = [self._packer(shape.layout).pack for shape in shapes]
        count = 0
        for name, type_id, address, is_global in variables:
            shape = shapes[is_global]
            if places is not None:
                places.append(len(out) + shape.size - _ADDRESS_BYTES)
            out += packs[is_global](
                shape.code, self._string(name), self._ref(type_id),
                ADDRESS_EXPRESSION, OP_ADDR, address,
            )  # fmt: skip
            count += 1
        return count
