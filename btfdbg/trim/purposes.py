"""What ``--for corelens`` keeps beyond what every trimmed dump has: whole subsystems.

Owns the walks over super blocks with their inodes and dentries, work queues, devices, and
cgroups; that over disks is in ``trim.disks``, those over tables are in ``trim.tables``. Each is
bounded: a machine may have millions.

To add one: a function in ``CORELENS``.

Facts: the modules of drgn-tools' corelens (what they walk); include/linux/fs.h,
include/linux/blk-mq.h, kernel/workqueue.c, drivers/base/base.h in the kernel.
"""

from __future__ import annotations

from itertools import islice

import drgn
from drgn import Object

from btfdbg.program.session import Session
from btfdbg.trim.disks import disks
from btfdbg.trim.others import each_super_block
from btfdbg.trim.recorder import Recorder
from btfdbg.trim.tables import cpu_names, dentry_table, modules, settings, slab_names
from btfdbg.trim.touching import SKIPPED, Need, strings, whole
from btfdbg.trim.walks import dentry, inode, mount

_MAX_INODES = 1 << 15
_MAX_QUEUES = 1 << 12
_MAX_WORK = 1 << 12
_MAX_DEVICES = 1 << 14
_MAX_CGROUPS = 1 << 14
_MAX_RINGS = 1 << 10
_MAX_MOUNTS = 1 << 14


def super_blocks(recorder: Recorder, session: Session) -> None:
    """Each super block, its mounts; its inodes with their dentries and all above them."""
    from drgn.helpers.linux.fs import super_block_for_each_mount
    from drgn.helpers.linux.list import hlist_for_each_entry, list_for_each_entry

    seen: set[int] = set()
    left = _MAX_INODES
    # d_alias is in a union that has a name up to v7.0.
    named = not recorder.prog.type("struct dentry").has_member("d_alias")
    alias = "d_u.d_alias" if named else "d_alias"
    for super_block in each_super_block(recorder.prog):
        try:
            whole(recorder, super_block)
            for entry in islice(super_block_for_each_mount(super_block), _MAX_MOUNTS):
                mount(recorder, entry, seen)
            inodes = super_block.s_inodes.address_of_()
            for node in list_for_each_entry("struct inode", inodes, "i_sb_list"):
                if not left:
                    return
                left -= 1
                inode(recorder, node, seen)
                names = node.i_dentry.address_of_()
                for entry in hlist_for_each_entry("struct dentry", names, alias):
                    dentry(recorder, entry, seen)
        except SKIPPED:
            continue  # of one super block; the others are recorded all the same


def work_queues(recorder: Recorder, session: Session) -> None:
    """Each work queue with its pools, workers, and the work that waits."""
    from drgn.helpers.linux.list import list_for_each_entry

    head = recorder.prog["workqueues"].address_of_()
    pools: set[int] = set()
    queues = list_for_each_entry("struct workqueue_struct", head, "list")
    for queue in islice(queues, _MAX_QUEUES):
        try:
            whole(recorder, queue)
            members = queue.pwqs.address_of_()
            for entry in islice(
                list_for_each_entry("struct pool_workqueue", members, "pwqs_node"), _MAX_QUEUES
            ):
                whole(recorder, entry)
                pool = entry.pool.read_()
                if pool and pool.value_() not in pools:
                    pools.add(pool.value_())
                    _pool(recorder, pool)
        except SKIPPED:
            continue  # of one queue


def _pool(recorder: Recorder, pool: Object) -> None:
    from drgn.helpers.linux.list import list_for_each_entry

    whole(recorder, pool)
    for kind, head, member in (
        ("struct worker", pool.workers, "node"),
        ("struct work_struct", pool.worklist, "entry"),
    ):
        for entry in islice(list_for_each_entry(kind, head.address_of_(), member), _MAX_WORK):
            whole(recorder, entry)


def devices(recorder: Recorder, session: Session) -> None:
    """Each device, its name and those of its driver and bus."""
    from drgn.helpers.linux.list import list_for_each_entry

    head = recorder.prog["devices_kset"].list.address_of_()
    kobjects = list_for_each_entry("struct kobject", head, "entry")
    for kobject in islice(kobjects, _MAX_DEVICES):
        try:
            device = drgn.container_of(kobject, "struct device", "kobj")
            whole(recorder, device)
            strings(recorder, kobject.name)
            if device.p:
                whole(recorder, device.p)
            for owner in (device.driver, device.bus):
                if owner:
                    whole(recorder, owner)
                    strings(recorder, owner.name)
            if device.bus and device.bus.name.string_() == b"virtio":
                _rings(recorder, drgn.container_of(device, "struct virtio_device", "dev"))
        except SKIPPED:
            continue  # of one device


def _rings(recorder: Recorder, device: Object) -> None:
    """
    A virtio device's queues with their names, and how far each side of a ring is.

    Facts: drivers/virtio/virtio_ring.c (a packed ring has its two pointers where a split one has).
    """
    from drgn.helpers.linux.list import list_for_each_entry

    whole(recorder, device)
    queues = list_for_each_entry("struct virtqueue", device.vqs.address_of_(), "list")
    for queue in islice(queues, _MAX_RINGS):
        ring = drgn.container_of(queue, "struct vring_virtqueue", "vq")
        whole(recorder, ring)
        strings(recorder, queue.name)
        for half in (ring.split.vring.avail, ring.split.vring.used):
            if half:
                whole(recorder, half)


def cgroups(recorder: Recorder, session: Session) -> None:
    """Each cgroup of the second version's tree, with its controllers and names."""
    from drgn.helpers.linux.cgroup import cgroup_name, css_for_each_descendant_pre

    top = recorder.prog["cgrp_dfl_root"].cgrp.self.address_of_()
    for css in islice(css_for_each_descendant_pre(top), _MAX_CGROUPS):
        try:
            group = css.cgroup.read_()
            whole(recorder, group)
            whole(recorder, group.kn)
            cgroup_name(group)
            for controller in group.subsys:
                if controller:
                    whole(recorder, controller)
        except SKIPPED:
            continue  # of one cgroup


CORELENS: tuple[tuple[str, Need], ...] = (
    ("super blocks", super_blocks),
    ("disks", disks),
    ("work queues", work_queues),
    ("devices", devices),
    ("cgroups", cgroups),
    ("CPU names", cpu_names),
    ("modules", modules),
    ("dentry table", dentry_table),
    ("settings", settings),
    ("slab names", slab_names),
)
