"""Variables of a kernel whose kallsyms has only functions come from its export tables."""

from __future__ import annotations

import struct
from random import Random

import pytest

from btfdbg.kallsyms import CombinedTable, load
from btfdbg.kallsyms.addresses import Encoding

from .encoder import BASE, Image, Style, Symbol, make_image

TABLES = 0x60000
STRINGS = 0x90000
DATA = 0xC0000


def kernel(style: Style, *, width: int = 12, pointers: bool = False, wrong: str = "") -> Image:
    """Functions in kallsyms; functions and variables in two export tables."""
    functions: list[Symbol] = [(BASE, "T", "_stext")]
    functions += [(BASE + 0x100 + 16 * i, "T", f"function_{i:04}") for i in range(900)]
    functions += [(BASE + 0x8000, "T", "queue_work_on"), (BASE + 0x9000, "T", "_etext")]
    functions += [(BASE + 0xF0000, "T", "_einittext")]
    image = make_image(functions, style, at=0xA000)
    random = Random(3)
    exported = {name: address for address, _, name in random.sample(functions[1:901], 300)}
    exported["queue_work_on"] = BASE + 0x8000
    exported |= {f"variable_{i}": BASE + DATA + 64 * i for i in range(300)}
    exported["init_task"] = BASE + DATA + 0x8000
    if wrong == "all":
        exported = {name: address + 4 for name, address in exported.items()}
    elif wrong == "some":
        # Every third function is where kallsyms has the next one.
        for name in sorted(exported)[::3]:
            exported[name] += 16
    # The linker keeps one string for "a_name" and "name".
    strings = bytearray(b"\0")
    place: dict[str, int] = {}
    for name in sorted(exported):
        place[name] = len(strings) + 2
        strings += b"x_" + name.encode() + b"\0"
    image.poke(BASE + STRINGS, bytes(strings))
    order = "<" if style.byteorder == "little" else ">"
    names = sorted(exported)
    at = BASE + TABLES
    for table in (names[::2], names[1::2]):
        for name in table:
            target = BASE + STRINGS + place[name]
            if pointers:
                words = [exported[name], target, BASE + STRINGS][: width // 8]
                image.poke(at, struct.pack(f"{order}{width // 8}Q", *words))
            else:
                words = [exported[name] - at, target - at - 4, BASE + STRINGS - at - 8]
                image.poke(at, struct.pack(f"{order}{width // 4}i", *words[: width // 4]))
            at += width
    return image


@pytest.mark.parametrize(("width", "pointers"), [(12, False), (8, False), (24, True), (16, True)])
@pytest.mark.parametrize("order", ["little", "big"])
def test_exported_variables_are_found(width: int, pointers: bool, order: str) -> None:
    style = Style(Encoding.RELATIVE, byteorder="little" if order == "little" else "big")
    image = kernel(style, width=width, pointers=pointers)
    table = load(image.read, image.vmcoreinfo(), style.byteorder)
    assert isinstance(table, CombinedTable)
    (sym,) = table.by_name("init_task")
    assert (sym.address, sym.source, sym.size) == (BASE + DATA + 0x8000, "exports", 0)
    assert table.by_name("variable_299")[0].address == BASE + DATA + 64 * 299
    # Functions still come from kallsyms, with an extent.
    (function,) = table.by_name("function_0007")
    assert (function.source, function.size) == ("kallsyms", 16)
    assert table.by_name("no_such_symbol") == ()
    assert "602 of the kernel's export tables" in table.source
    assert table.problems == ()


def test_by_address_an_export_is_found_only_where_it_begins() -> None:
    image = kernel(Style(Encoding.RELATIVE))
    table = load(image.read, image.vmcoreinfo(), "little")
    sym = table.by_address(BASE + DATA + 0x8000)
    assert sym is not None
    assert sym.name == "init_task"
    assert table.by_address(BASE + DATA + 0x8001) is None
    inside = table.by_address(BASE + 0x105)
    assert inside is not None
    assert inside.name == "function_0000"


def test_each_name_is_listed_once_with_its_best_source() -> None:
    image = kernel(Style(Encoding.RELATIVE))
    table = load(image.read, image.vmcoreinfo(), "little")
    names = list(table.names())
    assert len(names) == len(set(names))
    sources = {sym.name: sym.source for sym in table}
    assert sources["queue_work_on"] == "kallsyms"
    assert sources["variable_3"] == "exports"


def test_vmcoreinfo_names_what_nobody_else_does() -> None:
    image = kernel(Style(Encoding.RELATIVE))
    info = image.vmcoreinfo(
        more=f"SYMBOL(log_buf)={BASE + 0xD0000:x}\nSYMBOL(mem_section)={BASE + 0xD0008:x}\n"
        "SYMBOL(far_away)=ffff888000000000\n"
    )
    table = load(image.read, info, "little")
    assert table.by_name("log_buf")[0].source == "VMCOREINFO"
    assert table.extent("log_buf") == 0
    # The kernel writes the value of these pointers, not where they are.
    assert table.by_name("mem_section") == ()
    assert table.by_name("far_away") == ()


@pytest.mark.parametrize("wrong", ["all", "some"])
def test_tables_whose_functions_are_elsewhere_are_not_believed(wrong: str) -> None:
    image = kernel(Style(Encoding.RELATIVE), wrong=wrong)
    table = load(image.read, image.vmcoreinfo(), "little")
    assert table.by_name("init_task") == ()
    assert any("export tables were not found" in problem for problem in table.problems)


def test_the_export_tables_are_not_searched_before_they_are_needed() -> None:
    image = kernel(Style(Encoding.RELATIVE))
    table = load(image.read, image.vmcoreinfo(), "little")
    before = image.bytes_read
    assert table.by_name("function_0007")
    assert image.bytes_read - before < 100_000
