"""What code and memory say for a type that other kernels have under a variable's name."""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import drgn
import pytest

import btfdbg
from btfdbg.commands import namespace
from btfdbg.commands.evaluate import prepare, run_line
from btfdbg.frames import x86_64
from btfdbg.frames.borne_out import _accessed, _as_number, _filled, _rows, _texts
from btfdbg.frames.touches import Touch, touches
from btfdbg.variables import VariableTypes, shipped_database
from btfdbg.variables.evidence import DumpEvidence
from tests.frames.code import Bytes, analyse, x86

pytest.importorskip("capstone")
namespace.load_commands()

PROG = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
INT = PROG.int_type("int", 4, True)
UNSIGNED = PROG.int_type("unsigned int", 4, False)
SHORT = PROG.int_type("unsigned short", 2, False)
CHAR = PROG.int_type("char", 1, True)
VARIABLE = 0xFFFF_FFFF_8200_0000
TEXTS = VARIABLE + 0x1000
FUNCTION = VARIABLE + 0x2000
LOW = VARIABLE & 0xFFFF_FFFF
RETURN = b"\xc3"


def reach(*code: bytes, size: int = 64) -> list[Touch] | None:
    """The accesses that a function makes to the variable."""
    flow = analyse(Bytes(x86(*code, RETURN)))
    made: Any = SimpleNamespace(arch=x86_64, flow=lambda _: flow)
    return touches(made, [made], VARIABLE, size)


def disp(offset: int) -> bytes:
    return (LOW + offset).to_bytes(4, "little")


def test_accesses_have_offset_size_step_and_sign() -> None:
    assert reach(b"\x8b\x04\x25" + disp(8)) == [Touch(8, 4, None, None)]  # mov eax, [x + 8]
    assert reach(b"\x8b\x04\xbd" + disp(4)) == [Touch(4, 4, 4, None)]  # mov eax, [x + rdi*4 + 4]
    # movzx eax, word ptr [rdi + rdi + x]; movsx rax, byte ptr [rdi + x]
    assert reach(b"\x48\x0f\xbe\x87" + disp(0)) == [Touch(0, 1, 0, True)]
    assert reach(b"\x0f\xb7\x04\x7d" + disp(0)) == [Touch(0, 2, 2, False)]
    # Through a register that holds the address: mov rsi, x; mov [rsi + rdi*8 + 16], rax
    through = (b"\x48\xc7\xc6" + disp(0), b"\x48\x89\x44\xfe\x10")
    assert reach(*through) == [Touch(16, 8, 8, None)]


def test_what_lies_beside_the_variable_is_no_access_to_it() -> None:
    assert reach(b"\x8b\x04\x25" + disp(64)) == []
    assert reach(b"\x8b\x04\x25" + disp(-4)) == []
    assert reach(b"\x8b\x04\xbd" + disp(64)) == []
    assert reach(b"\x8b\x07") == []  # mov eax, [rdi]


def test_who_cannot_be_analysed_may_access_anything() -> None:
    made: Any = SimpleNamespace(flow=lambda _: SimpleNamespace(problem="too large"))
    assert touches(made, [made], VARIABLE, 64) is None


def table(*found: Touch, of: drgn.Type = INT) -> str:
    size = of.size
    assert size is not None
    return _as_number(found, of, size, array=True)


def test_numbers_are_accessed_by_an_index_as_what_they_are() -> None:
    assert table(Touch(0, 4, 4, None)) == "code: it accesses elements of 4 bytes"
    assert table(Touch(8, 4, None, None), Touch(0, 4, None, None))
    assert table(Touch(0, 4, 0, None))  # an index that was multiplied before


@pytest.mark.parametrize(
    "found",
    [
        (),
        (Touch(0, 4, None, None),),  # one number would do
        (Touch(0, 4, 4, None), Touch(0, 8, None, None)),
        (Touch(0, 1, 1, None),),  # bytes, of which nobody reads four
        (Touch(0, 4, 4, None), Touch(2, 4, None, None)),
        (Touch(0, 4, 2, None),),
        (Touch(0, 4, 4, None), Touch(3, 2, None, None)),
    ],
)
def test_numbers_of_another_size_are_not_borne_out(found: tuple[Touch, ...]) -> None:
    assert table(*found) == ""


def test_the_sign_that_code_reads_is_the_types() -> None:
    assert table(Touch(0, 4, 4, True), of=INT)
    assert table(Touch(0, 4, 4, True), of=UNSIGNED) == ""
    assert table(Touch(0, 2, 2, False), of=SHORT)
    assert table(Touch(0, 2, 2, True), of=SHORT) == ""
    # Half of a number has no sign of its own.
    assert table(Touch(0, 4, 4, None), Touch(4, 2, None, True), of=UNSIGNED)


def test_one_number_is_accessed_where_it_is_and_nowhere_else() -> None:
    first = Touch(0, 4, None, None)
    assert _as_number([first], INT, 4, array=False) == (
        "code: it accesses 4 bytes there and nothing behind"
    )
    assert _as_number([first, Touch(4, 4, None, None)], INT, 4, array=False) == ""
    assert _as_number([first, Touch(0, 4, 4, None)], INT, 4, array=False) == ""
    assert _as_number([Touch(0, 2, None, None)], INT, 4, array=False) == ""
    assert _as_number([], INT, 4, array=False) == ""


class Memory:
    """What is asked of a Text: texts from ``TEXTS`` on, and one function."""

    def __init__(self, texts: bytes = b"one\0two\0\0") -> None:
        self._texts = texts + bytes(600)

    def image(self) -> range:
        return range(VARIABLE - 0x10000, VARIABLE + 0x10000)

    def memory(self, address: int, size: int) -> bytes | None:
        at = address - TEXTS
        return self._texts[at : at + size] if 0 <= at <= len(self._texts) - size else None

    def names_at(self, address: int) -> tuple[str, ...]:
        return ("show",) if address == FUNCTION else ()


def words(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def test_pointers_to_text() -> None:
    text: Any = Memory()
    assert _texts(text, words(TEXTS, 0, TEXTS + 4)) == ("contents: 2 pointers to text", 3)
    assert _texts(text, words(TEXTS, TEXTS + 4, 0)) == ("contents: 2 pointers to text", 0)
    assert _texts(text, words(TEXTS))[0] == ""
    assert _texts(text, words(TEXTS, TEXTS + 4, 7))[0] == ""
    assert _texts(text, words(TEXTS, FUNCTION))[0] == ""
    assert _texts(text, words(TEXTS, TEXTS + 8))[0] == ""  # an empty one is any zero
    assert _texts(Memory(b"\1\2\0abc\0"), words(TEXTS, TEXTS + 3))[0] == ""  # type: ignore[arg-type]


def test_rows_of_text() -> None:
    def row(text: str) -> bytes:
        return text.encode().ljust(8, b"\0")

    shown = "contents: 2 texts, 8 bytes apart"
    assert _rows(row("rx") + row("tx") + bytes(8), 8) == (shown, 0)
    assert _rows(row("rx") + row("tx") + bytes(4), 8) == (shown, 2)
    assert _rows(row("rx"), 8)[0] == ""
    assert _rows(row("rx") + row("tx")[:4] + b"\0\0\0x", 8)[0] == ""
    assert _rows(row("rx") + bytes(8) + row("tx"), 8)[0] == ""  # an empty one in between
    assert _rows(row("rx") + b"\1".ljust(8, b"\0"), 8)[0] == ""
    assert _rows(b"rxtx", 1)[0] == ""


def entry(prog: drgn.Program = PROG) -> drgn.Type:
    """``struct { const char *name; int mode; int (*show)(void); unsigned long data; }``."""
    member = drgn.TypeMember
    text = prog.pointer_type(CHAR)
    show = prog.pointer_type(prog.function_type(INT, (), False))
    data = prog.int_type("unsigned long", 8, False)
    return prog.struct_type(
        "entry",
        32,
        (
            member(text, "name", 0),
            member(INT, "mode", 64),
            member(show, "show", 128),
            member(data, "data", 192),
        ),
    )


def filled(*numbers: int, array: bool = True) -> str:
    made: Any = SimpleNamespace(text=Memory())
    return _filled(made, entry(), 32, words(*numbers), array=array)[0]


def count(*numbers: int) -> int:
    made: Any = SimpleNamespace(text=Memory())
    return _filled(made, entry(), 32, words(*numbers), array=True)[1]


def test_texts_and_functions_stand_where_a_struct_has_them() -> None:
    assert filled(TEXTS, 4, FUNCTION, 9) == "contents: 2 texts and functions where it has such"
    two = (TEXTS, 4, 0, 9, TEXTS + 4, 0, 0, VARIABLE)
    assert filled(*two) == "contents: 2 texts and functions where it has such"
    assert filled(*two, array=False) == ""
    assert filled(TEXTS, 4, 0, 9) == ""


def test_a_tables_length_is_known_if_its_last_element_is_not_empty() -> None:
    one, none = (TEXTS, 4, FUNCTION, 9), (0, 0, 0, 0)
    assert count(*one) == 1
    assert count(*one, *one) == 2
    assert count(*one, *none) == 0  # padding, or an empty one
    assert count(*one, *none, *one) == 3
    assert count(*one, 5, VARIABLE, 0, 0) == 0  # what is behind it may be like it as well
    assert count(*one, 0, 0) == 1
    assert count(*one, 5) == 0


def test_what_stands_behind_a_table_ends_it() -> None:
    assert filled(TEXTS, 4, FUNCTION, 9, 5, VARIABLE, 0, 0).startswith("contents: 2 ")


@pytest.mark.parametrize(
    "numbers",
    [
        (FUNCTION, 4, FUNCTION, 9),
        (TEXTS, 4, TEXTS, 9),
        (TEXTS, VARIABLE, FUNCTION, 9),  # a pointer where it has a number of 4 bytes
        (7, 4, FUNCTION, 9),
    ],
)
def test_anything_else_there_refutes_it(numbers: tuple[int, ...]) -> None:
    assert filled(*numbers) == ""


def test_members_of_elements() -> None:
    by_index = [Touch(0, 8, 0, None), Touch(8, 4, 0, None)]
    assert _accessed(by_index, 32) == "code: it accesses 2 members of elements"
    assert _accessed(by_index[:1], 32) == ""
    assert _accessed([Touch(0, 8, None, None), Touch(8, 4, None, None)], 32) == ""


@pytest.mark.parametrize("core", ["oops_core", "arm_core"])
def test_a_table_of_texts_in_a_dump(core: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(core)
    session = btfdbg.session(btfdbg.program_from_core_dump(path))
    [symbol] = session.lookup_symbols("task_state_array")
    text, number = session.prog.type("const char *"), session.prog.type("int")
    assert session.borne_out(symbol, text, True)[0] == "contents: 9 pointers to text"
    assert session.borne_out(symbol, number, False) == ("", 0)
    session.reads_code = False
    assert session.borne_out(symbol, text, True) == ("", 0)


def _number(series: str) -> list[int]:
    return [int(part) for part in series.split(".")]


def test_whatis_says_what_bears_it_out(oops_core: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session = btfdbg.session(btfdbg.program_from_core_dump(oops_core))
    symbols = session.symbols
    assert symbols is not None
    series = ".".join(session.release.split(".")[:2])
    older = shipped_database().without(lambda k: _number(k.series) >= _number(series))
    session.variables = VariableTypes(
        session.prog,
        DumpEvidence(
            symbols,
            release=session.release,
            architecture="x86_64",
            btf=lambda: session.vmlinux,
            symbol_at=symbols.by_address,
            code=session.type_from_code,
            bears_out=session.borne_out,
        ),
        database=lambda: older,
    )
    found = session.variables.find("cgroup2_fs_parameters")
    assert found is not None
    assert found.type.type_name() == "const struct fs_parameter_spec []"
    assert found.known_from.startswith(
        "contents: cgroup2_fs_type.parameters points to it, as in DWARF of "
    )
    assert session.variable_source("cgroup2_fs_parameters") == found.known_from
    prepare(session)
    assert run_line(session, "whatis cgroup2_fs_parameters")
    assert found.known_from in " ".join(capsys.readouterr().out.split())
