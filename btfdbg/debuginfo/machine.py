"""The architecture's name, as ``uname -m`` prints it and the variables' database writes it."""

from __future__ import annotations

import drgn

_NAMES = {
    drgn.Architecture.X86_64: "x86_64",
    drgn.Architecture.AARCH64: "aarch64",
    drgn.Architecture.S390X: "s390x",
    drgn.Architecture.PPC64: "ppc64",
    drgn.Architecture.RISCV64: "riscv64",
}


def machine_of(platform: drgn.Platform | None) -> str:
    """Return the name, drgn's in small letters for another architecture, "" for none."""
    if platform is None:
        return ""
    name = str(_NAMES.get(platform.arch, platform.arch.name.lower()))
    if name == "ppc64" and platform.flags & drgn.PlatformFlags.IS_LITTLE_ENDIAN:
        return "ppc64le"
    return name
