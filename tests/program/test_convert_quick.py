"""Types made from a record's words are those that its decoded value gives, damage included."""

from __future__ import annotations

import struct
from unittest.mock import patch

import drgn
from hypothesis import given, settings
from hypothesis import strategies as st

from btfdbg.btf import Btf, TypeId, kinds
from btfdbg.btf.builder import Builder
from btfdbg.btf.format import IntEncoding
from btfdbg.errors import BtfError
from btfdbg.program import convert
from btfdbg.program.convert import TypeConverter


def _sample() -> bytes:
    b = Builder()
    i = b.add_int("int", 4, IntEncoding.SIGNED)
    p = b.add_ptr(i)
    b.add_int("legacy", 4, 0)
    inner = b.add_struct("inner", 8, [kinds.Member("a", i, 0, 0), kinds.Member("p", p, 0, 0)])
    b.add_union("u", 8, [kinds.Member("s", inner, 0, 0), kinds.Member("", i, 0, 0)])
    fields = b.add_struct("bits", 4)
    b.add_field("x", i, 0, 3)
    b.add_field("y", i, 3, 5)
    b.add_typedef("t", fields)
    b.add_const(inner)
    b.add_array(i, i, 3)
    b.add_array(p, i, 0)
    proto = b.add_func_proto(i, [kinds.Param("a", i), kinds.Param("b", p), kinds.Param("", i)])
    b.add_func("f", 1, proto)
    b.add_ptr(fields)
    b.add_func_proto(p, [kinds.Param("fmt", p), kinds.Param("", TypeId(0))])
    return b.build()


SAMPLE = _sample()


def _described(btf: Btf) -> list[object]:
    prog = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    converter = TypeConverter(prog, btf)
    found: list[object] = []
    for type_id in btf.own_ids():
        try:
            found.append(_facts(converter.convert(type_id)))
        except (BtfError, ValueError, TypeError, RecursionError) as e:
            found.append(str(e))
    return found


def _facts(t: drgn.Type) -> object:
    if t.kind in (drgn.TypeKind.STRUCT, drgn.TypeKind.UNION):
        members = []
        for m in t.members or ():
            try:
                members.append((m.name, m.bit_offset, m.bit_field_size, str(m.type)))
            except (BtfError, ValueError, TypeError) as e:
                members.append((m.name, m.bit_offset, None, str(e)))
        return str(t.kind), t.tag, t.size, members
    return str(t)


def _both_ways(data: bytes) -> None:
    try:
        btf = Btf.parse(data)
    except BtfError:
        return
    quick = _described(btf)
    with patch.object(convert, "_FROM_WORDS", {}):
        assert quick == _described(btf)


def test_every_type_is_the_same() -> None:
    _both_ways(SAMPLE)
    few = {cls: convert._BUILDERS[cls] for cls in (kinds.Int, kinds.Array)}
    with patch.object(convert, "_BUILDERS", few):
        assert "not a C type" not in str(_described(Btf.parse(SAMPLE)))


@given(st.integers(6, len(SAMPLE) // 4 - 1), st.integers(0, 40) | st.integers(0, 2**32 - 1))
@settings(max_examples=500, deadline=None)
def test_a_changed_word_makes_no_difference_between_the_ways(word: int, value: int) -> None:
    _both_ways(SAMPLE[: 4 * word] + struct.pack("<I", value) + SAMPLE[4 * word + 4 :])
