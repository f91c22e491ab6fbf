"""What a variable is, by the functions and types that stand in it."""

from __future__ import annotations

import pytest

from btfdbg.btf import Btf, Builder
from btfdbg.frames.contents import Mark, Shapes
from btfdbg.frames.enclosing import enclosing
from btfdbg.variables.placement import Extent
from btfdbg.variables.prototypes import Key

TEXT = 0xFFFF_FFFF_8100_0000
DATA = 0xFFFF_FFFF_8200_0A90


class _Kernel:
    """A BTF with a function ``show``, structs that can hold it, and their arrays."""

    def __init__(self, *rivals: str) -> None:
        b = Builder()
        number, char = b.add_int("int", 4), b.add_int("char", 1)
        letters = b.add_array(number, char, 8)
        long = b.add_int("long", 8)
        text, nothing = b.add_ptr(char), b.add_ptr(0)
        thing = b.add_struct("thing", 8)
        b.add_field("a", long, 0)
        pointer = b.add_ptr(thing)
        self.show = b.add_func_proto(number)
        b.add_func_param("thing", pointer)
        b.add_func("show", 0, self.show)
        slot = b.add_ptr(self.show)
        plain = b.add_func_proto(number)
        b.add_func_param("nothing", nothing)
        lax = b.add_ptr(plain)
        self.row = b.add_struct("row", 16)
        b.add_field("name", text, 0)
        b.add_field("show", slot, 64)
        self.table = b.add_array(number, self.row, 3)
        self.outer = b.add_struct("outer", 24)
        b.add_field("row", self.row, 0)
        b.add_field("count", long, 128)
        if "one row" in rivals:
            b.add_array(number, self.row, 1)
        if "lax" in rivals:
            b.add_struct("lax", 16)
            b.add_field("name", text, 0)
            b.add_field("call", lax, 64)
        if "same" in rivals:
            b.add_struct("same", 16)
            b.add_field("name", text, 0)
            b.add_field("call", slot, 64)
        if "flag" in rivals:
            b.add_struct("flag", 16)
            b.add_field("word", letters, 0)
            b.add_field("call", slot, 64)
        self.thing = thing
        if "things" in rivals:
            b.add_array(number, pointer, 4)
        if "one thing" in rivals:
            b.add_struct("holder", 32)
            b.add_field("thing", pointer, 0)
            b.add_field("left", text, 64)
        if "attribute" in rivals:
            self.attribute = b.add_struct("attribute", 16)
            b.add_field("name", text, 0)
            to = b.add_ptr(self.attribute)
            b.add_array(number, to, 3)
            b.add_struct("show_data", 32)
            b.add_field("attr", to, 0)
        self.btf: Btf = b.to_btf()

    # What Shapes asks of a Text.

    def names_at(self, address: int) -> tuple[str, ...]:
        return ("show",) if address == TEXT else ()

    def function_type(self, address: int, module: str) -> int | None:
        return self.show

    def shapes(self) -> Shapes:
        return Shapes(self.btf, self, range(TEXT, DATA + 4096))  # type: ignore[arg-type]


def _words(*words: int) -> bytes:
    return b"".join(word.to_bytes(8, "little") for word in words)


def _verdict(
    kernel: _Kernel, data: bytes, slack: int = 1, marks: tuple[Mark, ...] = ()
) -> str | None:
    shapes = kernel.shapes()
    functions: dict[int, tuple[Key, ...]] = shapes.functions(data, "")
    return shapes.of(marks, functions, Extent(len(data), slack), data)


def test_the_only_struct_that_can_hold_a_function_is_the_variables() -> None:
    assert _verdict(_Kernel(), _words(DATA, TEXT)) == "struct row"


def test_a_larger_struct_is_told_by_what_stands_behind() -> None:
    assert _verdict(_Kernel(), _words(DATA, TEXT, 5)) == "struct outer"
    # Padding, or the last member that is 0: nobody knows.
    assert _verdict(_Kernel(), _words(DATA, TEXT, 0), slack=32) is None


def test_a_table_has_the_length_that_the_btf_has_an_array_of() -> None:
    rows = (DATA, TEXT, DATA, TEXT, 0, 0)
    assert _verdict(_Kernel(), _words(*rows)) == "struct row [3]"
    assert _verdict(_Kernel(), _words(*rows[:4])) is None  # there is no struct row [2]


def test_of_two_structs_of_one_shape_none_is_taken() -> None:
    assert _verdict(_Kernel("same"), _words(DATA, TEXT)) is None


def test_a_function_that_had_to_be_cast_is_no_evidence() -> None:
    assert _verdict(_Kernel("lax"), _words(DATA, TEXT)) == "struct row"


def test_text_that_is_no_text_refutes_a_struct() -> None:
    assert _verdict(_Kernel("flag"), _words(DATA, TEXT)) == "struct row"
    assert _verdict(_Kernel("flag"), b"abcdefg\0" + _words(TEXT)) == "struct flag"


def test_what_the_code_says_narrows_it_down() -> None:
    kernel = _Kernel("same")
    mark = Mark(0, frozenset({int(kernel.row)}))
    assert _verdict(kernel, _words(DATA, TEXT), marks=(mark,)) == "struct row"


def _of_things(kernel: _Kernel, data: bytes, offset: int = 0) -> str | None:
    shapes = kernel.shapes()
    mark = Mark(offset, shapes.pointers_to(frozenset({int(kernel.thing)})))
    return shapes.of((mark,), {}, Extent(len(data)), data)


def test_a_table_of_pointers_is_told_by_one_of_them() -> None:
    things = _words(DATA, 0, DATA, 0)
    assert _of_things(_Kernel("things"), things) == "struct thing * [4]"
    assert _of_things(_Kernel("things"), things, 16) == "struct thing * [4]"
    assert _of_things(_Kernel("things"), things, 4) is None
    assert _of_things(_Kernel("things"), _words(DATA, 0)) is None  # there is no [2]
    assert _of_things(_Kernel("things"), _words(DATA, 0, 5, 0)) is None  # no pointer
    assert _of_things(_Kernel("things", "one thing"), _words(DATA, 0, 0, 0)) is None
    assert _of_things(_Kernel("things", "one thing"), things, 16) == "struct thing * [4]"


def test_a_list_of_pointers_is_a_table_and_ends_with_null() -> None:
    kernel = _Kernel("things", "one thing", "attribute")
    shapes = kernel.shapes()
    mark = Mark(0, shapes.pointers_to(frozenset({int(kernel.attribute)}), const=False))
    assert not shapes.pointers_to(frozenset({int(kernel.attribute)}), const=True)

    def verdict(*words: int) -> str | None:
        data = _words(*words)
        return shapes.of((mark,), {}, Extent(len(data), 32), data, is_list=True)

    assert verdict(DATA, DATA, 0, 0) == "struct attribute * [3]"
    assert verdict(DATA, DATA, DATA, 0) is None  # it would not end
    assert verdict(DATA, 5, 0, 0) is None


def test_data_where_a_function_should_be_refutes_every_struct() -> None:
    assert _verdict(_Kernel(), _words(TEXT, DATA)) is None


def test_enclosing_lists_every_type_that_has_one_at_an_offset() -> None:
    kernel = _Kernel()
    row = frozenset({int(kernel.row)})
    assert enclosing(kernel.btf, row, 0, 64) == row | {kernel.outer, kernel.table}
    assert enclosing(kernel.btf, row, 16, 64) == frozenset({int(kernel.table)})
    assert enclosing(kernel.btf, row, 0, 16) == row
    assert enclosing(kernel.btf, row, 4, 64) == frozenset()


@pytest.mark.parametrize("size", [0, 1 << 20])
def test_no_room_and_very_much_room_say_nothing(size: int) -> None:
    shapes = _Kernel().shapes()
    assert shapes.of((), {8: ()}, Extent(size), b"") is None


def test_arrays_that_btf_has() -> None:
    shapes = _Kernel().shapes()
    assert shapes.array_size("struct row", 3) == 48
    assert shapes.array_size("struct row", 4) is None
    assert shapes.array_size("struct thing", 3) is None
    assert not shapes.has_arrays_of_one("struct row")
    assert _Kernel("one row").shapes().has_arrays_of_one("struct row")
