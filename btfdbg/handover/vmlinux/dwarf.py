"""BTF as DWARF: .debug_info, .debug_abbrev and .debug_str of one unit.

Owns the unit, and its functions and variables behind its types. What BTF loses is not made
up: of static functions of one name all have the prototype that BTF has for the name.

Facts: DWARF 4. Strings keep BTF's offsets, so a name is a number that is copied.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator, Sequence

from btfdbg.btf import Btf
from btfdbg.btf.fields import (
    SIZE_OR_TYPE,
    param_words,
)
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
from btfdbg.handover.vmlinux.type_entries import TypeEntries
from btfdbg.lazy_dataclass import dataclass

_HEADER = 11  # of a unit of 32-bit DWARF 4
_MAX_INFO = 1 << 31
# Where an entry's first address stands: behind code, producer, language and name in a
# unit's, behind code and name in a function's; a variable's ends with it.
_UNIT_ADDRESS, _FUNCTION_ADDRESS, _ADDRESS_BYTES = 11, 5, 8
_END = b"\0"  # of an entry's children
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
        self._at: Sequence[int] = ()
        self._packers: dict[str, struct.Struct] = {}
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
        self._at = types.plan(place)
        # One buffer: 200,000 pieces and what joins them would be twice as much.
        out = bytearray(_HEADER)
        out += head + bases
        types.write(out)
        self.lost = types.lost
        del types
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
