"""Tables, by what the compiler wrote beside the check of their index."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import drgn
import pytest

from btfdbg.btf import Btf, Builder
from btfdbg.frames import globals as globals_
from btfdbg.frames import x86_64
from btfdbg.frames.abi import Param, Signature
from btfdbg.frames.bounds import HANDLER, Bound, bound_at, first_element
from btfdbg.frames.evidence import Evidence
from btfdbg.frames.prototypes import Prototype
from btfdbg.frames.reading import collect
from btfdbg.variables.placement import Extent
from tests.frames.code import OTHER, Bytes, analyse, x86

PROG = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
TABLE = 0xFFFF_FFFF_8200_0000
RECORD = 0xFFFF_FFFF_8210_0000
FILE = RECORD + 0x100
TYPE = RECORD + 0x200
CALL = (b"\xe8", OTHER)
RETURN = b"\xc3"
ROWS = Bound("row", False, 3, "b.c:17")


def low(number: int) -> bytes:
    return (number & 0xFFFF_FFFF).to_bytes(4, "little")


def memory(table: bytes = b"'row [3]'", file: bytes = b"a/b.c", line: int = 17) -> Any:
    """Memory with one record in it."""
    parts = {
        RECORD: FILE.to_bytes(8, "little")
        + line.to_bytes(4, "little")
        + (1 << 31 | 3).to_bytes(4, "little")
        + TYPE.to_bytes(8, "little") * 2,
        FILE: file + b"\0",
        TYPE: b"\xff\xff\0\0" + table + b"\0",
    }

    def read(address: int, size: int) -> bytes | None:
        for start, data in parts.items():
            if start <= address < start + 0x100:
                return (data + bytes(0x200))[address - start :][:size]
        return None

    return read


def test_a_record_says_the_table_and_where_it_is_checked() -> None:
    assert bound_at(RECORD, memory()) == ROWS
    assert bound_at(RECORD, memory(b"'row *[12]'")) == Bound("row", True, 12, "b.c:17")


@pytest.mark.parametrize(
    "broken",
    [
        {"table": b"'row'"},
        {"table": b"'row [0]'"},
        {"table": b"'row [3][2]'"},
        {"table": b"'row **[3]'"},
        {"table": b"'<unknown> [3]'"},
        {"table": b"'row [99999999]'"},
        {"table": b"row [3]"},
        {"file": b"no file"},
        {"line": 0},
        {"line": 1 << 30},
    ],
)
def test_what_is_no_record_of_a_table_says_nothing(broken: dict[str, Any]) -> None:
    assert bound_at(RECORD, memory(**broken)) is None
    assert bound_at(RECORD + 0x1000, memory()) is None


def bounds(*code: bytes | tuple[bytes, int], handler: str = HANDLER) -> list[Bound]:
    """What a function's code says of the table's bounds, with the check's report behind it."""
    pytest.importorskip("capstone")
    report = b"\x48\xc7\xc7" + low(RECORD)  # mov rdi, RECORD
    flow = analyse(Bytes(x86(*code, report, CALL, RETURN)))
    converter: Any = SimpleNamespace(convert=lambda _: PROG.void_type())
    taker = Prototype(handler, Signature((Param("data", 1, 8, ("rdi",)),)), 0, converter)
    text = SimpleNamespace(
        prototype_at=lambda at: taker if at == OTHER else "none", memory=memory()
    )
    made: Any = SimpleNamespace(text=text, arch=x86_64, flow=lambda _: flow)
    session: Any = SimpleNamespace(prog=PROG)
    function: Any = SimpleNamespace(start=flow.code.start)
    evidence = Evidence(TABLE, 48)
    collect(session, made, function, evidence)
    return evidence.bounds


BEGIN = b"\x48\xc7\xc3" + low(TABLE)  # mov rbx, TABLE
LOAD = b"\x48\x8b\x03"  # mov rax, [rbx]


def test_a_table_to_whose_address_an_index_is_added() -> None:
    assert bounds(b"\x48\x8b\x04\xf5" + low(TABLE)) == [ROWS]  # mov rax, [rsi*8 + TABLE]
    assert bounds(b"\x48\x8d\x04\xf5" + low(TABLE)) == [ROWS]  # lea rax, [rsi*8 + TABLE]
    assert bounds(b"\x48\x81\xc6" + low(TABLE)) == [ROWS]  # add rsi, TABLE
    assert bounds(BEGIN, b"\x48\x01\xf3") == [ROWS]  # add rbx, rsi


def test_a_table_that_is_gone_through() -> None:
    # loop: mov rax, [rbx]; add rbx, 16; dec esi; jne loop
    assert bounds(BEGIN, LOAD, b"\x48\x83\xc3\x10", b"\xff\xce", b"\x75\xf5") == [ROWS]


def test_what_is_named_beside_the_check_of_another_table_is_none() -> None:
    assert bounds(b"\x48\x8b\x04\x25" + low(TABLE)) == []  # mov rax, [TABLE]
    assert bounds(b"\x48\x8b\x04\xf5" + low(TABLE + 48)) == []
    assert bounds(b"\x48\x8b\x04\xf5" + low(TABLE), handler="note") == []
    # One of two: test esi, esi; je on; mov rbx, TABLE + 16; on: mov rax, [rbx]
    other = b"\x48\xc7\xc3" + low(TABLE + 16)
    assert bounds(BEGIN, b"\x85\xf6", b"\x74\x07", other, LOAD) == []
    # It goes on from elsewhere: loop: mov rax, [rbx]; mov rbx, rax; dec esi; jne loop
    assert bounds(BEGIN, LOAD, b"\x48\x89\xc3", b"\xff\xce", b"\x75\xf6") == []


def _btf() -> tuple[Btf, int, int]:
    b = Builder()
    long = b.add_int("long", 8)
    row = b.add_struct("row", 16)
    b.add_field("a", long, 0)
    b.add_field("b", long, 64)
    b.add_struct("wide", 24)
    b.add_field("c", long, 0)
    pointer = b.add_ptr(row)
    return b.to_btf(), row, pointer


def test_the_table_takes_up_the_variables_room() -> None:
    btf, row, pointer = _btf()

    def first(size: int, *some: Bound, slack: int = 1) -> tuple[list[int], int]:
        ids, said = first_element(some, btf, Extent(size, slack), lambda _: frozenset((pointer,)))
        return list(ids), len(said)

    assert first(48, ROWS) == ([row], 1)
    assert first(48, ROWS, ROWS) == ([row], 2)
    assert first(56, ROWS) == ([], 0)
    assert first(56, ROWS, slack=16) == ([row], 1)
    assert first(40, ROWS, slack=16) == ([], 0)
    assert first(48, ROWS, Bound("row", False, 4, "")) == ([row], 1)
    assert first(48, ROWS, Bound("wide", False, 2, "")) == ([], 0)
    assert first(24, Bound("row", True, 3, "")) == ([pointer], 1)
    assert first(48, Bound("long", False, 6, ""), Bound("gone", False, 3, "")) == ([], 0)


def test_what_says_so_is_the_place_of_the_check() -> None:
    btf, _, _ = _btf()
    said = first_element([ROWS], btf, Extent(48), lambda _: frozenset())[1]
    assert said == ["check an index at b.c:17"]


def _bears_out(monkeypatch: pytest.MonkeyPatch, *pointees: drgn.Type | None) -> bool:
    """Whether what a table's pointers lead to bears out that it is one of pointers to rows."""
    btf, _, pointer = _btf()
    types = SimpleNamespace(
        at=lambda where, size: SimpleNamespace(type=pointees[where[1] - TABLE], text="")
    )
    monkeypatch.setattr(globals_, "Types", lambda *_: types)
    made: Any = SimpleNamespace(text=None)
    data = b"".join((TABLE + n).to_bytes(8, "little") for n in range(len(pointees)))
    code_types = globals_.CodeTypes(made, made)
    return code_types._bears_out(btf, frozenset((pointer,)), bytes(8) + data, {})


def test_a_check_may_be_that_of_another_table_of_as_many_pointers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """evm_crypto.c checks one index once, and goes with it into two tables of 23 pointers."""
    row, text = PROG.struct_type("row", 16, ()), PROG.array_type(PROG.int_type("char", 1, True), 8)
    assert _bears_out(monkeypatch, PROG.array_type(row, 4))
    assert _bears_out(monkeypatch, None, row)
    assert not _bears_out(monkeypatch, None, None)
    assert not _bears_out(monkeypatch, text)
    assert not _bears_out(monkeypatch, row, text)
    assert not _bears_out(monkeypatch, PROG.struct_type("other", 16, ()))


def test_a_table_of_structs_has_to_have_functions_in_their_place() -> None:
    btf, row, _ = _btf()
    made: Any = SimpleNamespace(text=None)
    code_types = globals_.CodeTypes(made, made)
    assert not code_types._bears_out(btf, frozenset((row,)), bytes(48), {})
    assert code_types._bears_out(btf, frozenset((row,)), bytes(48), {8: ()})
