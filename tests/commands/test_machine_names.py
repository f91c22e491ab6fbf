"""The banner names a machine as ``uname -m`` does, and not as the other byte order's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from btfdbg.arch import ARCHES, Arch
from btfdbg.commands import info
from btfdbg.program.session import Session
from btfdbg.vmcore.platforms import architecture_of, platform_of


@pytest.mark.parametrize("arch", ARCHES, ids=lambda arch: arch.name)
def test_the_banner_tells_ppc64le_from_ppc64(arch: Arch) -> None:
    platform = platform_of(architecture_of(arch), arch.little_endian)
    given = SimpleNamespace(
        prog=SimpleNamespace(platform=platform),
        dump=None,
        symbols=None,
        has_btf=False,
        release="7.2.0",
        notes=(),
    )
    first = info.banner(cast(Session, given)).splitlines()[0]
    assert first == f"kernel: Linux 7.2.0 {arch.name} (live)"
