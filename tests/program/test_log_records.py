"""The log read in pieces is the log that drgn reads record by record."""

from __future__ import annotations

import struct
from pathlib import Path

import drgn
import pytest
from drgn.helpers.linux.printk import get_printk_records

import btfdbg
from btfdbg.program.log_records import PrintkRing, log_records
from btfdbg.vmcore.read_failures import unread
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo
from tests.program.damaged import Dump
from tests.repl.support import ARCHITECTURES, dump_path

BE32 = drgn.Platform(drgn.Architecture.PPC64, drgn.PlatformFlags(0))


@pytest.fixture(params=ARCHITECTURES)
def path(request: pytest.FixtureRequest) -> Path:
    return dump_path(request.param)


def test_records_are_those_of_drgns_helper(path: Path) -> None:
    prog = Dump(path).attach().prog
    theirs = [
        (
            record.timestamp,
            f"T{record.caller_tid}" if record.caller_cpu is None else f"C{record.caller_cpu}",
            record.text,
        )
        for record in get_printk_records(prog)
    ]
    assert list(log_records(prog)) == theirs


@pytest.mark.parametrize("array", ["descs", "infos"])
def test_a_lost_page_takes_its_records_and_no_others(path: Path, array: str) -> None:
    dump = Dump(path)
    ring = dump.twin.prog["prb"].desc_ring
    whole = list(log_records(dump.twin.prog))
    dump.lose(ring.member_(array).value_() + 4096, 512)
    prog = dump.attach().prog
    rest = list(log_records(prog))
    assert 0 < len(whole) - len(rest) < 30
    assert set(rest) < set(whole)
    assert rest == [record for record in whole if record in set(rest)]
    assert any("records of the log are missing" in remark for remark in unread(prog).remarks())


@pytest.mark.parametrize(("member", "value"), [("count_bits", 40), ("head_id", 1 << 40)])
def test_sizes_that_cannot_be_are_refused(path: Path, member: str, value: int) -> None:
    dump = Dump(path)
    ring = dump.twin.prog["prb"].desc_ring
    size = 4 if member == "count_bits" else 8
    dump.put(ring.member_(member).address_of_().value_(), value.to_bytes(size, "little"))
    with pytest.raises(ValueError, match="the log"):
        list(log_records(dump.attach().prog))


INFO = """\
SYMBOL(prb)=1000
OFFSET(printk_ringbuffer.desc_ring)=0
OFFSET(printk_ringbuffer.text_data_ring)=32
OFFSET(prb_desc_ring.count_bits)=0
OFFSET(prb_desc_ring.descs)=4
OFFSET(prb_desc_ring.infos)=8
OFFSET(prb_desc_ring.head_id)=12
OFFSET(prb_desc_ring.tail_id)=16
SIZE(prb_desc)=12
OFFSET(prb_desc.state_var)=0
OFFSET(prb_desc.text_blk_lpos)=4
OFFSET(prb_data_blk_lpos.begin)=0
OFFSET(prb_data_blk_lpos.next)=4
SIZE(printk_info)=24
OFFSET(printk_info.ts_nsec)=8
OFFSET(printk_info.text_len)=16
OFFSET(printk_info.caller_id)=20
OFFSET(prb_data_ring.size_bits)=0
OFFSET(prb_data_ring.data)=4
"""
RESERVED, COMMITTED, FINALIZED, REUSABLE = range(4)


def made(*records: tuple[int, int, int, bytes], text: bytes, info: str = INFO) -> PrintkRing:
    """A ring of 8 records and 64 bytes of text of a big-endian machine of 32 bits."""
    first = (1 << 30) - 2  # the numbers of records go around
    descs, infos = bytearray(8 * 12), bytearray(8 * 24)
    for i, (state, begin, end, line) in enumerate(records):
        number = (first + i) & (1 << 30) - 1
        at = number & 7
        struct.pack_into(">III", descs, at * 12, state << 30 | number, begin, end)
        caller = 0x80000003 if i % 2 else 40 + i
        struct.pack_into(">QQHHI", infos, at * 24, i, i * 1000, len(line), 0, caller)
    last = (first + len(records) - 1) & (1 << 30) - 1
    memory = bytearray(0x1000)
    struct.pack_into(">I", memory, 0, 0x1010)
    struct.pack_into(">IIIII", memory, 0x10, 3, 0x1100, 0x1200, last, first)
    struct.pack_into(">II", memory, 0x30, 6, 0x1800)
    memory[0x100:0x160], memory[0x200:0x2C0], memory[0x800:0x840] = descs, infos, text
    prog = drgn.Program(BE32)
    prog.add_memory_segment(0x1000, 0x1000, lambda a, n, o, physical: bytes(memory[o : o + n]))
    return PrintkRing(prog, VmcoreInfo.parse(info.encode()))


def test_a_wrapped_text_begins_behind_the_id_at_the_rings_start() -> None:
    ring = made(
        (FINALIZED, 40, 48, b"abcd"),
        (FINALIZED, 56, 64 + 12, b"wrapped!"),
        (COMMITTED, 64 + 12, 64 + 20, b"efg"),
        text=b"\0\0\0\1wrapped!" + b"\0\0\0\2efg." + b"?" * 20 + b"\0\0\0\0abcd" + b"?" * 16,
    )
    assert list(ring.records()) == [
        (0, "T40", b"abcd"),
        (1000, "C3", b"wrapped!"),
        (2000, "T42", b"efg"),
    ]


def test_empty_lines_are_lines_and_lost_or_unfinished_texts_are_not() -> None:
    ring = made(
        (FINALIZED, 3, 3, b""),
        (FINALIZED, 1, 1, b"lost"),
        (RESERVED, 0, 8, b"abcd"),
        (REUSABLE, 0, 8, b"abcd"),
        (FINALIZED, 0, 8, b"longer than its block"),
        text=b"\0\0\0\0abcd".ljust(64),
    )
    assert [line for _, _, line in ring.records()] == [b"", b"abcd"]


def test_offsets_outside_of_their_structures_are_not_followed() -> None:
    for line in INFO.splitlines()[1:]:
        for value in (-8, 20, 4090, 1 << 60):
            if line.startswith(("OFFSET(prb_desc.", "OFFSET(printk_info.")):
                info = INFO.replace(line, f"{line.partition('=')[0]}={value + 3}")
                with pytest.raises(LookupError):
                    made((FINALIZED, 0, 8, b"abcd"), text=b"." * 64, info=info)


def test_the_log_of_a_dumps_file_is_read_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prog = btfdbg.program_from_core_dump(path)
    next(log_records(prog))
    assert btfdbg.session(prog).log is None  # half of it is not all of it
    whole = list(log_records(prog))
    monkeypatch.setattr("btfdbg.program.log_records.PrintkRing", None)
    assert list(log_records(prog)) == whole


def test_what_is_missing_of_the_log_is_told_to_each_who_reads_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[object, ...]] = []
    monkeypatch.setattr("btfdbg.program.log_records.remark", lambda *words: told.append(words))
    dump = Dump(path)
    infos = dump.twin.prog["prb"].desc_ring.infos.value_()
    dump.lose(infos + 4096, 512)
    session = dump.attach()
    session.is_file = True
    for reading in (1, 2):
        list(log_records(session.prog))
        assert len(told) == reading
        assert session.log is None


def test_a_large_log_is_not_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("btfdbg.program.log_records._MAX_KEPT", 4096)
    prog = btfdbg.program_from_core_dump(path)
    assert list(log_records(prog)) == list(log_records(prog))
    assert btfdbg.session(prog).log is None
