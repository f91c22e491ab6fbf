"""What a Btf answers about its types."""

from __future__ import annotations

import mmap
import subprocess
import sys
from pathlib import Path

import pytest

from btfdbg.btf import Btf, Kind, TypeId, kinds
from btfdbg.btf.decode import DECODERS
from btfdbg.btf.format import LAYOUTS, IntEncoding
from btfdbg.btf.text.assemble import assemble, parse
from btfdbg.errors import BtfFormatError, BtfNotFoundError
from tests.btf.samples import EVERY_KIND, INT, INT_BLOB

Id = TypeId
BTF = parse(EVERY_KIND)

DECODED: dict[int, kinds.Type] = {
    0: kinds.Void(),
    1: kinds.Int("int", 4, 32, 0, 1),
    4: kinds.Ptr(Id(2)),
    5: kinds.Array(Id(1), Id(1), 7),
    6: kinds.Struct(
        "node",
        32,
        (
            kinds.Member("next", Id(7), 0),
            kinds.Member("", Id(8), 64),
            kinds.Member("low", Id(1), 128, 3),
            kinds.Member("high", Id(1), 131, 29),
        ),
    ),
    8: kinds.Union("", 8, (kinds.Member("number", Id(1), 0), kinds.Member("text", Id(4), 0))),
    9: kinds.Enum(
        "colour", 4, False, (kinds.Enumerator("RED", 0), kinds.Enumerator("BLUE", 0xFFFFFFFF))
    ),
    10: kinds.Enum("sign", 4, True, (kinds.Enumerator("MINUS", -1),)),
    11: kinds.Fwd("later", False),
    12: kinds.Fwd("either", True),
    13: kinds.Typedef("node_t", Id(6)),
    14: kinds.Volatile(Id(1)),
    15: kinds.Const(Id(14)),
    16: kinds.Restrict(Id(4)),
    17: kinds.FuncProto(Id(1), (kinds.Param("format", Id(4)), kinds.Param("", Id(0)))),
    18: kinds.Func("print", Id(17), 0),
    19: kinds.Func("scan", Id(17), 1),
    20: kinds.Func("other", Id(17), 2),
    21: kinds.Var("count", Id(1), 0),
    22: kinds.Var("table", Id(5), 1),
    23: kinds.Datasec(
        ".data", 64, (kinds.VarSecinfo(Id(21), 0, 4), kinds.VarSecinfo(Id(22), 16, 28))
    ),
    24: kinds.Float("double", 8),
    25: kinds.DeclTag("about the struct", Id(6), -1),
    26: kinds.DeclTag("about a member", Id(6), 1),
    27: kinds.TypeTag("user", Id(2)),
    28: kinds.TypeTag("address_space(1)", Id(2), True),
    29: kinds.Enum64(
        "large", 8, False, (kinds.Enumerator("SMALL", 1), kinds.Enumerator("HUGE", (1 << 64) - 1))
    ),
    30: kinds.Enum64("deep", 8, True, (kinds.Enumerator("BOTTOM", -(1 << 63)),)),
    31: kinds.LocParam(8, 0x28, (7, 4294967280)),
    32: kinds.LocProto((Id(31), Id(0))),
    33: kinds.Locsec("inline.text", (kinds.LocsecEntry(Id(18), Id(32), 4096),)),
}  # fmt: skip


@pytest.mark.parametrize("type_id", DECODED)
def test_record_decodes_to_its_class(type_id: int) -> None:
    assert BTF.type_by_id(type_id) == DECODED[type_id]


@pytest.mark.parametrize("type_id", range(34))
def test_cheap_accessors_agree_with_the_decoded_type(type_id: int) -> None:
    decoded = BTF.type_by_id(type_id)
    assert BTF.kind_of(type_id) == decoded.kind
    assert BTF.name_of(type_id) == decoded.name


def test_every_kind_has_a_layout_a_decoder_a_class_and_a_sample() -> None:
    wanted = set(Kind) - {Kind.VOID}
    assert set(LAYOUTS) == wanted
    assert set(DECODERS) == wanted
    assert {BTF.kind_of(i) for i in BTF.ids()} == wanted
    classes = {c.kind for c in vars(kinds).values() if isinstance(getattr(c, "kind", None), Kind)}
    assert classes == set(Kind)


def test_int_says_signed_char_and_bool() -> None:
    int_ = kinds.Int("x", 1, 8, 0, IntEncoding.SIGNED | IntEncoding.CHAR)
    assert (int_.signed, int_.char, int_.bool) == (True, True, False)
    assert kinds.Int("b", 1, 8, 0, IntEncoding.BOOL).bool


def test_variadic_is_a_last_parameter_of_void_without_a_name() -> None:
    proto = BTF.type_by_id(17)
    assert isinstance(proto, kinds.FuncProto)
    assert proto.is_variadic
    assert not kinds.FuncProto(Id(0), (kinds.Param("x", Id(0)),)).is_variadic
    assert not kinds.FuncProto(Id(0), ()).is_variadic


def test_missing_id_is_not_found() -> None:
    for bad in (-1, 34, 1 << 40):
        for ask in (BTF.type_by_id, BTF.kind_of, BTF.name_of, BTF.resolve_size, BTF.align_of):
            with pytest.raises(BtfNotFoundError):
                ask(bad)


@pytest.mark.parametrize(
    "line",
    [
        "[2] PTR '(anon)' type_id=9",
        "[2] ARRAY '(anon)' type_id=1 index_type_id=9 nr_elems=1",
        "[2] ARRAY '(anon)' type_id=9 index_type_id=1 nr_elems=1",
        "[2] STRUCT 's' size=4 vlen=1\n\t'a' type_id=9 bits_offset=0",
        "[2] STRUCT 's' size=4 vlen=1\n\t@0x999 type_id=1 bits_offset=0",
        "[2] STRUCT @0x999 size=4 vlen=0",
        "[2] ENUM 'e' encoding=SIGNED size=4 vlen=1\n\t@0x999 val=0",
        "[2] FUNC 'f' type_id=1 linkage=static",
        "[2] FUNC 'f' type_id=9 linkage=static",
        "[2] FUNC_PROTO '(anon)' ret_type_id=9 vlen=0",
        "[2] FUNC_PROTO '(anon)' ret_type_id=0 vlen=1\n\t'a' type_id=9",
        "[2] VAR 'v' type_id=9, linkage=static",
        "[2] DATASEC 'd' size=4 vlen=1\n\ttype_id=9 offset=0 size=4",
        "[2] DECL_TAG 't' type_id=9 component_idx=-1",
        "[2] TYPE_TAG 't' type_id=9",
        "[2] LOC_PROTO '(anon)' vlen=1\n\ttype_id=9",
        "[2] LOCSEC 's' vlen=1\n\tfunc=1 loc_proto=9 offset=0",
    ],
)
def test_reference_to_nothing_is_refused_when_decoded(line: str) -> None:
    btf = parse(INT + line)
    with pytest.raises(BtfFormatError, match="type 2") as e:
        btf.type_by_id(2)
    assert e.value.type_id == 2


def test_writable_buffer_is_copied() -> None:
    data = bytearray(INT_BLOB)
    btf = Btf.parse(data)
    data[24:40] = bytes(16)
    assert btf.name_of(1) == "int"


def test_any_buffer_will_do(tmp_path: Path) -> None:
    path = tmp_path / "int.btf"
    path.write_bytes(INT_BLOB)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        btf = Btf.parse(mapped)
        assert btf.name_of(1) == "int"
        del btf
    words = memoryview(INT_BLOB + bytes(-len(INT_BLOB) % 4)).cast("I")
    assert Btf.parse(words).name_of(1) == "int"


def test_name_of_any_bytes_survives() -> None:
    data = assemble(INT)
    odd = data.replace(b"int", b"\xff\n'")
    btf = Btf.parse(odd)
    assert btf.name_of(1).encode("utf-8", "surrogateescape") == b"\xff\n'"
    assert btf.types_by_name(btf.name_of(1)) == (1,)


def test_reading_loads_neither_drgn_nor_the_classes_of_kinds() -> None:
    code = (
        "import sys, btfdbg.btf; from btfdbg.btf.text.rawtext import dump; "
        "assert not {'drgn', 'elftools', 'btfdbg.btf.kinds'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Sizes and alignments.

SIZES = INT + (
    "[2] INT 'long int' size=8 bits_offset=0 nr_bits=64 encoding=SIGNED\n"
    "[3] PTR '(anon)' type_id=0\n"
    "[4] ARRAY '(anon)' type_id=5 index_type_id=1 nr_elems=3\n"
    "[5] CONST '(anon)' type_id=6\n"
    "[6] TYPEDEF 'pair' type_id=7\n"
    "[7] STRUCT '(anon)' size=16 vlen=2\n"
    "\t'a' type_id=1 bits_offset=0\n"
    "\t'b' type_id=2 bits_offset=64\n"
    "[8] STRUCT 'packed' size=12 vlen=2\n"
    "\t'a' type_id=1 bits_offset=0\n"
    "\t'b' type_id=2 bits_offset=32\n"
    "[9] VAR 'v' type_id=4, linkage=static\n"
    "[10] FWD 'f' fwd_kind=struct\n"
    "[11] FUNC_PROTO '(anon)' ret_type_id=0 vlen=0\n"
    "[12] FUNC 'g' type_id=11 linkage=static\n"
    "[13] FLOAT 'long double' size=12\n"
    "[14] ENUM 'e' encoding=UNSIGNED size=2 vlen=0\n"
    "[15] UNION 'u' size=8 vlen=2\n"
    "\t'a' type_id=1 bits_offset=0 bitfield_size=5\n"
    "\t'b' type_id=3 bits_offset=0\n"
    "[16] STRUCT 'empty' size=0 vlen=0\n"
    "[17] STRUCT 'tail' size=12 vlen=1\n"
    "\t'b' type_id=2 bits_offset=0\n"
)


@pytest.mark.parametrize(
    ("type_id", "size", "align"),
    [
        (1, 4, 4),
        (2, 8, 8),
        (3, 8, 8),
        (4, 48, 8),
        (5, 16, 8),
        (6, 16, 8),
        (7, 16, 8),
        (8, 12, 1),
        (9, 48, 8),
        (13, 12, 4),
        (14, 2, 2),
        (15, 8, 8),
        (16, 0, 1),
        (17, 12, 1),
    ],
)
def test_size_and_alignment(type_id: int, size: int, align: int) -> None:
    btf = parse(SIZES)
    assert btf.resolve_size(type_id) == size
    assert btf.align_of(type_id) == align


@pytest.mark.parametrize("type_id", [0, 10, 11, 12])
def test_what_has_no_size_is_not_found(type_id: int) -> None:
    btf = parse(SIZES)
    with pytest.raises(BtfNotFoundError):
        btf.resolve_size(type_id)
    with pytest.raises(BtfNotFoundError):
        btf.align_of(type_id)


def test_pointer_size_is_that_of_long() -> None:
    assert parse(SIZES).pointer_size == 8
    assert parse(INT).pointer_size == 8
    narrow = parse("[1] INT 'long unsigned int' size=4\n[2] PTR '(anon)' type_id=1\n")
    assert narrow.pointer_size == 4
    assert narrow.resolve_size(2) == 4


def test_qualifiers_are_skipped_with_and_without_typedefs() -> None:
    btf = parse(SIZES)
    assert btf.skip_modifiers(5) == 6
    assert btf.skip_mods_and_typedefs(5) == 7
    assert btf.skip_modifiers(0) == 0


CYCLES = {
    "typedef of itself": "[2] TYPEDEF 't' type_id=2",
    "two typedefs": "[2] TYPEDEF 'a' type_id=3\n[3] TYPEDEF 'b' type_id=2",
    "array of itself": "[2] ARRAY '(anon)' type_id=2 index_type_id=1 nr_elems=2",
    "const typedef": "[2] CONST '(anon)' type_id=3\n[3] TYPEDEF 'b' type_id=2",
    "var of itself": "[2] VAR 'v' type_id=2, linkage=static",
}


@pytest.mark.parametrize("text", CYCLES.values(), ids=CYCLES.keys())
def test_cycle_has_no_size(text: str) -> None:
    btf = parse(INT + text)
    for ask in (btf.resolve_size, btf.align_of):
        with pytest.raises(BtfFormatError):
            ask(2)


def test_struct_inside_of_itself_has_a_size_but_no_alignment() -> None:
    btf = parse(INT + "[2] STRUCT 's' size=4 vlen=1\n\t'self' type_id=2 bits_offset=0")
    assert btf.resolve_size(2) == 4
    for _ in range(2):  # an answer given up is not kept
        with pytest.raises(BtfFormatError):
            btf.align_of(2)
    with pytest.raises(BtfNotFoundError):
        btf.offset_of("s", "self.other")


def test_anonymous_struct_inside_of_itself_has_no_members_to_find() -> None:
    btf = parse(INT + "[2] STRUCT 's' size=4 vlen=1\n\t'(anon)' type_id=2 bits_offset=0")
    with pytest.raises(BtfFormatError):
        btf.offset_of("s", "x")
    with pytest.raises(BtfFormatError):
        btf.member_at(2, 0)


def test_deep_nesting_ends_in_an_error_not_in_recursion() -> None:
    lines = [INT.rstrip()]
    for i in range(2, 3000):
        lines.append(f"[{i}] STRUCT 's' size=4 vlen=1\n\t'm' type_id={i - 1} bits_offset=0")
    btf = parse("\n".join(lines))
    with pytest.raises(BtfFormatError):
        btf.align_of(2999)
    assert btf.align_of(100) == 4


def test_array_of_arrays_of_absurd_length_is_refused() -> None:
    text = INT + "".join(
        f"[{i}] ARRAY '(anon)' type_id={i - 1} index_type_id=1 nr_elems=4294967295\n"
        for i in range(2, 6)
    )
    with pytest.raises(BtfFormatError):
        parse(text).resolve_size(5)


def test_hash_of_all_words_is_that_of_the_records() -> None:
    total = [word for i in BTF.own_ids() for word in BTF.record(i)]
    assert total == BTF.words.tolist()
