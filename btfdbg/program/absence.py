"""What a missing symbol may not be taken for, by what else the kernel has.

A kernel with one CPU has no ``__per_cpu_offset``; a table of symbols that is damaged, or
was made for another kernel, lacks it too. drgn cannot tell the two apart and believes in
the first. Here each such conclusion is held against another trace that the configuration
leaves.

Owns these contradictions. Facts: ``kernel/Makefile`` (``smp.o`` or ``up.o``),
``include/linux/module.h`` (``struct module`` has members with CONFIG_MODULES only),
``include/linux/mmzone.h`` (``struct mem_section`` with CONFIG_SPARSEMEM only, ``enum
numa_stat_item`` with CONFIG_NUMA only), ``include/linux/hugetlb.h`` (``struct hstate`` is empty
without CONFIG_HUGETLB_PAGE).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from btfdbg.btf.enumerators import find_enumerators
from btfdbg.errors import BtfError

if TYPE_CHECKING:
    from btfdbg.program.session import Session

# The number of counters of each array, an enumerator where the kernel has the array.
_ITEMS = {"vm_numa_event": "NR_VM_NUMA_EVENT_ITEMS", "vm_numa_stat": "NR_VM_NUMA_STAT_ITEMS"}


def contradiction(session: Session, name: str) -> str:
    """
    Why a variable cannot really be missing, "" if nothing says so.

    :param name: of a variable that has no symbol.
    """
    if session.symbols is None or not session.has_btf:
        return ""
    if name in ("__per_cpu_offset", "nr_cpu_ids"):
        # kernel/smp.c; a kernel for one CPU has kernel/up.c.
        if session.lookup_symbols("smp_call_function_many"):
            return "the kernel is for several CPUs (smp_call_function_many), and has no such symbol"
    elif name == "modules":
        if _has_member(session, "module", "list"):
            return "the kernel loads modules (struct module.list), and has no such symbol"
    elif name == "hstates":
        if _has_member(session, "hstate", "order"):
            return "the kernel has huge pages (struct hstate.order), and has no such symbol"
    elif name in _ITEMS:
        if find_enumerators(session.vmlinux, _ITEMS[name]):
            return f"the kernel counts such events ({_ITEMS[name]}), and has no such symbol"
    elif name == "mem_section" and _has_member(session, "mem_section", "section_mem_map"):
        return "the kernel's memory is in sections (struct mem_section), and has no such symbol"
    return ""


def _has_member(session: Session, struct: str, member: str) -> bool:
    try:
        session.vmlinux.offset_of(struct, member)
    except BtfError:
        return False
    return True
