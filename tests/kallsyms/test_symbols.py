"""drgn's side: a Program without a dump answers with our symbols."""

from __future__ import annotations

from random import Random

import drgn
import pytest
from drgn import Architecture, Platform, Program, Symbol, SymbolBinding, SymbolKind

from btfdbg.kallsyms import load
from btfdbg.kallsyms.symbols import binding_of, finder, kind_of

from .encoder import BASE, STYLES, Image, make_image, some_symbols


def program(image: Image) -> Program:
    prog = Program(Platform(Architecture.X86_64))

    def read(address: int, count: int, offset: int, physical: bool) -> bytes:
        try:
            return image.read(address, count)
        except ValueError:
            raise drgn.FaultError("lost", address) from None

    prog.add_memory_segment(image.base, len(image.data), read)
    table = load(prog.read, image.vmcoreinfo(), "little")
    prog.register_symbol_finder("btfdbg", finder(table), enable_index=0)
    return prog


@pytest.fixture(scope="module")
def image() -> Image:
    style = STYLES["6.12 x86"]
    return make_image(some_symbols(Random(11), 2000, style), style)


def test_a_program_finds_symbols_by_name_and_by_address(image: Image) -> None:
    prog = program(image)
    symbol = prog.symbol("_stext")
    assert symbol.address == BASE
    assert symbol.binding is SymbolBinding.GLOBAL
    assert symbol.kind is SymbolKind.FUNC
    assert prog.symbol(BASE).name == "_stext"
    assert prog.symbol(BASE + 2).name == "_stext" or symbol.size <= 2
    assert len(prog.symbols()) == 2000
    assert prog.symbols("_stext") == [symbol]
    assert prog.symbols(BASE) == [symbol]


def test_an_absent_name_or_address_is_a_lookup_error(image: Image) -> None:
    prog = program(image)
    for key in ("no_such_symbol", 0, 8, 4096, BASE - 1, (1 << 64) - 1):
        with pytest.raises(LookupError):
            prog.symbol(key)


def test_null_has_no_name_although_per_cpu_symbols_start_there(image: Image) -> None:
    prog = program(image)
    assert prog.symbol("percpu_1").address == 4096 + 64
    pointer = drgn.Object(prog, prog.pointer_type(prog.void_type()), 0)
    assert pointer.format_(symbolize=True) == "(void *)0x0"


def test_all_namesakes_are_found_and_a_global_one_is_preferred(image: Image) -> None:
    prog = program(image)
    names = [name for _, _, name in image.symbols]
    name = next(
        n
        for n in names
        if names.count(n) > 1
        and {letter.isupper() for _, letter, m in image.symbols if m == n} == {True}
    )
    assert len(prog.symbols(name)) == names.count(name)
    assert prog.symbol(name).binding in (SymbolBinding.GLOBAL, SymbolBinding.WEAK)


def test_lost_memory_while_looking_up_is_no_error() -> None:
    style = STYLES["6.12 x86"]
    image = make_image(some_symbols(Random(12), 9000, style), style)
    prog = program(image)
    image.lost = set(range(image.base >> 12, image.end >> 12))
    lost = 0
    for address, _, name in image.symbols[10::50]:
        for key in (address, name):
            try:
                assert prog.symbol(key).name
            except LookupError:
                lost += 1
    assert lost > 300


@pytest.mark.parametrize(
    ("letter", "binding", "kind"),
    [
        ("T", SymbolBinding.GLOBAL, SymbolKind.FUNC),
        ("t", SymbolBinding.UNKNOWN, SymbolKind.FUNC),
        ("D", SymbolBinding.GLOBAL, SymbolKind.OBJECT),
        ("b", SymbolBinding.UNKNOWN, SymbolKind.OBJECT),
        ("R", SymbolBinding.GLOBAL, SymbolKind.OBJECT),
        ("W", SymbolBinding.WEAK, SymbolKind.UNKNOWN),
        ("V", SymbolBinding.WEAK, SymbolKind.OBJECT),
        ("A", SymbolBinding.GLOBAL, SymbolKind.UNKNOWN),
        ("u", SymbolBinding.UNIQUE, SymbolKind.UNKNOWN),
        ("?", SymbolBinding.UNKNOWN, SymbolKind.UNKNOWN),
    ],
)
def test_letters_mean_what_drgn_makes_of_them(
    letter: str, binding: SymbolBinding, kind: SymbolKind
) -> None:
    assert binding_of(letter) is binding
    assert kind_of(letter) is kind


def test_a_finder_can_be_asked_for_a_name_at_an_address(image: Image) -> None:
    prog = program(image)
    table = load(image.read, image.vmcoreinfo(), "little")
    find = finder(table)
    assert [s.name for s in find(prog, "_stext", BASE, False)] == ["_stext"]
    assert find(prog, "_stext", BASE + 500000, False) == []
    found: list[Symbol] = find(prog, None, BASE, True)
    assert [s.name for s in found] == ["_stext"]
