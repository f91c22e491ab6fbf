"""drgn with the kernel's debug files: the truth that the arguments are held against.

Owns opening a dump with DWARF, its tasks, and the bytes of a value that DWARF gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import drgn
from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.sched import idle_task

from btfdbg.vmcore.open import open_core


def with_dwarf(dump: Path, vmlinux: Path, modules: Path | None) -> drgn.Program:
    """Open a dump with debug files only."""
    prog = drgn.Program()
    try:
        prog.set_core_dump(dump)
    except ValueError:  # it needs a VMCOREINFO note, and we have looked for the text in memory
        prog, _ = open_core(dump)
    try:
        prog.load_debug_info([str(vmlinux)])
    except drgn.MissingDebugInfoError:
        pass
    if modules is not None:
        loaded = {m.name for m, _ in prog.loaded_modules()}
        files = [
            p
            for p in modules.rglob("*.ko*")
            if p.name.split(".")[0].replace("-", "_") in loaded and p.suffix != ".functions"
        ]
        try:
            prog.load_debug_info([str(f) for f in dict.fromkeys(files)])
        except drgn.MissingDebugInfoError:
            pass
    return prog


def tasks(prog: drgn.Program) -> Iterator[drgn.Object]:
    """All tasks, idle ones included."""
    for cpu in for_each_online_cpu(prog):
        yield idle_task(prog, cpu)
    yield from for_each_task(prog)


def bits_of(value: drgn.Object) -> bytes | None:
    """The bytes of a value; None if DWARF does not give it whole."""
    try:
        if value.absent_:
            return None
        return bytes(value.to_bytes_())
    except (drgn.FaultError, drgn.ObjectAbsentError, ValueError, TypeError):
        return None
