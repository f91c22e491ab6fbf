"""BTF to test with, in the raw notation, and blobs made by hand."""

from __future__ import annotations

import struct

#: Every kind, each in a usual form.
EVERY_KIND = """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] INT 'char' size=1 bits_offset=0 nr_bits=8 encoding=(none)
[3] INT '_Bool' size=1 bits_offset=0 nr_bits=8 encoding=BOOL
[4] PTR '(anon)' type_id=2
[5] ARRAY '(anon)' type_id=1 index_type_id=1 nr_elems=7
[6] STRUCT 'node' size=32 vlen=4
\t'next' type_id=7 bits_offset=0
\t'(anon)' type_id=8 bits_offset=64
\t'low' type_id=1 bits_offset=128 bitfield_size=3
\t'high' type_id=1 bits_offset=131 bitfield_size=29
[7] PTR '(anon)' type_id=6
[8] UNION '(anon)' size=8 vlen=2
\t'number' type_id=1 bits_offset=0
\t'text' type_id=4 bits_offset=0
[9] ENUM 'colour' encoding=UNSIGNED size=4 vlen=2
\t'RED' val=0
\t'BLUE' val=4294967295
[10] ENUM 'sign' encoding=SIGNED size=4 vlen=1
\t'MINUS' val=-1
[11] FWD 'later' fwd_kind=struct
[12] FWD 'either' fwd_kind=union
[13] TYPEDEF 'node_t' type_id=6
[14] VOLATILE '(anon)' type_id=1
[15] CONST '(anon)' type_id=14
[16] RESTRICT '(anon)' type_id=4
[17] FUNC_PROTO '(anon)' ret_type_id=1 vlen=2
\t'format' type_id=4
\t'(anon)' type_id=0
[18] FUNC 'print' type_id=17 linkage=static
[19] FUNC 'scan' type_id=17 linkage=global
[20] FUNC 'other' type_id=17 linkage=extern
[21] VAR 'count' type_id=1, linkage=static
[22] VAR 'table' type_id=5, linkage=global
[23] DATASEC '.data' size=64 vlen=2
\ttype_id=21 offset=0 size=4 (VAR 'count')
\ttype_id=22 offset=16 size=28 (VAR 'table')
[24] FLOAT 'double' size=8
[25] DECL_TAG 'about the struct' type_id=6 component_idx=-1
[26] DECL_TAG 'about a member' type_id=6 component_idx=1
[27] TYPE_TAG 'user' type_id=2
[28] TYPE_TAG 'address_space(1)' type_id=2 kflag=1
[29] ENUM64 'large' encoding=UNSIGNED size=8 vlen=2
\t'SMALL' val=1ULL
\t'HUGE' val=18446744073709551615ULL
[30] ENUM64 'deep' encoding=SIGNED size=8 vlen=1
\t'BOTTOM' val=-9223372036854775808LL
[31] LOC_PARAM '(anon)' size=8 flags=REG|OFFSET vlen=2
\tvalue=7
\tvalue=4294967280
[32] LOC_PROTO '(anon)' vlen=2
\ttype_id=31
\ttype_id=0
[33] LOCSEC 'inline.text' vlen=1
\tfunc=18 loc_proto=32 offset=4096
"""

#: On top of EVERY_KIND.
SPLIT = """\
[34] STRUCT 'holder' size=40 vlen=2
\t'node' type_id=6 bits_offset=0
\t'count' type_id=36 bits_offset=256
[35] PTR '(anon)' type_id=34
[36] TYPEDEF 'count_t' type_id=1
"""

INT = "[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n"


def header(
    type_len: int,
    str_len: int,
    *,
    order: str = "<",
    magic: int = 0xEB9F,
    version: int = 1,
    flags: int = 0,
    hdr_len: int = 24,
    type_off: int = 0,
    str_off: int | None = None,
    extra: bytes = b"",
) -> bytes:
    """Return a header of any fields; ``extra`` is what follows the 24 bytes."""
    return (
        struct.pack(
            order + "HBB5I",
            magic,
            version,
            flags,
            hdr_len,
            type_off,
            type_len,
            type_len if str_off is None else str_off,
            str_len,
        )
        + extra
    )


def record(
    name: int, kind: int, third: int, *rest: int, vlen: int = 0, kflag: bool = False
) -> bytes:
    """Return the little-endian bytes of a type."""
    words = (name, int(kflag) << 31 | kind << 24 | vlen, third, *rest)
    return struct.pack(f"<{len(words)}I", *words)


#: ``int`` and its strings.
INT_TYPES = record(1, 1, 4, 0x01000020)
INT_STRINGS = b"\0int\0"
INT_BLOB = header(len(INT_TYPES), len(INT_STRINGS)) + INT_TYPES + INT_STRINGS
