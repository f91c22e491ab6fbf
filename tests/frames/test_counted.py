"""How long a table is, by what stands beside a pointer to it."""

from __future__ import annotations

import struct

import drgn
import pytest

from btfdbg.frames.counted import length_beside

START = 0xFFFF_FFFF_8200_0000


@pytest.fixture(scope="module")
def prog() -> drgn.Program:
    """``ops`` is a table of two operations, ``family`` has one, ``other`` is none of those."""
    flags = drgn.PlatformFlags.IS_64_BIT | drgn.PlatformFlags.IS_LITTLE_ENDIAN
    prog = drgn.Program(drgn.Platform(drgn.Architecture.X86_64, flags))
    number = prog.int_type("unsigned int", 4, False)
    pointer = prog.pointer_type(prog.struct_type("nla_policy", 16, ()))
    member = drgn.TypeMember
    members = (member(pointer, "policy", 0), member(number, "maxattr", 64))
    op = prog.struct_type("genl_split_ops", 16, members)
    family = prog.struct_type("family", 24, (member(number, "id", 0), member(op, "first", 64)))
    other = prog.struct_type("other", 16, members)
    known = {
        "ops": prog.array_type(op, 2),
        "family": family,
        "other": other,
        "gone": prog.array_type(op, 1),
    }
    places = {"ops": START, "family": START + 24, "other": START, "gone": START + 0x10000}

    def find(
        prog: drgn.Program, name: str, flags: drgn.FindObjectFlags, filename: str | None
    ) -> drgn.Object | None:
        if name not in known:
            return None
        return drgn.Object(prog, known[name], address=places[name])

    prog.register_object_finder("test", find, enable_index=0)
    data = struct.pack("<QIIQII", START, 4, 0, START, 184, 0) + bytes(64)

    def read(address: int, count: int, offset: int, physical: bool) -> bytes:
        return data[offset:][:count]

    prog.add_memory_segment(START, len(data), read)
    return prog


@pytest.mark.parametrize(
    ("path", "length"),
    [
        ("ops[0].policy", 5),
        ("ops[1].policy", 185),
        ("ops.policy", None),
        ("ops[1].maxattr", None),
        ("other.policy", None),
        ("gone[0].policy", None),
        ("nothing[0].policy", None),
        ("ops", None),
        ("*(ops+0x10)", None),
        ("this_cpu(ops).policy", None),
        ("op->policy", None),
    ],
)
def test_what_stands_beside_a_pointer(prog: drgn.Program, path: str, length: int | None) -> None:
    assert length_beside(prog, path) == length


def test_inside_of_another_struct(prog: drgn.Program) -> None:
    # At START + 32 stands the lower half of a number of ops[1].
    assert length_beside(prog, "family.first.policy") == 1
