"""Disks with requests in flight, the oldest of them; mounts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import drgn

from btfdbg.report.calls import UNREADABLE
from btfdbg.report.counts import counted
from btfdbg.report.look import Look
from btfdbg.report.parts import Item, Line, Table
from btfdbg.report.registry import check

_MAX = 4096
_REQUESTS = 1 << 16
_SHOWN = 40


@check("disks", "Disks", needs=("block_class",), more=("dev -d",), order=70)
def disks(look: Look) -> Iterator[Item]:
    """Print what the disks have not answered yet."""
    from drgn.helpers.linux.block import disk_name, for_each_disk

    rows: list[tuple[str, int, str]] = []
    lost = 0
    count_of_disks = 0
    for disk in itertools.islice(for_each_disk(look.prog), _MAX):
        count_of_disks += 1
        try:
            name = disk_name(disk).decode("utf-8", "backslashreplace")
            count, oldest = _in_flight(look, disk.queue)
        except (*UNREADABLE, ImportError):
            lost += 1
            look.pass_over()
            continue
        if count:
            age = "" if oldest is None else f"{oldest:.1f} s"
            rows.append((name, count, age))
    if rows:
        yield Table(("disk", "in flight", "oldest"), tuple(rows), "requests not answered")
    elif lost < count_of_disks or not lost:
        yield Line(f"{counted(count_of_disks - lost, 'disks')}, no request in flight.")
    if lost:
        yield Line(f"{counted(lost, 'disks')} cannot be read.", "note")


def _in_flight(look: Look, queue: drgn.Object) -> tuple[int, float | None]:
    from drgn.helpers.linux.block import request_queue_busy_iter

    now = _now(look)
    count = 0
    oldest: float | None = None
    for request in itertools.islice(request_queue_busy_iter(queue), _REQUESTS):
        count += 1
        started = int(request.start_time_ns)
        if now is not None and 0 < started <= now:
            oldest = max(oldest or 0.0, (now - started) / 1e9)
    return count, oldest


def _now(look: Look) -> int | None:
    """Nanoseconds since boot, as requests are stamped."""
    try:
        from drgn.helpers.linux.timekeeping import ktime_get_coarse_ns

        return int(ktime_get_coarse_ns(look.prog))
    except (*UNREADABLE, ImportError):
        return None


@check("mounts", "Mounts", needs=("init_task",), more=("mount",), order=75)
def mounts(look: Look) -> Iterator[Item]:
    """Print the mounts of the first namespace."""
    from drgn.helpers.linux.fs import for_each_mount, mount_dst, mount_fstype, mount_src

    rows: list[tuple[str, ...]] = []
    left_out = lost = 0
    for mount in itertools.islice(for_each_mount(look.prog), _MAX):
        if len(rows) >= _SHOWN:
            left_out += 1
            continue
        try:
            cells = tuple(
                text(mount).decode("utf-8", "backslashreplace")
                for text in (mount_src, mount_fstype, mount_dst)
            )
        except UNREADABLE:
            lost += 1
            look.pass_over()
            continue
        rows.append(cells)
    yield Table(("source", "type", "on"), tuple(rows), "", left_out)
    if lost:
        yield Line(f"{counted(lost, 'mounts')} cannot be read.", "note")
