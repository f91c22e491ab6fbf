"""Variables that clang keeps as one byte of two values, with the symbol table as the truth.

``BTFDBG_VMLINUX`` is a list of vmlinux files with DWARF, as in ``$PATH``; those that clang made
count. A symbol's own size is not in kallsyms: one byte where the source has an ``int`` is what
LLVM's GlobalOpt left of it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from drgn import TypeKind, sizeof

from btfdbg.cli.vars.check import _of_vmlinux
from btfdbg.varextract.elfkernel import ElfKernel
from btfdbg.varextract.elfsyms import read_symbols
from btfdbg.variables import shipped_database
from btfdbg.variables.placement import SectionKind
from btfdbg.variables.provenance import Rejection

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(3600)]

FILES = [Path(p) for p in os.environ.get("BTFDBG_VMLINUX", "").split(os.pathsep) if p]
needs_kernels = pytest.mark.skipif(not FILES, reason="BTFDBG_VMLINUX names no vmlinux with DWARF")
each_kernel = pytest.mark.parametrize("vmlinux", FILES, ids=[p.parent.name for p in FILES])
_NUMBERS = (TypeKind.INT, TypeKind.ENUM)
LEAST_REFUSED = 20


@needs_kernels
@each_kernel
def test_no_number_is_wider_than_the_byte_that_code_reads_of_it(vmlinux: Path) -> None:
    pytest.importorskip("capstone")
    kernel = ElfKernel(vmlinux)
    unique, types, _, _ = _of_vmlinux(vmlinux, shipped_database, None)
    context = types._prepared()
    if not context.facts.is_made_by_clang():
        pytest.skip("clang did not make it")
    refused, wrong = set(), set()
    for symbol in read_symbols(vmlinux).symbols:
        name = symbol.name.partition(".llvm.")[0]
        if symbol.size != 1 or not unique(name):
            continue
        (place,) = kernel.by_name(name)
        found = types.find(name)
        if types.cause(name) is Rejection.SHRUNK:
            refused.add(name)
        elif found is not None and found.type.unaliased_kind() in _NUMBERS:
            silent = context.evidence.accesses is None or context.evidence.accesses(place) is None
            freed = context.places.of(place.address) is SectionKind.INIT
            if sizeof(found.type) > 1 and not silent and not freed:
                wrong.add(f"{name}: {found.type.type_name()}")
    assert not wrong
    assert len(refused) >= LEAST_REFUSED, sorted(refused)
