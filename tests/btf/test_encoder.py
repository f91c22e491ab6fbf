"""What encoders before pahole 1.24 left out: signs of chars and enums, values past 32 bits."""

from __future__ import annotations

import drgn
import pytest

from btfdbg.btf import Btf, kinds
from btfdbg.btf.builder import Builder
from btfdbg.btf.encoder import (
    VALUES_CUT,
    enum_meaning,
    enum_signs,
    int_meaning,
    remarks,
    writes_char_signs,
)
from btfdbg.btf.enumerators import find_enumerators
from btfdbg.btf.format import IntEncoding
from btfdbg.program.convert import TypeConverter

X86 = drgn.Platform(drgn.Architecture.X86_64)
ARM = drgn.Platform(drgn.Architecture.AARCH64)


def enum(name: str, size: int = 4, *, signed: bool = False, **values: int) -> kinds.Enum:
    return kinds.Enum(name, size, signed, tuple(kinds.Enumerator(n, v) for n, v in values.items()))


def btf_of(*types: kinds.Type, base: Btf | None = None) -> Btf:
    b = Builder(base=base)
    for type_ in types:
        b.add(type_)
    return Btf.parse(b.build(), base)


CHARS = (kinds.Int("char", 1, 8, 0, 0), kinds.Int("signed char", 1, 8, 0, 0))
SIGNED_CHAR = kinds.Int("signed char", 1, 8, 0, IntEncoding.SIGNED)
ERROR = enum("perf_event_state", PERF_EVENT_STATE_ERROR=0xFFFFFFFE, PERF_EVENT_STATE_ACTIVE=1)


def test_signed_char_is_signed_whatever_its_flag() -> None:
    for encoding in (IntEncoding.NONE, IntEncoding.SIGNED):
        btf = btf_of(kinds.Int("signed char", 1, 8, 0, encoding))
        for platform in (X86, ARM):
            assert TypeConverter(drgn.Program(platform), btf).convert(1).is_signed


@pytest.mark.parametrize(
    ("types", "platform", "given", "signed"),
    [
        (CHARS, X86, None, True),
        (CHARS, ARM, None, False),
        (CHARS, X86, False, False),  # of a kernel from 6.2 on, whose build says so
        ((CHARS[0], SIGNED_CHAR), X86, None, False),  # the encoder wrote signs
        ((CHARS[0],), X86, None, False),  # nothing says that it did not
        ((kinds.Int("char", 1, 8, 0, 1), CHARS[1]), ARM, None, True),  # a flag that is set
    ],
)
def test_plain_char_follows_the_architecture_only_where_signs_were_lost(
    types: tuple[kinds.Type, ...], platform: drgn.Platform, given: bool | None, signed: bool
) -> None:
    converter = TypeConverter(drgn.Program(platform), btf_of(*types), char_is_signed=given)
    assert converter.convert(1).is_signed is signed


def test_a_module_takes_what_its_base_says_of_char() -> None:
    base = btf_of(*CHARS)
    module = btf_of(kinds.Int("char", 1, 8, 0, 0), base=base)
    prog = drgn.Program(X86)
    below = TypeConverter(prog, base, char_is_signed=False)
    assert not TypeConverter(prog, module, below).convert(3).is_signed


def test_a_float_that_was_written_as_an_integer_is_one() -> None:
    btf = btf_of(kinds.Int("double", 8, 64, 0, IntEncoding.SIGNED))
    assert TypeConverter(drgn.Program(X86), btf).convert(1).kind == drgn.TypeKind.FLOAT
    assert int_meaning(btf, kinds.Int("doubles", 8, 64, 0, 0), True).kind == kinds.Int.kind


def test_a_known_enumerator_gives_an_old_enum_its_sign() -> None:
    btf = btf_of(ERROR)
    meaning = enum_meaning(btf, ERROR)
    assert (meaning.signed, meaning.doubt) == (True, "")
    assert meaning.values[0].value == -2
    type_ = TypeConverter(drgn.Program(X86), btf).convert(1)
    assert type_.type.is_signed
    assert find_enumerators(btf, "PERF_EVENT_STATE_ERROR")[0].value == -2


def test_a_known_unsigned_one_stays_large() -> None:
    limits = enum("blk_default_limits", BLK_MAX_SEGMENTS=128, BLK_SEG_BOUNDARY_MASK=0xFFFFFFFF)
    meaning = enum_meaning(btf_of(limits), limits)
    assert (meaning.signed, meaning.values[1].value, meaning.doubt) == (False, 0xFFFFFFFF, "")


@pytest.mark.parametrize("value", [0xFFFFFFFF, 0xFFFFFFFE, 0x80000000])
def test_an_unknown_top_bit_is_said_to_be_unknown_and_left_as_it_is(value: int) -> None:
    old = enum("of_nobody", NOBODY_KNOWS_THIS=value, NOR_THIS=1)
    meaning = enum_meaning(btf_of(old), old)
    assert (meaning.signed, meaning.values) == (False, old.values)
    assert f"{value:#x}" in meaning.doubt
    assert str(value - 2**32) in meaning.doubt


@pytest.mark.parametrize(
    "witness",
    [
        enum("other", signed=True, MINUS=-1),
        kinds.Enum64("large", 8, False, (kinds.Enumerator("L", 1 << 40),)),
    ],
)
def test_an_encoder_that_knows_signs_is_believed(witness: kinds.Type) -> None:
    flags = enum("flags", NOBODY_KNOWS_THIS=0x80000000)
    meaning = enum_meaning(btf_of(flags, witness), flags)
    assert (meaning.signed, meaning.doubt) == (False, "")
    base = btf_of(witness)
    assert enum_meaning(btf_of(flags, base=base), flags).doubt == ""


def test_what_does_not_fit_a_small_enum_is_negative() -> None:
    small = enum("packed", 1, NOBODY_KNOWS_THIS=0xFFFFFFFF, ZERO=0)
    meaning = enum_meaning(btf_of(small), small)
    assert (meaning.signed, meaning.values[0].value, meaning.doubt) == (True, -1, "")


def test_an_enum_of_eight_bytes_is_never_believed() -> None:
    pfn = enum("hmm_pfn_flags", 8, HMM_PFN_ERROR=0, HMM_PFN_FAULT=0)
    for others in ((), (enum("other", signed=True, MINUS=-1),)):
        btf = btf_of(pfn, *others)
        meaning = enum_meaning(btf, pfn)
        assert (meaning.values, meaning.doubt) == ((), VALUES_CUT)
        type_ = TypeConverter(drgn.Program(X86), btf).convert(1)
        assert (drgn.sizeof(type_), type_.is_complete(), len(type_.enumerators or ())) == (
            8,
            True,
            0,
        )
        doubts: list[str] = []
        assert find_enumerators(btf, "HMM_PFN_ERROR", doubts) == ()
        assert doubts == [VALUES_CUT]


def test_the_table_tells_signed_from_unsigned_and_never_both() -> None:
    table = enum_signs()
    assert table["PERF_EVENT_STATE_ERROR", 0xFFFFFFFE]
    assert not table["BLK_MQ_TAG_MAX", 0xFFFFFFFE]
    assert all(1 << 31 <= value < 1 << 32 for _, value in table)


def test_remarks_name_every_kind_of_loss_and_nothing_of_a_recent_encoder() -> None:
    old = btf_of(*CHARS, enum("x", NOBODY_KNOWS_THIS=1 << 31), enum("y", 8, Y=0))
    assert [r.split()[0] for r in remarks(old)] == ["the", "1", "the"]
    new = btf_of(SIGNED_CHAR, CHARS[0], enum("other", signed=True, MINUS=-1))
    assert writes_char_signs(new)
    assert remarks(new) == []
