"""Which variables each CPU has a copy of, and where the copies are.

Owns telling a per-CPU variable from others, in the kernel and in its modules. The address that
its symbol has is the template's: what the variables start with, in memory that is given away
after boot, or an offset that is no address at all.

Facts: ``include/asm-generic/percpu.h`` (per_cpu_ptr), ``mm/percpu.c``;
``kernel/module/main.c`` (simplify_symbols(): a module's per-CPU symbols are relative to
``module.percpu``, which is relative to each CPU's area as the kernel's are).
"""

from __future__ import annotations

from collections.abc import Iterator

import drgn
from drgn import FaultError, Object

from btfdbg.btf import Kind, kinds
from btfdbg.kallsyms import Sym
from btfdbg.program.session import Session

_CACHE_KEY = "btfdbg.percpu_of_modules"
# The kernel reserves 8 KiB for modules and may take more in one piece.
_MAX_SIZE = 1 << 20
_MAX_TEMPLATE = 1 << 26


def is_per_cpu(session: Session, name: str) -> bool:
    """
    Whether a name is that of a per-CPU variable.

    >>> is_per_cpu(session, "runqueues")
    True

    :param name: A variable's; anything else is none.
    """
    symbols = session.lookup_symbols(name)
    if any(sym.percpu for sym in symbols):
        try:
            address = session.prog[name].address_
        except LookupError:
            return all(sym.percpu for sym in symbols)
        return any(sym.percpu and sym.address == address for sym in symbols)
    if not name.isidentifier():
        return False
    ranges = [] if symbols else of_modules(session)
    in_kernel = None if _ends(session) else _template(session)
    if in_kernel:
        ranges = [in_kernel, *ranges]
    if not ranges:
        return False
    try:
        address = session.prog[name].address_
    except (LookupError, FaultError):
        return False
    return address is not None and any(start <= address < end for start, end in ranges)


def in_template(session: Session, address: int) -> bool:
    """Whether an address is in the template of the kernel's per-CPU variables."""
    template = _template(session)
    return template is not None and template[0] <= address < template[1]


def _ends(session: Session) -> tuple[Sym, ...]:
    """``__per_cpu_end``; nothing where kallsyms has no data symbols (CONFIG_KALLSYMS_ALL=n)."""
    return session.lookup_symbols("__per_cpu_end")


def _template(session: Session) -> tuple[int, int] | None:
    """Start and end of the kernel's template; without its last symbol, BTF's section ends it."""
    starts, ends = session.lookup_symbols("__per_cpu_start"), _ends(session)
    if len(starts) != 1 or len(ends) > 1:
        return None
    start = starts[0].address
    if ends:
        return start, ends[0].address
    btf = session.vmlinux
    sizes = [
        section.size
        for section_id in btf.types_by_name(".data..percpu", (Kind.DATASEC,))
        if isinstance(section := btf.type_by_id(section_id), kinds.Datasec)
    ]
    return (start, start + sizes[0]) if len(sizes) == 1 and sizes[0] <= _MAX_TEMPLATE else None


def of_modules(session: Session) -> list[tuple[int, int]]:
    """The per-CPU templates of modules, start and end."""
    known = session.prog.cache.get(_CACHE_KEY)
    if isinstance(known, list):
        return known
    session.ensure_modules()
    found = []
    for module in session.loaded:
        try:
            mod = module.object
            start, size = mod.percpu.value_(), mod.percpu_size.value_()
        except (LookupError, AttributeError, FaultError, ValueError):
            continue
        if start and 0 < size <= _MAX_SIZE:
            found.append((start, start + size))
    session.prog.cache[_CACHE_KEY] = found
    return found


def copies(session: Session, address: int) -> Iterator[tuple[int, int]]:
    """
    (CPU, address) of each possible CPU's copy.

    :param address: Of the variable's symbol, or somewhere in the variable.
    :raises LookupError: the kernel's offsets are not known.
    :raises drgn.FaultError: they cannot be read.
    """
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.percpu import per_cpu_ptr

    pointer = Object(session.prog, "void *", address)
    for cpu in for_each_possible_cpu(session.prog):
        yield cpu, int(per_cpu_ptr(pointer, cpu).value_())


def declaration(type_: drgn.Type, name: str) -> str:
    """A variable's declaration in one line."""
    return " ".join(type_.variable_declaration(name).split())
