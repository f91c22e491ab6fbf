"""One frozen class per kind: what a type says, with ids in place of references.

Owns the decoded form only; how it stands in bytes is known by ``format`` (where
the words are) and ``btf`` (which reads them). Values hold ids, never other types,
so they have no cycles, compare by content and outlive the blob.

Facts: include/uapi/linux/btf.h, whose field names these are.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

from btfdbg.btf.format import IntEncoding, Kind, TypeId
from btfdbg.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Void:
    """Type 0, which no record describes."""

    kind: ClassVar[Kind] = Kind.VOID
    name: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class Int:
    """Integer: size in bytes; ``bits`` of value starting ``offset`` bits in."""

    name: str
    size: int
    bits: int
    offset: int
    encoding: int
    kind: ClassVar[Kind] = Kind.INT

    @property
    def signed(self) -> bool:
        return bool(self.encoding & IntEncoding.SIGNED)

    @property
    def char(self) -> bool:
        return bool(self.encoding & IntEncoding.CHAR)

    @property
    def bool(self) -> bool:
        return self.encoding & IntEncoding.BOOL != 0


@dataclass(frozen=True, slots=True)
class Ptr:
    type: TypeId
    kind: ClassVar[Kind] = Kind.PTR
    name: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class Array:
    """Array of ``nelems`` elements of ``type``; 0 also stands for ``[]``."""

    type: TypeId
    index_type: TypeId
    nelems: int
    kind: ClassVar[Kind] = Kind.ARRAY
    name: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class Member:
    """
    Member of a STRUCT or UNION.

    :ivar bit_offset: Bits from the start of the composite.
    :ivar bitfield_size: Bits of a bit-field; 0 for a whole value. (Data from before
        kind_flag, 2018, put a bit-field's size into the INT instead.)
    """

    name: str
    type: TypeId
    bit_offset: int
    bitfield_size: int = 0


@dataclass(frozen=True, slots=True)
class Struct:
    name: str
    size: int
    members: tuple[Member, ...]
    kind: ClassVar[Kind] = Kind.STRUCT


@dataclass(frozen=True, slots=True)
class Union:
    name: str
    size: int
    members: tuple[Member, ...]
    kind: ClassVar[Kind] = Kind.UNION


@dataclass(frozen=True, slots=True)
class Enumerator:
    name: str
    value: int


@dataclass(frozen=True, slots=True)
class Enum:
    """
    Enumeration of at most 32-bit values; without values, a forward declaration.

    :ivar signed: kind_flag. pahole before 1.24 never set it, so a negative value
        then reads as its unsigned twin.
    """

    name: str
    size: int
    signed: bool
    values: tuple[Enumerator, ...]
    kind: ClassVar[Kind] = Kind.ENUM


@dataclass(frozen=True, slots=True)
class Enum64:
    name: str
    size: int
    signed: bool
    values: tuple[Enumerator, ...]
    kind: ClassVar[Kind] = Kind.ENUM64


@dataclass(frozen=True, slots=True)
class Fwd:
    name: str
    is_union: bool
    kind: ClassVar[Kind] = Kind.FWD


@dataclass(frozen=True, slots=True)
class Typedef:
    name: str
    type: TypeId
    kind: ClassVar[Kind] = Kind.TYPEDEF


@dataclass(frozen=True, slots=True)
class Volatile:
    type: TypeId
    kind: ClassVar[Kind] = Kind.VOLATILE
    name: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class Const:
    type: TypeId
    kind: ClassVar[Kind] = Kind.CONST
    name: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class Restrict:
    type: TypeId
    kind: ClassVar[Kind] = Kind.RESTRICT
    name: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class Func:
    """Function; ``type`` is its FUNC_PROTO, ``linkage`` a :class:`format.Linkage`."""

    name: str
    type: TypeId
    linkage: int
    kind: ClassVar[Kind] = Kind.FUNC


@dataclass(frozen=True, slots=True)
class Param:
    name: str
    type: TypeId


@dataclass(frozen=True, slots=True)
class FuncProto:
    """Signature; ``type`` is what it returns. ``...`` is a last parameter ``('', 0)``."""

    type: TypeId
    params: tuple[Param, ...]
    kind: ClassVar[Kind] = Kind.FUNC_PROTO
    name: ClassVar[str] = ""

    @property
    def is_variadic(self) -> bool:
        return bool(self.params) and self.params[-1].type == 0 and not self.params[-1].name


@dataclass(frozen=True, slots=True)
class Var:
    name: str
    type: TypeId
    linkage: int
    kind: ClassVar[Kind] = Kind.VAR


@dataclass(frozen=True, slots=True)
class VarSecinfo:
    """A VAR in a section: ``offset`` and ``size`` in bytes."""

    type: TypeId
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Datasec:
    name: str
    size: int
    vars: tuple[VarSecinfo, ...]
    kind: ClassVar[Kind] = Kind.DATASEC


@dataclass(frozen=True, slots=True)
class Float:
    name: str
    size: int
    kind: ClassVar[Kind] = Kind.FLOAT


@dataclass(frozen=True, slots=True)
class DeclTag:
    """
    Tag on a declaration; ``name`` is its text.

    :ivar component_idx: Member or parameter it is on, -1 for the declaration itself.
    :ivar is_attr: The text is any C attribute, not a ``btf_decl_tag``.
    """

    name: str
    type: TypeId
    component_idx: int
    is_attr: bool = False
    kind: ClassVar[Kind] = Kind.DECL_TAG


@dataclass(frozen=True, slots=True)
class TypeTag:
    """Tag on a pointee; ``name`` is its text. ``is_attr`` as for :class:`DeclTag`."""

    name: str
    type: TypeId
    is_attr: bool = False
    kind: ClassVar[Kind] = Kind.TYPE_TAG


@dataclass(frozen=True, slots=True)
class LocParam:
    """
    Where one parameter of an inlined call is.

    :ivar size: Bytes of the parameter.
    :ivar flags: :class:`format.LocFlag`.
    :ivar values: What the flags announce: constant, address, DWARF register, offset.
    """

    size: int
    flags: int
    values: tuple[int, ...]
    kind: ClassVar[Kind] = Kind.LOC_PARAM
    name: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class LocProto:
    """LOC_PARAM ids of one inlined call's parameters; 0 where unknown."""

    params: tuple[TypeId, ...]
    kind: ClassVar[Kind] = Kind.LOC_PROTO
    name: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class LocsecEntry:
    """An inlined call: of ``func``, with ``loc_proto``, ``offset`` bytes into the section."""

    func: TypeId
    loc_proto: TypeId
    offset: int


@dataclass(frozen=True, slots=True)
class Locsec:
    """Inlined calls of a section; named ``inline.`` and the section's name."""

    name: str
    entries: tuple[LocsecEntry, ...]
    kind: ClassVar[Kind] = Kind.LOCSEC


@dataclass(frozen=True, slots=True)
class Unknown:
    """
    A kind newer than this program, skipped by means of the layout section.

    :ivar kind: Its number, not among :class:`format.Kind`.
    :ivar size_or_type: Third word, of unknown meaning.
    :ivar payload: The words that follow.
    """

    kind: int
    name: str
    vlen: int
    kflag: bool
    size_or_type: int
    payload: tuple[int, ...]


Type: TypeAlias = (
    Void
    | Int
    | Ptr
    | Array
    | Struct
    | Union
    | Enum
    | Fwd
    | Typedef
    | Volatile
    | Const
    | Restrict
    | Func
    | FuncProto
    | Var
    | Datasec
    | Float
    | DeclTag
    | TypeTag
    | Enum64
    | LocParam
    | LocProto
    | Locsec
    | Unknown
)
Composite: TypeAlias = Struct | Union
