"""``kmem -V``: each counter stands alone.

Owns that table. In drgn 0.3 one array that is missing, or has no symbol, ends the whole of it;
here its lines have ``?`` and a remark says why.

Facts: drgn ``commands/_crash/_kmem.py`` for headings and columns; ``include/linux/mmzone.h``
and ``include/linux/vm_event_item.h`` for the enums, whose last enumerator is their number
(``NR_VM_NUMA_STAT_ITEMS`` before commit f19298b9516c, in v5.14).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import drgn

from btfdbg.errors import BtfdbgError
from btfdbg.patches.kmem import ERRORS, UNKNOWN, reason
from btfdbg.program.session import find_session
from btfdbg.program.walks import remark

Command = Callable[..., Any]
_MAX_NAMED = 3


def vm_stat(original: Command) -> Command:
    """``kmem -V``."""

    def run(prog: drgn.Program, drgn_arg: bool) -> Any:
        session = find_session(prog)
        if session is None or drgn_arg:
            return original(prog, drgn_arg)
        from drgn.helpers.common.format import CellFormat, RowOptions, print_table

        rows: list[Any] = []
        unknown: dict[str, list[str]] = {}
        for heading, lines in _sections(prog):
            if rows:
                rows.append(())
            rows.append(RowOptions((f"{heading}:",), group=1))
            for name, value in lines:
                try:
                    cell: Any = value()
                except ERRORS as e:
                    cell = UNKNOWN
                    unknown.setdefault(reason(session, e), []).append(name)
                rows.append((CellFormat(f"  {name}", ">"), CellFormat(cell, "<")))
        print_table(rows, sep=": ")
        for why, names in unknown.items():
            more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
            remark(prog, f"{', '.join(names[:_MAX_NAMED])}{more}: not known, {why}")
        return None

    return run


Line = tuple[str, Callable[[], int]]


def _sections(prog: drgn.Program) -> Iterator[tuple[str, list[Line]]]:
    from drgn.helpers.linux import vmstat

    of_zones = _lines(prog, "zone_stat_item", vmstat.global_zone_page_state)
    of_nodes = _lines(prog, "node_stat_item", vmstat.global_node_page_state)
    of_numa = _lines(prog, "numa_stat_item", vmstat.global_numa_event_state)
    yield "VM_ZONE_STAT", of_zones[0]
    yield "VM_NODE_STAT", of_nodes[0]
    if of_numa[1]:
        yield "VM_NUMA_EVENT" if "EVENT" in of_numa[1] else "VM_NUMA_STAT", of_numa[0]
    if _may_have(prog, "vm_event_states"):
        yield "VM_EVENT_STATES", _lines(prog, "vm_event_item", vmstat.global_vm_event_state)[0]


def _lines(prog: drgn.Program, tag: str, counter: Callable[..., int]) -> tuple[list[Line], str]:
    """The lines of an enum's counters, and the enumerator that is their number."""
    try:
        enumerators = prog.type(f"enum {tag}").enumerators or ()
    except LookupError:
        return [], ""
    found: list[Line] = []
    for name, item in enumerators:
        if name.startswith("NR_VM_") and name.endswith("_ITEMS"):
            return found, name

        def value(item: int = item) -> int:
            return counter(prog, item)

        found.append((name, value))
    return found, tag


def _may_have(prog: drgn.Program, name: str) -> bool:
    """Whether a kernel has a variable, or must have it."""
    try:
        return name in prog
    except BtfdbgError:
        return True
