"""The changes that ``adapt`` found to be needed, made.

Owns what stands for what C cannot say. Apart from ``adapt``, because a kernel's own BTF
needs none of it, nor the classes that it takes.
"""

from __future__ import annotations

from btfdbg.btf import kinds
from btfdbg.btf.btf import Btf
from btfdbg.btf.builder import Builder
from btfdbg.btf.cheader.c_names import c_name, is_boolean, require_bounded_names
from btfdbg.btf.encoder import VALUES_CUT, enum_meaning
from btfdbg.btf.format import IntEncoding, Kind, TypeId
from btfdbg.btf.pack import pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_SIGNED = {1: "signed char", 2: "short", 4: "int", 8: "long long", 16: "__int128"}


def lost_signs(btf: Btf) -> dict[int, str]:
    """Return the ENUMs that the encoder gave no sign, or cut, with what is not known of them."""
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


class Adapter:
    def __init__(
        self, btf: Btf, ints: Iterable[int], forwards: set[int], signs: dict[int, str]
    ) -> None:
        self.btf = _flat(btf)
        self.ints = set(ints)
        self.forwards = forwards
        self.signs = signs
        self.changes: list[str] = []
        #: Types at the end, by what they are.
        self.extra: dict[kinds.Type, TypeId] = {}

    def run(self) -> tuple[Btf, list[str]]:
        """Return the adapted BTF and what was changed, one line each."""
        btf = self.btf
        require_bounded_names(btf)
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
        return Btf.parse(out.build()), self.changes

    def added(self, type_: kinds.Type) -> TypeId:
        """Return the id of a type at the end."""
        return self.extra.setdefault(type_, TypeId(self.btf.type_cnt + len(self.extra)))

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
        if is_boolean(self.btf, type_id):
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
            case kinds.FuncProto():
                return self.prototype(type_)
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

    def prototype(self, type_: kinds.FuncProto) -> kinds.FuncProto:
        names = _unique([param.name for param in type_.params])
        if names == [param.name for param in type_.params]:
            return type_
        params = zip(names, type_.params, strict=True)
        return kinds.FuncProto(type_.type, tuple(kinds.Param(name, p.type) for name, p in params))

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
        return self.plain_bytes(size)

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
