"""``python -m tests.bench.tab CORE``: what the names that completion knows cost.

Prints the CPU time and the growth of the peak memory from a session with modules to names
that can be searched, of what one key costs then, and of a loop to compare machines by.
"""

from __future__ import annotations

import argparse
import resource
import time

from btfdbg.program.attach import attach
from btfdbg.repl.complete import complete, sources_of
from btfdbg.vmcore.open import open_core

_QUERIES = ("t", "task", "vfs_re", "tsklck", "__x64_sys", "zzqq")


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure once: a first Tab is pressed once."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.tab", description=__doc__)
    parser.add_argument("core")
    args = parser.parse_args()
    prog, info = open_core(args.core)
    session = attach(prog, None, info)
    complete("x", 1, session)  # imports what the prompt has imported by then
    memory, before = _peak(), time.process_time()
    sources = sources_of(session)
    for what, steps in (("names", sources.steps), ("of modules", sources.module_steps)):
        for _ in steps():
            pass
        taken = time.process_time() - before
        print(f"{what} to complete: {taken * 1e3:.0f} ms CPU, {_peak() - memory:+.1f} MiB")
        memory, before = _peak(), time.process_time()
    for query in _QUERIES:
        before = time.process_time()
        found = len(sources.symbol_search(query, 200))
        taken = time.process_time() - before
        print(f"{query:<10} {found:>4} symbols, {taken * 1e3:.1f} ms")
    before = time.process_time()
    sum(range(1_000_000))
    print(f"a sum of a million numbers: {(time.process_time() - before) * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
