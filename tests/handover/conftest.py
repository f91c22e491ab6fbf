"""Sessions on bundled dumps whose symbols are few, so that a test types few variables."""

from __future__ import annotations

from pathlib import Path

import pytest

import btfdbg
from btfdbg.kallsyms.listed import ListedTable
from btfdbg.program.session import Session, session

FEW = """
    _text _stext _etext _sdata _edata __bss_start __bss_stop _end __per_cpu_start __per_cpu_end
    _sinittext _einittext __start_rodata __end_rodata __start_notes __stop_notes
    __start_BTF __stop_BTF __start_orc_unwind_ip __stop_orc_unwind_ip __start_orc_unwind
    __stop_orc_unwind init_task init_mm init_files linux_banner modules runqueues jiffies_64
    pgdat_list node_data contig_page_data schedule do_exit panic super_blocks saved_command_line
    init_top_pgt swapper_pg_dir mod_tree vmap_area_list init_uts_ns
"""


@pytest.fixture(scope="session")
def whole(x86_core: Path) -> Session:
    """A bundled x86-64 dump with all its symbols."""
    return session(btfdbg.program_from_core_dump(x86_core))


@pytest.fixture
def few(whole: Session, monkeypatch: pytest.MonkeyPatch) -> Session:
    """The same, with the symbols of :data:`FEW` only."""
    table = whole.symbols
    assert table is not None
    syms = [sym for name in FEW.split() for sym in table.by_name(name)]
    monkeypatch.setattr(whole, "symbols", ListedTable(syms, "a few", complete=False))
    return whole
