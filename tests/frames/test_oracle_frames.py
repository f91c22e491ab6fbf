"""Arguments against DWARF, on whole dumps of whatever kernels there are.

``BTFDBG_DUMPS=FOLDER BTFDBG_DEBUG=FOLDER python -m pytest -m oracle tests/frames``

``BTFDBG_DEBUG`` holds a folder for each release, with ``vmlinux`` and ``modules/``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import btfdbg
from btfdbg.frames.exception import registers_at
from btfdbg.frames.lines import lines
from tests.frames.executed import Executed
from tests.frames.live import NOT_EXPLAINED, WRONG, compare

pytestmark = pytest.mark.oracle


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
    found = compare(dump, debug / "vmlinux", debug / "modules", entry=True)
    if not found.counts["pairs"]:
        pytest.skip("no stack of this architecture is read")
    assert [t for t in found.differ if WRONG in t or NOT_EXPLAINED in t] == []
    assert found.wrong == {}
    assert found.counts["ours"] >= 0.88 * found.counts["pairs"]
    assert found.counts["agree"] >= 0.98 * found.counts["dwarf"] - len(found.differ)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("dump", dumps(), ids=lambda p: p.name)
def test_what_the_analysis_says_is_so_when_the_code_runs(dump: Path) -> None:
    pytest.importorskip("capstone")
    pytest.importorskip("unicorn")
    executed = Executed(dump, seed=1)
    executed.run(executed.functions(100), runs=8)
    assert executed.wrong == {}
    assert executed.counts["checked entry"] > 5000
    assert executed.counts["checked the same"] > 500


@pytest.mark.parametrize(
    "dump", [d for d in dumps() if "arm64-null-deref" in d.name], ids=lambda p: p.name
)
def test_a_leafs_caller_that_the_unwinder_leaves_out_is_found(dump: Path) -> None:
    pytest.importorskip("capstone")
    session = btfdbg.session(btfdbg.program_from_core_dump(dump))
    trace = session.prog.crashed_thread().stack_trace()
    told = lines(session, trace)
    guilty = next(i for i, f in enumerate(trace) if (f.name or "").startswith("cf_level3"))
    assert told[guilty].caller.startswith("cf_level2")
    # With its registers the frames behind it have theirs.
    trigger = next(i for i, f in enumerate(trace) if f.name == "cf_trigger")
    assert "value=" in told[trigger].arguments
    assert '"null\\n"' in told[trigger].arguments


@pytest.mark.parametrize(
    "dump", [d for d in dumps() if "arm64-null-deref" in d.name], ids=lambda p: p.name
)
def test_the_registers_at_an_exception_are_found_without_the_unwinder(dump: Path) -> None:
    session = btfdbg.session(btfdbg.program_from_core_dump(dump))
    trace = session.prog.crashed_thread().stack_trace()
    guilty = next(i for i, f in enumerate(trace) if (f.name or "").startswith("cf_level3"))
    registers = registers_at(session.prog, trace, guilty)
    assert registers is not None
    assert (registers["x2"], registers["pc"]) == (0, trace[guilty].pc)
    assert registers_at(session.prog, trace, guilty + 1) is None
