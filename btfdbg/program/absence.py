"""What a missing symbol may not be taken for, by what else the kernel has.

A kernel with one CPU has no ``__per_cpu_offset``; a table of symbols that is damaged, that
has functions only (CONFIG_KALLSYMS_ALL=n), or that was made for another kernel, lacks it too.
drgn cannot tell these apart and believes in the first. Here each such conclusion is held
against another trace that the configuration leaves: a function, which every table of symbols
has, or a type.

Owns these contradictions. A name of ``probed`` without a row here is one whose absence drgn
reports by that name, or answers in another way that is as right: ``mod_tree`` (it goes
through the list of modules), ``page_offset_base`` (it translates ``saved_command_line``).

Facts: ``kernel/Makefile`` (``smp.o`` or ``up.o``), ``include/linux/module.h`` (``struct
module`` has members with CONFIG_MODULES only), ``include/linux/mmzone.h`` (``struct
mem_section`` with CONFIG_SPARSEMEM only, ``enum numa_stat_item`` with CONFIG_NUMA only),
``include/linux/hugetlb.h`` (``struct hstate`` is empty without CONFIG_HUGETLB_PAGE),
``drivers/base`` (``*_release()`` are named by their ``*_ktype`` alone), ``ipc/ipc_sysctl.c``
(``ipc_mni_extend()`` sets ``ipc_mni_shift``), ``drivers/base/memory.c``, ``kernel/configs.c``,
``mm/swap_state.c`` (commit 4b3ef9daa4fc, in v4.11), ``mm/mempolicy.c`` (CONFIG_NUMA),
``mm/sparse-vmemmap.c``, ``kernel/module/version.c`` (CONFIG_MODVERSIONS).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import drgn

from btfdbg.btf import Kind
from btfdbg.btf.enumerators import find_enumerators
from btfdbg.errors import BtfError, RefusedError
from btfdbg.kallsyms import CombinedTable

if TYPE_CHECKING:
    from btfdbg.program.session import Session

_FUNCTIONS_ONLY = " (its kallsyms has functions only: CONFIG_KALLSYMS_ALL=n)"

Trace = Callable[["Session"], str]
"""Says in words what shows that a kernel has a variable; "" if it does not show."""


def contradiction(session: Session, name: str) -> str:
    """
    Why a variable or function cannot really be missing, "" if nothing says so.

    :param name: of one that has no symbol.
    """
    if session.symbols is None or not session.has_btf:
        return ""
    trace = _TRACES.get(name)
    shown = trace(session) if trace is not None else ""
    if not shown and session.vmlinux.types_by_name(name, Kind.VAR):
        shown = "the kernel's BTF has that variable"
    if not shown:
        return ""
    without = isinstance(session.symbols, CombinedTable)
    return f"{shown}, and there is no such symbol{_FUNCTIONS_ONLY if without else ''}"


def refuse_missing(session: Session, name: str) -> None:
    """
    Refuse a name that is missing, and cannot really be.

    :raises RefusedError: with the reason.
    """
    reason = contradiction(session, name)
    if reason:
        # drgn's unwinders swallow errors: where that shaped an answer, the note tells.
        session.note("objects", f"{name} cannot be trusted here: {reason}")
        raise RefusedError(
            f"{name} cannot be trusted here: {reason}",
            step="objects",
            hint=f"drgn would take a missing {name} for another kind of kernel; "
            "--kallsyms FILE takes its System.map",
        )


def _always(since: str) -> Trace:
    def trace(session: Session) -> str:
        return f"every kernel since {since} has it"

    return trace


def _function(name: str, what: str) -> Trace:
    """A function that the kernel has for the sake of the variable."""

    def trace(session: Session) -> str:
        return f"the kernel {what} ({name})" if session.lookup_symbols(name) else ""

    return trace


def _member(struct: str, member: str, what: str) -> Trace:
    """A member that a structure has where the variable is, too."""

    def trace(session: Session) -> str:
        shown = _has_member(session, struct, member)
        return f"the kernel {what} (struct {struct}.{member})" if shown else ""

    return trace


def _enumerator(name: str, what: str) -> Trace:
    def trace(session: Session) -> str:
        return f"the kernel {what} ({name})" if find_enumerators(session.vmlinux, name) else ""

    return trace


def _nor(name: str, earlier: str, until: str, type_: str = "") -> Trace:
    """
    What it was called before: a kernel has either.

    :param type_: Without such a type the kernel has neither, if it is given.
    """

    def trace(session: Session) -> str:
        if type_ and not session.vmlinux.types_by_name(type_):
            return ""
        if session.lookup_symbols(earlier):
            return ""
        return f"the kernel has {name} or {earlier} (before {until})"

    return trace


def _old_kthreads(session: Session) -> str:
    """drgn asks only where ``task_struct.worker_private`` is not the ``struct kthread``."""
    if _has_member(session, "task_struct", "worker_private"):
        return ""
    return _always("v4.10")(session)


def _inlined_reader(session: Session) -> str:
    """``__rwsem_set_reader_owned()``; drgn asks before v5.3 only (94a9717b3c40)."""
    try:
        owner = session.prog.type("struct rw_semaphore").member("owner").type
    except LookupError:
        return ""
    if owner.kind is not drgn.TypeKind.POINTER:
        return ""
    return "the compiler inlines that function"


def _interrupt_stack(session: Session) -> str:
    """``hardirq_stack_ptr`` of x86-64, which was elsewhere before v5.2 and from v6.2 to v6.14."""
    if session.lookup_symbols("irq_stack_ptr") or _has_member(
        session, "pcpu_hot", "hardirq_stack_ptr"
    ):
        return ""
    return _function("irq_init_percpu_irqstack", "has stacks for interrupts")(session)


def _small_stacks(session: Session) -> str:
    """``thread_stack_cache``: kernel/fork.c, without CONFIG_VMAP_STACK and below a page."""
    prog = session.prog
    if _has_member(session, "task_struct", "stack_vm_area"):
        return ""
    try:
        size, page = int(prog["THREAD_SIZE"]), int(prog["PAGE_SIZE"])
    except (LookupError, ValueError):
        return "how large the kernel's stacks are is not known"
    return f"the kernel's stacks of {size} bytes are parts of a page" if size < page else ""


def _empty_root(session: Session) -> str:
    """``userspace_init_fs``: what of ``init_task`` is the root of a file system without files."""
    try:
        root = session.prog["init_task"].fs.root.mnt.mnt_sb.s_type.name.string_()
    except (LookupError, AttributeError, drgn.FaultError):
        return ""
    return "init_task's root is in nullfs" if root == b"nullfs" else ""


def _has_member(session: Session, struct: str, member: str) -> bool:
    try:
        session.vmlinux.offset_of(struct, member)
    except BtfError:
        return False
    return True


_MANY_CPUS = _function("smp_call_function_many", "is for several CPUs")
_NUMA = _function("numa_default_policy", "knows of NUMA nodes")
_SECTIONS = _member("mem_section", "section_mem_map", "has its memory in sections")
_ORC = _member("orc_entry", "sp_offset", "is unwound by ORC tables")

_TRACES: dict[str, Trace] = {
    "__cpu_online_mask": _always("v4.5"),
    "__cpu_possible_mask": _always("v4.5"),
    "__cpu_present_mask": _always("v4.5"),
    "__highest_present_section_nr": _SECTIONS,
    # kernel/smp.c; a kernel for one CPU has kernel/up.c.
    "__per_cpu_offset": _MANY_CPUS,
    "__rwsem_set_reader_owned": _inlined_reader,
    # Without it drgn takes 7.1 for 6.4, which numbers registers otherwise (1735858caa4b).
    "__start_orc_header": _function("__stop_orc_header", "has a header before its ORC tables"),
    "__start_orc_unwind": _ORC,
    "__start_orc_unwind_ip": _ORC,
    "__stop_orc_unwind": _ORC,
    "__stop_orc_unwind_ip": _ORC,
    "_totalram_pages": _nor("_totalram_pages", "totalram_pages", "v5.0"),
    "bus_ktype": _function("bus_release", "has buses"),
    "class_ktype": _function("class_release", "has classes of devices"),
    "device_ktype": _function("device_release", "has devices"),
    "driver_ktype": _function("driver_release", "has drivers"),
    "free_kthread_struct": _old_kthreads,
    "hardirq_stack_ptr": _interrupt_stack,
    "hstates": _member("hstate", "order", "has huge pages"),
    "ipc_mni_shift": _function("ipc_mni_extend", "can be told how many bits of an IPC id count"),
    "jiffies_64": _always("v2.6"),
    "kernel_config_data": _function("ikconfig_read_current", "holds its configuration"),
    "mem_section": _SECTIONS,
    "memory_subsys": _function("memory_dev_init", "has blocks of memory as devices"),
    "module_ktype": _function("module_kobj_release", "shows modules in sysfs"),
    "module_layout": _function("check_modstruct_version", "checks versions of symbols"),
    "modules": _member("module", "list", "loads modules"),
    "node_data": _NUMA,
    "nr_cpu_ids": _MANY_CPUS,
    "nr_node_ids": _NUMA,
    "nr_swapper_spaces": _function("exit_swap_address_space", "divides its swap cache"),
    "paca_ptrs": _nor("paca_ptrs", "paca", "v4.17", type_="paca_struct"),
    "prb": _member("printk_ringbuffer", "desc_ring", "logs to a ring of records"),
    "saved_command_line": _always("v2.6"),
    "slab_kset": _member("kmem_cache", "kobj", "shows slab caches in sysfs"),
    "sparse_irqs": _nor("sparse_irqs", "irq_desc_tree", "v6.5"),
    "stack_pools": _nor("stack_pools", "stack_slabs", "v6.3", type_="handle_parts"),
    "taint_flags": _always("v4.10"),
    "thread_stack_cache": _small_stacks,
    "timekeeper_data": _enumerator("TIMEKEEPER_CORE", "has several timekeepers"),
    "total_nr_irqs": _nor("total_nr_irqs", "nr_irqs", "v7.2"),
    "userspace_init_fs": _empty_root,
    "vm_node_stat": _always("v4.8"),
    # The number of counters, an enumerator where the kernel has the array.
    "vm_numa_event": _enumerator("NR_VM_NUMA_EVENT_ITEMS", "counts such events"),
    "vm_numa_stat": _enumerator("NR_VM_NUMA_STAT_ITEMS", "counts such events"),
    "vmap_nodes": _member("vmap_node", "busy", "keeps mapped areas by nodes"),
    "vmemmap_populate": _function("vmemmap_alloc_block", "has one table of all pages"),
}
