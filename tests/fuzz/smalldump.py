"""Small dumps to mutate: a real one trimmed to what the commands read, as kdump or ELF.

Owns the writing of ELF out of a kdump-compressed file. The segments look like
those of QEMU's dump-guest-memory without paging: physical addresses only.
"""

from __future__ import annotations

import struct
from pathlib import Path

from btfdbg.commands.trim import run_all
from btfdbg.debuginfo.trim import trim
from btfdbg.debuginfo.trim.kdumpfile import KdumpReader
from tests.fuzz.sandbox import COMMANDS

_MACHINES = {"x86_64": 62, "aarch64": 183, "riscv64": 243, "s390x": 22, "ppc64le": 21}


def make_small(core: Path, out: Path) -> None:
    """
    Trim a dump to what the fuzzer's commands read.

    :param out: Written as ELF if its name ends in ``.elf``, else as kdump.
    """
    failed: list[str] = []
    kdump = out.with_suffix(".kdump")
    # What 7.2 calls the members of struct page, the classification of pages
    # does not know; test dumps hold no secret.
    trim(core, kdump, run_all(COMMANDS, failed, set()), include_user=True)
    if out.suffix == ".elf":
        elf_of(kdump, out)
        kdump.unlink()


def elf_of(kdump: Path, out: Path) -> None:
    """Write the pages and notes of a little-endian kdump-compressed file as ELF."""
    with KdumpReader(kdump) as reader:
        size = reader.page_size
        frames = reader.pfns()
        runs: list[list[int]] = []
        for pfn in frames:
            if runs and runs[-1][1] == pfn:
                runs[-1][1] += 1
            else:
                runs.append([pfn, pfn + 1])
        notes = reader.notes()
        headers = 64 + 56 * (1 + len(runs))
        first = -(-(headers + len(notes)) // size) * size
        with out.open("wb") as f:
            f.write(b"\x7fELF" + bytes((2, 1, 1)) + bytes(9))
            machine = _MACHINES[reader.uts.machine]
            f.write(struct.pack("<HHIQQQIHHHHHH", 4, machine, 1, 0, 64, 0, 0, 64, 56,
                                1 + len(runs), 0, 0, 0))  # fmt: skip
            f.write(struct.pack("<IIQQQQQQ", 4, 0, headers, 0, 0, len(notes), len(notes), 0))
            at = first
            for start, end in runs:
                n = (end - start) * size
                f.write(struct.pack("<IIQQQQQQ", 1, 0, at, 0, start * size, n, n, 0))
                at += n
            f.write(notes)
            f.seek(first)
            for pfn in frames:
                f.write(reader.page(pfn))
