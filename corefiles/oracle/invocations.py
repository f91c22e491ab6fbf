"""
Invocations of drgn's crash mode that make sense for one particular dump.

Addresses, pids, devices and names are taken from the dump itself. A command
whose object the dump does not have is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import drgn
from drgn import Object

# Need nothing of the dump.
PLAIN = (
    "sys",
    "ps",
    "ps -k",
    "ps -u",
    "ps -G",
    "ps -A",
    "ps -s",
    "ps -p",
    "ps -c",
    "ps -t",
    "ps -l",
    "ps -a",
    "ps -g",
    "ps -r",
    "ps -S",
    "ps -H",
    "bt",
    "bt -a",
    "bt -f",
    "bt -F",
    "bt -a -f",
    "bt -c 0",
    "foreach bt",
    "foreach bt -f",
    "foreach kernel bt",
    "foreach user bt",
    "foreach task -R comm",
    "foreach user files",
    "foreach sig",
    "foreach user vm",
    "foreach user task",
    "foreach vm",
    "log",
    "log -t",
    "log -T",
    "mod",
    "mod -t",
    "mount",
    "dev",
    "dev -i",
    "dev -p",
    "dev -d",
    "irq",
    "irq -u",
    "irq -a",
    "irq -b",
    "irq -s",
    "irq -d",
    "runq",
    "runq -t",
    "runq -T",
    "runq -m",
    "runq -g",
    "runq -c 0",
    "timer",
    "timer -r",
    "timer -C 0",
    "net",
    "net -a",
    "ipcs",
    "ipcs -s",
    "ipcs -m",
    "ipcs -q",
    "swap",
    "bpf",
    "kmem -i",
    "kmem -n",
    "kmem -z",
    "kmem -V",
    "kmem -g",
    "kmem -h",
    "kmem -o",
    "kmem -s",
    "kmem -v",
    "kmem -f",
    "task",
    "files",
    "vm",
    "sig",
    "sig -l",
    "sig -s 0x1",
    "set",
    "set -p",
    "ascii 0x41",
    "eval 0x1000 + 1",
    "p jiffies",
    "p init_task.comm",
    "p -x init_mm.total_vm",
    "p runqueues:0",
    "p nr_cpu_ids",
    "struct list_head",
    "struct task_struct.comm,pid",
    "struct page",
    "struct task_struct init_task",
    "struct task_struct.tasks init_task",
    "struct rq.cpu runqueues:0",
    "*list_head",
    "whatis init_task",
    "whatis task_struct",
    "whatis jiffies",
    "whatis schedule",
    "whatis pid_t",
    "sym schedule",
    "sym init_task",
    "sym -q btf_idr",
    "sym -n schedule",
    "sym -p schedule",
    "rd init_task 8",
    "rd -s init_task 8",
    "rd -32 jiffies_64 2",
    "rd -a linux_banner",
    "ptob 512",
    "btop 0x200000",
    "list -H modules -o module.list -s module.name",
    "list -o task_struct.tasks -s task_struct.pid init_task",
    "waitq log_wait",
    "help ps",
    "drgn prog['init_task'].comm",
)

MAX_EACH = 2


def for_dump(prog: drgn.Program) -> list[str]:
    """All invocations for a dump, each once."""
    lines = list(PLAIN)
    for source in (_of_tasks, _of_modules, _of_mounts, _of_memory, _of_devices):
        try:
            lines.extend(source(prog))
        except (LookupError, AttributeError, ValueError, drgn.FaultError):
            continue
    return list(dict.fromkeys(lines))


def _some(objects: Iterator[Object], test: Callable[[Object], bool]) -> list[Object]:
    found = []
    for each in objects:
        if test(each):
            found.append(each)
            if len(found) == MAX_EACH:
                break
    return found


def _of_tasks(prog: drgn.Program) -> Iterator[str]:
    from drgn.helpers.linux.pid import for_each_task

    users = _some(for_each_task(prog), lambda t: bool(t.mm))
    kernels = _some(for_each_task(prog), lambda t: not t.mm and t.pid != 2)
    running = _some(for_each_task(prog), lambda t: bool(t.on_cpu))
    for task in [*users, *kernels, *running]:
        pid, address = task.pid.value_(), f"{task.value_():x}"
        yield f"bt {pid}"
        yield f"bt -f {pid}"
        yield f"bt {address}"
        yield f"ps -m {pid}"
        yield f"task -R pid,comm,flags {pid}"
        yield f"files {pid}"
        yield f"sig {pid}"
        yield f"ps {pid}"
        yield f"ps -p {pid}"
        yield f"struct task_struct.comm,pid,mm {address}"
        yield f"set {pid}"
    for task in users:
        pid, address = task.pid.value_(), f"{task.value_():x}"
        yield f"vm {pid}"
        yield f"mount -n {pid}"
        yield f"struct mm_struct {task.mm.value_():x}"
        yield f"struct files_struct {task.files.value_():x}"
        yield f"vtop -c {pid} {task.mm.start_code.value_():x}"
        yield f"tree -t maple -s vm_area_struct.vm_start {task.mm.mm_mt.address_of_().value_():x}"
        yield f"ps {task.comm.string_().decode(errors='replace')}"


def _of_modules(prog: drgn.Program) -> Iterator[str]:
    from drgn.helpers.linux.module import for_each_module

    for module in list(for_each_module(prog))[:MAX_EACH]:
        yield f"struct module.name {module.value_():x}"
        yield f"struct module {module.value_():x}"
        yield f"sym {module.init.value_():x}"


def _of_mounts(prog: drgn.Program) -> Iterator[str]:
    from drgn.helpers.linux.fs import for_each_mount

    for mount in list(for_each_mount(prog))[:MAX_EACH]:
        yield f"struct mount {mount.value_():x}"
        yield f"struct super_block.s_id {mount.mnt.mnt_sb.value_():x}"
        yield f"files -d {mount.mnt.mnt_root.value_():x}"


def _of_memory(prog: drgn.Program) -> Iterator[str]:
    task = prog["init_task"].address_of_()
    from drgn.helpers.linux.mm import virt_to_phys
    from drgn.helpers.linux.pid import find_task

    first = find_task(prog, 1)
    if first:
        yield f"kmem {first.value_():x}"
        yield f"vtop {first.value_():x}"
        yield f"ptov {virt_to_phys(first).value_():x}"
        yield f"rd {first.value_():x} 16"
        yield f"rd -S {first.value_():x} 16"
    yield f"vtop {task.value_():x}"
    yield "kmem -s task_struct"


def _of_devices(prog: drgn.Program) -> Iterator[str]:
    from drgn.helpers.linux.block import for_each_disk
    from drgn.helpers.linux.net import for_each_netdev

    for disk in list(for_each_disk(prog))[:MAX_EACH]:
        yield f"struct gendisk.disk_name {disk.value_():x}"
    for device in list(for_each_netdev(prog["init_net"].address_of_()))[:MAX_EACH]:
        yield f"struct net_device.name,mtu {device.value_():x}"
