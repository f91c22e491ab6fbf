"""Modules that drgn leaves out because a page about their sections is missing.

drgn reads section addresses from slab memory (``struct module_sect_attrs``), the
first thing that a makedumpfile older than the kernel drops. Without a Module its
code has no unwind tables, and a stack through it goes on with garbage. What
unwinding needs stands in ``struct module`` itself, which is not slab memory.

Facts: ``arch/x86/include/asm/module.h`` (``struct mod_arch_specific``),
``arch/x86/include/asm/orc_header.h``: the hash in ``.orc_header`` says which
format the tables have, and a module's is the kernel's own.
"""

from __future__ import annotations

import itertools

import drgn
from drgn import FaultError, Object

from btfdbg.errors import BtfdbgError
from btfdbg.program.session import Session
from btfdbg.program.walks import list_nodes
from btfdbg.vmcore.read_failures import unread

_MAX_MODULES = 1 << 14
_MAX_REGION = 1 << 24


def restore_modules(session: Session) -> int:
    """
    Create drgn's Module, with address ranges and ORC tables, for each module that has none.

    :return: How many were created.
    """
    prog = session.prog
    known = {m.address for m in prog.modules() if isinstance(m, drgn.RelocatableModule)}
    restored = []
    order: dict[int, int] = {}
    try:
        with unread(prog).silent():
            nodes = list_nodes(prog["modules"].address_of_())
            for node in itertools.islice(nodes, _MAX_MODULES):
                module = drgn.container_of(node, "struct module", "list")
                name = _restore(session, module, known, order)
                if name:
                    restored.append(name)
    except (FaultError, LookupError, ValueError, BtfdbgError):
        pass  # what is wrong with the list was noted when drgn walked it
    # What the walk did not come to stays behind what it did, in drgn's order.
    session.loaded.sort(key=lambda m: order.get(getattr(m, "address", -1), len(order)))
    if restored:
        session.note(
            "modules",
            f"{len(restored)} modules were restored from struct module ({', '.join(restored[:4])}"
            f"{', …' if len(restored) > 4 else ''}): the list or their sections are damaged, their"
            " symbols and unwind tables are not",
        )
    return len(restored)


def _restore(session: Session, module: Object, known: set[int], order: dict[int, int]) -> str:
    """Restore a module that is not known; its place in the list goes into ``order``."""
    from drgn.helpers.linux.module import module_address_regions

    try:
        regions = [(a, a + size) for a, size in module_address_regions(module) if size]
        name = module.name.string_().decode("ascii", "backslashreplace")
        if not regions:
            return ""
        order.setdefault(regions[0][0], len(order))
        if regions[0][0] in known or any(end > 1 << 64 for _, end in regions):
            return ""
        created = session.prog.relocatable_module(name, regions[0][0], create=True)
        created.object = module
        created.address_ranges = regions
        created.debug_file_status = drgn.ModuleFileStatus.DONT_NEED
        session.loaded.append(created)
        created.section_addresses.update(_orc_sections(session, module, regions))
    except (FaultError, LookupError, ValueError, AttributeError):
        return ""
    return str(name)


def _orc_sections(
    session: Session, module: Object, regions: list[tuple[int, int]]
) -> dict[str, int]:
    """Addresses of a module's ORC sections; none unless all are known to be right."""
    header = _kernel_header(session)
    if not header or not module.arch.type_.has_member("orc_unwind"):
        return {}
    unwind = module.arch.orc_unwind.value_()
    for start, end in regions:
        if start <= unwind < end and end - start <= _MAX_REGION:
            at = session.prog.read(start, end - start).find(header)
            if at >= 0:
                return {
                    ".orc_header": start + at,
                    ".orc_unwind": unwind,
                    ".orc_unwind_ip": module.arch.orc_unwind_ip.value_(),
                }
    return {}


def _kernel_header(session: Session) -> bytes:
    start, stop = session.between("__start_orc_header", "__stop_orc_header") or (0, 0)
    if not 0 < stop - start <= 64:
        return b""
    data: bytes = session.prog.read(start, stop - start)
    return data
