"""BTF to drgn types: what each kind becomes, and what must never become a type."""

from __future__ import annotations

import drgn
import pytest

from btfdbg.btf import TypeId, kinds
from btfdbg.btf.builder import Builder
from btfdbg.btf.format import IntEncoding, Kind
from btfdbg.errors import BtfFormatError

from .support import S390X, Kernel


def ints(b: Builder) -> dict[str, TypeId]:
    return {
        "int": b.add_int("int", 4, IntEncoding.SIGNED),
        "u32": b.add_int("unsigned int", 4, 0),
        "u64": b.add_int("long unsigned int", 8, 0),
        "char": b.add_int("char", 1, IntEncoding.SIGNED),
        "bool": b.add_int("_Bool", 1, IntEncoding.BOOL),
    }


def test_integers_keep_size_sign_and_c_name() -> None:
    b = Builder()
    i = ints(b)
    k = Kernel(b)
    t = k.converter.convert(i["u64"])
    assert (t.kind, t.name, t.size, t.is_signed) == (
        drgn.TypeKind.INT,
        "unsigned long",
        8,
        False,
    )
    assert k.converter.convert(i["bool"]).kind is drgn.TypeKind.BOOL


def test_plain_char_has_the_sign_that_this_kernel_gave_it() -> None:
    for encoding, signed in ((IntEncoding.SIGNED, True), (IntEncoding.NONE, False)):
        b = Builder()
        b.add_int("char", 1, encoding)
        assert Kernel(b).prog.type("char").is_signed is signed


def test_a_struct_that_points_to_itself_has_no_void_in_it() -> None:
    """A re-entrant member callable would silently give void."""
    b = Builder()
    i = ints(b)
    node = b.add_struct("node", 16)
    b.add_field("next", node + 1, 0)
    b.add_field("value", i["u64"], 64)
    b.add_ptr(node)
    k = Kernel(b)
    t = k.prog.type("struct node")
    for _ in range(4):
        next_type = t.member("next").type
        assert next_type.kind is drgn.TypeKind.POINTER
        t = next_type.type
        assert t.tag == "node"
    k.memory(0x1000, (0x1000).to_bytes(8, "little") + (7).to_bytes(8, "little"))
    obj = drgn.Object(k.prog, "struct node", address=0x1000)
    assert obj.next.next.next.value.value_() == 7


def test_asking_for_a_type_twice_makes_it_once() -> None:
    """drgn never frees a struct type before the Program: a second one would be a leak."""
    b = Builder()
    i = ints(b)
    b.add_struct("s", 4, [kinds.Member("a", i["int"], 0, 0)])
    k = Kernel(b)
    k.prog.type("struct s")
    made = k.converter.memoised()
    for _ in range(10):
        k.prog.type("struct s *")
        k.prog.type("struct s")
    assert k.converter.memoised() == made


def test_bit_fields_read_their_bits() -> None:
    b = Builder()
    i = ints(b)
    b.add_struct("flags", 4)
    b.add_field("low", i["u32"], 0, 3)
    b.add_field("mid", i["int"], 3, 5)
    b.add_field("high", i["u32"], 8, 24)
    k = Kernel(b)
    k.memory(0x2000, (0x00ABCDEF << 8 | 0b10001 << 3 | 0b101).to_bytes(4, "little"))
    obj = drgn.Object(k.prog, "struct flags", address=0x2000)
    assert obj.low.value_() == 0b101
    assert obj.mid.value_() == 0b10001 - 32
    assert obj.high.value_() == 0xABCDEF
    assert obj.low.bit_field_size_ == 3


def test_bit_fields_of_a_big_endian_kernel_count_from_the_other_end() -> None:
    b = Builder(byteorder="big")
    u32 = b.add_int("unsigned int", 4, 0)
    b.add_struct("flags", 4)
    b.add_field("first", u32, 0, 4)
    b.add_field("second", u32, 4, 28)
    k = Kernel(b, platform=S390X)
    k.memory(0x2000, bytes.fromhex("a1234567"))
    obj = drgn.Object(k.prog, "struct flags", address=0x2000)
    assert (obj.first.value_(), obj.second.value_()) == (0xA, 0x1234567)


def test_flexible_and_zero_length_arrays_are_incomplete() -> None:
    b = Builder()
    i = ints(b)
    array = b.add_array(i["u32"], i["char"], 0)
    k = Kernel(b)
    t = k.converter.convert(array)
    assert t.kind is drgn.TypeKind.ARRAY
    assert t.length is None


def test_enum64_keeps_values_that_need_64_bits() -> None:
    b = Builder()
    b.add_enum64("big", 8, signed=False)
    b.add_enum_value("BIG_ONE", 0xFFFF_FFFF_0000_0001)
    k = Kernel(b)
    t = k.prog.type("enum big")
    assert [(e.name, e.value) for e in t.enumerators or ()] == [("BIG_ONE", 0xFFFF_FFFF_0000_0001)]
    assert drgn.sizeof(t) == 8


def test_a_forward_declaration_is_an_incomplete_type_and_not_found_by_name() -> None:
    b = Builder()
    fwd = b.add_fwd("hidden")
    pointer = b.add_ptr(fwd)
    b.add_typedef("hidden_t", pointer)
    k = Kernel(b)
    assert not k.prog.type("hidden_t").type.type.is_complete()
    with pytest.raises(LookupError):
        k.prog.type("struct hidden")


@pytest.mark.parametrize("kind", [Kind.STRUCT, Kind.UNION])
def test_a_forward_declaration_leads_to_the_one_definition_beside_it(kind: Kind) -> None:
    """pahole before libbpf 1.2 left both; every pointer to it led to no members."""
    b = Builder()
    i = ints(b)
    b.add_typedef("shown_t", b.add_ptr(b.add_fwd("shown", kind)))
    (b.add_struct if kind == Kind.STRUCT else b.add_union)("shown", 4)
    b.add_field("number", i["int"], 0)
    b.add_fwd("other", kind)
    t = Kernel(b).prog.type("shown_t").type.type
    assert [member.name for member in t.members] == ["number"]


def test_a_forward_declaration_of_two_definitions_or_of_another_kind_leads_to_neither() -> None:
    b = Builder()
    i = ints(b)
    b.add_typedef("two_t", b.add_ptr(b.add_fwd("two")))
    for name in ("number", "count"):
        b.add_struct("two", 4)
        b.add_field(name, i["int"], 0)
    b.add_typedef("kind_t", b.add_ptr(b.add_fwd("kind")))
    b.add_union("kind", 4)
    b.add_field("number", i["int"], 0)
    k = Kernel(b)
    assert not k.prog.type("two_t").type.type.is_complete()
    assert not k.prog.type("kind_t").type.type.is_complete()


def test_function_types_keep_parameters_and_variadic() -> None:
    b = Builder()
    i = ints(b)
    proto = b.add_func_proto(i["int"], [kinds.Param("fmt", i["u64"]), kinds.Param("", TypeId(0))])
    k = Kernel(b)
    t = k.converter.convert(proto)
    assert t.is_variadic
    assert [(p.name, p.type.name) for p in t.parameters] == [("fmt", "unsigned long")]


def test_qualifiers_and_tags_are_carried_through() -> None:
    b = Builder()
    i = ints(b)
    tag = b.add_type_tag("rcu", b.add_const(b.add_volatile(i["int"])))
    k = Kernel(b)
    qualifiers = k.converter.convert(b.add_ptr(tag) - 1).qualifiers
    assert qualifiers == drgn.Qualifiers.CONST | drgn.Qualifiers.VOLATILE


@pytest.mark.parametrize("depth", [1, 2, 200])
def test_a_cycle_of_pointers_and_typedefs_is_an_error_and_not_a_hang(depth: int) -> None:
    b = Builder()
    for n in range(depth):
        b.add_typedef(f"t{n}", n + 2 if n + 1 < depth else 1)
    k = Kernel(b)
    with pytest.raises(BtfFormatError):
        k.converter.convert(1)
    assert "t0" not in k.prog


def test_what_is_no_c_type_is_an_error_that_names_it() -> None:
    b = Builder()
    i = ints(b)
    var = b.add_var("v", 1, i["int"])
    section = b.add_datasec(".data", 4, [kinds.VarSecinfo(var, 0, 4)])
    k = Kernel(b)
    assert k.converter.convert(var).name == "int"
    with pytest.raises(BtfFormatError, match="DATASEC"):
        k.converter.convert(section)
