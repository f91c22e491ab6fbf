"""The numbers of the BTF format, and one row per kind.

Owns every number of the format that reading needs, as plain integers: making the enums of
``format`` takes longer than to find where the records of a kernel's BTF are. A row of
:data:`LAYOUTS` names the u32 words of a record by their uapi field names; record
length, the place of type ids and the place of string offsets all follow from
it, so that whoever walks, remaps or copies types needs to know no kind.

Facts: include/uapi/linux/btf.h; Documentation/bpf/btf.rst. Kinds 20 to 22 and
the layout section as merged upstream in 2026.
"""

from __future__ import annotations

# A plain name, which type checkers take for typing's: that module takes 5 ms to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, NewType

    #: Number of a type. 0 is void; a split BTF goes on where its base ends.
    TypeId = NewType("TypeId", int)
    #: Offset of a string, counted over the whole base chain.
    StrOff = NewType("StrOff", int)
else:
    TypeId = StrOff = int

MAGIC: Final = 0xEB9F
VERSION: Final = 1
#: The first two bytes of a blob, by its byte order.
MAGIC_BYTES: Final = {"little": b"\x9f\xeb", "big": b"\xeb\x9f"}

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
#: References followed in a row, through pointers, arrays, typedefs and qualifiers, before
#: a chain counts as a cycle. The verifier allows 32 (MAX_RESOLVE_DEPTH), and nothing that
#: a compiler makes comes near that.
MAX_CHAIN: Final = 128
#: Limit that libbpf sets for ids and string offsets.
MAX_LIBBPF: Final = 0x7FFFFFFF

#: Names of the kinds, ``BTF_KIND_*``, by number; ``VOID`` is what uapi calls ``UNKN``.
KIND_NAMES: Final = (
    "VOID",
    "INT",
    "PTR",
    "ARRAY",
    "STRUCT",
    "UNION",
    "ENUM",
    "FWD",
    "TYPEDEF",
    "VOLATILE",
    "CONST",
    "RESTRICT",
    "FUNC",
    "FUNC_PROTO",
    "VAR",
    "DATASEC",
    "FLOAT",
    "DECL_TAG",
    "TYPE_TAG",
    "ENUM64",
    "LOC_PARAM",
    "LOC_PROTO",
    "LOCSEC",
)
VOID, INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF = range(9)
VOLATILE, CONST, RESTRICT, FUNC, FUNC_PROTO, VAR, DATASEC = range(9, 16)
FLOAT, DECL_TAG, TYPE_TAG, ENUM64, LOC_PARAM, LOC_PROTO, LOCSEC = range(16, 23)

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
    INT: Layout("size", info=("int_data",)),
    PTR: _REF,
    ARRAY: Layout("unused", info=("type", "index_type", "nelems")),
    STRUCT: _MEMBERS,
    UNION: _MEMBERS,
    ENUM: Layout("size", elem=("name_off", "val")),
    FWD: Layout("unused"),
    TYPEDEF: _REF,
    VOLATILE: _REF,
    CONST: _REF,
    RESTRICT: _REF,
    FUNC: _REF,
    FUNC_PROTO: Layout("type", elem=("name_off", "type")),
    VAR: Layout("type", info=("linkage",)),
    DATASEC: Layout("size", elem=("type", "offset", "size")),
    FLOAT: Layout("size"),
    DECL_TAG: Layout("type", info=("component_idx",)),
    TYPE_TAG: _REF,
    ENUM64: Layout("size", elem=("name_off", "val_lo32", "val_hi32")),
    LOC_PARAM: Layout("size", info=("flags",), elem=("value",)),
    LOC_PROTO: Layout("unused", elem=("loc_param",)),
    LOCSEC: Layout("unused", elem=("func", "loc_proto", "offset")),
}

#: Register number in a LOC_PARAM that stands for the frame base.
LOC_FRAME_BASE: Final = 0xFFFFFFFF

#: CONST, VOLATILE, RESTRICT and TYPE_TAG: what a cast leaves of the type (``btf_is_mod``).
MODIFIERS: Final = frozenset({CONST, VOLATILE, RESTRICT, TYPE_TAG})
#: Modifiers and TYPEDEF.
TRANSPARENT: Final = MODIFIERS | {TYPEDEF}
COMPOSITES: Final = frozenset({STRUCT, UNION})
#: Kinds whose third word is their size in bytes.
SIZED: Final = frozenset(
    {
        INT,
        STRUCT,
        UNION,
        ENUM,
        ENUM64,
        FLOAT,
        DATASEC,
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
    return KIND_NAMES[kind] if 0 <= kind < len(KIND_NAMES) else f"KIND_{kind}"
