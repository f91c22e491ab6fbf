"""The faulting access against the test module's own table, on whole dumps.

``BTFDBG_DUMPS=FOLDER BTFDBG_DEBUG=FOLDER python -m pytest -m oracle FILE``

``BTFDBG_DUMPS`` holds dumps of the scenario ``bad-accesses`` with their manifests and modules;
see ``test_oracle_frames`` for ``BTFDBG_DEBUG``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.frames.bad import measure

pytestmark = pytest.mark.oracle


def dumps() -> list[Path]:
    """Those in which threads have stopped in bad accesses."""
    folder = os.environ.get("BTFDBG_DUMPS", "")
    return sorted(Path(folder).glob("*-bad*-qemu-elf.vmcore")) if folder else []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("dump", dumps(), ids=lambda p: p.name)
def test_no_member_is_wrong_and_few_are_missing(dump: Path) -> None:
    pytest.importorskip("capstone")
    release = json.loads(dump.with_name(f"{dump.name}.json").read_text())["release"]
    vmlinux = Path(os.environ.get("BTFDBG_DEBUG", "")) / release / "vmlinux"
    if not vmlinux.exists():
        pytest.skip(f"no vmlinux of {release}")
    module = dump.with_name(dump.name.replace("-qemu-elf.vmcore", "-cf_fault.ko"))
    verdicts = measure(dump, vmlinux, module)
    assert [str(v) for v in verdicts if v.verdict == "wrong"] == []
    stopped = [v for v in verdicts if v.verdict != "did not fault"]
    assert len(stopped) >= 0.95 * len(verdicts)
    assert sum(v.verdict == "right" for v in stopped) >= 0.95 * len(stopped)
