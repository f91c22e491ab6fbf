"""``kmem -i``, ``swap`` and the sums behind them: each line stands alone.

Owns those tables. In drgn 0.3 one variable that is missing, or one page, ends the whole of
either; here its line has ``?`` and a remark says why.

Facts: drgn ``commands/_crash/_kmem.py`` and ``_mm.py`` for columns; ``lib/percpu_counter.c``
(a CPU's part is at most the batch); ``mm/swap_state.c`` before v5.12 (spaces of one swap file
are ``nr_swapper_spaces[type]``, files are numbered below ``nr_swapfiles``).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cached_property
from typing import Any

import drgn
from drgn import FaultError, Object

from btfdbg.errors import BtfdbgError
from btfdbg.patches.missing import program_of
from btfdbg.program import untyped
from btfdbg.program.session import Session, find_session
from btfdbg.program.walks import remark

Command = Callable[..., Any]
Pages = Callable[[], int]

UNKNOWN = "?"
# MAX_SWAPFILES is at most 32 (include/linux/swap.h).
_MAX_SWAPFILES = 64
_MAX_SPACES = 1 << 20
ERRORS = (FaultError, LookupError, AttributeError, TypeError, ValueError, BtfdbgError)


def reason(session: Session, error: Exception) -> str:
    """Why a line has no value, in words."""
    if isinstance(error, drgn.ObjectNotFoundError):
        return untyped.explain(session, error.name) or f"there is no {error.name}"
    if isinstance(error, FaultError):
        return f"memory at {error.address:#x} cannot be read"
    return str(error)


class _Memory:
    """The facts of ``kmem -i``; each is found once, and fails by itself."""

    def __init__(self, prog: drgn.Program) -> None:
        self._prog = prog

    @cached_property
    def total(self) -> int:
        from drgn.helpers.linux.mm import totalram_pages

        return totalram_pages(self._prog)

    @cached_property
    def free(self) -> int:
        from drgn.helpers.linux.vmstat import nr_free_pages

        return nr_free_pages(self._prog)

    @cached_property
    def buffers(self) -> int:
        from drgn.helpers.linux.block import nr_blockdev_pages

        return nr_blockdev_pages(self._prog)

    @cached_property
    def cached(self) -> int:
        from drgn.helpers.linux.swap import total_swapcache_pages
        from drgn.helpers.linux.vmstat import global_node_page_state

        pages: int = global_node_page_state(self._prog["NR_FILE_PAGES"])
        return pages - total_swapcache_pages(self._prog) - self.buffers

    @cached_property
    def slab(self) -> int:
        from drgn.helpers.linux.slab import slab_total_usage

        return slab_total_usage(self._prog).total_pages

    @cached_property
    def huge(self) -> Any:
        from drgn.helpers.linux.hugetlb import hugetlb_total_usage

        return hugetlb_total_usage(self._prog)

    @cached_property
    def swap(self) -> Any:
        from drgn.helpers.linux.swap import swap_total_usage

        return swap_total_usage(self._prog)

    @cached_property
    def limit(self) -> int:
        from drgn.helpers.linux.mm import vm_commit_limit

        return vm_commit_limit(self._prog)

    @cached_property
    def committed(self) -> int:
        from drgn.helpers.linux.mm import vm_memory_committed

        return vm_memory_committed(self._prog)


def _lines(facts: _Memory) -> tuple[tuple[str, Pages, Pages | None, str] | None, ...]:
    """Label, pages, and of what they are a part; ``None`` for an empty line."""

    def total() -> int:
        return facts.total

    def huge() -> int:
        return int(facts.huge.pages)

    def swap() -> int:
        return int(facts.swap.pages)

    def limit() -> int:
        return facts.limit

    return (
        ("TOTAL MEM", total, None, ""),
        ("FREE", lambda: facts.free, total, "TOTAL MEM"),
        ("USED", lambda: facts.total - facts.free, total, "TOTAL MEM"),
        ("BUFFERS", lambda: facts.buffers, total, "TOTAL MEM"),
        ("CACHED", lambda: facts.cached, total, "TOTAL MEM"),
        ("SLAB", lambda: facts.slab, total, "TOTAL MEM"),
        None,
        ("TOTAL HUGE", huge, None, ""),
        ("HUGE FREE", lambda: int(facts.huge.free_pages), huge, "TOTAL HUGE"),
        None,
        ("TOTAL SWAP", swap, None, ""),
        ("SWAP USED", lambda: int(facts.swap.used_pages), swap, "TOTAL SWAP"),
        ("SWAP FREE", lambda: int(facts.swap.free_pages), swap, "TOTAL SWAP"),
        None,
        ("COMMIT LIMIT", limit, None, ""),
        ("COMMITTED", lambda: facts.committed, limit, "TOTAL LIMIT"),
    )


def info(original: Command) -> Command:
    """``kmem -i``."""

    def run(prog: drgn.Program, drgn_arg: bool) -> Any:
        session = find_session(prog)
        if session is None or drgn_arg:
            return original(prog, drgn_arg)
        from drgn.helpers.common.format import CellFormat, print_table

        heads = [CellFormat(name, ">") for name in ("PAGES", "TOTAL")]
        rows: list[Any] = [("", *heads, CellFormat("PERCENTAGE", "^"))]
        unknown: dict[str, list[str]] = {}
        for line in _lines(_Memory(prog)):
            if line is None:
                rows.append(())
                continue
            label, pages, whole, of = line
            try:
                cells = _cells(prog, pages(), whole, of)
            except ERRORS as e:
                unknown.setdefault(reason(session, e), []).append(label)
                cells = [(UNKNOWN, ">"), (UNKNOWN, ">"), (UNKNOWN if whole else "----", "^")]
            rows.append((CellFormat(label, ">"), *(CellFormat(c, f) for c, f in cells)))
        print_table(rows)
        for why, labels in unknown.items():
            remark(prog, f"{', '.join(labels)}: not known, {why}")
        return None

    return run


def _cells(prog: drgn.Program, count: int, whole: Pages | None, of: str) -> list[tuple[Any, str]]:
    """The cells behind a label, with their formats."""
    share, alignment = "----", "^"
    if whole is not None:
        alignment = ">"
        try:
            total = whole()
            share = f"{count / total if total else 0:.0%} of {of}"
        except ERRORS:
            share = UNKNOWN  # of what it is a part is told in its own line
    return [(count, ">"), (_size(prog, count), ">"), (share, alignment)]


def _size(prog: drgn.Program, pages: int) -> str:
    from drgn.helpers.common.format import number_in_binary_units

    try:
        page_size = int(prog["PAGE_SIZE"].value_())
    except ERRORS:
        return UNKNOWN
    return "0" if pages == 0 else number_in_binary_units(pages * page_size) + "B"


def swap(original: Command) -> Command:
    """``swap``."""

    def run(prog: drgn.Program, name: str, args: argparse.Namespace, **kwargs: Any) -> Any:
        session = find_session(prog)
        if session is None or args.drgn:
            return original(prog, name, args, **kwargs)
        from drgn.helpers.common.format import CellFormat, print_table
        from drgn.helpers.linux.swap import for_each_swap_info

        rows: list[Any] = [
            (
                "SWAP_INFO_STRUCT", *(CellFormat(n, "^") for n in ("TYPE", "SIZE", "USED")),
                CellFormat("PCT", ">"), CellFormat("PRI", ">"), "FILENAME",
            )
        ]  # fmt: skip
        # An array of no files is none to be read.
        if int(prog["nr_swapfiles"]):
            rows += (_swap_row(session, si) for si in for_each_swap_info(prog))
        print_table(rows)
        return None

    return run


def _swap_row(session: Session, si: Object) -> tuple[Any, ...]:
    from drgn.helpers.common.format import CellFormat, escape_ascii_string
    from drgn.helpers.linux.swap import swap_file_path, swap_is_file, swap_usage_in_pages

    prog = session.prog

    def cell(what: str, get: Callable[[], Any]) -> Any:
        try:
            return get()
        except ERRORS as e:
            remark(prog, f"{what} of {si.value_():#x} is not known: {reason(session, e)}")
            return UNKNOWN

    size = cell("SIZE", lambda: int(si.pages) * int(prog["PAGE_SIZE"]) // 1024)
    used = cell("USED", lambda: swap_usage_in_pages(si) * int(prog["PAGE_SIZE"]) // 1024)
    both = isinstance(size, int) and isinstance(used, int) and size
    return (
        CellFormat(si.value_(), "x"),
        CellFormat(cell("TYPE", lambda: "FILE" if swap_is_file(si) else "PARTITION"), "^"),
        *(CellFormat(f"{n}k" if isinstance(n, int) else n, "^") for n in (size, used)),
        CellFormat(f"{used / size:.0%}" if both else UNKNOWN, ">"),
        CellFormat(cell("PRI", si.prio.value_), ">"),
        cell("FILENAME", lambda: escape_ascii_string(swap_file_path(si))),
    )


def percpu_counter_sum(original: Command) -> Command:
    """The sum of a per-CPU counter, without the parts of CPUs whose page is missing."""

    def total(fbc: Object) -> int:
        prog = fbc.prog_
        try:
            number: int = original(fbc)
            return number
        except FaultError:
            if find_session(prog) is None:
                raise
        from drgn.helpers.linux.cpumask import for_each_online_cpu
        from drgn.helpers.linux.percpu import per_cpu_ptr

        number = fbc.count.value_()
        for cpu in for_each_online_cpu(prog):
            try:
                number += per_cpu_ptr(fbc.counters, cpu)[0].value_()
            except FaultError:
                remark(prog, "a counter lacks the parts of CPUs that cannot be read", f"CPU {cpu}")
        return number

    return total


def total_swapcache_pages(original: Command) -> Command:
    """Pages in the swap cache, where nothing proves how long the arrays are that are summed."""

    def total(*args: Any, **kwargs: Any) -> int:
        prog = program_of(args)[0]
        if find_session(prog) is not None and not _has(prog, "NR_SWAPCACHE"):
            try:
                counts, spaces = prog["nr_swapper_spaces"], prog["swapper_spaces"]
            except KeyError:
                pass
            else:
                return _in_spaces(counts, spaces, int(prog["nr_swapfiles"]))
        number: int = original(*args, **kwargs)
        return number

    return total


def _has(prog: drgn.Program, name: str) -> bool:
    try:
        prog.constant(name)
    except LookupError:
        return False
    return True


def _in_spaces(counts: Object, spaces: Object, files: int) -> int:
    """
    Pages of all address spaces of all swap files.

    :raises ValueError: a number is not believable.
    """
    if not 0 <= files <= _MAX_SWAPFILES:
        raise ValueError(f"nr_swapfiles is {files}")
    number = 0
    for file in range(files):
        count = int(counts[file])
        if not 0 <= count <= _MAX_SPACES:
            raise ValueError(f"nr_swapper_spaces[{file}] is {count}")
        # swapoff leaves an empty slot.
        if spaces[file]:
            number += sum(spaces[file][space].nrpages.value_() for space in range(count))
    return number
