"""The architectures' names, as ``uname -m`` prints them and the variables' database writes them."""

from __future__ import annotations

import drgn

# Name to drgn's architecture, and whether it is little-endian.
MACHINES = {
    "x86_64": (drgn.Architecture.X86_64, True),
    "aarch64": (drgn.Architecture.AARCH64, True),
    "s390x": (drgn.Architecture.S390X, False),
    "ppc64le": (drgn.Architecture.PPC64, True),
    "ppc64": (drgn.Architecture.PPC64, False),
    "riscv64": (drgn.Architecture.RISCV64, True),
}
_NAMES = {known: name for name, known in MACHINES.items()}


def machine_of(platform: drgn.Platform | None) -> str:
    """Return the name, drgn's in small letters for another architecture, "" for none."""
    if platform is None:
        return ""
    little = bool(platform.flags & drgn.PlatformFlags.IS_LITTLE_ENDIAN)
    return str(_NAMES.get((platform.arch, little), platform.arch.name.lower()))
