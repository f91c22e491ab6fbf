"""drgn with the kernel's debug files: the truth that the arguments are held against.

Owns opening a dump with DWARF, its tasks, and the bytes of a value that DWARF gives; and which
functions a comparison asks about.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import drgn
from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.sched import idle_task

from btfdbg.btf import Kind
from btfdbg.frames.recover import Recovery
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


def function_names(made: Recovery, chance: random.Random) -> list[str]:
    """Names of all functions that BTF has, in random order."""
    btf = made.session.vmlinux
    ids = [i for i in btf.own_ids() if btf.kind_of(i) == Kind.FUNC]
    chance.shuffle(ids)
    return [btf.name_of(i) for i in ids]


def named(made: Recovery, names: Iterable[str]) -> Iterator[int]:
    """Starts of functions, by name."""
    for name in names:
        yield from {s.address for s in made.text.by_name(name, "")}


def bits_of(value: drgn.Object) -> bytes | None:
    """The bytes of a value; None if DWARF does not give it whole."""
    try:
        if value.absent_:
            return None
        return bytes(value.to_bytes_())
    except (drgn.FaultError, drgn.ObjectAbsentError, ValueError, TypeError):
        return None
