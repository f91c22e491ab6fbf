"""What crash's and corelens' walks read: whole structures, where ours read a few members.

Owns the walks over CPUs' notes, open files, mounts, slab counters and task groups: what is
walked is touched from its first byte to its last, with the names that it points to. Who may see
a page is decided in ``trim.privacy``.

To add one: a function in ``NEEDS`` (every trimmed dump), or in ``purposes`` (with ``--for``).

Facts: crash 9's ``filesys.c`` (open_files_dump() and get_mount_list() read a struct file,
dentry, inode and mount whole), ``memory.c`` (do_slab_slub() walks each CPU's list of free
objects, and the partial slabs), ``diskdump.c`` (have_crash_notes()), ``task.c``
(dump_tasks_in_task_group_cfs_rq(): of each group its cgroup's name); include/linux/fdtable.h,
fs/mount.h, mm/slab.h in the kernel.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

import drgn
from drgn import Object

from btfdbg.program.session import Session
from btfdbg.trim.disks import disk_list
from btfdbg.trim.recorder import Recorder
from btfdbg.trim.touching import SKIPPED, Need, strings, whole

_MAX_TASKS = 1 << 16
_MAX_FILES = 1 << 16
_MAX_FDS = 1 << 20
_MAX_MOUNTS = 1 << 14
_MAX_DEPTH = 1 << 8
_MAX_CACHES = 1 << 12
_MAX_SLABS = 1 << 12
_MAX_GROUPS = 1 << 12
_MAX_CPUS = 1 << 13
_WORD = 8


def crash_notes(recorder: Recorder, session: Session) -> None:
    """The note of each CPU's registers, which crash asks whether a CPU has saved any."""
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.percpu import per_cpu_ptr

    prog = recorder.prog
    notes = prog["crash_notes"]
    if not notes:
        return
    size = drgn.sizeof(notes.type_.type)
    for cpu in for_each_possible_cpu(prog):
        recorder.touch(int(per_cpu_ptr(notes, cpu).value_()), size)


def open_files(recorder: Recorder, session: Session) -> None:
    """Each open file of each task, its working directory and root."""
    from drgn.helpers.linux.pid import for_each_task

    seen: set[int] = set()
    for number, task in enumerate(for_each_task(recorder.prog)):
        if number >= _MAX_TASKS or len(seen) >= _MAX_FILES:
            return
        try:
            if task.fs and task.fs.value_() not in seen:
                seen.add(task.fs.value_())
                whole(recorder, task.fs)
                for place in (task.fs.root, task.fs.pwd):
                    path(recorder, place, seen)
            files = task.files.read_()
            if files and files.value_() not in seen:
                seen.add(files.value_())
                _table(recorder, files, seen)
        except SKIPPED:
            continue  # of one task; the others are recorded all the same


def _table(recorder: Recorder, files: Object, seen: set[int]) -> None:
    """A table of open files, and all in it; several tasks may share one."""
    whole(recorder, files)
    table = files.fdt.read_()
    whole(recorder, table)
    count = min(int(table.max_fds), _MAX_FDS)
    recorder.touch(int(table.open_fds), -(-count // 8))
    recorder.touch(int(table.fd), _WORD * count)
    for number in range(count):
        if not table.open_fds[number // 64].value_() >> number % 64 & 1:
            continue
        try:
            file = table.fd[number].read_()  # NULL while one is being opened
            if file and file.value_() not in seen and len(seen) < _MAX_FILES:
                seen.add(file.value_())
                whole(recorder, file)
                path(recorder, file.f_path, seen)
                if file.f_inode:
                    inode(recorder, file.f_inode, seen)
        except SKIPPED:
            continue  # of one file


def path(recorder: Recorder, place: Object, seen: set[int]) -> None:
    """A struct path: the mount, and the dentry with its inode and all above it."""
    if place.mnt:
        mount(recorder, drgn.container_of(place.mnt, "struct mount", "mnt"), seen)
    if place.dentry:
        dentry(recorder, place.dentry, seen)


def dentry(recorder: Recorder, entry: Object, seen: set[int]) -> None:
    """A dentry, its name and inode, and those above it."""
    for _ in range(_MAX_DEPTH):
        if not entry or entry.value_() in seen:
            return
        seen.add(entry.value_())
        whole(recorder, entry)
        strings(recorder, entry.d_name.name)
        if entry.d_op:
            whole(recorder, entry.d_op)  # d_dname says whether the name is made, as a pipe's
        if entry.d_inode:
            inode(recorder, entry.d_inode, seen)
        entry = entry.d_parent.read_()


def inode(recorder: Recorder, node: Object, seen: set[int]) -> None:
    """An inode; of a socket its struct sock, too."""
    if node.value_() in seen:
        return
    seen.add(node.value_())
    whole(recorder, node)
    if int(node.i_mode) & 0o170000 == 0o140000:
        socket = drgn.container_of(node, "struct socket_alloc", "vfs_inode").socket
        whole(recorder, socket.address_of_())
        if socket.sk:
            whole(recorder, drgn.cast("struct inet_sock *", socket.sk))


def mount(recorder: Recorder, mnt: Object, seen: set[int]) -> None:
    """A mount, those above it, where it is, and what of."""
    for _ in range(_MAX_DEPTH):
        if not mnt or mnt.value_() in seen:
            return
        seen.add(mnt.value_())
        whole(recorder, mnt)
        strings(recorder, mnt.mnt_devname)
        for entry in (mnt.mnt_mountpoint, mnt.mnt.mnt_root):
            dentry(recorder, entry, seen)
        super_block = mnt.mnt.mnt_sb.read_()
        if super_block and super_block.value_() not in seen:
            seen.add(super_block.value_())
            whole(recorder, super_block)
            whole(recorder, super_block.s_type)
            strings(recorder, super_block.s_type.name)
            if super_block.s_subtype:
                strings(recorder, super_block.s_subtype)
        mnt = mnt.mnt_parent.read_()


def mounts(recorder: Recorder, session: Session) -> None:
    """Each mount of each namespace that a task is in."""
    from drgn.helpers.linux.fs import for_each_mount
    from drgn.helpers.linux.pid import for_each_task

    seen: set[int] = set()
    spaces: set[int] = set()
    for number, task in enumerate(for_each_task(recorder.prog)):
        if number >= _MAX_TASKS or len(seen) >= _MAX_MOUNTS:
            return
        try:
            space = task.nsproxy.mnt_ns.read_()
            if space.value_() in spaces:
                continue
            spaces.add(space.value_())
            whole(recorder, space)
            for entry in for_each_mount(space):
                mount(recorder, entry, seen)
        except SKIPPED:
            continue  # of one task, or the rest of one namespace


def slab_counters(recorder: Recorder, session: Session) -> None:
    """What slabs are counted by: each CPU's slab and free objects, and the partial slabs."""
    from drgn.helpers.linux.slab import for_each_slab_cache, slab_cache_usage

    for number, cache in enumerate(for_each_slab_cache(recorder.prog)):
        if number >= _MAX_CACHES:
            return
        try:
            _cpu_slabs(recorder, cache)
            slab_cache_usage(cache)
        except SKIPPED:
            continue  # of one cache; the others are recorded all the same


def _cpu_slabs(recorder: Recorder, cache: Object) -> None:
    """
    The slab of each CPU, the free objects in it, and the slabs that the CPU keeps.

    drgn asks the CPUs that are online; crash those that panic() took offline as well.
    """
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.mm import page_to_virt
    from drgn.helpers.linux.percpu import per_cpu_ptr

    try:
        per_cpu = cache.cpu_slab.read_()
    except AttributeError:
        # Linux kernel commit 32c894c7274b ("slab: remove struct kmem_cache_cpu") (in v7.0).
        return
    for cpu in for_each_possible_cpu(recorder.prog):
        try:
            own = per_cpu_ptr(per_cpu, cpu)
            whole(recorder, own)
            slab = _slab_of(own)
            if slab:
                whole(recorder, slab)
                page = drgn.cast("struct page *", slab)
                size = int(recorder.prog["PAGE_SIZE"]) << (int(cache.oo.x) >> 16 & 15)
                if own.freelist:
                    recorder.touch(int(page_to_virt(page).value_()), size)
            for slab in _partial(own):
                whole(recorder, slab)
        except SKIPPED:
            continue  # of one CPU


def _slab_of(own: Object) -> Object:
    try:
        return own.slab.read_()
    except AttributeError:
        # Linux kernel commit bb192ed9aa71 ("mm/slub: Convert most struct page to struct slab
        # by spatch") (in v5.17).
        return own.page.read_()


def _partial(own: Object) -> Iterator[Object]:
    """Slabs that a CPU keeps; none without CONFIG_SLUB_CPU_PARTIAL."""
    try:
        slab = own.partial.read_()
    except AttributeError:
        return
    for _ in range(_MAX_SLABS):
        if not slab:
            return
        yield slab
        slab = slab.next.read_()


def task_groups(recorder: Recorder, session: Session) -> None:
    """
    Each task group, its queues and its cgroup's name, which crash's ``runq -g`` prints.

    Where one of them cannot be read, it prints nothing at all.
    """
    from drgn.helpers.linux.cgroup import cgroup_name
    from drgn.helpers.linux.list import list_for_each_entry

    head = recorder.prog["task_groups"].address_of_()
    groups = list_for_each_entry("struct task_group", head, "list")
    # The root's own is the last of the list, which may end before it in a damaged dump.
    root = recorder.prog["root_task_group"].address_of_()
    for group in islice(chain((root,), groups), _MAX_GROUPS):
        try:
            whole(recorder, group)
            cgroup = group.css.cgroup.read_()
            if cgroup:  # a session's own group has none
                whole(recorder, cgroup)
                whole(recorder, cgroup.kn)
                cgroup_name(cgroup)
            for queues in ("cfs_rq", "rt_rq"):
                _queues(recorder, group, queues)
        except SKIPPED:
            continue  # of one group


def _queues(recorder: Recorder, group: Object, name: str) -> None:
    """A task group's queue of each CPU; none without CONFIG_(FAIR|RT)_GROUP_SCHED."""
    from drgn.helpers.linux.cpumask import for_each_possible_cpu

    try:
        queues = group.member_(name).read_()
    except LookupError:
        return
    for cpu in islice(for_each_possible_cpu(recorder.prog), _MAX_CPUS):
        if queues[cpu]:
            whole(recorder, queues[cpu])


NEEDS: tuple[tuple[str, Need], ...] = (
    ("crash notes", crash_notes),
    ("open files", open_files),
    ("mounts", mounts),
    ("slab counters", slab_counters),
    ("disk list", disk_list),
    ("task groups", task_groups),
)
