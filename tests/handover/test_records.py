"""arm64's frame records as .debug_frame: what pyelftools makes of hand-made code."""

from __future__ import annotations

import io
import struct
from typing import Any

from elftools.dwarf.callframe import FDE
from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DwarfConfig, DWARFInfo

from btfdbg.handover.vmlinux.records import Records, Saved, head

START = 0xFFFF_8000_1000_0000
PACIASP, AUTIASP, RET, NOP, BL = 0xD503233F, 0xD50323BF, 0xD65F03C0, 0xD503201F, 0x94000000
STORE = 0xA9BE7BFD  # stp x29, x30, [sp, #-32]!
TO_FP = 0x910003FD  # mov x29, sp
LOAD = 0xA8C27BFD  # ldp x29, x30, [sp], #32
FRAMED = (PACIASP, STORE, TO_FP, BL, LOAD, AUTIASP, RET, BL)
# sub sp, sp, #0x60; stp x29, x30, [sp, #0x40]; add x29, sp, #0x40
LARGE = (0xD10183FF, 0xA9047BFD, 0x910103FD, BL, RET)
# Where pt_regs has x29, x30 and the place, behind the end of its record.
KEPT = Saved(-88, -80, -64)
# stp xzr, xzr, [sp, #304]; mov x0, #TYPE; str x0, [sp, #320]; add x29, sp, #304
ZEROS, META, TO_RECORD = 0xA9137FFF, 0xF900A3E0, 0x9104C3FD


def tables(*functions: tuple[int, ...], **how: Any) -> list[list[dict[Any, Any]]]:
    """The rows of each function, as pyelftools decodes them."""
    text, places = b"", []
    for words in functions:
        places.append((START + len(text), 4 * len(words)))
        text += struct.pack(f"<{len(words)}I", *words)
    made = Records(
        text, START, how.get("shift", 0), how.get("mask", 0), how.get("kept"), how.get("ends", ())
    )
    section = head() + made.entries(places)
    assert made.count == len(functions)
    names = [
        "debug_info_sec", "debug_abbrev_sec", "debug_str_sec",
        "debug_aranges_sec", "eh_frame_sec", "debug_loc_sec",
        "debug_ranges_sec", "debug_line_sec", "debug_pubtypes_sec", "debug_pubnames_sec",
        "debug_addr_sec", "debug_str_offsets_sec", "debug_line_str_sec", "debug_loclists_sec",
        "debug_rnglists_sec", "debug_sup_sec", "gnu_debugaltlink_sec", "debug_types_sec",
    ]  # fmt: skip
    info = DWARFInfo(
        config=DwarfConfig(True, "AArch64", 8),
        debug_frame_sec=DebugSectionDescriptor(
            io.BytesIO(section), ".debug_frame", None, len(section), 0
        ),
        **dict.fromkeys(names),
    )
    entries = [e for e in info.CFI_entries() if isinstance(e, FDE)]
    return [list(e.get_decoded().table) for e in entries]


def cfas(rows: list[dict[Any, Any]], start: int = START) -> list[tuple[int, int, int]]:
    return [((row["pc"] - start) // 4, row["cfa"].reg, row["cfa"].offset) for row in rows]


def test_a_record_holds_from_its_store_to_its_load() -> None:
    (rows,) = tables(FRAMED)
    assert cfas(rows) == [(0, 31, 0), (2, 31, 32), (3, 29, 32), (5, 31, 0), (7, 29, 32)]
    framed = rows[2]
    assert (framed[29].arg, framed[30].arg) == (-32, -24)
    # Before the store and after the load the caller is in x30.
    assert (rows[0][30].type, rows[3][30].type) == ("SAME_VALUE", "SAME_VALUE")


def test_a_record_in_the_midst_of_a_frame() -> None:
    (rows,) = tables(LARGE)
    assert cfas(rows) == [(0, 31, 0), (3, 29, 0x20)]
    assert rows[1][29].arg == -0x20


def test_a_function_that_calls_without_a_record_leaves_its_callers_in_x29() -> None:
    leaf, entry = tables((NOP, RET), (BL, RET))
    assert cfas(leaf) == [(0, 31, 0)]
    assert cfas(entry, START + 8) == [(0, 29, 16)]


def test_signed_addresses_are_computed_and_link_time_addresses_are_given() -> None:
    (rows,) = tables(FRAMED, mask=0xFFFF << 48, shift=0x1000_0000)
    assert rows[0]["pc"] == START - 0x1000_0000
    assert {row[30].type for row in rows} == {"VAL_EXPRESSION"}
    assert struct.pack("<Q", 0xFFFF << 48) == bytes(rows[2][30].arg)[-10:-2]


def test_where_an_exception_came_before_the_store_its_x30_is_read() -> None:
    with_, without = (tables(FRAMED, kept=kept)[0] for kept in (KEPT, None))
    assert with_[0][30].type == "VAL_EXPRESSION"
    assert struct.pack("<QBBBBBI", START, 0x1C, 0x12, 0x30, 0x2A, 0x16, 0)[:12] in bytes(
        with_[0][30].arg
    )
    assert without[0][30].type == "SAME_VALUE"
    assert cfas(with_) == cfas(without)


def test_a_stack_ends_where_an_exception_came_from_user_space() -> None:
    # Linux before v6.13 stores a record of the kernel's or zeros, later ones zeros and a type.
    own = 0xA9135BFD  # stp x29, x22, [sp, #304]
    final, registers = (0xD2800000 | kind << 5 for kind in (1, 2))
    (user,), (kernel,), (user_now,), (kernel_now,), (odd,) = tables(
        (ZEROS, TO_RECORD, BL),
        (own, TO_RECORD, BL),
        (ZEROS, final, META, TO_RECORD, BL),
        (ZEROS, registers, META, TO_RECORD, BL),
        (ZEROS, NOP, META, TO_RECORD, BL),
        kept=KEPT,
    )
    assert [rows[30].type for rows in (user, user_now)] == ["UNDEFINED", "UNDEFINED"]
    assert (kernel[29].arg, kernel[30].arg) == (-16, -8)
    # x29 leads to the record; the registers stand before its end.
    assert (kernel_now[29].arg, kernel_now[30].arg) == (KEPT.fp, KEPT.pc)
    assert (odd[29].arg, odd[30].arg) == (-16, -8)
    assert {rows["cfa"].offset for rows in (user, kernel, user_now, kernel_now)} == {16}


def test_a_stack_ends_where_a_task_begins() -> None:
    (rows,), (other,) = tables((BL, NOP), (BL, NOP), ends={START})
    assert rows[30].type == "UNDEFINED"
    assert other[30].type == "OFFSET"


def test_functions_where_a_stack_ends_can_be_left_out() -> None:
    text = struct.pack("<2I", BL, NOP)
    places = [(START, 8)]
    kept, left = (Records(text, START, 0, 0, None, {START}, omits_ends=o) for o in (False, True))
    assert kept.entries(places)
    assert left.entries(places) == b""


def test_code_that_was_given_back_left_its_record() -> None:
    (gone,) = tables((0, 0, 0))
    assert (gone[0]["cfa"].reg, gone[0][30].arg) == (29, -8)


def test_functions_outside_of_the_code_are_left_out() -> None:
    made = Records(struct.pack("<2I", NOP, RET), START, 0, 0)
    assert made.entries([(START - 8, 8), (START + 2, 4), (START + 4, 400)]) == b""
    assert made.count == 0
