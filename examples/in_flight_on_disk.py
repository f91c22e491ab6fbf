"""What a disk had not answered when the kernel stopped, the oldest request first.

    btfdbg VMCORE examples/in_flight_on_disk.py [DISK]

An ordinary drgn script: ``prog`` is bound by whoever runs it.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator

import drgn
from drgn.helpers.linux.block import (
    blk_rq_bytes,
    blk_rq_pos,
    disk_name,
    for_each_disk,
    req_op,
    request_queue_busy_iter,
)
from drgn.helpers.linux.timekeeping import ktime_get_coarse_ns

_MAX = 1 << 16  # of a damaged list


def in_flight(disk: drgn.Object) -> Iterator[tuple[float, str, int, int]]:
    """Yield a disk's requests: seconds since they began, what, first sector, bytes."""
    now = int(ktime_get_coarse_ns(disk.prog_))
    for request in itertools.islice(request_queue_busy_iter(disk.queue), _MAX):
        age = (now - int(request.start_time_ns)) / 1e9
        what = req_op(request).format_(type_name=False).removeprefix("REQ_OP_")
        yield age, what, int(blk_rq_pos(request)), int(blk_rq_bytes(request))


def main(prog: drgn.Program, wanted: str = "") -> None:
    """Print what is in flight on a disk, or on all."""
    idle = 0
    for disk in itertools.islice(for_each_disk(prog), _MAX):
        name = disk_name(disk).decode(errors="backslashreplace")
        if wanted not in ("", name):
            continue
        try:
            requests = sorted(in_flight(disk), reverse=True)
        except drgn.FaultError as e:
            print(f"{name}: cannot be read: {e}")
            continue
        idle += not requests
        if requests or wanted:
            print(f"{name}: {len(requests)} in flight")
        for age, what, sector, size in requests:
            print(f"    {age:.3f} s  {what}  sector {sector}  {size} bytes")
    print(f"{idle} {'disk has' if idle == 1 else 'disks have'} nothing in flight")


if __name__ == "__main__":
    main(drgn.get_default_prog(), *sys.argv[1:2])
