"""Plain ``char``, of which drgn remembers what it saw first.

Owns putting right the signedness that drgn settled on before a type finder was there to
ask. drgn keeps the type of ``char`` for as long as a Program lives, and needs one for the
special objects ``VMCOREINFO`` and ``UTS_RELEASE``: whoever reads one of them first (a
plugin, a script, ``attach`` itself) makes ``char`` signed in all type names that are given
as text, while the members of structures have the kernel's own, and the two do not mix.

The one thing that makes drgn ask again is a file with DWARF for the kernel, which is what
drgn's own fix for the same mistake is about. So drgn is given one that describes nothing:
an empty compilation unit (``bare_dwarf`` has the file around it).

Facts: drgn 0.3 ``libdrgn/debug_info.c``, ``drgn_module_maybe_use_elf_file()`` and
https://github.com/osandov/drgn/issues/569; DWARF 4, 7.5.1.1.
"""

from __future__ import annotations

import struct

import drgn

from btfdbg.program.bare_dwarf import elf_of, give

# A compilation unit (version 4, abbreviations at 0, addresses of 8 bytes) with one DIE:
# DW_TAG_compile_unit, no children, no attributes.
_UNIT = struct.pack("<IHIB", 8, 4, 0, 8) + b"\x01"
_ABBREVIATIONS = b"\x01\x11\0\0\0\0"


def empty_dwarf() -> bytes:
    """An ELF file with DWARF that describes nothing, of no machine."""
    return elf_of({".debug_info": _UNIT, ".debug_abbrev": _ABBREVIATIONS})


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
    give(module, empty_dwarf())
    return bool(prog.type("char").is_signed == is_signed)
