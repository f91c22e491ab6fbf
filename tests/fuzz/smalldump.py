"""Small dumps to mutate: a real one trimmed to what the commands read, in many formats.

Owns the writing of other formats out of a kdump-compressed file, and taking a
few pages out of one without touching how they are compressed. The segments of
the ELF files look like those of QEMU's dump-guest-memory without paging:
physical addresses only.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable
from pathlib import Path

from btfdbg.cli.trim import run_all
from btfdbg.program.session import Session
from btfdbg.trim import trim
from btfdbg.vmcore import open_core
from btfdbg.vmcore.recover import candidates
from corefiles.rawimage import lime_header
from tests.fuzz.formats import open_dump
from tests.fuzz.sandbox import COMMANDS
from tests.trim.kdump_reader import KdumpReader

_MACHINES = {
    "x86_64": 62, "aarch64": 183, "riscv64": 243, "s390x": 22, "ppc64le": 21, "ppc64": 21,
}  # fmt: skip
_DESC_SIZE = 24
# makedumpfile's are of the size of its buffers, which is not fixed.
_FLATTENED_BLOCK = 60_000


def make_small(core: Path, out: Path) -> None:
    """
    Trim a dump to what the fuzzer's commands read.

    :param out: What its name ends in says the format: ``.elf``, ``.lime``,
        ``.raw`` (x86_64), ``.own`` for that of ``core``, which must be a
        kdump-compressed file, ``.flat`` for the same, flattened; else the kdump
        file that ``btfdbg trim`` writes.
    """
    failed: list[str] = []
    kdump = out.with_suffix(".kdump")
    run = run_all(COMMANDS, failed, set())

    def exercise(session: Session) -> None:
        run(session)
        # Where no header carries it, it must be found in memory.
        for c in texts:
            session.prog.read(c.address & -4096, 4096, physical=True)

    memory = open_core(core)[1].memory
    texts = [] if memory is None or out.suffix in (".elf", ".kdump") else candidates(memory, "")
    # What 7.2 calls the members of struct page, the classification of pages
    # does not know; test dumps hold no secret.
    trim(core, kdump, exercise, include_user=True)
    write = {".elf": elf_of, ".lime": lime_of, ".raw": raw_of}.get(out.suffix)
    if write is not None:
        write(kdump, out)
    elif out.suffix in (".own", ".flat"):
        own_of(core, open_dump(kdump).frames, out)
        if out.suffix == ".flat":
            flatten(out)
    if out != kdump:
        kdump.unlink()


def _runs(frames: Iterable[int]) -> list[list[int]]:
    """Consecutive page frames: first, one past the last."""
    runs: list[list[int]] = []
    for pfn in frames:
        if runs and runs[-1][1] == pfn:
            runs[-1][1] += 1
        else:
            runs.append([pfn, pfn + 1])
    return runs


def elf_of(kdump: Path, out: Path) -> None:
    """Write the pages and notes of a kdump-compressed file as ELF."""
    with KdumpReader(kdump) as reader:
        size = reader.page_size
        order = reader._order
        frames = reader.pfns()
        runs = _runs(frames)
        notes = reader.notes()
        headers = 64 + 56 * (1 + len(runs))
        first = -(-(headers + len(notes)) // size) * size
        with out.open("wb") as f:
            f.write(b"\x7fELF" + bytes((2, 1 if order == "<" else 2, 1)) + bytes(9))
            machine = _MACHINES[reader.uts.machine]
            f.write(struct.pack(order + "HHIQQQIHHHHHH", 4, machine, 1, 0, 64, 0, 0, 64, 56,
                                1 + len(runs), 0, 0, 0))  # fmt: skip
            header = struct.Struct(order + "IIQQQQQQ")
            f.write(header.pack(4, 0, headers, 0, 0, len(notes), len(notes), 0))
            at = first
            for start, end in runs:
                n = (end - start) * size
                # Where memory is mapped one to one, a segment at 0 would hide it.
                virtual = start * size if reader.uts.machine == "s390x" else 0
                f.write(header.pack(1, 0, at, virtual, start * size, n, n, 0))
                at += n
            f.write(notes)
            f.seek(first)
            for pfn in frames:
                f.write(reader.page(pfn))


def lime_of(kdump: Path, out: Path) -> None:
    """Write the pages of a little-endian kdump-compressed file as LiME."""
    with KdumpReader(kdump) as reader, out.open("wb") as f:
        for start, end in _runs(reader.pfns()):
            f.write(lime_header(start * reader.page_size, end * reader.page_size))
            for pfn in range(start, end):
                f.write(reader.page(pfn))


def raw_of(kdump: Path, out: Path) -> None:
    """Write the pages of a kdump-compressed file where they are in memory; the rest are holes."""
    with KdumpReader(kdump) as reader, out.open("wb") as f:
        for pfn in reader.pfns():
            f.seek(pfn * reader.page_size)
            f.write(reader.page(pfn))
        f.truncate(reader.max_pfn * reader.page_size)


def own_of(core: Path, frames: Collection[int], out: Path) -> None:
    """Write a kdump-compressed file with some of its pages, all else as it is."""
    with KdumpReader(core) as reader, out.open("wb") as f:
        index = {pfn: i for i, pfn in enumerate(reader.pfns())}
        kept = sorted(frames & index.keys())
        half = reader._bitmap_bytes
        dumped = bytearray(half)
        for pfn in kept:
            dumped[pfn >> 3] |= 1 << (pfn & 7)
        sub = reader._sub
        # A flattened file leaves out what is zero between them.
        for at, size in ((0, 464), (reader.page_size, 104), (sub[5], sub[6]), (sub[7], sub[8]),
                         (reader._bitmap_offset, (reader.max_pfn + 7) // 8)):  # fmt: skip
            f.seek(at)
            f.write(reader._read(at, size))
        f.seek(reader._bitmap_offset + half)
        f.write(dumped)
        at = reader._desc_offset + _DESC_SIZE * len(kept)
        desc = struct.Struct(reader._order + "qIIQ")
        placed: dict[int, int] = {}
        table, pages = bytearray(), bytearray()
        for pfn in kept:
            raw = reader._read(reader._desc_offset + _DESC_SIZE * index[pfn], _DESC_SIZE)
            offset, size, flags, page_flags = desc.unpack(raw)
            if offset not in placed:
                placed[offset] = at + len(pages)
                pages += reader._read(offset, size)
            table += desc.pack(placed[offset], size, flags, page_flags)
        f.write(table + pages)


def flatten(path: Path) -> None:
    """Put a plain file into makedumpfile's flattened form."""
    data = path.read_bytes()
    with path.open("wb") as f:
        f.write((b"makedumpfile\0\0\0\0" + struct.pack(">qq", 1, 1)).ljust(4096, b"\0"))
        for at in range(0, len(data), _FLATTENED_BLOCK):
            block = data[at : at + _FLATTENED_BLOCK]
            f.write(struct.pack(">qq", at, len(block)) + block)
        f.write(struct.pack(">qq", -1, -1))
