"""The name of an architecture."""

from __future__ import annotations

import pytest
from drgn import Architecture, Platform, PlatformFlags

from btfdbg.arch import machine_of

_64 = PlatformFlags.IS_64_BIT
_LITTLE = _64 | PlatformFlags.IS_LITTLE_ENDIAN


@pytest.mark.parametrize(
    ("architecture", "flags", "name"),
    [
        (Architecture.X86_64, _LITTLE, "x86_64"),
        (Architecture.AARCH64, _LITTLE, "aarch64"),
        (Architecture.PPC64, _LITTLE, "ppc64le"),
        (Architecture.PPC64, _64, "ppc64"),
        (Architecture.S390X, _64, "s390x"),
        (Architecture.RISCV64, _LITTLE, "riscv64"),
    ],
)
def test_a_machine_is_named_as_uname_does(
    architecture: Architecture, flags: PlatformFlags, name: str
) -> None:
    assert machine_of(Platform(architecture, flags)) == name


def test_without_a_platform_there_is_no_name() -> None:
    assert machine_of(None) == ""
