"""Variables from whose absence drgn concludes something about the kernel.

drgn asks for a name to learn of which version or configuration a kernel is: without
``__per_cpu_offset`` it takes the kernel for one of a single CPU and gives the per-CPU
template's address for every CPU, without ``panic_cpu`` it says that CPU 0 crashed. A
variable that is there, and whose type was not proven as others' are, would so turn into
wrong values with nothing to tell.

So these have a declaration of their own, which is the type that drgn's code takes them to
be of: an array's length is left out, as drgn does not look at it. The symbol proves that
the kernel has the variable; its place must have room for the type, and BTF must have the
type. Where that does not hold, the name is refused with the reason, never absent.

Owns the names, their declarations, and the choice of the one that fits the place.

Facts: drgn 0.3, ``libdrgn/linux_kernel*.c``, ``libdrgn/program.c``, ``libdrgn/arch_*.c``,
``drgn/helpers`` (names looked up with an ``except KeyError`` or ``in prog``); each
declaration is that of the kernels since 4.18, the first with BTF. To add a name: a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from drgn import Type, TypeKind, alignof

from btfdbg.arch import CACHE_LINE
from btfdbg.vardb.name_patterns import without_length
from btfdbg.variables.symbols import Symbol

DECLARATIONS: dict[str, tuple[str, ...]] = {
    "__cpu_online_mask": ("struct cpumask",),
    "__cpu_possible_mask": ("struct cpumask",),
    "__cpu_present_mask": ("struct cpumask",),
    "__highest_present_section_nr": ("unsigned long",),
    "__irq_regs": ("struct pt_regs *",),
    "__per_cpu_offset": ("unsigned long []",),
    "_cea_offset": ("unsigned long",),
    "_totalram_pages": ("atomic_long_t",),
    "block_class": ("const struct class",),
    "bus_ktype": ("struct kobj_type",),
    "class_ktype": ("struct kobj_type",),
    "contig_page_data": ("struct pglist_data",),
    "crash_notes": ("note_buf_t *",),
    "crashing_cpu": ("int",),
    "cur_cpu_spec": ("struct cpu_spec *",),
    "device_ktype": ("struct kobj_type",),
    "driver_ktype": ("struct kobj_type",),
    # v5.12 made it void *, and 7.2 has it as it was.
    "hardirq_stack_ptr": ("struct irq_stack *", "void *"),
    "hstates": ("struct hstate []",),
    "init_pid_ns": ("struct pid_namespace",),
    "init_task": ("struct task_struct",),
    "ipc_mni_shift": ("int",),
    "irq_stack_ptr": ("unsigned long *",),
    "jiffies_64": ("u64",),
    "kernel_config_data": ("char",),
    "mem_map": ("struct page *",),
    # CONFIG_SPARSEMEM_EXTREME, or an array of arrays of one section each.
    "mem_section": ("struct mem_section **", "struct mem_section [][1]"),
    "memory_subsys": ("const struct bus_type",),
    "mod_tree": ("struct mod_tree_root",),
    "module_ktype": ("struct kobj_type",),
    "modules": ("struct list_head",),
    "node_data": ("struct pglist_data *[]",),
    "nr_cpu_ids": ("unsigned int",),
    "nr_node_ids": ("unsigned int",),
    "nr_swapper_spaces": ("unsigned int []",),
    "paca_ptrs": ("struct paca_struct **",),
    "page_offset_base": ("unsigned long",),
    "panic_cpu": ("atomic_t",),
    "pci_bus_type": ("const struct bus_type",),
    "pcpu_hot": ("struct pcpu_hot",),
    "prb": ("struct printk_ringbuffer *",),
    "runqueues": ("struct rq",),
    "saved_command_line": ("char *",),
    "slab_kset": ("struct kset *",),
    "sparse_irqs": ("struct maple_tree",),
    # An array of fixed length before v6.13.
    "stack_pools": ("void **", "void *[]"),
    "taint_flags": ("const struct taint_flag []",),
    "thread_stack_cache": ("struct kmem_cache *",),
    "timekeeper_data": ("struct tk_data []",),
    "total_nr_irqs": ("unsigned int",),
    "userspace_init_fs": ("struct fs_struct *",),
    "vm_event_states": ("struct vm_event_state",),
    "vm_node_stat": ("atomic_long_t []",),
    "vm_numa_event": ("atomic_long_t []",),
    "vm_numa_stat": ("atomic_long_t []",),
    "vmap_nodes": ("struct vmap_node *",),
}

FUNCTIONS = frozenset(
    ("__rwsem_set_reader_owned", "free_kthread_struct", "module_layout", "vmemmap_populate")
)
"""Functions that drgn asks for only to know whether they exist; some are ``__init`` or
``__meminit`` code, for which pahole writes no FUNC, one is always inlined."""

POINTED_AT = {"special_mapping_name": ("struct vm_operations_struct", "name")}
"""Functions whose addresses drgn compares, and the member that points to such, whose type they
have: Debian's BTF of 5.10 has no static functions on arm64. Facts: ``mm/mmap.c``
(special_mapping_vmops)."""

SYMBOLS = frozenset(
    (
        "__end_init_stack", "__end_init_task", "__start_init_stack", "__start_init_task",
        "__stop_orc_header",
    )
)  # fmt: skip
"""Symbols of the kernel's linker script that drgn asks for, to know how large a stack is
(INIT_TASK_DATA in ``include/asm-generic/vmlinux.lds.h``; "task" in their names until v6.10),
and where the header of the ORC tables ends."""

TABLES = frozenset(
    (
        "__start_orc_header", "__start_orc_unwind", "__start_orc_unwind_ip",
        "__stop_orc_unwind", "__stop_orc_unwind_ip",
    )
)  # fmt: skip
"""Symbols of tables without which drgn unwinds by frame pointers, which the kernel may lack."""

TYPES = frozenset(("freelist_idx_t", "thread_union"))
"""Types whose absence says what the kernel was made of, and which its own code alone can use:
``mm/slab.c`` (before v6.8) and ``include/linux/sched.h``, which only ``init_task`` is of."""

CONSTANTS = frozenset(
    (
        "BLK_MQ_F_TAG_HCTX_SHARED", "MM_SHMEMPAGES", "MOD_MEM_NUM_TYPES", "MOD_TEXT",
        "NR_SLAB_RECLAIMABLE_B", "NR_SLAB_UNRECLAIMABLE_B", "NR_SWAPCACHE", "PGTY_netpp",
        "PIDTYPE_PID", "SECTION_MARKED_PRESENT_BIT", "TIMEKEEPER_CORE",
    )
)  # fmt: skip
"""Enumerators whose absence says of which version the kernel is; also every ``PG_*``."""


def is_of_kernel(name: str) -> bool:
    """
    Whether drgn means the kernel's own variable or function by a name.

    A module's of that name is another one, and reading all modules' symbols to learn that
    there is none takes longer than a backtrace.
    """
    return name in DECLARATIONS or name in FUNCTIONS or name in POINTED_AT


def is_of_modules(name: str) -> bool:
    """Whether a name may be a module's, where the kernel lacks it; as :func:`is_of_kernel`."""
    return not is_of_kernel(name) and name not in CONSTANTS


def is_constant(name: str) -> bool:
    """Whether drgn concludes something from the absence of an enumerator."""
    return name in CONSTANTS or name.startswith("PG_")


def spelled(
    declared: Sequence[str], known: Sequence[str], build: Callable[[str], Type | None]
) -> list[str]:
    """
    Return declarations as the nearest kernels write them.

    Two that differ in const or a typedef only are one to drgn, and not to who reads them:
    ``block_class`` is const in 6.12 and was not in 6.1.

    :param known: What kernels have under the name, the nearest first.
    :param build: As of :func:`choose`.
    """
    shapes = {without_length(text): _shape(build(without_length(text))) for text in known}
    written = []
    for text in declared:
        shape = _shape(build(text))
        same = (known for known, found in shapes.items() if found and found == shape)
        written.append(next(same, text))
    return written


def _shape(type_: Type | None) -> str:
    """What is the same of types that differ in qualifiers, typedefs and an outer length only."""
    parts = []
    while type_ is not None:
        type_ = type_.unaliased()
        if type_.kind not in (TypeKind.POINTER, TypeKind.ARRAY):
            tag = getattr(type_, "tag", None)
            parts.append(f"{type_.kind} {tag or type_.unqualified().type_name()}")
            break
        first = not parts
        length = None if type_.kind == TypeKind.POINTER or first else type_.length
        parts.append(f"{type_.kind} {length}")
        type_ = type_.type
    return " of ".join(parts)


def choose(
    declared: Sequence[str],
    symbol: Symbol,
    build: Callable[[str], Type | None],
    exists: Callable[[str], bool],
) -> tuple[str, Type] | str:
    """
    Return the declaration that fits a place, or why there is none.

    :param declared: Of :data:`DECLARATIONS`.
    :param build: a type from its text, ``None`` if this kernel lacks it.
    :param exists: whether the kernel's BTF has a type of that text, pointers as well.
    """
    missing = []
    fitting: list[tuple[str, Type]] = []
    reason = ""
    for text in declared:
        type_ = build(text)
        if type_ is None:
            missing.append(text)
            continue
        size = _least_size(type_)
        if symbol.size and size > symbol.size:
            reason = f"'{text}' needs {size} bytes, and {symbol.size} are there"
        elif symbol.address % _alignment(type_):
            reason = f"'{text}' cannot stand at {symbol.address:#x}"
        else:
            fitting.append((text, type_))
    if len(fitting) > 1 and not any(type_.kind == TypeKind.ARRAY for _, type_ in fitting):
        # Of two pointers the one that says more, if anything in the kernel is of it.
        return next((f for f in fitting if exists(f[0])), fitting[-1])
    if len(fitting) > 1 and symbol.size:
        # A pointer to a table or the table itself: the room behind it tells.
        has_room = symbol.size >= _least_size(fitting[0][1]) + CACHE_LINE
        fitting = [f for f in fitting if (f[1].kind == TypeKind.ARRAY) is has_room]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        return f"it may be {' or '.join(text for text, _ in fitting)}"
    return reason or f"the kernel's BTF has no {' nor '.join(missing)}"


def _least_size(type_: Type) -> int:
    """Bytes that an object has at least; one element of an array of unknown length."""
    bare = type_.unaliased()
    if bare.kind == TypeKind.ARRAY and bare.length is None:
        return _least_size(bare.type)
    size = bare.size if bare.kind != TypeKind.ARRAY else bare.length * _least_size(bare.type)
    return int(size or 0)


def _alignment(type_: Type) -> int:
    while type_.unaliased_kind() == TypeKind.ARRAY:
        type_ = type_.unaliased().type
    try:
        return int(alignof(type_))
    except TypeError:
        return 1
