"""What crash and corelens read of a dump before they answer anything: touched, to be recorded.

Owns these structures. They are the kernel's own, small, and no session of btfdbg needs them as
a whole: the table of memory sections, the nodes with their zones, the slab caches, each task
with all of its stack.

To add one: a function in ``NEEDS``.

Facts: crash 9's ``memory.c`` (vm_init(), kmem_cache_init(), node_table_init()), ``task.c``
(fill_stackbuf() reads a stack whole), ``kernel.c``; include/linux/mmzone.h.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

import drgn
from drgn import FaultError, Object

from btfdbg.program.session import Session
from btfdbg.trim.recorder import Recorder
from btfdbg.trim.touching import SKIPPED, Need, strings, whole
from btfdbg.vmcore.platforms import byte_order

_MAX_ROOTS = 1 << 20
_MAX_NODES = 1 << 10
_MAX_BLOCKS = 1 << 16
_MAX_BUSES = 1 << 10
_MAX_STACK = 64 << 10
_SMALL_STACK = 16 << 10
_IRQ_STACK = 16 << 10
_MAX_TASKS = 1 << 16
_MAX_CACHES = 1 << 12
_MAX_SUPERS = 1 << 12


def memory_sections(recorder: Recorder, session: Session) -> None:
    """The table of memory sections, and each part of it that is used."""
    prog = recorder.prog
    table = prog["mem_section"]
    roots = int(prog["NR_SECTION_ROOTS"])
    if not 0 < roots <= _MAX_ROOTS:
        return
    pointers = table.type_.kind is drgn.TypeKind.POINTER
    start = int(table.value_()) if pointers else table.address_
    if start is None:
        return
    word = 8
    recorder.touch(start, roots * word)
    page = int(prog["PAGE_SIZE"])
    order = byte_order(prog.platform)
    try:
        words = prog.read(start, roots * word)
    except FaultError:
        return
    for at in range(0, len(words), word):
        root = int.from_bytes(words[at : at + word], order)
        if root:
            recorder.touch(root, page)


def nodes(recorder: Recorder, session: Session) -> None:
    """Each NUMA node with its zones."""
    prog = recorder.prog
    try:
        data = prog["node_data"]
    except KeyError:  # CONFIG_NUMA=n
        whole(recorder, prog["contig_page_data"].address_of_())
        return
    for number in range(min(int(prog["nr_node_ids"]), _MAX_NODES)):
        if data[number]:
            whole(recorder, data[number])


def slab_caches(recorder: Recorder, session: Session) -> None:
    """Each slab cache with what it has for each node, and its name."""
    from drgn.helpers.linux.slab import for_each_slab_cache

    # A cache is allocated with as many pointers as there can be nodes, not as its type has.
    count = int(recorder.prog["nr_node_ids"])
    for number, cache in enumerate(for_each_slab_cache(recorder.prog)):
        if number >= _MAX_CACHES:
            return
        whole(recorder, cache)
        try:
            cache.name.string_()
            for node in range(min(count, cache.node.type_.length or 0)):
                if cache.node[node]:
                    whole(recorder, cache.node[node])
        except SKIPPED:
            continue  # of one cache; the others are recorded all the same


def tasks(recorder: Recorder, session: Session) -> None:
    """Each task with all of its stack."""
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.pid import for_each_task
    from drgn.helpers.linux.sched import idle_task

    prog = recorder.prog
    # An idle task is in no list of tasks.
    idle = (idle_task(prog, cpu) for cpu in for_each_possible_cpu(prog))
    for number, task in enumerate(chain(idle, for_each_task(prog))):
        if number >= _MAX_TASKS:
            return
        try:
            whole(recorder, task)
            recorder.touch(int(task.stack.value_()), stack_size(session, task))
        except SKIPPED:
            continue  # of one task


def buses(recorder: Recorder, session: Session) -> None:
    """The list of buses, of which crash wants the one of memory blocks."""
    from drgn.helpers.linux.list import list_for_each_entry

    head = recorder.prog["bus_kset"].list.address_of_()
    kobjects = list_for_each_entry("struct kobject", head, "entry")
    for number, kobject in enumerate(kobjects):
        if number >= _MAX_BUSES:
            return
        try:
            whole(recorder, drgn.container_of(kobject, "struct subsys_private", "subsys.kobj"))
            kobject.name.string_()
        except SKIPPED:
            continue  # of one bus


def memory_blocks(recorder: Recorder, session: Session) -> None:
    """The list of memory blocks that can be hot-plugged."""
    from drgn.helpers.linux.mm import for_each_memory_block

    for number, block in enumerate(for_each_memory_block(recorder.prog)):
        if number >= _MAX_BLOCKS:
            return
        whole(recorder, block)


def stack_size(session: Session, task: Object) -> int:
    """Bytes of a task's stack: of its area, or without CONFIG_VMAP_STACK of the first task's."""
    try:
        pages = int(task.stack_vm_area.nr_pages)
    except SKIPPED:
        pages = 0
    if pages:
        return min(pages * int(task.prog_["PAGE_SIZE"]), _MAX_STACK)
    stacks = session.lookup_symbols("init_stack") + session.lookup_symbols("init_thread_union")
    return min(stacks[0].size, _MAX_STACK) if len(stacks) == 1 else _SMALL_STACK


def command_line(recorder: Recorder, session: Session) -> None:
    """The kernel's command line."""
    strings(recorder, recorder.prog["saved_command_line"])


def memory_map(recorder: Recorder, session: Session) -> None:
    """x86's map of physical memory, as the firmware gave it."""
    if session.lookup_symbols("e820_table"):
        whole(recorder, recorder.prog["e820_table"])


def each_super_block(prog: drgn.Program) -> Iterator[Object]:
    """The super blocks of all file systems."""
    from drgn.helpers.linux.list import list_for_each_entry

    head = prog["super_blocks"].address_of_()
    return islice(list_for_each_entry("struct super_block", head, "s_list"), _MAX_SUPERS)


def super_blocks(recorder: Recorder, session: Session) -> None:
    """Each super block by itself."""
    for super_block in each_super_block(recorder.prog):
        try:
            whole(recorder, super_block)
        except SKIPPED:
            continue  # of one


def interrupt_stacks(recorder: Recorder, session: Session) -> None:
    """
    The stacks of interrupts and exceptions of each CPU.

    Facts: arch/x86/include/asm/processor.h (hardirq_stack_ptr points at the last word of its
    stack; from v6.2 to v6.14 it is a member of pcpu_hot), cpu_entry_area.h
    (cea_exception_stacks); arch/arm64/kernel/irq.c (irq_stack_ptr points at the first byte).
    """
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.percpu import per_cpu

    prog = recorder.prog
    for cpu in for_each_possible_cpu(prog):
        for name in ("hardirq_stack_ptr", "pcpu_hot", "irq_stack_ptr", "cea_exception_stacks"):
            try:
                pointer = per_cpu(prog[name], cpu)
                if name == "pcpu_hot":
                    pointer = pointer.hardirq_stack_ptr
                start = int(pointer.value_())
                if not start:
                    continue
                if name == "cea_exception_stacks":
                    whole(recorder, pointer)
                elif name in ("hardirq_stack_ptr", "pcpu_hot"):
                    recorder.touch(start - start % _IRQ_STACK, _IRQ_STACK)
                else:
                    recorder.touch(start, _IRQ_STACK)
            except SKIPPED:
                continue  # of this architecture, or this CPU's page is missing


NEEDS: tuple[tuple[str, Need], ...] = (
    ("memory sections", memory_sections),
    ("nodes", nodes),
    ("buses", buses),
    ("memory blocks", memory_blocks),
    ("slab caches", slab_caches),
    ("tasks", tasks),
    ("interrupt stacks", interrupt_stacks),
    ("command line", command_line),
    ("memory map", memory_map),
    ("super blocks", super_blocks),
)
