"""``mach``: the machine that the dump is from."""

from __future__ import annotations

import argparse
from typing import Any

import drgn
from drgn.commands import CommandError, argument

from btfdbg.commands.define import prompt_command
from btfdbg.commands.text import Table
from btfdbg.program.session import Session
from btfdbg.vmcore.platforms import machine_of

_MAX_RANGES = 4096


@prompt_command(
    name="mach",
    description="the machine: page size, CPUs, layout of the kernel's memory",
    long_description="""
    Show what kind of machine the dump is from and where the kernel's memory areas
    begin. -m lists the physical memory map (the firmware's on x86, memblock's
    elsewhere), -c the structure that the kernel keeps of each CPU.
    """,
    arguments=(
        argument("-m", dest="map", action="store_true", help="the physical memory map"),
        argument("-c", dest="cpus", action="store_true", help="each CPU's cpuinfo structure"),
        argument("-x", dest="hexadecimal", action="store_true", help="with -c: in hexadecimal"),
        argument("-d", dest="decimal", action="store_true", help="with -c: in decimal"),
        argument("-o", dest="opal", action="store_true", help="the OPAL log (ppc64 only)"),
    ),
    examples=(("mach", "what the machine is"),),
    table=True,
)
def mach(session: Session, args: argparse.Namespace) -> Table | None:
    """Run the command."""
    if args.opal:
        raise CommandError("-o: the OPAL console log is PowerNV's; type log")
    if args.map:
        return _map(session.prog)
    if args.cpus:
        return _cpus(session.prog, 16 if args.hexadecimal else 10, args.json)
    return _machine(session)


def _machine(session: Session) -> Table:
    from drgn.helpers.linux.cpumask import num_online_cpus, num_present_cpus
    from drgn.helpers.linux.mm import totalram_pages

    prog = session.prog
    platform = prog.platform
    table = Table(("what", "value"))

    def add(what: str, value: Any) -> None:
        try:
            table.rows.append((what, str(value())))
        except (LookupError, drgn.FaultError, AttributeError, ValueError):
            pass  # a kernel without it has no such row

    add("machine type", lambda: machine_of(platform) or "?")
    add("memory size",
        lambda: f"{_megabytes(totalram_pages(prog) * prog['PAGE_SIZE'])} MB")  # fmt: skip
    add("cpus", lambda: num_present_cpus(prog))
    add("online cpus", lambda: num_online_cpus(prog))
    add("processor speed", lambda: _speed(prog["cpu_khz"].value_()))
    add("hz", lambda: _hz(prog))
    add("page size", lambda: prog["PAGE_SIZE"].value_())
    for what, name in (
        ("kernel virtual base", "page_offset_base"),
        ("kernel vmalloc base", "vmalloc_base"),
        ("kernel vmemmap base", "vmemmap_base"),
        ("physical base", "phys_base"),
        ("start of linear map", "memstart_addr"),
        ("kernel image offset", "kimage_voffset"),
    ):
        add(what, lambda name=name: f"{prog[name].value_():x}")
    add("kernel text", lambda: f"{prog.symbol('_stext').address:x}")
    add("kernel stack size", lambda: prog["THREAD_SIZE"].value_())
    return table


def _speed(khz: int) -> str:
    return f"{khz // 1000} MHz" if khz else "(unknown)"  # 0 until the kernel has measured it


def _megabytes(size: Any) -> str:
    return f"{int(size) / (1 << 20):.1f}"


def _hz(prog: drgn.Program) -> int:
    # A jiffy in nanoseconds is kept by the clock that counts in jiffies.
    clock = prog["clocksource_jiffies"]
    nanoseconds: float = clock.mult.value_() / (1 << clock.shift.value_())
    return round(1e9 / nanoseconds)


def _map(prog: drgn.Program) -> Table:
    table = Table(("start", "end", "type"), formats={"start": "016x", "end": "016x"})
    try:
        entries = prog["e820_table"]
    except LookupError:
        return _memblock(prog, table)
    if entries.type_.kind is drgn.TypeKind.POINTER:
        entries = entries[0]
    names = _e820_names(prog)
    for i in range(min(entries.nr_entries.value_(), _MAX_RANGES)):
        entry = entries.entries[i]
        start, kind = entry.addr.value_(), int(entry.type)
        table.rows.append((start, start + entry.size.value_(), names.get(kind, f"type {kind}")))
    return table


def _e820_names(prog: drgn.Program) -> dict[int, str]:
    try:
        return {e.value: e.name for e in prog.type("enum e820_type").enumerators or ()}
    except LookupError:
        return {}


def _memblock(prog: drgn.Program, table: Table) -> Table:
    try:
        block = prog["memblock"]
    except LookupError:
        raise CommandError(
            "-m: neither e820_table nor memblock is known for this dump; type dev -i, or"
            " p iomem_resource"
        ) from None
    for name in ("memory", "reserved"):
        regions = block.member_(name)
        for i in range(min(regions.cnt.value_(), _MAX_RANGES)):
            region = regions.regions[i]
            start = region.base.value_()
            table.rows.append((start, start + region.size.value_(), name))
    return table


def _cpus(prog: drgn.Program, base: int, as_rows: bool) -> Table | None:
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.percpu import per_cpu

    table = Table(("cpu", "address", "variable"), formats={"address": "x"})
    for name in ("cpu_info", "cpu_data"):
        try:
            variable = prog[name]
        except LookupError:
            continue
        for cpu in for_each_possible_cpu(prog):
            found = per_cpu(variable, cpu)
            table.rows.append((cpu, found.address_, name))
            if not as_rows:
                print(f"CPU {cpu}:")
                print(found.format_(integer_base=base))
        return table if as_rows else None
    raise CommandError("-c: this kernel has no cpu_info or cpu_data; type p __per_cpu_offset")
