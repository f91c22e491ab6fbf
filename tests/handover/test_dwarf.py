"""BTF becomes DWARF in which a reader finds the same types."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from elftools.dwarf.die import DIE
from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DwarfConfig, DWARFInfo

from btfdbg.btf import Btf
from btfdbg.btf.text import assemble
from btfdbg.handover.vmlinux import orc
from btfdbg.handover.vmlinux.dwarf import Function, Variable, Writer

TEXT = """\
[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED
[2] INT 'char' size=1 bits_offset=0 nr_bits=8 encoding=(none)
[3] PTR '(anon)' type_id=0
[4] STRUCT 'list' size=16 vlen=2
\t'next' type_id=5 bits_offset=0
\t'prev' type_id=5 bits_offset=64
[5] PTR '(anon)' type_id=4
[6] ARRAY '(anon)' type_id=2 index_type_id=1 nr_elems=16
[7] ARRAY '(anon)' type_id=2 index_type_id=1 nr_elems=0
[8] STRUCT 'mixed' size=40 vlen=4
\t'(anon)' type_id=9 bits_offset=0
\t'bit' type_id=1 bits_offset=67 bitfield_size=5
\t'name' type_id=6 bits_offset=96
\t'tail' type_id=7 bits_offset=320
[9] UNION '(anon)' size=8 vlen=2
\t'p' type_id=3 bits_offset=0
\t'e' type_id=10 bits_offset=0
[10] ENUM 'e' encoding=SIGNED size=4 vlen=2
\t'MINUS' val=-1
\t'ONE' val=1
[11] FWD 'later' fwd_kind=union
[12] CONST '(anon)' type_id=0
[13] PTR '(anon)' type_id=12
[14] TYPE_TAG 'user' type_id=4
[15] PTR '(anon)' type_id=14
[16] FUNC_PROTO '(anon)' ret_type_id=5 vlen=2
\t'a' type_id=15
\t'(anon)' type_id=0
[17] FUNC 'f' type_id=16 linkage=static
[18] TYPEDEF 'list_t' type_id=4
[19] ENUM64 'wide' encoding=UNSIGNED size=8 vlen=1
\t'BIG' val=18446744073709551615
[20] FUNC_PROTO '(anon)' ret_type_id=0 vlen=0
[21] STRUCT 'empty' size=0 vlen=0
[22] VOLATILE '(anon)' type_id=18
[23] FUNC 'g' type_id=20 linkage=global
"""


def read(btf: Btf, **what: Any) -> DWARFInfo:
    """What pyelftools makes of it."""
    made = Writer(btf, "test", (0x1000, 0x100)).write(
        what.get("functions", ()), what.get("variables", ()), what.get("constants", ())
    )
    little = btf.byteorder == "little"

    def section(name: str, data: bytes) -> DebugSectionDescriptor:
        return DebugSectionDescriptor(io.BytesIO(data), name, None, len(data), 0)

    names = [
        "debug_aranges_sec", "debug_frame_sec", "eh_frame_sec", "debug_loc_sec",
        "debug_ranges_sec", "debug_line_sec", "debug_pubtypes_sec", "debug_pubnames_sec",
        "debug_addr_sec", "debug_str_offsets_sec", "debug_line_str_sec", "debug_loclists_sec",
        "debug_rnglists_sec", "debug_sup_sec", "gnu_debugaltlink_sec", "debug_types_sec",
    ]  # fmt: skip
    return DWARFInfo(
        config=DwarfConfig(little, "x64", 8),
        debug_info_sec=section(".debug_info", bytes(made.info)),
        debug_abbrev_sec=section(".debug_abbrev", made.abbrev),
        debug_str_sec=section(".debug_str", bytes(made.strings)),
        **dict.fromkeys(names),
    )


def dies(info: DWARFInfo) -> list[DIE]:
    (unit,) = info.iter_CUs()
    return [die for die in unit.iter_DIEs() if die.tag]


def named(all_: list[DIE], name: str) -> DIE:
    inner = ("DW_TAG_member", "DW_TAG_enumerator", "DW_TAG_formal_parameter")
    (found,) = [d for d in all_ if d.tag not in inner and value(d, "DW_AT_name") == name.encode()]
    return found


def value(die: DIE, attribute: str) -> Any:
    found = die.attributes.get(attribute)
    return None if found is None else found.value


def target(die: DIE) -> DIE:
    return die.get_DIE_from_attribute("DW_AT_type")


@pytest.fixture(scope="module")
def all_() -> list[DIE]:
    btf = assemble.parse(TEXT)
    return dies(
        read(
            btf,
            functions=[
                Function(btf.find_str("f"), 16, 0x1010, 32, False),
                Function(btf.find_str("g"), 20, 0x1040, 8, True),
            ],
            variables=[Variable("head", 4, 0xFFFF000000001234, True), Variable("v", 22, 8, False)],
            constants=[("write_expire", 1250)],
        )
    )


def test_members_have_their_names_places_and_types(all_: list[DIE]) -> None:
    members = list(named(all_, "list").iter_children())
    assert [value(m, "DW_AT_name") for m in members] == [b"next", b"prev"]
    assert [value(m, "DW_AT_data_member_location") for m in members] == [0, 8]
    assert target(target(members[0])) == named(all_, "list")


def test_names_of_types_on_top_of_others_are_their_own() -> None:
    base = assemble.parse(TEXT)
    more = base.type_cnt
    top = assemble.parse(
        f"[{more}] STRUCT 'added' size=16 vlen=1\n\t'next' type_id=5 bits_offset=0\n", base
    )
    found = dies(read(top, variables=[Variable("v", more, 8, False)]))
    assert [value(m, "DW_AT_name") for m in named(found, "added").iter_children()] == [b"next"]
    assert target(named(found, "v")) == named(found, "added")
    assert [value(m, "DW_AT_name") for m in named(found, "list").iter_children()] == [
        b"next",
        b"prev",
    ]


def test_bit_fields_and_members_without_a_name(all_: list[DIE]) -> None:
    inner, bit, name, tail = named(all_, "mixed").iter_children()
    assert value(inner, "DW_AT_name") is None
    assert target(inner).tag == "DW_TAG_union_type"
    assert (value(bit, "DW_AT_bit_size"), value(bit, "DW_AT_data_bit_offset")) == (5, 67)
    assert value(name, "DW_AT_data_member_location") == 12
    (bound,) = target(name).iter_children()
    assert value(bound, "DW_AT_upper_bound") == 15
    (none,) = target(tail).iter_children()
    assert value(none, "DW_AT_upper_bound") is None


def test_enumerators_keep_their_sign_and_width(all_: list[DIE]) -> None:
    e = named(all_, "e")
    values = [value(v, "DW_AT_const_value") for v in e.iter_children()]
    assert [v - (v >> 63 << 64) for v in values] == [-1, 1]
    assert value(target(e), "DW_AT_name") == b"int"
    (big,) = named(all_, "wide").iter_children()
    assert value(big, "DW_AT_const_value") & (1 << 64) - 1 == (1 << 64) - 1


def test_void_tags_and_declarations(all_: list[DIE]) -> None:
    assert value(named(all_, "later"), "DW_AT_declaration")
    assert named(all_, "later").tag == "DW_TAG_union_type"
    pointers = [d for d in all_ if d.tag == "DW_TAG_pointer_type"]
    assert sum("DW_AT_type" not in p.attributes for p in pointers) == 1
    f = named(all_, "f")
    parameter, rest = f.iter_children()
    # A type tag is no type of DWARF: what it decorates stands in its place.
    assert target(target(parameter)) == named(all_, "list")
    assert rest.tag == "DW_TAG_unspecified_parameters"


def test_functions_and_variables_have_their_addresses(all_: list[DIE]) -> None:
    f, g = named(all_, "f"), named(all_, "g")
    assert (value(f, "DW_AT_low_pc"), value(f, "DW_AT_high_pc")) == (0x1010, 32)
    assert value(f, "DW_AT_external") is None
    assert value(g, "DW_AT_external")
    assert "DW_AT_type" not in g.attributes
    where = bytes(value(named(all_, "head"), "DW_AT_location"))
    assert where == b"\x03" + struct.pack("<Q", 0xFFFF000000001234)
    assert target(target(named(all_, "v"))) == named(all_, "list_t")
    assert value(named(all_, "write_expire"), "DW_AT_const_value") == 1250


def test_a_damaged_type_costs_itself_only() -> None:
    btf = assemble.parse("[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n")
    data = bytearray(btf.raw)
    # Its name lies outside of the strings, as does nothing else.
    data[btf.type_section_offset : btf.type_section_offset + 4] = b"\xff\xff\0\0"
    writer = Writer(Btf.parse(bytes(data)), "test", (0, 0))
    writer.write((), ())
    assert writer.lost == 1


# ORC.

CALL71 = struct.pack("<hhH", 16, -16, 3 | 8 << 4 | 2 << 8)  # the same since v7.1
CALL64 = struct.pack("<hhH", 16, -16, 5 | 1 << 4 | 2 << 8)  # sp+16, bp at cfa-16, call
CALL61 = struct.pack("<hhH", 16, -16, 5 | 1 << 4)


@pytest.mark.parametrize(
    ("entries", "layout"),
    [
        (CALL71 * 9 + struct.pack("<hhH", 16, 0, 5 | 2 << 8), 0),  # one counts from rdi
        (CALL64 * 9 + struct.pack("<hhH", 16, 0, 3 | 2 << 8), 1),
        (CALL61 * 9, 3),
        # Registers with the signal bit, which ended a stack before v6.3.
        (CALL61 * 9 + struct.pack("<hhH", 0, 0, 5 | 1 << 8 | 1 << 10), 2),
        (CALL61 * 9 + struct.pack("<hhH", 0, 0, 1 << 10), 3),
    ],
)
def test_orcs_layout_shows_in_its_entries(entries: bytes, layout: int) -> None:
    assert orc.layout_of(entries) == orc.LAYOUTS[layout]


def test_orc_that_is_no_orc_has_no_layout() -> None:
    assert orc.layout_of(b"") is None
    assert orc.layout_of(bytes(600)) is None


@pytest.mark.parametrize(
    ("layout", "call", "sp", "indirect"), [(0, CALL71, 3, 10), (1, CALL64, 5, 8)]
)
def test_frames_say_what_orc_says(layout: int, call: bytes, sp: int, indirect: int) -> None:
    from elftools.dwarf.callframe import FDE, CallFrameInfo
    from elftools.dwarf.structs import DWARFStructs

    undefined = struct.pack("<hhH", 0, 0, 0)
    end = struct.pack("<hhH", 0, 0, 1 << 8)
    regs = struct.pack("<hhH", 8, 0, sp | 3 << 8)
    # A function that aligns its stack: CFA at rbp - 8, the caller's rbp at rbp.
    aligned = struct.pack("<hhH", -8, 0, indirect | 4 << 4 | 2 << 8)
    entries = call + undefined + end + regs + aligned
    starts = [0x1000, 0x1010, 0x1100, 0x1200, 0x1280]
    section = orc.Frames(orc.LAYOUTS[layout]).section(starts, entries, 0x1300)
    info = CallFrameInfo(
        io.BytesIO(section), len(section), 0, DWARFStructs(True, 32, 8, 4), for_eh_frame=False
    )
    user, fde = [entry for entry in info.get_entries() if isinstance(entry, FDE)]
    # A stack that came from user space ends there.
    assert user["initial_location"] + user["address_range"] == 1 << 56
    assert [row[16].type for row in user.get_decoded().table] == ["UNDEFINED"]
    assert (fde["initial_location"], fde["address_range"]) == (0x1000, 0x300)
    rows = {row["pc"]: row for row in fde.get_decoded().table}
    assert (rows[0x1000]["cfa"].reg, rows[0x1000]["cfa"].offset) == (7, 16)
    assert (rows[0x1000][16].type, rows[0x1000][16].arg) == ("OFFSET", -8)
    assert (rows[0x1000][6].type, rows[0x1000][6].arg) == ("OFFSET", -16)
    assert (rows[0x1010]["cfa"].reg, rows[0x1010]["cfa"].offset) == (6, 16)
    assert rows[0x1100][16].type == "UNDEFINED"
    # struct pt_regs: ip at 128, sp at 152, bp at 32.
    assert rows[0x1200]["cfa"].offset == 8
    assert [rows[0x1200][r].arg for r in (16, 7, 6)] == [128, 152, 32]
    assert (rows[0x1280][6].type, bytes(rows[0x1280][6].arg)) == ("EXPRESSION", b"\x76\0")
    assert bytes(rows[0x1280]["cfa"].expr) == b"\x76\x78\x06"
