"""Modules that a kernel's maker does not answer for: out of tree, unsigned, proprietary."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from btfdbg.report.calls import UNREADABLE
from btfdbg.report.counts import counted
from btfdbg.report.look import Look
from btfdbg.report.parts import Item, Line, Table
from btfdbg.report.registry import check

_MAX = 1 << 14
# include/linux/panic.h: bits of module.taints.
_BITS = {0: "proprietary", 1: "forced", 10: "staging", 12: "out of tree", 13: "unsigned",
         15: "live patch", 18: "test"}  # fmt: skip


@check("modules", "Modules", needs=("struct module",), more=("mod", "mod -t"), order=80)
def modules(look: Look) -> Iterator[Item]:
    """Print the modules that taint, and how many there are."""
    from drgn.helpers.linux.module import for_each_module

    count = lost = 0
    rows = []
    for module in itertools.islice(for_each_module(look.prog), _MAX):
        count += 1
        try:
            bits = int(module.taints)
            name = module.name.string_().decode("utf-8", "backslashreplace")
        except UNREADABLE:
            lost += 1
            look.pass_over()
            continue
        meant = [words for bit, words in _BITS.items() if bits >> bit & 1]
        if meant:
            rows.append((name, ", ".join(meant)))
    yield Line(f"{counted(count, 'modules')} {'is' if count == 1 else 'are'} loaded.")
    if lost:
        yield Line(f"What taints {counted(lost, 'modules')} cannot be told.", "note")
    if rows:
        yield Table(("module", "is"), tuple(rows), "not the kernel's own")
