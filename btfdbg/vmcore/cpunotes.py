"""CPU registers that drgn is given apart from the memory; QEMU's of s390x and ppc64 put right.

drgn finds the registers of CPU n in the NT_PRSTATUS note whose pid is n + 1.
QEMU (as of 9.1) writes the pid in the wrong byte order on s390x, and 0 for every
CPU on ppc64, whose notes are big-endian for little-endian guests besides. drgn
reads notes from the file only, so it is given another: a file in memory that
holds corrected notes and no segment; the segments are added to the Program.

Facts: QEMU ``target/s390x/arch_dump.c``, ``target/ppc/arch_dump.c``; struct
elf_prstatus in include/linux/elfcore.h (pid at 32, registers at 112).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator

import drgn

from btfdbg.vmcore.elfcore import Note
from btfdbg.vmcore.platforms import arch_of

_NT_PRSTATUS = 1
_PID = 32
_REGISTERS = 112
# Followed by pr_fpvalid and padding.
_TAIL = 8
_ET_CORE, _PT_NOTE = 4, 4


def needs_repair(notes: Iterable[Note], order: str, architecture: drgn.Architecture) -> bool:
    """
    Whether the CPUs of a QEMU dump have pids that are not 1, 2, 3…

    :param order: Of the file that the notes are from, ``<`` or ``>``.
    """
    row = arch_of(architecture)
    if row is None or not row.repair_notes:
        return False
    pids = [struct.unpack_from(order + "I", n.desc, _PID)[0] for n in notes if _is_status(n)]
    return pids != list(range(1, len(pids) + 1))


def _is_status(note: Note) -> bool:
    return note.name == "CORE" and note.type == _NT_PRSTATUS and len(note.desc) > _REGISTERS


def repaired(notes: Iterable[Note], given: str, order: str) -> Iterator[Note]:
    """
    Yield the notes of a QEMU dump with registers and CPU numbers as drgn reads them.

    :param given: Byte order of the file that the notes are from, ``<`` or ``>``.
    :param order: Byte order of the machine.
    """
    cpu = 0
    for note in notes:
        desc = bytearray(note.desc)
        if _is_status(note):
            cpu += 1
            if order != given:
                for at in range(_REGISTERS, len(desc) - _TAIL - 7, 8):
                    desc[at : at + 8] = desc[at : at + 8][::-1]
            struct.pack_into(order + "I", desc, _PID, cpu)
            yield Note(note.name, note.type, bytes(desc))
        elif order == given and note.name != "VMCOREINFO":
            yield note


def notes_only(
    notes: Iterable[Note], given: str, platform: drgn.Platform, vmcoreinfo: bytes
) -> int:
    """
    Make an ELF core in memory: CPU registers, corrected if need be, VMCOREINFO, no segments.

    :param given: Byte order of the file that the notes are from, ``<`` or ``>``.
    :return: File descriptor; the caller closes it.
    """
    little = bool(platform.flags & drgn.PlatformFlags.IS_LITTLE_ENDIAN)
    order = "<" if little else ">"
    notes = tuple(notes)
    if order != given or needs_repair(notes, given, platform.arch):
        wanted = list(repaired(notes, given, order))
    else:
        wanted = [note for note in notes if _is_status(note)]
    wanted.append(Note("VMCOREINFO", 0, vmcoreinfo))
    table_of = b"".join(n.packed(order) for n in wanted)
    row = arch_of(platform.arch)
    ident = b"\x7fELF\x02" + (b"\x01" if little else b"\x02") + b"\x01" + bytes(9)
    header = struct.pack(
        order + "HHIQQQIHHHHHH",
        *(_ET_CORE, 0 if row is None else row.e_machine, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0),
    )
    at = len(ident) + len(header) + 56
    table = struct.pack(order + "IIQQQQQQ", _PT_NOTE, 0, at, 0, 0, len(table_of), len(table_of), 4)
    fd = os.memfd_create("btfdbg-notes", os.MFD_CLOEXEC)
    data = ident + header + table + table_of
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    return fd
