"""Objects and types as text; drgn without a dump."""

from __future__ import annotations

import drgn
import pytest
from drgn import Object, Program, TypeMember

from btfdbg.commands import display
from btfdbg.commands.candidates import members


@pytest.fixture
def prog() -> Program:
    """A Program with a page of memory at 0x1000 and a hole after it."""
    p = Program(drgn.Platform(drgn.Architecture.X86_64))
    memory = bytes(range(256)) * 16
    p.add_memory_segment(
        0x1000, 0x1000, lambda address, count, offset, physical: memory[offset : offset + count]
    )
    return p


def pair(prog: Program) -> drgn.Type:
    """A struct with a hole, a bit field, an anonymous union and padding."""
    int_ = prog.int_type("int", 4, True)
    char = prog.int_type("char", 1, True)
    long_ = prog.int_type("long", 8, True)
    union = prog.union_type(None, 4, (TypeMember(int_, "a"), TypeMember(char, "b")))
    return prog.struct_type(
        "pair",
        32,
        (
            TypeMember(char, "c", 0),
            TypeMember(long_, "l", 64),
            TypeMember(union, None, 128),
            TypeMember(Object(prog, int_, bit_field_size=3), "bits", 160),
        ),
    )


def text_of(type_: drgn.Type) -> str:
    return "\n".join("".join(t for _, t in line) for line in display.type_lines(type_))


def test_a_type_shows_offsets_sizes_holes_and_padding(prog: Program) -> None:
    text = text_of(pair(prog))
    assert "struct pair {" in text
    assert "hole of 7 bytes" in text
    assert "int bits : 3;" in text
    assert "20:0" in text
    assert "size: 32" in text
    assert "holes: 1 (7 bytes)" in text
    assert "padding: 11 bytes" in text


def test_members_of_anonymous_unions_are_found_with_their_offset(prog: Program) -> None:
    found = {name: offset for name, _, offset in members(pair(prog))}
    assert found == {"c": 0, "l": 64, "a": 128, "b": 128, "bits": 160}


def test_an_incomplete_type_is_shown_as_such(prog: Program) -> None:
    assert "struct nothing" in text_of(prog.struct_type("nothing"))
    assert "void" in text_of(prog.void_type())


def test_an_object_is_printed_as_drgn_prints_it(prog: Program) -> None:
    obj = Object(prog, prog.int_type("int", 4, True), address=0x1000)
    assert display.format_object(obj) == obj.format_()


def test_an_object_that_faults_half_way_shows_the_half_that_is_there(prog: Program) -> None:
    int_ = prog.int_type("int", 4, True)
    type_ = prog.struct_type(
        "edge", 16, (TypeMember(int_, "here", 0), TypeMember(int_, "gone", 64))
    )
    obj = Object(prog, type_, address=0x1FF8)
    text = display.format_object(obj)
    assert ".here = " in text
    assert "cannot read" not in text.partition(".gone")[0]
    assert "<cannot read 0x2000>" in text.partition(".gone")[2]


def test_a_struct_that_is_missing_whole_is_one_line(prog: Program) -> None:
    int_ = prog.int_type("int", 4, True)
    inner = prog.struct_type("inner", 8, (TypeMember(int_, "a", 0), TypeMember(int_, "b", 32)))
    type_ = prog.struct_type("outer", 16, (TypeMember(int_, "x", 0), TypeMember(inner, "in", 64)))
    gone = Object(prog, type_, address=0x9000)
    assert display.format_object(gone) == "(struct outer)<cannot read 0x9000 to 0x900f>"
    # What is missing of one that is there in part is shown at its place.
    text = display.format_object(Object(prog, type_, address=0x1FF8))
    assert ".x = " in text
    assert ".in = (struct inner)<cannot read 0x2000 to 0x2007>" in text
    pointer = Object(prog, prog.pointer_type(type_), 0x9000)
    assert display.format_object(pointer).count("\n") == 0


def test_a_pointer_into_a_hole_shows_the_pointer(prog: Program) -> None:
    pointer = Object(prog, prog.pointer_type(pair(prog)), 0x9000)
    assert "0x9000" in display.format_object(pointer)


def test_an_array_over_a_hole_shows_what_is_there(prog: Program) -> None:
    type_ = prog.array_type(prog.int_type("int", 4, True), 4)
    text = display.format_object(Object(prog, type_, address=0x1FF8))
    assert "[1]" in text
    assert "cannot read 0x2000" in text


@pytest.mark.parametrize(
    ("value", "letter", "text"),
    [
        (255, "x", "0xff"), (-1, "x", "0xffffffff"), (-1, "u", "4294967295"), (-1, "d", "-1"),
        (8, "o", "010"), (5, "t", "0b101"), (65, "c", "65 'A'"), (10, "c", "10 '\\x0a'"),
        (1, "z", "0x00000001"), (0x3F800000, "f", "1.0"),
    ],
)  # fmt: skip
def test_formats_follow_the_size_of_the_type(
    value: int, letter: str, text: str, prog: Program
) -> None:
    obj = Object(prog, prog.int_type("int", 4, True), value)
    assert display.format_value(obj, letter) == text


@pytest.mark.parametrize("letter", ["", "q", "xx", "É"])
def test_an_unknown_format_is_an_error(letter: str) -> None:
    with pytest.raises(display.FormatError):
        display.format_value(1, letter)


def test_highlighting_loses_nothing() -> None:
    text = '(struct list_head){\n\t.next = (struct list_head *)x+0x1 = 0xff,\n\t.s = "a\\"b",\n}'
    assert "".join(t for _, t in display.highlight(text)) == text
    assert ("type", "list_head") in display.highlight(text)


def test_a_string_with_escapes_is_shown_escaped(prog: Program) -> None:
    array = prog.array_type(prog.int_type("char", 1, True), 4)
    obj = Object(prog, array, b"\x1b[1m")
    assert display.format_value(obj, "s") == '"\\x1b[1m"'
