"""Members of a module's own structs that an access may have been to."""

from __future__ import annotations

from btfdbg.btf import Btf, Builder
from btfdbg.frames.own_structs import MAX_SHOWN, fitting_members


def _module(structs: int) -> Btf:
    """Structs ``s0``, ``s1`` ...: a long, an int at 8, a bit-field at 12; in a module's BTF."""
    base = Builder()
    long, number = base.add_int("long", 8), base.add_int("int", 4)
    base.add_struct("of_the_kernel", 16)
    base.add_field("there", number, 64)
    built = Builder(base.to_btf())
    for i in range(structs):
        built.add_struct(f"s{i}", 16)
        built.add_field("head", long, 0)
        built.add_field("number", number, 64)
        built.add_field("flags", number, 96, 3)
    return built.to_btf()


def test_members_at_an_offset_are_those_of_that_size() -> None:
    btf = _module(2)
    assert fitting_members(btf, 8, 4) == ("s0.number", "s1.number")
    assert fitting_members(btf, 0, 8) == ("s0.head", "s1.head")


def test_a_part_of_a_member_and_a_bit_field_fit_nothing() -> None:
    btf = _module(1)
    assert fitting_members(btf, 8, 2) == ()
    assert fitting_members(btf, 4, 4) == ()
    assert fitting_members(btf, 12, 4) == ()


def test_what_lies_outside_of_every_struct_fits_nothing() -> None:
    btf = _module(1)
    assert fitting_members(btf, 16, 4) == fitting_members(btf, -8, 4) == ()
    assert fitting_members(btf, 1 << 40, 4) == fitting_members(btf, 8, 0) == ()


def test_many_candidates_say_nothing() -> None:
    assert len(fitting_members(_module(MAX_SHOWN), 8, 4)) == MAX_SHOWN
    assert fitting_members(_module(MAX_SHOWN + 1), 8, 4) == ()
