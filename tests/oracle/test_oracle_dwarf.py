"""Whole dumps against DWARF, asked afresh: ``BTFDBG_DUMPS`` and ``BTFDBG_DEBUG`` say where.

``BTFDBG_DEBUG`` holds one folder per release with ``vmlinux`` and the modules'
.ko files in it (``python -m corefiles debug``). The bundled dumps come with
answers recorded in the same way; see ``tests/bundled``.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import drgn
import pytest

import btfdbg
from btfdbg.variables import shipped_database
from corefiles.manifest import entry_path, read_entry
from corefiles.oracle import answers, compare

pytestmark = pytest.mark.oracle


def _pairs() -> list[tuple[Path, Path]]:
    dumps, debug = os.environ.get("BTFDBG_DUMPS"), os.environ.get("BTFDBG_DEBUG")
    if not dumps or not debug:
        return []
    found = []
    for dump in sorted(Path(dumps).glob("*.vmcore")):
        if not entry_path(dump).exists():
            continue
        entry = read_entry(dump)
        folder = Path(debug) / entry["release"]
        # drgn opens these without help, whoever supplies the debug info.
        alone = entry["how"].startswith(("qemu-elf", "kdump-"))
        if alone and entry["arch"] in ("amd64", "arm64") and (folder / "vmlinux").exists():
            found.append((dump, folder))
    return found


PAIRS = _pairs()
needs_dumps = pytest.mark.skipif(
    not PAIRS, reason="BTFDBG_DUMPS and BTFDBG_DEBUG name no dumps with debug files"
)
each_dump = pytest.mark.parametrize(("dump", "debug"), PAIRS, ids=[dump.name for dump, _ in PAIRS])


@lru_cache(maxsize=1)
def truth(dump: Path, debug: Path) -> dict[str, Any]:
    # Our own module is built anew for each dump and kept under the dump's name.
    own = [
        ko
        for ko in dump.parent.glob("*-cf_*.ko")
        if dump.name.startswith(ko.name.partition("-cf_")[0] + "-")
    ]
    try:
        return answers.record(dump, debug, own)
    except drgn.FaultError as e:
        # makedumpfile left out what it should not have.
        pytest.skip(f"with DWARF the dump cannot be looked at either: {e}")


@lru_cache(maxsize=1)
def program(dump: Path) -> drgn.Program:
    return btfdbg.program_from_core_dump(dump)


@needs_dumps
@each_dump
def test_types_are_those_of_dwarf(dump: Path, debug: Path) -> None:
    difference = compare.compare_types(program(dump), truth(dump, debug))
    assert difference.equal == difference.total > 10_000


@needs_dumps
@each_dump
def test_variables_are_those_of_dwarf(dump: Path, debug: Path) -> None:
    difference = compare.compare_variables(program(dump), truth(dump, debug))
    assert difference.equal > 10_000
    assert not difference.different
    if truth(dump, debug)["release"] not in {k.release for k in shipped_database().kernels}:
        # Of a kernel that the database does not have, some lengths are rightly left open.
        assert len(difference.unsized) <= 0.01 * difference.total
        return
    # Its length is that of a text that differs from build to build.
    assert set(difference.unsized) <= {"linux_banner"}


@needs_dumps
@each_dump
def test_stacks_are_those_of_dwarf(dump: Path, debug: Path) -> None:
    difference = compare.compare_stacks(program(dump), truth(dump, debug))
    assert difference.total > 20
    assert not difference.missing
    wrong = [
        d
        for d in difference.different
        if not compare.lacks_leaf_caller(d, program(dump)) and not compare.dwarf_runs_in_circles(d)
    ]
    assert not wrong


@needs_dumps
@each_dump
def test_commands_that_work_with_dwarf_work_without(dump: Path, debug: Path) -> None:
    results = compare.compare_commands(program(dump), truth(dump, debug))
    assert len(results) > 100
    assert not [line for line, (o, _) in results.items() if o is compare.Outcome.WORSE]
