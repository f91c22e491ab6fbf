"""``python -m tests.bench.slabs CORE --vmlinux VMLINUX``: what ``kmem -s`` is made of.

The same helper of drgn's on the same dump, ours without and drgn with DWARF, both over the
CPUs that the kernel's own mask has (no command of ours was run, so nothing of drgn's is
replaced): the fastest of seven passes over all slab caches, in CPU time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

_CODE = """
import sys, time, drgn
core, vmlinux = sys.argv[1:3]
if vmlinux:
    prog = drgn.Program()
    prog.set_core_dump(core)
    prog.load_debug_info([vmlinux], main=True)
else:
    import btfdbg
    prog = btfdbg.program_from_core_dump(core)
from drgn.helpers.linux.slab import for_each_slab_cache, slab_cache_usage
best = None
for _ in range(7):
    started = time.process_time()
    caches = [slab_cache_usage(cache) for cache in for_each_slab_cache(prog)]
    took = time.process_time() - started
    best = took if best is None else min(best, took)
print(f"{1e3 * best:.1f} ms for {len(caches)} caches,"
      f" {sum(usage.free_objs for usage in caches):,} free objects")
"""


def main() -> int:
    """Print one line for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.slabs", description=__doc__)
    parser.add_argument("core", metavar="CORE")
    parser.add_argument("--vmlinux", required=True, help="the matching vmlinux with DWARF")
    args = parser.parse_args()
    for who, vmlinux in (("btfdbg", ""), ("drgn with DWARF", args.vmlinux)):
        argv = [sys.executable, "-c", _CODE, args.core, vmlinux]
        print(f"{who}: ", end="", flush=True)
        subprocess.run(argv, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
