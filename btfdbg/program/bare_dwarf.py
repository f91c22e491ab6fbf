"""Files with DWARF and nothing else, for those who have to tell drgn something in DWARF only.

Owns the ELF around it: a file of no machine, which keeps drgn from looking for unwind tables
in it, in memory, for a Program's main module.

Facts: drgn 0.3 ``libdrgn/debug_info.c``, ``drgn_module_maybe_use_elf_file()``;
``drgn_module_find_cfi()`` (files of another platform are not used); ELF gABI.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import drgn

_ELF_HEADER, _SECTION_HEADER = 64, 64
_SHT_PROGBITS, _SHT_STRTAB = 1, 3
_ET_EXEC = 2
_NAMES = ".shstrtab"


def elf_of(sections: Mapping[str, bytes]) -> bytes:
    """
    An ELF file, 64 bits, little-endian, with these sections.

    :param sections: Contents by name; names are ASCII.
    """
    names = "\0".join(("", *sections, _NAMES, "")).encode()
    at = _ELF_HEADER
    headers = [_header(0, 0, 0, 0)]
    for name, data in ((_NAMES, names), *sections.items()):
        kind = _SHT_STRTAB if name == _NAMES else _SHT_PROGBITS
        headers.append(_header(names.index(b"\0" + name.encode() + b"\0") + 1, kind, at, len(data)))
        at += len(data)
    body = b"".join((names, *sections.values()))
    body += bytes(-len(body) % 8)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01",
        _ET_EXEC, 0, 1, 0, 0, _ELF_HEADER + len(body), 0,
        _ELF_HEADER, 0, 0, _SECTION_HEADER, len(headers), 1,
    )  # fmt: skip
    return header + body + b"".join(headers)


def _header(name: int, kind: int, offset: int, size: int) -> bytes:
    return struct.pack("<IIQQQQIIQQ", name, kind, 0, 0, offset, size, 0, 0, 1, 0)


def give(module: drgn.Module, file: bytes) -> None:
    """
    Make a file a module's debug file.

    :param module: One that wants a debug file; drgn takes no second one.
    :param file: What :func:`elf_of` made.
    """
    fd = os.memfd_create("btfdbg")
    try:
        with open(fd, "wb", closefd=False) as out:
            out.write(file)
        # drgn closes the file descriptor that it is given.
        module.try_file(f"/proc/self/fd/{fd}", fd=os.dup(fd), force=True)
    finally:
        os.close(fd)
