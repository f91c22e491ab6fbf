"""The kernel log's records, read in a few large pieces.

Owns the way from VMCOREINFO's offsets to the records of the lockless ring: what the kernel
exports for makedumpfile is enough, and no type or variable has to be found. A kernel without
them (before 5.10), or a Program that we did not open, goes through drgn's helper.

``python -m tests.bench session`` shows the saving at the first prompt: 40 ms of CPU the first
time, 10 ms each other time (drgn reads an Object per field of each record).

Facts: ``kernel/printk/printk_ringbuffer.c`` (get_data(): a block that wraps starts again at
the ring's start, with its id; desc_read(): states), ``printk_ringbuffer.h`` (DESC_SV_BITS,
NO_LPOS, EMPTY_LINE_LPOS), ``kernel/printk/printk.c`` (log_buf_vmcoreinfo_setup(),
printk_caller_id(): the top bit marks a CPU).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import drgn

from btfdbg.program.session import find_session
from btfdbg.program.walks import remark
from btfdbg.vmcore.platforms import order_of

if TYPE_CHECKING:
    from drgn.helpers.linux.printk import PrintkRecord

    from btfdbg.program.session import Session
    from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

# A ring has a record for 32 bytes of text; the text of the largest has 2 GiB.
_MAX_RECORD_BITS = 26
_MAX_TEXT_BITS = 31
_MAX_STRUCT = 4096  # bytes
_PIECE = 1 << 16  # bytes read together
# Of a log that is kept, with what a record takes besides its text: one screen asks three times.
_MAX_KEPT = 1 << 22
_PER_RECORD = 128
_COMMITTED, _FINALIZED = 1, 2  # enum desc_state
_EMPTY_LINE = 3
_CPU = 1 << 31

Record = tuple[int, str, bytes]
"""Nanoseconds since boot, who printed (``T12``, ``C1``, empty if not kept), the text."""


class _NotExported(LookupError):
    """VMCOREINFO does not describe the ring."""


def log_records(prog: drgn.Program) -> Iterator[Record]:
    """
    Yield the log's records in the order of printing.

    Records of which a part is missing in the dump are left out, and a remark says how many.

    :raises LookupError, ValueError: its structures are not known, or damaged.
    :raises drgn.FaultError: what says where it is is missing.

    >>> next(log_records(prog))
    (0, 'T0', b'Linux version 6.12.48+deb13-amd64 ...')
    """
    session = find_session(prog)
    if session is not None:
        if session.log is not None:
            return iter(session.log)
        try:
            ring = PrintkRing(prog, session.vmcoreinfo)
        except _NotExported:
            pass
        else:
            return _kept(session, ring) if session.is_file else ring.records()
    return _by_drgn(prog)


def _kept(session: Session, ring: PrintkRing) -> Iterator[Record]:
    """Yield the records, and keep them when all were read and none is missing."""
    kept: list[Record] = []
    room = _MAX_KEPT
    for record in ring.records():
        room -= len(record[2]) + _PER_RECORD
        if room >= 0:
            kept.append(record)
        yield record
    # What is missing is told to each command that reads the log.
    if room >= 0 and not ring.lost:
        session.log = tuple(kept)


def _by_drgn(prog: drgn.Program) -> Iterator[Record]:
    from drgn.helpers.linux.printk import get_printk_records

    for record in get_printk_records(prog):
        yield record.timestamp, caller_of(record), record.text


def caller_of(record: PrintkRecord) -> str:
    """Who printed drgn's record: ``T12``, ``C1``, empty if that was not kept."""
    if record.caller_tid is not None:
        return f"T{record.caller_tid}"
    return "" if record.caller_cpu is None else f"C{record.caller_cpu}"


class PrintkRing:
    """``struct printk_ringbuffer`` of a dump."""

    def __init__(self, prog: drgn.Program, info: VmcoreInfo) -> None:
        platform = prog.platform
        if platform is None:
            raise _NotExported("the dump's platform is not known")
        wide = bool(platform.flags & drgn.PlatformFlags.IS_64_BIT)
        order = order_of(platform)
        self._long = struct.Struct(f"{order}{'Q' if wide else 'I'}")
        self._u32 = struct.Struct(f"{order}I")
        self._u64 = struct.Struct(f"{order}Q")
        self._u16 = struct.Struct(f"{order}H")
        self._prog, self._read = prog, prog.read
        self._info = info
        try:
            pointer = info.symbols["prb"]
            self._sizes = (info.sizes["prb_desc"], info.sizes["printk_info"])
            where = {name: info.offsets[name] for name in _OFFSETS}
        except KeyError as e:
            raise _NotExported(f"VMCOREINFO has no {e}") from None
        long = self._long.size
        position = max(where["prb_data_blk_lpos.begin"], where["prb_data_blk_lpos.next"])
        ends = (
            (where["prb_desc.state_var"] + long, self._sizes[0]),
            (where["prb_desc.text_blk_lpos"] + position + long, self._sizes[0]),
            (where["printk_info.ts_nsec"] + 8, self._sizes[1]),
            (where["printk_info.text_len"] + 2, self._sizes[1]),
            (where["printk_info.caller_id"] + 4, self._sizes[1]),
        )
        if not all(0 <= at < _MAX_STRUCT for at in where.values()) or not all(
            end <= size <= _MAX_STRUCT for end, size in ends
        ):
            raise _NotExported("VMCOREINFO's offsets of the log cannot be")
        self._at = where
        base = self._word(pointer)
        ring = base + where["printk_ringbuffer.desc_ring"]
        text = base + where["printk_ringbuffer.text_data_ring"]
        self._count_bits = self._bits(ring + where["prb_desc_ring.count_bits"], _MAX_RECORD_BITS)
        self._text_bits = self._bits(text + where["prb_data_ring.size_bits"], _MAX_TEXT_BITS)
        self._descs = self._word(ring + where["prb_desc_ring.descs"])
        self._infos = self._word(ring + where["prb_desc_ring.infos"])
        self._head = self._word(ring + where["prb_desc_ring.head_id"])
        self._tail = self._word(ring + where["prb_desc_ring.tail_id"])
        self._data = self._word(text + where["prb_data_ring.data"])
        self.lost = 0  # records of which a part is missing, as far as they were read

    def _word(self, address: int) -> int:
        """Read an ``unsigned long``, or an ``atomic_long_t``."""
        value: int = self._long.unpack(self._read(address, self._long.size))[0]
        return value

    def _bits(self, address: int, most: int) -> int:
        bits: int = self._u32.unpack(self._read(address, 4))[0]
        if not 0 < bits <= most:
            raise ValueError(f"the log's ring is said to have 2**{bits} entries")
        return bits

    def records(self) -> Iterator[Record]:
        """Yield what is committed, from the oldest on."""
        at, long = self._at, self._long
        desc_size, info_size = self._sizes
        state_bits = 8 * long.size - 2
        ids = (1 << state_bits) - 1
        mask = (1 << self._count_bits) - 1
        size = 1 << self._text_bits
        begin_at = at["prb_desc.text_blk_lpos"] + at["prb_data_blk_lpos.begin"]
        next_at = at["prb_desc.text_blk_lpos"] + at["prb_data_blk_lpos.next"]
        descs = _Memory(self._read, self._descs, desc_size << self._count_bits)
        infos = _Memory(self._read, self._infos, info_size << self._count_bits)
        text = _Memory(self._read, self._data, size)
        count = (self._head - self._tail & ids) + 1
        if count > mask + 1:
            raise ValueError(f"the log is said to hold {count} records, its ring {mask + 1}")
        self.lost = 0
        for number in range(self._tail, self._tail + count):
            index = number & mask
            desc = descs.get(index * desc_size, desc_size)
            if desc is None:
                self.lost += 1
                continue
            state = long.unpack_from(desc, at["prb_desc.state_var"])[0]
            if state & ids != number & ids or state >> state_bits not in (_COMMITTED, _FINALIZED):
                continue
            begin = long.unpack_from(desc, begin_at)[0]
            end = long.unpack_from(desc, next_at)[0]
            info = infos.get(index * info_size, info_size)
            if info is None:
                self.lost += 1
                continue
            length = self._u16.unpack_from(info, at["printk_info.text_len"])[0]
            if begin & 1 and end & 1:  # no text, or none of its own
                if begin != _EMPTY_LINE or end != _EMPTY_LINE:
                    continue
                line: bytes | None = b""
            else:
                begin, end = begin & size - 1, end & size - 1
                start = (begin if begin < end else 0) + long.size
                line = text.get(start, min(length, end - start)) if start <= end else None
            if line is None:
                self.lost += 1
                continue
            caller = self._u32.unpack_from(info, at["printk_info.caller_id"])[0]
            who = f"C{caller & ~_CPU}" if caller & _CPU else f"T{caller}"
            yield self._u64.unpack_from(info, at["printk_info.ts_nsec"])[0], who, line
        if self.lost:
            remark(
                self._prog,
                "records of the log are missing in the dump",
                f"{self.lost:,} of {count:,}",
            )


_OFFSETS = (
    "printk_ringbuffer.desc_ring",
    "printk_ringbuffer.text_data_ring",
    "prb_desc_ring.count_bits",
    "prb_desc_ring.descs",
    "prb_desc_ring.infos",
    "prb_desc_ring.head_id",
    "prb_desc_ring.tail_id",
    "prb_desc.state_var",
    "prb_desc.text_blk_lpos",
    "prb_data_blk_lpos.begin",
    "prb_data_blk_lpos.next",
    "printk_info.ts_nsec",
    "printk_info.text_len",
    "printk_info.caller_id",
    "prb_data_ring.size_bits",
    "prb_data_ring.data",
)


class _Memory:
    """An array of the dump, read in pieces as they are asked for; holes stay holes."""

    def __init__(self, read: Callable[[int, int], bytes], start: int, size: int) -> None:
        self._read = read
        self._start = start
        self._size = size
        self._at = 0
        self._piece = b""
        self._missing = False

    def get(self, offset: int, size: int) -> bytes | None:
        """Return bytes of the array; ``None`` if they are missing or outside."""
        if offset + size > self._size:
            return None
        inside = offset - self._at
        if inside >= 0 and inside + size <= len(self._piece):
            return self._piece[inside : inside + size]
        if self._missing:
            return self._short(offset, size)
        length = min(max(_PIECE, size), self._size - offset)
        try:
            self._piece, self._at = self._read(self._start + offset, length), offset
        except drgn.FaultError:
            self._missing = True
            return self._short(offset, size)
        return self._piece[:size]

    def _short(self, offset: int, size: int) -> bytes | None:
        try:
            return self._read(self._start + offset, size)
        except drgn.FaultError:
            return None
