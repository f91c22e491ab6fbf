"""Live kernels: a guest is booted and looked at, from within and from without."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from corefiles.build import Builder
from corefiles.wish import Wish
from tests.matrix import live

CACHE = os.environ.get("BTFDBG_LIVE")
pytestmark = [
    pytest.mark.matrix,
    pytest.mark.skipif(
        not CACHE, reason="BTFDBG_LIVE names no folder for downloads; guests boot for minutes"
    ),
    pytest.mark.timeout(1200),
]


@pytest.fixture
def builder() -> Builder:
    assert CACHE is not None
    return Builder(Path(CACHE).resolve())


@pytest.mark.parametrize("suite", ["trixie", "sid"])
def test_a_kernel_is_seen_from_within_as_proc_shows_it(
    suite: str, builder: Builder, tmp_path: Path
) -> None:
    wish = Wish(suite, "amd64", "sysrq-panic", (), memory=1024)
    problems = live.from_within(builder, wish, tmp_path / "guest", "trixie")
    assert problems == {name: [] for name in live.QUESTIONS}


@pytest.mark.parametrize("vmcoreinfo", [True, False], ids=["with the device", "without"])
@pytest.mark.parametrize("suite", ["trixie", "sid"])
def test_a_kernel_is_seen_through_the_monitor_as_its_guest_shows_it(
    suite: str, vmcoreinfo: bool, builder: Builder, tmp_path: Path
) -> None:
    wish = Wish(suite, "amd64", "sysrq-panic", (), vmcoreinfo=vmcoreinfo)
    row = live.from_without(builder, wish, tmp_path / "guest")
    assert row.problems == {name: [] for name in row.problems}
    assert row.tasks == row.unwound > 20
