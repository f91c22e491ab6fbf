"""The BTF format in Python: kinds, header, one layout row per kind.

Owns every number of the format and nothing that reads or writes it. A row of
:data:`LAYOUTS` names the u32 words of a record by their uapi field names; record
length, the place of type ids and the place of string offsets all follow from
it, so that whoever walks, remaps or copies types needs to know no kind.

Facts: include/uapi/linux/btf.h; Documentation/bpf/btf.rst. Kinds 20 to 22 and
the layout section as merged upstream in 2026.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final, NewType

#: Number of a type. 0 is void; a split BTF goes on where its base ends.
TypeId = NewType("TypeId", int)
#: Offset of a string, counted over the whole base chain.
StrOff = NewType("StrOff", int)

MAGIC: Final = 0xEB9F
VERSION: Final = 1

#: Bytes of the header as first published, and with the layout section's fields.
HEADER_LEN: Final = 24
HEADER_LEN_LAYOUT: Final = 32

#: Words (u32) of ``struct btf_type``, which starts every record.
TYPE_WORDS: Final = 3
#: Bytes of ``struct btf_layout``: u8 info_sz, u8 elem_sz, u16 flags.
LAYOUT_ENTRY_LEN: Final = 4

#: Limits that the kernel's verifier sets.
MAX_TYPE: Final = 0x0FFFFF
MAX_NAME_OFFSET: Final = 0xFFFFFF
MAX_VLEN: Final = 0xFFFFFF
MAX_SIZE: Final = 16 << 20
#: Limit that libbpf sets for ids and string offsets.
MAX_LIBBPF: Final = 0x7FFFFFFF


class Kind(IntEnum):
    """Number of a kind, ``BTF_KIND_*``; ``VOID`` is what uapi calls ``UNKN``."""

    VOID = 0
    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19
    LOC_PARAM = 20
    LOC_PROTO = 21
    LOCSEC = 22


class IntEncoding(IntFlag):
    """Bits of the encoding of an INT, ``BTF_INT_*``."""

    NONE = 0
    SIGNED = 1
    CHAR = 2
    BOOL = 4


class Linkage(IntEnum):
    """Linkage of a FUNC (held in its vlen) or a VAR (held in its payload)."""

    STATIC = 0
    GLOBAL = 1
    EXTERN = 2


class LocFlag(IntFlag):
    """Flags of a LOC_PARAM: where a parameter of an inlined call is found."""

    NONE = 0
    SIGNED = 1
    CONST = 2
    ADDR = 4
    REG = 8
    DEREF = 0x10
    OFFSET = 0x20


#: Register number in a LOC_PARAM that stands for the frame base.
LOC_FRAME_BASE: Final = 0xFFFFFFFF

# Field names that hold a type id, and that hold a string offset.
_TYPE_FIELDS: Final = frozenset({"type", "index_type", "func", "loc_proto", "loc_param"})
_STR_FIELDS: Final = frozenset({"name_off"})


class Layout:
    """
    The words of one kind's record.

    :ivar third: uapi name of the third word: ``size``, ``type`` or ``unused``.
    :ivar info: Names of the words that follow once.
    :ivar elem: Names of the words that follow vlen times.
    :ivar info_words: Words that follow once.
    :ivar elem_words: Words of one element.
    :ivar type_words: Word numbers in the record that hold type ids, elements left out.
    :ivar elem_type_words: Word numbers in an element that hold type ids.
    :ivar elem_str_words: Word numbers in an element that hold string offsets.
        (Word 0 of every record is its own name's.)
    :ivar has_refs: Whether a record of this kind can hold a type id at all.
    """

    __slots__ = (
        "elem",
        "elem_str_words",
        "elem_type_words",
        "elem_words",
        "has_refs",
        "info",
        "info_words",
        "third",
        "type_words",
    )

    def __init__(self, third: str, info: tuple[str, ...] = (), elem: tuple[str, ...] = ()) -> None:
        head = ("name_off", "info", third, *info)
        self.third = third
        self.info = info
        self.elem = elem
        self.info_words = len(info)
        self.elem_words = len(elem)
        self.type_words = tuple(i for i, f in enumerate(head) if f in _TYPE_FIELDS)
        self.elem_type_words = tuple(i for i, f in enumerate(elem) if f in _TYPE_FIELDS)
        self.elem_str_words = tuple(i for i, f in enumerate(elem) if f in _STR_FIELDS)
        self.has_refs = bool(self.type_words or self.elem_type_words)

    def words(self, vlen: int) -> int:
        """Return the length of a record in u32 words."""
        return TYPE_WORDS + self.info_words + self.elem_words * vlen


_REF: Final = Layout("type")
_MEMBERS: Final = Layout("size", elem=("name_off", "type", "offset"))

#: One row per known kind. FUNC has no element: its vlen is its linkage.
LAYOUTS: Final[dict[int, Layout]] = {
    Kind.INT: Layout("size", info=("int_data",)),
    Kind.PTR: _REF,
    Kind.ARRAY: Layout("unused", info=("type", "index_type", "nelems")),
    Kind.STRUCT: _MEMBERS,
    Kind.UNION: _MEMBERS,
    Kind.ENUM: Layout("size", elem=("name_off", "val")),
    Kind.FWD: Layout("unused"),
    Kind.TYPEDEF: _REF,
    Kind.VOLATILE: _REF,
    Kind.CONST: _REF,
    Kind.RESTRICT: _REF,
    Kind.FUNC: _REF,
    Kind.FUNC_PROTO: Layout("type", elem=("name_off", "type")),
    Kind.VAR: Layout("type", info=("linkage",)),
    Kind.DATASEC: Layout("size", elem=("type", "offset", "size")),
    Kind.FLOAT: Layout("size"),
    Kind.DECL_TAG: Layout("type", info=("component_idx",)),
    Kind.TYPE_TAG: _REF,
    Kind.ENUM64: Layout("size", elem=("name_off", "val_lo32", "val_hi32")),
    Kind.LOC_PARAM: Layout("size", info=("flags",), elem=("value",)),
    Kind.LOC_PROTO: Layout("unused", elem=("loc_param",)),
    Kind.LOCSEC: Layout("unused", elem=("func", "loc_proto", "offset")),
}

#: CONST, VOLATILE, RESTRICT and TYPE_TAG: what a cast leaves of the type (``btf_is_mod``).
MODIFIERS: Final = frozenset({Kind.CONST, Kind.VOLATILE, Kind.RESTRICT, Kind.TYPE_TAG})
#: Modifiers and TYPEDEF.
TRANSPARENT: Final = MODIFIERS | {Kind.TYPEDEF}
COMPOSITES: Final = frozenset({Kind.STRUCT, Kind.UNION})
#: Kinds whose third word is their size in bytes.
SIZED: Final = frozenset(
    {
        Kind.INT,
        Kind.STRUCT,
        Kind.UNION,
        Kind.ENUM,
        Kind.ENUM64,
        Kind.FLOAT,
        Kind.DATASEC,
    }
)


def info_kind(info: int) -> int:
    """Return the kind in an info word (7 bits; 5 were used before 2026)."""
    return info >> 24 & 0x7F


def info_vlen(info: int) -> int:
    """Return vlen in an info word (24 bits; 16 were used before 2026)."""
    return info & 0xFFFFFF


def info_kflag(info: int) -> bool:
    """Return kind_flag of an info word."""
    return info > 0x7FFFFFFF


def make_info(kind: int, vlen: int = 0, kflag: bool = False) -> int:
    """Return the info word for a kind, vlen and kind_flag; the reverse of the three above."""
    return int(kflag) << 31 | kind << 24 | vlen


def kind_name(kind: int) -> str:
    """Return the name of a kind, ``KIND_n`` for one that has none."""
    try:
        return Kind(kind).name
    except ValueError:
        return f"KIND_{kind}"
