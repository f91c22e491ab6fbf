"""Numbers at the ends of their fields: more elements than 16 bits count, kinds past 5 bits."""

from __future__ import annotations

import drgn
import pytest

from btfdbg.btf import Btf, TypeId, kinds
from btfdbg.btf.builder import Builder
from btfdbg.btf.fields import enum_values, int_fields, member_words, param_words
from btfdbg.btf.format import IntEncoding, Kind, info_kflag, info_kind, info_vlen, make_info
from btfdbg.btf.pack import pack
from btfdbg.program import convert
from btfdbg.program.convert import TypeConverter

_MANY = 70_000


@pytest.fixture(scope="module")
def large() -> Btf:
    """A struct, a union, a struct of bit-fields and a prototype of 70,000 elements each."""
    b = Builder()
    int_ = b.add_int("unsigned char", 1, IntEncoding.NONE)
    plain = [kinds.Member(f"m{i}", int_, 8 * i) for i in range(_MANY)]
    b.add(kinds.Struct("plain", _MANY, tuple(plain)))
    b.add(kinds.Union("overlaid", 1, tuple(kinds.Member(f"m{i}", int_, 0) for i in range(_MANY))))
    bits = [kinds.Member(f"b{i}", int_, 4 * i, 4) for i in range(_MANY)]
    b.add(kinds.Struct("bits", _MANY // 2, tuple(bits)))
    params = [kinds.Param(f"p{i}", int_) for i in range(_MANY)]
    b.add(kinds.FuncProto(int_, tuple(params)))
    b.add(kinds.FuncProto(int_, (*params, kinds.Param("", TypeId(0)))))
    return Btf.parse(b.build())


@pytest.mark.parametrize("quick", [True, False], ids=["from words", "from decoded values"])
def test_a_type_of_more_than_65535_elements_keeps_them_all(
    large: Btf, quick: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not quick:
        monkeypatch.setattr(convert, "_FROM_WORDS", {})
    converter = TypeConverter(drgn.Program(drgn.Platform(drgn.Architecture.X86_64)), large)
    for type_id, name in ((2, "m"), (3, "m"), (4, "b")):
        members = converter.convert(type_id).members
        assert members is not None
        assert len(members) == _MANY
        assert members[-1].name == f"{name}{_MANY - 1}"
    plain, bits = converter.convert(2).members, converter.convert(4).members
    assert plain is not None
    assert bits is not None
    assert plain[-1].bit_offset == 8 * (_MANY - 1)
    assert (bits[-1].bit_offset, bits[-1].bit_field_size) == (4 * (_MANY - 1), 4)
    fixed, variadic = converter.convert(5), converter.convert(6)
    assert (len(fixed.parameters), fixed.is_variadic) == (_MANY, False)
    assert (len(variadic.parameters), variadic.is_variadic) == (_MANY, True)
    assert variadic.parameters[-1].name == f"p{_MANY - 1}"


def test_the_decoder_counts_as_far(large: Btf) -> None:
    for type_id in (2, 3, 4):
        type_ = large.type_by_id(type_id)
        assert isinstance(type_, kinds.Struct | kinds.Union)
        assert len(type_.members) == _MANY
    proto = large.type_by_id(6)
    assert isinstance(proto, kinds.FuncProto)
    assert len(proto.params) == _MANY + 1


def test_every_bit_of_an_info_word_is_read_back() -> None:
    for kind in (1, 0x1F, 0x20, 0x7F):
        for vlen in (0, 0xFFFF, 0x10000, 0xFFFFFF):
            for kflag in (False, True):
                info = make_info(kind, vlen, kflag)
                assert (info_kind(info), info_vlen(info), info_kflag(info)) == (kind, vlen, kflag)


def _words(*words: int) -> memoryview:
    return memoryview(b"".join(w.to_bytes(4, "little") for w in words)).cast("I")


def test_readers_of_elements_count_24_bits_and_read_whole_fields() -> None:
    info = make_info(Kind.STRUCT, 0xFFFFFF, True)
    names, types, offsets, sizes = member_words(
        _words(9, 9, info, 8, 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF), 1
    )
    assert (names, types, offsets, sizes) == ([0xFFFFFFFF], [0xFFFFFFFE], [0xFFFFFF], [0xFF])
    info = make_info(Kind.UNION, 1)
    assert member_words(_words(0, info, 8, 1, 2, 0xFFFFFFFF), 0) == ([1], [2], [0xFFFFFFFF], [])
    info = make_info(Kind.FUNC_PROTO, 0xFFFFFF)
    assert param_words(_words(0, info, 0, 1, 2, 3, 4), 0) == ([1, 3], [2, 4])


def test_packed_numbers_keep_their_highest_bits() -> None:
    assert int_fields(0x0FFF00FF) == (0xFF, 0xFF, 0xF)
    assert list(enum_values([0x7FFFFFFF, 0x80000000, 0xFFFFFFFF], True)) == [
        2**31 - 1,
        -(2**31),
        -1,
    ]
    assert list(enum_values([0x80000000, 0xFFFFFFFF], False)) == [2**31, 2**32 - 1]


def test_a_kind_of_seven_bits_is_not_taken_for_another() -> None:
    layout = bytes(4 * 0x42) + bytes((0, 4, 0, 0))
    words = [0, make_info(0x42, 2, True), 0, 7, 7, 0, make_info(Kind.PTR), 0]
    btf = Btf.parse(pack(words, b"\0", layout=layout))
    assert list(btf.own_kinds()) == [0x42, Kind.PTR]
    assert btf.kind_of(1) == 0x42
    unknown = btf.type_by_id(1)
    assert isinstance(unknown, kinds.Unknown)
    assert (unknown.kflag, unknown.payload) == (True, (7, 7))
