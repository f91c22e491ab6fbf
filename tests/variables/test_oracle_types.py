"""Types of variables against the DWARF of whole kernels: ``BTFDBG_VMLINUX`` says which.

A list of vmlinux files with DWARF, as in ``$PATH``. Each is measured with the shipped
database as it is, and as if it had never seen a kernel of that series.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path

import pytest

from btfdbg.vardb.database import Database
from btfdbg.vardb.textdb import series_of
from btfdbg.varextract.check import Report, compare
from btfdbg.varextract.elfkernel import ElfKernel
from btfdbg.varextract.extract import Row, extract, release_of
from btfdbg.variables import VariableTypes, shipped_database
from btfdbg.variables.evidence import DumpEvidence

pytestmark = pytest.mark.oracle

FILES = [Path(p) for p in os.environ.get("BTFDBG_VMLINUX", "").split(os.pathsep) if p]
needs_kernels = pytest.mark.skipif(not FILES, reason="BTFDBG_VMLINUX names no vmlinux with DWARF")
each_kernel = pytest.mark.parametrize("vmlinux", FILES, ids=[p.parent.name for p in FILES])
# In percent of the variables compared.
MOST_WRONG_UNSEEN, LEAST_RIGHT_UNSEEN = 0.1, 92.0
LEAST_RIGHT_KNOWN = 99.5


@lru_cache(maxsize=1)
def _kernel(vmlinux: Path) -> tuple[ElfKernel, tuple[Row, ...], str]:
    return ElfKernel(vmlinux), extract(vmlinux).rows, release_of(vmlinux) or vmlinux.parent.name


def _types(vmlinux: Path, database: Database) -> VariableTypes:
    kernel, _, release = _kernel(vmlinux)
    return VariableTypes(
        kernel.prog,
        DumpEvidence(
            kernel,
            release=release,
            architecture=kernel.machine,
            btf=kernel.btf,
            symbol_at=kernel.by_address,
        ),
        database=lambda: database,
    )


def _measure(vmlinux: Path, database: Database) -> Report:
    kernel, rows, _ = _kernel(vmlinux)
    types = _types(vmlinux, database)
    return compare(
        rows, lambda name: len(kernel.by_name(name)) == 1, types.find, kernel.btf(), types.cause
    )


def _show(report: Report) -> str:
    return "\n".join((*report.lines(), *map(str, report.wrong)))


@needs_kernels
@each_kernel
def test_no_type_is_wrong_in_a_kernel_that_the_database_knows(vmlinux: Path) -> None:
    database = shipped_database()
    _, _, release = _kernel(vmlinux)
    if release not in {kernel.release for kernel in database.kernels}:
        pytest.skip(f"{release} is not in the database")
    report = _measure(vmlinux, database)
    assert not report.wrong, _show(report)
    assert 100 * sum(report.right.values()) >= LEAST_RIGHT_KNOWN * report.total, _show(report)


@needs_kernels
@each_kernel
def test_few_types_are_wrong_in_a_series_that_the_database_lacks(vmlinux: Path) -> None:
    major = series_of(_kernel(vmlinux)[2]).partition(".")[0]
    database = shipped_database().without(lambda k: _is_relative(k.series, major, vmlinux))
    report = _measure(vmlinux, database)
    assert 100 * len(report.wrong) <= MOST_WRONG_UNSEEN * report.total, _show(report)
    assert 100 * sum(report.right.values()) >= LEAST_RIGHT_UNSEEN * report.total, _show(report)


def _is_relative(series: str, major: str, vmlinux: Path) -> bool:
    """Of the same series; of 7.x, all."""
    mine = series_of(_kernel(vmlinux)[2])
    return series == mine or (major == "7" and series.startswith("7."))


@needs_kernels
@each_kernel
def test_what_drgn_looks_up_has_no_wrong_type(vmlinux: Path) -> None:
    names = os.environ.get("BTFDBG_DRGN_NAMES")
    if not names:
        pytest.skip("BTFDBG_DRGN_NAMES names no list of the objects that drgn looks up")
    objects = json.loads(Path(names).read_text(encoding="utf-8"))["objects"]
    wanted = {entry["name"] for entry in objects if entry["kind"] == "variable"}
    report = _measure(vmlinux, shipped_database())
    assert not [w for w in report.wrong if w.name in wanted], _show(report)
    assert not [row for row in report.untyped if row.name in wanted]
