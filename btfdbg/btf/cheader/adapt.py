"""Types that C has no words for, said in ones that it has, before a header is written.

Owns the changes: names that are no C identifiers or are keywords, base types of other
languages, enums without values that are used by value, enums whose sign the encoder left
out. Ids stay; what has to be added stands at the end. A kernel's own BTF needs none of it
and is only looked through.

Facts: ISO C23 6.4.1 (keywords), gcc's and clang's own keywords; Rust and C++ names as
rustc and clang write them into DWARF; llvm writes ``__SANITIZED_FAKE_INT__`` for ``long
double`` and the like (BTFDebug.cpp).
"""

from __future__ import annotations

import re

from btfdbg.btf import kinds
from btfdbg.btf.btf import Btf
from btfdbg.btf.builder import Builder
from btfdbg.btf.encoder import VALUES_CUT, enum_meaning
from btfdbg.btf.format import IntEncoding, Kind, TypeId
from btfdbg.btf.layouts import LAYOUTS, TYPE_WORDS
from btfdbg.btf.pack import pack
from btfdbg.errors import BtfFormatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: What no name in a header may be: keywords of C up to C23, and what compilers add.
KEYWORDS = frozenset(
    {
        "_Alignas",
        "_Alignof",
        "_Atomic",
        "_BitInt",
        "_Bool",
        "_Complex",
        "_Decimal128",
        "_Decimal32",
        "_Decimal64",
        "_Float128",
        "_Float16",
        "_Float32",
        "_Float32x",
        "_Float64",
        "_Float64x",
        "_Generic",
        "_Imaginary",
        "_Noreturn",
        "_Static_assert",
        "_Thread_local",
        "__asm",
        "__asm__",
        "__attribute",
        "__attribute__",
        "__auto_type",
        "__bf16",
        "__builtin_offsetof",
        "__builtin_va_arg",
        "__const",
        "__const__",
        "__extension__",
        "__float128",
        "__fp16",
        "__ibm128",
        "__ieee128",
        "__inline",
        "__inline__",
        "__int128",
        "__int128_t",
        "__label__",
        "__mfp8",
        "__restrict",
        "__restrict__",
        "__signed",
        "__signed__",
        "__thread",
        "__typeof",
        "__typeof__",
        "__uint128_t",
        "__volatile",
        "__volatile__",
        "alignas",
        "alignof",
        "asm",
        "auto",
        "bool",
        "break",
        "case",
        "char",
        "const",
        "constexpr",
        "continue",
        "default",
        "do",
        "double",
        "else",
        "enum",
        "extern",
        "false",
        "float",
        "for",
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "nullptr",
        "register",
        "restrict",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "static_assert",
        "struct",
        "switch",
        "thread_local",
        "true",
        "typedef",
        "typeof",
        "typeof_unqual",
        "union",
        "unsigned",
        "void",
        "volatile",
        "while",
    }
)
# Names of the integers that C has, in any order of their words.
_INT_WORDS = frozenset({"char", "short", "int", "long", "signed", "unsigned", "__int128"})
_FLOATS = frozenset({"float", "double", "long double"})
# Types of array indexes that compilers invent; no declaration names them.
_INDEXES = frozenset({"ssizetype", "sizetype", "bitsizetype", "__ARRAY_SIZE_TYPE__", ""})
# Types of arm64's that gcc knows and other compilers need typedefs for, see ``definitions``.
_LEFT = frozenset({"__Poly8_t", "__Poly16_t", "__Poly64_t", "__Poly128_t"})
_BOOLEANS = {"false": 0, "true": 1}
_ODD = re.compile(rb"[^A-Za-z0-9_\0]")
_LAST_ODD = re.compile(rb".*([^A-Za-z0-9_])", re.DOTALL)
_DIGIT = re.compile(rb"(?:^|\0)([0-9])")
_SIGNED = {1: "signed char", 2: "short", 4: "int", 8: "long long", 16: "__int128"}
_THROUGH = (Kind.TYPEDEF, Kind.CONST, Kind.VOLATILE, Kind.RESTRICT, Kind.TYPE_TAG)
_NAMED_IN_C = (Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64, Kind.TYPEDEF, Kind.FWD)


class Adapted:
    """
    A BTF that C can say.

    :ivar btf: The types; the very object that was given if nothing had to be changed.
    :ivar changes: One line each for what was changed, as comments have it.
    """

    def __init__(self, btf: Btf, changes: list[str]) -> None:
        self.btf = btf
        self.changes = changes


def adapt(btf: Btf) -> Adapted:
    """
    Return BTF of the same ids that has C's names and types only.

    :raises BtfFormatError: a type refers to what does not exist.

    >>> adapt(rust).changes[0]
    'struct MaybeUninit<u8> is MaybeUninit_u8_ here'
    """
    bad = _bad_offsets(btf)
    ints = _foreign_ints(btf)
    forwards = _valued_forwards(btf)
    signs = _lost_signs(btf)
    if not ints and not forwards and not signs and not _uses(btf, bad):
        return Adapted(btf, [])
    return _Adapter(btf, ints, forwards, signs).run()


def c_name(name: str) -> str:
    """
    Return a C identifier for any name; the name itself if it is one.

    Letters of other alphabets are letters to gcc 10, clang and C23, too.
    """
    out = re.sub(r"\W", "_", name)
    if out[:1].isdigit():
        out = "_" + out
    return out + "_" if out in KEYWORDS else out


# What there is to change.


def _bad_offsets(btf: Btf) -> bytearray:
    """Return, by string offset, 1 where what stands there is no name in C."""
    out = bytearray(btf.end_str_off)
    keywords = {word.encode() for word in KEYWORDS}
    for level in btf.chain():
        data, start = level.strings.data, level.start_str_off
        at = 0
        # From the start of a string to the last of what is odd in it: a tail after that is
        # a name. Each string is looked at once, however much in it is odd.
        while (match := _ODD.search(data, at)) is not None:
            first = data.rfind(b"\0", 0, match.start()) + 1
            at = data.find(b"\0", match.start())
            last = _LAST_ODD.search(data, first, at)
            end = last.start(1) + 1 if last is not None else at
            out[start + first : start + end] = b"\1" * (end - first)
        for match in _DIGIT.finditer(data):
            out[start + match.start(1)] = 1
        for word in keywords.intersection(data.split(b"\0")):
            for offset in level.strings.offsets_of(word):
                out[start + offset] = 1
    return out


def _uses(btf: Btf, bad: bytearray) -> bool:
    """Return whether a name in C, of a type, member or enumerator, is one of these."""
    is_bad = bad.__getitem__
    for level in btf.chain():
        words, offsets = level.words, level.offsets
        for index, kind in enumerate(level.own_kinds()):
            if kind not in _NAMED_IN_C:
                continue
            names = [words[offsets[index]]]
            row = LAYOUTS[kind]
            if row.elem_words:
                end = level.record_end(level.start_id + index)
                names += words[offsets[index] + TYPE_WORDS : end : row.elem_words]
            try:
                if any(map(is_bad, names)) and not _is_boolean(level, level.start_id + index):
                    return True
            except IndexError:
                return False  # a name that does not exist: the dump says so
    return False


def _require_bounded_names(btf: Btf) -> None:
    """
    Make sure that the names of all types together are of a size to work with.

    :raises BtfFormatError: many refer to long strings, or to their tails.
    """
    left = (1 << 20) + 64 * sum(len(level.raw) for level in btf.chain())
    for level in btf.chain():
        for index, kind in enumerate(level.own_kinds()):
            row = LAYOUTS.get(kind)
            start, end = level.offsets[index], level.record_end(level.start_id + index)
            names = [level.words[start]]
            for at in row.elem_str_words if row is not None else ():
                assert row is not None
                names += level.words[
                    start + TYPE_WORDS + row.info_words + at : end : row.elem_words
                ]
            for offset in names:
                if offset:
                    left -= _length(btf, offset)
            if left < 0:
                raise BtfFormatError("the names of these types are too much larger than they are")


def _length(btf: Btf, offset: int) -> int:
    level = btf
    while offset < level.start_str_off and level.base is not None:
        level = level.base
    at = offset - level.start_str_off
    return level.strings.data.find(b"\0", at) - at if at < len(level.strings) else 0


def _is_boolean(btf: Btf, type_id: int) -> bool:
    """
    Return whether a type is what C23 has of itself: ``bool``, or ``false`` and ``true``.

    ``definitions`` writes these for older compilers only.
    """
    type_ = btf.type_by_id(type_id)
    if isinstance(type_, kinds.Typedef) and type_.name == "bool":
        target = btf.type_by_id(type_.type)
        return isinstance(target, kinds.Int) and target.bool
    return (
        isinstance(type_, kinds.Enum)
        and not type_.name
        and {v.name: v.value for v in type_.values} == _BOOLEANS
    )


def _foreign_ints(btf: Btf) -> list[int]:
    """Return the INTs and FLOATs whose name is not C's."""
    out = []
    for level in btf.chain():
        for type_id, kind in zip(level.own_ids(), level.own_kinds(), strict=True):
            if kind in (Kind.INT, Kind.FLOAT):
                name = level.name_of(type_id)
                c = name in _FLOATS or name == "_Bool" or _INT_WORDS.issuperset(name.split())
                if not c and name not in _INDEXES and name not in _LEFT:
                    out.append(type_id)
    return out


def _valued_forwards(btf: Btf) -> set[int]:
    """Return the enums without values that something has by value."""
    wanted = {
        type_id
        for level in btf.chain()
        for type_id, kind in zip(level.own_ids(), level.own_kinds(), strict=True)
        if kind in (Kind.ENUM, Kind.ENUM64) and not btf.record(type_id)[3:]
    }
    if not wanted:
        return wanted
    found: set[int] = set()
    for type_id in btf.ids():
        type_ = btf.type_by_id(type_id)
        if isinstance(type_, kinds.Struct | kinds.Union):
            targets = [member.type for member in type_.members]
        elif isinstance(type_, kinds.Array):
            targets = [type_.type]
        else:
            continue
        found.update(wanted.intersection(map(_end_of(btf), targets)))
    return found


def _end_of(btf: Btf) -> Callable[[int], int]:
    return lambda type_id: int(btf.skip_mods_and_typedefs(type_id))


def _lost_signs(btf: Btf) -> dict[int, str]:
    """Return the ENUMs that the encoder gave no sign, or cut, with what is not known of them."""
    if btf.writes_enum_signs:
        return {}
    _require_bounded_names(btf)
    out: dict[int, str] = {}
    for level in btf.chain():
        for type_id, kind in zip(level.own_ids(), level.own_kinds(), strict=True):
            if kind == Kind.ENUM:
                enum = level.type_by_id(type_id)
                assert isinstance(enum, kinds.Enum)
                meaning = enum_meaning(btf, enum)
                if meaning.doubt or meaning.signed != enum.signed:
                    out[type_id] = meaning.doubt
    return out


class _Adapter:
    def __init__(
        self, btf: Btf, ints: Iterable[int], forwards: set[int], signs: dict[int, str]
    ) -> None:
        self.btf = _flat(btf)
        self.ints = set(ints)
        self.forwards = forwards
        self.signs = signs
        self.changes: list[str] = []
        self.extra: list[kinds.Type] = []
        self.known: dict[kinds.Type, TypeId] = {}

    def run(self) -> Adapted:
        btf = self.btf
        _require_bounded_names(btf)
        out = Builder.like(btf, types=False)
        for type_id in btf.own_ids():
            type_ = btf.type_by_id(type_id)
            new = self.adapted(type_id, type_)
            if new is type_:
                out.add_words(btf.record(type_id).tolist())
            else:
                out.add(new)
        for type_ in self.extra:
            out.add(type_)
        return Adapted(Btf.parse(out.build()), self.changes)

    def added(self, type_: kinds.Type) -> TypeId:
        """Return the id of a type at the end."""
        if type_ not in self.known:
            self.known[type_] = TypeId(self.btf.type_cnt + len(self.extra))
            self.extra.append(type_)
        return self.known[type_]

    def adapted(self, type_id: int, type_: kinds.Type) -> kinds.Type:
        """Return what stands for a type: itself, if C can say it."""
        if type_id in self.ints:
            assert isinstance(type_, kinds.Int | kinds.Float)
            return self.number(type_)
        if type_id in self.forwards:
            assert isinstance(type_, kinds.Enum | kinds.Enum64)
            name = "enum_" + c_name(type_.name)
            self.changes.append(f"enum {type_.name} has no values here: {name} is an integer")
            return kinds.Typedef(name, self.plain(type_.size, type_.signed))
        if _is_boolean(self.btf, type_id):
            return type_
        match type_:
            case kinds.Struct():
                return kinds.Struct(
                    self.name("struct", type_), type_.size, self.members(type_.members)
                )
            case kinds.Union():
                return kinds.Union(
                    self.name("union", type_), type_.size, self.members(type_.members)
                )
            case kinds.Enum():
                return self.enum(type_id, type_)
            case kinds.Enum64():
                values = self.enumerators(type_.values)
                return kinds.Enum64(self.name("enum", type_), type_.size, type_.signed, values)
            case kinds.Typedef():
                return kinds.Typedef(self.name("typedef", type_), type_.type)
            case kinds.Fwd():
                keyword = "union" if type_.is_union else "struct"
                return kinds.Fwd(self.name(keyword, type_), type_.is_union)
        return type_

    def name(self, keyword: str, type_: kinds.Type) -> str:
        new = c_name(type_.name)
        if new != type_.name:
            self.changes.append(f"{keyword} {type_.name} is {new} here")
        return new

    def members(self, members: tuple[kinds.Member, ...]) -> tuple[kinds.Member, ...]:
        names = _unique([member.name for member in members])
        return tuple(
            kinds.Member(name, m.type, m.bit_offset, m.bitfield_size)
            for name, m in zip(names, members, strict=True)
        )

    def enumerators(self, values: tuple[kinds.Enumerator, ...]) -> tuple[kinds.Enumerator, ...]:
        return tuple(kinds.Enumerator(c_name(v.name), v.value) for v in values)

    def enum(self, type_id: int, type_: kinds.Enum) -> kinds.Enum:
        signed, values = type_.signed, type_.values
        if type_id in self.signs:
            meaning = enum_meaning(self.btf, type_)
            if meaning.doubt:
                name = type_.name or f"of {values[0].name}"
                self.changes.append(f"enum {name}: {meaning.doubt}")
            if meaning.doubt != VALUES_CUT:
                signed, values = meaning.signed, meaning.values
        return kinds.Enum(self.name("enum", type_), type_.size, signed, self.enumerators(values))

    def plain(self, size: int, signed: bool) -> TypeId:
        """Return C's integer of a size, an array of bytes where it has none."""
        if size in _SIGNED:
            name = _SIGNED[size]
            if not signed:
                name = "unsigned " + name.removeprefix("signed ")
            encoding = IntEncoding.SIGNED if signed else IntEncoding.NONE
            return self.added(kinds.Int(name, size, 8 * size, 0, encoding))
        byte = self.plain(1, False)
        return self.added(kinds.Array(byte, self.plain(8, False), size))

    def number(self, type_: kinds.Int | kinds.Float) -> kinds.Type:
        """Return a typedef of C's type for another language's, or for one of few targets."""
        name = c_name(type_.name)
        if isinstance(type_, kinds.Float):
            if type_.size in (4, 8):
                c = kinds.Float("float" if type_.size == 4 else "double", type_.size)
                target = self.added(c)
            else:
                target = self.plain_bytes(type_.size)
        elif type_.bool and type_.size == 1:
            target = self.added(kinds.Int("_Bool", 1, 8, 0, IntEncoding.BOOL))
            if type_.name == "bool":
                return kinds.Int("_Bool", 1, 8, 0, IntEncoding.BOOL)
        else:
            target = self.plain(type_.size, type_.signed)
        if name != type_.name:
            self.changes.append(f"{type_.name} is {name} here")
        return kinds.Typedef(name, target)

    def plain_bytes(self, size: int) -> TypeId:
        return self.added(kinds.Array(self.plain(1, False), self.plain(8, False), size))


def _flat(btf: Btf) -> Btf:
    """Return a chain as one BTF of the same ids and string offsets."""
    if btf.base is None:
        return btf
    chain = btf.chain()
    words = [word for level in chain for word in level.words.tolist()]
    strings = b"".join(level.strings.data for level in chain)
    return Btf.parse(pack(words, strings, byteorder=btf.byteorder))


def _unique(names: list[str]) -> list[str]:
    """Return C names for a struct's members, no two of which become the same."""
    taken = {name for name in names if c_name(name) == name}
    out = []
    for name in names:
        new = c_name(name)
        if new != name:
            number = 1
            while new in taken:
                number += 1
                new = f"{c_name(name)}___{number}"
            taken.add(new)
        out.append(new)
    return out
