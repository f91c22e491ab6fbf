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

from btfdbg.cdecl import format_type
from btfdbg.kallsyms.choice import is_text
from btfdbg.vardb.database import Database
from btfdbg.vardb.textdb import series_of
from btfdbg.varextract.check import Report, compare, completes, is_same_by_another_name
from btfdbg.varextract.elfkernel import ElfKernel
from btfdbg.varextract.extract import Row, extract, release_of
from btfdbg.variables import VariableTypes, shipped_database
from btfdbg.variables.convert import describe
from btfdbg.variables.evidence import DumpEvidence
from btfdbg.variables.structural_index import StructuralIndex

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


@needs_kernels
@each_kernel
@pytest.mark.parametrize("is_known", [True, False], ids=["known", "left out"])
def test_no_type_of_a_variable_that_shares_its_name_is_wrong(
    vmlinux: Path, *, is_known: bool
) -> None:
    """Each is judged by its place, which is what the comparison by name leaves out."""
    database = shipped_database()
    kernel, rows, release = _kernel(vmlinux)
    if not is_known:
        series = series_of(release)
        database = database.without(lambda one: one.series == series)
    types, shapes = _types(vmlinux, database), StructuralIndex(kernel.btf())
    truth = {(row.name, row.address): row.type for row in rows}
    right, wrong = 0, []
    for (name, address), declared in truth.items():
        symbols = [s for s in kernel.by_name(name) if not is_text(s)]
        if len({s.address for s in symbols}) < 2:
            continue
        found = types.find_at(name, address)
        if found is None:
            continue
        given = format_type(describe(found.type))
        same = given == declared or completes(given, declared) or completes(declared, given)
        if same or is_same_by_another_name(kernel.btf(), shapes, given, declared):
            right += 1
        else:
            wrong.append(f"{name} at {address:#x}: {declared} | {given} | {found.note}")
    assert right > 100
    assert not wrong, "\n".join(wrong)


@needs_kernels
@each_kernel
def test_both_parameters_that_are_called_max_cstate_have_their_own_type(vmlinux: Path) -> None:
    """intel_idle.max_cstate is an int and processor.max_cstate an unsigned int."""
    _, rows, _ = _kernel(vmlinux)
    truth = {row.address: row.type for row in rows if row.name == "max_cstate"}
    if len(truth) < 2:
        pytest.skip("this kernel has it once, or not at all")
    types = _types(vmlinux, shipped_database())
    found = {v.address: v.type.type_name() for v in types.of_symbols("max_cstate")}
    assert found == truth
    assert sorted(truth.values()) == ["int", "unsigned int"]
    first = types.first_linked("max_cstate")
    assert first is not None
    assert first.address == min(truth)
