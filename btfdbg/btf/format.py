"""The BTF format in Python: the enums of its numbers.

Owns the enums only; the numbers themselves and the row of each kind are ``layouts``',
and can be had from here, too.

Facts: include/uapi/linux/btf.h; Documentation/bpf/btf.rst.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

from btfdbg.btf import layouts
from btfdbg.btf.layouts import (
    COMPOSITES,
    HEADER_LEN,
    HEADER_LEN_LAYOUT,
    LAYOUT_ENTRY_LEN,
    LAYOUTS,
    LOC_FRAME_BASE,
    MAGIC,
    MAGIC_BYTES,
    MAX_CHAIN,
    MAX_LIBBPF,
    MAX_NAME_OFFSET,
    MAX_SIZE,
    MAX_TYPE,
    MAX_VLEN,
    MODIFIERS,
    SIZED,
    TRANSPARENT,
    TYPE_WORDS,
    VERSION,
    Layout,
    StrOff,
    TypeId,
    info_kflag,
    info_kind,
    info_vlen,
    kind_name,
    make_info,
)

__all__ = [
    "COMPOSITES",
    "HEADER_LEN",
    "HEADER_LEN_LAYOUT",
    "LAYOUTS",
    "LAYOUT_ENTRY_LEN",
    "LOC_FRAME_BASE",
    "MAGIC",
    "MAGIC_BYTES",
    "MAX_CHAIN",
    "MAX_LIBBPF",
    "MAX_NAME_OFFSET",
    "MAX_SIZE",
    "MAX_TYPE",
    "MAX_VLEN",
    "MODIFIERS",
    "SIZED",
    "TRANSPARENT",
    "TYPE_WORDS",
    "VERSION",
    "IntEncoding",
    "Kind",
    "Layout",
    "Linkage",
    "LocFlag",
    "StrOff",
    "TypeId",
    "info_kflag",
    "info_kind",
    "info_vlen",
    "kind_name",
    "make_info",
]


class Kind(IntEnum):
    """Number of a kind, ``BTF_KIND_*``; ``VOID`` is what uapi calls ``UNKN``."""

    VOID = layouts.VOID
    INT = layouts.INT
    PTR = layouts.PTR
    ARRAY = layouts.ARRAY
    STRUCT = layouts.STRUCT
    UNION = layouts.UNION
    ENUM = layouts.ENUM
    FWD = layouts.FWD
    TYPEDEF = layouts.TYPEDEF
    VOLATILE = layouts.VOLATILE
    CONST = layouts.CONST
    RESTRICT = layouts.RESTRICT
    FUNC = layouts.FUNC
    FUNC_PROTO = layouts.FUNC_PROTO
    VAR = layouts.VAR
    DATASEC = layouts.DATASEC
    FLOAT = layouts.FLOAT
    DECL_TAG = layouts.DECL_TAG
    TYPE_TAG = layouts.TYPE_TAG
    ENUM64 = layouts.ENUM64
    LOC_PARAM = layouts.LOC_PARAM
    LOC_PROTO = layouts.LOC_PROTO
    LOCSEC = layouts.LOCSEC


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
