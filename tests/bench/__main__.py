"""``python -m tests.bench CORE [--vmlinux VMLINUX]``: what a session costs, next to the peers.

VMLINUX is the matching one with DWARF; with it drgn is timed on the same dump,
and crash too if it is installed. The floor is the interpreter, drgn's import and
opening the dump.
"""

from __future__ import annotations

import argparse
import shutil
import sys

from tests.bench.processes import Contender, compare, table

_FIRST = 'print(prog["init_task"].comm)'
_STACKS = """
from drgn.helpers.linux.pid import for_each_task
for task in for_each_task(prog):
    try:
        print(prog.stack_trace(task))
    except (LookupError, ValueError) as e:
        print(e)
"""
_TYPES = """
from btfdbg import session
s = session(prog)
for i in s.vmlinux.own_ids():
    try:
        t = s.converter.convert(i)
    except ValueError:
        continue
    for m in getattr(t, "members", None) or ():
        m.type
"""
_FLOOR = "import sys, drgn; prog = drgn.Program(); prog.set_core_dump(sys.argv[1])"


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("core")
    parser.add_argument("--vmlinux", help="the matching vmlinux with DWARF")
    parser.add_argument("-n", "--rounds", type=int, default=5)
    args = parser.parse_args()
    python = sys.executable
    # Byte code has to be cached for all of them, as it is once installed.
    cached = {"PYTHONDONTWRITEBYTECODE": ""}
    bare = {**cached, "DRGN_DISABLE_PLUGINS": "*"}
    drgn = [python, "-m", "drgn", "-q", "-c", args.core, "--main-symbols", "-s", args.vmlinux or ""]

    def ours(code: str) -> Contender:
        return Contender("btfdbg", [python, "-m", "btfdbg.cli", args.core, "-e", code], cached)

    def theirs(code: str) -> list[Contender]:
        if args.vmlinux is None:
            return []
        return [
            Contender(
                "drgn with DWARF", [*drgn, "-e", code], {**cached, "DRGN_DISABLE_PLUGINS": "btfdbg"}
            )
        ]

    floor = Contender("floor: drgn opens the dump", [python, "-c", _FLOOR, args.core], bare)
    first = [floor, ours(_FIRST), *theirs(_FIRST)]
    crash = shutil.which("crash")
    if crash is not None and args.vmlinux is not None:
        first.append(
            Contender(
                "crash", [crash, "-s", "--no_panic", args.vmlinux, args.core, "-i", "/dev/null"], {}
            )
        )
    plans = {
        "start to first object": first,
        "backtrace of every task": [ours(_STACKS), *theirs(_STACKS)],
        "every BTF type to drgn, members too": [ours(_TYPES)],
    }
    reference = "drgn with DWARF" if args.vmlinux is not None else "btfdbg"
    for title, contenders in plans.items():
        print(f"\n{title}")
        print(
            table(compare(contenders, args.rounds), reference if len(contenders) > 1 else "btfdbg")
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
