"""Plain ``char``, of which drgn remembers what it saw first.

Owns putting right the signedness that drgn settled on before a type finder was there to
ask. drgn keeps the type of ``char`` for as long as a Program lives, and needs one for the
special objects ``VMCOREINFO`` and ``UTS_RELEASE``: whoever reads one of them first (a
plugin, a script, ``attach`` itself) makes ``char`` signed in all type names that are given
as text, while the members of structures have the kernel's own, and the two do not mix.

The one thing that makes drgn ask again is a file with DWARF for the kernel, which is what
drgn's own fix for the same mistake is about. So drgn is given one that describes nothing:
an empty compilation unit in an ELF file of no machine, which keeps drgn from looking for
unwind tables in it.

Facts: drgn 0.3 ``libdrgn/debug_info.c``, ``drgn_module_maybe_use_elf_file()`` and
https://github.com/osandov/drgn/issues/569; ``drgn_module_find_cfi()`` (files of another
platform are not used); ELF gABI; DWARF 4, 7.5.1.1.
"""

from __future__ import annotations

import os
import struct

import drgn

_NAMES = b"\0.debug_info\0.debug_abbrev\0.shstrtab\0"
# A compilation unit (version 4, abbreviations at 0, addresses of 8 bytes) with one DIE:
# DW_TAG_compile_unit, no children, no attributes.
_UNIT = struct.pack("<IHIB", 8, 4, 0, 8) + b"\x01"
_ABBREVIATIONS = b"\x01\x11\0\0\0\0"
_ELF_HEADER, _SECTION_HEADER = 64, 64
_SHT_PROGBITS, _SHT_STRTAB = 1, 3
_ET_EXEC = 2


def empty_dwarf() -> bytes:
    """An ELF file with DWARF that describes nothing, of no machine."""
    at = _ELF_HEADER
    sections = [_section(0, 0, 0, 0)]
    for data, name, type_ in (
        (_NAMES, b".shstrtab", _SHT_STRTAB),
        (_UNIT, b".debug_info", _SHT_PROGBITS),
        (_ABBREVIATIONS, b".debug_abbrev", _SHT_PROGBITS),
    ):
        sections.append(_section(_NAMES.index(name), type_, at, len(data)))
        at += len(data)
    body = _NAMES + _UNIT + _ABBREVIATIONS
    body += bytes(-len(body) % 8)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01",
        _ET_EXEC, 0, 1, 0, 0, _ELF_HEADER + len(body), 0,
        _ELF_HEADER, 0, 0, _SECTION_HEADER, len(sections), 1,
    )  # fmt: skip
    return header + body + b"".join(sections)


def _section(name: int, type_: int, offset: int, size: int) -> bytes:
    return struct.pack("<IIQQQQIIQQ", name, type_, 0, 0, offset, size, 0, 0, 1, 0)


def settle(prog: drgn.Program, module: drgn.Module, is_signed: bool) -> bool:
    """
    See to it that ``prog.type("char")`` is the kernel's, whoever asked for it before.

    :param prog: With a type finder that knows ``char``.
    :param module: The main module; may come out of this with a (meaningless) debug file.
    :param is_signed: Whether the kernel's ``char`` is.
    :return: Whether it is so now. ``False`` means that text like ``"char *"`` names
        another type than the members of structures have.
    """
    if prog.type("char").is_signed == is_signed:
        return True
    if not module.wants_debug_file():
        return False
    fd = os.memfd_create("btfdbg")
    try:
        os.write(fd, empty_dwarf())
        # drgn closes the file descriptor that it is given.
        module.try_file(f"/proc/self/fd/{fd}", fd=os.dup(fd), force=True)
    finally:
        os.close(fd)
    return bool(prog.type("char").is_signed == is_signed)
