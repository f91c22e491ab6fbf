"""What dedup must make of small type graphs, in the raw notation.

Rows are a name, the types, and the types that are left; ``None`` where all are.
"""

from __future__ import annotations

ROWS: tuple[tuple[str, str, str | None], ...] = (
    (
        "D01: unused strings filtering",
        """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] INT 'long' size=8 bits_offset=0 nr_bits=64 encoding=SIGNED
""",
        None,
    ),
    (
        "D02: strings deduplication",
        """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] INT 'long' size=8 bits_offset=0 nr_bits=64 encoding=SIGNED
[3] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[4] INT 'long' size=8 bits_offset=0 nr_bits=64 encoding=SIGNED
[5] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
""",
        """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] INT 'long' size=8 bits_offset=0 nr_bits=64 encoding=SIGNED
""",
    ),
    (
        "D04: struct <-> fwd resolution",
        """\
[1] FWD 'x' fwd_kind=struct
[2] PTR '(anon)' type_id=1
[3] STRUCT 's' size=8 vlen=1
	'x' type_id=2 bits_offset=0
[4] STRUCT 'x' size=0 vlen=0
[5] PTR '(anon)' type_id=4
[6] STRUCT 's' size=8 vlen=1
	'x' type_id=5 bits_offset=0
""",
        """\
[1] PTR '(anon)' type_id=3
[2] STRUCT 's' size=8 vlen=1
	'x' type_id=1 bits_offset=0
[3] STRUCT 'x' size=0 vlen=0
""",
    ),
    (
        "D05: void equiv check",
        """\
[1] STRUCT '(anon)' size=1 vlen=0
[2] PTR '(anon)' type_id=1
[3] STRUCT 's' size=8 vlen=1
	'x' type_id=2 bits_offset=0
[4] PTR '(anon)' type_id=0
[5] STRUCT 's' size=8 vlen=1
	'x' type_id=4 bits_offset=0
""",
        None,
    ),
    (
        "D08: enum fwd resolution",
        """\
[1] ENUM 'e1' encoding=UNSIGNED size=4 vlen=0
[2] ENUM 'e1' encoding=UNSIGNED size=4 vlen=1
	'e1_val' val=123
[3] ENUM 'e2' encoding=UNSIGNED size=4 vlen=1
	'e2_val' val=456
[4] ENUM 'e2' encoding=UNSIGNED size=4 vlen=0
[5] ENUM 'e1' encoding=UNSIGNED size=1 vlen=0
[6] ENUM 'e1' encoding=UNSIGNED size=4 vlen=1
	'e1_val' val=321
""",
        """\
[1] ENUM 'e1' encoding=UNSIGNED size=4 vlen=1
	'e1_val' val=123
[2] ENUM 'e2' encoding=UNSIGNED size=4 vlen=1
	'e2_val' val=456
[3] ENUM 'e1' encoding=UNSIGNED size=4 vlen=1
	'e1_val' val=321
""",
    ),
    (
        "D09: datasec and vars pass-through",
        """\
[1] INT '(anon)' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] VAR 't' type_id=1, linkage=static
[3] DATASEC '.bss' size=4 vlen=1
	type_id=2 offset=0 size=4 (VAR 't')
[4] INT '(anon)' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[5] VAR 't' type_id=4, linkage=static
[6] DATASEC '.bss' size=4 vlen=1
	type_id=5 offset=0 size=4 (VAR 't')
""",
        """\
[1] INT '(anon)' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] VAR 't' type_id=1, linkage=static
[3] DATASEC '.bss' size=4 vlen=1
	type_id=2 offset=0 size=4 (VAR 't')
[4] VAR 't' type_id=1, linkage=static
[5] DATASEC '.bss' size=4 vlen=1
	type_id=4 offset=0 size=4 (VAR 't')
""",
    ),
    (
        "D10: func/func_arg/var tags",
        """\
[1] INT '(anon)' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] VAR 't' type_id=1, linkage=static
[3] FUNC_PROTO '(anon)' ret_type_id=0 vlen=2
	'a1' type_id=1
	'a2' type_id=1
[4] FUNC 'f' type_id=3 linkage=static
[5] DECL_TAG 'tag' type_id=2 component_idx=-1
[6] DECL_TAG 'tag' type_id=2 component_idx=-1
[7] DECL_TAG 'tag' type_id=4 component_idx=-1
[8] DECL_TAG 'tag' type_id=4 component_idx=-1
[9] DECL_TAG 'tag' type_id=4 component_idx=1
[10] DECL_TAG 'tag' type_id=4 component_idx=1
""",
        """\
[1] INT '(anon)' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] VAR 't' type_id=1, linkage=static
[3] FUNC_PROTO '(anon)' ret_type_id=0 vlen=2
	'a1' type_id=1
	'a2' type_id=1
[4] FUNC 'f' type_id=3 linkage=static
[5] DECL_TAG 'tag' type_id=2 component_idx=-1
[6] DECL_TAG 'tag' type_id=4 component_idx=-1
[7] DECL_TAG 'tag' type_id=4 component_idx=1
""",
    ),
    (
        "D13: typedef tags",
        """\
[1] INT '(anon)' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] TYPEDEF 't' type_id=1
[3] TYPEDEF 't' type_id=1
[4] DECL_TAG 'tag1' type_id=2 component_idx=-1
[5] DECL_TAG 'tag2' type_id=2 component_idx=-1
[6] DECL_TAG 'tag1' type_id=3 component_idx=-1
[7] DECL_TAG 'tag3' type_id=3 component_idx=-1
""",
        """\
[1] INT '(anon)' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] TYPEDEF 't' type_id=1
[3] DECL_TAG 'tag1' type_id=2 component_idx=-1
[4] DECL_TAG 'tag2' type_id=2 component_idx=-1
[5] DECL_TAG 'tag3' type_id=2 component_idx=-1
""",
    ),
    (
        "D14: btf_type_tag #1",
        """\
[1] INT '(anon)' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] TYPE_TAG 'tag1' type_id=1
[3] TYPE_TAG 'tag2' type_id=2
[4] PTR '(anon)' type_id=3
[5] TYPE_TAG 'tag1' type_id=1
[6] TYPE_TAG 'tag2' type_id=5
[7] PTR '(anon)' type_id=6
[8] TYPE_TAG 'tag1' type_id=1
[9] PTR '(anon)' type_id=8
""",
        """\
[1] INT '(anon)' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] TYPE_TAG 'tag1' type_id=1
[3] TYPE_TAG 'tag2' type_id=2
[4] PTR '(anon)' type_id=3
[5] PTR '(anon)' type_id=2
""",
    ),
    (
        "D16: btf_type_tag #3",
        """\
[1] INT '(anon)' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] TYPE_TAG 'tag1' type_id=1
[3] TYPE_TAG 'tag2' type_id=2
[4] PTR '(anon)' type_id=3
[5] TYPE_TAG 'tag2' type_id=1
[6] TYPE_TAG 'tag1' type_id=5
[7] PTR '(anon)' type_id=6
""",
        None,
    ),
    (
        "D17: btf_type_tag #4",
        """\
[1] INT '(anon)' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] TYPE_TAG 'tag1' type_id=1
[3] PTR '(anon)' type_id=2
[4] INT '(anon)' size=8 bits_offset=0 nr_bits=64 encoding=SIGNED
[5] TYPE_TAG 'tag1' type_id=4
[6] PTR '(anon)' type_id=5
""",
        None,
    ),
    (
        "D18: btf_type_tag #5, struct",
        """\
[1] INT '(anon)' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] TYPE_TAG 'tag1' type_id=1
[3] STRUCT 't' size=4 vlen=1
	'm' type_id=2 bits_offset=0
[4] TYPE_TAG 'tag1' type_id=1
[5] STRUCT 't' size=4 vlen=1
	'm' type_id=4 bits_offset=0
""",
        """\
[1] INT '(anon)' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] TYPE_TAG 'tag1' type_id=1
[3] STRUCT 't' size=4 vlen=1
	'm' type_id=2 bits_offset=0
""",
    ),
    (
        "D20: enum64, fwd resolution",
        """\
[1] ENUM64 'e1' encoding=UNSIGNED size=8 vlen=0
[2] ENUM64 'e1' encoding=UNSIGNED size=8 vlen=1
	'e1_val' val=528280977409ULL
[3] ENUM64 'e2' encoding=UNSIGNED size=8 vlen=1
	'e2_val' val=1958505086976ULL
[4] ENUM64 'e2' encoding=UNSIGNED size=8 vlen=0
[5] ENUM64 'e1' encoding=UNSIGNED size=8 vlen=1
	'e1_val' val=1378684502016ULL
""",
        """\
[1] ENUM64 'e1' encoding=UNSIGNED size=8 vlen=1
	'e1_val' val=528280977409ULL
[2] ENUM64 'e2' encoding=UNSIGNED size=8 vlen=1
	'e2_val' val=1958505086976ULL
[3] ENUM64 'e1' encoding=UNSIGNED size=8 vlen=1
	'e1_val' val=1378684502016ULL
""",
    ),
    (
        "D21: enum and enum64, no dedup",
        """\
[1] ENUM 'e1' encoding=UNSIGNED size=4 vlen=1
	'e1_val' val=1
[2] ENUM64 'e1' encoding=UNSIGNED size=4 vlen=1
	'e1_val' val=1ULL
""",
        None,
    ),
    (
        "D22: enum of different size: no dedup",
        """\
[1] ENUM 'e1' encoding=UNSIGNED size=4 vlen=1
	'e1_val' val=1
[2] ENUM 'e1' encoding=UNSIGNED size=2 vlen=1
	'e1_val' val=1
""",
        None,
    ),
    (
        "D24: enum64 fwd to enum",
        """\
[1] ENUM 'e1' encoding=UNSIGNED size=4 vlen=1
	'e1_val' val=1
[2] ENUM64 'e1' encoding=UNSIGNED size=8 vlen=0
[3] TYPEDEF 'td' type_id=2
""",
        """\
[1] ENUM 'e1' encoding=UNSIGNED size=4 vlen=1
	'e1_val' val=1
[2] TYPEDEF 'td' type_id=1
""",
    ),
    (
        "D25: standalone fwd declaration struct",
        """\
[1] STRUCT 'foo' size=4 vlen=1
	'x' type_id=2 bits_offset=0
[2] INT '(anon)' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[3] FWD 'foo' fwd_kind=struct
[4] PTR '(anon)' type_id=3
[5] TYPEDEF 'foo_ptr' type_id=4
""",
        """\
[1] STRUCT 'foo' size=4 vlen=1
	'x' type_id=2 bits_offset=0
[2] INT '(anon)' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[3] PTR '(anon)' type_id=1
[4] TYPEDEF 'foo_ptr' type_id=3
""",
    ),
    (
        "D26: standalone fwd declaration union",
        """\
[1] UNION 'foo' size=4 vlen=1
	'x' type_id=2 bits_offset=0
[2] INT '(anon)' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[3] FWD 'foo' fwd_kind=union
[4] PTR '(anon)' type_id=3
[5] TYPEDEF 'foo_ptr' type_id=4
""",
        """\
[1] UNION 'foo' size=4 vlen=1
	'x' type_id=2 bits_offset=0
[2] INT '(anon)' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[3] PTR '(anon)' type_id=1
[4] TYPEDEF 'foo_ptr' type_id=3
""",
    ),
    (
        "D28: standalone fwd declaration name conflict",
        """\
[1] STRUCT 'foo' size=4 vlen=1
	'x' type_id=2 bits_offset=0
[2] INT '(anon)' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[3] FWD 'foo' fwd_kind=struct
[4] PTR '(anon)' type_id=3
[5] TYPEDEF 'foo_ptr' type_id=4
[6] STRUCT 'foo' size=8 vlen=2
	'x' type_id=2 bits_offset=0
	'y' type_id=2 bits_offset=0
""",
        None,
    ),
    (
        "D03: struct graph in two copies",
        """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] STRUCT 's' size=24 vlen=3
	'next' type_id=3 bits_offset=0
	'a' type_id=5 bits_offset=64
	'b' type_id=1 bits_offset=128
[3] PTR '(anon)' type_id=2
[4] CONST '(anon)' type_id=6
[5] PTR '(anon)' type_id=4
[6] FWD 't' fwd_kind=struct
[7] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[8] STRUCT 's' size=24 vlen=3
	'next' type_id=9 bits_offset=0
	'a' type_id=11 bits_offset=64
	'b' type_id=7 bits_offset=128
[9] PTR '(anon)' type_id=8
[10] CONST '(anon)' type_id=12
[11] PTR '(anon)' type_id=10
[12] STRUCT 't' size=8 vlen=1
	'back' type_id=9 bits_offset=0
""",
        """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] STRUCT 's' size=24 vlen=3
	'next' type_id=3 bits_offset=0
	'a' type_id=5 bits_offset=64
	'b' type_id=1 bits_offset=128
[3] PTR '(anon)' type_id=2
[4] CONST '(anon)' type_id=6
[5] PTR '(anon)' type_id=4
[6] STRUCT 't' size=8 vlen=1
	'back' type_id=3 bits_offset=0
""",
    ),
    (
        "D06: every kind, nothing double",
        """\
[1] INT 'A' size=8 bits_offset=0 nr_bits=64 encoding=SIGNED
[2] ENUM 'B' encoding=UNSIGNED size=4 vlen=2
	'C' val=0
	'D' val=1
[3] FWD 'E' fwd_kind=union
[4] ARRAY '(anon)' type_id=2 index_type_id=1 nr_elems=7
[5] STRUCT 'F' size=4 vlen=1
	'G' type_id=1 bits_offset=0
[6] UNION 'H' size=4 vlen=1
	'I' type_id=1 bits_offset=0
[7] TYPEDEF 'J' type_id=1
[8] PTR '(anon)' type_id=0
[9] CONST '(anon)' type_id=8
[10] VOLATILE '(anon)' type_id=8
[11] RESTRICT '(anon)' type_id=8
[12] FUNC_PROTO '(anon)' ret_type_id=1 vlen=2
	'K' type_id=1
	'L' type_id=18
[13] FUNC 'M' type_id=12 linkage=static
[14] FLOAT 'N' size=2
[15] VAR 'O' type_id=1, linkage=global
[16] DATASEC 'P' size=8 vlen=1
	type_id=15 offset=0 size=8 (VAR 'O')
[17] DECL_TAG 'Q' type_id=13 component_idx=1
[18] TYPE_TAG 'R' type_id=8
[19] ENUM64 'S' encoding=UNSIGNED size=8 vlen=1
	'T' val=4294967296ULL
""",
        None,
    ),
    (
        "D07: scalars that differ in one property",
        """\
[1] INT 'i' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] INT 'i' size=4 bits_offset=0 nr_bits=32 encoding=(none)
[3] INT 'i' size=8 bits_offset=0 nr_bits=64 encoding=SIGNED
[4] INT 'i' size=4 bits_offset=0 nr_bits=31 encoding=SIGNED
[5] INT 'i' size=4 bits_offset=8 nr_bits=32 encoding=SIGNED
[6] INT 'j' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[7] FLOAT 'i' size=4
[8] FLOAT 'i' size=8
[9] FLOAT 'j' size=4
""",
        None,
    ),
    (
        "D11: tags on functions and parameters",
        """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] FUNC_PROTO '(anon)' ret_type_id=0 vlen=2
	'a' type_id=1
	'b' type_id=1
[3] FUNC 'f' type_id=2 linkage=global
[4] FUNC 'f' type_id=2 linkage=global
[5] DECL_TAG 't' type_id=3 component_idx=-1
[6] DECL_TAG 't' type_id=4 component_idx=-1
[7] DECL_TAG 't' type_id=3 component_idx=0
[8] DECL_TAG 't' type_id=4 component_idx=1
[9] DECL_TAG 'u' type_id=4 component_idx=-1
""",
        """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] FUNC_PROTO '(anon)' ret_type_id=0 vlen=2
	'a' type_id=1
	'b' type_id=1
[3] FUNC 'f' type_id=2 linkage=global
[4] DECL_TAG 't' type_id=3 component_idx=-1
[5] DECL_TAG 't' type_id=3 component_idx=0
[6] DECL_TAG 't' type_id=3 component_idx=1
[7] DECL_TAG 'u' type_id=3 component_idx=-1
""",
    ),
    (
        "D12: tags on a struct and on its members",
        """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] STRUCT 't' size=8 vlen=2
	'm1' type_id=1 bits_offset=0
	'm2' type_id=1 bits_offset=32
[3] STRUCT 't' size=8 vlen=2
	'm1' type_id=1 bits_offset=0
	'm2' type_id=1 bits_offset=32
[4] DECL_TAG 'tag1' type_id=2 component_idx=-1
[5] DECL_TAG 'tag2' type_id=2 component_idx=-1
[6] DECL_TAG 'tag1' type_id=2 component_idx=1
[7] DECL_TAG 'tag2' type_id=2 component_idx=1
[8] DECL_TAG 'tag1' type_id=3 component_idx=-1
[9] DECL_TAG 'tag3' type_id=3 component_idx=-1
[10] DECL_TAG 'tag1' type_id=3 component_idx=1
[11] DECL_TAG 'tag3' type_id=3 component_idx=1
""",
        """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] STRUCT 't' size=8 vlen=2
	'm1' type_id=1 bits_offset=0
	'm2' type_id=1 bits_offset=32
[3] DECL_TAG 'tag1' type_id=2 component_idx=-1
[4] DECL_TAG 'tag2' type_id=2 component_idx=-1
[5] DECL_TAG 'tag1' type_id=2 component_idx=1
[6] DECL_TAG 'tag2' type_id=2 component_idx=1
[7] DECL_TAG 'tag3' type_id=2 component_idx=-1
[8] DECL_TAG 'tag3' type_id=2 component_idx=1
""",
    ),
    (
        "D15: tags in the same order from one pointer each",
        """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] TYPE_TAG 't1' type_id=1
[3] TYPE_TAG 't2' type_id=2
[4] PTR '(anon)' type_id=3
[5] TYPE_TAG 't2' type_id=1
[6] PTR '(anon)' type_id=5
""",
        None,
    ),
    (
        "D19: structs that differ behind a tag",
        """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] TYPE_TAG 't1' type_id=1
[3] STRUCT 's' size=4 vlen=1
	'm' type_id=2 bits_offset=0
[4] TYPE_TAG 't2' type_id=1
[5] STRUCT 's' size=4 vlen=1
	'm' type_id=4 bits_offset=0
""",
        None,
    ),
    (
        "D23: enum forward of an ENUM64",
        """\
[1] ENUM64 'e' encoding=UNSIGNED size=8 vlen=1
	'v' val=4294967296ULL
[2] ENUM 'e' encoding=UNSIGNED size=4 vlen=0
[3] TYPEDEF 'td' type_id=2
""",
        """\
[1] ENUM64 'e' encoding=UNSIGNED size=8 vlen=1
	'v' val=4294967296ULL
[2] TYPEDEF 'td' type_id=1
""",
    ),
    (
        "D27: forward of the other kind",
        """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] STRUCT 'foo' size=4 vlen=1
	'x' type_id=1 bits_offset=0
[3] FWD 'foo' fwd_kind=union
[4] PTR '(anon)' type_id=3
[5] TYPEDEF 'foo_ptr' type_id=4
""",
        None,
    ),
    (
        "D29: typedefs in circles",
        """\
[1] TYPEDEF 'Foo' type_id=2
[2] FUNC_PROTO '(anon)' ret_type_id=1 vlen=0
[3] TYPEDEF 'Foo' type_id=4
[4] FUNC_PROTO '(anon)' ret_type_id=3 vlen=0
""",
        """\
[1] TYPEDEF 'Foo' type_id=2
[2] FUNC_PROTO '(anon)' ret_type_id=1 vlen=0
""",
    ),
    (
        "O01: arrays of other elements in structs alike",
        """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] INT 'unsigned' size=4 bits_offset=0 nr_bits=32 encoding=(none)
[3] ARRAY '(anon)' type_id=1 index_type_id=1 nr_elems=2
[4] STRUCT 's' size=16 vlen=2
	'x' type_id=3 bits_offset=0
	'y' type_id=3 bits_offset=64
[5] ARRAY '(anon)' type_id=1 index_type_id=1 nr_elems=2
[6] ARRAY '(anon)' type_id=2 index_type_id=1 nr_elems=2
[7] STRUCT 's' size=16 vlen=2
	'x' type_id=5 bits_offset=0
	'y' type_id=6 bits_offset=64
""",
        """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] INT 'unsigned' size=4 bits_offset=0 nr_bits=32 encoding=(none)
[3] ARRAY '(anon)' type_id=1 index_type_id=1 nr_elems=2
[4] STRUCT 's' size=16 vlen=2
	'x' type_id=3 bits_offset=0
	'y' type_id=3 bits_offset=64
[5] ARRAY '(anon)' type_id=2 index_type_id=1 nr_elems=2
[6] STRUCT 's' size=16 vlen=2
	'x' type_id=3 bits_offset=0
	'y' type_id=5 bits_offset=64
""",
    ),
    (
        "O02: cycle of pointer and typedef",
        """\
[1] PTR '(anon)' type_id=2
[2] TYPEDEF 't' type_id=1
[3] STRUCT 's' size=16 vlen=2
	'a' type_id=1 bits_offset=0
	'b' type_id=1 bits_offset=64
[4] PTR '(anon)' type_id=5
[5] TYPEDEF 't' type_id=4
[6] PTR '(anon)' type_id=7
[7] TYPEDEF 't' type_id=6
[8] STRUCT 's' size=16 vlen=2
	'a' type_id=4 bits_offset=0
	'b' type_id=6 bits_offset=64
""",
        """\
[1] PTR '(anon)' type_id=2
[2] TYPEDEF 't' type_id=1
[3] STRUCT 's' size=16 vlen=2
	'a' type_id=1 bits_offset=0
	'b' type_id=1 bits_offset=64
""",
    ),
    (
        "O02b: cycle of pointer and qualifier",
        """\
[1] PTR '(anon)' type_id=2
[2] CONST '(anon)' type_id=1
[3] STRUCT 's' size=16 vlen=2
	'a' type_id=1 bits_offset=0
	'b' type_id=1 bits_offset=64
[4] PTR '(anon)' type_id=5
[5] CONST '(anon)' type_id=4
[6] PTR '(anon)' type_id=7
[7] CONST '(anon)' type_id=6
[8] STRUCT 's' size=16 vlen=2
	'a' type_id=4 bits_offset=0
	'b' type_id=6 bits_offset=64
""",
        """\
[1] PTR '(anon)' type_id=2
[2] CONST '(anon)' type_id=1
[3] STRUCT 's' size=16 vlen=2
	'a' type_id=1 bits_offset=0
	'b' type_id=1 bits_offset=64
""",
    ),
    (
        "O04: recursion unrolled once",
        """\
[1] STRUCT 'A' size=8 vlen=1
	'b' type_id=2 bits_offset=0
[2] PTR '(anon)' type_id=3
[3] STRUCT 'B' size=8 vlen=1
	'a' type_id=4 bits_offset=0
[4] PTR '(anon)' type_id=1
[5] STRUCT 'A' size=8 vlen=1
	'b' type_id=6 bits_offset=0
[6] PTR '(anon)' type_id=7
[7] STRUCT 'B' size=8 vlen=1
	'a' type_id=8 bits_offset=0
[8] PTR '(anon)' type_id=9
[9] STRUCT 'A' size=8 vlen=1
	'b' type_id=10 bits_offset=0
[10] PTR '(anon)' type_id=11
[11] STRUCT 'B' size=8 vlen=1
	'a' type_id=12 bits_offset=0
[12] PTR '(anon)' type_id=5
""",
        """\
[1] STRUCT 'A' size=8 vlen=1
	'b' type_id=2 bits_offset=0
[2] PTR '(anon)' type_id=3
[3] STRUCT 'B' size=8 vlen=1
	'a' type_id=4 bits_offset=0
[4] PTR '(anon)' type_id=1
""",
    ),
    (
        "O04b: unrolled recursion without any name",
        """\
[1] STRUCT '(anon)' size=8 vlen=1
	'n' type_id=2 bits_offset=0
[2] PTR '(anon)' type_id=1
[3] STRUCT '(anon)' size=8 vlen=1
	'n' type_id=4 bits_offset=0
[4] PTR '(anon)' type_id=5
[5] STRUCT '(anon)' size=8 vlen=1
	'n' type_id=6 bits_offset=0
[6] PTR '(anon)' type_id=3
""",
        """\
[1] STRUCT '(anon)' size=8 vlen=1
	'n' type_id=2 bits_offset=0
[2] PTR '(anon)' type_id=1
""",
    ),
    (
        "O05: forward of an ambiguous tag",
        """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] STRUCT 'foo' size=4 vlen=1
	'x' type_id=1 bits_offset=0
[3] STRUCT 'foo' size=8 vlen=2
	'x' type_id=1 bits_offset=0
	'y' type_id=1 bits_offset=32
[4] FWD 'foo' fwd_kind=struct
[5] PTR '(anon)' type_id=4
[6] STRUCT 's' size=8 vlen=1
	'p' type_id=5 bits_offset=0
""",
        None,
    ),
)

# Name, base, split, and the split that is left.
SPLIT_ROWS: tuple[tuple[str, str, str, str], ...] = (
    (
        "S01: types of the base are reused",
        """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] PTR '(anon)' type_id=1
[3] STRUCT 's1' size=4 vlen=1
	'f1' type_id=1 bits_offset=0
""",
        """\
[4] STRUCT 's2' size=16 vlen=3
	'f1' type_id=6 bits_offset=0
	'f2' type_id=5 bits_offset=32
	'f3' type_id=2 bits_offset=64
[5] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[6] STRUCT 's1' size=4 vlen=1
	'f1' type_id=5 bits_offset=0
""",
        """\
[4] STRUCT 's2' size=16 vlen=3
	'f1' type_id=3 bits_offset=0
	'f2' type_id=1 bits_offset=32
	'f3' type_id=2 bits_offset=64
""",
    ),
    (
        "S02: forwards become the definitions of the base",
        """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] PTR '(anon)' type_id=4
[3] PTR '(anon)' type_id=5
[4] STRUCT 's1' size=16 vlen=2
	'f1' type_id=2 bits_offset=0
	'f2' type_id=3 bits_offset=64
[5] STRUCT 's2' size=4 vlen=1
	'f1' type_id=1 bits_offset=0
[6] STRUCT 's3' size=4 vlen=1
	'f1' type_id=1 bits_offset=0
""",
        """\
[7] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[8] PTR '(anon)' type_id=11
[9] FWD 's2' fwd_kind=struct
[10] PTR '(anon)' type_id=9
[11] STRUCT 's1' size=16 vlen=2
	'f1' type_id=8 bits_offset=0
	'f2' type_id=10 bits_offset=64
[12] FWD 's3' fwd_kind=struct
[13] PTR '(anon)' type_id=12
""",
        """\
[7] PTR '(anon)' type_id=6
""",
    ),
    (
        "S03: a tag that the base only declares keeps its referrers apart",
        """\
[1] PTR '(anon)' type_id=2
[2] STRUCT 's1' size=16 vlen=2
	'f1' type_id=1 bits_offset=0
	'f2' type_id=4 bits_offset=64
[3] FWD 's2' fwd_kind=struct
[4] PTR '(anon)' type_id=3
""",
        """\
[5] PTR '(anon)' type_id=6
[6] STRUCT 's1' size=16 vlen=2
	'f1' type_id=5 bits_offset=0
	'f2' type_id=8 bits_offset=64
[7] STRUCT 's2' size=8 vlen=1
	'f1' type_id=5 bits_offset=0
[8] PTR '(anon)' type_id=7
""",
        """\
[5] PTR '(anon)' type_id=6
[6] STRUCT 's1' size=16 vlen=2
	'f1' type_id=5 bits_offset=0
	'f2' type_id=8 bits_offset=64
[7] STRUCT 's2' size=8 vlen=1
	'f1' type_id=5 bits_offset=0
[8] PTR '(anon)' type_id=7
""",
    ),
    (
        "S04: an anonymous struct that the base has once and the split twice",
        """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] STRUCT 's' size=8 vlen=2
	'a' type_id=3 bits_offset=0
	'b' type_id=3 bits_offset=0
[3] STRUCT '(anon)' size=8 vlen=2
	'f1' type_id=1 bits_offset=0
	'f2' type_id=1 bits_offset=32
""",
        """\
[4] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[5] STRUCT 's' size=8 vlen=2
	'a' type_id=6 bits_offset=0
	'b' type_id=7 bits_offset=0
[6] STRUCT '(anon)' size=8 vlen=2
	'f1' type_id=4 bits_offset=0
	'f2' type_id=4 bits_offset=32
[7] STRUCT '(anon)' size=8 vlen=2
	'f1' type_id=4 bits_offset=0
	'f2' type_id=4 bits_offset=32
""",
        """\
""",
    ),
    (
        "D30: a typedef that the base has",
        """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] TYPEDEF 'u32' type_id=1
""",
        """\
[3] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[4] TYPEDEF 'u32' type_id=3
[5] CONST '(anon)' type_id=4
""",
        """\
[3] CONST '(anon)' type_id=2
""",
    ),
    (
        "O04: recursion unrolled over that of the base",
        """\
[1] STRUCT 'A' size=8 vlen=1
	'b' type_id=2 bits_offset=0
[2] PTR '(anon)' type_id=3
[3] STRUCT 'B' size=8 vlen=1
	'a' type_id=4 bits_offset=0
[4] PTR '(anon)' type_id=1
""",
        """\
[5] STRUCT 'A' size=8 vlen=1
	'b' type_id=6 bits_offset=0
[6] PTR '(anon)' type_id=7
[7] STRUCT 'B' size=8 vlen=1
	'a' type_id=8 bits_offset=0
[8] PTR '(anon)' type_id=9
[9] STRUCT 'A' size=8 vlen=1
	'b' type_id=10 bits_offset=0
[10] PTR '(anon)' type_id=11
[11] STRUCT 'B' size=8 vlen=1
	'a' type_id=12 bits_offset=0
[12] PTR '(anon)' type_id=5
""",
        """\
""",
    ),
    (
        "an ambiguous recursive struct finds its equal in the base",
        """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] STRUCT 'l' size=16 vlen=2
	'n' type_id=3 bits_offset=0
	'v' type_id=1 bits_offset=64
[3] PTR '(anon)' type_id=2
[4] STRUCT 'l' size=8 vlen=1
	'n' type_id=5 bits_offset=0
[5] PTR '(anon)' type_id=4
""",
        """\
[6] STRUCT 'l' size=8 vlen=1
	'n' type_id=7 bits_offset=0
[7] PTR '(anon)' type_id=6
[8] TYPEDEF 't' type_id=7
""",
        """\
[6] TYPEDEF 't' type_id=5
""",
    ),
    (
        "a different struct of one name stays, with what refers to it",
        """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] STRUCT 's' size=4 vlen=1
	'a' type_id=1 bits_offset=0
[3] PTR '(anon)' type_id=2
""",
        """\
[4] STRUCT 's' size=4 vlen=1
	'b' type_id=1 bits_offset=0
[5] PTR '(anon)' type_id=4
[6] PTR '(anon)' type_id=2
""",
        """\
[4] STRUCT 's' size=4 vlen=1
	'b' type_id=1 bits_offset=0
[5] PTR '(anon)' type_id=4
""",
    ),
    (
        "a forward that the base could have resolved counts as resolved",
        """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] STRUCT 's' size=4 vlen=1
	'a' type_id=1 bits_offset=0
[3] FWD 's' fwd_kind=struct
[4] PTR '(anon)' type_id=3
[5] STRUCT 'u' size=8 vlen=1
	'p' type_id=4 bits_offset=0
""",
        """\
[6] PTR '(anon)' type_id=7
[7] STRUCT 's' size=4 vlen=1
	'a' type_id=1 bits_offset=0
[8] STRUCT 'u' size=8 vlen=1
	'p' type_id=6 bits_offset=0
""",
        """\
""",
    ),
    (
        "an anonymous cycle finds its equal in the base",
        """\
[1] PTR '(anon)' type_id=2
[2] CONST '(anon)' type_id=1
""",
        """\
[3] CONST '(anon)' type_id=4
[4] PTR '(anon)' type_id=3
[5] TYPEDEF 't' type_id=3
""",
        """\
[3] TYPEDEF 't' type_id=2
""",
    ),
)
