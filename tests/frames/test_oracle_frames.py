"""Arguments against DWARF, on whole dumps of whatever kernels there are.

``BTFDBG_DUMPS=FOLDER BTFDBG_DEBUG=FOLDER python -m pytest -m oracle tests/frames``

``BTFDBG_DEBUG`` holds a folder for each release, with ``vmlinux`` and ``modules/``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import btfdbg
from tests.frames.live import compare

pytestmark = pytest.mark.oracle

# Parameters that their function changes: DWARF says the present value, we the one at entry.
CHANGED = {
    ("__get_user_pages", "start"),
    ("__get_user_pages", "nr_pages"),
    ("do_sendfile", "max"),
    ("do_dentry_open", "open"),
}


def dumps() -> list[Path]:
    """Whole dumps; those that were trimmed have no code."""
    folder = os.environ.get("BTFDBG_DUMPS", "")
    return sorted(Path(folder).glob("*-qemu-elf.vmcore")) if folder else []


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("dump", dumps(), ids=lambda p: p.name)
def test_no_argument_is_wrong_and_few_are_missing(dump: Path) -> None:
    pytest.importorskip("capstone")
    session = btfdbg.session(btfdbg.program_from_core_dump(dump))
    debug = Path(os.environ.get("BTFDBG_DEBUG", "")) / session.release
    if not (debug / "vmlinux").exists():
        pytest.skip(f"no vmlinux of {session.release}")
    found = compare(dump, debug / "vmlinux", debug / "modules")
    if not found.counts["pairs"]:
        pytest.skip("no stack of this architecture is read")
    wrong = []
    for text in found.differ:
        where, parameter = text.split(":")[0].split(" ")
        if (where.partition("+")[0], parameter) not in CHANGED:
            wrong.append(text)
    assert wrong == []
    assert found.counts["ours"] >= 0.88 * found.counts["pairs"]
    assert found.counts["agree"] >= 0.98 * found.counts["dwarf"] - len(found.differ)
