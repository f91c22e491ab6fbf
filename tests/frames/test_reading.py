"""What one function's code says of a variable that it names."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import drgn
import pytest

from btfdbg.frames import x86_64
from btfdbg.frames.abi import Param, Signature
from btfdbg.frames.evidence import Evidence
from btfdbg.frames.prototypes import Prototype
from btfdbg.frames.reading import collect
from tests.frames.code import OTHER, Bytes, analyse, x86

pytest.importorskip("capstone")

PROG = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
NODE = PROG.struct_type("node", 64, ())
EMPTY = PROG.struct_type("lock_class_key", 0, ())
VARIABLE = 0xFFFF_FFFF_8200_0000
CALL = (b"\xe8", OTHER)
RETURN = b"\xc3"


def address(offset: int) -> bytes:
    """``mov rdi, VARIABLE + offset``."""
    return b"\x48\xc7\xc7" + (VARIABLE + offset & 0xFFFF_FFFF).to_bytes(4, "little")


def loaded(offset: int) -> bytes:
    """``mov rdi, [VARIABLE + offset]``."""
    return b"\x48\x8b\x3c\x25" + (VARIABLE + offset & 0xFFFF_FFFF).to_bytes(4, "little")


def read(given: bytes, parameter: drgn.Type, size: int = 32) -> Evidence:
    """The evidence of a function that passes something to one that takes a type."""
    flow = analyse(Bytes(x86(given, CALL, RETURN)))
    converter: Any = SimpleNamespace(convert=lambda _: parameter)
    taker = Prototype("note", Signature((Param("p", 1, 8, ("rdi",)),)), 0, converter)
    text = SimpleNamespace(prototype_at=lambda at: taker if at == OTHER else "none")
    made: Any = SimpleNamespace(text=text, arch=x86_64, flow=lambda _: flow)
    session: Any = SimpleNamespace(prog=PROG)
    function: Any = SimpleNamespace(start=flow.code.start)
    evidence = Evidence(VARIABLE, size)
    collect(session, made, function, evidence)
    return evidence


def test_what_is_wanted_at_an_address_stands_there() -> None:
    to_node = PROG.pointer_type(NODE)
    assert read(address(0), to_node).objects == [(NODE, "call note")]
    assert read(address(8), to_node).inside == [(8, NODE, "call note")]
    assert read(address(32), to_node).inside == []


def test_what_is_empty_stands_where_the_next_variable_begins() -> None:
    found = read(address(0), PROG.pointer_type(EMPTY))
    assert (found.objects, found.inside, found.values) == ([], [], [])


def test_pointers_in_a_variable_are_known_by_their_places() -> None:
    to_node = PROG.pointer_type(NODE)
    found = read(loaded(8), to_node)
    assert (found.words, found.values) == ([(8, NODE, "call note")], [])
    found = read(loaded(0), to_node)
    assert found.words == [(0, NODE, "call note")]
    assert found.values == [(NODE, "call note")]
    assert read(loaded(32), to_node).words == []


def test_a_pointer_to_a_pointer_wants_a_table_or_a_pointer() -> None:
    to_pointer = PROG.pointer_type(PROG.pointer_type(NODE))
    found = read(address(0), to_pointer)
    assert (found.exact, found.values) == ([(0, NODE, "call note")], [])
    found = read(address(0), to_pointer, size=8)
    assert found.values == [(NODE, "call note")]


def circular(*code: bytes) -> bool:
    """Whether a function compares what the variable begins with with its address."""
    flow = analyse(Bytes(x86(*code, RETURN)))
    text = SimpleNamespace(prototype_at=lambda at: "none", names_at=lambda at: ())
    made: Any = SimpleNamespace(text=text, arch=x86_64, flow=lambda _: flow)
    session: Any = SimpleNamespace(prog=PROG)
    evidence = Evidence(VARIABLE, 16)
    collect(session, made, SimpleNamespace(start=flow.code.start), evidence)  # type: ignore[arg-type]
    return evidence.circular


def test_a_walk_ends_where_the_variable_is_met_again() -> None:
    own = (VARIABLE & 0xFFFF_FFFF).to_bytes(4, "little")
    behind = (VARIABLE + 8 & 0xFFFF_FFFF).to_bytes(4, "little")
    with_own, with_zero = b"\x48\x81\xff" + own, b"\x48\x83\xff\x00"  # cmp rdi, x; cmp rdi, 0
    assert circular(loaded(0), with_own)
    assert not circular(loaded(0), with_zero)
    assert not circular(loaded(8), with_own)
    assert not circular(loaded(0), b"\x48\x81\xff" + behind)
    assert not circular(with_own)
    # cmp qword ptr [x], x, and of four bytes
    assert circular(b"\x48\x81\x3c\x25" + own + own)
    assert not circular(b"\x81\x3c\x25" + own + own)
    # mov rdi, [x]; loop: mov rdi, [rdi]; cmp rdi, x; jne loop
    assert circular(loaded(0), b"\x48\x8b\x3f", with_own, b"\x75\xf4") is False
    # mov rdi, [x]; loop: cmp rdi, x; je out; mov rdi, [rdi]; jmp loop; out:
    assert circular(loaded(0), with_own, b"\x74\x05", b"\x48\x8b\x3f", b"\xeb\xf2")


def counted(*code: bytes, size: int = 16) -> str | None:
    """What a variable is of which a function says nothing but how it counts."""
    flow = analyse(Bytes(x86(*code, RETURN)))
    text = SimpleNamespace(prototype_at=lambda at: "none", names_at=lambda at: ())
    made: Any = SimpleNamespace(text=text, arch=x86_64, flow=lambda _: flow)
    session: Any = SimpleNamespace(prog=PROG)
    evidence = Evidence(VARIABLE, size)
    collect(session, made, SimpleNamespace(start=flow.code.start), evidence)  # type: ignore[arg-type]
    found = evidence.verdict(lambda type_, limit: True)
    return None if found is None else f"{found.type}, {found.why}"


def test_what_is_counted_in_one_piece_is_atomic() -> None:
    def at(offset: int) -> bytes:
        return (VARIABLE + offset & 0xFFFF_FFFF).to_bytes(4, "little")

    increment, wide = b"\xf0\xff\x04\x25", b"\xf0\x48\xff\x04\x25"  # lock inc [x]
    load = b"\x8b\x04\x25"  # mov eax, [x]
    assert counted(increment + at(0)) == "atomic_t, code: 1 atomic operation on its 4 bytes"
    assert counted(wide + at(0), wide + at(0)) == (
        "atomic64_t, code: 2 atomic operations on its 8 bytes"
    )
    assert counted(increment + at(0), load + at(0)) is not None
    assert counted(increment + at(0), load + at(4)) is None
    assert counted(increment + at(0), wide + at(0)) is None
    assert counted(increment + at(4)) is None
    assert counted(increment + at(0), address(8)) is None
    assert counted(b"\xf0\x0f\xc1\x04\x25" + at(0)) is None  # lock xadd: a refcount_t, too
    assert counted(b"\xff\x04\x25" + at(0)) is None
