"""Tables are believed only on evidence, and damage costs no more than itself."""

from __future__ import annotations

import struct
import time
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from btfdbg.errors import DebugInfoError
from btfdbg.kallsyms import KallsymsTable, load
from btfdbg.kallsyms.addresses import Encoding
from btfdbg.kallsyms.find_kallsyms import by_scan, image_ranges
from btfdbg.kallsyms.scan import token_tables
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

from .encoder import BASE, STYLES, Image, Style, make_image, some_symbols

MODERN = STYLES["6.12 x86"]
OLD = STYLES["5.10 x86"]


def image_of(style: Style, seed: int = 1, count: int = 3000) -> Image:
    return make_image(some_symbols(Random(seed), count, style), style)


def searched(image: Image, info: bytes | None = None) -> KallsymsTable:
    parsed = VmcoreInfo.parse(image.vmcoreinfo(pointers=False) if info is None else info)
    return by_scan(image.read, [(image.base, image.end)], parsed)


def page(address: int) -> int:
    return address >> 12


def test_the_search_reads_memory_once() -> None:
    image = image_of(OLD)
    searched(image)
    assert image.bytes_read < 4 * len(image.data)


def test_the_search_tells_how_far_it_is() -> None:
    image = image_of(OLD)
    seen: list[int] = []
    with pytest.raises(DebugInfoError):
        by_scan(image.read, [(image.base, image.base + 0x3000)], progress=seen.append)
    assert seen == [0x3000]


def test_unreadable_pages_around_the_tables_do_not_matter() -> None:
    image = image_of(OLD)
    first = page(min(image.where.values()))
    last = page(image.where["kallsyms_token_index"] + 512)
    every = range(page(image.base), page(image.end))
    image.lost = {number for number in every if not first <= number <= last}
    assert searched(image).count == 3000


def test_without_evidence_the_only_tables_are_taken() -> None:
    image = image_of(MODERN)
    assert by_scan(image.read, [(image.base, image.end)]).by_name("init_uts_ns")


@pytest.mark.parametrize("kind", ["5.10 x86", "6.12 arm64", "7.0", "7.0 s390x"])
def test_physical_memory_can_be_searched_before_there_are_page_tables(kind: str) -> None:
    style = STYLES[kind]
    image = image_of(style)
    start = 0x40000000 - BASE

    def read(address: int, size: int) -> bytes:
        return image.read(address - start, size)

    info = VmcoreInfo.parse(image.vmcoreinfo(pointers=False))
    ranges = [(image.base + start, image.end + start)]
    table = by_scan(read, ranges, info, physical=True)
    assert [(s.address, s.name) for s in table] == [(a, name) for a, _, name in image.symbols]
    if style.encoding is Encoding.PLACE:
        with pytest.raises(DebugInfoError):
            by_scan(read, ranges, info)


def two_kernels(other_seed: int) -> tuple[Image, Image]:
    """One kernel's image, and it again with the tables of another in its free memory."""
    image = image_of(MODERN, 1)
    other = image_of(MODERN, other_seed)
    both = image_of(MODERN, 1)
    start = min(other.where.values()) - other.base
    size = 0x20000
    both.poke(both.base + 0x80000, bytes(other.data[start : start + size]))
    return image, both


def test_a_decoy_is_refused_by_what_vmcoreinfo_says() -> None:
    # Its symbols are a few bytes off: everything looks right but _stext.
    image, both = two_kernels(2)
    decoy = both.base + 0x80000 + image.where["kallsyms_offsets"] - min(image.where.values())
    stext = 8  # the per-CPU symbols stand before it
    other = image_of(MODERN, 2)
    off = other.where["kallsyms_offsets"] - min(other.where.values()) + 0x80000 + both.base
    both.poke(off + 4 * stext, struct.pack("<i", -1 - 4))
    assert decoy
    table = searched(both)
    assert table.layout.token_table == both.where["kallsyms_token_table"]
    assert table.count == image.symbols.__len__()


def test_a_decoy_in_front_of_the_real_tables_does_not_win() -> None:
    image = make_image(some_symbols(Random(1), 3000, MODERN), MODERN, at=0x60000)
    other = image_of(MODERN, 2)
    start = min(other.where.values()) - other.base
    image.poke(image.base + 0x8000, bytes(other.data[start : start + 0x20000]))
    # The decoy belongs to a kernel at another place.
    place = other.where["kallsyms_relative_base"] - other.base - start + image.base + 0x8000
    image.poke(place, struct.pack("<Q", BASE + (64 << 20)))
    assert searched(image).layout.token_table == image.where["kallsyms_token_table"]
    # Nor without VMCOREINFO: it does not lie in the image that it describes.
    table = by_scan(image.read, [(image.base, image.end)])
    assert table.layout.token_table == image.where["kallsyms_token_table"]


def test_two_equal_candidates_are_refused_with_both_places() -> None:
    _, both = two_kernels(1)
    with pytest.raises(DebugInfoError) as error:
        by_scan(both.read, [(both.base, both.end)])
    assert "2 kallsyms tables" in str(error.value)
    assert f"0x{both.where['kallsyms_token_table']:x}" in str(error.value)
    assert error.value.step == "kallsyms"
    assert "--kallsyms" in error.value.hint


def test_tables_of_another_kernel_are_refused() -> None:
    image = image_of(OLD)
    info = f"SYMBOL(_stext)={BASE + 0x1000:x}\n".encode()
    with pytest.raises(DebugInfoError, match="1 kallsyms token tables, none"):
        searched(image, info)


def test_vmcoreinfo_that_points_elsewhere_leads_to_a_search() -> None:
    image = image_of(MODERN)
    wrong = image.vmcoreinfo().replace(
        f"SYMBOL(kallsyms_num_syms)={image.where['kallsyms_num_syms']:x}".encode(),
        f"SYMBOL(kallsyms_num_syms)={image.where['kallsyms_names']:x}".encode(),
    )
    table = load(image.read, wrong, "little", ranges=[(image.base, image.end)])
    assert table.source.startswith("found in memory")
    assert table.by_name("init_uts_ns")


def test_pointers_to_tables_that_contradict_vmcoreinfo_are_not_believed() -> None:
    image = image_of(MODERN)
    info = image.vmcoreinfo().replace(b"SYMBOL(_stext)=f", b"SYMBOL(_stext)=e")
    with pytest.raises(DebugInfoError) as error:
        load(image.read, info, "little", ranges=[(image.base, image.end)])
    assert "no SYMBOL() of VMCOREINFO" in str(error.value)


def test_markers_are_counted_out_where_they_are_not_in_their_place() -> None:
    image = image_of(Style(MODERN.encoding, seqs="none"))
    image.poke(image.where["kallsyms_markers"], b"\xff" * 8)
    table = load(image.read, image.vmcoreinfo(), "little")
    assert isinstance(table, KallsymsTable)
    assert [name for _, _, name in image.symbols] == list(table.names())


def test_no_tables_is_one_clear_error() -> None:
    data = bytes(1 << 16)

    def read(address: int, size: int) -> bytes:
        if address >= BASE and address + size <= BASE + len(data):
            return data[:size]
        raise ValueError

    with pytest.raises(DebugInfoError) as error:
        load(read, f"SYMBOL(_stext)={BASE:x}\n".encode(), "little", ranges=[(BASE, BASE + 65536)])
    assert "VMCOREINFO does not say" in str(error.value)
    assert "found no kallsyms tables" in str(error.value)
    assert error.value.hint


def test_ranges_come_from_vmcoreinfo() -> None:
    (found,) = image_ranges(VmcoreInfo.parse(b"SYMBOL(_stext)=ffffffff81000123\n"))
    assert found == (0xFFFFFFFF81000000, 0xFFFFFFFF81000000 + (512 << 20))
    (found,) = image_ranges(VmcoreInfo.parse(b"SYMBOL(swapper_pg_dir)=100000\n"))
    assert found[0] == 0
    assert image_ranges(VmcoreInfo.parse(b"")) == []
    (found,) = image_ranges(VmcoreInfo.parse(b"SYMBOL(_stext)=ffffffffff000000\n"))
    assert found[1] == 1 << 64


def test_a_token_table_across_two_chunks_is_found() -> None:
    for shift in (0, 8, 12, 20):
        style = Style(MODERN.encoding, unit=4)
        symbols = some_symbols(Random(2), 600, style)
        probe = make_image(symbols, style)
        digit = probe.data.find(b"0\x001\x002\x003\x00", probe.where["kallsyms_token_table"] - BASE)
        base = BASE + (1 << 20) - digit - shift + (digit & 3)
        image = make_image(
            [(a if a < 1 << 31 else a - BASE + base, letter, n) for a, letter, n in symbols],
            style,
            base=base,
        )
        (table,) = token_tables(image.read, [(image.base, image.end)])
        assert table.start == image.where["kallsyms_token_table"]


def broken_token_tables() -> dict[str, tuple[str, int, bytes]]:
    return {
        "no end": ("kallsyms_token_table", 0, b"a" * 3000),
        "not printable": ("kallsyms_token_table", 0, b"\x01"),
        "index wrong": ("kallsyms_token_index", 64, b"\xff\xff"),
        "index not from 0": ("kallsyms_token_index", 0, b"\x01\x00"),
    }


@pytest.mark.parametrize("what", broken_token_tables())
@pytest.mark.parametrize("pointers", [True, False])
def test_a_corrupt_token_table_is_not_believed(what: str, pointers: bool) -> None:
    image = image_of(MODERN)
    name, offset, data = broken_token_tables()[what]
    image.poke(image.where[name] + offset, data)
    with pytest.raises(DebugInfoError):
        load(
            image.read,
            image.vmcoreinfo(pointers=pointers),
            "little",
            ranges=[(image.base, image.end)],
        )


@pytest.mark.parametrize("count", [0, 1 << 23, 0xFFFFFFFF])
def test_an_impossible_count_is_not_believed(count: int) -> None:
    image = image_of(MODERN)
    image.poke(image.where["kallsyms_num_syms"], struct.pack("<I", count))
    with pytest.raises(DebugInfoError, match="not a number of symbols"):
        load(image.read, image.vmcoreinfo(), "little", ranges=[(image.base, image.end)])


def test_a_lost_page_of_names_loses_its_names_only() -> None:
    image = image_of(OLD, count=3000)
    start = image.where["kallsyms_names"]
    middle = page(start + (image.where["kallsyms_markers"] - start) // 2)
    table = searched(image)
    image.lost = {middle}
    names = [sym.name for sym in table]
    wanted = [name for _, _, name in image.symbols]
    assert 1000 < len(names) < 3000
    assert set(names) <= set(wanted)
    assert table.by_name(wanted[10])
    assert table.by_name("_end")
    (problem,) = table.problems
    assert "blocks of 256 names" in problem


def test_zeroed_names_are_not_read_as_names() -> None:
    image = image_of(MODERN)
    table = load(image.read, image.vmcoreinfo(), "little")
    image.poke(image.where["kallsyms_names"] + 4000, bytes(4096))
    found = [sym for sym in table if not sym.name]
    assert found == []
    assert table.problems
    for _, _, name in image.symbols[::97]:
        for sym in table.by_name(name):
            assert (sym.address, sym.type_letter, sym.name) in image.symbols


@pytest.mark.parametrize("damage", ["lost", "zeroed", "noise"])
@pytest.mark.parametrize("kind", ["6.12 x86", "6.12 arm64", "7.0", "6.4 absolute, big-endian"])
def test_a_damaged_page_of_addresses_gives_no_wrong_address(kind: str, damage: str) -> None:
    style = STYLES[kind]
    image = image_of(style, count=6000)
    start = image.where.get("kallsyms_offsets", image.where.get("kallsyms_addresses", 0))
    table = load(image.read, image.vmcoreinfo(), style.byteorder)
    middle = start + 2500 * style.encoding.width
    if damage == "lost":
        image.lost = {page(middle)}
    elif damage == "zeroed":
        image.poke(middle & ~0xFFF, bytes(4096))
    else:
        image.poke(middle & ~0xFFF, Random(7).randbytes(4096))
    right = {(address, name) for address, _, name in image.symbols}
    got = 0
    for _, _, name in image.symbols[::7]:
        for sym in table.by_name(name):
            assert (sym.address, sym.name) in right
            got += 1
    assert got > 300
    for address, _, _ in image.symbols[20::13]:
        sym2 = table.by_address(address)
        assert sym2 is None or (sym2.address, sym2.name) in right
    assert any("addresses" in problem for problem in table.problems)


@pytest.mark.parametrize("copied", [1, 4])
def test_a_page_of_addresses_that_stands_in_for_another_is_not_believed(copied: int) -> None:
    # It ascends by itself; only its neighbours say that it belongs elsewhere.
    image = image_of(STYLES["6.12 arm64"], count=6000)
    start = image.where["kallsyms_offsets"] - image.base
    size = 4 * 1024
    wrong = bytes(image.data[start + copied * size : start + (copied + 1) * size])
    image.poke(image.base + start + 3 * size, wrong)
    table = load(image.read, image.vmcoreinfo(), "little")
    # Only names of that page: a look at its neighbours would notice it too.
    names = [name for _, _, name in image.symbols]
    right = {name: address for address, _, name in image.symbols}
    asked = [name for name in names[3200:3900] if names.count(name) == 1]
    assert len(asked) > 50
    for name in asked:
        for sym in table.by_name(name):
            assert sym.address == right[name]
    assert any("addresses" in problem for problem in table.problems)


@pytest.mark.parametrize("damage", ["lost", "zeroed", "noise"])
def test_a_damaged_index_by_name_is_not_asked(damage: str) -> None:
    image = image_of(MODERN, count=9000)
    table = load(image.read, image.vmcoreinfo(), "little")
    place = image.where["kallsyms_seqs_of_names"] + 9000
    if damage == "lost":
        image.lost = {page(place), page(place) + 1}
    elif damage == "zeroed":
        image.poke(place, bytes(9000))
    else:
        image.poke(place, Random(7).randbytes(9000))
    for address, letter, name in image.symbols[::101]:
        assert (address, letter) in [(s.address, s.type_letter) for s in table.by_name(name)]


def test_markers_that_go_down_are_not_believed() -> None:
    image = image_of(OLD)
    image.poke(image.where["kallsyms_markers"] + 16, struct.pack("<I", 3))
    with pytest.raises(DebugInfoError):
        searched(image)


def test_names_cut_off_are_not_believed() -> None:
    image = image_of(OLD)
    # The last block lost its end, the markers moved up to it.
    image.poke(image.where["kallsyms_markers"] - 40, bytes(40))
    with pytest.raises(DebugInfoError):
        searched(image)


def test_memory_full_of_look_alikes_does_not_hold_the_search_up() -> None:
    chunk = b"".join(b"%d\0" % digit for digit in range(10)) + bytes(12)
    data = chunk * (1 << 15)

    def read(address: int, size: int) -> bytes:
        if address < BASE or address + size > BASE + len(data):
            raise ValueError
        return data[address - BASE : address - BASE + size]

    start = time.process_time()
    with pytest.raises(DebugInfoError):
        by_scan(read, [(BASE, BASE + len(data))])
    assert time.process_time() - start < 10


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from(["6.12 x86", "5.10 arm64", "6.2", "7.0", "6.3 absolute", "long names"]),
    seed=st.integers(0, 1 << 32),
    pointers=st.booleans(),
)
def test_any_damage_gives_answers_or_one_kind_of_error(
    kind: str, seed: int, pointers: bool
) -> None:
    random = Random(seed)
    style = STYLES[kind]
    image = IMAGES.setdefault(kind, image_of(style, count=1200))
    image = Image(image.base, bytearray(image.data), style, image.symbols, image.where)
    low = min(image.where.values())
    high = max(image.where.values()) + 4000
    for _ in range(random.randint(1, 4)):
        place = random.randrange(low, high)
        size = random.choice([1, 2, 4, 8, 64, 4096])
        noise = random.choice([bytes(size), b"\xff" * size, random.randbytes(size)])
        image.poke(place, noise)
    try:
        table = load(
            image.read,
            image.vmcoreinfo(pointers=pointers),
            style.byteorder,
            ranges=[(image.base, image.end)],
        )
    except DebugInfoError:
        return
    for _ in range(10):
        address, _, name = random.choice(image.symbols)
        table.by_name(name)
        table.by_address(address + random.randrange(5))
        table.by_name(name + "x")
    for sym in table:
        assert len(sym.name) < 1 << 20


IMAGES: dict[str, Image] = {}
