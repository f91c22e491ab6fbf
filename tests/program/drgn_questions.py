"""Questions to drgn's helpers whose answers rest on names that drgn looks up.

Owns one function for each, which gives a plain value: to take a name away must change none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import drgn
from drgn.helpers.common import memory
from drgn.helpers.linux import (
    block,
    bpf,
    cpumask,
    device,
    fs,
    hugetlb,
    ipc,
    irq,
    kthread,
    locking,
    mm,
    mmzone,
    module,
    net,
    nodemask,
    panic,
    pci,
    percpu,
    pid,
    printk,
    sched,
    slab,
    stack,
    swap,
    sysfs,
    timekeeping,
    user,
    vmstat,
)

Question = Callable[[drgn.Program], Any]

_MANY = 40


def _some(found: Iterable[Any], plain: Callable[[Any], Any]) -> list[Any]:
    return [plain(item) for item in islice(found, _MANY)]


def _value(found: drgn.Object) -> int:
    return int(found.value_())


def _kobject(path: str) -> Question:
    """The type of what is behind a path of sysfs, and where it is."""

    def ask(prog: drgn.Program) -> Any:
        found = sysfs.sysfs_lookup(prog, path)
        assert found is not None
        return found.type_.type_name(), _value(found)

    return ask


def _driver(prog: drgn.Program) -> Any:
    for bus in ("platform", "pci", "virtio", "cpu"):
        for name in sorted(sysfs.sysfs_listdir(prog, f"bus/{bus}/drivers")):
            return _kobject(f"bus/{bus}/drivers/{name.decode()}")(prog)
    return None


def _module_of(prog: drgn.Program) -> Any:
    first = next(iter(module.for_each_module(prog)))
    start, size = module.module_address_regions(first)[0]
    found = module.address_to_module(prog, start + size // 2)
    return found.name.string_(), module.module_taints(first)


def _stacks(prog: drgn.Program) -> Any:
    crashed = prog.crashed_thread()
    return crashed.tid, [str(frame) for frame in crashed.stack_trace()]


def _segments(prog: drgn.Program) -> Any:
    found = stack.kernel_stack_trace(prog.crashed_thread().object)
    return [(segment.kind, len(segment.frames)) for segment in found.segments]


def _sleeping(prog: drgn.Program) -> Any:
    return [str(frame) for frame in prog.stack_trace(pid.find_task(prog, 1))]


def _kthread(prog: drgn.Program) -> Any:
    task = pid.find_task(prog, 2)
    return kthread.task_is_kthread(task), _value(kthread.to_kthread(task))


def _identified(prog: drgn.Program) -> Any:
    task = pid.find_task(prog, 1)
    places = _value(task), _value(task.stack) + 8, prog["init_task"].address_
    return [memory.identify_address(prog, place) for place in places]


def _cpu_of(prog: drgn.Program) -> Any:
    runqueues = prog["runqueues"]
    return [
        (cpu, percpu.per_cpu(runqueues, cpu).curr.comm.string_(), _value(sched.cpu_curr(prog, cpu)))
        for cpu in cpumask.for_each_possible_cpu(prog)
    ]


def _direct_map(prog: drgn.Program) -> Any:
    task = _value(pid.find_task(prog, 1))
    physical = mm.virt_to_phys(prog, task).value_()
    page = mm.virt_to_page(prog, task)
    return (
        physical,
        mm.phys_to_virt(prog, physical).value_(),
        _value(page),
        mm.in_direct_map(prog, task),
    )


def _affinity(prog: drgn.Program) -> Any:
    return [
        (number, list(cpumask.for_each_cpu(irq.irq_desc_affinity_mask(descriptor))))
        for number, descriptor in islice(irq.for_each_irq_desc(prog), 4)
    ]


def _sections(prog: drgn.Program) -> Any:
    return [
        (
            int(number),
            mmzone.decode_section_flags(section),
            _value(mmzone.section_mem_map_addr(section)),
        )
        for number, section in islice(mmzone.for_each_present_section(prog), 4)
    ]


def _huge(state: drgn.Object) -> int:
    return int(hugetlb.huge_page_size(state))


def _ipc(prog: drgn.Program) -> drgn.Object:
    return prog["init_task"].nsproxy.ipc_ns.read_()


def _events(prog: drgn.Program) -> Any:
    return vmstat.global_numa_event_state(prog, prog["NUMA_MISS"])


QUESTIONS: dict[str, Question] = {
    "affinity": _affinity,
    "bpf maps": lambda prog: _some(bpf.bpf_map_for_each(prog), _value),
    "bpf programs": lambda prog: _some(bpf.bpf_prog_for_each(prog), _value),
    "bus": _kobject("bus/platform"),
    "cached pages of swap": swap.total_swapcache_pages,
    "char devices": lambda prog: _some(device.for_each_registered_chrdev(prog), str),
    "block devices": lambda prog: _some(device.for_each_registered_blkdev(prog), str),
    "block pages": block.nr_blockdev_pages,
    "class": _kobject("class/net"),
    "cpus online": lambda prog: list(cpumask.for_each_online_cpu(prog)),
    "cpus possible": lambda prog: list(cpumask.for_each_possible_cpu(prog)),
    "cpus present": lambda prog: list(cpumask.for_each_present_cpu(prog)),
    "cpus' tasks": _cpu_of,
    "crash": _stacks,
    "device": _kobject("devices/platform"),
    "direct map": _direct_map,
    "disks": lambda prog: _some(block.for_each_disk(prog), block.disk_name),
    "driver": _driver,
    "free pages": vmstat.nr_free_pages,
    "huge pages": lambda prog: _some(hugetlb.for_each_hstate(prog), _huge),
    "identified": _identified,
    "interrupts": lambda prog: (irq.irq_get_nr_irqs(prog), _some(irq.for_each_irq_desc(prog), str)),
    "kthread": _kthread,
    "limit": mm.vm_commit_limit,
    "committed": mm.vm_memory_committed,
    "load": lambda prog: sched.loadavg(prog),
    "lock": lambda prog: locking.rwsem_locked(prog["init_mm"].mmap_lock.address_of_()),
    "log": lambda prog: len(printk.get_printk_records(prog)),
    "module": _module_of,
    "module in sysfs": _kobject("module/printk"),
    "modules": lambda prog: [m.name for m in prog.modules()],
    "namespaces": lambda prog: _some(net.for_each_net(prog), _value),
    "nodes": lambda prog: (
        nodemask.nr_node_ids(prog),
        list(nodemask.for_each_online_node(prog)),
        _value(mmzone.NODE_DATA(prog, 0)),
    ),
    "NUMA events": _events,
    "page events": lambda prog: vmstat.global_vm_event_state(prog, prog["PGFAULT"]),
    "pages": lambda prog: [_value(page) for page in islice(mm.for_each_page(prog), 2)],
    "page ranges": lambda prog: [
        (int(a), int(b)) for a, b, _ in islice(mm.for_each_valid_page_range(prog), 4)
    ],
    "path": lambda prog: _value(fs.path_lookup(prog, "/").dentry),
    "PCI": lambda prog: _some(pci.for_each_pci_dev(prog), pci.pci_name),
    "queue": lambda prog: _value(ipc.find_sysv_msg_queue(_ipc(prog), 1 << 15)),
    "sections": _sections,
    "segments": _segments,
    "shared memory": lambda prog: _some(ipc.for_each_sysv_shm(_ipc(prog)), _value),
    "slab aliases": lambda prog: sorted(slab.get_slab_cache_aliases(prog).items()),
    "slab caches": lambda prog: _some(slab.for_each_slab_cache(prog), _value),
    "slab pages": slab.slab_total_usage,
    "sleeping": _sleeping,
    "specials": lambda prog: (prog["jiffies"].value_(), prog["vmemmap"].value_()),
    "stack size": lambda prog: prog["THREAD_SIZE"].value_(),
    "swap": swap.swap_total_usage,
    "taints": panic.tainted,
    "tasks": lambda prog: _some(pid.for_each_task(prog), lambda task: int(task.pid)),
    "threads": lambda prog: [thread.tid for thread in islice(prog.threads(), _MANY)],
    "time": lambda prog: timekeeping.ktime_get_real_seconds(prog).value_(),
    "total pages": mm.totalram_pages,
    "up": timekeeping.uptime,
    "users": lambda prog: _some(user.for_each_user(prog), _value),
}
