"""Disks: what crash's ``dev -d`` reads of them, and all of them.

Owns the walk over disks with their queues, hardware contexts, tags and requests.

Facts: crash 9's ``dev.c`` (display_all_diskio() looks through every class for that of disks,
then counts the tags in use); include/linux/blk-mq.h, block/blk-mq.h in the kernel.
"""

from __future__ import annotations

from itertools import islice

import drgn
from drgn import Object

from btfdbg.program.session import Session
from btfdbg.trim.recorder import Recorder
from btfdbg.trim.touching import SKIPPED, whole

_MAX_CLASSES = 1 << 12
_MAX_DISKS = 1 << 12
_MAX_PARTITIONS = 1 << 8
_MAX_CONTEXTS = 1 << 10
_MAX_TAGS = 1 << 12
_MAX_CPUS = 1 << 13


def disk_list(recorder: Recorder, session: Session) -> None:
    """
    Each disk with its queue and the tags in use, as crash's ``dev -d`` counts them.

    It looks for disks among all classes, and where a page is not there it says nothing.
    """
    from drgn.helpers.linux.list import list_for_each_entry

    try:
        head = recorder.prog["class_kset"].list.address_of_()
        for kobject in islice(list_for_each_entry("struct kobject", head, "entry"), _MAX_CLASSES):
            whole(recorder, kobject)
    except SKIPPED:
        pass  # the disks are found through their own class
    _disks(recorder, every_request=False)
    _numbers(recorder)


def _numbers(recorder: Recorder) -> None:
    """
    The table in which crash's ``dev`` looks for the disk of a major number, and all in it.

    It is read in one piece. There is none since Linux kernel commit e418de3abcda ("block: switch
    gendisk lookup to a simple xarray") (in v5.11).
    """
    try:
        table = recorder.prog["bdev_map"].read_()
        whole(recorder, table)
        for first in table.probes:
            probe = first.read_()
            for _ in range(_MAX_DISKS):
                if not probe:
                    break
                whole(recorder, probe)
                probe = probe.next.read_()
    except SKIPPED:
        return


def disks(recorder: Recorder, session: Session) -> None:
    """Each disk with its partitions, its queue, and its requests."""
    from drgn.helpers.linux.block import for_each_partition

    _disks(recorder, every_request=True)
    for part in islice(for_each_partition(recorder.prog), _MAX_DISKS * _MAX_PARTITIONS):
        try:
            whole(recorder, part)
        except SKIPPED:
            continue


def _disks(recorder: Recorder, *, every_request: bool) -> None:
    from drgn.helpers.linux.block import for_each_disk

    for disk in islice(for_each_disk(recorder.prog), _MAX_DISKS):
        try:
            whole(recorder, disk)
            _queue(recorder, disk.queue, every_request)
        except SKIPPED:
            continue  # of one disk


def _queue(recorder: Recorder, queue: Object, every_request: bool) -> None:
    whole(recorder, queue)
    if every_request:
        _users(recorder, queue.q_usage_counter)
    if queue.mq_ops:
        whole(recorder, queue.mq_ops)
    for context in _hardware_contexts(queue):
        try:
            whole(recorder, context)
            for tags in (context.tags, context.sched_tags):
                if tags:
                    _tags(recorder, tags, every_request)
        except SKIPPED:
            continue  # of one context


def _users(recorder: Recorder, counter: Object) -> None:
    """
    What a struct percpu_ref counts: each CPU's share, and what is common.

    Facts: include/linux/percpu-refcount.h (the two lowest bits are flags, and either means that
    the shares count no more).
    """
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.percpu import per_cpu_ptr

    try:
        whole(recorder, counter.data)
    except AttributeError:
        # Linux kernel commit 2b0d3d3e4fcf ("percpu_ref: reduce memory footprint of percpu_ref in
        # fast path") (in v5.10).
        pass
    shares = int(counter.percpu_count_ptr)
    if not shares or shares & 3:
        return
    pointer = Object(recorder.prog, "unsigned long *", shares)
    for cpu in islice(for_each_possible_cpu(recorder.prog), _MAX_CPUS):
        whole(recorder, per_cpu_ptr(pointer, cpu))


def _hardware_contexts(queue: Object) -> list[Object]:
    from drgn.helpers.linux.xarray import xa_for_each

    count = min(int(queue.nr_hw_queues), _MAX_CONTEXTS)
    try:
        table = queue.hctx_table.address_of_()
    except AttributeError:
        # Linux kernel commit 4e5cc99e1e48 ("blk-mq: manage hctx map via xarray") (in v5.19).
        return [queue.queue_hw_ctx[number] for number in range(count)]
    found = islice(xa_for_each(table), count)
    return [drgn.cast("struct blk_mq_hw_ctx *", entry) for _, entry in found]


def _tags(recorder: Recorder, tags: Object, every_request: bool) -> None:
    from drgn.helpers.linux.sbitmap import sbitmap_for_each_set

    whole(recorder, tags)
    used: set[int] = set()
    count = min(int(tags.nr_tags), _MAX_TAGS)
    for bitmap in (tags.bitmap_tags, tags.breserved_tags):
        # Linux kernel commit ae0f1a732f4a ("blk-mq: Stop using pointers for
        # blk_mq_tags bitmap tags") (in v5.16).
        bits = bitmap.sb if bitmap.type_.kind is not drgn.TypeKind.POINTER else bitmap[0].sb
        words = min(int(bits.map_nr), _MAX_TAGS)
        if not every_request:
            used.update(islice(sbitmap_for_each_set(bits.address_of_()), _MAX_TAGS))
        if words:
            recorder.touch(int(bits.map), words * drgn.sizeof(bits.map.type_.type))
    for requests in (tags.rqs, *((tags.static_rqs,) if every_request else ())):
        if not requests:
            continue
        recorder.touch(int(requests), count * drgn.sizeof(requests.type_.type))
        for number in range(count) if every_request else sorted(used):
            if number < count and requests[number]:
                whole(recorder, requests[number])
