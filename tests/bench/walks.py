"""``python -m tests.bench.walks CORE``: walks over lists, trees and tasks, drgn's own and ours.

    python -m tests.bench.walks corefiles/6.12-amd64-null.vmcore [-n ROUNDS]

Processor time for one item, the least of all rounds, both in one process and in turn; and the
memory that a walk over a million nodes takes, of a list in made memory.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any

from btfdbg.patches import install
from btfdbg.program.attach import attach
from btfdbg.program.walks import ring
from btfdbg.vmcore import open_core
from tests.patches.made import Made

Place = Callable[[Any], Any]
WALKS: Mapping[str, tuple[str, Place]] = {
    "list_for_each": ("list", lambda p: p["slab_caches"].address_of_()),
    "rbtree_inorder_for_each": (
        "rbtree",
        lambda p: p["vmap_nodes"][0].busy.root.address_of_(),
    ),
    "xa_for_each": ("xarray", lambda p: p["init_pid_ns"].idr.idr_rt.address_of_()),
    "mt_for_each": ("mapletree", lambda p: p["sparse_irqs"].address_of_()),
    "for_each_task": ("pid", lambda p: p),
}


def _both(name: str, module: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """drgn's own function and the one in its place."""
    ours = getattr(import_module(f"drgn.helpers.linux.{module}"), name)
    return ours.__wrapped__, ours


def _once(walk: Callable[[Any], Iterator[Any]], place: Any) -> tuple[float, int]:
    before = time.process_time()
    count = sum(1 for _ in walk(place))
    return time.process_time() - before, count


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.walks", description=__doc__)
    parser.add_argument("core")
    parser.add_argument("-n", "--rounds", type=int, default=200)
    args = parser.parse_args()
    prog, info = open_core(args.core)
    attach(prog, None, info)
    install.install_helpers()
    print(f"{'walk':<26}{'items':>8}{'drgn us':>10}{'ours us':>10}{'ratio':>8}")
    for name, (module, place) in WALKS.items():
        try:
            target = place(prog)
        except LookupError:
            continue  # another kernel's
        best = [float("inf")] * 2
        count = 0
        for _ in range(args.rounds):
            for i, function in enumerate(_both(name, module)):
                taken, count = _once(function, target)
                if count:
                    best[i] = min(best[i], taken / count)
        own, ours = (1e6 * seconds for seconds in best)
        print(f"{name:<26}{count:>8,}{own:>10.2f}{ours:>10.2f}{ours / own:>8.2f}")
    made = Made(1_000_000)
    head = made.ring(range(1, 1_000_001))
    walk = ring(head, 0)
    next(walk)
    tracemalloc.start()
    count = sum(1 for _ in walk)
    print(
        f"a list of {count + 1:,} nodes takes {tracemalloc.get_traced_memory()[1] / 1024:.1f} KiB"
    )


if __name__ == "__main__":
    main()
