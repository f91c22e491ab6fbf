"""Tables written in every layout read back as the symbols they were made of."""

from __future__ import annotations

import sys
from collections import defaultdict
from random import Random
from types import FrameType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from btfdbg.kallsyms import KallsymsTable, load
from btfdbg.kallsyms.addresses import Encoding
from btfdbg.kallsyms.model import END_MARKERS
from btfdbg.kallsyms.names import BLOCK
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

from .encoder import BASE, STYLES, Image, Style, Symbol, make_image, some_symbols


def loaded(image: Image, *, pointers: bool = True) -> KallsymsTable:
    info = VmcoreInfo.parse(image.vmcoreinfo(pointers=pointers))
    table = load(image.read, info, image.style.byteorder, ranges=[(image.base, image.end)])
    assert isinstance(table, KallsymsTable)
    return table


def expected_by_name(symbols: list[Symbol]) -> dict[str, list[tuple[int, str]]]:
    names: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for address, letter, name in symbols:
        names[name].append((address, letter))
    return names


def check(image: Image, table: KallsymsTable, random: Random) -> None:
    symbols = image.symbols
    assert table.count == len(symbols)
    assert [(s.address, s.type_letter, s.name) for s in table] == symbols
    assert list(table.names()) == [name for _, _, name in symbols]
    names = expected_by_name(symbols)
    for name in random.sample(sorted(names), min(40, len(names))):
        found = [(s.address, s.type_letter) for s in table.by_name(name)]
        assert found == names[name]
    for name in ("", "no_such_symbol", "_", "a" * 3000, "\N{SNOWMAN}", "init_uts_ns\0"):
        assert table.by_name(name) == ()
    # By address: the first of those that begin last, if it does not end before.
    real = [s for s in symbols if s[0] >= BASE]
    starts = sorted({s[0] for s in real})
    probes = [random.randrange(BASE - 100, BASE + 30000) for _ in range(40)]
    for address in [*probes, *(s[0] for s in random.sample(real, min(20, len(real))))]:
        sym = table.by_address(address)
        below = [start for start in starts if start <= address]
        if not below:
            assert sym is None
            continue
        here = [s[2] for s in real if s[0] == below[-1]]
        after = next((start for start in starts if start > address), None)
        if set(here) <= END_MARKERS or after is None:
            assert sym is None or sym.address == address
            continue
        assert sym is not None
        assert sym.name == next(name for name in here if name not in END_MARKERS)
        assert sym.address == below[-1]
        assert sym.size == after - below[-1]


@pytest.mark.parametrize("kind", STYLES)
@pytest.mark.parametrize("pointers", [True, False], ids=["VMCOREINFO", "search"])
def test_every_layout_reads_back(kind: str, pointers: bool) -> None:
    random = Random(kind)
    style = STYLES[kind]
    image = make_image(some_symbols(random, 1500, style), style)
    table = loaded(image, pointers=pointers)
    assert table.layout.encoding is style.encoding
    assert table.layout.addresses == image.where.get(
        "kallsyms_offsets", image.where.get("kallsyms_addresses")
    )
    assert table.layout.seqs == image.where.get("kallsyms_seqs_of_names")
    assert (table.source == "VMCOREINFO") == pointers
    check(image, table, random)
    assert table.problems == ()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from(sorted(STYLES)),
    seed=st.integers(0, 1 << 32),
    count=st.integers(3, 1100),
    at=st.integers(1, 40).map(lambda n: 0x1000 + 4 * n * 2),
)
def test_symbols_to_tables_to_symbols_is_the_identity(
    kind: str, seed: int, count: int, at: int
) -> None:
    random = Random(seed)
    style = STYLES[kind]
    if style.long_words and BLOCK < count <= 2 * BLOCK:
        # Two markers of 8 bytes, the first 0: where the padding before them ends
        # cannot be told. A kernel has hundreds.
        count += BLOCK
    image = make_image(some_symbols(random, count, style), style, at=at)
    # Less than two blocks of names are too little to be recognised by their looks.
    for pointers in (True, False) if count > 600 else (True,):
        check(image, loaded(image, pointers=pointers), random)


def test_one_symbol_is_a_table() -> None:
    style = Style(Encoding.RELATIVE)
    image = make_image([(BASE, "D", "_stext")], style)
    assert [s.name for s in loaded(image)] == ["_stext"]


def test_the_first_name_reads_a_small_part_of_the_tables() -> None:
    style = STYLES["6.12 x86"]
    image = make_image(some_symbols(Random(1), 20000, style), style)
    table = loaded(image)
    (sym,) = table.by_name("init_uts_ns")
    assert sym.type_letter == "D"
    total = image.where["kallsyms_seqs_of_names"] - image.where["kallsyms_num_syms"] + 60000
    assert image.bytes_read < total / 2


def test_an_index_for_lto_finds_names_with_dots_and_without() -> None:
    style = STYLES["6.6 LTO"]
    symbols = some_symbols(Random(5), 1000, style)
    symbols[100:102] = [(symbols[100][0], "t", "dup.llvm.77"), (symbols[101][0], "t", "dup")]
    table = loaded(make_image(symbols, style))
    assert [s.name for s in table.by_name("dup.llvm.77")] == ["dup.llvm.77"]
    assert [s.name for s in table.by_name("dup")] == ["dup"]
    assert table.by_name("dup.llvm") == ()


def test_extents_reach_to_the_next_other_address_however_far() -> None:
    symbols = [
        (BASE, "T", "_stext"),
        (BASE + 0x100, "D", "__per_cpu_offset"),
        (BASE + 0x100, "D", "alias_of_it"),
        (BASE + 0x100 + 8 * 8192, "D", "init_uts_ns"),
        (BASE + 0x80000, "T", "_etext"),
        (BASE + 0x90000, "B", "something"),
        (BASE + 0x100000, "B", "_end"),
    ]
    table = loaded(make_image(symbols, Style(Encoding.RELATIVE)))
    assert table.extent("__per_cpu_offset") == 65536
    assert table.extent("alias_of_it") == 65536
    assert table.extent(table.by_name("_stext")[0]) == 0x100
    assert table.extent("_etext") == 0
    assert table.extent("_end") == 0
    assert table.extent("nothing") == 0
    first = table.by_address(BASE + 0x100 + 5)
    assert first is not None
    assert first.name == "__per_cpu_offset"
    # Nothing begins at _etext, so what follows is nobody's.
    assert table.by_address(BASE + 0x80001) is None
    end_of_text = table.by_address(BASE + 0x80000)
    assert end_of_text is not None
    assert end_of_text.name == "_etext"
    assert table.by_address(BASE + 0x100001) is None
    assert table.by_address(1 << 64) is None
    assert table.by_address(-1) is None


@pytest.mark.parametrize("kind", ["6.12 x86", "5.10 x86", "5.4 absolute"])
def test_absolute_per_cpu_symbols_are_found_by_name_and_never_by_address(kind: str) -> None:
    style = STYLES[kind]
    table = loaded(make_image(some_symbols(Random(3), 700, style), style))
    (sym,) = table.by_name("percpu_2")
    assert sym.address == 4096 + 128
    assert sym.percpu
    assert not table.by_name("init_uts_ns")[0].percpu
    assert not table.by_name("__per_cpu_end")[0].percpu
    for address in (0, 1, 4096, 4096 + 128, 8192, 8193, 1 << 40):
        assert table.by_address(address) is None


def test_per_cpu_symbols_inside_the_image_are_marked_and_have_addresses() -> None:
    symbols = some_symbols(Random(3), 700, Style(Encoding.PLACE))
    start, middle, end = (symbols[i][0] for i in (300, 310, 320))
    symbols.append((start, "D", "__per_cpu_start"))
    symbols.append((middle, "D", "runqueues"))
    symbols.append((end, "D", "__per_cpu_end"))
    symbols.sort(key=lambda s: s[0])
    table = loaded(make_image(symbols, STYLES["7.0"]))
    assert table.by_name("runqueues")[0].percpu
    assert not table.by_name("__per_cpu_end")[0].percpu
    assert table.by_address(middle) is not None


def test_data_that_nm_calls_text_is_called_data() -> None:
    symbols = some_symbols(Random(4), 900, Style(Encoding.PLACE))
    symbols = [(a, "T" if letter in "Dd" else letter, n) for a, letter, n in symbols]
    low, high = symbols[400][0], symbols[600][0] + 1
    symbols.append((low, "T", "_sdata"))
    symbols.append((low, "T", "init_task"))
    symbols.append((high, "T", "_edata"))
    symbols.sort(key=lambda s: s[0])
    table = loaded(make_image(symbols, STYLES["7.0"]))
    assert table.by_name("init_task")[0].type_letter == "D"
    assert table.by_name("_stext")[0].type_letter == "T"


# Ends of sections are in such a table as well (scripts/kallsyms.c, symbol_valid()).
SECTIONS = (("R", "__start_BTF"), ("R", "__stop_BTF"), ("B", "__start_bss_decrypted"))


@pytest.mark.parametrize("last", [(), SECTIONS, (("W", "arch_function"), *SECTIONS)])
def test_functions_only_is_noticed(last: tuple[tuple[str, str], ...]) -> None:
    symbols = [(BASE + 16 * i, "T", f"function_{i}") for i in range(300)]
    symbols[0] = (BASE, "T", "_stext")
    symbols += [(BASE + 0x10000 + 16 * i, *symbol) for i, symbol in enumerate(last)]
    info = make_image(symbols, Style(Encoding.RELATIVE))
    table = load(info.read, info.vmcoreinfo(), "little")
    assert "functions only" in table.source
    assert table.by_name("function_7")[0].address == BASE + 16 * 7
    assert loaded(make_image(some_symbols(Random(1), 300, Style()), Style())).has_data


def test_an_address_of_thousands_of_symbols_costs_no_more_than_their_number() -> None:
    count = 4000
    symbols = [
        (BASE, "T", "_stext"),
        *((BASE + 0x100, "r", f"__kstrtabns_{number:05}") for number in range(count)),
        (BASE + 0x180, "D", "init_uts_ns"),
        (BASE + 0x100000, "B", "_end"),
    ]
    table = loaded(make_image(symbols, STYLES["5.10 x86"]))
    steps = 0

    def count_steps(frame: FrameType, event: str, argument: object) -> None:
        nonlocal steps
        steps += 1

    sys.setprofile(count_steps)
    try:
        found = [table.by_address(BASE + 0x100 + at) for at in range(0, 0x80, 8)]
        named = table.by_name("__kstrtabns_00007")
    finally:
        sys.setprofile(None)
    assert [sym.name for sym in found if sym is not None] == ["__kstrtabns_00000"] * 16
    assert [sym.size for sym in named] == [0x80]
    # A step for each pair of them would be millions.
    assert steps < 10 * count
