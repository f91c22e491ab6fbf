"""drgn's platforms for the rows of ``btfdbg.arch``.

Owns the way between our names and drgn's enumerators; facts of an architecture are rows
there.
"""

from __future__ import annotations

from typing import Literal

import drgn

from btfdbg.arch import ARCHES, Arch, by_name, known_names
from btfdbg.errors import DebugInfoError

# drgn knows these; no kernel of theirs is read here, and messages name them.
_OTHERS = {3: drgn.Architecture.I386, 40: drgn.Architecture.ARM}

_BY_DRGN = {
    (getattr(drgn.Architecture, arch.drgn, drgn.Architecture.UNKNOWN), arch.little_endian): arch
    for arch in ARCHES
}


def architecture_of(arch: Arch) -> drgn.Architecture:
    """drgn's enumerator; UNKNOWN if this drgn is older than the row."""
    found: drgn.Architecture = getattr(drgn.Architecture, arch.drgn, drgn.Architecture.UNKNOWN)
    return found


def arch_of(architecture: drgn.Architecture, little_endian: bool | None = None) -> Arch | None:
    """
    The row of drgn's architecture, ``None`` if there is none.

    :param little_endian: Byte order; ``None`` for the first row whatever its order.
    """
    if little_endian is not None:
        return _BY_DRGN.get((architecture, little_endian))
    return next((row for (known, _), row in _BY_DRGN.items() if known is architecture), None)


def architecture_of_elf(e_machine: int) -> drgn.Architecture | None:
    """drgn's enumerator for an ELF header's number of a machine."""
    for arch in ARCHES:
        if arch.e_machine == e_machine:
            return architecture_of(arch)
    return _OTHERS.get(e_machine)


def row_of(platform: drgn.Platform | None) -> Arch | None:
    """The row of a platform, ``None`` for another architecture and for no platform."""
    if platform is None:
        return None
    little = bool(platform.flags & drgn.PlatformFlags.IS_LITTLE_ENDIAN)
    return _BY_DRGN.get((platform.arch, little))


def machine_of(platform: drgn.Platform | None) -> str:
    """
    Return the name as ``uname -m`` prints it.

    :return: drgn's in small letters for an architecture without a row, "" for no platform.
    """
    if platform is None:
        return ""
    row = row_of(platform)
    return row.name if row is not None else platform.arch.name.lower()


def byte_order(platform: drgn.Platform | None) -> Literal["little", "big"]:
    """Byte order as ``int.from_bytes()`` takes it; little where no platform is known."""
    if platform is None or platform.flags & drgn.PlatformFlags.IS_LITTLE_ENDIAN:
        return "little"
    return "big"


def order_of(platform: drgn.Platform | None) -> Literal["<", ">"]:
    """:func:`byte_order` as formats of ``struct`` begin with it."""
    return "<" if byte_order(platform) == "little" else ">"


def platform_of(architecture: drgn.Architecture, little_endian: bool) -> drgn.Platform:
    """A 64-bit platform."""
    flags = drgn.PlatformFlags.IS_64_BIT
    if little_endian:
        flags |= drgn.PlatformFlags.IS_LITTLE_ENDIAN
    return drgn.Platform(architecture, flags)


def platform_named(name: str) -> drgn.Platform:
    """
    drgn's platform for a name a user gives: the kernel's own (``x86_64``) or Debian's.

    :raises DebugInfoError: it is unknown.
    """
    row = by_name(name)
    if row is None:
        raise DebugInfoError(
            f"unknown architecture {name!r}", step="open", hint=f"one of {known_names()}"
        )
    return platform_of(architecture_of(row), row.little_endian)
