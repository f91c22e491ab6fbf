"""Which tasks wait for a lock, since when, and who holds it.

    python examples/which_tasks_wait_for_lock.py VMCORE [NAME]

NAME is a lock as its symbol names it (``cf_left``), its address, or nothing for all.
"""

from __future__ import annotations

import sys

import btfdbg
from btfdbg.report.blocked import Blockage, Blocked
from btfdbg.report.look import Look


def waiting(blockage: Blockage, wanted: str = "") -> dict[str, list[Blocked]]:
    """Map each lock to its waiters, the one that waits longest first."""
    found: dict[str, list[Blocked]] = {}
    for one in blockage.tasks:
        lock = one.lock
        if lock is not None and wanted in ("", lock.name, f"{lock.address:#x}"):
            found.setdefault(str(lock), []).append(one)
    return found


def main(core: str, wanted: str = "") -> None:
    """Print each lock with its holder and its waiters."""
    blockage = Blockage(Look(btfdbg.session(btfdbg.program_from_core_dump(core))))
    locks = waiting(blockage, wanted)
    for name, waiters in locks.items():
        lock = waiters[0].lock
        holder = blockage.holder(lock) if lock is not None else None
        print(f"{name}: held by {holder or 'nobody that is recorded'}")
        for one in waiters:
            since = "" if one.seconds is None else f" for {one.seconds:.1f} s"
            print(f"    {one.task} waits{since}")
    if not locks:
        print(f"no blocked task waits for {wanted or 'a lock that the dump shows'}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
