"""BTF for older kernels: what replaces what."""

from __future__ import annotations

from dataclasses import fields

import pytest

from btfdbg.btf import Btf, Kind
from btfdbg.btf.downlevel import Features, downlevel, features_of
from btfdbg.btf.text.assemble import assemble, parse
from btfdbg.btf.text.rawtext import dumps
from btfdbg.btf.validate.validate import check
from btfdbg.errors import BtfFormatError
from tests.btf.samples import EVERY_KIND, INT

SINT = "[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n"
PROTO = "[2] FUNC_PROTO '(anon)' ret_type_id=1 vlen=2\n\t'a' type_id=1\n\t'(anon)' type_id=0\n"

REPLACED: dict[str, tuple[Features, str, str]] = {
    "variable": (
        Features(datasec=False),
        "[2] VAR 'v' type_id=1, linkage=global\n",
        "[2] INT 'v' size=1 bits_offset=0 nr_bits=8 encoding=(none)\n",
    ),
    "section": (
        Features(datasec=False),
        "[2] VAR 'v' type_id=1, linkage=global\n"
        "[3] DATASEC '.data.?x' size=8 vlen=1\n\ttype_id=2 offset=4 size=4 (VAR 'v')\n",
        "[2] INT 'v' size=1 bits_offset=0 nr_bits=8 encoding=(none)\n"
        "[3] STRUCT '_data__x' size=8 vlen=1\n\t'v' type_id=2 bits_offset=32\n",
    ),
    "bit-fields": (
        Features(kind_flag=False),
        "[2] TYPEDEF 't' type_id=1\n"
        "[3] ENUM 'e' encoding=UNSIGNED size=4 vlen=1\n\t'A' val=1\n"
        "[4] STRUCT 's' size=8 vlen=4\n\t'a' type_id=1 bits_offset=0 bitfield_size=3\n"
        "\t'b' type_id=2 bits_offset=3 bitfield_size=5\n"
        "\t'c' type_id=3 bits_offset=8 bitfield_size=3\n"
        "\t'd' type_id=1 bits_offset=32\n"
        "[5] UNION 'u' size=4 vlen=1\n\t'a' type_id=1 bits_offset=0 bitfield_size=3\n"
        "[6] FWD 'f' fwd_kind=union\n",
        "[2] TYPEDEF 't' type_id=1\n"
        "[3] ENUM 'e' encoding=UNSIGNED size=4 vlen=1\n\t'A' val=1\n"
        "[4] STRUCT 's' size=8 vlen=4\n\t'a' type_id=7 bits_offset=0\n"
        "\t'b' type_id=8 bits_offset=3\n\t'c' type_id=9 bits_offset=8\n"
        "\t'd' type_id=1 bits_offset=32\n"
        "[5] UNION 'u' size=4 vlen=1\n\t'a' type_id=7 bits_offset=0\n"
        "[6] FWD 'f' fwd_kind=struct\n"
        "[7] INT 'int' size=4 bits_offset=0 nr_bits=3 encoding=SIGNED\n"
        "[8] INT 'int' size=4 bits_offset=0 nr_bits=5 encoding=SIGNED\n"
        "[9] INT '(anon)' size=4 bits_offset=0 nr_bits=3 encoding=(none)\n",
    ),
    "integers of 16 bytes": (
        Features(int128=False),
        "[2] INT '__int128 unsigned' size=16 bits_offset=0 nr_bits=128 encoding=(none)\n",
        "[2] STRUCT '(anon)' size=16 vlen=0\n",
    ),
    "long double": (
        Features(float=False),
        "[2] FLOAT 'long double' size=16\n",
        "[2] STRUCT '(anon)' size=16 vlen=0\n",
    ),
    "enums of other sizes": (
        Features(small_enums=False, enum64=False),
        "[2] ENUM 'e' encoding=SIGNED size=1 vlen=1\n\t'A' val=-1\n"
        "[3] ENUM64 'f' encoding=UNSIGNED size=8 vlen=1\n\t'B' val=1ULL\n",
        "[2] INT 'e' size=1 bits_offset=0 nr_bits=8 encoding=SIGNED\n"
        "[3] INT 'f' size=8 bits_offset=0 nr_bits=64 encoding=(none)\n",
    ),
    "name of a section": (
        Features(datasec_any_name=False),
        "[2] VAR 'v' type_id=1, linkage=global\n"
        "[3] DATASEC '?.data' size=8 vlen=1\n\ttype_id=2 offset=4 size=4 (VAR 'v')\n",
        "[2] VAR 'v' type_id=1, linkage=global\n"
        "[3] DATASEC '_.data' size=8 vlen=1\n\ttype_id=2 offset=4 size=4 (VAR 'v')\n",
    ),
    "function": (
        Features(func=False),
        PROTO + "[3] FUNC 'f' type_id=2 linkage=static\n",
        "[2] ENUM '(anon)' encoding=UNSIGNED size=4 vlen=2\n\t'a' val=1\n\t'arg1' val=0\n"
        "[3] TYPEDEF 'f' type_id=2\n",
    ),
    "global function": (
        Features(func_global=False),
        PROTO + "[3] FUNC 'f' type_id=2 linkage=global\n",
        PROTO + "[3] FUNC 'f' type_id=2 linkage=static\n",
    ),
    "float": (
        Features(float=False),
        "[2] FLOAT 'double' size=8\n",
        "[2] STRUCT 'double' size=8 vlen=0\n",
    ),
    "declaration tag": (
        Features(decl_tag=False),
        "[2] STRUCT 's' size=0 vlen=0\n[3] DECL_TAG 't' type_id=2 component_idx=-1\n",
        "[2] STRUCT 's' size=0 vlen=0\n"
        "[3] INT 't' size=1 bits_offset=0 nr_bits=8 encoding=(none)\n",
    ),
    "type tag": (
        Features(type_tag=False),
        "[2] TYPE_TAG 'user' type_id=1\n",
        "[2] CONST '(anon)' type_id=1\n",
    ),
    "attribute": (
        Features(attributes=False),
        "[2] TYPE_TAG 'packed' type_id=1 kflag=1\n[3] TYPE_TAG 'user' type_id=1\n",
        "[2] CONST '(anon)' type_id=1\n[3] TYPE_TAG 'user' type_id=1\n",
    ),
    "signed enum": (
        Features(enum64=False),
        "[2] ENUM 'e' encoding=SIGNED size=4 vlen=1\n\t'm' val=-1\n",
        "[2] ENUM 'e' encoding=UNSIGNED size=4 vlen=1\n\t'm' val=4294967295\n",
    ),
    "large enum": (
        Features(enum64=False),
        "[2] ENUM64 'e' encoding=UNSIGNED size=8 vlen=2\n\t'a' val=1ULL\n\t'b' val=4294967296ULL\n",
        "[2] UNION 'e' size=8 vlen=2\n"
        "\t'a' type_id=3 bits_offset=0\n\t'b' type_id=3 bits_offset=0\n"
        "[3] INT 'enum64_placeholder' size=1 bits_offset=0 nr_bits=8 encoding=(none)\n",
    ),
    "large enum of small values": (
        Features(enum64=False),
        "[2] ENUM64 'e' encoding=UNSIGNED size=8 vlen=1\n\t'a' val=1ULL\n",
        "[2] ENUM 'e' encoding=UNSIGNED size=8 vlen=1\n\t'a' val=1\n",
    ),
}


@pytest.mark.parametrize("case", REPLACED.values(), ids=REPLACED.keys())
def test_kind_is_replaced_where_the_kernel_lacks_it(case: tuple[Features, str, str]) -> None:
    features, before, after = case
    btf = parse(SINT + before)
    assert dumps(Btf.parse(downlevel(btf, Features()))) == SINT + before
    assert dumps(Btf.parse(downlevel(btf, features))) == SINT + after


def test_ids_and_sizes_stay() -> None:
    btf = parse(EVERY_KIND)
    old = Btf.parse(downlevel(btf, features_of("4.18")))
    added = range(btf.type_cnt, old.type_cnt)
    assert added
    assert {old.kind_of(type_id) for type_id in added} == {Kind.INT}
    assert not any(old.info_of(type_id) >> 31 for type_id in old.own_ids())
    for type_id in (6, 8, 24, 29):
        assert old.resolve_size(type_id) == btf.resolve_size(type_id)
    assert list(check(downlevel(btf, features_of("4.18")), level="basic")) == []


def test_features_come_with_their_kernels() -> None:
    assert features_of("7.2.13") == Features()
    assert features_of("6.12.107+deb13") == Features(attributes=False, layout=False)
    assert not any(getattr(features_of("4.18"), f.name) for f in fields(Features))
    assert features_of("5.15-rc1").float
    assert not features_of("5.15").decl_tag
    for bad in ("", "6", "six.one", "6."):
        with pytest.raises(BtfFormatError):
            features_of(bad)


def test_unknown_layout_is_kept_for_kernels_that_read_it() -> None:
    btf = parse(".layout\n" + INT)
    assert Btf.parse(downlevel(btf, Features())).layout == btf.layout


def test_externs_which_no_kernel_takes_become_global() -> None:
    types = "[3] FUNC 'f' type_id=2 linkage={0}\n[4] VAR 'v' type_id=1, linkage={0}\n"
    text = SINT + PROTO + types.format("extern")
    assert [p.rule for p in check(assemble(text))] == [
        "Invalid func linkage",
        "Linkage not supported",
    ]
    out = downlevel(parse(text), Features())
    assert dumps(Btf.parse(out)) == SINT + PROTO + types.format("global")
    assert list(check(out)) == []


def test_a_kind_flag_without_bit_fields_goes_too() -> None:
    words = assemble("[1] STRUCT 's' size=0 vlen=0\n")
    flagged = bytearray(words)
    flagged[24 + 7] |= 0x80
    old = Btf.parse(downlevel(Btf.parse(bytes(flagged)), features_of("4.19")))
    assert old.info_of(1) >> 31 == 0
    kept = Btf.parse(downlevel(Btf.parse(bytes(flagged)), features_of("5.0")))
    assert kept.info_of(1) >> 31 == 1


def test_more_elements_than_an_old_kernel_counts_are_an_error() -> None:
    rows = "".join(f"\t'm{i}' type_id=1 bits_offset=0\n" for i in range(70_000))
    many = parse(INT + f"[2] UNION 'u' size=4 vlen=70000\n{rows}")
    with pytest.raises(BtfFormatError, match="70000 elements, this kernel counts to 65535"):
        downlevel(many, features_of("6.12"))
    assert downlevel(many, features_of("7.3"))
